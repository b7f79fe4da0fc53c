"""The ledger as a run uses it: what is on the disk when, slots, and who is alive or over."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_tools import CLAIM, URL, begun, claim, refusal
from owner_tools import SPEC, config_for, lines_of, run_folders, run_for, running

from pytest_hydrasmoke._journal.codec import SCHEMA
from pytest_hydrasmoke._journal.events import Became, Entry, Refuted
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run import ledger as ledger_module
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.ledger import Ledger, append, discard_if_done, mark_run_over
from pytest_hydrasmoke._run.ledger_lines import share_name
from pytest_hydrasmoke._run.locks import Lock, has_main_process, is_live
from pytest_hydrasmoke.fake import FakeRouter

CREATED, DELETED = Became(State.CREATED, "an-id"), Became(State.DELETED, "an-id")

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
    with running(config) as run:
        run.provision(config.spec)
        lines = lines_of(run.ledger.folder)
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
    assert line == {
        **told,
        "schema": SCHEMA,
        "share": None,
        "fake": False,
        "run": "owner",
        "other_token": False,
        "key_404": False,
        "bare": False,
    }


def test_a_ledger_s_first_line_is_on_the_disk_with_the_folders_that_lead_to_it(
    output: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []

    def noted(descriptor: int) -> None:
        place = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        flushed.append(str(place.relative_to(output.parent)))

    monkeypatch.setattr(os, "fsync", noted)
    # A key that is no slot's is written as it is.
    ledger.claim_key("a-key", CLAIM)
    runs, own = f"{output.name}/runs", f"{output.name}/runs/owner"
    assert flushed == [f"{own}/ledger.jsonl", own, runs, output.name, "."]
    known = ledger.read().instances["a-key"]
    assert (known.key, known.wanted, known.url) == ("a-key", SPEC, URL)
    assert (known.share, known.state, known.id) == ("shared", State.CLAIMED, None)
    flushed.clear()
    ledger.write("a-key", CREATED)
    ledger.claim_key("another", CLAIM)
    assert flushed == [f"{own}/ledger.jsonl"] * 2
    assert ledger.read().instances["a-key"].id == "an-id"


def test_a_ledger_that_was_removed_is_not_begun_again(output: Path, ledger: Ledger) -> None:
    file = ledger.folder / "ledger.jsonl"
    # Nor does a fact without its claim begin one.
    for writes in (ledger.write, lambda key, fact: append(ledger.folder, Entry(0.0, key, fact))):
        with pytest.raises(FileNotFoundError):
            writes("owner-0", CREATED)
    claim(ledger)
    file.unlink()
    removed = ": it was removed, or replaced, while the run used it\n"
    assert removed in refusal(lambda: claim(ledger))
    assert not file.exists()
    begun(output, "gw0").claim_key("k", CLAIM)
    assert removed in refusal(lambda: claim(ledger, most=9))
    shutil.rmtree(output)
    assert "can't be written" in refusal(lambda: claim(ledger))


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


def test_the_end_of_the_clean_up_is_told_only_where_there_is_a_ledger(ledger: Ledger) -> None:
    ledger.mark_ended()
    assert ledger.read().size == 0
    claim(ledger)
    assert not ledger.read().ended
    ledger.mark_ended()
    assert (ledger.read().ended, ledger.read().problems) == (True, [])
    file = ledger.folder / "ledger.jsonl"
    assert ledger.read().size == file.stat().st_size
    file.unlink()
    file.mkdir()
    ledger.mark_ended()  # Where it can't be, it is not told.


def test_what_nobody_need_try_again_is_told_with_the_reason(output: Path, ledger: Ledger) -> None:
    ledger.refute("chat", "test_a", "it is cut")
    reading = ledger.look()
    told = {"chat": Refuted("chat", "test_a", "it is cut")}
    assert (reading.refuted, reading.problems) == (told, [])
    for what in ("chat", "what nobody has told"):
        ledger.refute(what, "test_a", None)
    assert ledger.look().refuted == {}
    # Whoever boots it anew has seen what was written before.
    for share in ("another", CLAIM.share):
        ledger.refute(share_name(str(share), SPEC), "test_a", "it is 'failed'")
    claim(ledger)
    assert [*ledger.look().refuted] == [share_name("another", SPEC)]
    never = output.parent / "never"
    Ledger(never, "owner").refute("chat", "test_a", "no room")
    Ledger(never, "owner").end()
    assert not never.exists()


# Slots


def test_slots_are_counted_from_0_and_end_at_the_limit(ledger: Ledger) -> None:
    assert claim(ledger, 1, most=3) == ["owner-0"]
    told = refusal(lambda: claim(ledger, 3, most=3))
    assert told == (
        "no room for 3 more: max_instances allows 3 in a run\n  next step: raise "
        "HYDRA_SMOKE_MAX_INSTANCES, share instances (scope), or leave out the bundled checks, "
        "which take one (bundled_checks = false)"
    )
    assert claim(ledger, 2, most=3) == ["owner-1", "owner-2"]
    assert refusal(lambda: claim(ledger, 1, most=3)).startswith("no room for 1 more: ")
    # What was not sent is free again, and what was refused counts for nothing.
    ledger.write("owner-1", Became(State.UNUSED))
    ledger.write("owner-2", Became(State.REFUSED))
    assert claim(ledger, 2, most=3) == ["owner-1", "owner-3"]


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
        for name in ("main", "gw0")
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    assert "another process holds it: give each run its own" in refusal(lambda: begun(output))
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    keys = [key for process in processes for key in process.communicate()[0].split()]
    assert sorted(keys) == sorted(f"owner-{slot}" for slot in range(20))
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
    assert not (main.folder / "live" / ".lock").exists(), "nobody has no name"
    main.end()
    assert (is_live(main.folder), has_main_process(output, "owner")) == (True, False)
    assert (worker.has_seen("main"), worker.other_lives("main")) == (True, False)
    worker.end()
    assert not is_live(main.folder)
    assert [entry.key for entry in main.read().open] == ["owner-0"]


def test_a_run_id_used_before_is_refused(output: Path, ledger: Ledger) -> None:
    command = "hydra-smoke sweep --run-id owner"
    advice = f"give every run an id of its own; to delete what that one left: {command}"
    for _ in range(2):
        ledger.stop()
        assert (ledger.is_over, ledger.was_swept) == (True, False)
    used = "run id used before: its main process has declared run owner over"
    assert refusal(lambda: begun(output, "gw0")) == f"{used}\n  next step: {advice}"
    (ledger.folder / "stopped").unlink()
    claim(ledger)
    begun(output, "gw0").end()  # a worker's run has one as a matter of course
    ledger.end()
    used = f"run id used before: run owner has left a ledger in {ledger.folder}"
    assert refusal(lambda: begun(output)) == f"{used}\n  next step: {advice}"
    assert not is_live(ledger.folder)
    for _ in range(2):
        mark_run_over(output, "buried")
    assert Ledger(output, "buried").was_swept
    assert "declared run buried over" in refusal(lambda: begun(output, run_id="buried"))
    assert not is_live(folder_of(output, "buried"))


def test_the_folder_goes_once_all_is_confirmed(output: Path, ledger: Ledger) -> None:
    discard_if_done(ledger.folder)
    assert ledger.folder.is_dir()
    claim(ledger)
    for fact in (CREATED, DELETED):
        ledger.write("owner-0", fact)
        discard_if_done(ledger.folder)
    assert run_folders(output) == [ledger.folder], "it is still live"
    for _ in range(2):
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
    ledger.write("owner-0", DELETED)
    allowed = iter([Path.read_bytes] * reads)

    def at_first(path: Path) -> bytes:
        for read in allowed:
            return read(path)
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", at_first)
        ledger.end()
    assert (ledger.folder / "ledger.jsonl").exists()


# Without a ledger nothing is provisioned


def test_a_full_disk_is_no_line_written_and_a_fact_on_it_a_note(
    fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_for(fake, output)
    run = run_for(config)
    [instance] = run.claim(config.spec)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, line: len(line) - 1)
        full = "can't be written: the disk is full"
        assert full in refusal(lambda: run.provision(config.spec))
        instance.state = State.REQUESTED
        instance.becomes(State.ACCEPTED)
    assert list(instance.notes) == ["not in the ledger: accepted (the disk is full)"]
    assert run.ledger.read().instances["owner-0"].state is State.CLAIMED
    assert "provision" not in {request.route for request in fake.requests}
    run.ledger.end()


def test_a_folder_that_cant_be_written_is_a_usage_error(
    live: Callable[..., pytest.RunResult], fake: FakeRouter, pytester: pytest.Pytester
) -> None:
    pytester.makefile("", taken="a file where the folder should be")
    result = live("def test_a(smoke_instance): pass", "--hydra-smoke-output", "taken")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*the ledger in */taken/runs/* can't be written*", "*give another --hydra-smoke-output*"]
    )
    assert "provision" not in {request.route for request in fake.requests}


ADVICE = "without it a killed run could leak: give another --hydra-smoke-output"


def test_why_a_folder_can_not_be_used_is_told_in_whole(
    output: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file, held = ledger.folder, ledger.folder / "ledger.jsonl", ledger.folder / "held"

    def check(why: str, *works: Callable[[], object]) -> None:
        told = f"the ledger in {folder} can't be written: {why}\n  next step: {ADVICE}"
        assert [refusal(work) for work in works] == [told] * len(works)

    file.mkdir()
    why = f"[Errno 21] Is a directory: '{file}'"
    check(why, ledger.look, lambda: claim(ledger), lambda: ledger.claim_key("a-key", CLAIM))
    file.rmdir()
    held.write_text("taken", "utf-8")
    why = f"[Errno 20] A link, or not a folder: '{held}'"
    check(why, lambda: ledger.hold(ledger.lock_of("a"), list), lambda: ledger.hold_if_free("a"))
    with Lock(folder / "slots.lock") as slots:
        assert slots.acquire()
        monkeypatch.setattr(ledger_module, "SLOTS_TIMEOUT", 0.05)
        check(f"another process holds {folder / 'slots.lock'}", lambda: claim(ledger))
    held.unlink()
    monkeypatch.setattr(Lock, "acquire", lambda self, within=0.0: False)
    check("another process holds it: give each run its own id", lambda: begun(output))


def test_a_folder_that_is_a_file_and_a_name_that_leads_out_are_told(output: Path) -> None:
    output.write_text("taken", "utf-8")
    folder = folder_of(output, "owner")
    told = refusal(lambda: begun(output))
    assert told.startswith(f"the ledger in {folder} can't be written: [Errno ")
    assert told.endswith(f"\n  next step: {ADVICE}")
    told = refusal(lambda: mark_run_over(output, "owner"))
    assert told.startswith(f"{folder} can't be written: [Errno ")
    assert told.endswith("\n  next step: give another folder with --output")
    assert refusal(lambda: begun(output, "main", "../run")).startswith("the run id ")
    assert refusal(lambda: begun(output, "../main")).startswith("the worker's name ")
