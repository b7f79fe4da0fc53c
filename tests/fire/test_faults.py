"""G10 and G11: every fault on every call, by every kind of client.

A call ends in an error of the package, in time, without much memory; nothing stays open; what was
provisioned is deleted or in the ledger; and a message is accepted once at most.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from fire_tools import ALL_CELLS, Cell, Outcome, run_cell, several_at_once


@pytest.mark.fire
def test_every_fault_ends_in_a_typed_error_in_time_and_leaves_nothing(tmp_path: Path) -> None:

    def run(numbered: tuple[int, Cell]) -> Outcome:
        number, cell = numbered
        return run_cell(cell, tmp_path / str(number))

    outcomes = several_at_once(run, list(enumerate(ALL_CELLS)))
    print("\n" + figures(outcomes))
    complaints = [f"{it.cell}: {words}" for it in outcomes for words in it.complaints()]
    assert not complaints, "\n".join(complaints)


def figures(outcomes: list[Outcome]) -> str:
    slowest = max(outcomes, key=lambda it: it.overrun)
    largest = max(outcomes, key=lambda it: it.growth)
    errors = Counter(it.call_error for it in outcomes)
    return (
        f"G10: {len(outcomes)} cells, errors of the call {dict(errors.most_common())}, "
        f"untyped {sum(it.untyped for it in outcomes)}, "
        f"worst overrun {slowest.overrun:.2f} s ({slowest.cell}), "
        f"worst growth {largest.growth:.0f} MiB ({largest.cell}), "
        f"left open {sum(len(it.left_open) for it in outcomes)}, "
        f"not in the ledger {sum(len(it.unowned) for it in outcomes)}, "
        f"alive after a sweep {sum(len(it.leaked) for it in outcomes)}\n"
        f"G11: at most {max(it.accepted for it in outcomes)} chat accepted for one message"
    )
