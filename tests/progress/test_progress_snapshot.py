"""What is to be seen of an instance at a moment, and logged of it."""

from __future__ import annotations

import pytest
from progress_tools import TOKEN

from pytest_hydrasmoke import InstanceSpec
from pytest_hydrasmoke._base.errors import ProvisionError
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._progress.snapshot import Snapshot, duration, news, take_snapshot

SPEC = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
BOOT = Snapshot("run-0", State.CREATED, "'booting'", "ready", 100.0, 900.0, 90.0)


def test_a_record_is_seen_as_it_stands() -> None:
    it = InstanceRecord(SPEC, key="run-0")
    assert take_snapshot(it) == Snapshot("run-0")
    it.born = 90.0
    it.state = State.CREATED
    it.saw_status("booting", 95.0)
    it.begins("ready", 100.0, 900.0)
    assert take_snapshot(it) == BOOT
    it.fails(ProvisionError("it"), "it", 101.0)
    assert take_snapshot(it).failed == 101.0


def test_a_tool_is_named_unless_replies_are_kept_out() -> None:
    it = InstanceRecord(SPEC, key="run-0")
    it.begins("turn", 100.0, None)
    it.calls(f"look-{TOKEN}")
    assert take_snapshot(it, scrubbing(Token(TOKEN))).calling == "look-********"
    assert take_snapshot(it, replies=False).calling == "a tool"
    it.rests()
    assert it.calling is None


def test_an_instance_without_a_key_goes_by_its_id() -> None:
    assert take_snapshot(InstanceRecord(None, id="an-id")).name == "an-id"
    assert take_snapshot(InstanceRecord(None)).name == "?"


def test_a_routers_word_is_harmless() -> None:
    it = InstanceRecord(SPEC, key="run-0")
    it.saw_status("\x1b[2J::error::\n" + "x" * 200, 1.0)
    status = take_snapshot(it).status
    assert status is not None
    assert status.isprintable()
    assert len(status) < 100


def test_a_router_that_tells_its_token_is_not_repeated() -> None:
    it = InstanceRecord(SPEC, key="run-0")
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
        (Snapshot("a", State.CREATED, "'ok'", "turn", 0.0, 120.0), 5.0, "turn 5 s, 115 s left"),
    ],
)
def test_what_is_under_way_is_logged_with_its_time(seen: Snapshot, now: float, words: str) -> None:
    assert news(Snapshot(seen.name), seen, now) == words


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (Snapshot("run-0"), BOOT, "ready 5 s, status 'booting', 795 s left"),
        (BOOT, BOOT, None),
        (BOOT, Snapshot("run-0", State.CREATED), None),
        (BOOT, Snapshot("run-0", State.READY, born=90.0), "ready after 15 s"),
        (BOOT, Snapshot("run-0", State.READY, born=104.7), "ready after 0.3 s"),
        (BOOT, Snapshot("run-0", State.READY), "ready"),
        (BOOT, Snapshot("run-0", State.FAILED, "'error'"), "failed, status 'error'"),
        (BOOT, Snapshot("run-0", State.FAILED), "failed"),
        (BOOT, Snapshot("run-0", State.DELETED), "deleted"),
        (BOOT, Snapshot("run-0", State.REFUSED, phase="provision"), "refused"),
        (BOOT, Snapshot("run-0", State.REFUSED), None),
        (BOOT, Snapshot("run-0", State.GONE), "deleted"),
        (Snapshot("run-0", State.CLAIMED), Snapshot("run-0", State.UNUSED), None),
    ],
)
def test_what_changes_is_told_once(before: Snapshot, after: Snapshot, words: str | None) -> None:
    assert news(before, after, 105.0) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.26, "0.3 s"), (9.94, "9.9 s"), (9.96, "10 s"), (75.4, "75 s")]
)
def test_a_duration_is_as_exact_as_it_matters(seconds: float, words: str) -> None:
    assert duration(seconds) == words
