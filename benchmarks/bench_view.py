"""A folder in which a distribution is installed with what it needs, and nothing else.

Links into the environment at hand: what a fresh environment would hold, without a download.
"""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

PACKAGE = "pytest-hydrasmoke"


def closure(*names: str) -> dict[str, metadata.Distribution]:
    """Give distributions with all that they require, by name."""
    found: dict[str, metadata.Distribution] = {}
    todo = list(names)
    while todo:
        dist = metadata.distribution(todo.pop())
        if dist.name in found:
            continue
        found[dist.name] = dist
        for text in dist.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                todo.append(needed.name)
    return found


def make(folder: Path, *names: str) -> dict[str, list[str]]:
    """Fill a folder; gives the names of pytest plugins by distribution."""
    folder.mkdir()
    plugins: dict[str, list[str]] = {}
    for name, dist in closure("pytest", *names).items():
        tops = {file.parts[0] for file in dist.files or () if ".." not in file.parts}
        for top in tops - {"__pycache__"}:
            if not top.endswith(".pth") and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(dist.locate_file(top))))
        entries = dist.entry_points.select(group="pytest11")
        plugins[name] = [entry.name for entry in entries]
    spec = find_spec("pytest_hydrasmoke")
    ours = folder / "pytest_hydrasmoke"
    if PACKAGE in plugins and not ours.exists():  # an editable install lists no file of it
        assert spec is not None
        assert spec.origin is not None
        ours.symlink_to(Path(spec.origin).parent)
    return plugins
