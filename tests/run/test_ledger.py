"""The ledger: what is on the disk when, and what is read back whatever happened to it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
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

from pytest_hydrasmoke import ConfigError, InstanceSpec
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._run import ledger as ledger_module
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.ledger import (
    Intent,
    Ledger,
    append,
    discard_if_done,
    mark_run_over,
    read,
)
from pytest_hydrasmoke._run.ledger_lines import Reading, parse
from pytest_hydrasmoke._run.locks import Lock, is_live
from pytest_hydrasmoke.fake import FakeRouter

URL = "http://127.0.0.1:9"
REST: dict[str, Any] = {"schema": 3, "spec": {}, "share": None, "fake": False}
"""What a claim says beside its key and its router."""
CLAIM = json.dumps({"key": "k", "state": "claimed", "url": URL, **REST}).encode()


def begun(output: Path, run_id: str = "owner", name: str = "main") -> Ledger:
    ledger = Ledger(output, run_id)
    ledger.begin(name)
    return ledger


def claim(ledger: Ledger, number: int = 1, most: int = 4) -> list[str] | None:
    return ledger.claim(Intent(SPEC, URL), number, most)


# On the disk


def test_another_process_of_the_run_lives_as_long_as_it_holds_its_lock(output: Path) -> None:
    main, worker = begun(output), begun(output, name="gw0")
    assert (main.other_lives("gw0"), worker.other_lives("main")) == (True, True)
    assert not main.other_lives("main"), "itself is no other"
    assert not main.other_lives("")
    worker.end()
    assert not main.other_lives("gw0")


def test_a_ledger_that_was_removed_is_not_begun_again(output: Path) -> None:
    ledger = begun(output)
    claim(ledger)
    file = ledger.folder / "ledger.jsonl"
    file.unlink()
    with pytest.raises(ConfigError, match="it was removed, or replaced, while the run used it"):
        claim(ledger)
    assert not file.exists()
    begun(output, name="gw0").claim_key("k", Intent(SPEC, URL))
    with pytest.raises(ConfigError, match="removed, or replaced"):
        claim(ledger, most=9)
    shutil.rmtree(output)
    with pytest.raises(ConfigError, match="can't be written"):
        claim(ledger)


def test_the_claim_is_on_the_disk_before_the_request_leaves(
    fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    seen_at_sync: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(descriptor)
        seen_at_sync.append(sum("owner-0" in str(request) for request in fake.requests))

    monkeypatch.setattr(os, "fsync", noted)
    config = config_for(fake, output)
    with running(config) as session:
        session.provision(config.spec)
        states = [line["state"] for line in lines_of(session.ledger.folder)]
    assert states == ["claimed", "requested", "accepted", "created", "ready"]
    assert seen_at_sync[0] == 0
    assert len(synced) >= 5


def test_a_claim_says_what_a_sweep_needs_and_not_the_token(fake: FakeRouter, output: Path) -> None:
    config = config_for(fake, output, gone_statuses=["buried"])
    session = session_for(config)
    session.claim(config.spec)
    folder = folder_of(output, "owner")
    [line] = lines_of(folder)
    assert line["key"] == "owner-0"
    assert line["url"] == fake.url
    assert line["spec"] == {**SPEC, "agent_name": None}
    assert (line["state"], line["share"], line["fake"]) == ("claimed", None, False)
    assert "buried" not in str(line), "what an answer means is not a ledger's to say"
    assert "at" in line
    for file in output.rglob("*"):
        assert file.is_dir() or fake.token.encode() not in file.read_bytes()
    session.ledger.end()


def test_nobody_else_can_read_it(output: Path) -> None:
    before = os.umask(0)
    try:
        ledger = begun(output)
        claim(ledger)
    finally:
        os.umask(before)
    file = ledger.folder / "ledger.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((ledger.folder / "live").stat().st_mode) == 0o700
    ledger.end()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_ignores_the_folder(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    ledger = begun(tmp_path / ".hydrasmoke")
    claim(ledger)
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=tmp_path, check=True, capture_output=True
    )
    assert status.stdout == b""
    ledger.end()


def test_a_full_disk_is_no_line_written(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = begun(output)
    monkeypatch.setattr(os, "write", lambda descriptor, line: len(line) - 1)
    with pytest.raises(ConfigError, match="can't be written: the disk is full"):
        claim(ledger)
    ledger.end()


def test_a_fact_that_cant_be_written_is_a_note_in_the_summary(
    fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_for(fake, output)
    session = session_for(config)
    [record] = session.claim(config.spec)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, line: 0)
        record.becomes(State.ACCEPTED)
    assert record.notes == ["not in the ledger: accepted (the disk is full)"]
    assert reading_of(config).entries["owner-0"].state is State.CLAIMED
    session.ledger.end()


# Half-written and foreign lines


def test_a_fact_has_the_id_by_which_a_sweep_deletes(output: Path) -> None:
    ledger = begun(output)
    claim(ledger)
    ledger.write("owner-0", State.CREATED, "an-id")
    assert ledger.read().entries["owner-0"].id == "an-id"


def test_a_fact_without_its_claim_begins_no_ledger(output: Path) -> None:
    ledger = begun(output)
    with pytest.raises(FileNotFoundError):
        append(ledger.folder, {"key": "owner-0", "state": State.CREATED, "id": "an-id"})
    assert not (ledger.folder / "ledger.jsonl").exists()


@pytest.mark.parametrize(
    ("run_id", "name", "what"),
    [("../run", "main", "run id"), ("run", "../main", "worker's name")],
)
def test_a_name_that_leads_out_is_named(output: Path, run_id: str, name: str, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"^the {what} .*'\.\./"):
        begun(output, run_id, name)


def test_a_half_written_line_is_reported_and_spoils_no_other(output: Path) -> None:
    ledger = begun(output)
    claim(ledger)
    file = ledger.folder / "ledger.jsonl"
    with file.open("a") as half:
        half.write('\n{"key": "owner-1", "state": "cla')
    append(ledger.folder, {"key": "owner-0", "state": State.CREATED, "id": "an-id"})
    reading = ledger.read()
    assert reading.entries["owner-0"].state is State.CREATED
    assert reading.problems == ["line 4 can't be read, and is skipped"]
    ledger.end()
    assert file.exists()


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b'"text"',
        b"{}",
        b'{"schema": 3}',
        b'{"key": "k", "state": "claimed", "schema": 3}',
        *(
            json.dumps({"key": "k", "state": "claimed", "url": URL, **REST, **wrong}).encode()
            for wrong in (
                {"key": 1},
                {"state": "unheard of"},
                {"state": ["claimed"]},
                {"url": 1},
                {"spec": 1},
                {"share": 1},
                {"schema": None},
            )
        ),
        b'{"schema": 3, "key": "k", "state": "created", "id": "no claim before it"}',
        b'{"schema": 3, "failure": "no room", "share": "s"}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"1" * 5000,
    ],
)
def test_a_line_that_is_none_of_ours_is_skipped(line: bytes) -> None:
    reading = parse(line)
    assert reading.entries == {}
    assert reading.problems == ["line 1 can't be read, and is skipped"]


def facts(*lines: dict[str, object]) -> Reading:
    """Read the claim of a key, and what follows it."""
    told = [json.dumps({"schema": 3, "key": "k", **line}).encode() for line in lines]
    return parse(b"\n".join((CLAIM, *told)))


KNOWN_OF = {
    # whether there was a row, and whether something may be left
    State.CLAIMED: (False, True),
    State.UNUSED: (False, False),
    State.REQUESTED: (False, True),
    State.ACCEPTED: (False, True),
    State.CREATED: (True, True),
    State.READY: (True, True),
    State.FAILED: (True, True),
    State.REFUSED: (False, True),
    State.ABSENT: (False, False),
    State.DELETING: (True, True),
    State.GONE: (True, True),
    State.DELETED: (False, False),
    State.KEPT: (True, True),
}


@pytest.mark.parametrize("known", [{"id": "an-id"}, {}], ids=["id", "no id"])
@pytest.mark.parametrize("state", State)
def test_each_state_says_whether_there_was_a_row_and_what_may_be_left(
    state: State, known: dict[str, str]
) -> None:
    row, left = KNOWN_OF[state]
    more = {"url": URL, **REST} if state is State.CLAIMED else {}
    reading = facts({"state": "accepted", **known}, {"state": state, **more, **known})
    entry = reading.entries["k"]
    assert entry.state is state
    assert (entry.had_row, entry.open) == (row and bool(known), left)
    assert (reading.open, reading.is_settled) == ([entry] * left, not left)


def test_only_an_answer_about_the_key_makes_an_instance_the_keys_own() -> None:
    reading = facts(
        {"state": "accepted", "id": "a"},
        {"state": "created", "id": "a"},
        {"state": "created", "id": "b"},
        {"state": "ready", "id": "stranger"},
        {"state": "deleting", "id": "b"},
    )
    [entry] = reading.open
    assert (entry.id, entry.ids, entry.deleted) == ("b", ["a", "b"], ["b"])


def test_a_ledger_tells_how_long_rows_and_boots_took() -> None:
    reading = facts(
        {"state": "created", "id": "a", "seconds": 2.5},
        {"state": "created", "id": "a", "seconds": 1},
        {"state": "ready", "id": "a", "seconds": 70},
        {"state": "gone", "id": "a", "seconds": 999},
    )
    assert (reading.row_lag, reading.boot) == (2.5, 70)
    assert reading.entries["k"].was_ready


def test_a_key_that_is_claimed_again_begins_afresh() -> None:
    text = b"\n".join((CLAIM, CLAIM.replace(b"claimed", b"unused"), CLAIM))
    [entry] = parse(text).open
    assert (entry.state, entry.ids) == (State.CLAIMED, [])


def test_what_the_bundled_fake_has_provisioned_is_never_open() -> None:
    reading = parse(CLAIM.replace(b'"fake": false', b'"fake": true'))
    assert (reading.open, reading.is_settled) == ([], True)


def test_the_end_of_the_clean_up_is_told_only_where_there_is_a_ledger(output: Path) -> None:
    ledger = begun(output)
    ledger.mark_ended()
    assert not ledger.read().written
    claim(ledger)
    assert not ledger.read().ended
    ledger.mark_ended()
    assert (ledger.read().ended, ledger.read().problems) == (True, [])
    assert ledger.read().size == (ledger.folder / "ledger.jsonl").stat().st_size
    ledger.end()


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (b"", False),
        (b"\n \n", True),
        (b"nonsense", True),
        (b'{"failure": "no room", "share": "s", "spec": {}, "schema": 3}', True),
    ],
)
def test_a_ledger_with_anything_in_it_is_written(text: bytes, written: bool) -> None:
    assert parse(text).written is written


def test_an_id_that_is_no_text_leaves_the_fact(output: Path) -> None:
    reading = facts({"state": "created", "id": 7})
    assert reading.problems
    assert reading.entries["k"].open
    assert not reading.entries["k"].had_row


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
    assert len(fake.instances) == 1
    assert alive(fake) == []


@given(st.binary())
def test_whatever_the_bytes_reading_never_fails(text: bytes) -> None:
    parse(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
FIELD = st.sampled_from(
    ["key", "state", "url", "share", "spec", "id", "schema", "seconds", "ended"]
)
WORD = st.sampled_from([*State, "key-1", "key-2", 3, 0.5, True])


@given(st.lists(st.dictionaries(FIELD, WORD | st.just({}) | JSON)))
def test_whatever_the_json_reading_never_fails(lines: list[dict[str, Any]]) -> None:
    text = "\n".join(json.dumps(line) for line in lines)
    reading = parse(text.encode())
    for entry in reading.entries.values():
        assert entry.open or not entry.had_row or entry.fake


@given(
    told=st.lists(
        st.tuples(st.sampled_from(list(State)), st.none() | st.text(min_size=1)), max_size=5
    ),
    key=st.text(),
)
def test_what_is_noted_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[State, str | None]], key: str
) -> None:
    folder = tmp_path_factory.mktemp("run")
    last_id, state = None, State.CLAIMED
    for state, instance_id in [(State.CLAIMED, None), *told]:
        more = {"url": URL, **REST} if state is State.CLAIMED else {}
        fact = {**more, "key": key, "state": state, "id": instance_id}
        append(folder, fact, make=state is State.CLAIMED)
        last_id = None if state is State.CLAIMED else instance_id or last_id
    reading = read(folder)
    assert reading.problems == []
    assert list(reading.entries) == [key]
    entry = reading.entries[key]
    assert (entry.state, entry.id) == (state, last_id)


# Slots


def test_slots_are_counted_from_0_and_end_at_the_limit(output: Path) -> None:
    ledger = begun(output)
    assert claim(ledger, 1, most=3) == ["owner-0"]
    assert claim(ledger, 3, most=3) is None
    assert claim(ledger, 2, most=3) == ["owner-1", "owner-2"]
    assert claim(ledger, 1, most=3) is None
    ledger.end()


def test_the_key_of_a_refused_request_takes_no_slot_and_is_never_used_again(
    fake: FakeRouter, output: Path
) -> None:
    config = config_for(fake, output, max_instances=1)
    fake.fail("provision", status=422)
    with running(config) as session:
        with pytest.raises(Exception, match="422"):
            session.provision(config.spec)
        assert reading_of(config).entries["owner-0"].state is State.REFUSED
        instance = session.provision(config.spec)
        assert instance.idempotency_key == "owner-1"
        assert reading_of(config).entries["owner-0"].state is State.REFUSED


def test_the_key_of_what_was_never_sent_is_used_again(fake: FakeRouter, output: Path) -> None:
    config = config_for(fake, output, max_instances=1)
    with running(config) as session:
        session.dispose(session.claim(config.spec))
        assert reading_of(config).entries["owner-0"].state is State.UNUSED
        assert session.provision(config.spec).idempotency_key == "owner-0"


CLAIMS = """
import sys
from pathlib import Path
from pytest_hydrasmoke._run.ledger import Intent, Ledger
ledger = Ledger(Path(sys.argv[1]), "owner")
ledger.begin(sys.argv[2])
for _ in range(10):
    print(*ledger.claim(Intent({}, "http://127.0.0.1:9"), 1, 1000))
"""


def test_processes_never_take_the_same_slot(output: Path) -> None:
    command = [sys.executable, "-c", CLAIMS, str(output)]
    processes = [
        subprocess.Popen([*command, f"gw{number}"], stdout=subprocess.PIPE, text=True)
        for number in range(3)
    ]
    keys = [key for process in processes for key in process.communicate()[0].split()]
    assert sorted(keys) == sorted(f"owner-{slot}" for slot in range(30))


def test_a_slot_that_nobody_gives_up_is_an_error(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "SLOTS_TIMEOUT", 0.05)
    ledger = begun(output)
    with Lock(ledger.folder / "slots.lock") as slots:
        assert slots.acquire()
        with pytest.raises(ConfigError, match=r"another process holds .*slots\.lock"):
            claim(ledger)
    ledger.end()


# Alive or over


def test_a_run_is_live_as_long_as_one_of_its_processes_is(output: Path) -> None:
    main, worker = begun(output), begun(output, name="gw0")
    claim(main)
    assert is_live(main.folder)
    main.end()
    assert is_live(main.folder)
    worker.end()
    assert not is_live(main.folder)
    assert not is_live(output / "never")


def test_a_run_id_in_use_is_refused(output: Path) -> None:
    command = [sys.executable, "-c", CLAIMS.replace("for _", "print(flush=True); input()\nfor _")]
    other = subprocess.Popen(
        [*command, str(output), "main"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    other.stdout.readline()
    with pytest.raises(ConfigError, match="another process holds it: give each run its own"):
        begun(output)
    other.communicate("\n")
    assert not is_live(folder_of(output, "owner"))


def test_a_run_id_that_has_left_a_ledger_is_refused(output: Path) -> None:
    first = begun(output)
    claim(first)
    first.end()
    with pytest.raises(ConfigError, match="run owner has left a ledger in"):
        begun(output)


def test_a_run_that_a_sweep_has_buried_does_not_begin(output: Path) -> None:
    mark_run_over(output, "owner")
    with pytest.raises(ConfigError, match="a sweep has declared run owner over"):
        begun(output)
    assert not is_live(folder_of(output, "owner"))


def test_a_buried_run_provisions_and_chats_no_more(fake: FakeRouter, output: Path) -> None:
    config = config_for(fake, output)
    with running(config) as session:
        instance = session.provision(config.spec)
        [claimed] = session.claim(config.spec)
        mark_run_over(output, "owner")
        with pytest.raises(ConfigError, match="run owner is over"):
            instance.chat("hello")
        with pytest.raises(ConfigError, match="run owner is over"):
            session.provision(config.spec)
        with pytest.raises(ConfigError, match="run owner is over"):
            claimed.permit()
    assert [request.route for request in fake.requests].count("provision") == 1
    assert not any(request.route == "chat" for request in fake.requests)
    assert alive(fake) == []


def test_a_run_can_stop_its_other_processes(output: Path) -> None:
    ledger = begun(output)
    ledger.stop()
    assert ledger.is_over
    ledger.end()
    ledger.stop()  # Where the folder is gone, nobody is left to be stopped.
    ledger.end()
    assert not ledger.folder.exists()


def test_the_folder_goes_once_all_is_confirmed(output: Path) -> None:
    ledger = begun(output)
    claim(ledger)
    ledger.write("owner-0", State.CREATED, "an-id")
    discard_if_done(ledger.folder)
    ledger.write("owner-0", State.DELETED, "an-id")
    discard_if_done(ledger.folder)
    assert ledger.folder.exists()  # It is still live.
    assert run_folders(output) == [ledger.folder]
    ledger.end()
    ledger.end()
    assert not ledger.folder.exists()
    assert run_folders(output) == []
    assert run_folders(output / "never") == []


def test_the_folder_stays_while_something_is_open(output: Path) -> None:
    ledger = begun(output)
    claim(ledger)
    ledger.end()
    assert [entry.key for entry in read(ledger.folder).open] == ["owner-0"]


def test_a_ledger_that_is_not_known_to_be_settled_stays(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = begun(output)
    claim(ledger)
    ledger.write("owner-0", State.DELETED, None)

    def unreadable(folder: Path) -> None:
        raise PermissionError("not yours")

    with monkeypatch.context() as patched:
        patched.setattr(ledger_module, "read", unreadable)
        ledger.end()
    assert (ledger.folder / "ledger.jsonl").exists()


def test_a_ledger_that_cant_be_read_is_not_discarded(output: Path) -> None:
    folder = folder_of(output, "owner")
    (folder / "ledger.jsonl").mkdir(parents=True)
    discard_if_done(folder)
    assert folder.exists()


# Without a ledger nothing is provisioned


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


def test_a_ledger_that_can_no_longer_be_written_refuses_to_provision(
    fake: FakeRouter, output: Path
) -> None:
    config = config_for(fake, output)
    session = session_for(config)
    learned = fake.requests
    (session.ledger.folder / "ledger.jsonl").mkdir()
    with pytest.raises(ConfigError, match="can't be written"):
        session.provision(InstanceSpec(**SPEC))
    with pytest.raises(ConfigError, match="can't be written"):
        session.claim_key(InstanceSpec(**SPEC), "no-slot's")
    assert fake.requests == learned
    session.ledger.end()


# Ledgers of other releases


@pytest.mark.parametrize("schema", [2, 4])
def test_a_ledger_of_another_schema_is_told_as_such_in_one_sentence(schema: int) -> None:
    other = CLAIM.replace(b'"schema": 3', f'"schema": {schema}'.encode())
    reading = parse(other + b"\n" + other)
    words = f"line 1 is of schema {schema}, and this release reads schema 3 alone"
    assert reading.problems == [words]
    assert not reading.is_settled


@pytest.mark.parametrize("schema", ["null", '"three"', "[]"])
def test_a_line_of_no_schema_can_not_be_read(schema: str) -> None:
    reading = parse(CLAIM.replace(b'"schema": 3', f'"schema": {schema}'.encode()))
    assert reading.problems == ["line 1 can't be read, and is skipped"]
