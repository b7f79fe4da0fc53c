"""Keep trio from the processes that tests start: httpcore loads it wherever it is installed.

Each takes a sixth longer with it, and most users have none. And let them find `hurried`.
"""

from __future__ import annotations

import os
from pathlib import Path

_DATA = Path(__file__).parent.parent / "data"
STAND_IN = str(_DATA / "without_trio")
HURRIED = str(_DATA / "hurried")


def hide_trio() -> None:
    """Let the processes that are started from now on find a module in its place that fails."""
    folders = [STAND_IN, HURRIED, path_with_trio()]
    os.environ["PYTHONPATH"] = os.pathsep.join(folders).rstrip(os.pathsep)


def path_with_trio() -> str:
    """Return `PYTHONPATH` for a process that needs trio, or whose Hypothesis loads its plugin."""
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if folder not in ("", STAND_IN))
