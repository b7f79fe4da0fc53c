"""Words that are searched for, and the page that answers: it comes first among what is found."""

from __future__ import annotations

from collections.abc import Mapping

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

ANSWERED: Mapping[str, tuple[str, ...]] = {
    "start/when-red": ("401", "403", "error", "failure", "leak", "LEAK", "timeout"),
    "start/how-a-run-goes": ("clean-up", "Ctrl-C", "delete", "deletion", "idempotency"),
    "start/which-tool": ("curl", "deepeval", "promptfoo", "inspect-ai", "Scenario"),
    "pipelines/sweep": ("sweep", "orphan", "nightly"),
    "pipelines/many-runs": ("history", "matrix", "regression", "shard"),
    "pipelines/network": ("certificate", "gateway", "proxy"),
    "pipelines/reports": ("JUnit", "report"),
    "reference/settings": ("token", "url", "environment"),
    "write/usage": ("billing", "count", "usage"),
    "write/varying": ("flaky", "judge", "repeat"),
    "offline/replay": ("record", "recording", "replay"),
    "offline/own-agent": ("agent_url", "localhost"),
}


def mark(app: Sphinx, page: nodes.document) -> None:
    """Put a page's words into the index of the site, which the search looks into."""
    words = ANSWERED.get(app.env.docname, ())
    page.insert(0, addnodes.index(entries=[("single", it, "top", "main", None) for it in words]))


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """See that each page is there; raises `ExtensionError`."""
    if gone := ANSWERED.keys() - env.found_docs:
        raise ExtensionError(f"docs/search_words.py names pages that are not there: {gone}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Mark pages as they are read."""
    app.connect("doctree-read", mark)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True}
