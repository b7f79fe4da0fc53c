"""Whose usage rows are these: runs at a router that counts them late, or in batches."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from gates import answer_of, body_of, serving
from inner import only
from plugin_tools import Project, count, nothing_left
from sizes import sampled

from pytest_hydrasmoke.fake import FakeRouter, Scenario

SUITE = """
import pytest

@pytest.mark.parametrize("number", range({before}))
def test_before(smoke_instance, number):
    smoke_instance.chat("leaves one")

def test_last(smoke_instance):
    turn = smoke_instance.chat("leaves none")
    turn.expect_llm_events(exactly=1, only={{"anthropic"}})
"""
NEW = """
def test_it(smoke_instance):
    smoke_instance.chat("leaves none")
    turn = smoke_instance.chat("leaves one")
    turn.expect_llm_events(exactly=1, only={"anthropic"})
"""
TENTH = 0.1
"""The normal run takes a tenth of each time, and of the settings."""


class Recorded:
    """A router that counts rows in batches, and none of a turn that is to leave none."""

    def __init__(self, router: FakeRouter, every: float) -> None:
        self.router = router
        self.every = every
        self.flushed: tuple[float, list[Any]] = (-1.0, [])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw = await body_of(receive)
        if json.loads(raw or b"{}").get("message") == "leaves none":
            # It ends before the agent is done, and without a word.
            self.router.break_stream("end")
        waiting = [{"type": "http.request", "body": raw}]

        async def again() -> Any:
            return waiting.pop() if waiting else await receive()

        if not self.every or not scope["path"].endswith("/llm-events"):
            await self.router.app(scope, again, send)
            return
        batch = math.floor(time.monotonic() / self.every)
        if self.flushed[0] != batch:
            self.flushed = batch, await answer_of(self.router.app, scope, again)
        _, [start, body] = self.flushed
        window = int(scope["query_string"].partition(b"=")[2])
        answer = json.dumps({**json.loads(body["body"]), "window_seconds": window}).encode()
        headers = [it for it in start["headers"] if it[0] != b"content-length"]
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


Routing = Callable[[Scenario], FakeRouter]


def run_late(
    project: Project, routing: Routing, text: str, *, lag: float, every: float, scale: float
) -> Any:
    """Run a suite where each turn's row is so late, or comes with the next batch."""
    scenario = Scenario(row_after=0, statuses=((0, "running"),), llm_events_lag=lag * scale)
    router = routing(scenario)
    settings = {"usage_settle": 5 * scale, "llm_events_timeout": 30 * scale}
    with serving(Recorded(router, every * scale)) as url:
        project.suite("bare").at(url, run_id="run", chat_end="optional", **settings)
        project.write("test_it.py", text)
        run = project.process("--hydra-smoke", *only(), "test_it.py")
    assert nothing_left(router)
    assert count(router, "chat") > 1
    return run


CASES = [
    (lag, every, before, scale)
    for lag, every in ((6, 0), (7, 0), (9, 0), (12, 0), (0.2, 10))
    for before in (2, 3, 4)
    for scale in (TENTH, 1)
]
SAMPLE = [(7, 0, 2, TENTH), (0.2, 10, 3, TENTH)]


@pytest.mark.parametrize("case", sampled("fire", CASES, SAMPLE))
def test_rows_that_come_later_than_is_waited_make_no_other_turn_green(
    project: Project, routing: Routing, case: tuple[float, float, int, float]
) -> None:
    lag, every, before, scale = case
    text = SUITE.format(before=before)
    run = run_late(project, routing, text, lag=lag, every=every, scale=scale)
    run.says("*test_last*", "*LlmEventsError*")
    assert run.ret == 1


@pytest.mark.parametrize("scale", sampled("fire", [TENTH, 1], [TENTH]))
def test_a_row_that_is_in_time_after_a_new_conversation_is_the_chats_own(
    project: Project, routing: Routing, scale: float
) -> None:
    run = run_late(project, routing, NEW, lag=4, every=0, scale=scale)
    assert run.ret == 0, run.stdout.str()
