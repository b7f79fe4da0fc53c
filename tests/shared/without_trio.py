"""Keep trio from the processes that tests start: httpcore loads it wherever it is installed.

Each takes a sixth longer with it, and most users have none.
"""

from __future__ import annotations

import os
from pathlib import Path

STAND_IN = str(Path(__file__).parent.parent / "data" / "without_trio")


def hide_trio() -> None:
    """Let the processes that are started from now on find a module in its place that fails."""
    os.environ["PYTHONPATH"] = os.pathsep.join([STAND_IN, path_with_trio()]).rstrip(os.pathsep)


def path_with_trio() -> str:
    """Return `PYTHONPATH` for a process that needs trio, or whose Hypothesis loads its plugin."""
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if folder not in ("", STAND_IN))
