"""Keys that several processes of a run provision by hand."""

from __future__ import annotations

from typing import Any

from net_tools import SPEC
from sharing_tools import Crews, Process, a_crew

from pytest_hydrasmoke._clock.io import blocking_io
from pytest_hydrasmoke._plugin.fixtures import RunClient
from pytest_hydrasmoke._transport.protocol import Answer, Request

__all__ = ["a_crew"]
KEY = "the same"


def client_of(process: Process) -> tuple[Any, RunClient]:
    io = blocking_io(process.run.config.link, None)
    return io, RunClient(io, process.run)


def test_a_key_that_another_process_claims_meanwhile_is_not_another_runs(a_crew: Crews) -> None:
    crew = a_crew()
    one, other = map(client_of, crew.workers(2))
    send = one[0].send

    async def after_the_other(request: Request, deadline: float) -> Answer:
        if request.call == "poll" and not crew.times("provision"):
            other[1].provision(SPEC, KEY)
        answer: Answer = await send(request, deadline)
        return answer

    one[0].send = after_the_other
    assert one[1].provision(SPEC, KEY).idempotency_key == KEY
    assert crew.times("provision") == 2
    for io, client in (one, other):
        client.close()
        io.close()
    assert [it.idempotency_key for it in crew.told()] == [KEY]
