"""What the tests of this folder share: turns, handles and counts over answers written down."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from scripted_io import (
    ID,
    KEY,
    NO_ROW,
    START,
    ScriptedIO,
    ScriptedStream,
    calls_of,
    events,
    instance,
    stream,
)

from pytest_hydrasmoke import ChatError, HydraSmokeError, LeakError, LlmEventsError
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._core.account import Count, TurnAccount
from pytest_hydrasmoke._core.chat_target import ChatTarget
from pytest_hydrasmoke._core.cleanup import delete
from pytest_hydrasmoke._core.counting import Counting
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.expecting import Expecting
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.open_turn import OpenTurn
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.settling import Lags
from pytest_hydrasmoke._journal.chat import TurnBegan, TurnOver
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._journal.story import Story
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._transport.protocol import drive

Error = TypeVar("Error", bound=BaseException)

TWO_INSTANCES = "tell the router's developers: there may be an instance that nobody deletes"
LOG = "see the agent's log of this turn"
IF_LATE = "raise HYDRA_SMOKE_CHAT_TIMEOUT, or this chat's own timeout, if turns take longer, else "
IF_LATE += LOG
NAMED = f"{ID} (key {KEY})"
"""The instance, as failures name it."""


def fails(kind: type[Error], work: Coroutine[Any, Any, object]) -> Error:
    """Do what is to fail in just this way, and return its error."""
    with pytest.raises(kind) as caught:
        drive(work)
    assert type(caught.value) is kind
    return caught.value


def telling(told: list[str], answer: Any) -> Any:
    """Return a step that gives an answer, and tells of its call first."""
    return lambda request: (told.append(request.call), answer)[1]


def ready(*, asked: bool = False, **changes: Any) -> Instance:
    """Return an instance that is ready; `asked`: whether its deletion was asked for before."""
    it = instance(state=State.READY, id=ID)
    it.evidence.asked = asked
    for name, value in changes.items():
        setattr(it, name, value)
    return it


def handle_of(
    it: Instance | None = None, policy: Policy | None = None, **scripts: Any
) -> tuple[ScriptedIO, Handle]:
    it = it or ready()
    it.keeper.policy = policy or Policy()
    io, calls = calls_of(it, **scripts)
    return io, Handle(calls, it, Reading())


def talking(*chats: Any, policy: Policy | None = None) -> tuple[ScriptedIO, Handle]:
    """Return a handle on an instance whose agent answers so, and which counts no LLM events."""
    policy = policy or Policy(usage_settle=0)
    return handle_of(policy=policy, llm_events=[events(0), ...], chat=chats)


def deleting(
    it: Instance | None = None, policy: Policy | None = None, **scripts: Any
) -> tuple[ScriptedIO, Instance, LeakError | None]:
    """Delete, and give what came of it; the key has no row any more, unless `poll` says so.

    Without an `it` of its own it is one that this run has tried to delete before: nobody else is
    suspected.
    """
    it = it or ready(asked=True)
    it.keeper.policy = policy or it.policy
    io, calls = calls_of(it, **{"poll": [NO_ROW, ...], **scripts})
    try:
        drive(delete(calls, it))
    except LeakError as error:
        return io, it, error
    return io, it, None


# What a stream says

HI = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
WORD = b"data: Hi\n\n"
DONE = b"data: [DONE]\n\n"
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def typed(*told: dict[str, Any]) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(it).encode() for it in told)


def chunk(delta: dict[str, Any], **more: Any) -> bytes:
    """Return an event of OpenAI's."""
    return typed({"choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more})


def called(name: str | None, arguments: str, index: int = 0, **more: Any) -> bytes:
    function = {"name": name, "arguments": arguments}
    return chunk({"tool_calls": [{"index": index, "function": function, **more}]})


USAGE = typed({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})


def finished(reason: str) -> bytes:
    return typed({"choices": [{"delta": {}, "finish_reason": reason}]})


def message(text: str, why: str) -> bytes:
    """Return a message of Anthropic's: what a model says in one call."""
    return typed(
        {"type": "message_start", "message": {"role": "assistant", "content": []}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}},
        {"type": "message_delta", "delta": {"stop_reason": why}},
        {"type": "message_stop"},
    )


# A client's turn, beside any run


def turn_of(calls: Calls, instance_id: str = ID, *, kept: bool = True, **changes: Any) -> OpenTurn:
    settings = {"timeout": 120.0, "end": "optional", "reading": Reading()} | changes
    it = settings.pop("it", None) or ChatTarget(story=Story(id=instance_id))
    reading, end = settings.pop("reading"), settings.pop("end")
    came = Incoming(reading, end, Content() if kept else None)
    return OpenTurn(calls, it, "hello", came, **settings)


class Chatted:
    """A turn run to its end, or left after `most` events: its events, text, and error."""

    def __init__(
        self, *steps: Any, chat: list[Any] | None = None, most: float = math.inf, **changes: Any
    ) -> None:
        self.stream: ScriptedStream = stream(*steps)
        self.io, calls = calls_of(None, chat=[self.stream] if chat is None else chat)
        self.turn = turn_of(calls, **changes)
        self.came = self.turn.came
        self.data: list[str] = []
        self.text = ""
        self.error: HydraSmokeError | None = None
        drive(self._run(most))

    async def _run(self, most: float) -> None:
        try:
            await self.turn.open()
            while len(self.data) < most and (event := await self.turn.next()) is not None:
                self.data.append(event.data)
                self.text += event.text
        except HydraSmokeError as error:
            self.error = error
        finally:
            await self.turn.close()

    @property
    def end(self) -> tuple[str | None, str, bool]:
        """What failed, the text, and whether it is complete."""
        message = None if self.error is None else self.error.message
        return message, self.text, self.came.end.complete


@dataclass(frozen=True)
class Row:
    """A stream, and what comes of it under some rules of how it must end, kept or not."""

    steps: list[Any]
    error: str | None = None
    """The message of the error, if there is one."""
    text: str = "Hi"
    complete: bool = False
    ends: tuple[str, ...] = ("auto", "required", "optional")
    why: str = ""
    """Why a terminal event was needed, where it was."""
    expected: str | None = None
    """What was expected in its place."""
    last: str | None = None
    """What was seen last, as the error has it."""
    kind: type[ChatError] = ChatError
    waited: float | None = None
    deadlines: list[float] | None = None
    """Those of the reads, since the request."""
    step: str | None = None
    reason: str | None = None
    """The finish reason."""
    reading: Reading = field(default_factory=Reading)
    timeout: float = 120.0
    kept: tuple[bool, ...] = (True, False)

    def check(self) -> None:
        for end, kept in itertools.product(self.ends, self.kept):
            settings = {"reading": self.reading, "timeout": self.timeout}
            it = Chatted(*self.steps, end=end, kept=kept, **settings)
            assert it.end == (self.error, self.text, self.complete), (end, kept)
            assert it.stream.closed == 1
            assert self.waited is None or it.io.waited == self.waited
            asked = [deadline - START for deadline in it.stream.deadlines]
            assert self.deadlines in (None, asked)
            assert self.reason in (None, it.came.end.finish_reason)
            assert (it.turn.outcome.ran_to_its_end) is (it.error is None)
            if it.error is not None:
                assert type(it.error) is self.kind
                phase = "turn" if it.came.last else "first_event"
                assert (it.error.phase, it.error.instance) == (phase, ID)
                assert it.error.seconds == it.io.waited
                assert self.last in (None, it.error.last)
                needed = f"an event that ends the turn, {self.why} (chat_end = {end})"
                expected = needed if self.why else self.expected
                assert expected in (None, it.error.expected or "")
                assert self.step in (None, it.error.next_step)


CUT = "the reply was cut: its stream ended without a terminal event"
FOR_TOOLS = "as its model stopped for its tools ({})"

# Turns that are told to a run without being taken


def begin(it: Instance, before: int | None, at: float) -> int:
    """Begin a turn before which so many events were counted; return its number."""
    turns = it.target.run_turns
    began = TurnBegan(
        *(1, None), before=before, sure=True, by=turns.process, spec=it.target.spec_name
    )
    turns.begin(it.target.turns_name, began, at)
    return it.target.settling.number


def end(it: Instance, at: float, how: str = "ended", **more: Any) -> None:
    it.target.run_turns.note(
        it.target.turns_name, TurnOver(it.target.settling.number, how, **more), at
    )


def know(it: Instance, **lags: Any) -> None:
    """Let the run have seen this of the rows of an instance's spec."""
    it.target.run_turns._lags[it.target.settling.spec] = Lags(**lags)


# Turns on an instance whose router counts rows that a test puts down


class Rows:
    """A router that counts the rows of a window: `at` are seconds since START."""

    def __init__(self, *at: float, most: float = math.inf) -> None:
        self.at = list(at)
        self.most = most
        """The longest window that it gives."""
        self.io: ScriptedIO

    def __call__(self, request: Any) -> Any:
        window = min(int(request.path.rpartition("=")[2]), self.most)
        ages = [self.io.time - START - it for it in self.at]
        count = sum(-1e-9 <= age <= window for age in ages)
        return events(count, *["a"] * bool(count), window=int(window))


def chatting(
    rows: Rows, it: Instance | None = None, chats: Sequence[Any] = (), **settings: Any
) -> tuple[ScriptedIO, Handle]:
    """Return a handle on an instance whose router counts these rows."""
    chat = chats or [lambda _: stream(HI + DONE), ...]
    rows.io, handle = handle_of(it, Policy(**settings), llm_events=[rows, ...], chat=chat)
    return rows.io, handle


def chat(io: ScriptedIO, handle: Handle) -> tuple[TurnAccount, float]:
    """Take a turn; gives its account, and the seconds that it was held up."""
    start = io.time
    return drive(handle.chat("hello", None))[0].account, io.time - start


def doubted(
    handle: Handle, account: TurnAccount, wanted: Expected | None = None
) -> tuple[str, str]:
    """Expect events of a turn in vain; gives what was got instead, and the next step."""
    error = fails(LlmEventsError, handle.expect(wanted or Expected(), 1, account))
    return error.got or "", error.next_step or ""


# Expectations of LLM events, against counts that are written down

BEFORE = Count(START, 5, frozenset("a"))


def counted(*baselines: Count, born: float | None = START) -> Instance:
    """Return an instance of whose last turn these are the counts before and after it."""
    it = ready(born=born)
    it.target.account = TurnAccount(*baselines) if baselines else None
    return it


def account_of(it: Instance) -> TurnAccount:
    assert it.target.account is not None
    return it.target.account


def counting(calls: Calls, it: Instance) -> Counting:
    return Counting(calls, it)


def until_met(
    wanted: Expected, it: Instance, calls: Calls, timeout: float, *of_turn: TurnAccount
) -> Coroutine[Any, Any, Any]:
    return Expecting(counting(calls, it), wanted, timeout, *of_turn).until_met()


def count_turn(
    wanted: Expected, it: Instance, *steps: Any, timeout: float = 30
) -> tuple[ScriptedIO, Any]:
    """Expect events of a turn, and give what came of it: the last answer, or the error."""
    io, calls = calls_of(it, llm_events=steps)
    try:
        return io, drive(until_met(wanted, it, calls, timeout, account_of(it)))
    except LlmEventsError as error:
        return io, error


def count_window(wanted: Expected, *steps: Any, timeout: float = 30) -> tuple[ScriptedIO, Any]:
    """Do the same for the last 900 s, of an instance that is older."""
    it = ready(born=START - 1e6)
    io, calls = calls_of(it, llm_events=steps)
    try:
        return io, drive(until_met(wanted, it, calls, timeout))
    except LlmEventsError as error:
        return io, error


def windows(io: ScriptedIO) -> list[int]:
    return [int(it.request.path.rpartition("=")[2]) for it in io.sent if "=" in it.request.path]
