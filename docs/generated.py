"""Lists that are read off the package: settings, fixtures, turns, scenarios, events of a run.

They stand in the pages as text, which a reader of the repository sees too. A test sees that they
are up to date: `HYDRA_DOCS_REFRESH=1 pytest tests/docs` brings them there. In a page, a list stands
between `<!-- generated: NAME -->` and `<!-- generated: end -->`.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Literal, get_args, get_origin

from described import described, one_line

from pytest_hydrasmoke import ChatTurn, HydraSmokeConfig, plugin
from pytest_hydrasmoke._journal import events
from pytest_hydrasmoke._options import SETTINGS, flag, variable
from pytest_hydrasmoke._runtimes import content
from pytest_hydrasmoke._runtimes.read import read
from pytest_hydrasmoke._settings import model
from pytest_hydrasmoke._sse import decoder
from pytest_hydrasmoke.fake import scenario as scenario_module
from pytest_hydrasmoke.fake.presets import READY_MADE
from pytest_hydrasmoke.fake.runtimes.frames import Said, ToolUse
from pytest_hydrasmoke.fake.scenario import Runtime, Scenario
from pytest_hydrasmoke.fake.sse_events import turn


def settings() -> Iterator[str]:
    """Yield each setting with its meaning, its default and the ways to give it."""
    words_of = {name: words for name, _, words in described(model, "HydraSmokeConfig")}
    for name, field in HydraSmokeConfig.model_fields.items():
        default = None if field.default_factory is not None else field.default
        if isinstance(default, frozenset):
            default = ", ".join(sorted(default)) or None
        shown = "random" if name == "run_id" else default
        if isinstance(shown, float):
            shown = f"{shown:g}"
        ways = [f"`{variable(name)}`"]
        if name in SETTINGS:
            ways.append(f"`{flag(name)}`")
        elsewhere = {"token": ["`OPS_BEARER_TOKEN`"], "agent_token": list[str]()}
        ways += elsewhere.get(name, [f"`{name}` in the table"])
        yield f"`{name}`"
        yield f": {words_of[name]}"
        words = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        if words:
            yield f"  One of {', '.join(f'`{word}`' for word in words)}."
        yield f"  Default: {'none' if shown is None else f'`{shown}`'}. From {', '.join(ways)}."
        yield ""


def fixtures() -> Iterator[str]:
    """Yield each fixture with its scope and docstring."""
    for name, fixture in vars(plugin).items():
        marker = getattr(fixture, "_fixture_function_marker", None)
        if marker is None:
            continue
        words = inspect.cleandoc(inspect.getdoc(fixture.__wrapped__) or "")
        yield f"`{name}`"
        yield f": *{marker.scope} scope.* " + re.sub(r"\n(?=.)", "\n  ", words)
        yield ""


def scenarios() -> Iterator[str]:
    """Yield each ready-made scenario with what it is, and which fields it sets."""
    plain = asdict(Scenario())
    for name, (words, scenario) in READY_MADE.items():
        changed = {key: it for key, it in asdict(scenario).items() if it != plain[key]}
        told = ", ".join(f"`{key} = {_toml(it)}`" for key, it in changed.items())
        yield f"`{name}`"
        yield f": {words}" + (f" Sets {told}." if told else "")
        yield ""


def scenario_fields() -> Iterator[str]:
    """Yield each field of a scenario with its meaning, and its default as TOML."""
    words = {name: it for name, _, it in described(scenario_module, "Scenario")}
    for name, default in asdict(Scenario()).items():
        yield f"`{name}`"
        yield f": {words[name]}"
        yield f"  Default: {'none' if default is None else f'`{_toml(default)}`'}."
        yield ""


def turns() -> Iterator[str]:
    """Yield a table of what a turn tells, and of what is in it: name, type, meaning."""
    yield from _table("ChatTurn", _properties(ChatTurn))
    yield from _table("ToolCall", described(content, "ToolCall"))
    yield from _table("TokenUsage", described(content, "TokenUsage"))
    event = [*described(decoder, "ChatEvent"), *_properties(decoder.ChatEvent)]
    yield from _table("ChatEvent", event)


def runtimes() -> Iterator[str]:
    """Yield a table of what the client reads in each of the fake's runtimes."""
    yield "| `runtime` | `arguments` | `result` | `reasoning` | `usage` | `finish_reason` |"
    yield "|---|---|---|---|---|---|"
    tool = ToolUse("call_1", "look", {"city": "Oslo"}, {"temperature": -3})
    for runtime in get_args(Runtime):
        frames = turn(Scenario(runtime=runtime), Said("How is it?", "Cold.", (tool,), "Hm."))
        told, reason = content.Content(), None
        for event in decoder.SseDecoder().feed(b"".join((*frames.spoken, *frames.closing))):
            known = read(event)
            reason = known.finish or reason
            told.add(known, 0.0)
        called = [(f"`{it.arguments!r}`", f"`{it.result!r}`") for it in told.tool_calls]
        arguments, result = called[0] if called else ("no tool calls", "")
        yes = ["yes" if it else "no" for it in (told.reasoning("Cold."), told.usage)]
        cells = (f"`{runtime}`", arguments, result, *yes, f"`{reason!r}`")
        yield f"| {' | '.join(cells)} |"
    yield ""


def journal_events() -> Iterator[str]:
    """Yield each event of a journal with what it says, and its fields."""
    for kind in get_args(events.Event):
        name = kind.__name__
        yield f"`{name}`"
        yield f": {one_line(inspect.getdoc(kind))}"
        words = {field: told for field, _, told in described(sys.modules[kind.__module__], name)}
        fields = [
            f"  - `{field}`" + (f": {words[field]}" if field in words else "")
            for field in kind._fields
        ]
        yield from ("", *fields) if fields else ()
        yield ""


def _table(name: str, rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    yield f"### `{name}`"
    yield ""
    yield "| name | type | what it is |"
    yield "|---|---|---|"
    for attribute, kind, words in rows:
        yield f"| `{attribute}` | `{kind}` | {words} |".replace(" | None`", r" \| None`")
    yield ""


def _properties(kind: type) -> Iterator[tuple[str, str, str]]:
    """Yield a class's properties, each with its type and docstring."""
    for base in reversed(kind.__mro__):
        for name, it in vars(base).items():
            if isinstance(it, property | cached_property) and not name.startswith("_"):
                read = it.fget if isinstance(it, property) else it.func
                yield name, inspect.get_annotations(read)["return"], one_line(it.__doc__)


def _toml(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    # Beside lists, numbers as Python writes them and texts as JSON does are those of TOML.
    return json.dumps(value) if isinstance(value, str | bool) else str(value)


LISTS: Mapping[str, Callable[[], Iterator[str]]] = {
    "settings": settings,
    "fixtures": fixtures,
    "scenarios": scenarios,
    "scenario-fields": scenario_fields,
    "turns": turns,
    "runtimes": runtimes,
    "events": journal_events,
}
_PLACE = re.compile(
    r"(?<=<!-- generated: )(?!end )([\w-]+)( -->\n).*?(?=<!-- generated: end -->)", re.DOTALL
)


def up_to_date(page: str) -> str:
    """Return a page's text with its lists as they are now."""
    return _PLACE.sub(
        lambda place: f"{place[1]}{place[2]}\n" + "\n".join(LISTS[place[1]]()) + "\n", page
    )
