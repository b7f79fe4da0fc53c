"""Directives for pictures that are drawn from the code: `imports` and `states`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import diagram
import states
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PICTURES: Mapping[str, Callable[[], str]] = {"imports": diagram.svg, "states": states.svg}


class Picture(SphinxDirective):
    """Draw the picture that the directive's name is of."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", PICTURES[self.name](), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    for name in PICTURES:
        app.add_directive(name, Picture)
    return {"parallel_read_safe": True}
