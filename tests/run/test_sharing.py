"""Sharing between the processes of one run: who provisions, who joins, and who holds it when."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from net_tools import SPEC
from plugin_tools import until
from run_tools import FAILS
from sharing_tools import BOOTS, OTHER, PATIENCE, TEST, Crew, Crews, Process, a_crew, meanwhile

from pytest_hydrasmoke import ConfigError, InstanceSpec, ProvisionError
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._journal.events import Became, Prepared
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.ledger import mark_run_over
from pytest_hydrasmoke._run.locks import Lock
from pytest_hydrasmoke._run.sharing import EVERYBODY, NotRunError, Wanted
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.fake import Scenario

__all__ = ["a_crew"]
SHARED = Path(__file__).parents[1] / "shared"
DIES = """
import sys
from pathlib import Path
from types import SimpleNamespace
from net_tools import SPEC, config_for
from owner_tools import run_for
from pytest_hydrasmoke._run.sharing import EVERYBODY, Sharing

url, token, output = sys.argv[1:]
config = config_for(SimpleNamespace(url=url, token=token), output=Path(output))
# Named, or it would be collected, and its lock with it.
sharing = Sharing(run_for(config, "gw0"), worker=True)
sharing.take(SPEC, EVERYBODY, "test_1")
"""


# One for all


def test_processes_that_begin_at_once_have_one_instance_and_use_it_in_turn(a_crew: Crews) -> None:
    crew = a_crew(BOOTS, usage_settle=1.5)
    workers, inside = crew.workers(3), threading.Lock()
    counted: list[int] = []
    keys: set[str | None] = set()

    def test(worker: Process) -> None:
        for _ in range(2):
            with worker.holding() as instance:
                # Nobody waits for it: whoever holds the instance holds it alone.
                assert inside.acquire(blocking=False)
                turn = instance.chat("hello")
                counted.append(turn.expect_llm_events().count)
                keys.add(instance.idempotency_key)
                inside.release()

    with ExitStack() as stack:
        for worker in workers:
            stack.enter_context(meanwhile(lambda worker=worker: test(worker)))
    assert crew.times("provision") == 1
    assert keys == {"net-0"}
    # Each turn was counted before the next one began: none had another's LLM event.
    assert counted == list(range(1, 7))
    assert [len(worker.told) for worker in workers].count(1) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_time_limit_as_a_share_is_got_leaves_it_to_the_next_test(
    a_crew: Crews, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = a_crew().process("gw0")
    hold = process.ledger.hold

    def limited(lock: Lock, check: Callable[[], object]) -> None:
        monkeypatch.undo()
        if when == "after":
            hold(lock, check)
        raise TimeoutError("the test took too long")

    monkeypatch.setattr(process.ledger, "hold", limited)
    with pytest.raises(TimeoutError):
        process.take()
    if when == "after":
        process.sharing.release()  # The test has ended.
    with process.holding():
        # It is held for sure, also by a test that goes on.
        assert process.ledger.hold_if_free(Wanted(SPEC, EVERYBODY).name) is None


def test_each_spec_has_one_and_who_joins_asks_for_its_row_and_status_alone(a_crew: Crews) -> None:
    crew = a_crew()
    first, second = crew.workers(2)
    for spec in (SPEC, OTHER):
        with first.holding(spec) as instance:
            pass
        before = len(crew.fake.requests)
        for _ in range(2):
            with second.holding(spec) as joined:
                assert (joined.id, joined.spec) == (instance.id, spec)
        assert [seen.route for seen in crew.fake.requests[before:]] == ["poll", "status"]
    # What a narrower scope shares is one process's own, and ends with it.
    for worker in (first, second):
        share = f"{worker.ledger.name} test_a.py"
        with worker.holding(share=share):
            pass
        worker.sharing.end([share])
    told = [(seen.tier_id, seen.deleted) for seen in crew.fake.instances]
    assert told == [("tier-1", False), ("tier-2", False), *[("tier-1", True)] * 2]


def test_what_a_test_deleted_is_replaced_for_everybody(a_crew: Crews) -> None:
    crew = a_crew()
    first, second = crew.workers(2)
    with second.holding():
        pass
    with first.holding() as instance:
        instance.delete()
    with second.holding() as replaced:
        assert replaced.id != instance.id
    with first.holding() as joined:
        assert joined.id == replaced.id
    assert crew.times("provision") == 2


def test_an_attached_instance_is_held_too_and_is_one_story(a_crew: Crews) -> None:
    owner = a_crew()
    theirs = owner.main.run.provision(SPEC)
    settings = {"run_id": "other", "instance": theirs.id, "usage_settle": 3}
    crew = Crew(owner.fake, owner.config.output, owner.stack, **settings)
    first, second = crew.workers(2)

    def use(worker: Process, spec: InstanceSpec) -> None:
        with worker.holding(spec) as instance:
            assert instance.chat("hello").expect_llm_events().count == 2

    with first.holding(SPEC) as instance, meanwhile(lambda: use(second, OTHER)):
        assert second.ledger.asked.wait(PATIENCE)
        assert instance.chat("hello").expect_llm_events().count == 1
        first.sharing.release()
    first.end(), second.end()
    [story] = crew.told()
    assert (story.id, story.outcome, story.chats) == (theirs.id, "attached", 2)
    assert not crew.fake.instances[0].deleted


# What a process that died has left


def left_unfinished(dead: Process, fact: State) -> str:
    """Let a process get that far with the shared instance, and die; gives the key."""
    [instance] = dead.run.claim(SPEC, share=EVERYBODY)
    key = str(instance.key)
    if fact is not State.CLAIMED:
        accepted = drive(Calls(dead.run._io).provision(SPEC, key))
        for state in (State.ACCEPTED, fact):
            dead.run.ledger.write(key, Became(state, accepted.instance_id))
        if fact is State.READY:
            dead.run.ledger.write(key, Prepared())
    dead.run.instances.clear()
    dead.die()
    return key


@pytest.mark.parametrize("fact", [State.CLAIMED, State.ACCEPTED, State.CREATED, State.READY])
def test_what_a_dead_process_left_unfinished_is_brought_to_its_end(
    a_crew: Crews, fact: State
) -> None:
    crew = a_crew(BOOTS)
    dead, heir = crew.workers(2)
    key = left_unfinished(dead, fact)
    with heir.holding() as instance:
        assert instance.idempotency_key == key
        instance.chat("hello")
    # Those who wait for it to be ready are told once in a run.
    assert (len(crew.fake.instances), len(heir.told)) == (1, 0 if fact is State.READY else 1)


def test_what_a_dead_process_was_deleting_is_replaced_and_deleted_to_the_end(a_crew: Crews) -> None:
    crew = a_crew()
    dead, heir = crew.workers(2)
    key = left_unfinished(dead, State.DELETING)
    with heir.holding() as instance:
        assert instance.idempotency_key != key
    heir.end()
    crew.main.run.adopt({})
    crew.main.end()
    assert [seen.deleted for seen in crew.fake.instances] == [True, True]


@pytest.mark.kill
def test_a_process_that_is_killed_as_it_provisions_holds_nothing_up(a_crew: Crews) -> None:
    """Each fact that it may have left by then is tried above, without a process."""
    crew = a_crew(Scenario(row_after=1, statuses=((0, "running"),)))
    heir = crew.process("gw1")
    with subprocess.Popen(
        [sys.executable, "-c", DIES, crew.fake.url, crew.fake.token, str(crew.config.output)],
        stdin=subprocess.PIPE,
        cwd=SHARED,
        # Its tools are in that folder, also where only what is installed counts.
        env={**os.environ, "PYTHONSAFEPATH": ""},
    ) as dies:
        until(lambda: crew.times("provision"))
        with meanwhile(heir.take):
            assert heir.ledger.asked.wait(PATIENCE)
            # It can't have it yet.
            assert heir.run.instances == []
            dies.kill()
    assert [instance.key for instance in heir.run.instances] == ["net-0"]
    assert (len(crew.fake.instances), len(heir.told)) == (1, 1)


# What can't be had


def test_a_failure_is_told_to_everybody_once_and_nobody_tries_again(a_crew: Crews) -> None:
    crew = a_crew(FAILS)
    first, second = crew.workers(2)
    with pytest.raises(ProvisionError, match="the instance is 'failed'"):
        first.take()
    first.sharing.release()
    before = len(crew.fake.requests)
    words = f"the boot of hermes-basic/eu-central/tier-1 failed in {TEST}: the instance is 'failed'"
    for worker in (second, first):
        with pytest.raises(NotRunError) as caught:
            worker.take(test="test_a.py::test_2")
        worker.sharing.release()
        assert str(caught.value) == words
    assert (len(crew.fake.requests), crew.fake.instances[0].deleted) == (before, True)
    # Of another spec there may be one.
    with pytest.raises(ProvisionError, match="the instance is 'failed'"):
        second.take(OTHER, test="test_b.py::test_2")
    assert crew.times("provision") == 2


def test_a_test_can_share_one_spec_only_and_max_instances_counts_those_of_all(
    a_crew: Crews,
) -> None:
    crew = a_crew(max_instances=1)
    first, second = crew.workers(2)
    with first.holding() as instance:
        with pytest.raises(ConfigError, match="uses a shared instance of another spec already"):
            first.take(OTHER)
        # What it holds it goes on holding.
        assert first.take().id == instance.id
    for worker in (first, second):
        with pytest.raises(ConfigError, match="no room for 1 more"):
            worker.take(OTHER)
        worker.sharing.release()
    assert crew.times("provision") == 1


# From set-up to teardown


def test_others_wait_until_it_is_released_and_come_before_who_had_it_last(a_crew: Crews) -> None:
    crew = a_crew()
    first, second, third = crew.workers(3)
    order: list[str] = []

    def wait() -> None:
        with second.holding():
            order.append("second")

    with first.holding() as instance, meanwhile(wait):
        until(second.ledger.stands_next)
        # Those of another spec, or of a share of their own, do not wait.
        with third.holding(OTHER):
            order.append("third")
        with third.holding(share="gw2 test_a.py"):
            order.append("third, of its own")
        instance.chat("hello")
        order.append("first")
        first.sharing.release()
        for _ in range(2):
            with first.holding():
                order.append("first again")
    assert order == ["third", "third, of its own", "first", "second", *["first again"] * 2]


def test_the_end_of_the_run_ends_the_wait(a_crew: Crews) -> None:
    crew = a_crew()
    first, second = crew.workers(2)

    def wait() -> None:
        with pytest.raises(ConfigError, match="run net is over"):
            second.take()

    with first.holding(), meanwhile(wait):
        assert second.ledger.asked.wait(PATIENCE)
        mark_run_over(crew.config.output, "net")
    assert second.run.instances == []
