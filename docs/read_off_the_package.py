"""A directive for a list that is read off the package: its one place is the code."""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from generated import LISTS
from sphinx.application import Sphinx
from sphinx.util.docutils import switch_source_input


class ReadOff(Directive):
    """Show a list: its name is the argument."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return what the list's lines are, read as the page itself is."""
        here = nodes.Element()
        lines = StringList(list(LISTS[self.arguments[0]]()), source="generated.py")
        with switch_source_input(self.state, lines):
            self.state.nested_parse(lines, self.content_offset, here)
        return here.children


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("read-off", ReadOff)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
