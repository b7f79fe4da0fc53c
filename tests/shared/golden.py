"""Outputs that are kept in files, so that a change of one is seen."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "data" / "golden"


def golden(name: str, output: str, *, alike: Callable[[str], str] = str) -> None:
    """See that an output is the one in the file of this name, or make it so.

    That is what HYDRA_GOLDEN_REFRESH=1 in the environment of a run of tests is for.
    Outputs of which `alike` makes the same text are the same.
    """
    path, now = GOLDEN / f"{name}.txt", output + "\n"
    if os.environ.get("HYDRA_GOLDEN_REFRESH") and not (
        path.exists() and alike(path.read_text("utf-8")) == alike(now)
    ):
        path.write_text(now, "utf-8")
    there, here = (alike(it).splitlines() for it in (path.read_text("utf-8"), now))
    assert there == here, "\n".join(
        difflib.unified_diff(there, here, path.name, "now", lineterm="")
    )
