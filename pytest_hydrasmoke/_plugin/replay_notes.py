"""The notes of a replay's summary: what is no longer as recorded, though its tests may pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_hydrasmoke._base.text import first_few, safe_line
from pytest_hydrasmoke._recordings.format import KINDS
from pytest_hydrasmoke._report.model import CaseReport

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake.course import Course
    from pytest_hydrasmoke.fake.specs import Difference


def notes(
    course: Course, tests: Sequence[CaseReport], *, unset: Mapping[str, str], whole: bool
) -> Iterator[str]:
    """Yield what is no longer as recorded: messages, their order, specs, and in a whole run files.

    `unset` are the parts of the run's spec that no setting gives.
    """
    # A test that did not run may still send its messages.
    not_run = {test.id for test in tests if test.outcome in ("skipped", "interrupted", "error")}
    failed = {test.id for test in tests if test.outcome == "failed"}
    for owner, messages in course.unasked().items():
        if owner not in not_run:
            shown = first_few([repr(safe_line(message, 60)) for message in messages])
            how = "failed, and did not ask" if owner in failed else "no longer asks"
            yield f"note: {owner} {how} what was recorded: {shown}"
    for owner, messages in course.reordered().items():
        if owner.startswith(KINDS):
            continue  # Theirs are recorded in parts, by several processes, and so in no order.
        shown = first_few([repr(safe_line(message, 60)) for message in messages])
        yield f"note: {owner} asks its messages in another order than recorded: later {shown}"
    yield from _on_specs(course.other_specs(unset))
    # A fixture or a hook may belong to tests that were skipped.
    unused = course.not_on_stage() if whole else ()
    gone = [owner for owner in unused if not owner.startswith(KINDS)]
    if gone:
        yield f"note: recordings used by no test of this run: {len(gone)}: {first_few(gone)}"


def _on_specs(each: Mapping[str, Sequence[Difference]]) -> Iterator[str]:
    """Yield a note for all who ask for the same other spec: a setting may change it for all."""
    owners: dict[tuple[Difference, ...], list[str]] = {}
    for owner, differences in each.items():
        owners.setdefault(tuple(differences), []).append(owner)
    for differences, who in owners.items():
        ask, it = ("asks", "it") if len(who) == 1 else ("ask", "each")
        fields = first_few([_in_words(difference) for difference in differences])
        yield (
            f"note: {first_few(who)} {ask} for another spec than recorded: {fields}; record {it} "
            "again to ask the agent that it means"
        )


def _in_words(difference: Difference) -> str:
    name, recorded, asked = difference
    before = "recorded without" if recorded is None else f"recorded {safe_line(recorded, 60)!r}"
    return f"{name} {safe_line(asked, 60)!r} ({before})"
