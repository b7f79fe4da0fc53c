"""One chat turn: what its events mean, message by message, and by hooks."""

from __future__ import annotations

from typing import Any

import pytest
from core_tools import CUT, DONE, FOR_TOOLS, HI, PING, WORD, Chatted, Row, finished, message, typed
from scripted_io import HANG, Took, lost

from pytest_hydrasmoke import ChatEvent, ChatTimeoutError
from pytest_hydrasmoke._core.incoming import Reading
from pytest_hydrasmoke._runtimes.meaning import Meaning

LOOKS, SAYS = message("I look. ", "tool_use"), message("Cold.", "end_turn")
BOTH = "I look. Cold."
RUN, RAN = (
    {"type": f"RUN_{word}", "threadId": "t", "runId": "r"} for word in ("STARTED", "FINISHED")
)
CUT_MESSAGE = message("More", "end_turn").partition(b'data: {"type": "message_delta"')[0]
AGAIN = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "More"}
CREATED = {"type": "response.created"}


def response(text: str, *output: dict[str, Any], whole: bool = True) -> bytes:
    """Return a response of OpenAI's: what a model says in one call."""
    end = {"type": "response.completed", "response": {"output": [*output]}}
    delta = {"type": "response.output_text.delta", "delta": text}
    return typed(CREATED, delta, *([end] if whole else []))


LOOK = {"type": "function_call", "name": "look", "call_id": "c", "arguments": "{}"}
FOUND = {"type": "function_call_output", "call_id": "c", "output": "7"}
CALLS, THINKS = (
    typed({"choices": [{"index": 0, "delta": it, "finish_reason": None}]})
    for it in ({"tool_calls": [{"index": 0, "function": {"name": "look"}}]}, {"reasoning": "Hm."})
)
REPEATS = b'data: {"event": "reasoning.available", "text": "Hi"}\n\n'
BLANK, BLANK_THOUGHT = (
    typed({"choices": [{"index": 0, "delta": {it: "\n"}, "finish_reason": None}]})
    for it in ("content", "reasoning")
)
NO_THOUGHT = typed({"type": "REASONING_MESSAGE_CHUNK", "messageId": "m", "delta": ""})

# A reply that comes as a whole, and a piece of it before.
WHOLE = {
    b'data: {"event": "run.completed", "output": "Hi"}\n\n': (
        b'data: {"event": "message.delta", "delta": "Hi"}\n\n'
    ),
    b'event: assistant.completed\ndata: {"content": "Hi"}\n\n'
    b"event: run.completed\ndata: {}\n\nevent: done\ndata: {}\n\n": (
        b'event: assistant.delta\ndata: {"delta": "Hi"}\n\n'
    ),
}
SHOUTING = Reading(lambda event: event.data.upper(), lambda event: event.data == "bye")

HALF = b'data: {"choices":[{"delta":{"content":"Hel\n\n'
TABBED = HI.replace(b"Hi", b"H\ti")
BROKEN = "the stream is broken: the JSON of an event can't be read"

ROWS: dict[str, Row] = {
    # What is only a part of JSON is plain text, unless the runtime is known to send objects.
    "a part of JSON": Row([HI, HALF, DONE], BROKEN),
    "JSON with a raw tab": Row([HI * 3 + TABBED + DONE], BROKEN, "HiHiHi"),
    "a part of JSON, indented": Row([HI, HALF.replace(b"data: ", b"data:  ")], BROKEN),
    "a part of JSON, by a runtime's name": Row(
        [LOOKS, b"event: text\n" + HALF], BROKEN, "I look. "
    ),
    "a part of JSON after the end": Row([HI, DONE + HALF], BROKEN, complete=True),
    "plain text that looks like it": Row(
        [WORD, HALF, DONE], text=f"Hi{HALF[6:-2].decode()}", complete=True
    ),
    **{
        f"what is no object, {what}": Row([HI, b"data: " + data + b"\n\n", DONE], BROKEN)
        for what, data in (
            *(("a word", b"{x"), ("an error's line", b"Error: closed")),
            *(("in quotes", b'"Hi"'), ("a list", b"[1]")),
        )
    },
    "what is no object, after AG-UI": Row(
        [typed(RUN, AGAIN), b"data: restarting\n\n"], BROKEN, "More"
    ),
    "a part of JSON before all": Row([HALF, HI, DONE], BROKEN, HALF[6:-2].decode()),
    "plain text before all": Row([WORD, HI, DONE], text="HiHi", complete=True),
    "what is no object and a hook knows": Row(
        [HI, b"data: ping\n\n", DONE],
        complete=True,
        reading=Reading(chat_text=lambda event: "" if event.data == "ping" else None),
    ),
    # Only chunks end by `[DONE]`, and words that runtimes share.
    **{
        f"done, and no end of its own, {what}": Row(
            [*steps, DONE], CUT, text, ends=("auto", "required")
        )
        for what, steps, text in (
            ("Anthropic", [CUT_MESSAGE], "More"),
            ("died in its tools", [LOOKS], "I look. "),
            ("AG-UI", [typed(RUN, AGAIN)], "More"),
        )
    },
    # Some relays of these send no other end.
    **{
        f"done, and no other end, {what}": Row([*steps, DONE], complete=True)
        for what, steps in (
            ("Responses", [response("Hi", whole=False)]),
            ("AI SDK", [typed({"type": "text-delta", "id": "1", "delta": "Hi"})]),
        )
    },
    "done, after its own end": Row([SAYS, DONE], text="Cold.", complete=True, reason="end_turn"),
    "done, after chunks and others": Row([HI, typed(AGAIN), DONE], text="HiMore", complete=True),
    "a hook says that it is done": Row(
        [typed(RUN, AGAIN), DONE, HANG],
        text="More",
        complete=True,
        reading=Reading(chat_end=lambda event: event.data == "[DONE]"),
    ),
    "no finish reason, though it says one": Row(
        [HI, finished("null")], CUT, ends=("auto", "required")
    ),
    "a part of JSON that is no text": Row([HI, b"event: ping\n" + HALF, DONE], BROKEN),
    "a part of JSON in which a hook finds a text": Row(
        [HI, HALF, DONE],
        text="???",
        complete=True,
        reading=Reading(chat_text=lambda _: "?"),
    ),
    # A message that waits for its tools is not the end.
    "two messages": Row(
        [LOOKS, Took(60, SAYS), HANG], text=BOTH, complete=True, reason="end_turn", waited=62
    ),
    "and pings": Row([LOOKS, PING, Took(60, PING), SAYS, HANG], text=BOTH, complete=True),
    **{
        f"it dies in its tools, {end}": Row(steps, CUT, "I look. ", ends=(end,), why=why)
        for steps, end, why in (
            ([LOOKS], "auto", FOR_TOOLS.format("tool_use")),
            ([LOOKS, PING], "required", "as the settings require"),
        )
    },
    "its tools need not tell": Row([LOOKS, PING], text="I look. ", ends=("optional",)),
    "lost in its tools": Row(
        [LOOKS, lost()], "the stream was cut: the answer was lost (reset)", "I look. "
    ),
    "silent in its tools": Row(
        *([LOOKS, HANG], "the turn did not end within 120 s", "I look. "), kind=ChatTimeoutError
    ),
    "cut in an event of its last message": Row(
        [LOOKS, SAYS[:90]],
        "the reply was cut: its stream ended in the middle of an event",
        "I look. ",
    ),
    "cut in its last message": Row(
        [LOOKS, SAYS[: SAYS.index(b"data", 99)]], CUT, BOTH, ends=("auto",)
    ),
    "a response that calls": Row([response("Hi", LOOK)], CUT, ends=("auto", "required")),
    "a response that has called": Row([response("Hi", LOOK, FOUND)], complete=True),
    "two responses": Row(
        [response("I look. ", LOOK), Took(60, response("Cold."))], text=BOTH, complete=True
    ),
    "a line feed after the end": Row(
        [HI, finished("stop"), BLANK], text="Hi\n", complete=True, reason="stop"
    ),
    **{
        f"no thought after the end {number}": Row(
            [HI, finished("stop"), it], complete=True, reason="stop"
        )
        for number, it in enumerate((BLANK_THOUGHT, NO_THOUGHT))
    },
    "a repetition after the end": Row([HI, DONE, REPEATS], complete=True),
    # A whole reply counts where no piece of it came.
    **{f"whole {n}": Row([whole], complete=True) for n, whole in enumerate(WHOLE)},
    **{
        f"whole {n}, after its piece": Row([piece, whole], complete=True)
        for n, (whole, piece) in enumerate(WHOLE.items())
    },
    **{
        f"whole {n}, but a hook knows its text": Row(
            [whole], text="", complete=True, reading=Reading(chat_text=lambda _: "")
        )
        for n, whole in enumerate(WHOLE)
    },
    # Hooks.
    "frames that only hooks understand": Row(
        [b"data: hello\n\ndata: bye\n\n", HANG], text="HELLOBYE", complete=True, reading=SHOUTING
    ),
    "a hook ends it in its tools": Row(
        [LOOKS, HANG],
        text="I look. ",
        complete=True,
        reading=Reading(chat_end=lambda event: "message_stop" in event.data),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_stream_is_a_turn_or_fails(name: str) -> None:
    ROWS[name].check()


@pytest.mark.parametrize(
    ("told", "then"),
    [
        (message("Hi. ", "end_turn"), CUT_MESSAGE),
        (message("Hi. ", "max_tokens"), typed({"type": "message_start", "message": {}})),
        (typed(RUN, AGAIN, RAN), typed(RUN, AGAIN)),
        (typed(RUN, AGAIN, RAN), typed(RUN)),
        (response("Hi. "), response("More", whole=False)),
        (response("Hi. "), typed(CREATED)),
        *((HI + finished("stop"), then) for then in (HI, CALLS, THINKS)),
        (HI + finished("length"), HI),
    ],
)
@pytest.mark.parametrize("kept", [True, False])
def test_what_is_said_after_an_end_takes_that_end_back(
    told: bytes, then: bytes, kept: bool
) -> None:
    assert Chatted(told, end="required").came.end.complete
    it = Chatted(told, then, end="required", kept=kept)
    assert it.error is not None
    assert it.error.message.startswith("the reply was cut: its stream ended ")
    assert not it.came.end.complete
    assert Chatted(told, then, told, end="required", kept=kept).came.end.complete
    # Silence after it is no end, either.
    assert type(Chatted(told, then, HANG, end="required").error) is ChatTimeoutError


def piece(reply: str, said: str = "", reason: str | None = None, calls: Any = ()) -> bytes:
    choice = {"delta": {"content": said, "tool_calls": [*calls]}, "finish_reason": reason}
    return typed({"id": reply, "choices": [choice]})


ASKED = [{"index": 0, "id": "call-1", "function": {"name": "look"}}]
STALE = piece("a", "Old.") + piece("a", reason="stop")
OURS = piece("b", "New.") + piece("b", reason="stop") + DONE


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(
    ("told", "text"),
    {
        "a whole reply before it": (STALE + DONE + OURS, "Old."),
        "one without [DONE]": (STALE + OURS, "Old."),
        "one that met its limit": (piece("a", "Old.", "length") + OURS, "Old."),
        "one without ids": (HI + finished("stop") + DONE + HI + DONE, "Hi"),
        "words alone": (WORD + DONE + WORD + DONE, "Hi"),
        "one that thinks first": (STALE + DONE + THINKS + OURS, "Old."),
        "one that calls first": (STALE + DONE + CALLS + OURS, "Old."),
        "one after a tool loop": (
            piece("t", reason="tool_calls", calls=ASKED) + STALE + DONE + OURS,
            "Old.",
        ),
    }.values(),
)
def test_text_after_the_end_is_another_turns(told: bytes, text: str, kept: bool) -> None:
    it = Chatted(told, kept=kept)
    assert it.error is not None
    assert (
        it.error.message
        == "text came after the reply's end: a part of the stream is another turn's"
    )
    assert it.text == text


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize(
    ("told", "text"),
    {
        "a tool loop": (piece("a", "I look. ", "tool_calls") + OURS, "I look. New."),
        "a reason that is the same for tools": (
            piece("a", calls=ASKED) + piece("a", reason="stop") + OURS,
            "New.",
        ),
        "a tool that only its progress tells": (
            b'event: hermes.tool.progress\ndata: {"tool": "look", "status": "running"}\n\n'
            + piece("a", reason="stop")
            + OURS,
            "New.",
        ),
        "an id for each chunk": (
            piece("a", calls=ASKED) + piece("b", reason="stop") + piece("c", "New.", "stop"),
            "New.",
        ),
        "a late piece of the same reply": (STALE + piece("a", " More.", "stop"), "Old. More."),
        "a late piece without an id": (STALE + HI + finished("stop"), "Old.Hi"),
        "white space": (STALE + DONE + piece("b", "\n\n"), "Old.\n\n"),
        "usage alone": (STALE + typed({"id": "c", "choices": [], "usage": {}}) + DONE, "Old."),
    }.values(),
)
def test_several_replies_are_one_turn(told: bytes, text: str, kept: bool) -> None:
    it = Chatted(told, kept=kept)
    assert it.end == (None, text, True)


EVENT = ChatEvent("message", '{"type": "text", "content": "known"}', "", None, 0.0)
END = ChatEvent("done", "{}", "", None, 0.0)
ERROR = ChatEvent("error", "boo", "", None, 0.0)


def test_a_hooks_word_comes_first() -> None:
    for event, text, end, meaning in (
        # what the hooks say, if there are any
        *((EVENT, ..., ..., Meaning("known")), (EVENT, None, None, Meaning("known"))),
        *((EVENT, "mine", None, Meaning("mine")), (EVENT, "", None, Meaning(""))),
        (EVENT, None, True, Meaning("known", end=True)),
        *((EVENT, None, False, Meaning("known")), (END, None, False, Meaning())),
        (END, "mine", None, Meaning("mine", end=True)),
        *((ERROR, None, None, Meaning(error="boo")), (ERROR, ..., False, Meaning(error="boo"))),
        # A hook that finds a text or an end in it takes it for no error.
        *((ERROR, "mine", ..., Meaning("mine")), (ERROR, "", False, Meaning(""))),
        (ERROR, ..., True, Meaning(end=True)),
    ):
        reading = Reading(
            None if text is ... else lambda _, text=text: text,
            None if end is ... else lambda _, end=end: end,
        )
        assert reading.reader().read(event) == meaning, (event, text, end)


def test_a_hook_that_raises_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Chatted(HI, reading=Reading(lambda _: str(1 / 0)))
