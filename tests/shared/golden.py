"""Outputs that are kept in files, so that a change of one is seen."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "data" / "golden"


def golden(name: str, output: str) -> None:
    """See that an output is the one in the file of this name, or make it so.

    That is what `HYDRA_GOLDEN_REFRESH=1 pytest tests/progress tests/report` is for.
    """
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("HYDRA_GOLDEN_REFRESH"):
        path.write_text(output + "\n", "utf-8")
    there, now = path.read_text("utf-8").splitlines(), (output + "\n").splitlines()
    assert there == now, "\n".join(difflib.unified_diff(there, now, path.name, "now", lineterm=""))
