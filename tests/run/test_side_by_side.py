"""What the tests of a run are certain to need boots side by side, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from net_tools import FIELDS, SPEC
from run_tools import FAILS
from sharing_tools import BOOTS, OTHER, TEST, Crew, Crews, Process, a_crew, meanwhile

from pytest_hydrasmoke import ConfigError, InstanceSpec, ProvisionError, RejectedError
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.sharing import EVERYBODY, OF_A_CHECK, NotRunError, Wanted

__all__ = ["a_crew"]
THIRD = InstanceSpec(**{**FIELDS, "tier_id": "tier-3"})
TIERS = [Wanted(spec, EVERYBODY) for spec in (SPEC, OTHER, THIRD)]
OWN = Wanted(SPEC, OF_A_CHECK)
BAD = Wanted(InstanceSpec(**{**FIELDS, "tier_id": "x" * 81}), EVERYBODY)
"""One that the router rejects."""


def tiers(crew: Crew) -> list[str]:
    return sorted(it.tier_id for it in crew.fake.instances)


def rejected(process: Process, test: str = TEST) -> None:
    with pytest.raises(RejectedError, match="tier_id"):
        process.take(*BAD, test=test)
    process.sharing.release()


def not_run(process: Process, wanted: Wanted, why: str) -> None:
    with pytest.raises(NotRunError, match=f"failed in {why}"):
        process.take(*wanted, test="test_a.py::test_3")
    process.sharing.release()


def test_all_boot_as_the_first_is_taken(a_crew: Crews) -> None:
    crew = a_crew(BOOTS)
    process = crew.process("gw0", [*TIERS, OWN])
    process.run.stage.test = TEST

    def used() -> set[str | None]:
        return {it.id for it in process.run.instances if it.touched}

    with process.holding(OTHER) as instance:
        assert instance.spec == OTHER
        assert tiers(crew) == ["tier-1", "tier-1", "tier-2", "tier-3"]
        # Nobody has used the others, and nobody is told that they are ready.
        assert (process.told, used()) == ([instance.id], {instance.id})
    for wanted in (TIERS[0], TIERS[2]):
        with process.holding(*wanted) as other:
            assert process.told[-1] == other.id
            other.status()
            assert other.id in used()
    assert crew.times("provision") == 4
    # What no test came to is deleted as well.
    crew.main.run.adopt({})
    crew.main.run.close()
    assert all(it.deleted for it in crew.fake.instances)


def test_processes_join_what_boots_beside_and_boot_nothing_twice(a_crew: Crews) -> None:
    crew = a_crew(BOOTS)
    workers = crew.workers(3, TIERS)
    with meanwhile(lambda: workers[0].take(SPEC)), meanwhile(lambda: workers[1].take(OTHER)):
        assert workers[2].take(THIRD).target.spec == THIRD
    assert tiers(crew) == ["tier-1", "tier-2", "tier-3"]
    # Each is told to be ready by the one that uses it first.
    assert [len(worker.told) for worker in workers] == [1, 1, 1]


def test_what_is_taken_alone_boots_alone_and_where_there_is_no_room_the_others_boot_later(
    a_crew: Crews,
) -> None:
    crew = a_crew(max_instances=3)
    process = crew.process("gw0", TIERS[:2])
    with process.holding(THIRD):
        assert tiers(crew) == ["tier-3"]
    with process.holding(SPEC, "gw0 test_a.py"):
        assert tiers(crew) == ["tier-1", "tier-3"]
    with process.holding(OTHER):
        assert tiers(crew) == ["tier-1", "tier-2", "tier-3"]


# A boot that fails


def test_the_second_of_a_spec_is_deleted_with_the_first(a_crew: Crews) -> None:
    # The first one fails when the second has been asked for.
    crew = a_crew(replace(FAILS, statuses=((0, "queued"), (1, "failed"))))
    process = crew.process("gw0", [TIERS[0], OWN])
    with pytest.raises(ProvisionError, match="the instance is 'failed'"):
        process.take()
    process.sharing.release()
    assert [it.deleted for it in crew.fake.instances] == [True, True]
    # Its own test was not run: there is one failure.
    not_run(process, OWN, f"{TEST}: the instance is 'failed'")
    assert crew.times("provision") == 2


def test_a_failure_beside_is_that_of_the_first_test_of_its_own(a_crew: Crews) -> None:
    crew = a_crew()
    process, other = crew.workers(2, [TIERS[0], BAD])
    with process.holding(SPEC):
        pass
    asked = crew.times("provision")
    rejected(process, "test_a.py::test_2")
    for one in (process, other):
        not_run(one, BAD, "test_a.py::test_2: provision was refused")
    assert crew.times("provision") == asked
    # A second try of the test that has failed boots anew.
    rejected(process, "test_a.py::test_2")
    assert crew.times("provision") == asked + 1


def test_it_is_that_in_another_process_too(a_crew: Crews) -> None:
    crew = a_crew()
    first, second = crew.workers(2, [TIERS[0], BAD])
    with first.holding(SPEC):
        pass
    with pytest.raises(ProvisionError, match="provision was refused with 422"):
        second.take(*BAD, test="test_a.py::test_2")
    second.sharing.release()
    not_run(first, BAD, "test_a.py::test_2: provision was refused")


def test_a_failure_leaves_what_boots_beside_and_the_checks_own_of_another_spec(
    a_crew: Crews,
) -> None:
    crew = a_crew()
    process = crew.process("gw0", [BAD, TIERS[0], OWN])
    rejected(process)
    asked = crew.times("provision")
    assert process.take(*OWN).target.spec == SPEC
    # It is held beside the one that all share, in this order alone.
    assert process.take().target.spec == SPEC
    with pytest.raises(ConfigError, match="uses a shared instance of another spec already"):
        process.take(OTHER)
    assert (tiers(crew), crew.times("provision")) == (["tier-1", "tier-1"], asked)


def test_what_fails_when_the_run_is_over_is_left_to_what_has_ended_it(a_crew: Crews) -> None:
    run = a_crew().process("gw0").run
    [instance] = run.claim(SPEC)
    run.end()
    [failed] = run.boot([instance]).values()
    assert isinstance(failed, ConfigError)
    assert "is over" in failed.message
    # Nobody has deleted it here, nor said that it is to blame.
    assert (instance.state, instance.failed) == (State.CLAIMED, False)


# What becomes of it: one story, told and ended by the main process


def test_workers_leave_what_is_shared_to_the_main_process(a_crew: Crews) -> None:
    crew = a_crew()
    first, second = crew.workers(2)
    private = first.run.provision(OTHER)
    for worker in (first, second):
        with worker.holding() as instance:
            instance.chat("hello")
        worker.sharing.end([EVERYBODY])
    first.end(), second.end()
    told = crew.told()
    assert [(one.id, one.outcome) for one in told] == [
        (private.id, "deleted"),
        (instance.id, "leaked"),
    ]
    assert told[1].leak_words == "its deletion was not confirmed"
    assert [seen.deleted for seen in crew.fake.instances] == [True, False]
    crew.main.run.adopt({})
    crew.main.end()
    assert [seen.deleted for seen in crew.fake.instances] == [True, True]
    # One story each, with what every process knows of it.
    stories = crew.told()
    assert [(one.id, one.outcome) for one in stories] == [
        (private.id, "deleted"),
        (instance.id, "deleted"),
    ]
    shared = stories[1]
    assert (shared.spec, shared.chats, shared.leak) == (SPEC, 2, None)
    routes = ("provision", "chat", "delete")
    assert [shared.requests[route] for route in routes] == [1, 2, 1]
    assert {"provision", "ready", "turn", "delete"} <= set(shared.phases)


def test_a_deletion_that_a_test_saw_is_believed_whoever_tells_last(a_crew: Crews) -> None:
    crew = a_crew()
    first, second = crew.workers(2)
    with second.holding():
        pass
    with first.holding() as instance:
        instance.delete()
    for one in (first, second):
        one.end()
        [story] = crew.told()
        assert story.outcome == "deleted"


@pytest.mark.parametrize("failed", [True, False])
def test_what_is_shared_is_kept_by_the_main_process(a_crew: Crews, failed: bool) -> None:
    crew = a_crew(keep="on-failure")
    [worker] = crew.workers(1)
    with worker.holding():
        pass
    worker.end()
    # What failed, the reports of the tests have told.
    crew.main.run.adopt({})
    for instance in crew.main.run.instances:
        instance.failed = failed
    crew.main.end()
    [story] = crew.told()
    assert story.outcome == ("kept" if failed else "deleted")
    assert crew.fake.instances[0].deleted is not failed
    [entry] = crew.main.ledger.read().open
    assert entry.state is (State.KEPT if failed else State.GONE)
    assert worker.run.instances[0].state is State.READY
