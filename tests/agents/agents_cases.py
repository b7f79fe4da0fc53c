"""What comes of each turn of a real agent: its model's behaviour, in each kind of its streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripted_io import ID, calls_of, events, instance, stream
from stub_model import ANSWER, ARGUMENTS, LOOK, REFUSAL, REPLY, TOOL, USAGE

from pytest_hydrasmoke import ChatError, ChatTurn, TokenUsage
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.incoming import Reading
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive

CAPTURES = Path(__file__).parents[1] / "data" / "hermes-agent"
STREAMS = ("chat", "run", "session", "responses")
MESSAGES = {
    "plain": "plain words please",
    "tool": "tool please",
    "refuse": "refuse it",
    "slow": "slow please",
    "cut": "cut it",
}
"""A message for each behaviour of the model."""


@dataclass(frozen=True)
class Outcome:
    """A turn as it is read: a reply and what is beside it, or an error's words."""

    text: str = ""
    finish: str | None = None
    usage: TokenUsage | None = None
    tools: tuple[tuple[str, Mapping[str, object] | None, bool], ...] = ()
    """The tools that were called, with their arguments, and whether a result is told."""
    error: str | None = None


ONE, TWO, NONE = (
    TokenUsage(n * USAGE["prompt_tokens"], n * USAGE["completion_tokens"]) for n in (1, 2, 0)
)
ERROR = f"HTTP 401: {REFUSAL}"
FAILED = Outcome(error=f"the agent reported an error: {ERROR}")
# It asks its model to go on, three times.
CUT = ANSWER[0] * 4
AFTER_TOOL = f"{LOOK}\n\n{''.join(ANSWER)}"


def _tool(arguments: Mapping[str, object] | None, *, result: bool) -> Any:
    return ((TOOL, arguments, result),)


OUTCOMES = {
    "chat": {
        "plain": Outcome("".join(REPLY), "stop", ONE),
        "tool": Outcome(AFTER_TOOL, "stop", TWO, _tool(None, result=False)),
        "refuse": FAILED,
        "slow": Outcome("".join(ANSWER), "stop", ONE),
        "cut": Outcome(CUT, "length", NONE),
    },
    "run": {
        "plain": Outcome("".join(REPLY), None, ONE),
        "tool": Outcome(AFTER_TOOL, None, TWO, _tool(None, result=False)),
        "refuse": FAILED,
        "slow": Outcome("".join(ANSWER), None, ONE),
        "cut": Outcome(CUT, None, NONE),
    },
    "session": {
        "plain": Outcome("".join(REPLY), "stop", ONE),
        "tool": Outcome(AFTER_TOOL, "stop", TWO, _tool(ARGUMENTS, result=False)),
        "refuse": Outcome(ERROR, None, NONE),
        "slow": Outcome("".join(ANSWER), "stop", ONE),
        "cut": Outcome(CUT, "length", NONE),
    },
    "responses": {
        "plain": Outcome("".join(REPLY), None, ONE),
        "tool": Outcome(AFTER_TOOL, None, TWO, _tool(ARGUMENTS, result=True)),
        "refuse": Outcome(ERROR, None, NONE),
        "slow": Outcome("".join(ANSWER), None, ONE),
        "cut": Outcome(CUT, None, NONE),
    },
}
CASES = [(stream, behaviour) for stream in STREAMS for behaviour in MESSAGES]


def outcome_of(body: bytes) -> Outcome:
    """Read a turn's stream by the client; its end must be told."""
    it = instance(state=State.READY, id=ID, policy=Policy(chat_end="required"))
    _, calls = calls_of(it, chat=[stream(body)], llm_events=[events(0), ...])
    handle = Handle(calls, it, Reading())
    try:
        turn = ChatTurn(*drive(handle.chat("hello", None)), handle)
    except ChatError as error:
        return Outcome(error=error.message)
    assert turn.complete
    assert turn.reasoning == ""
    tools = tuple((it.name, it.arguments, it.result is not None) for it in turn.tool_calls)
    return Outcome(turn.text, turn.finish_reason, turn.usage, tools)
