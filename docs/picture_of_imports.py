"""The directive `imports`: the rooms of the architecture, and who needs whom."""

from __future__ import annotations

import diagram
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Imports(SphinxDirective):
    """Draw them."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", diagram.svg(), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("imports", Imports)
    return {"parallel_read_safe": True}
