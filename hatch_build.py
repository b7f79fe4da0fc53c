"""The README as an index page shows it, whose links must not depend on where it stands.

`PROJECT_HOME` is the repository's address, as the release workflow gives it. Without it, a link to
a file of the repository is only its words, and a picture is left out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(!?)\[([^]]*)]\((?![a-z]+:)([^)]+)\)")


class LongDescription(MetadataHookInterface):
    """Fill in what depends on where the project lives."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the description, and where the project is to be found."""
        home = os.environ.get("PROJECT_HOME", "").rstrip("/")
        at = f"v{metadata['version']}"
        text = (Path(self.root) / "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, home, at)}
        metadata["urls"] = {
            name: home + path
            for name, path in {
                "Source": "",
                "Documentation": f"/blob/{at}/docs/index.md",
                "Changes": f"/blob/{at}/CHANGELOG.md",
                "Issues": "/issues",
            }.items()
            if home
        }


def absolute(text: str, home: str, at: str) -> str:
    """Return a page whose links to files lead to them at `home`, in the state of a tag."""

    def lead(found: re.Match[str]) -> str:
        picture, words, path = found.groups()
        if not home:
            return "" if picture else words
        return f"{picture}[{words}]({home}/{'raw' if picture else 'blob'}/{at}/{path})"

    return _LINK.sub(lead, text)
