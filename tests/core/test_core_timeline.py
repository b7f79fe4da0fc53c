"""An instance's story, and the report that it becomes."""

from __future__ import annotations

import pytest
from scripted_io import ID, KEY, SPEC, attached, record

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._calls import Attempt
from pytest_hydrasmoke._timeline import (
    HAS_ROW,
    NOTHING_LEFT,
    PHASES,
    SETTLED,
    Baseline,
    InstanceRecord,
    State,
    report_of,
)


def test_the_phases_are_the_documented_ones() -> None:
    assert PHASES == ("provision", "row", "ready", "first_event", "turn", "llm_events", "delete")


def test_nothing_is_left_only_where_that_is_known() -> None:
    assert {State.CLAIMED, State.REFUSED, State.ABSENT, State.DELETED} == NOTHING_LEFT
    assert NOTHING_LEFT | {State.KEPT} == SETTLED, "what was left on purpose is left"


def test_a_row_is_known_of_only_where_the_router_showed_one() -> None:
    assert {State.CREATED, State.READY, State.FAILED, State.DELETING, State.KEPT} == HAS_ROW


def test_whoever_keeps_the_record_is_told_of_every_state() -> None:
    it, told = record(), []
    it.on_state = lambda changed: told.append((changed is it, changed.state))
    it.becomes(State.REQUESTED)
    it.becomes(State.ACCEPTED)
    assert told == [(True, State.REQUESTED), (True, State.ACCEPTED)]


def test_a_state_that_can_not_be_told_is_known_all_the_same() -> None:
    def full(_: object) -> None:
        raise OSError("disk full")

    it = record()
    it.on_state = full
    with pytest.raises(OSError, match="disk full"):
        it.becomes(State.REQUESTED)
    assert it.state is State.REQUESTED, "there may be something to delete"


def test_a_record_without_a_keeper_may_do_everything() -> None:
    it = record()
    it.permit()
    it.becomes(State.READY)
    assert it.state is State.READY


@pytest.mark.parametrize(
    ("key", "run_id"), [("night-0", "night"), ("a-b-12", "a-b"), ("alone", ""), (None, None)]
)
def test_a_key_names_its_run(key: str | None, run_id: str | None) -> None:
    assert InstanceRecord(SPEC, key).run_id == run_id


def test_a_record_is_named_by_what_there_is() -> None:
    assert record(id=ID).name == f"{ID} (key {KEY})"
    assert record().name == f"(key {KEY})"
    assert attached().name == ID
    assert attached().attached
    assert not record().attached


def test_a_status_word_is_kept_once_in_a_row() -> None:
    it = record()
    assert it.last_state is None
    for word in ("a", "a", "b", "a"):
        it.saw_status(word)
    assert it.statuses == ["a", "b", "a"]
    assert it.last_state == "status 'a'"


def test_a_phases_longest_time_is_kept() -> None:
    it = record()
    for seconds in (2.0, 3.0, 1.0):
        it.took("turn", seconds)
    assert it.phases == {"turn": 3.0}


def test_a_note_is_kept_once() -> None:
    it = record()
    it.note("odd")
    it.note("odd")
    it.saw_unknown_fields("poll", ("age", "zone"))
    assert it.notes == ["odd", "unknown in the answer to poll: age, zone"]


def test_only_provisions_unknown_outcomes_matter() -> None:
    it = record()
    it.saw_attempt(Attempt("provision", 1, 0, 0, 500))
    it.saw_attempt(Attempt("provision", 2, 0, 0, 200))
    it.saw_attempt(Attempt("status", 1, 0, 0, 500))
    assert (it.requests, it.retries, it.unknown_outcomes) == ({"provision": 2, "status": 1}, 1, 1)


OUTCOMES = {
    State.CLAIMED: "claimed",
    State.REFUSED: "refused",
    State.ABSENT: "absent",
    State.DELETED: "deleted",
    State.REQUESTED: "leaked",
    State.CREATED: "leaked",
    State.READY: "leaked",
    State.FAILED: "leaked",
    State.ACCEPTED: "leaked",
    State.DELETING: "leaked",
    State.KEPT: "kept",
}


@pytest.mark.parametrize("state", State)
def test_whatever_is_not_known_to_be_gone_has_leaked(state: State) -> None:
    assert report_of(record(state=state)).outcome == OUTCOMES[state]


@pytest.mark.parametrize("state", State)
def test_an_attached_instance_is_not_this_runs_whatever_its_state(state: State) -> None:
    it = attached()
    it.state = state
    assert report_of(it).outcome == "attached"


def test_a_record_is_reported_in_full() -> None:
    it = record(state=State.DELETED, id=ID)
    it.hostname, it.leak, it.retries = "box-1", "why", 2
    it.saw_status("running")
    it.took("row", 1.5)
    it.note("odd")
    it.requests["poll"] = 3
    it.baselines.append(Baseline(0.0))
    frozen = report_of(it)
    it.took("row", 9.0)
    it.requests["poll"] = 9
    it.statuses.append("gone")
    assert frozen.model_dump() == {
        "id": ID,
        "idempotency_key": KEY,
        "hostname": "box-1",
        "spec": SPEC.model_dump(),
        "outcome": "deleted",
        "statuses": ("running",),
        "phases": {"row": 1.5},
        "chats": 1,
        "requests": {"poll": 3},
        "retries": 2,
        "notes": ("odd",),
        "leak": "why",
        "failed": False,
    }


def test_a_report_counts_outcomes_and_survives_a_journey() -> None:
    states = (State.DELETED, State.DELETED, State.READY, State.KEPT, State.REFUSED, State.ABSENT)
    instances = (*(report_of(record(state=state)) for state in states), report_of(attached()))
    report = Report(run_id="night", fake=True, url="https://router.example", instances=instances)
    counts = {"deleted": 2, "leaked": 1, "kept": 1, "refused": 1, "absent": 1, "attached": 1}
    assert {outcome: report.count(outcome) for outcome in counts} == counts
    assert report.provisioned == 4, "what was deleted, kept or leaked"
    assert Report.model_validate_json(report.model_dump_json()) == report
