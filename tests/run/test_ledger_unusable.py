"""Without a ledger nothing is provisioned: what is said where it can't be used."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_tools import CLAIM, begun, claim, refusal
from owner_tools import config_for, reading_of, session_for

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run import ledger as ledger_module
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.ledger import Ledger, mark_run_over
from pytest_hydrasmoke._run.locks import Lock
from pytest_hydrasmoke.fake import FakeRouter


def test_a_full_disk_is_no_line_written_and_a_fact_on_it_a_note(
    fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_for(fake, output)
    session = session_for(config)
    [record] = session.claim(config.spec)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, line: len(line) - 1)
        with pytest.raises(ConfigError, match="can't be written: the disk is full"):
            claim(session.ledger)
        record.becomes(State.ACCEPTED)
    assert list(record.notes) == ["not in the ledger: accepted (the disk is full)"]
    assert reading_of(config).instances["owner-0"].state is State.CLAIMED
    session.ledger.end()


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
    for work in (
        lambda: session.provision(config.spec),
        lambda: session.claim_key(config.spec, "no-slot's"),
    ):
        assert "can't be written" in refusal(work)
    assert fake.requests == learned
    session.ledger.end()


ADVICE = "without it a killed run could leak: give another --hydra-smoke-output"


def unusable(folder: Path, why: str) -> str:
    return f"the ledger in {folder} can't be written: {why}\n  next step: {ADVICE}"


def test_why_a_folder_can_not_be_used_is_told_in_whole(
    output: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = ledger.folder, ledger.folder / "ledger.jsonl"
    file.mkdir()
    why = f"[Errno 21] Is a directory: '{file}'"
    for work in (ledger.look, lambda: claim(ledger), lambda: ledger.claim_key("a-key", CLAIM)):
        assert refusal(work) == unusable(folder, why)
    file.rmdir()
    (folder / "held").write_text("taken", "utf-8")
    why = f"[Errno 20] A link, or not a folder: '{folder / 'held'}'"
    assert refusal(lambda: ledger.hold("a", lambda: None)) == unusable(folder, why)
    with Lock(folder / "slots.lock") as slots:
        assert slots.acquire()
        monkeypatch.setattr(ledger_module, "SLOTS_TIMEOUT", 0.05)
        why = f"another process holds {folder / 'slots.lock'}"
        assert refusal(lambda: claim(ledger)) == unusable(folder, why)
    (folder / "held").unlink()
    monkeypatch.setattr(Lock, "acquire", lambda self, within=0.0: False)
    why = "another process holds it: give each run its own id"
    assert refusal(lambda: begun(output)) == unusable(folder, why)


def test_a_folder_that_is_a_file_is_told(output: Path) -> None:
    output.write_text("taken", "utf-8")
    folder = folder_of(output, "owner")
    told = refusal(lambda: begun(output))
    assert told.startswith(f"the ledger in {folder} can't be written: [Errno ")
    assert told.endswith(f"\n  next step: {ADVICE}")
    told = refusal(lambda: mark_run_over(output, "owner"))
    assert told.startswith(f"{folder} can't be written: [Errno ")
    assert told.endswith("\n  next step: give another folder with --output")


@pytest.mark.parametrize(
    ("run_id", "name", "what"),
    [("../run", "main", "run id"), ("run", "../main", "worker's name")],
)
def test_a_name_that_leads_out_is_named(output: Path, run_id: str, name: str, what: str) -> None:
    with pytest.raises(ConfigError, match=rf"^the {what} .*'\.\./"):
        begun(output, name, run_id)
