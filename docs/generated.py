"""Lists that are read off the package: settings, fixtures, turns, scenarios.

Some stand in a page as text, between `<!-- generated: NAME -->` and `<!-- generated: end -->`, so
that a reader of the repository sees them too. A test sees that they are up to date:
`HYDRA_DOCS_REFRESH=1 pytest tests/docs` brings them there. For others a page has the directive
`read-off`, which renders them.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Literal, get_args, get_origin, get_type_hints

from described import described, one_line
from pydantic.fields import FieldInfo

import pytest_hydrasmoke
from pytest_hydrasmoke import ChatTurn, HydraSmokeConfig, _hookspecs, plugin
from pytest_hydrasmoke._base import errors as error_module
from pytest_hydrasmoke._core.proof import PROOFS
from pytest_hydrasmoke._options import SETTINGS
from pytest_hydrasmoke._runtimes import content
from pytest_hydrasmoke._runtimes.read import read
from pytest_hydrasmoke._settings import config
from pytest_hydrasmoke._sse import decoder
from pytest_hydrasmoke.fake import scenario as scenario_module
from pytest_hydrasmoke.fake.presets import READY_MADE
from pytest_hydrasmoke.fake.replies import Speech, ToolUse
from pytest_hydrasmoke.fake.scenario import Runtime, Scenario
from pytest_hydrasmoke.fake.sse_events import encode

COMMON = frozenset(
    (
        *("url", "token", "token_file", "manifest_id", "region_id", "tier_id", "run_id"),
        *("ready_timeout", "chat_timeout", "llm_events_timeout", "deadline", "max_instances"),
        *("scope", "keep", "instance", "bundled_checks", "expect_text", "expect_providers"),
        *("budgets", "report", "output", "record", "scenario"),
    )
)
"""What somebody sets in the first months; the other settings have a table of their own."""


def common_settings() -> Iterator[str]:
    """Yield a table of the settings that most users set."""
    yield from _settings(lambda name: name in COMMON)


def rare_settings() -> Iterator[str]:
    """Yield a table of the other settings."""
    yield from _settings(lambda name: name not in COMMON)


def _settings(shown: Callable[[str], bool]) -> Iterator[str]:
    words_of = {name: words for name, _, words in described(config, "HydraSmokeConfig")}
    yield from ("setting | default, others | what it is", "---|---|---")
    for name, field in HydraSmokeConfig.model_fields.items():
        if shown(name):
            option = "*" if name in SETTINGS else ""
            values = ", ".join(_values(name, field))
            yield f"`{name}`{option} | {values} | {words_of[name]}"
    yield ""


def _values(name: str, field: FieldInfo) -> Iterator[str]:
    """Yield a setting's default, and the other words that it may be."""
    default = None if field.default_factory is not None else field.default
    if isinstance(default, frozenset):
        default = ", ".join(sorted(default)) or None
    if name == "run_id":
        yield "random"
    elif default is None:
        yield "needed" if name in ("url", "token", *config.SPEC) else "none"
    else:
        yield f"`{default:g}`" if isinstance(default, float) else f"`{_bare(default)}`"
    if get_origin(field.annotation) is Literal:
        yield from (f"`{word}`" for word in get_args(field.annotation) if word != default)


def _bare(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def fixtures() -> Iterator[str]:
    """Yield a table of the fixtures: with scope and docstring, beside that for coroutines."""
    markers = {
        name: (marker.scope, one_line(inspect.getdoc(fixture.__wrapped__)))
        for name, fixture in vars(plugin).items()
        if (marker := getattr(fixture, "_fixture_function_marker", None)) is not None
    }
    yield from ("fixture | scope | what it gives", "---|---|---")
    for name, (scope, words) in markers.items():
        if name.startswith("async_"):
            continue
        twins = [it for it in (name, f"async_{name}") if it in markers]
        scopes = dict.fromkeys((scope, *(markers[it][0] for it in twins)))
        yield f"{', '.join(f'`{it}`' for it in twins)} | {', '.join(scopes)} | {words}"
    yield ""


def scenarios() -> Iterator[str]:
    """Yield a table of the ready-made scenarios: what each is, and which fields it sets."""
    plain = asdict(Scenario())
    yield from ("| name | what it is | what it sets |", "|---|---|---|")
    for name, (words, scenario) in READY_MADE.items():
        changed = {key: it for key, it in asdict(scenario).items() if it != plain[key]}
        told = ", ".join(f"`{key} = {_toml(it)}`" for key, it in changed.items())
        yield f"| `{name}` | {words} | {told} |"
    yield ""


def scenario_fields() -> Iterator[str]:
    """Yield a table of a scenario's fields: default and other values as TOML, and meaning."""
    words = {name: it for name, _, it in described(scenario_module, "Scenario")}
    kinds = get_type_hints(Scenario)
    yield from ("field | default, others | what it is", "---|---|---")
    for name, default in asdict(Scenario()).items():
        others = get_args(kinds[name]) if get_origin(kinds[name]) is Literal else ()
        values = [default, *(it for it in others if it != default)]
        told = ", ".join("none" if it is None else f"`{_toml(it)}`" for it in values)
        yield f"`{name}` | {told} | {words[name]}"
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
    tool = ToolUse("look", {"city": "Oslo"}, {"temperature": -3})
    for runtime in get_args(Runtime):
        frames = encode(Scenario(runtime=runtime), Speech("How is it?", "Cold.", (tool,), "Hm."))
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


def errors() -> Iterator[str]:
    """Yield directives for the tree of errors, and for each: nobody calls their constructors."""
    yield from ("```{eval-rst}", f".. automodule:: {error_module.__name__}")
    yield ".. py:currentmodule:: None"
    for name, it in vars(error_module).items():
        if name in pytest_hydrasmoke.__all__:
            yield from _said("exception", f"pytest_hydrasmoke.{name}", it)
    yield from ("```", "")


def hooks() -> Iterator[str]:
    """Yield a directive for each hook, by the name that a conftest gives it."""
    yield "```{eval-rst}"
    for name, it in vars(_hookspecs).items():
        if name.startswith("pytest_"):
            yield from _said("function", f"{name}{inspect.signature(it)}".replace("'", ""), it)
    yield from ("```", "")


def _said(kind: str, signature: str, it: object) -> Iterator[str]:
    """Yield a directive with a docstring."""
    yield from (f".. py:{kind}:: {signature}", "")
    yield from (f"   {line}" for line in (inspect.getdoc(it) or "").splitlines())
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


def evidence() -> Iterator[str]:
    """Yield a table of what each answer proves of a deletion."""
    yield from ("answer | proves", "---|---")
    for rule in PROOFS.values():
        yield f"{rule.answer} | {rule.proves}"
    yield ""


LISTS: Mapping[str, Callable[[], Iterator[str]]] = {
    "common-settings": common_settings,
    "rare-settings": rare_settings,
    "fixtures": fixtures,
    "scenarios": scenarios,
    "scenario-fields": scenario_fields,
    "turns": turns,
    "runtimes": runtimes,
    "errors": errors,
    "hooks": hooks,
    "evidence": evidence,
}
_PLACE = re.compile(
    r"(?<=<!-- generated: )(?!end )([\w-]+)( -->\n).*?(?=<!-- generated: end -->)", re.DOTALL
)


def up_to_date(page: str) -> str:
    """Return a page's text with its lists as they are now."""
    return _PLACE.sub(
        lambda place: f"{place[1]}{place[2]}\n" + "\n".join(LISTS[place[1]]()) + "\n", page
    )
