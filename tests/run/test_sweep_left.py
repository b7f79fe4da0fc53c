"""What a sweep can't delete, read or ask for: it says so, and by its exit code."""

from __future__ import annotations

import fcntl
import io
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handlers import as_in_a_terminal
from owner_tools import open_keys
from plugin_tools import count, until
from sweeping import Bench

from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run import ledger as ledger_module
from pytest_hydrasmoke._run import locks as locks_module
from pytest_hydrasmoke._run.sweep import LEFT
from pytest_hydrasmoke._run.swept_key import End, SweptKey
from pytest_hydrasmoke.fake import FakeRouter

DENIED = PermissionError(13, "Permission denied")


def unreadable(folder: Path) -> Any:
    raise DENIED


def closed(bench: Bench, place: Path) -> None:
    """Close a folder, to root as well: nothing in it can be looked at."""
    place.mkdir(parents=True)
    scandir, lstat = os.scandir, Path.lstat

    def scan(folder: Any = ".") -> Any:
        return unreadable(folder) if Path(folder) == place else scandir(folder)

    bench.patch.setattr(os, "scandir", scan)
    bench.patch.setattr(
        Path, "lstat", lambda path: unreadable(path) if path.parent == place else lstat(path)
    )


# One thing is left


def refused(bench: Bench) -> str:
    [left] = bench.killed()
    bench.fake.fail("delete", status=403)
    return f"{left} (key owner-0): delete was refused with 403: Forbidden\n"


def no_locks(bench: Bench) -> str:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(38, "Function not implemented")

    bench.killed()
    bench.patch.setattr(fcntl, "flock", flock)
    return "run owner: cannot find out whether it is alive ([Errno 38] Function not implemented)"


def no_instance_in_a_row(bench: Bench) -> str:
    row = {"idempotency_key": "owner-0", "found": True, "instance_id": None, "status": "queued"}
    bench.fake.fail("poll", status=200, after=1, times=99, body=row)
    bench.claim("owner-0")
    return "(key owner-0): the router has a row for its key, but names no instance\n"


def fault_of_our_own(bench: Bench) -> str:
    asked: list[str] = []

    async def broken(it: SweptKey, _calls: object, _now: float) -> None:
        asked.append(it.key)
        if len(asked) > 9:
            it.end, it.words = End.LEFT, "it is asked for without end"
            return
        raise FileNotFoundError("no such thing")

    [instance] = bench.killed()
    bench.patch.setattr(SweptKey, "_begin", broken)
    return f"{instance} (key owner-0): FileNotFoundError('no such thing')\n"


def folder_that_nobody_can_look_into(bench: Bench) -> str:
    closed(bench, bench.of("owner"))
    return "owner: it can't be read: [Errno 13] Permission denied; it is left alone\n"


@pytest.mark.parametrize(
    "arrange",
    [refused, no_locks, no_instance_in_a_row, fault_of_our_own, folder_that_nobody_can_look_into],
)
def test_what_is_left_is_told_and_stays_open(bench: Bench, arrange: Callable[[Bench], str]) -> None:
    told_then = arrange(bench)
    code, told = bench.sweep(wait=0.3)
    assert code == 1
    assert f"LEFT     {told_then}" in told
    assert told.count("LEFT     ") == 1
    assert told.endswith(f"{LEFT}: sweep again, or ask who runs the router\n")
    bench.patch.undo()
    if arrange is not folder_that_nobody_can_look_into:
        assert len(open_keys(bench.output)) == 1


def test_keys_of_others_are_left_and_other_routers_hear_nothing(bench: Bench) -> None:
    with FakeRouter(bench.fake.scenario, bench.fake.token) as other:
        bench.router = other
        bench.killed(run_id="elsewhere")
        bench.router = bench.fake
        bench.killed()
        bench.killed(output=bench.folder / "elsewhere", run_id="stranger")
        bench.claim("stranger-0", run_id="owner")
        far = "https://other.example"
        for slot in (1, 2, 3, 7):
            bench.claim(f"owner-{slot}", far)
        odd = ["http://router.example", "https://user:pass@router.example", "ftp://[router.example"]
        odd += ["", f"{bench.router.url}/staging"]
        for slot, url in enumerate(odd, 20):
            bench.claim(f"owner-{slot}", url)
        before = len(other.requests)
        code, told = bench.sweep()
        assert (code, bench.alive, len(other.requests)) == (1, ["stranger-0"], before)
        elsewhere = other.url
    where = "another router's: sweep with HYDRA_SMOKE_URL"
    assert sorted(line for line in told.splitlines() if line.startswith("LEFT")) == sorted(
        [
            f"LEFT     (key elsewhere-0): it is {where}={elsewhere}",
            "LEFT     (key stranger-0): its ledger is run owner's, which has not claimed it",
            f"LEFT     (4 keys: owner-1 to owner-3, owner-7): they are {where}={far}",
            *(
                f"LEFT     (key owner-{slot}): it is {where}={it}"
                for slot, it in enumerate(odd, 20)
            ),
        ]
    )
    assert len(bench.open) == 2 + 4 + len(odd)


# What can't be read


@pytest.mark.parametrize("how", [[], ["--run-id", "owner"]], ids=["all", "named"])
def test_a_ledger_that_cant_be_read_is_left_and_its_slots_are_asked_for(
    bench: Bench, how: list[str]
) -> None:
    bench.killed()
    bench.few_slots()
    bench.patch.setattr(ledger_module, "read", unreadable)
    code, told = bench.sweep(*how)
    assert (code, bench.alive) == (1, [])
    assert "LEFT     run owner: its ledger: the file can't be read (Permission denied)" in told
    assert (bench.of("owner") / "ledger.jsonl").exists()


def test_runs_that_cant_be_listed_are_an_error(bench: Bench) -> None:
    closed(bench, bench.runs)
    words = f"{bench.runs} can't be read (Permission denied): nobody knows what is left"
    code, told = bench.sweep()
    advice = "  next step: make it readable, or give another folder with --output"
    assert (code, told.splitlines()) == (4, [words, advice])
    bench.set(token="another-token")
    code, told = bench.sweep("--run-id", "owner")
    assert (code, f"at risk: {words}" in told) == (1, True)


def test_a_sweep_goes_on_where_its_reader_has_gone(bench: Bench) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    bench.killed(4)
    bench.patch.setattr(sys, "stdout", Gone())
    assert bench.sweep() == (0, "")
    assert (bench.alive, len(bench.fake.instances)) == ([], 4)


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
    bench.few_slots()
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
    [entry] = ledger_module.read(bench.of("owner")).open
    assert entry.state is State.READY
