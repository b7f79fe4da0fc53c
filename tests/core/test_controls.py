"""Controls: what is asked beside looks, how long it counts, and who shares it."""

from __future__ import annotations

import pytest
from scripted_io import (
    ID,
    NO_ROW,
    NO_SUCH_PATH,
    NOT_FOUND,
    START,
    ScriptedIO,
    Took,
    calls_of,
    form,
    instance,
    kind_of,
    reply,
)

from pytest_hydrasmoke import RouterError
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._core.controls import GOOD_FOR, TICK, Controls, form_of_answer
from pytest_hydrasmoke._core.looks import look
from pytest_hydrasmoke._transport.protocol import drive

OTHER = reply(404, {"detail": "There is none"})
DEADLINE = START + 60


def kinds(io: ScriptedIO) -> list[str]:
    return [kind_of(it.request) for it in io.controls_sent]


def say_unknown(controls: Controls, calls: Calls) -> bool:
    return drive(controls.say_unknown(calls, form(NOT_FOUND), "id", Absent(), DEADLINE))


def test_one_set_of_controls_serves_a_round_of_looks() -> None:
    io, calls = calls_of()
    controls = Controls()
    for seconds, sets in ((0.0, 1), (GOOD_FOR, 1), (0.1, 2)):
        io.time += seconds
        assert say_unknown(controls, calls)
        assert kinds(io) == ["path", "id"] * sets
    paths = {it.request.path for it in io.controls_sent}
    assert len(paths) == len(io.controls_sent), "a cache may know what was asked for before"
    for _ in range(2):
        assert drive(controls.prove_router(calls, DEADLINE))
    assert kinds(io)[4:] == ["malformed"]


def test_where_answers_take_long_controls_count_as_long() -> None:
    io, calls = calls_of()
    io.controls["id"] = Took(2, NOT_FOUND)
    controls = Controls()
    for seconds, sent in ((0.0, 2), (2.0, 2), (0.1, 4)):
        io.time += seconds
        assert say_unknown(controls, calls)
        assert len(kinds(io)) == sent


def test_more_controls_join_those_that_there_are() -> None:
    io, calls = calls_of()
    io.controls["id"] = OTHER
    controls = Controls()
    assert not say_unknown(controls, calls)
    io.controls["id"] = NOT_FOUND
    assert say_unknown(controls, calls)
    assert kinds(io) == ["path", "id", "id", "id"]


@pytest.mark.parametrize("signal", [False, True])
def test_a_look_waits_for_anothers_controls_but_not_after_a_signal(signal: bool) -> None:
    io, calls = calls_of()
    controls = Controls()
    controls._busy = True

    class Until(ScriptedIO):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            controls._busy = len(self.sleeps) < 3

    io = Until()
    io.hurried = START if signal else io.hurried
    calls = Calls(io)
    if signal:
        with pytest.raises(Exception, match="no answer in time"):
            say_unknown(controls, calls)
        assert io.sleeps == []
    else:
        assert say_unknown(controls, calls)
        assert io.sleeps == [TICK] * 3


def test_two_versions_that_answer_by_turns_are_told_by_further_tries() -> None:
    it = instance(id=ID)
    io, calls = calls_of(it, status=[OTHER, NOT_FOUND], poll=[NO_ROW, ...])
    assert drive(look(calls, it, ID, DEADLINE)).says == "unknown"
    assert kinds(io) == ["path", "id", "id"]


def test_trouble_of_the_moment_is_no_form_and_success_is_one() -> None:
    _, calls = calls_of(missing=[reply(503), ...])
    with pytest.raises(RouterError):
        drive(form_of_answer(calls.missing("x", deadline=START + 5)))
    _, calls = calls_of(missing=[reply(200, {}), NO_SUCH_PATH])
    codes = [drive(form_of_answer(calls.missing("x", deadline=DEADLINE))).code for _ in range(2)]
    assert codes == [200, 404]
