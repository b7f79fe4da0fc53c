"""Directives that read the package: `settings` and `fixtures`, each a definition list."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pytest_hydrasmoke import HydraSmokeConfig, plugin
from pytest_hydrasmoke._options import SETTINGS, flag, variable


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


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("settings", Settings)
    app.add_directive("fixtures", Fixtures)
    return {"parallel_read_safe": True}
