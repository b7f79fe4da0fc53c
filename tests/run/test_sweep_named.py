"""`hydra-smoke sweep --run-id`: how a run is looked for by its id."""

from __future__ import annotations

import pytest
from sweeping import Bench, looked_up, no_longer_young

from pytest_hydrasmoke._run.slots import AHEAD, NAMES


def test_a_run_that_is_not_known_is_looked_up_once_and_kept_from_beginning(bench: Bench) -> None:
    code, told = bench.sweep("--dry-run", "--run-id", "nobody")
    assert code == 0
    assert f"would ask for (key nobody-{AHEAD - 1}) at {bench.router.url}\n" in told
    assert told.splitlines()[-1] == "this was a dry run"
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


def test_keys_that_no_ledger_names_need_no_line(bench: Bench) -> None:
    [instance] = bench.killed()
    folder = bench.of("owner")
    assert bench.sweep("--run-id", "owner", wait=0.0)[1].splitlines() == [
        f"deleted  {instance} (key owner-0)",
        f"nothing is left of run owner: all keys in {folder / 'ledger.jsonl'} were asked for",
    ]
    assert f"owner-{AHEAD}" in bench.polled
    assert (folder / "over").exists()
    assert not (folder / "ledger.jsonl").exists()


@pytest.mark.parametrize("number", [1, 17])
def test_on_another_machine_a_run_is_asked_for_until_enough_slots_have_no_row(
    bench: Bench, number: int
) -> None:
    # Whatever the sweep's own limit is.
    bench.killed(number, output=bench.folder / "the other machine's", max_instances=20)
    last = number - 1 + bench.few_slots()
    code, told = bench.sweep("--run-id", "owner", wait=0.0)
    assert (code, bench.alive, told.count("deleted  ")) == (0, [], number)
    assert told.splitlines()[-1] == looked_up("owner", bench, last, found=True)
    assert f"owner-{last}" in bench.polled
    assert f"owner-{last + 1}" not in bench.polled
    assert (bench.of("owner") / "over").exists()


def test_a_named_run_is_over_even_while_it_lives(bench: Bench) -> None:
    with bench.living() as session:
        [record] = session.records
        assert bench.sweep("--run-id", "owner")[0] == 0
        assert bench.alive == []
        assert session.ledger.is_over
        with pytest.raises(Exception, match="run owner is over"):
            session.claim(session.config.spec)[0].permit()
    assert record.leak is None


def test_a_slot_that_a_ledger_names_is_known_however_far_it_is(bench: Bench) -> None:
    bench.claim("owner-30")
    assert bench.sweep("--run-id", "owner", wait=0.0)[0] == 0
    slots = {f"owner-{slot}" for slot in range(31 + AHEAD)}
    assert {*bench.polled} == {*slots, *(f"owner-{name}" for name in NAMES)}


def test_a_slot_that_no_run_has_is_no_reason_to_ask_without_end(bench: Bench) -> None:
    bench.claim("owner-999999999")
    bench.claim("owner-no_number")
    code, told = bench.sweep("--run-id", "owner", wait=0.0)
    assert code == 0, told
    assert len({*bench.polled}) == 2 + AHEAD + len(NAMES)
