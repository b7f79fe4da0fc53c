"""`hydra-smoke sweep`: what it finds, in which folder, and how it looks for a run by its id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from ledger_tools import refusal
from owner_tools import SPEC, age, lines_of
from plugin_tools import until
from sharing_tools import meanwhile
from sweeping import Bench, looked_up, no_longer_young

from pytest_hydrasmoke import SmokeInstance
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._journal.events import CleanedUp, Entry
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run import folder as folder_module
from pytest_hydrasmoke._run.ledger import append
from pytest_hydrasmoke._run.swept_run import AHEAD, NAMES
from pytest_hydrasmoke.fake import FakeRouter, Scenario


def test_it_deletes_what_dead_runs_left_passes_by_what_lives_and_tells_in_lines(
    bench: Bench,
) -> None:
    ids = bench.killed(4)
    with bench.living(run_id="kept", keep="always") as run:
        [kept] = run.instances
    # The bundled fake has ended with its run.
    bench.claim("faked-0", "http://127.0.0.1:9", fake=True)
    bench.claim("owner-9")
    young = bench.of("young")
    young.mkdir()
    with bench.living(run_id="alive"):
        would = f"would delete {kept.id} (key kept-0) at {bench.router.url}: it was kept\n"
        assert would in bench.sweep("--dry-run")[1]
        code, told = bench.sweep()
        assert (code, bench.alive, "faked-0" in bench.polled) == (0, ["alive-0"], False)
    *lines, last = told.splitlines()
    assert sorted(lines) == sorted(
        [
            *(f"deleted  {it} (key owner-{slot})" for slot, it in enumerate(ids)),
            f"deleted  {kept.id} (key kept-0): it was kept",
            "nothing  owner-9",
            "asking for up to 0.6 s for keys that have no row yet",
            "live     run alive: skipped",
            "young    run young: it may be about to begin, skipped",
        ]
    )
    assert last == bench.all_clear(3)
    no_longer_young(young)
    for runs in (2, 0):
        assert bench.sweep()[1].splitlines()[-1] == bench.all_clear(runs)
    assert list(bench.runs.iterdir()) == []


def test_a_folder_that_vanishes_meanwhile_is_young(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder_module.age_of(output / "gone") == 0.0
    monkeypatch.setattr(folder_module, "swept_files", lambda folder: [folder / "swept-gone"])
    assert not folder_module.has_entries(output / "gone")


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
    assert f"would ask for 78 keys: owner-1 to owner-{AHEAD}, owner-stranger_bare, " in told
    assert (bench.polled, bench.alive) == (seen, ["owner-0"])
    assert [lines_of(it) for it in (folder, ended)] == ledgers
    assert not (folder / "over").exists()


def test_a_dry_run_ends_as_a_sweep_would_for_what_its_run_and_sweeps_know(bench: Bench) -> None:
    bench.killed(2)
    bench.fake.fail("delete", status=403)
    assert bench.sweep(wait=0.0)[0] == 1
    # What an earlier sweep has deleted is no longer to be deleted.
    code, told = bench.sweep("--dry-run")
    assert (code, [key for key in ("owner-0", "owner-1") if key in told]) == (1, bench.alive)
    assert bench.sweep()[0] == 0
    for slot, state in enumerate((State.REFUSED, State.GONE)):
        bench.claim(f"green-{slot}")
        bench.write(f"green-{slot}", state, "green")
    before = sorted(bench.of("green").iterdir())
    asked = f"would ask for 2 keys: green-0 to green-1 at {bench.router.url}\n"
    assert bench.sweep("--dry-run") == (0, f"{asked}this was a dry run\n")
    assert sorted(bench.of("green").iterdir()) == before
    assert bench.sweep()[0] == 0


# Where ledgers are


def test_without_ledger_or_run_id_there_is_nothing_to_go_by(bench: Bench) -> None:
    code, told = bench.sweep()
    assert code == 4
    assert f"there is no ledger: {bench.runs} does not exist" in told
    assert "name the run with --run-id" in told
    bench.killed(output=bench.folder / "elsewhere")
    code, told = bench.sweep("--output", "elsewhere")
    assert (code, bench.alive) == (0, [])
    assert told.splitlines()[-1] == bench.all_clear(output=bench.folder / "elsewhere")


def test_a_ledger_further_up_is_named_and_its_run_not_done_without_it(bench: Bench) -> None:
    service, above = bench.folder / "services" / "agent", "../../.hydrasmoke"
    service.mkdir(parents=True)
    bench.patch.chdir(service)
    bench.few_slots()
    bench.killed()
    code, told = bench.sweep()
    assert code == 4
    assert f"there is no ledger: {service / '.hydrasmoke' / 'runs'} does not exist" in told
    assert f"next step: {above} has one: give --output {above}" in told
    [here] = bench.killed(output=service / ".hydrasmoke", run_id="here")
    code, told = bench.sweep()
    assert (code, told.splitlines()) == (
        0,
        [
            f"deleted  {here} (key here-0)",
            f"not read {above}: runs that were called there have left a ledger in it",
            bench.all_clear(output=service / ".hydrasmoke"),
        ],
    )
    code, told = bench.sweep("--run-id", "owner")
    assert (code, bench.alive) == (1, [])
    assert f"LEFT     run owner: its ledger is in {above}: sweep with --output {above}" in told
    for arguments in (("--output", above), ()):
        assert bench.sweep("--run-id", "owner", *arguments)[0] == 0


# By a run's id


def test_a_run_that_is_not_known_is_looked_up_once_and_kept_from_beginning(bench: Bench) -> None:
    code, told = bench.sweep("--dry-run", "--run-id", "nobody")
    assert code == 0
    slots, last = told.splitlines()
    assert slots.startswith(f"would ask for 78 keys: nobody-0 to nobody-{AHEAD - 1}, nobody-")
    assert (slots.endswith(f" at {bench.router.url}"), last) == (True, "this was a dry run")
    assert (bench.output.exists(), bench.polled) == (False, [])
    # Nobody knows of a request whose row is still to come: so nobody waits for it.
    assert bench.sweep("--run-id", "nobody", wait=3600) == (0, f"{looked_up('nobody', bench)}\n")
    slots = [f"nobody-{slot}" for slot in range(AHEAD)]
    assert sorted(bench.polled) == sorted([*slots, *(f"nobody-{name}" for name in NAMES)])
    # The run itself would be told, if it began now; and it is not about to.
    folder = bench.of("nobody")
    assert (folder / "over").exists()
    code, told = bench.sweep()
    assert (code, "young" in told) == (0, False)
    assert "over     run nobody: it was ended before, and has no ledger, skipped" in told
    no_longer_young(folder)
    assert "nobody" not in bench.sweep()[1]
    assert not folder.exists()


def test_a_run_is_asked_for_by_its_ledger_and_as_far_as_its_slots_may_go(bench: Bench) -> None:
    [instance] = bench.killed()
    # The last two are no slots, and no reason to ask without end.
    for key in ("owner-30", "owner-999999999", "owner-no_number"):
        folder = bench.claim(key)
    code, told = bench.sweep("--run-id", "owner", wait=0.0)
    # Keys that no ledger names need no line.
    assert (code, told.splitlines()) == (
        0,
        [
            f"deleted  {instance} (key owner-0)",
            "nothing  3 keys: owner-30, owner-999999999, owner-no_number",
            looked_up("owner", bench, 30 + AHEAD, found=True, ledger=True),
        ],
    )
    slots = {f"owner-{slot}" for slot in range(31 + AHEAD)}
    named = {f"owner-{name}" for name in (*NAMES, "no_number", "999999999")}
    assert {*bench.polled} == slots | named
    assert ((folder / "over").exists(), (folder / "ledger.jsonl").exists()) == (True, False)


def test_on_another_machine_a_run_is_asked_for_until_enough_slots_have_no_row(
    bench: Bench,
) -> None:
    # Whatever the sweep's own limit is.
    bench.killed(17, output=bench.folder / "the other machine's", max_instances=20)
    last = 16 + bench.few_slots()
    code, told = bench.sweep("--run-id", "owner", wait=0.0)
    assert (code, bench.alive, told.count("deleted  ")) == (0, [], 17)
    assert told.splitlines()[-1] == looked_up("owner", bench, last, found=True)
    assert f"owner-{last}" in bench.polled
    assert f"owner-{last + 1}" not in bench.polled
    assert (bench.of("owner") / "over").exists()


def test_a_named_run_is_over_even_while_it_lives(bench: Bench) -> None:
    with bench.living() as run:
        [instance] = run.instances
        [claimed] = run.claim(run.config.spec)
        assert bench.sweep("--run-id", "owner")[0] == 0
        assert bench.alive == []
        assert run.ledger.is_over
        for work in (
            lambda: SmokeInstance(run.handle(instance)).chat("hello"),
            lambda: run.provision(run.config.spec),
            claimed.permit,
        ):
            assert "run owner is over" in refusal(work)
    routes = [request.route for request in bench.fake.requests]
    assert (routes.count("provision"), routes.count("chat"), instance.leak) == (1, 0, None)


REPORTS: list[Callable[[str], str]] = [
    str,
    lambda text: text.replace('"ended": null', '"ended": "refused: preflight: poll was refused"'),
    lambda text: text[:40],
]
"""Reports of a later attempt: all is well, it was refused, and half written."""


@pytest.mark.parametrize("report_of", REPORTS, ids=["green", "refused", "cut"])
def test_no_report_of_another_attempt_hides_what_the_first_one_left(
    bench: Bench, live: Callable[..., pytest.RunResult], report_of: Callable[[str], str]
) -> None:
    given = ("--hydra-smoke-run-id=owner", f"--hydra-smoke-output={bench.output}")
    live("def test_a(smoke_instance): pass", *given).assert_outcomes(passed=1)
    bench.patch.chdir(bench.folder)
    report = bench.output / "report.json"
    report.write_text(report_of(report.read_text("utf-8")), "utf-8")
    last = bench.few_slots() - 1
    before = len(bench.polled)
    assert bench.sweep("--run-id", "owner", wait=3600) == (
        0,
        f"{looked_up('owner', bench, last)}\n",
    )
    assert len(bench.polled) - before == last + 1 + len(NAMES)
    # Its row comes only now.
    bench.fake.reset()
    [left] = bench.killed(output=bench.folder / "the first one's")
    code, told = bench.sweep("--run-id", "owner", wait=3600)
    assert (code, bench.alive) == (0, [])
    assert told.splitlines() == [
        f"deleted  {left} (key owner-0)",
        looked_up("owner", bench, last + 1, found=True),
    ]


@pytest.mark.parametrize("of_a_fake", [False, True])
def test_no_ledger_of_another_attempt_hides_what_the_first_one_left(
    bench: Bench, of_a_fake: bool
) -> None:
    [left] = bench.killed(output=bench.folder / "the first one's")
    bench.few_slots()
    bench.claim("owner-0", fake=of_a_fake)
    if not of_a_fake:
        bench.write("owner-0", State.DELETED)
    bench.claim("owner-9")
    append(bench.of("owner"), Entry(0.0, None, CleanedUp()))
    bench.fake.fail("delete", status=403)
    code, told = bench.sweep("--run-id", "owner", wait=3600)
    assert (code, bench.alive) == (1, ["owner-0"])
    assert f"LEFT     {left} (key owner-0): delete was refused with 403" in told
    assert "asking for up to" not in told, "its run has ended"
    # From now on no sweep need name the run.
    assert bench.open == ["owner-0"]
    assert bench.sweep() == (0, f"deleted  {left} (key owner-0)\n{bench.all_clear()}\n")


# A key without a row


@pytest.mark.parametrize("known", [True, False], ids=["in a ledger", "in none"])
def test_what_is_deleted_in_its_boot_is_looked_at_again(bench: Bench, known: bool) -> None:
    slow = Scenario(row_after=0.6, statuses=((0.0, "queued"), (3600.0, "running")))
    with FakeRouter(slow) as router:
        bench.aim(router)
        bench.set(row_settle=3600)
        api, said = f"{router.url}/internal/v1/smoke", {"authorization": f"Bearer {router.token}"}
        body = {"idempotency_key": "owner-0", **SPEC}
        httpx.post(f"{api}/provision", json=body, headers=said)
        if known:
            bench.claim("owner-0", router.url)
            code, told = bench.sweep(wait=10.0)
            assert "asking for up to 10 s for keys that have no row yet\n" in told
        else:
            poll = f"{api}/instances/by-key/owner-0"
            until(lambda: httpx.get(poll, headers=said).json()["found"])
            code, told = bench.sweep("--run-id", "owner")
        [instance] = router.instances
        assert (code, instance.deleted, bench.open) == (0, True, ["owner-0"])
        what = f"booting  {instance.id} (key owner-0): was booting, deleted; sweep again in "
        assert what in told
        found = "is left of 1 run" if known else "was found of run"
        again = f"1 to be swept again; nothing else {found} "
        assert told.splitlines()[-1].startswith(again)
        # From now on no sweep need name the run.
        assert bench.sweep()[1].startswith("booting  ")
        age(bench.output, 61)
        assert bench.sweep() == (0, f"gone     {instance.id} (key owner-0)\n{bench.all_clear()}\n")
        assert not bench.of("owner").exists()


# Several at once


def test_two_sweeps_at_once_do_no_harm(bench: Bench) -> None:
    bench.killed(4)
    codes: list[int] = []
    with meanwhile(lambda: codes.append(main(["sweep", "--wait", "0.6"]))):
        codes.append(main(["sweep", "--wait", "0.6"]))
    assert (codes, bench.alive) == ([0, 0], [])
    assert not any(bench.runs.iterdir())
