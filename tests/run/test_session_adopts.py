"""What a run is told of late: left open by a process that died, lost, refused, or under way."""

from __future__ import annotations

import math
import shutil

import pytest
from net_tools import SPEC
from run_tools import Runs, times

from pytest_hydrasmoke import (
    ConfigError,
    UnauthorizedError,
)
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._journal.events import Became, Claimed
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._journal.story import Story
from pytest_hydrasmoke._report.build import report_of
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.fake import Scenario


@pytest.mark.parametrize("count", [1, 2])
def test_what_another_process_of_the_run_left_open_is_adopted(a_run: Runs, count: int) -> None:
    fake, dead = a_run()
    gone, kept, *left = (dead.provision(SPEC) for _ in range(2 + count))
    gone.delete()
    for record in dead.records:
        if record.id == kept.id:
            record.becomes(State.KEPT)
    heir = SmokeSession(dead.config, dead.ledger, forms=dead.forms)
    for _ in range(2):
        heir.adopt({})
        assert [(record.key, record.id) for record in heir.pending] == [
            (instance.idempotency_key, instance.id) for instance in left
        ]
    heir.close()
    assert [seen.deleted for seen in fake.instances] == [True, False, *[True] * count]
    assert dead.ledger.read().open != []
    dead.records.clear()


def test_a_key_that_was_asked_for_is_adopted_and_its_row_looked_for(a_run: Runs) -> None:
    fake, dead = a_run(Scenario(row_after=0.3), ready_timeout=0.6)
    [record] = dead.claim(SPEC)
    drive(Calls(dead._io).provision(SPEC, str(record.key)))
    dead.records.clear()
    heir = SmokeSession(dead.config, dead.ledger, forms=dead.forms)
    heir.adopt({})
    assert [adopted.state for adopted in heir.records] == [State.REQUESTED]
    heir.close()
    assert fake.instances[0].deleted
    [entry] = dead.ledger.read().open
    assert (entry.state, entry.accepted) == (State.GONE, [fake.instances[0].id])


@pytest.mark.parametrize(
    ("fact", "state", "outcome"),
    [
        (State.DELETED, State.REQUESTED, "deleted"),
        (State.GONE, State.REQUESTED, "deleted"),
        (State.DELETING, State.REQUESTED, "leaked"),
        (None, State.REQUESTED, "leaked"),
        # It has seen a row: what another process has written proves nothing against that.
        (State.DELETED, State.CREATED, "leaked"),
    ],
)
def test_what_another_process_has_seen_deleted_meanwhile_is_no_leak(
    a_run: Runs, fact: State | None, state: State, outcome: str
) -> None:
    _, dead = a_run(Scenario(row_after=math.inf), delete_timeout=0.6)
    [record] = dead.claim(SPEC)
    drive(Calls(dead._io).provision(SPEC, str(record.key)))
    dead.records.clear()
    heir = SmokeSession(dead.config, dead.ledger, forms=dead.forms)
    heir.adopt({})
    [adopted] = heir.records
    # So it is for the main process while a worker ends: only the worker saw the row go.
    adopted.state, adopted.leak = state, "a signal came before a row for its key did"
    if fact is None:
        (dead.ledger.folder / "ledger.jsonl").unlink()
    else:
        dead.ledger.write(str(record.key), Became(fact, "an-id"))
    heir.close()
    assert report_of("it", adopted, 0.0).outcome == outcome
    assert (adopted.leak is None) is (outcome == "deleted")
    heir.records.clear()


def test_a_ledger_that_is_lost_in_the_middle_stops_no_deletion(a_run: Runs) -> None:
    fake, session = a_run()
    session.provision(SPEC)
    shutil.rmtree(session.ledger.folder)
    session.close()
    assert fake.instances[0].deleted
    [record] = session.records
    assert [note.partition(" (")[0] for note in record.notes] == [
        "not in the ledger: deleting",
        "not in the ledger: gone",
    ]
    session.ledger.folder.write_text("not a folder")
    session.adopt({})
    assert session.records == [record]
    with pytest.raises(ConfigError, match="can't be written"):
        session.claim(SPEC)


def test_a_failed_provision_is_deleted_at_once_and_its_own_error_comes_out(a_run: Runs) -> None:
    fake, session = a_run()
    fake.fail("status", status=401)
    with pytest.raises(UnauthorizedError):
        session.provision(SPEC)
    assert fake.instances[0].deleted


def test_a_lost_answer_to_provision_leaves_one_instance_that_is_found_by_its_key(
    a_run: Runs,
) -> None:
    fake, session = a_run()
    fake.drop("provision", when="after")
    instance = session.provision(SPEC)
    assert len(fake.instances) == 1
    assert instance.id == fake.instances[0].id
    assert session.records[0].unknown_outcomes == 1


def test_a_key_in_progress_is_joined(a_run: Runs) -> None:
    fake, session = a_run()
    fake.fail("provision", status=409, when="after")
    instance = session.provision(SPEC)
    assert instance.id == fake.instances[0].id
    assert times(fake, "provision") == 1


def test_what_a_process_has_told_is_adopted_where_the_ledger_can_not_be_read(a_run: Runs) -> None:
    fake, dead = a_run()
    instance = dead.provision(SPEC)
    key = str(instance.idempotency_key)
    dead.records.clear()
    told = {name: Story(key=name) for name in (key, "another-0")}
    for event in (Claimed(SPEC.model_dump()), Became(State.CREATED, instance.id)):
        told[key].apply("gw0", 0.0, event)
    told[key].leak = "it did not go"
    told[instance.id] = Story(attached=True)
    ledger = dead.ledger.folder / "ledger.jsonl"
    ledger.unlink()
    ledger.mkdir()
    heir = SmokeSession(dead.config, dead.ledger, forms=dead.forms)
    heir.adopt(told)
    [adopted] = heir.records
    assert (adopted.key, adopted.id, adopted.state) == (key, instance.id, State.CREATED)
    assert adopted.leak == "it did not go", "it is not waited for again"
    adopted.leaks(None)
    heir.close()
    assert fake.instances[0].deleted
    ledger.rmdir()
