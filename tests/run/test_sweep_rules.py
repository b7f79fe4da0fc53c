"""What a sweep may believe, where it may send the token, and how it says that it can't know."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from liar import Liar, Lie, lying, on
from sweeping import Bench

from pytest_hydrasmoke._journal.states import CLOSED, State


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


WRONG = {
    "a wrong prefix": [Lie(404, {"detail": "Not Found"})],
    "an ingress": [Lie(404, "default backend - 404")],
    "a page": [Lie(200, "<html>", kind="text/html")],
    "a wrong token": [Lie(401, {"detail": "Invalid or missing token"}, on("poll", "status"))],
    "a router that proves nothing": [Lie(404, {"detail": "Not Found"}, on("poll", "other"))],
    "a router that is down": [Lie(503, "")],
}


def test_what_is_no_smoke_router_is_no_reason_to_say_that_nothing_is_left(
    bench: Bench, liar: Liar
) -> None:
    bench.killed()
    ways = ((), ("--run-id", "owner"), ("--dry-run",))
    for number, lies in enumerate(WRONG.values()):
        liar.lie(lies)
        code, told = bench.sweep(*ways[number % 3], wait=0.0)
        assert code == 1
        assert told.startswith(f"UNKNOWN  what is left: {liar.url} does not show it: ")
        assert "nothing is left" not in told
        assert (bench.open, liar.told("delete")) == (["owner-0"], 0)


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


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b'"is": "Claimed"', b'"is": "Xlaimed"', 1),
        lambda text: text + b'\n{"at": 1.0, "of": "owner-1", "i',
        lambda text: text.replace(b'"schema": 4', b'"schema": 2', 1),
    ],
    ids=["a word", "half a line", "another release"],
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
