"""The chat turns of a test that failed, as a section of pytest's report of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.chat import ToldCall, Turn

TITLE = "hydra-smoke: its chat turns"
MOST = 10
"""How many of a test's turns are shown: the last ones before it failed."""
MOST_TOOLS = 10
"""How many tool calls of a turn are shown."""
_SAID = 600
_BESIDE = 200


def section(turns: Sequence[tuple[str, Turn]], *, replies: bool) -> str:
    """Return a test's turns as text, each on an instance of a name.

    Without `replies`, messages and replies are left out.
    """
    left_out = len(turns) - MOST
    lines = [f"({left_out} earlier turns: see report.json)"] if left_out > 0 else []
    for name, turn in turns[-MOST:]:
        run = "" if turn.run is None else f", run {turn.run}"
        lines.append(f"on {safe_line(name, 80)}{run}: {_course(turn)}")
        lines += [f"  {title + ':':<9}{text}" for title, text in _rows(turn, replies=replies)]
    return "\n".join(lines)


def _course(turn: Turn) -> str:
    took = "" if turn.seconds is None else f" in {turn.seconds:.1f} s"
    parts = [f"{turn.events} event{'' if turn.events == 1 else 's'}{took}"]
    if turn.usage is not None:
        parts.append(f"{turn.usage.input_tokens} + {turn.usage.output_tokens} tokens")
    if turn.error is not None:
        parts.append("broke off")
    elif not turn.complete:
        parts.append("no terminal event")
    return ", ".join(parts)


def _rows(turn: Turn, *, replies: bool) -> Iterator[tuple[str, str]]:
    if not replies:
        return
    yield "message", safe_line(turn.message or "", _SAID)
    if turn.thoughts:
        yield "thought", safe_line(" ".join(thought.text for thought in turn.thoughts), _BESIDE)
    for call in turn.tool_calls[:MOST_TOOLS]:
        yield "tool", _tool(call)
    if len(turn.tool_calls) > MOST_TOOLS:
        yield "tool", f"{len(turn.tool_calls) - MOST_TOOLS} more"
    yield "reply", safe_line(turn.text or "", _SAID) or "(no text)"
    if turn.finish_reason is not None:
        yield "finish", safe_line(turn.finish_reason)
    if turn.error is not None:
        yield "error", safe_line(turn.error, _SAID)


def _tool(call: ToldCall) -> str:
    arguments = "..." if call.arguments is None else safe_line(call.arguments, _BESIDE)
    result = "" if call.result is None else f" -> {safe_line(call.result, _BESIDE)}"
    return f"{safe_line(call.name)}({arguments}){result}"
