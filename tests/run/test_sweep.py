"""`hydra-smoke sweep`: what it finds, in which folder, and how it looks for a run by its id."""

from __future__ import annotations

import fcntl
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from owner_tools import SPEC, age, lines_of
from plugin_tools import until
from sweeping import Bench, looked_up, no_longer_young

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._journal.events import Claimed
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run import folder as folder_module
from pytest_hydrasmoke._run.ledger import Ledger, mark_run_over
from pytest_hydrasmoke._run.slots import AHEAD
from pytest_hydrasmoke._run.swept import Swept
from pytest_hydrasmoke.fake import FakeRouter, Scenario


def test_it_deletes_what_a_killed_run_left_and_says_so_in_whole_lines(bench: Bench) -> None:
    ids = bench.killed(4)
    code, told = bench.sweep()
    assert (code, bench.alive) == (0, [])
    *lines, last = told.splitlines()
    assert sorted(lines) == sorted(f"deleted  {it} (key owner-{i})" for i, it in enumerate(ids))
    assert last == bench.all_clear()
    assert list(bench.runs.iterdir()) == []
    assert bench.sweep() == (0, f"{bench.all_clear(0)}\n")


def test_what_is_kept_is_swept_too_and_what_lives_is_passed_by(bench: Bench) -> None:
    with bench.living(run_id="kept", keep="always"):
        pass
    with bench.living():
        assert bench.alive == ["kept-0", "owner-0"]
        code, told = bench.sweep()
        assert (code, bench.alive) == (0, ["owner-0"])
        assert "live     run owner: skipped" in told


def test_a_run_of_which_nobody_can_tell_whether_it_lives_is_left(bench: Bench) -> None:
    bench.killed()

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(38, "Function not implemented")

    bench.patch.setattr(fcntl, "flock", no_locks)
    code, told = bench.sweep()
    assert (code, bench.alive) == (1, ["owner-0"])
    words = "LEFT     run owner: cannot find out whether it is alive ([Errno 38] Function not"
    assert words in told


def test_a_run_that_is_just_beginning_is_passed_by(bench: Bench) -> None:
    young = bench.of("young")
    young.mkdir(parents=True)
    assert "young    run young: it may be about to begin, skipped" in bench.sweep()[1]
    no_longer_young(young)
    assert bench.sweep()[0] == 0
    assert not young.exists()


def test_a_folder_that_vanishes_meanwhile_is_young(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder_module.age_of(output / "gone") == 0.0
    monkeypatch.setattr(folder_module, "swept_files", lambda folder: [folder / "swept-gone"])
    assert not folder_module.has_entries(output / "gone")


# Where ledgers are


ABOVE = "../../.hydrasmoke"


@pytest.fixture
def service(bench: Bench) -> Path:
    """A folder further down than where runs are called, which sweeps are called in."""
    folder = bench.folder / "services" / "agent"
    folder.mkdir(parents=True)
    bench.patch.chdir(folder)
    return folder


def test_without_ledger_or_run_id_there_is_nothing_to_go_by(bench: Bench) -> None:
    code, told = bench.sweep()
    assert code == 4
    assert f"there is no ledger: {bench.runs} does not exist" in told
    assert "name the run with --run-id" in told
    bench.killed(output=bench.folder / "elsewhere")
    code, told = bench.sweep("--output", "elsewhere")
    assert (code, bench.alive) == (0, [])
    assert told.splitlines()[-1] == bench.all_clear(output=bench.folder / "elsewhere")


def test_a_ledger_further_up_is_named_and_its_run_not_done_without_it(
    bench: Bench, service: Path
) -> None:
    bench.killed()
    code, told = bench.sweep()
    assert code == 4
    assert f"there is no ledger: {service / '.hydrasmoke' / 'runs'} does not exist" in told
    assert f"next step: {ABOVE} has one: give --output {ABOVE}" in told
    code, told = bench.sweep("--run-id", "owner")
    assert (code, bench.alive) == (1, [])
    assert f"LEFT     run owner: its ledger is in {ABOVE}: sweep with --output {ABOVE}" in told
    assert bench.sweep("--run-id", "owner", "--output", ABOVE)[0] == 0
    assert bench.sweep("--run-id", "owner")[0] == 0


def test_a_ledger_further_up_is_named_beside_one_that_is_here(bench: Bench, service: Path) -> None:
    [here] = bench.killed(output=service / ".hydrasmoke", run_id="here")
    bench.killed()
    code, told = bench.sweep()
    assert (code, told.splitlines()) == (
        0,
        [
            f"deleted  {here} (key here-0)",
            f"not read {ABOVE}: runs that were called there have left a ledger in it",
            bench.all_clear(output=service / ".hydrasmoke"),
        ],
    )
    assert bench.sweep("--output", ABOVE)[0] == 0
    assert bench.alive == []


# A key without a row


@pytest.fixture
def late(bench: Bench) -> Iterator[FakeRouter]:
    """A router with a row to come for `owner-0`, of a boot that takes an hour; sweeps go there."""
    slow = ((0.0, "queued"), (3600.0, "running"))
    with FakeRouter(Scenario(row_after=0.6, statuses=slow)) as router:
        bench.aim(router)
        bench.claim("owner-0", router.url)
        httpx.post(
            f"{router.url}/internal/v1/smoke/provision",
            json={"idempotency_key": "owner-0", **SPEC},
            headers={"authorization": f"Bearer {router.token}"},
        )
        yield router


def test_a_row_that_comes_is_deleted_in_its_boot_and_looked_at_again(
    bench: Bench, late: FakeRouter
) -> None:
    bench.set(row_settle=3600)
    code, told = bench.sweep(wait=10.0)
    [instance] = late.instances
    assert (code, instance.deleted, bench.open) == (0, True, ["owner-0"])
    assert "asking for up to 10 s for keys that have no row yet\n" in told
    assert "(key owner-0): was booting, deleted; sweep again in " in told
    assert told.splitlines()[-1].startswith("1 to be swept again; nothing else is left of 1 run ")
    age(bench.output, 61)
    assert bench.sweep() == (0, f"gone     {instance.id} (key owner-0)\n{bench.all_clear()}\n")


def test_what_is_deleted_in_its_boot_without_a_ledger_is_looked_at_again_too(
    bench: Bench, late: FakeRouter
) -> None:
    shutil.rmtree(bench.output)
    poll = f"{late.url}/internal/v1/smoke/instances/by-key/owner-0"
    said = {"authorization": f"Bearer {late.token}"}
    until(lambda: httpx.get(poll, headers=said).json()["found"])
    code, told = bench.sweep("--run-id", "owner")
    [instance] = late.instances
    assert (code, instance.deleted) == (0, True)
    assert f"booting  {instance.id} (key owner-0): was booting, deleted; sweep again in " in told
    assert told.splitlines()[-1].startswith("1 to be swept again; nothing else was found of ")
    # From now on no sweep need name the run.
    assert bench.sweep()[1].startswith("booting  ")
    age(bench.output, 61)
    assert bench.sweep() == (0, f"gone     {instance.id} (key owner-0)\n{bench.all_clear()}\n")
    assert not bench.of("owner").exists()


def test_a_key_that_never_gets_a_row_is_nothing_once_none_may_come(bench: Bench) -> None:
    bench.set(row_settle=900)
    folder = bench.claim("owner-0")
    for how in ((), ("--run-id", "owner")):
        code, told = bench.sweep(*how, wait=0.0)
        assert code == 1
        assert "unsure   (key owner-0): no row yet, one may come; sweep again in " in told
        assert bench.open == ["owner-0"]
    # A wait of 0 has asked once.
    assert bench.polled.count("owner-0") == 2
    bench.set(row_settle=0)
    code, told = bench.sweep(wait=1.0)
    assert (code, told.splitlines()[-1]) == (0, bench.all_clear())
    assert bench.polled.count("owner-0") > 3
    assert not (folder / "ledger.jsonl").exists()


# Dry run


def test_a_dry_run_only_tells(bench: Bench) -> None:
    [instance] = bench.killed()
    ended = bench.claim("ended-0", "http://127.0.0.1:9", fake=True)
    folder, url = bench.of("owner"), bench.router.url
    ledgers, seen = [lines_of(it) for it in (folder, ended)], bench.polled
    code, told = bench.sweep("--dry-run")
    assert (code, "ended" in told) == (1, False)
    assert f"would delete {instance} (key owner-0) at {url}" in told
    assert told.endswith("something may be left; this was a dry run\n")
    code, told = bench.sweep("--dry-run", "--run-id", "owner")
    assert code == 1
    assert f"would ask for (key owner-{AHEAD}) at {url}" in told
    assert (bench.polled, bench.alive) == (seen, ["owner-0"])
    assert [lines_of(it) for it in (folder, ended)] == ledgers
    assert not (folder / "over").exists()


def test_runs_of_the_fake_ended_with_it(bench: Bench) -> None:
    ledger = Ledger(bench.output, "owner", fake=True)
    ledger.begin("main")
    ledger.claim(Claimed(SPEC, url="http://127.0.0.1:9", fake=True), 1, 1)
    assert ledger._lock is not None
    ledger._lock.release()  # It was killed.
    assert bench.sweep() == (0, f"{bench.all_clear()}\n")
    assert bench.polled == []
    assert not ledger.folder.exists()


# Several at once


def test_two_sweeps_at_once_do_no_harm(bench: Bench) -> None:
    bench.killed(4)
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda: codes.append(main(["sweep", "--wait", "0.6"])))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (codes, bench.alive) == ([0, 0], [])
    assert not any(bench.runs.iterdir())


def test_a_folder_that_another_sweep_removes_meanwhile_needs_no_word(bench: Bench) -> None:
    bench.killed()
    real = Swept.learned

    def removed(swept: Swept, key: str, state: State, ids: Sequence[str]) -> None:
        shutil.rmtree(swept.folder)
        real(swept, key, state, ids)

    bench.patch.setattr(Swept, "learned", removed)
    assert bench.sweep()[0] == 0
    assert bench.alive == []


# The run that is swept


def test_a_run_buried_before_it_began_does_not_begin(
    live: Callable[..., pytest.RunResult], fake: FakeRouter, pytester: pytest.Pytester
) -> None:
    mark_run_over(pytester.path / ".hydrasmoke", "early")
    result = live("def test_a(smoke_instance): pass", "--hydra-smoke-run-id", "early")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*a sweep has declared run early over*"])
    assert not any(request.route == "provision" for request in fake.requests)


SPOILT: list[Callable[[str], str]] = [
    lambda text: text.replace('"clean"', '"another"'),
    lambda text: text.replace('"deleted"', '"leaked"'),
    lambda text: text[:40],
    lambda text: text.replace('"ended": null', '"ended": "did not end"'),
    lambda text: text.replace('"ended": null', '"ended": "refused: run id used before"'),
    lambda text: text.replace('"ready": ', '"row": '),
]
"""Reports of another run, with a leak, half written, not at its end, refused, and in its boot."""


def test_only_a_report_that_a_run_ended_well_spares_its_slots(
    bench: Bench, live: Callable[..., pytest.RunResult]
) -> None:
    given = ("--hydra-smoke-run-id=clean", f"--hydra-smoke-output={bench.output}")
    live("def test_a(smoke_instance): pass", *given).assert_outcomes(passed=1)
    bench.patch.chdir(bench.folder)
    clean = bench.output / "report.json"
    before = len(bench.polled)
    assert bench.sweep("--run-id", "clean", wait=3600) == (
        0,
        f"nothing is left of run clean: all keys in {clean} were asked for\n",
    )
    assert bench.polled[before:] == ["clean-0"]
    assert list(bench.runs.iterdir()) == []
    text, ahead = clean.read_text("utf-8"), bench.few_slots()
    for spoil in SPOILT:
        clean.write_text(spoil(text), "utf-8")
        bench.fake.reset()
        told = looked_up("clean", bench, ahead - 1)
        assert bench.sweep("--run-id", "clean", wait=0.1) == (0, f"{told}\n")
        assert f"clean-{ahead - 1}" in bench.polled
