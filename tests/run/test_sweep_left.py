"""What a sweep can't delete, read or ask for: it says so, and by its exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from handlers import as_in_a_terminal
from owner_tools import config_for, reading_of
from plugin_tools import count, until
from sweeping import Bench

from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run import ledger as ledger_module
from pytest_hydrasmoke._run import locks as locks_module
from pytest_hydrasmoke._run.case import Case, End
from pytest_hydrasmoke._run.sweep import LEFT

DENIED = PermissionError(13, "Permission denied")


def unreadable(folder: Path) -> Any:
    raise DENIED


def test_an_instance_that_had_a_row_and_has_none_now_is_gone(bench: Bench) -> None:
    [instance] = bench.killed()
    bench.fake.reset()
    # This sweep has deleted nothing, and does not say so.
    told = f"gone     {instance} (key owner-0)\n{bench.all_clear()}\n"
    assert bench.sweep(wait=60.0) == (0, told)


def test_what_the_router_refuses_to_delete_is_left(bench: Bench) -> None:
    bench.killed(2)
    bench.fake.fail("delete", status=403)
    code, told = bench.sweep()
    assert (code, told.count("LEFT     "), told.count("deleted  ")) == (1, 1, 1)
    assert told.endswith(f"{LEFT}: sweep again, or ask who runs the router\n")
    assert len(bench.open) == 1
    assert bench.sweep()[0] == 0


def test_a_fault_of_our_own_is_left_too(bench: Bench) -> None:
    asked: list[str] = []

    async def broken(case: Case, calls: object) -> None:
        asked.append(case.key)
        if len(asked) > 9:
            case.end, case.words = End.LEFT, "it is asked for without end"
            return
        raise FileNotFoundError("no such thing")

    [instance] = bench.killed()
    bench.patch.setattr(Case, "_delete", broken)
    code, told = bench.sweep()
    assert code == 1
    assert f"LEFT     {instance} (key owner-0): FileNotFoundError('no such thing')" in told
    assert bench.open == ["owner-0"]


def test_whatever_url_a_ledger_has_it_is_not_asked(bench: Bench) -> None:
    urls = [
        "http://router.example",
        "https://user:pass@router.example",
        "ftp://[router.example",
        "",
    ]
    for slot, url in enumerate(urls):
        bench.claim(f"owner-{slot}", url)
    code, told = bench.sweep()
    assert code == 1
    for slot in range(len(urls)):
        assert f"LEFT     (key owner-{slot}): it is another router's" in told
    assert (bench.polled, len(bench.open)) == ([], len(urls))


def test_keys_of_another_router_are_one_line(bench: Bench) -> None:
    other = "https://other.example"
    for slot in (0, 1, 2, 7):
        bench.claim(f"owner-{slot}", other)
    code, told = bench.sweep()
    assert (code, told.count("LEFT"), len(bench.open)) == (1, 1, 4)
    assert (
        "LEFT     (4 keys: owner-0 to owner-2, owner-7): they are another router's: "
        f"sweep with HYDRA_SMOKE_URL={other}\n"
    ) in told


def test_a_row_that_names_no_instance_is_left(bench: Bench) -> None:
    row = {"idempotency_key": "owner-0", "found": True, "instance_id": None, "status": "queued"}
    bench.fake.fail("poll", status=200, after=1, times=99, body=row)
    bench.claim("owner-0")
    code, told = bench.sweep(wait=0.3)
    assert code == 1
    assert "LEFT     (key owner-0): " in told
    assert "names no instance" in told


@pytest.mark.parametrize("how", [[], ["--run-id", "owner"]], ids=["all", "named"])
def test_a_ledger_that_cant_be_read_is_left_and_its_slots_are_asked_for(
    bench: Bench, how: list[str]
) -> None:
    bench.killed()
    bench.patch.setattr(ledger_module, "read", unreadable)
    code, told = bench.sweep(*how)
    assert (code, bench.alive) == (1, [])
    assert "LEFT     run owner: its ledger: the file can't be read (Permission denied)" in told
    assert (bench.of("owner") / "ledger.jsonl").exists()


def test_a_sweep_goes_on_where_its_reader_has_gone(bench: Bench) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    bench.killed(4)
    bench.patch.setattr(sys, "stdout", Gone())
    assert bench.sweep() == (0, "")
    assert (bench.alive, len(bench.fake.instances)) == ([], 4)


# Folders that can't be looked into


def closed(bench: Bench, place: Path) -> None:
    """Close a folder, to root as well: nothing in it can be looked at."""
    scandir, lstat = os.scandir, os.lstat

    def scan(folder: Any = ".") -> Any:
        if Path(folder) == place:
            raise DENIED
        return scandir(folder)

    def look(path: Any, **more: Any) -> os.stat_result:
        if Path(path).parent == place:
            raise DENIED
        return lstat(path, **more)

    bench.patch.setattr(os, "scandir", scan)
    bench.patch.setattr(os, "lstat", look)
    bench.patch.setattr(Path, "lstat", lambda path: look(path))


def test_runs_that_cant_be_listed_are_an_error(bench: Bench) -> None:
    bench.runs.mkdir(parents=True)
    closed(bench, bench.runs)
    words = f"{bench.runs} can't be read (Permission denied): nobody knows what is left"
    code, told = bench.sweep()
    assert (code, told.splitlines()[0]) == (4, words)
    assert "nothing is left" not in told
    bench.set(token="another-token")
    code, told = bench.sweep("--run-id", "owner")
    assert (code, f"at risk: {words}" in told) == (1, True)


def test_a_run_that_cant_be_looked_into_is_left(bench: Bench) -> None:
    folder = bench.of("owner")
    folder.mkdir(parents=True)
    closed(bench, folder)
    code, told = bench.sweep()
    assert code == 1
    assert "LEFT     owner: it can't be read: [Errno 13] Permission denied" in told


# Where the router can't be asked, or not to the end


def test_what_is_at_risk_is_named_where_the_router_refuses_the_token(bench: Bench) -> None:
    [first, second] = bench.killed(2)
    bench.claim("asked-0", "https://router.example")
    bench.claim("ended-0", fake=True)
    broken = bench.of("broken")
    broken.mkdir()
    (broken / "ledger.jsonl").write_text("{")
    bench.set(token="a-token-of-nobody")
    code, told = bench.sweep()
    at_risk = [
        "at risk: run asked: 1 key (asked-0), no instance known; some at https://router.example",
        "at risk: run broken: not all of its ledger can be read",
        f"at risk: run owner: 2 keys (owner-0 to owner-1), instances {first}, {second}",
    ]
    assert code == 1
    assert [line.strip() for line in told.splitlines() if "at risk" in line] == at_risk
    code, told = bench.sweep("--run-id", "owner")
    assert (code, told.count("at risk")) == (1, 1)
    for number in range(4):
        bench.claim(f"run{number}-0")
    lines = bench.sweep()[1].splitlines()
    assert lines[-2] == "         at risk: and 2 more runs"
    assert sum("at risk: run" in line for line in lines) == 5
    bench.patch.setattr(locks_module, "is_live", unreadable)
    bench.patch.setattr(ledger_module, "read", unreadable)
    assert "at risk: run owner: its ledger can't be read" in bench.sweep()[1]


@pytest.mark.parametrize(("named", "deletes"), [((), 1), (("--run-id", "owner"), 3)])
def test_an_instance_in_deletion_at_a_signal_is_left_and_not_unknown(
    bench: Bench, named: tuple[str, ...], deletes: int
) -> None:
    [instance] = bench.killed()
    bench.fake.fail("delete", status=503, times=10_000)

    def interrupt() -> None:
        until(lambda: count(bench.fake, "delete") >= deletes)
        signal.raise_signal(signal.SIGINT)

    timer = threading.Thread(target=interrupt)
    with as_in_a_terminal():
        timer.start()
        code, told = bench.sweep(*named, wait=0.0 if named else 0.6)
        timer.join()
    assert code == 130
    assert f"LEFT     {instance} (key owner-0): not confirmed as deleted" in told
    assert "interrupted" in told
    # Only keys that were not asked for to the end are unknown.
    assert "owner-0" not in told.partition("UNKNOWN")[2].partition("at risk")[0]
    [entry] = reading_of(config_for(bench.fake, bench.output)).open
    assert entry.state is State.READY
