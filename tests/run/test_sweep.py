"""`hydra-smoke sweep`: what it finds, what it says, and how it exits."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from handlers import as_in_a_terminal
from owner_tools import (
    SPEC,
    age,
    alive,
    config_for,
    environment_for,
    kill,
    lines_of,
    open_keys,
    reading_of,
    session_for,
)
from plugin_tools import until

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._run import folder as folder_module
from pytest_hydrasmoke._run import ledger as ledger_module
from pytest_hydrasmoke._run import locks as locks_module
from pytest_hydrasmoke._run import sweep as sweep_module
from pytest_hydrasmoke._run.case import Case, End
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.ledger import Intent, Ledger, append, mark_run_over
from pytest_hydrasmoke._run.slots import AHEAD, NAMES
from pytest_hydrasmoke._run.swept import Swept
from pytest_hydrasmoke.fake import FakeRouter, Scenario

Sweep = Callable[..., tuple[int, str]]


@pytest.fixture
def sweep(
    fake: FakeRouter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Sweep:
    """Give `sweep(*arguments)`: exit code and output, in a folder without settings files."""
    monkeypatch.chdir(tmp_path)
    # A key without a row has none to come: the fakes here take less time than any sweep waits.
    for name, value in environment_for(fake, row_settle="0").items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str, wait: float = 0.6) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["sweep", "--wait", str(wait), *arguments])
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def killed(fake: FakeRouter, output: Path, number: int = 1, **settings: Any) -> list[str]:
    """Let a run provision, and end without any clean-up; gives the ids."""
    config = config_for(fake, output, **settings)
    session = session_for(config)
    ids = [session.provision(config.spec).id for _ in range(number)]
    kill(session)
    return ids


def claimed(output: Path, key: str, url: str, *, fake: bool = False) -> Path:
    folder = folder_of(output, key.rpartition("-")[0])
    folder.mkdir(parents=True, exist_ok=True)
    more = {"url": url, "spec": SPEC, "share": None, "fake": fake}
    append(folder, {"key": key, "state": State.CLAIMED, **more}, make=True)
    return folder


def all_clear(output: Path, runs: int = 1) -> str:
    """Return the last line of a sweep of all runs after which nothing is left."""
    number = f"{runs} run{'' if runs == 1 else 's'}"
    return f"nothing is left of {number} with a ledger in {output / 'runs'}"


def polled(fake: FakeRouter) -> list[str]:
    """Return the keys that were asked for, without what a sweep asks first."""
    keys = [it.path.rpartition("/")[2] for it in fake.requests if it.route == "poll"]
    return [key for key in keys if not key.startswith("unknown-")]


def test_it_deletes_what_a_killed_run_left_and_says_so(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    [first, second] = killed(fake, output, 2)
    code, told = sweep()
    assert code == 0
    assert alive(fake) == []
    lines = told.splitlines()
    assert sorted(lines[:2]) == sorted(
        [f"deleted  {first} (key owner-0)", f"deleted  {second} (key owner-1)"]
    )
    assert lines[2:] == [all_clear(output)]
    assert list((output / "runs").iterdir()) == []


def test_a_second_sweep_finds_nothing(sweep: Sweep, fake: FakeRouter, output: Path) -> None:
    killed(fake, output)
    sweep()
    assert sweep() == (0, f"{all_clear(output, 0)}\n")


def looked_up(run_id: str, output: Path, last: int = AHEAD - 1, *, found: bool = False) -> str:
    """Return the last line of a sweep of a run without a ledger."""
    else_, other = ("else ", "other ") if found else ("", "")
    return (
        f"nothing {else_}was found of run {run_id}: no {other}row under slots 0-{last}, "
        f"nor under the bundled checks' names; there is no ledger in {folder_of(output, run_id)}"
    )


def test_a_run_that_is_not_known_here_is_looked_up_once_and_said_to_have_no_ledger(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    # Nobody knows of a request whose row is still to come: so nobody waits for it.
    assert sweep("--run-id", "nobody", wait=3600) == (0, f"{looked_up('nobody', output)}\n")
    slots = [f"nobody-{slot}" for slot in range(AHEAD)]
    assert sorted(polled(fake)) == sorted([*slots, *(f"nobody-{name}" for name in NAMES)])
    killed(fake, output)
    assert "no ledger" not in sweep("--run-id", "owner")[1]


def test_another_folder_can_be_named(sweep: Sweep, fake: FakeRouter, tmp_path: Path) -> None:
    killed(fake, tmp_path / "elsewhere")
    code, told = sweep("--output", "elsewhere")
    assert (code, alive(fake)) == (0, [])
    assert told.splitlines()[-1] == all_clear(tmp_path / "elsewhere")


def test_without_ledger_or_run_id_there_is_nothing_to_go_by(sweep: Sweep, output: Path) -> None:
    code, told = sweep()
    assert code == 4
    assert f"there is no ledger: {output / 'runs'} does not exist" in told
    assert "name the run with --run-id" in told


@pytest.fixture
def service(sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder further down than where runs are called, which sweeps are called in."""
    folder = tmp_path / "services" / "agent"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


ABOVE = "../../.hydrasmoke"


def test_a_ledger_further_up_is_named(
    sweep: Sweep, fake: FakeRouter, output: Path, service: Path
) -> None:
    killed(fake, output)
    code, told = sweep()
    assert code == 4
    assert f"there is no ledger: {service / '.hydrasmoke' / 'runs'} does not exist" in told
    assert f"next step: {ABOVE} has one: give --output {ABOVE}" in told
    assert sweep("--output", ABOVE)[0] == 0
    assert alive(fake) == []


def test_a_run_with_its_ledger_further_up_is_not_done_without_it(
    sweep: Sweep, fake: FakeRouter, output: Path, service: Path
) -> None:
    killed(fake, output)
    code, told = sweep("--run-id", "owner")
    assert (code, alive(fake)) == (1, [])
    assert f"LEFT     run owner: its ledger is in {ABOVE}: sweep with --output {ABOVE}" in told
    assert sweep("--run-id", "owner", "--output", ABOVE)[0] == 0
    assert sweep("--run-id", "owner")[0] == 0


def test_a_ledger_further_up_is_named_beside_one_that_is_here(
    sweep: Sweep, fake: FakeRouter, output: Path, service: Path
) -> None:
    killed(fake, service / ".hydrasmoke", run_id="here")
    killed(fake, output)
    assert sweep() == (
        0,
        (
            f"deleted  {fake.instances[0].id} (key here-0)\n"
            f"not read {ABOVE}: runs that were called there have left a ledger in it\n"
            f"{all_clear(service / '.hydrasmoke')}\n"
        ),
    )


def test_wrong_settings_exit_4(sweep: Sweep, monkeypatch: pytest.MonkeyPatch, output: Path) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN")
    code, told = sweep()
    assert (code, "the token is not set" in told) == (4, True)


def test_live_runs_are_passed_by_and_spoil_no_0(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    config = config_for(fake, output)
    session = session_for(config)
    session.provision(config.spec)
    killed(fake, output, run_id="dead")
    code, told = sweep()
    assert code == 0
    assert "live     run owner: skipped" in told
    assert alive(fake) == ["owner-0"]
    session.close()
    session.ledger.end()


def test_a_run_of_which_nobody_can_tell_whether_it_lives_is_left(
    sweep: Sweep, fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(fake, output)

    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    code, told = sweep()
    assert (code, alive(fake)) == (1, ["owner-0"])
    assert (
        "LEFT     run owner: cannot find out whether it is alive ([Errno 38] Function not" in told
    )


def test_a_run_that_is_just_beginning_is_passed_by(
    sweep: Sweep, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    young = folder_of(output, "young")
    young.mkdir(parents=True)
    assert "young    run young: it may be about to begin, skipped" in sweep()[1]
    old = young.stat().st_mtime - sweep_module.YOUNG - 1
    os.utime(young, (old, old))
    assert sweep()[0] == 0
    assert not young.exists()


def test_a_run_that_a_sweep_has_ended_is_not_about_to_begin(sweep: Sweep, output: Path) -> None:
    assert sweep("--run-id", "foo")[0] == 0
    code, told = sweep()
    assert (code, "young" in told) == (0, False)
    assert "over     run foo: it was ended before, and has no ledger, skipped" in told
    # The run itself would be told, if it began now.
    folder = folder_of(output, "foo")
    assert (folder / "over").exists()
    old = folder.stat().st_mtime - sweep_module.YOUNG - 1
    os.utime(folder, (old, old))
    assert "foo" not in sweep()[1]
    assert not folder.exists()


def test_a_folder_that_vanishes_meanwhile_is_young(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder_module.age_of(output / "gone") == 0.0
    monkeypatch.setattr(folder_module, "swept_files", lambda folder: [folder / "swept-gone"])
    assert not folder_module.has_entries(output / "gone")


def test_a_kept_instance_is_swept_too(sweep: Sweep, fake: FakeRouter, output: Path) -> None:
    config = config_for(fake, output, keep="always")
    session = session_for(config)
    session.provision(config.spec)
    session.close()
    session.ledger.end()
    assert alive(fake) == ["owner-0"]
    assert sweep()[0] == 0
    assert alive(fake) == []


# By run id


def test_a_run_that_may_still_begin_is_kept_from_it(sweep: Sweep, output: Path) -> None:
    code, told = sweep("--run-id", "nobody", wait=0.0)
    assert code == 0
    assert told == f"{looked_up('nobody', output)}\n"
    assert (folder_of(output, "nobody") / "over").exists()


def test_keys_that_no_ledger_names_need_no_line(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    [instance] = killed(fake, output)
    by = folder_of(output, "owner") / "ledger.jsonl"
    assert sweep("--run-id", "owner", wait=0.0)[1].splitlines() == [
        f"deleted  {instance} (key owner-0)",
        f"nothing is left of run owner: all keys in {by} were asked for",
    ]
    assert f"owner-{AHEAD}" in polled(fake)


def test_a_run_id_is_enough_on_another_machine(
    sweep: Sweep, fake: FakeRouter, output: Path, tmp_path: Path
) -> None:
    killed(fake, tmp_path / "the other machine's", 2)
    code, told = sweep("--run-id", "owner")
    assert code == 0
    assert alive(fake) == []
    assert told.count("deleted  ") == 2
    assert told.splitlines()[-1] == looked_up("owner", output, AHEAD + 1, found=True)
    assert folder_of(output, "owner").joinpath("over").exists()


def test_a_named_run_is_over_even_while_it_lives(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    config = config_for(fake, output)
    session = session_for(config)
    instance = session.provision(config.spec)
    code, _ = sweep("--run-id", "owner")
    assert (code, alive(fake)) == (0, [])
    assert session.ledger.is_over
    with pytest.raises(Exception, match="run owner is over"):
        instance.chat("hello")
    session.close()
    session.ledger.end()
    assert session.records[0].leak is None


def test_a_named_run_that_is_gone_keeps_the_word_that_it_is_over(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    killed(fake, output)
    assert sweep("--run-id", "owner")[0] == 0
    folder = folder_of(output, "owner")
    assert not (folder / "ledger.jsonl").exists()
    assert (folder / "over").exists()


@pytest.mark.parametrize("number", [0, 1, 2, 17])
def test_a_named_run_is_asked_for_until_enough_slots_have_no_row(
    sweep: Sweep, fake: FakeRouter, output: Path, tmp_path: Path, number: int
) -> None:
    # Whatever the sweep's own limit is.
    killed(fake, tmp_path / "elsewhere", number, max_instances=20)
    code, told = sweep("--run-id", "owner", "--output", "nowhere", wait=0.0)
    assert (code, alive(fake)) == (0, [])
    nowhere, last = tmp_path / "nowhere", number - 1 + AHEAD
    assert told.splitlines()[-1] == looked_up("owner", nowhere, last, found=number > 0)
    assert f"owner-{last}" in polled(fake)
    assert f"owner-{last + 1}" not in polled(fake)


def test_a_slot_that_a_ledger_names_is_known_however_far_it_is(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    claimed(output, "owner-30", fake.url)
    assert sweep("--run-id", "owner", wait=0.0)[0] == 0
    slots = {f"owner-{slot}" for slot in range(31 + AHEAD)}
    assert {*polled(fake)} == {*slots, *(f"owner-{name}" for name in NAMES)}


def test_a_slot_that_no_run_has_is_no_reason_to_ask_without_end(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    claimed(output, "owner-999999999", fake.url)
    claimed(output, "owner-no_number", fake.url)
    code, told = sweep("--run-id", "owner", wait=0.0)
    assert code == 0, told
    assert len({*polled(fake)}) == 2 + AHEAD + len(NAMES)


def test_a_named_run_that_cant_be_told_that_it_is_over_exits_4(
    sweep: Sweep, fake: FakeRouter, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    code, told = sweep("--run-id", "owner", "--output", "taken")
    assert code == 4
    assert "can't be written" in told
    assert polled(fake) == []


@pytest.mark.parametrize("missing", ["URL", "TOKEN"])
def test_a_run_that_cant_be_asked_for_is_not_said_to_be_over(
    sweep: Sweep, fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(f"HYDRA_SMOKE_{missing}")
    code, told = sweep("--run-id", "owner")
    assert code == 4
    assert "not set" in told
    assert not (folder_of(output, "owner") / "over").exists()


# A key without a row


@pytest.fixture
def late(sweep: Sweep, output: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRouter]:
    """A router with a row to come for `owner-0`, of a boot that takes an hour; sweeps go there."""
    slow = ((0.0, "queued"), (3600.0, "running"))
    with FakeRouter(Scenario(row_after=0.6, statuses=slow)) as router:
        for name in ("url", "token"):
            monkeypatch.setenv(f"HYDRA_SMOKE_{name.upper()}", getattr(router, name))
        claimed(output, "owner-0", router.url)
        httpx.post(
            f"{router.url}/internal/v1/smoke/provision",
            json={"idempotency_key": "owner-0", **SPEC},
            headers={"authorization": f"Bearer {router.token}"},
        )
        yield router


def test_a_key_without_a_row_is_asked_for_until_the_wait_is_over(
    sweep: Sweep, late: FakeRouter
) -> None:
    code, told = sweep(wait=10.0)
    assert (code, alive(late)) == (0, [])
    assert "asking for up to 10 s for keys that have no row yet\n" in told
    # Its boot may go on after this deletion.
    assert "(key owner-0): was booting, deleted; sweep again in " in told


def test_what_a_sweep_has_deleted_in_its_boot_the_next_one_looks_at_again(
    sweep: Sweep, late: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_ROW_SETTLE", "3600")
    assert sweep(wait=10.0)[0] == 0
    assert open_keys(output) == ["owner-0"]
    age(output, 61)
    [instance] = late.instances
    assert sweep() == (0, f"gone     {instance.id} (key owner-0)\n{all_clear(output)}\n")


def test_what_is_deleted_in_its_boot_without_a_ledger_is_looked_at_again_too(
    sweep: Sweep, late: FakeRouter, output: Path
) -> None:
    shutil.rmtree(output)
    poll = f"{late.url}/internal/v1/smoke/instances/by-key/owner-0"
    said = {"authorization": f"Bearer {late.token}"}
    until(lambda: httpx.get(poll, headers=said).json()["found"])
    code, told = sweep("--run-id", "owner")
    [instance] = late.instances
    assert (code, instance.deleted) == (0, True)
    assert f"booting  {instance.id} (key owner-0): was booting, deleted; sweep again in " in told
    assert told.splitlines()[-1].endswith("; 1 to be looked at again")
    # From now on no sweep need name the run.
    assert sweep()[1].startswith("booting  ")
    age(output, 61)
    assert sweep() == (0, f"gone     {instance.id} (key owner-0)\n{all_clear(output)}\n")
    assert not folder_of(output, "owner").exists()


def test_a_key_that_never_gets_a_row_is_nothing(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    folder = claimed(output, "owner-0", fake.url)
    code, told = sweep(wait=1.0)
    assert code == 0
    assert told.endswith(f"{all_clear(output)}\n")
    assert polled(fake).count("owner-0") > 1
    assert not folder.exists()


def test_a_key_that_may_still_get_a_row_is_unsure_and_stays(
    sweep: Sweep, fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_ROW_SETTLE", "900")
    folder = claimed(output, "owner-0", fake.url)
    for how in ((), ("--run-id", "owner")):
        code, told = sweep(*how, wait=0.0)
        assert code == 1
        assert "unsure   (key owner-0): no row yet, one may come; sweep again in " in told
        assert open_keys(output) == ["owner-0"]
    monkeypatch.setenv("HYDRA_SMOKE_ROW_SETTLE", "0")
    code, told = sweep(wait=0.0)
    assert code == 0
    assert not (folder / "ledger.jsonl").exists()


def test_a_wait_of_0_still_asks_once(sweep: Sweep, fake: FakeRouter, output: Path) -> None:
    claimed(output, "owner-0", fake.url)
    assert sweep(wait=0.0)[0] == 0
    killed(fake, output, run_id="other")
    assert sweep("--run-id", "other", "--output", "elsewhere", wait=0.0)[0] == 0
    assert alive(fake) == []


# What is not there any more, and what can't be deleted


def test_an_instance_that_had_a_row_and_has_none_now_is_gone(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    [instance] = killed(fake, output)
    fake.reset()
    code, told = sweep(wait=60.0)
    # This sweep has deleted nothing, and does not say so.
    assert (code, told) == (0, f"gone     {instance} (key owner-0)\n{all_clear(output)}\n")


def test_what_the_router_refuses_to_delete_is_left(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    killed(fake, output, 2)
    fake.fail("delete", status=403)
    code, told = sweep()
    assert code == 1
    assert told.count("LEFT     ") == 1
    assert told.count("deleted  ") == 1
    assert told.endswith("something may be left\n")
    assert len(open_keys(output)) == 1
    assert sweep()[0] == 0


def test_a_sweep_warns_of_a_variable_that_is_no_setting(
    sweep: Sweep, fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(fake, output)
    monkeypatch.setenv("HYDRA_SMOKE_OUTPTU", "elsewhere")
    code, told = sweep()
    assert code == 0
    warning = "WARNING: HYDRA_SMOKE_OUTPTU is not a setting: did you mean HYDRA_SMOKE_OUTPUT?"
    assert told.count(warning) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ready_timeout", "soon"),
        ("scope", "galaxy"),
        ("instance", "nobody"),
        ("budgets", "boot=3"),
        ("expect_text", "("),
        ("ready_statuses", ","),
        ("record", "."),
        ("run_id", "no/id"),
    ],
)
def test_a_wrong_setting_that_no_sweep_reads_does_not_stop_it(
    sweep: Sweep,
    fake: FakeRouter,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
) -> None:
    killed(fake, output)
    monkeypatch.setenv(f"HYDRA_SMOKE_{name.upper()}", value)
    code, told = sweep()
    assert (code, alive(fake)) == (0, [])
    [warning] = [line for line in told.splitlines() if line.startswith("WARNING: ")]
    assert name in warning
    assert warning.endswith(" (not needed here)")


def test_a_table_for_another_release_does_not_stop_it(
    sweep: Sweep, fake: FakeRouter, output: Path, tmp_path: Path
) -> None:
    killed(fake, output)
    lines = ("[tool.hydra-smoke]", "ready_timout = 5", "xyzzy = 1", 'failed_statuses = ["ready"]')
    file = tmp_path / "pyproject.toml"
    file.write_text("\n".join(lines), "utf-8")
    code, told = sweep()
    assert (code, alive(fake)) == (0, [])
    for words in (
        f"[tool.hydra-smoke] of {file} has the unknown key ready_timout: did you mean ",
        f"[tool.hydra-smoke] of {file} has the unknown key xyzzy: docs/reference/",
        "ready_statuses and failed_statuses both have 'ready'",
    ):
        assert told.count(f"WARNING: {words}") == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("max_instances = 0", "max_instances = '0' (pyproject.toml): "),
        ("delete_timeout = 0", "delete_timeout = '0' (pyproject.toml): "),
        ('row_settle = "soon"', "row_settle = 'soon' (pyproject.toml): "),
        ('gone_statuses = ["running"]', "ready_statuses and gone_statuses both have 'running'"),
        ('outptu = "elsewhere"', "has the unknown key outptu: did you mean output?"),
        ('client_key = "key.pem"', "without client_cert: "),
        ('ca_file = "no.pem"', "ca_file = "),
        ('token = "made-up"', "token must not be in [tool.hydra-smoke] of "),
        ("scope =", "can't be read: "),
    ],
)
def test_a_wrong_setting_that_a_sweep_reads_stops_it(
    sweep: Sweep,
    fake: FakeRouter,
    output: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    problem: str,
) -> None:
    killed(fake, output)
    for name in ("DELETE_TIMEOUT", "ROW_SETTLE"):
        monkeypatch.delenv(f"HYDRA_SMOKE_{name}", raising=False)
    monkeypatch.setenv("HYDRA_SMOKE_READY_TIMEOUT", "soon")
    (tmp_path / "pyproject.toml").write_text(f"[tool.hydra-smoke]\n{line}\n", "utf-8")
    code, told = sweep()
    assert (code, len(alive(fake))) == (4, 1)
    assert problem in told
    assert "ready_timeout" in told


def test_a_wrong_run_id_stops_the_sweep_of_that_run(sweep: Sweep) -> None:
    code, told = sweep("--run-id", "no/id")
    assert code == 4
    assert "run_id = 'no/id' (option): " in told


def test_a_fault_of_our_own_is_left_too(
    sweep: Sweep, fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def broken(case: Case, calls: object) -> None:
        asked.append(case.key)
        if len(asked) > 9:
            case.end, case.words = End.LEFT, "it is asked for without end"
            return
        raise FileNotFoundError("no such thing")

    [instance] = killed(fake, output)
    monkeypatch.setattr(Case, "_delete", broken)
    code, told = sweep()
    assert code == 1
    assert f"LEFT     {instance} (key owner-0): FileNotFoundError('no such thing')" in told
    assert open_keys(output) == ["owner-0"]


@pytest.mark.parametrize(
    "url",
    ["http://router.example", "https://user:pass@router.example", "ftp://[router.example", ""],
)
def test_whatever_url_a_ledger_has_it_is_not_asked(sweep: Sweep, output: Path, url: str) -> None:
    folder = claimed(output, "owner-0", url)
    code, told = sweep()
    assert code == 1
    assert "LEFT     (key owner-0): it is another router's" in told
    assert folder.exists()


def test_words_for_gone_are_the_sweeps_own(
    sweep: Sweep, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = Scenario(
        row_after=0.0, statuses=((0.0, "running"),), after_delete="row", gone_word="Buried"
    )
    with FakeRouter(scenario) as router:
        for name, value in environment_for(router, delete_timeout="0.6").items():
            monkeypatch.setenv(name, value)
        killed(router, output, gone_statuses=["buried"])
        code, told = sweep()
        assert code == 1
        assert "status 'Buried'" in told
        monkeypatch.setenv("HYDRA_SMOKE_GONE_STATUSES", "buried")
        code, told = sweep()
        assert (code, alive(router)) == (0, []), told


def test_a_row_that_names_no_instance_is_left(sweep: Sweep, fake: FakeRouter, output: Path) -> None:
    row = {"idempotency_key": "owner-0", "found": True, "instance_id": None, "status": "queued"}
    fake.fail("poll", status=200, after=1, times=99, body=row)
    claimed(output, "owner-0", fake.url)
    code, told = sweep(wait=0.3)
    assert code == 1
    assert "LEFT     (key owner-0): " in told
    assert "names no instance" in told


def test_runs_of_the_fake_ended_with_it(sweep: Sweep, fake: FakeRouter, output: Path) -> None:
    ledger = Ledger(output, "owner", fake=True)
    ledger.begin("main")
    ledger.claim(Intent(SPEC, "http://127.0.0.1:9"), 1, 1)
    assert ledger._lock is not None
    ledger._lock.release()  # It was killed.
    code, told = sweep()
    assert (code, told) == (0, f"{all_clear(output)}\n")
    assert polled(fake) == []
    assert not ledger.folder.exists()


@pytest.mark.parametrize("how", [[], ["--run-id", "owner"]], ids=["all", "named"])
def test_a_ledger_that_cant_be_read_is_left_and_its_slots_are_asked_for(
    sweep: Sweep,
    fake: FakeRouter,
    output: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: list[str],
) -> None:
    killed(fake, output)

    def unreadable(given: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ledger_module, "read", unreadable)
    code, told = sweep(*how)
    assert (code, alive(fake)) == (1, [])
    assert "LEFT     run owner: its ledger: the file can't be read (Permission denied)" in told
    assert (folder_of(output, "owner") / "ledger.jsonl").exists()


# Dry run


def test_a_dry_run_only_tells(sweep: Sweep, fake: FakeRouter, output: Path) -> None:
    [instance] = killed(fake, output)
    ledger = lines_of(folder_of(output, "owner"))
    seen = polled(fake)
    code, told = sweep("--dry-run")
    assert code == 1
    assert f"would delete {instance} (key owner-0) at {fake.url}" in told
    code, told = sweep("--dry-run", "--run-id", "owner")
    assert code == 1
    assert f"would ask for (key owner-{AHEAD}) at {fake.url}" in told
    assert polled(fake) == seen
    assert "delete" not in {request.route for request in fake.requests}
    assert lines_of(folder_of(output, "owner")) == ledger
    assert not (folder_of(output, "owner") / "over").exists()


def test_a_dry_run_of_a_run_without_a_ledger_knows_of_nothing(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    code, told = sweep("--dry-run", "--run-id", "owner")
    assert code == 0
    assert f"would ask for (key owner-{AHEAD - 1}) at {fake.url}\n" in told
    assert told.splitlines()[-1] == looked_up("owner", output)
    assert not output.exists()


def test_a_dry_run_leaves_the_fakes_ledgers_alone(sweep: Sweep, output: Path) -> None:
    folder = claimed(output, "owner-0", "http://127.0.0.1:9", fake=True)
    before = lines_of(folder)
    assert sweep("--dry-run")[0] == 0
    assert lines_of(folder) == before


# Nobody reads


def test_a_sweep_goes_on_where_its_reader_has_gone(
    sweep: Sweep, fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    killed(fake, output, 4)
    monkeypatch.setattr(sys, "stdout", Gone())
    assert sweep() == (0, "")
    assert all(it.deleted for it in fake.instances)


# Several at once


def test_two_sweeps_at_once_do_no_harm(
    sweep: Sweep, fake: FakeRouter, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(fake, output, 4)
    codes: list[int] = []
    threads = [
        threading.Thread(target=lambda: codes.append(main(["sweep", "--wait", "0.6"])))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (codes, alive(fake)) == ([0, 0], [])
    assert not any((output / "runs").iterdir())


def test_a_folder_that_another_sweep_removes_meanwhile_needs_no_word(
    sweep: Sweep, fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(fake, output)
    real = Swept.write

    def removed(swept: Swept, key: str, state: State, ids: Sequence[str]) -> None:
        shutil.rmtree(swept.folder)
        real(swept, key, state, ids)

    monkeypatch.setattr(Swept, "write", removed)
    assert sweep()[0] == 0
    assert alive(fake) == []


def test_each_line_is_told_whole(sweep: Sweep, fake: FakeRouter, output: Path) -> None:
    killed(fake, output, 4)
    told = sweep()[1].splitlines()
    assert len([line for line in told if line.startswith("deleted  ")]) == 4
    assert len(told) == 5


def test_a_run_buried_before_it_began_does_not_begin(
    live: Callable[..., pytest.RunResult], fake: FakeRouter, pytester: pytest.Pytester
) -> None:
    mark_run_over(pytester.path / ".hydrasmoke", "early")
    result = live("def test_a(smoke_instance): pass", "--hydra-smoke-run-id", "early")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*a sweep has declared run early over*"])
    assert not any(request.route == "provision" for request in fake.requests)


# After a run that has said its end


@pytest.fixture
def clean(
    sweep: Sweep,
    live: Callable[..., pytest.RunResult],
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Return the report of a run `clean`, which ended well in the folder of sweeps to come."""
    monkeypatch.chdir(pytester.path)
    result = live("def test_a(smoke_instance): pass", "--hydra-smoke-run-id", "clean")
    result.assert_outcomes(passed=1)
    return pytester.path / ".hydrasmoke" / "report.json"


def test_a_run_that_ended_well_is_asked_for_once_and_not_waited_for(
    clean: Path, sweep: Sweep, fake: FakeRouter
) -> None:
    before = len(polled(fake))
    code, told = sweep("--run-id", "clean", wait=3600)
    assert (code, alive(fake)) == (0, [])
    assert told == f"nothing is left of run clean: all keys in {clean} were asked for\n"
    assert polled(fake)[before:] == ["clean-0"]


def test_a_run_that_left_nothing_is_one_line_and_no_folder(clean: Path, sweep: Sweep) -> None:
    code, told = sweep("--run-id", "clean", wait=0.0)
    assert (code, len(told.splitlines())) == (0, 1)
    assert list((clean.parent / "runs").iterdir()) == []
    assert clean.exists()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace('"clean"', '"another"'),
        lambda text: text.replace('"deleted"', '"leaked"'),
        lambda text: text[:40],
        lambda text: text.replace('"ended": null', '"ended": "did not end"'),
        lambda text: text.replace('"ended": null', '"ended": "refused: run id used before"'),
        lambda text: text.replace('"ready": ', '"row": '),
    ],
    ids=["of another run", "with a leak", "half written", "not at its end", "refused", "in boot"],
)
def test_a_report_that_does_not_say_so_spares_no_slot(
    clean: Path, sweep: Sweep, fake: FakeRouter, spoil: Callable[[str], str]
) -> None:
    clean.write_text(spoil(clean.read_text("utf-8")), "utf-8")
    code, told = sweep("--run-id", "clean", wait=0.1)
    assert (code, told) == (0, f"{looked_up('clean', clean.parent)}\n")
    assert f"clean-{AHEAD - 1}" in polled(fake)


# Where the router can't be asked, or not to the end


def test_what_is_at_risk_is_named_where_the_router_refuses_the_token(
    sweep: Sweep, fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first, second] = killed(fake, output, 2)
    claimed(output, "asked-0", "https://router.example")
    claimed(output, "ended-0", fake.url, fake=True)
    broken = folder_of(output, "broken")
    broken.mkdir()
    (broken / "ledger.jsonl").write_text("{")
    monkeypatch.setenv("HYDRA_SMOKE_TOKEN", "a-token-of-nobody")
    code, told = sweep()
    assert code == 1
    assert [line.strip() for line in told.splitlines() if "at risk" in line] == [
        "at risk: run asked: 1 key (asked-0), no instance known; some at https://router.example",
        "at risk: run broken: not all of its ledger can be read",
        f"at risk: run owner: 2 keys (owner-0 to owner-1), instances {first}, {second}",
    ]
    code, told = sweep("--run-id", "owner")
    assert (code, told.count("at risk")) == (1, 1)


def closed(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """Close a folder, to root as well: nothing in it can be looked at."""
    scandir, lstat = os.scandir, os.lstat
    refused = PermissionError(13, "Permission denied")

    def scan(folder: Any = ".") -> Any:
        if Path(folder) == place:
            raise refused
        return scandir(folder)

    def look(path: Any, **more: Any) -> os.stat_result:
        if Path(path).parent == place:
            raise refused
        return lstat(path, **more)

    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(os, "lstat", look)
    monkeypatch.setattr(Path, "lstat", lambda path: look(path))


def test_runs_that_cant_be_listed_are_an_error(
    sweep: Sweep, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (output / "runs").mkdir(parents=True)
    closed(monkeypatch, output / "runs")
    words = f"{output / 'runs'} can't be read (Permission denied): nobody knows what is left"
    code, told = sweep()
    assert (code, told.splitlines()[0]) == (4, words)
    assert "nothing is left" not in told
    monkeypatch.setenv("HYDRA_SMOKE_TOKEN", "another-token")
    code, told = sweep("--run-id", "owner")
    assert (code, f"at risk: {words}" in told) == (1, True)


def test_a_run_that_cant_be_looked_into_is_left(
    sweep: Sweep, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(output, "owner")
    folder.mkdir(parents=True)
    closed(monkeypatch, folder)
    code, told = sweep()
    assert code == 1
    assert "LEFT     owner: it can't be read: [Errno 13] Permission denied" in told


def test_of_many_runs_at_risk_the_first_few_are_named(
    sweep: Sweep, fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(7):
        claimed(output, f"run{number}-0", fake.url)
    monkeypatch.setenv("HYDRA_SMOKE_TOKEN", "a-token-of-nobody")
    lines = sweep()[1].splitlines()
    assert lines[-2] == "         at risk: and 2 more runs"
    assert sum("at risk: run" in line for line in lines) == 5


def test_a_run_whose_files_cant_be_read_is_at_risk_too(
    sweep: Sweep, fake: FakeRouter, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(fake, output)

    def unreadable(folder: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(locks_module, "is_live", unreadable)
    monkeypatch.setattr(ledger_module, "read", unreadable)
    monkeypatch.setenv("HYDRA_SMOKE_TOKEN", "a-token-of-nobody")
    assert "at risk: run owner: its ledger can't be read" in sweep()[1]


def test_an_instance_in_deletion_at_a_signal_is_left(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    [instance] = killed(fake, output)
    fake.fail("delete", status=503, times=10_000)
    timer = threading.Thread(target=interrupt_after_delete, args=[fake])
    with as_in_a_terminal():
        timer.start()
        code, told = sweep()
        timer.join()
    assert code == 130
    assert f"LEFT     {instance} (key owner-0): not confirmed as deleted" in told
    assert "interrupted" in told
    [entry] = reading_of(config_for(fake, output)).open
    assert entry.state is State.READY


def test_of_an_interrupted_sweep_only_keys_that_were_not_asked_to_the_end_are_unknown(
    sweep: Sweep, fake: FakeRouter, output: Path
) -> None:
    [instance] = killed(fake, output)
    fake.fail("delete", status=503, times=10_000)
    timer = threading.Thread(target=interrupt_after_delete, args=[fake, 3])
    with as_in_a_terminal():
        timer.start()
        code, told = sweep("--run-id", "owner", wait=0.0)
        timer.join()
    assert code == 130
    assert f"LEFT     {instance} (key owner-0): not confirmed as deleted" in told
    assert "owner-0" not in told.partition("UNKNOWN")[2].partition("at risk")[0]


def interrupt_after_delete(fake: FakeRouter, times: int = 1) -> None:
    until(lambda: sum(one.route == "delete" for one in fake.requests) >= times)
    signal.raise_signal(signal.SIGINT)
