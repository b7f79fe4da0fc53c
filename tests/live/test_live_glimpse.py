"""What is said of an instance while it is under way."""

from __future__ import annotations

import pytest
from live_tools import TOKEN

from pytest_hydrasmoke import InstanceSpec
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._core.record import InstanceRecord, State
from pytest_hydrasmoke._progress.snapshot import Snapshot, news, overall, take_snapshot, under_way

SPEC = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
BOOT = Snapshot("run-0", State.CREATED, "'booting'", "ready", 100.0, 900.0, 90.0)


def test_a_record_is_seen_as_it_stands() -> None:
    it = InstanceRecord(SPEC, "run-0")
    assert take_snapshot(it) == Snapshot("run-0")
    it.born = 90.0
    it.state = State.CREATED
    it.saw_status("booting", 95.0)
    it.begins("ready", 100.0, 900.0)
    assert take_snapshot(it) == BOOT


def test_an_instance_without_a_key_goes_by_its_id() -> None:
    assert take_snapshot(InstanceRecord(None, None, id="an-id")).name == "an-id"
    assert take_snapshot(InstanceRecord(None, None)).name == "?"


def test_a_routers_word_is_harmless() -> None:
    it = InstanceRecord(SPEC, "run-0")
    it.saw_status("\x1b[2J::error::\n" + "x" * 200, 1.0)
    status = take_snapshot(it).status
    assert status is not None
    assert status.isprintable()
    assert len(status) < 100


def test_a_router_that_tells_its_token_is_not_repeated() -> None:
    it = InstanceRecord(SPEC, "run-0")
    it.saw_status(f"ready with {TOKEN}", 1.0)
    status = take_snapshot(it, scrubbing(Token(TOKEN))).status
    assert status is not None
    assert TOKEN[:8] not in status


@pytest.mark.parametrize(
    ("seen", "now", "words"),
    [
        (BOOT, 100.4, "ready, status 'booting', 800 s left"),
        (BOOT, 142.0, "ready 42 s, status 'booting', 758 s left"),
        (BOOT, 901.0, "ready 801 s, status 'booting', 0 s left"),
        (Snapshot("run-0", phase="row", since=1.0), 4.0, "row 3 s"),
        # What a turn waits for is the agent.
        (Snapshot("a", State.READY, "'running'", "turn", 0.0, 120.0), 5.0, "turn 5 s, 115 s left"),
    ],
)
def test_what_is_under_way_is_told_with_its_time(seen: Snapshot, now: float, words: str) -> None:
    assert under_way(seen, now) == words


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (Snapshot("run-0"), BOOT, "ready 5 s, status 'booting', 795 s left"),
        (BOOT, BOOT, None),
        (BOOT, Snapshot("run-0", State.CREATED), None),
        (BOOT, Snapshot("run-0", State.READY, born=90.0), "ready after 15 s"),
        (BOOT, Snapshot("run-0", State.READY), "ready"),
        (BOOT, Snapshot("run-0", State.FAILED, "'error'"), "failed, status 'error'"),
        (BOOT, Snapshot("run-0", State.FAILED), "failed"),
        (BOOT, Snapshot("run-0", State.DELETED), "deleted"),
        (BOOT, Snapshot("run-0", State.REFUSED, phase="provision"), "refused"),
        (BOOT, Snapshot("run-0", State.REFUSED), None),
    ],
)
def test_what_changes_is_told_once(before: Snapshot, after: Snapshot, words: str | None) -> None:
    assert news(before, after, 105.0) == words


def test_several_are_told_by_the_one_that_takes_longest() -> None:
    later = Snapshot("run-1", phase="row", since=120.0)
    assert overall([later], 130.0) == ("run-1", "row 10 s")
    name, words = overall([later, BOOT], 130.0)
    assert (name, words) == ("run-0", "2 at once, ready 30 s, status 'booting', 770 s left")
