"""Directives that read the package: settings, fixtures, scenarios; each a definition list."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import asdict

import diagram
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from pytest_hydrasmoke import HydraSmokeConfig, plugin
from pytest_hydrasmoke._options import SETTINGS, flag, variable
from pytest_hydrasmoke.fake.scenario import Scenario
from pytest_hydrasmoke.fake.scenarios import READY_MADE


class _Generated(SphinxDirective):
    def lines(self) -> Iterator[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(self.lines()))


class Settings(_Generated):
    """Each setting with its meaning, its default and the ways to give it."""

    def lines(self) -> Iterator[str]:
        for name, field in HydraSmokeConfig.model_fields.items():
            default = field.get_default(call_default_factory=False)
            if isinstance(default, frozenset):
                default = ", ".join(sorted(default)) or None
            shown = "random" if name == "run_id" else default
            if isinstance(shown, float):
                shown = f"{shown:g}"
            ways = [f"`{variable(name)}`"]
            if name in SETTINGS:
                ways.append(f"`{flag(name)}`")
            ways += ["`OPS_BEARER_TOKEN`"] if name == "token" else [f"`{name}` in the table"]
            yield f"`{name}`"
            yield f": {field.description}"
            yield f"  Default: {'none' if shown is None else f'`{shown}`'}. From {', '.join(ways)}."
            yield ""


class Fixtures(_Generated):
    """Each fixture with its scope and docstring."""

    def lines(self) -> Iterator[str]:
        for name, fixture in vars(plugin).items():
            marker = getattr(fixture, "_fixture_function_marker", None)
            if marker is None:
                continue
            words = inspect.cleandoc(inspect.getdoc(fixture.__wrapped__) or "")
            yield f"`{name}`"
            yield f": *{marker.scope} scope.* " + words.replace("\n", "\n  ")
            yield ""


class Scenarios(_Generated):
    """Each ready-made scenario with what it is, and which fields it sets."""

    def lines(self) -> Iterator[str]:
        plain = asdict(Scenario())
        for name, (words, scenario) in READY_MADE.items():
            changed = {key: it for key, it in asdict(scenario).items() if it != plain[key]}
            told = ", ".join(f"`{key} = {_toml(it)}`" for key, it in changed.items())
            yield f"`{name}`"
            yield f": {words}" + (f" Sets {told}." if told else "")
            yield ""


class ScenarioFields(_Generated):
    """Each field of a scenario with its meaning, and its default as TOML."""

    def lines(self) -> Iterator[str]:
        docs = ModuleAnalyzer.for_module(Scenario.__module__).find_attr_docs()
        for name, default in asdict(Scenario()).items():
            yield f"`{name}`"
            yield ": " + " ".join(docs["Scenario", name]).strip()
            yield f"  Default: {'none' if default is None else f'`{_toml(default)}`'}."
            yield ""


def _toml(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    # Beside lists, numbers as Python writes them and texts as JSON does are those of TOML.
    return json.dumps(value) if isinstance(value, str | bool) else str(value)


class Imports(SphinxDirective):
    """The rooms of the architecture, and who needs whom."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", diagram.svg(), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("settings", Settings)
    app.add_directive("fixtures", Fixtures)
    app.add_directive("imports", Imports)
    app.add_directive("scenarios", Scenarios)
    app.add_directive("scenario-fields", ScenarioFields)
    return {"parallel_read_safe": True}
