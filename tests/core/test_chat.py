"""One chat turn: what ends it, and how it fails."""

from __future__ import annotations

import pytest
from core_tools import (
    CUT,
    DONE,
    FOR_TOOLS,
    HI,
    IF_LATE,
    LOG,
    PING,
    WORD,
    Chatted,
    Row,
    finished,
    turn_of,
    typed,
)
from scripted_io import HANG, ScriptedStream, Took, calls_of, late, lost, stream

from pytest_hydrasmoke import ChatError, ChatTimeoutError
from pytest_hydrasmoke._transport.protocol import drive

PINGED = b": ping\n\n"
MORE = b'event: usage\ndata: {"tokens": 3}\n\n'
FLOOD = b"data: " + b"x" * (1 << 20)
MIDDLE = "the reply was cut: its stream ended in the middle of an event"
SILENT = "the stream ended without a single event"
RESET = "the answer was lost (reset)"
IDLE = (
    "a proxy's idle timeout may have cut the silent stream: raise it above the agent's longest "
    "silence (nginx: proxy_read_timeout; HAProxy: timeout server), or have keep-alives sent; else "
)
LATE = "the turn did not end within 120 s"
TOLD = "the agent reported an error: "
BROKEN = "the event stream has more than {}: the turn was broken off"
SEEN = 'event \'message\' \'{"choices": [{"delta": {"content": "Hi"}}]}\''
UNLESS = '; if its runtime sends no terminal event, set chat_end = "optional"'
REQUIRED = "as the settings require"
ANY = ("auto", "optional")

# What a model of an unknown runtime says, and that it waits for its tools.
TOKEN = typed({"type": "token", "content": "Hi"})
WAITS = typed({"type": "token", "content": "", "finish_reason": "tool_calls"})
CRASH = finished("error").replace(b"]}", b'], "error": {"message": "no credit"}}')

ROWS: dict[str, Row] = {
    # A terminal event ends a turn, whatever the connection does then.
    "chunk by chunk": Row([HI[:7], HI[7:], DONE[:3], DONE[3:]], complete=True, waited=0),
    "cut after the end": Row([HI, DONE, lost()], complete=True, waited=0),
    "hangs after the end": Row([HI, DONE, HANG], complete=True, waited=2),
    "half an event after the end": Row([HI, DONE, b"data: x"], complete=True),
    # The standard drops an event without its empty line; a whole `[DONE]` has said all.
    **{
        f"done, then {rest!r}{' and lost' if faults else ''}": Row(
            [HI, b"data: [DONE]" + rest, *faults], complete=True
        )
        for rest in (b"", b"\n", b"\r\n", b"\r")
        for faults in ([], [lost()])
    },
    "done, but for a letter": Row([HI, b"data: [DONE\n"], MIDDLE, step=LOG),
    "a named event": Row([HI, b"event: done\ndata: {}\n\n"], complete=True),
    "with keep-alives": Row([PINGED, HI, PINGED, DONE], complete=True),
    "more within 2 s of the end": Row(
        [HI + DONE, Took(1.5, MORE), Took(1.5, MORE), HANG],
        complete=True,
        waited=1.5 + 1.5 + 2,
        deadlines=[120, 2, 3.5, 5],
    ),
    "no events within 2 s of the end": Row(
        [HI + DONE, Took(1, PINGED), Took(0.5, PING), Took(1, b"data: half"), HANG],
        complete=True,
        waited=3.5,
        deadlines=[120, 2, 2, 3.5, 3.5],
    ),
    "2 s that are never beyond the deadline": Row(
        [Took(119, HI + DONE), HANG], complete=True, waited=120
    ),
    "a late failure": Row(
        [HI + DONE + b"event: error\ndata: too late\n\n"], f"{TOLD}too late", complete=True
    ),
    # A stream that just ends.
    "no end": Row([HI, HI], text="HiHi", ends=("optional",)),
    "no end of a known runtime": Row(
        [HI], CUT, ends=("auto",), why="as this runtime always sends one", last=SEEN
    ),
    "no end, and one is required": Row(
        [WORD],
        CUT,
        ends=("required",),
        why=REQUIRED,
        last="event 'message' 'Hi'",
        step=f"{LOG}{UNLESS}",
    ),
    **{
        f"ends with {rest!r}": Row(
            [WORD, rest], MIDDLE, expected="a blank line after the last event", step=LOG
        )
        for rest in (b"data: x\n", b"data:", b"id")
    },
    **{
        f"ends with {rest!r}, which says nothing": Row([WORD, rest], ends=ANY)
        for rest in (b": stream closed", b": x\n", b"\n", b"\r\n", b"")
    },
    **{
        f"no event but {steps}": Row(steps, SILENT, "", expected="", last="no event yet", step=LOG)
        for steps in ([], [PINGED], [b"data: x"], [b"\n\n"])
    },
    # A finish reason will do once the stream ends, and is no terminal event.
    **{
        reason: Row(
            [HI, finished(reason), b"data: half"], complete=True, reason=reason, deadlines=[120] * 4
        )
        for reason in ("stop", "length", "made_up")
    },
    **{
        reason: Row(
            [HI, finished(reason)], CUT, ends=("auto",), why=FOR_TOOLS.format(reason), reason=reason
        )
        for reason in ("tool_calls", "tool_use", "function_call")
    },
    "its tools have told": Row(
        [HI, finished("tool_calls"), HI, finished("stop")], text="HiHi", complete=True
    ),
    "its tools are others'": Row(
        [HI, finished("tool_calls"), DONE], complete=True, reason="tool_calls"
    ),
    "an unknown runtime waits": Row(
        [TOKEN, WAITS], CUT, ends=("auto",), why=FOR_TOOLS.format("tool_calls")
    ),
    "an unknown runtime has gone on": Row([TOKEN, WAITS, TOKEN], text="HiHi", ends=ANY),
    # Cuts, and silences that may be a proxy's doing.
    "cut at once": Row([lost()], f"the stream was cut: {RESET}", "", step=LOG),
    "cut in an event": Row(
        [HI + b"data: half", lost()], f"the stream was cut in the middle of an event: {RESET}"
    ),
    "cut after a finish reason": Row(
        [HI + finished("stop"), lost()], f"the stream was cut: {RESET}"
    ),
    **{
        f"cut after {seconds} s": Row(
            [HI, Took(1, PINGED), Took(seconds, lost())],
            f"the stream was cut after {seconds:.1f} s of silence: {RESET}",
            expected="",
            step=IDLE + LOG if limit else LOG,
            timeout=900,
        )
        for seconds, limit in {4.8: 1, 29.8: 1, 60.2: 1, 350: 1, 2: 0, 7.5: 0, 61: 0, 1: 0}.items()
    },
    "cut within a second": Row([HI, Took(0.9, lost())], f"the stream was cut: {RESET}", step=LOG),
    "ends after 60 s": Row(
        [HI, Took(60, b"")],
        f"{CUT} after 60.0 s of silence",
        ends=("required",),
        why=REQUIRED,
        step=f"{IDLE}{LOG}{UNLESS}",
    ),
    "ends after 60 s of nothing": Row([Took(60, b"")], f"{SILENT} after 60.0 s of silence", ""),
    # It does not end in time.
    **{
        f"stalls {name}": Row(
            *(steps, LATE, text),
            kind=ChatTimeoutError,
            waited=120 - left,
            expected="",
            step=IF_LATE,
        )
        for name, steps, text, left in (
            ("from the start", [HANG], "", 0),
            ("after an event", [HI, HANG], "Hi", 0),
            ("with comments", [Took(10, PINGED)] * 99, "", 0),
            ("with bytes", [Took(10, b"x")] * 99, "", 0),
            ("with events", [Took(10, HI)] * 99, "Hi" * 11, 0),
            ("and says so", [HI, late()], "Hi", 120),
        )
    },
    # The agent's own errors, whose words are made harmless.
    "an error": Row(
        [HI + b'event: error\ndata: {"message": "quota"}\n\n' + HI, DONE], f"{TOLD}quota"
    ),
    **{
        words: Row([b"event: error\ndata: " + data + b"\n\n"], TOLD + words, "")
        for data, words in (
            (b"\x1b[1mboo", "\\x1b[1mboo"),
            (b"##[error]boo", "# #[error]boo"),
            (b"{}", "the agent reports an error, and no message with it"),
        )
    },
    "an error as its finish reason": Row([HI, CRASH + DONE], f"{TOLD}no credit", reason="error"),
    "an error as its finish reason, without words": Row(
        [HI, finished("error") + DONE],
        f"{TOLD}it finished with 'error', and no message with it",
        reason="error",
    ),
    # Floods, which leave what came before them.
    "a flood in an event": Row(
        [HI + HI + FLOOD, DONE],
        BROKEN.format("1048576 bytes in one event (max_event)"),
        text="HiHi",
        deadlines=[120],
    ),
    "a flood of bytes": Row(
        [HI, (b":" + b"x" * 1022 + b"\n") * (16 << 10) + HI],
        BROKEN.format("16777216 bytes (max_total)"),
        ends=("auto",),
        kept=(False,),
    ),
    "a flood of events": Row(
        [HI, b"data:\n\n" * 100_001, DONE],
        BROKEN.format("100000 events (max_events)"),
        ends=("auto",),
        kept=(True,),
    ),
    "a flood after the end": Row(
        [HI + DONE + FLOOD], BROKEN.format("1048576 bytes in one event (max_event)"), complete=True
    ),
}


@pytest.mark.parametrize("away", [0.05, 1.0, 60.0])
def test_what_came_while_its_reader_was_away_is_read(away: float) -> None:
    async def read(*waits: bytes) -> tuple[str, bool]:
        io, calls = calls_of(None, chat=[stream(HI + DONE, *waits, HANG)])
        turn, said = turn_of(calls), ""
        await turn.open()
        try:
            while (event := await turn.next()) is not None:
                said += event.text
                io.time += away if event.data == "[DONE]" else 0.0
        finally:
            await turn.close()
        return said, turn.outcome.late

    # Nobody knows when what was read late has ended.
    assert drive(read()) == ("Hi", away > 0.1)
    assert drive(read(MORE + DONE)) == ("Hi", away > 0.1)
    with pytest.raises(ChatError, match=f"{TOLD}no"):
        drive(read(b"event: error\ndata: no\n\n"))


@pytest.mark.parametrize("name", ROWS)
def test_a_stream_is_a_turn_or_fails(name: str) -> None:
    ROWS[name].check()


def test_an_events_name_is_made_harmless_and_short() -> None:
    for name in (b"##[error]boo", b"x" * 5000):
        it = Chatted(b"event: " + name + b"\ndata: x\n\n", lost())
        assert type(it.error) is ChatError
        assert "##[" not in str(it.error)
        assert len(str(it.error)) < 1500


def test_what_arrives_after_the_deadline_is_no_part_of_the_turn() -> None:
    class Overrunning(ScriptedStream):
        async def read(self, deadline: float) -> bytes:
            chunk = await super().read(deadline)
            self.io.time = deadline
            return chunk

    it = Chatted(chat=[Overrunning(200, {"content-type": "text/event-stream"}, [HI])])
    assert isinstance(it.error, ChatTimeoutError)
    assert it.data == []
