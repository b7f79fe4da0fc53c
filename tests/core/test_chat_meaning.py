"""One chat turn: what its events mean, message by message."""

from __future__ import annotations

from typing import Any

import pytest
from chatting import (
    DONE,
    HI,
    LOOKS,
    PING,
    SAYS,
    Chatted,
    finished,
    message,
    typed,
)
from scripted_io import (
    HANG,
    Took,
    lost,
)

from pytest_hydrasmoke import (
    ChatError,
    ChatEvent,
    ChatTimeoutError,
)
from pytest_hydrasmoke._core.chat import AFTER_END
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._runtimes.meaning import Meaning

EVENT = ChatEvent("message", '{"type": "text", "content": "known"}', "", None, 0.0)


END = ChatEvent("done", "{}", "", None, 0.0)


ERROR = ChatEvent("error", "boo", "", None, 0.0)


@pytest.mark.parametrize(
    ("event", "text", "end", "meaning"),
    [
        # what the hooks say, if there are any
        (EVENT, ..., ..., Meaning("known")),
        (EVENT, None, None, Meaning("known")),
        (EVENT, "mine", None, Meaning("mine")),
        (EVENT, "", None, Meaning("")),
        (EVENT, None, True, Meaning("known", end=True)),
        (EVENT, "mine", True, Meaning("mine", end=True)),
        (EVENT, None, False, Meaning("known")),
        (END, ..., ..., Meaning(end=True)),
        (END, None, False, Meaning()),
        (END, "mine", None, Meaning("mine", end=True)),
        (ERROR, ..., ..., Meaning(error="boo")),
        (ERROR, None, None, Meaning(error="boo")),
        (ERROR, None, False, Meaning(error="boo")),
        (ERROR, ..., False, Meaning(error="boo")),
        # A hook that finds a text or an end in it takes it for no error.
        (ERROR, "mine", None, Meaning("mine")),
        (ERROR, "mine", ..., Meaning("mine")),
        (ERROR, "", None, Meaning("")),
        (ERROR, "", False, Meaning("")),
        (ERROR, None, True, Meaning(end=True)),
        (ERROR, ..., True, Meaning(end=True)),
    ],
)
def test_a_hooks_word_comes_first(event: ChatEvent, text: Any, end: Any, meaning: Meaning) -> None:
    reading = Reading(
        None if text is ... else lambda _: text, None if end is ... else lambda _: end
    )
    assert reading.reader().read(event) == meaning


def test_a_turn_is_read_through_its_hooks() -> None:
    reading = Reading(lambda event: event.data.upper(), lambda event: event.data == "bye")
    it = Chatted(b"data: hello\n\ndata: bye\n\n", HANG, reading=reading, end="required")
    assert it.error is None
    assert it.text == "HELLOBYE"
    assert it.came.end.complete


def test_a_hook_that_raises_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Chatted(HI, reading=Reading(lambda _: str(1 / 0)))


# --- several messages in a turn --------------------------------------------------------------


@pytest.mark.parametrize("steps", [[LOOKS, Took(60, SAYS)], [LOOKS, PING, Took(60, PING), SAYS]])
def test_a_message_that_waits_for_its_tools_is_not_the_end(steps: list[Any]) -> None:
    it = Chatted(*steps, HANG)
    assert (it.error, it.text, it.came.end.complete) == (None, "I look. Cold.", True)
    assert it.came.end.finish_reason == "end_turn"
    assert it.io.waited == 60 + AFTER_END


RUN, RAN = (
    {"type": f"RUN_{word}", "threadId": "t", "runId": "r"} for word in ("STARTED", "FINISHED")
)


AGAIN = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "More"}


LOOK = {"type": "function_call", "name": "look", "call_id": "c", "arguments": "{}"}


def response(text: str, *output: dict[str, Any], whole: bool = True) -> bytes:
    """Return a response of OpenAI's: what a model says in one call."""
    end = {"type": "response.completed", "response": {"output": [*output]}}
    delta = {"type": "response.output_text.delta", "delta": text}
    return typed({"type": "response.created"}, delta, *([end] if whole else []))


@pytest.mark.parametrize(
    ("told", "then"),
    [
        (message("Hi. ", "end_turn"), message("More", "end_turn")[:-40]),
        (message("Hi. ", "max_tokens"), typed({"type": "message_start", "message": {}})),
        (typed(RUN, AGAIN, RAN), typed(RUN, AGAIN)),
        (typed(RUN, AGAIN, RAN), typed(RUN)),
        (response("Hi. "), response("More", whole=False)),
        (response("Hi. "), typed({"type": "response.created"})),
        (HI + finished("stop"), HI),
        (HI + finished("stop") + DONE, HI),
        (HI + finished("length"), HI),
    ],
)
def test_what_is_said_after_an_end_takes_that_end_back(told: bytes, then: bytes) -> None:
    assert Chatted(told, end="required").came.end.complete
    it = Chatted(told, then, end="required")
    assert it.error is not None
    assert "the reply was cut" in it.error.message
    assert not it.came.end.complete
    assert Chatted(told, then, told, end="required").came.end.complete
    # Silence after it is no end, either.
    assert type(Chatted(told, then, HANG, end="required").error) is ChatTimeoutError


def test_line_feeds_after_an_end_say_nothing() -> None:
    blank = typed({"choices": [{"index": 0, "delta": {"content": "\n"}, "finish_reason": None}]})
    assert Chatted(HI, finished("stop"), blank, end="required").came.end.complete


def test_a_response_that_ends_with_a_call_waits_for_its_tool() -> None:
    assert not Chatted(response("I look. ", LOOK), end="auto").came.end.complete
    found = {"type": "function_call_output", "call_id": "c", "output": "7"}
    assert Chatted(response("I look. ", LOOK, found), end="auto").came.end.complete
    it = Chatted(response("I look. ", LOOK), Took(60, response("Cold.")), end="auto")
    assert (it.error, it.text, it.came.end.complete) == (None, "I look. Cold.", True)
    assert it.came.end.finish_reason is None


@pytest.mark.parametrize("steps", [[LOOKS], [LOOKS, PING]])
@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("auto", "as its model stopped for its tools (tool_use)"),
        ("required", "as the settings require"),
    ],
)
def test_an_agent_that_dies_in_its_tools_has_not_replied(
    steps: list[Any], end: Any, why: str
) -> None:
    it = Chatted(*steps, end=end)
    assert type(it.error) is ChatError
    assert it.error.message == "the reply was cut: its stream ended without a terminal event"
    assert it.error.expected == f"an event that ends the turn, {why} (chat_end = {end})"
    assert not it.came.end.complete


@pytest.mark.parametrize("steps", [[LOOKS], [LOOKS, PING]])
def test_where_no_end_is_needed_a_message_that_waits_for_its_tools_will_do(
    steps: list[Any],
) -> None:
    it = Chatted(*steps, end="optional")
    assert (it.error, it.text, it.came.end.complete) == (None, "I look. ", False)


@pytest.mark.parametrize(
    "steps", [[LOOKS, lost()], [LOOKS, SAYS[:90]], [LOOKS, SAYS[: SAYS.index(b"data", 99)]]]
)
def test_a_turn_that_is_cut_between_its_messages_or_in_one_of_them(steps: list[Any]) -> None:
    it = Chatted(*steps, end="auto")
    assert isinstance(it.error, ChatError)
    assert "cut" in it.error.message
    assert not it.came.end.complete
    assert type(Chatted(LOOKS, HANG).error) is ChatTimeoutError


# --- a reply that comes as a whole -----------------------------------------------------------


WHOLE_RUN = b'data: {"event": "run.completed", "output": "Hi"}\n\n'


SESSION = (
    b'event: assistant.completed\ndata: {"content": "Hi"}\n\n'
    b"event: run.completed\ndata: {}\n\nevent: done\ndata: {}\n\n"
)


PIECE = {
    WHOLE_RUN: b'data: {"event": "message.delta", "delta": "Hi"}\n\n',
    SESSION: b'event: assistant.delta\ndata: {"delta": "Hi"}\n\n',
}


@pytest.mark.parametrize("whole", PIECE)
def test_a_whole_reply_counts_where_no_piece_of_it_came(whole: bytes) -> None:
    for steps in ([whole], [PIECE[whole], whole]):
        it = Chatted(*steps)
        assert (it.error, it.text, it.came.end.complete) == (None, "Hi", True)
    # A hook that knows the text of an event leaves nothing to repeat.
    it = Chatted(whole, reading=Reading(chat_text=lambda event: ""))
    assert (it.error, it.text) == (None, "")


def test_a_hook_may_end_a_turn_with_a_message_that_waits_for_its_tools() -> None:
    it = Chatted(LOOKS, HANG, reading=Reading(chat_end=lambda event: "message_stop" in event.data))
    assert (it.error, it.came.end.complete) == (None, True)
