"""What a sweep may believe, where it may send the token, and how it says that it can't know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from liar import Liar, Lie, lying, on
from owner_tools import SPEC, config_for, kill, open_keys, session_for

from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._core.states import CLOSED, State
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.ledger import append
from pytest_hydrasmoke._run.slots import AHEAD
from pytest_hydrasmoke.fake import FakeRouter

Sweep = Callable[..., tuple[int, str]]


@pytest.fixture
def liar() -> Iterator[Liar]:
    with lying() as it:
        yield it


@pytest.fixture
def sweep(
    liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Sweep:
    """Give `sweep(*arguments)`: exit code and output, of a sweep at the router that may lie."""
    monkeypatch.chdir(tmp_path)
    given = {"url": liar.url, "token": liar.token, "delete_timeout": "0.7", "ready_timeout": "2"}
    for name, value in given.items():
        monkeypatch.setenv(f"HYDRA_SMOKE_{name.upper()}", value)

    def run(*arguments: str, wait: float = 0.6) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["sweep", "--wait", str(wait), *arguments])
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def killed(liar: Liar, output: Path, number: int = 1, **settings: Any) -> list[str]:
    """Let a run provision, and end without any clean-up; gives the ids."""
    config = config_for(liar, output, **settings)
    session = session_for(config)
    ids = [session.provision(config.spec).id for _ in range(number)]
    kill(session)
    return ids


def write(output: Path, key: str, state: State, **fields: Any) -> Path:
    folder = folder_of(output, "owner")
    folder.mkdir(parents=True, exist_ok=True)
    append(folder, {"key": key, "state": state, **fields}, make=state is State.CLAIMED)
    return folder


def claim(liar: Liar, output: Path, key: str, *, url: str | None = None) -> Path:
    more = {"url": url or liar.url, "spec": SPEC, "share": None, "fake": False}
    return write(output, key, State.CLAIMED, **more)


# Is this the smoke router?

WRONG = {
    "a wrong prefix": [Lie(404, {"detail": "Not Found"})],
    "an ingress": [Lie(404, "default backend - 404")],
    "a page": [Lie(200, "<html>", kind="text/html")],
    "a wrong token": [Lie(401, {"detail": "Invalid or missing token"}, on("poll", "status"))],
    "a router that is down": [Lie(503, "")],
}


@pytest.mark.parametrize("by", [[], ["--run-id", "owner"], ["--dry-run"]], ids=" ".join)
@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_smoke_router_is_no_reason_to_say_that_nothing_is_left(
    case: str, by: list[str], sweep: Sweep, liar: Liar, output: Path
) -> None:
    killed(liar, output)
    liar.lie(WRONG[case])
    code, told = sweep(*by)
    assert code == 1
    assert told.startswith(f"UNKNOWN  what is left: {liar.url} does not show it: ")
    assert "nothing is left" not in told
    assert open_keys(output) == ["owner-0"]
    assert not liar.told("delete")


def test_a_sweep_needs_to_know_where_the_router_is(
    sweep: Sweep, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_URL")
    (output / "runs").mkdir(parents=True)
    code, told = sweep()
    assert (code, "url is not set: set HYDRA_SMOKE_URL" in told) == (4, True)


# Whose they are


def test_entries_of_another_router_are_left_and_named_and_it_hears_nothing(
    sweep: Sweep, liar: Liar, output: Path
) -> None:
    with FakeRouter(liar.fake.scenario, liar.token) as other:
        config = config_for(other, output, run_id="elsewhere")
        session = session_for(config)
        session.provision(config.spec)
        kill(session)
        killed(liar, output)
        before = len(other.requests)
        code, told = sweep()
        assert (code, liar.alive, open_keys(output)) == (1, [], ["elsewhere-0"])
        where = f"it is another router's: sweep with HYDRA_SMOKE_URL={other.url}"
        assert f"LEFT     (key elsewhere-0): {where}" in told
        assert len(other.requests) == before


def test_a_prefix_makes_another_router(sweep: Sweep, liar: Liar, output: Path) -> None:
    claim(liar, output, "owner-0", url=f"{liar.url}/staging")
    code, told = sweep()
    assert (code, f"HYDRA_SMOKE_URL={liar.url}/staging" in told) == (1, True)


@pytest.mark.parametrize("spelled", ["{}/", "HTTP{}"])
def test_the_same_router_is_known_however_its_url_is_spelled(
    spelled: str, sweep: Sweep, liar: Liar, output: Path
) -> None:
    killed(liar, output)
    ledger = folder_of(output, "owner") / "ledger.jsonl"
    rest = liar.url if "{}/" in spelled else liar.url.removeprefix("http")
    ledger.write_text(ledger.read_text().replace(liar.url, spelled.format(rest)))
    assert (sweep()[0], liar.alive) == (0, [])


def test_nothing_but_keys_is_taken_from_a_ledger(sweep: Sweep, liar: Liar, output: Path) -> None:
    [living] = killed(liar, output)
    ledger = folder_of(output, "owner") / "ledger.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines() if line]
    lines[0] |= {"gone_statuses": ["running"], "max_instances": 900, "ca_file": "/x"}
    lines[0] |= {"allow_http": True, "trust_env": True}
    ledger.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    liar.lie([Lie(409, {"detail": "already"}, on("delete"))])
    code, told = sweep()
    assert (code, liar.alive) == (1, ["owner-0"])
    assert f"LEFT     {living} (key owner-0)" in told


NAMING = (State.ACCEPTED, State.CREATED)


@pytest.mark.parametrize("state", [it for it in State if it not in {State.CLAIMED, *CLOSED}])
def test_an_id_in_a_ledger_is_deleted_only_if_an_answer_about_its_key_named_it(
    state: State, sweep: Sweep, liar: Liar, output: Path
) -> None:
    [instance] = killed(liar, output.parent / "elsewhere", run_id="elsewhere")
    claim(liar, output, "owner-0")
    write(output, "owner-0", state, id=instance)
    sweep(wait=0.0)
    assert liar.alive == ([] if state in NAMING else ["elsewhere-0"])
    assert bool(liar.told("delete")) is (state in NAMING)


def test_a_ledger_owns_no_key_of_another_run(sweep: Sweep, liar: Liar, output: Path) -> None:
    killed(liar, output.parent / "elsewhere", run_id="stranger")
    claim(liar, output, "stranger-0")
    code, told = sweep()
    assert (code, liar.alive) == (1, ["stranger-0"])
    assert "LEFT     (key stranger-0): its ledger is run owner's, which has no such key" in told


# How far a run's slots go


def test_a_run_that_used_more_slots_than_this_sweep_would_is_swept_to_its_end(
    sweep: Sweep, liar: Liar, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_DELETE_TIMEOUT", "30")
    killed(liar, output.parent / "on another machine", 40, max_instances=40)
    code, told = sweep("--run-id", "owner")
    assert (code, liar.alive) == (0, []), told
    assert f"no other row under slots 0-{40 + AHEAD - 1}, nor under " in told


def test_a_gap_of_sixty_three_slots_is_no_end(
    sweep: Sweep, liar: Liar, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_DELETE_TIMEOUT", "30")
    config = config_for(liar, output.parent / "on another machine", max_instances=2 * AHEAD)
    session = session_for(config)
    for slot, record in enumerate(session.claim(config.spec, 2 * AHEAD)):
        if slot in (AHEAD - 1, 2 * AHEAD - 1):
            session.bring_up(record)
    kill(session)
    assert sweep("--run-id", "owner")[0] == 0
    assert liar.alive == []


# What can't be read


@pytest.mark.parametrize("by", [[], ["--run-id", "owner"]], ids=["all", "one"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b'"state": "claimed"', b'"state": "xlaimed"', 1),
        lambda text: b"\xff\xfe" + text.lstrip(b"\n"),
        lambda text: text + b'\n{"key": "owner-1", "sta',
        lambda text: text.replace(b'"schema": 3', b'"schema": 2', 1),
        lambda text: b"\n[]\n7\n" + text,
    ],
    ids=["a word", "bytes", "half a line", "another release", "no facts"],
)
def test_a_ledger_that_can_not_all_be_read_stays_and_its_slots_are_asked_for(
    damage: Callable[[bytes], bytes], by: list[str], sweep: Sweep, liar: Liar, output: Path
) -> None:
    killed(liar, output, 2)
    ledger = folder_of(output, "owner") / "ledger.jsonl"
    ledger.write_bytes(damage(ledger.read_bytes()))
    code, told = sweep(*by)
    assert (code, liar.alive, ledger.exists()) == (1, [], True), told
    assert f"delete {ledger.parent}" in told
    assert "nothing is left" not in told


# What is shown


def test_what_a_sweep_prints_is_harmless(sweep: Sweep, liar: Liar, output: Path) -> None:
    hostile = "owner-0\n::error::gone\n##[error]\x1b[31m\u202enothing is left\r"
    claim(liar, output, hostile)
    claim(liar, output, "owner-1", url="https://router.example/\n::stop-commands::x")
    write(output, "owner-1", State.CREATED, id="\x1b]0;x\x07")
    liar.lie([Lie(404, {"detail": "::set-output name=x::\n::add-mask::y\x1b[2J"}, on("delete"))])
    _, told = sweep()
    assert not any(line.lstrip().startswith("::") for line in told.splitlines())
    assert all(char == "\n" or char.isprintable() for char in told)
    assert "##[" not in told
    assert "nothing is left" not in told.splitlines()


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "soon"])
def test_a_wait_is_a_number_of_seconds(
    wait: str, sweep: Sweep, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sweep", f"--wait={wait}"])
    assert ended.value.code == 2
    assert "--wait: must be a number of seconds, 0 or more" in capsys.readouterr().err
