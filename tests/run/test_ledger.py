"""The ledger as a run uses it: what is on the disk when, slots, and who is alive or over."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ledger_tools import CLAIM, URL, begun, claim, refusal
from owner_tools import (
    SPEC,
    alive,
    config_for,
    kill,
    lines_of,
    reading_of,
    run_folders,
    running,
    session_for,
)

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._journal.codec import SCHEMA
from pytest_hydrasmoke._journal.events import Became, Refuted
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.ledger import Ledger, discard_if_done, mark_run_over
from pytest_hydrasmoke._run.locks import has_main_process, is_live
from pytest_hydrasmoke.fake import FakeRouter

CREATED = Became(State.CREATED, "an-id")

# On the disk


def test_the_claim_is_on_the_disk_before_the_request_leaves(
    fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_at_sync: list[int] = []
    monkeypatch.setattr(
        os,
        "fsync",
        lambda _: seen_at_sync.append(sum("owner-0" in str(it) for it in fake.requests)),
    )
    config = config_for(fake, output, gone_statuses=["buried"])
    with running(config) as session:
        session.provision(config.spec)
        lines = lines_of(session.ledger.folder)
        for file in output.rglob("*"):
            assert file.is_dir() or fake.token.encode() not in file.read_bytes()
    states = [it.get("state") for it in lines]
    assert states == [None, "requested", "accepted", "created", "ready"]
    assert seen_at_sync[0] == 0
    assert len(seen_at_sync) >= 5
    # It says what a sweep needs; what an answer means is not a ledger's to say.
    line = lines[0]
    assert isinstance(line.pop("at"), float)
    spec = {**SPEC, "agent_name": None}
    told = {"of": "owner-0", "is": "Claimed", "url": fake.url, "spec": spec, "attached": False}
    assert line == {**told, "schema": SCHEMA, "share": None, "fake": False}


def test_a_key_that_is_no_slots_is_written_as_it_is(ledger: Ledger) -> None:
    ledger.claim_key("a-key", CLAIM)
    known = ledger.read().instances["a-key"]
    assert (known.key, known.wanted, known.url) == ("a-key", SPEC, URL)
    assert (known.share, known.state, known.id) == ("shared", State.CLAIMED, None)
    ledger.write("a-key", Became(State.CREATED, "an-id"))
    assert ledger.read().instances["a-key"].id == "an-id"
    ledger.end()


def test_a_ledger_s_first_line_is_on_the_disk_with_the_folders_that_lead_to_it(
    output: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []

    def noted(descriptor: int) -> None:
        place = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        flushed.append(str(place.relative_to(output.parent)))

    monkeypatch.setattr(os, "fsync", noted)
    ledger.claim_key("a-key", CLAIM)
    runs, own = f"{output.name}/runs", f"{output.name}/runs/owner"
    assert flushed == [f"{own}/ledger.jsonl", own, runs, output.name, "."]
    flushed.clear()
    ledger.claim_key("another-key", CLAIM)
    assert flushed == [f"{own}/ledger.jsonl"]


def test_a_ledger_that_was_removed_is_not_begun_again(output: Path, ledger: Ledger) -> None:
    claim(ledger)
    file = ledger.folder / "ledger.jsonl"
    file.unlink()
    with pytest.raises(ConfigError, match="it was removed, or replaced, while the run used it"):
        claim(ledger)
    assert not file.exists()
    begun(output, "gw0").claim_key("k", CLAIM)
    with pytest.raises(ConfigError, match="removed, or replaced"):
        claim(ledger, most=9)
    shutil.rmtree(output)
    with pytest.raises(ConfigError, match="can't be written"):
        claim(ledger)


def test_a_fact_without_its_claim_begins_no_ledger(ledger: Ledger) -> None:
    with pytest.raises(FileNotFoundError):
        ledger.write("owner-0", CREATED)
    assert not (ledger.folder / "ledger.jsonl").exists()


def test_a_half_written_line_is_reported_and_spoils_no_other(ledger: Ledger) -> None:
    claim(ledger)
    file = ledger.folder / "ledger.jsonl"
    with file.open("a") as half:
        half.write('\n{"at": 1.0, "of": "owner-1", "is": "Cla')
    ledger.write("owner-0", CREATED)
    reading = ledger.read()
    assert reading.instances["owner-0"].state is State.CREATED
    assert reading.problems == ["line 4 can't be read, and is skipped"]
    ledger.end()
    assert file.exists()


def test_what_another_process_left_is_deleted_though_its_id_was_lost(
    fake: FakeRouter, output: Path
) -> None:
    config = config_for(fake, output)
    main, worker = session_for(config), session_for(config, "gw0")
    worker.provision(config.spec)
    kill(worker)
    path = main.ledger.folder / "ledger.jsonl"
    path.write_text(path.read_text("utf-8").replace('"id": ', '"was": '), "utf-8")
    main.adopt({})
    main.close()
    main.ledger.end()
    assert (len(fake.instances), alive(fake)) == (1, [])


def test_the_end_of_the_clean_up_is_told_only_where_there_is_a_ledger(ledger: Ledger) -> None:
    ledger.mark_ended()
    assert not ledger.read().written
    claim(ledger)
    assert not ledger.read().ended
    ledger.mark_ended()
    assert (ledger.read().ended, ledger.read().problems) == (True, [])
    assert ledger.read().size == (ledger.folder / "ledger.jsonl").stat().st_size


def test_what_nobody_need_try_again_is_told_with_the_reason(output: Path, ledger: Ledger) -> None:
    ledger.refute("chat", "test_a", "it is cut")
    reading = ledger.look()
    assert (reading.refuted, reading.problems) == (
        {"chat": Refuted("chat", "test_a", "it is cut")},
        [],
    )
    ledger.refute("chat", "test_a", None)
    assert ledger.look().refuted == {}
    never = output.parent / "never"
    Ledger(never, "owner").refute("chat", "test_a", "no room")
    Ledger(never, "owner").end()
    assert not never.exists()


def test_what_is_free_can_be_held_once(ledger: Ledger) -> None:
    lock = ledger.hold_if_free("share")
    assert lock is not None
    assert ledger.hold_if_free("share") is None
    lock.release()
    shutil.rmtree(ledger.folder / "held")
    (ledger.folder / "held").write_text("not a folder")
    with pytest.raises(ConfigError, match="can't be written"):
        ledger.hold_if_free("share")
    (ledger.folder / "held").unlink()


# Slots


def test_slots_are_counted_from_0_and_end_at_the_limit(ledger: Ledger) -> None:
    assert claim(ledger, 1, most=3) == ["owner-0"]
    assert claim(ledger, 3, most=3) is None
    assert claim(ledger, 2, most=3) == ["owner-1", "owner-2"]
    assert claim(ledger, 1, most=3) is None


def test_the_key_of_a_refused_request_is_never_used_again_and_one_that_was_not_sent_is(
    fake: FakeRouter, output: Path
) -> None:
    config = config_for(fake, output, max_instances=1)
    with running(config) as session:
        session.dispose_now(session.claim(config.spec))
        assert reading_of(config).instances["owner-0"].state is State.UNUSED
        fake.fail("provision", status=422)
        with pytest.raises(Exception, match="422"):
            session.provision(config.spec)
        assert reading_of(config).instances["owner-0"].state is State.REFUSED
        assert session.provision(config.spec).idempotency_key == "owner-1"
        assert reading_of(config).instances["owner-0"].state is State.REFUSED


CLAIMS = """
import sys
from pathlib import Path
from pytest_hydrasmoke._journal.events import Claimed
from pytest_hydrasmoke._run.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]), "owner")
ledger.begin(sys.argv[2])
print(flush=True)
input()
for _ in range(10):
    print(*ledger.claim(Claimed({}, url="http://127.0.0.1:9"), 1, 1000))
"""


def test_processes_never_take_the_same_slot_nor_the_same_run(output: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMS, str(output), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("main", "gw0", "gw1")
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    with pytest.raises(ConfigError, match="another process holds it: give each run its own"):
        begun(output)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    keys = [key for process in processes for key in process.communicate()[0].split()]
    assert sorted(keys) == sorted(f"owner-{slot}" for slot in range(30))
    assert not is_live(folder_of(output, "owner"))


# Alive or over


def test_a_run_is_live_as_long_as_one_of_its_processes_is(output: Path) -> None:
    assert not is_live(folder_of(output, "owner"))
    worker = begun(output, "gw0")
    assert not has_main_process(output, "owner")
    assert not worker.has_seen("main")
    main = begun(output)
    claim(main)
    assert (has_main_process(output, "owner"), has_main_process(output, "another")) == (True, False)
    assert (main.other_lives("gw0"), worker.other_lives("main")) == (True, True)
    assert (main.other_lives("main"), main.other_lives("")) == (False, False), "itself is no other"
    main.end()
    assert (is_live(main.folder), has_main_process(output, "owner")) == (True, False)
    assert (worker.has_seen("main"), worker.other_lives("main")) == (True, False)
    worker.end()
    assert not is_live(main.folder)
    assert [entry.key for entry in main.read().open] == ["owner-0"]


def test_a_run_id_used_before_is_refused(output: Path, ledger: Ledger) -> None:
    command = "hydra-smoke sweep --run-id owner"
    advice = f"give every run an id of its own; to delete what that one left: {command}"
    ledger.stop()
    assert ledger.is_over
    used = "run id used before: a sweep has declared run owner over"
    assert refusal(lambda: begun(output, "gw0")) == f"{used}\n  next step: {advice}"
    (ledger.folder / "over").unlink()
    claim(ledger)
    begun(output, "gw0").end()  # a worker's run has one as a matter of course
    folder = ledger.folder
    ledger.end()
    used = f"run id used before: run owner has left a ledger in {folder}"
    assert refusal(lambda: begun(output)) == f"{used}\n  next step: {advice}"
    assert not is_live(folder)
    mark_run_over(output, "buried")
    mark_run_over(output, "buried")
    assert "declared run buried over" in refusal(lambda: begun(output, run_id="buried"))
    assert not is_live(folder_of(output, "buried"))


def test_a_buried_run_provisions_and_chats_no_more(fake: FakeRouter, output: Path) -> None:
    config = config_for(fake, output)
    with running(config) as session:
        instance = session.provision(config.spec)
        [claimed] = session.claim(config.spec)
        mark_run_over(output, "owner")
        for work in (
            lambda: instance.chat("hello"),
            lambda: session.provision(config.spec),
            claimed.permit,
        ):
            assert "run owner is over" in refusal(work)
    routes = [request.route for request in fake.requests]
    assert (routes.count("provision"), routes.count("chat"), alive(fake)) == (1, 0, [])


def test_the_folder_goes_once_all_is_confirmed(output: Path, ledger: Ledger) -> None:
    discard_if_done(ledger.folder)
    assert ledger.folder.is_dir()
    claim(ledger)
    ledger.write("owner-0", Became(State.CREATED, "an-id"))
    discard_if_done(ledger.folder)
    ledger.write("owner-0", Became(State.DELETED, "an-id"))
    discard_if_done(ledger.folder)
    assert run_folders(output) == [ledger.folder], "it is still live"
    ledger.end()
    ledger.end()
    assert (ledger.folder.exists(), run_folders(output)) == (False, [])
    ledger.stop()  # Where the folder is gone, nobody is left to be stopped.
    assert not ledger.folder.exists()
    assert run_folders(output / "never") == []


@pytest.mark.parametrize("reads", [0, 1])
def test_a_ledger_that_is_not_known_to_be_settled_stays(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    claim(ledger)
    ledger.write("owner-0", Became(State.DELETED))
    allowed = iter([Path.read_bytes] * reads)

    def at_first(path: Path) -> bytes:
        for read in allowed:
            return read(path)
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", at_first)
        ledger.end()
    assert (ledger.folder / "ledger.jsonl").exists()
