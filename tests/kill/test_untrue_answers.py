"""G25: at routers whose answers are not yet true nothing is left alive that no word tells of.

At right ones that look alike, no run is red.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from kill_tools import several_at_once
from truth_cases import RIGHT, TO_ITS_END, WRONG
from truth_ways import BOUND, Cell


@pytest.mark.kill
def test_what_is_alive_is_told(tmp_path: Path) -> None:
    waiting = [
        Cell(case, way, tmp_path / f"{case.name}-{way}".replace("/", " "))
        for case in (*WRONG, *RIGHT)
        for way in case.ways
    ]
    # Most of their time they wait.
    filled = several_at_once(Cell.fill, waiting, workers=8)
    for cell in filled:
        print(cell)
    faults = [str(cell) for cell in filled if cell.faults]
    late = [
        str(cell) for cell in filled if cell.way == "TERM" and cell.after and cell.after > BOUND
    ]
    slow = {
        str(it.case): it.after or 0.0 for it in filled if it.case.right and it.way == TO_ITS_END
    }
    longest = max(slow, key=slow.__getitem__)
    print(f"at right routers a run ends {slow[longest]:.1f} s after its tests at most: {longest}")
    print(f"G25: {len(filled)} cells, {len(faults)} with faults, {len(late)} late after TERM")
    assert not faults, "\n\n".join(faults)
    assert not late
