"""What a sweep may believe, where it may send the token, and how it says that it can't know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from liar import Liar, Lie, lying, on
from owner_tools import kill
from sweeping import Bench

from pytest_hydrasmoke._journal.states import CLOSED, State
from pytest_hydrasmoke._run.slots import AHEAD
from pytest_hydrasmoke.fake import FakeRouter


@pytest.fixture
def liar() -> Iterator[Liar]:
    with lying() as it:
        yield it


@pytest.fixture
def bench(
    liar: Liar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    """Runs and sweeps at a router that may lie, with short deadlines."""
    return Bench(liar, tmp_path, monkeypatch, capsys, delete_timeout=0.7, ready_timeout=2)


# Is this the smoke router?

WRONG = {
    "a wrong prefix": [Lie(404, {"detail": "Not Found"})],
    "an ingress": [Lie(404, "default backend - 404")],
    "a page": [Lie(200, "<html>", kind="text/html")],
    "a wrong token": [Lie(401, {"detail": "Invalid or missing token"}, on("poll", "status"))],
    "a router that is down": [Lie(503, "")],
}


def test_what_is_no_smoke_router_is_no_reason_to_say_that_nothing_is_left(
    bench: Bench, liar: Liar
) -> None:
    bench.killed()
    for lies in WRONG.values():
        liar.lie(lies)
        for by in ((), ("--run-id", "owner"), ("--dry-run",)):
            code, told = bench.sweep(*by, wait=0.0)
            assert code == 1
            assert told.startswith(f"UNKNOWN  what is left: {liar.url} does not show it: ")
            assert "nothing is left" not in told
            assert (bench.open, liar.told("delete")) == (["owner-0"], 0)


# Whose they are


def test_entries_of_another_router_are_left_and_named_and_it_hears_nothing(
    bench: Bench, liar: Liar
) -> None:
    with FakeRouter(liar.fake.scenario, liar.token) as other:
        bench.router = other
        bench.killed(run_id="elsewhere")
        bench.router = liar
        bench.killed()
        bench.claim("prefixed-0", f"{liar.url}/staging")
        before = len(other.requests)
        code, told = bench.sweep()
        assert (code, bench.alive) == (1, [])
        assert sorted(bench.open) == ["elsewhere-0", "prefixed-0"]
        assert len(other.requests) == before
        where = "it is another router's: sweep with HYDRA_SMOKE_URL"
        assert f"LEFT     (key elsewhere-0): {where}={other.url}" in told
        assert f"LEFT     (key prefixed-0): {where}={liar.url}/staging" in told


@pytest.mark.parametrize("spelled", ["{}/", "HTTP{}"])
def test_the_same_router_is_known_however_its_url_is_spelled(
    spelled: str, bench: Bench, liar: Liar
) -> None:
    bench.killed()
    ledger = bench.of("owner") / "ledger.jsonl"
    rest = liar.url if "{}/" in spelled else liar.url.removeprefix("http")
    ledger.write_text(ledger.read_text().replace(liar.url, spelled.format(rest)))
    assert (bench.sweep()[0], bench.alive) == (0, [])


def test_nothing_but_keys_is_taken_from_a_ledger(bench: Bench, liar: Liar) -> None:
    [living] = bench.killed()
    ledger = bench.of("owner") / "ledger.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines() if line]
    lines[0] |= {"gone_statuses": ["running"], "max_instances": 900, "ca_file": "/x"}
    lines[0] |= {"allow_http": True, "trust_env": True}
    ledger.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    liar.lie([Lie(409, {"detail": "already"}, on("delete"))])
    code, told = bench.sweep()
    assert (code, bench.alive) == (1, ["owner-0"])
    assert f"LEFT     {living} (key owner-0)" in told


def test_an_id_in_a_ledger_is_deleted_only_if_an_answer_about_its_key_named_it(
    bench: Bench,
) -> None:
    elsewhere = bench.folder / "elsewhere"
    naming = (State.ACCEPTED, State.CREATED)
    others = [it for it in State if it not in {State.CLAIMED, *naming, *CLOSED}]
    for slot, state in enumerate([*others, *naming]):
        [instance] = bench.killed(output=elsewhere, run_id=f"elsewhere{slot}")
        bench.claim(f"owner-{slot}")
        bench.write(f"owner-{slot}", state, id=instance)
    bench.sweep(wait=0.0)
    assert bench.alive == [f"elsewhere{slot}-0" for slot in range(len(others))]
    asked = {it.path.rpartition("/")[2] for it in bench.fake.requests if it.route == "delete"}
    assert asked == {it.id for it in bench.fake.instances if it.deleted}


def test_a_ledger_owns_no_key_of_another_run(bench: Bench) -> None:
    bench.killed(output=bench.folder / "elsewhere", run_id="stranger")
    bench.claim("stranger-0", run_id="owner")
    code, told = bench.sweep()
    assert (code, bench.alive) == (1, ["stranger-0"])
    assert "LEFT     (key stranger-0): its ledger is run owner's, which has no such key" in told


# How far a run's slots go


def test_a_gap_of_sixty_three_slots_is_no_end_of_a_run_on_another_machine(bench: Bench) -> None:
    bench.set(delete_timeout=30)
    session = bench.begun(bench.folder / "on another machine", max_instances=2 * AHEAD)
    for slot, record in enumerate(session.claim(session.config.spec, 2 * AHEAD)):
        if slot in (AHEAD - 1, 2 * AHEAD - 1):
            session.bring_up(record)
    kill(session)
    code, told = bench.sweep("--run-id", "owner", wait=0.0)
    assert (code, bench.alive) == (0, []), told
    assert f"no other row under slots 0-{3 * AHEAD - 1}, nor under " in told


# What can't be read


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b'"is": "Claimed"', b'"is": "Xlaimed"', 1),
        lambda text: b"\xff\xfe" + text.lstrip(b"\n"),
        lambda text: text + b'\n{"at": 1.0, "of": "owner-1", "i',
        lambda text: text.replace(b'"schema": 4', b'"schema": 2', 1),
        lambda text: b"\n[]\n7\n" + text,
    ],
    ids=["a word", "bytes", "half a line", "another release", "no facts"],
)
def test_a_ledger_that_can_not_all_be_read_stays_and_its_slots_are_asked_for(
    damage: Callable[[bytes], bytes], bench: Bench
) -> None:
    bench.killed(2)
    ahead = bench.few_slots()
    ledger = bench.of("owner") / "ledger.jsonl"
    ledger.write_bytes(damage(ledger.read_bytes()))
    for by in ((), ("--run-id", "owner")):
        asked = len(bench.polled)
        code, told = bench.sweep(*by, wait=0.0)
        assert (code, bench.alive, ledger.exists()) == (1, [], True), told
        assert f"delete {ledger.parent}" in told
        assert "nothing is left" not in told
        assert f"owner-{ahead - 1}" in bench.polled[asked:]


# What is shown


def test_what_a_sweep_prints_is_harmless(bench: Bench, liar: Liar) -> None:
    hostile = "owner-0\n::error::gone\n##[error]\x1b[31m\u202enothing is left\r"
    bench.claim(hostile, run_id="owner")
    bench.claim("owner-1", "https://router.example/\n::stop-commands::x")
    bench.write("owner-1", State.CREATED, id="\x1b]0;x\x07")
    liar.lie([Lie(404, {"detail": "::set-output name=x::\n::add-mask::y\x1b[2J"}, on("delete"))])
    _, told = bench.sweep()
    assert not any(line.lstrip().startswith("::") for line in told.splitlines())
    assert all(char == "\n" or char.isprintable() for char in told)
    assert "##[" not in told
    assert "nothing is left" not in told.splitlines()
