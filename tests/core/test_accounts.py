"""Whose usage rows are these: random suites against agents whose rows are late in every way.

A sample of each kind of lag runs here; `-m fuzz` plays thousands, and prints the table of
docs/reference/reliability.md.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sizes import sizes
from usage_suites import Stories, Tally, Worker
from usage_world import Lag, World, batches, constant, mixed

from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.run_turns import RunTurns

MANY: tuple[int, ...] = (0, 1, 2, 3, 4)
POLICY = Policy()


@dataclass(frozen=True)
class Kind:
    """How late rows are, and what else is odd."""

    lags: tuple[Lag, ...]
    in_time: bool = True
    """Whether all rows come within `usage_settle` of their turn's end."""
    most_stolen: float = 0.015
    """The share of wrong accounts that may be green by another turn's rows, where they are late."""
    most_red: float = 0.005
    """The share of right accounts that may be red, where they are not."""
    workers: int = 1
    agents: int = 1
    attached: bool = False
    world: Mapping[str, Any] = field(default_factory=dict)
    story: Mapping[str, Any] = field(default_factory=dict)


def kind(*lags: Lag, **more: Any) -> Kind:
    return Kind(lags, **more)


ODD = {"story": {"odd": 0.3}, "world": {"within": POLICY.usage_settle - 0.1}}
FAILING = {"fails": 0.1, "slow": 2.0}
KINDS = {
    "0.2 s": kind(constant(0.2)),
    "1 s": kind(constant(1.0)),
    "2.4 s": kind(constant(2.4)),
    "4 s": kind(constant(4.0)),
    "0 to 2 s": kind(mixed(0, 2)),
    "0 to 5 s": kind(mixed(0, 5)),
    "batches of 2 s": kind(batches(2)),
    "batches of 5 s": kind(batches(5)),
    "two workers": kind(mixed(0, 2), constant(4.0), workers=2, agents=2),
    "agents of two kinds": kind(constant(0.2), mixed(0, 5), agents=4),
    "odd turns": kind(mixed(0, 4), **ODD),
    "counts that are slow, or fail": kind(mixed(0, 2.5), world=FAILING),
    "an attached instance": kind(mixed(0, 4), attached=True),
    # Where none has come from the start, three turns are enough for a doubt.
    "recording that stops": kind(constant(1.0), story={"silent_from": 6}, most_red=0.02),
    "6 s": kind(constant(6.0), in_time=False),
    "7 s": kind(constant(7.0), in_time=False),
    "9 s": kind(constant(9.0), in_time=False),
    "12 s": kind(constant(12.0), in_time=False),
    "20 s": kind(constant(20.0), in_time=False),
    # Where some rows are late and others are not, it takes longer until one is proved late.
    "4 to 8 s": kind(mixed(4, 8), in_time=False, most_stolen=0.03),
    "0 to 12 s": kind(mixed(0, 12), in_time=False, most_stolen=0.04),
    "0 to 20 s": kind(mixed(0, 20), in_time=False, most_stolen=0.03),
    "batches of 10 s": kind(batches(10), in_time=False),
    "batches of 10 s, 6 s late": kind(batches(10, 6), in_time=False),
    "batches of 20 s": kind(batches(20), in_time=False),
    "late, two workers": kind(mixed(5, 9), constant(7.0), workers=2, agents=2, in_time=False),
}


def play(seed: int, what: Kind, tally: Tally) -> None:
    """Let one suite run: some tests, of some turns each."""
    chance = random.Random(seed)
    world = World(chance, **what.world)
    used = 3 * what.attached
    agents = [
        world.agent(what.lags[it % len(what.lags)], f"tier-{it % len(what.lags)}", used)
        for it in range(what.agents)
    ]
    calls = chance.choice([(1,), (1,), (0, 1, 2), MANY])

    async def take(worker: Worker) -> None:
        stories = Stories(chance, **{"calls": calls, **what.story})
        for _ in range(4):
            await worker.test(chance.choice(agents), stories.test())

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "turns.jsonl" if what.workers > 1 else None
        workers = [
            Worker(world, tally, RunTurns(file, f"gw{it}"), POLICY, what.attached)
            for it in range(what.workers)
        ]
        world.run(*(take(it) for it in workers))


@pytest.mark.parametrize("many", sizes("fuzz", 6, 3_000))
@pytest.mark.parametrize("name", KINDS)
def test_no_account_is_green_by_rows_of_another_turn(name: str, many: int) -> None:
    what, tally = KINDS[name], Tally()
    for seed in range(many):
        play(seed, what, tally)
    told, wrong, right = tally.told, tally.wrong, tally.right
    reds = told["alarm"] + told["doubted"]
    print(
        f"{name:30} wrong {wrong}: found {told['found'] / wrong:.1%}, stolen {told['stolen']}, "
        f"early {told['early']}; right {right}: alarms {told['alarm'] / right:.2%}, doubted "
        f"{told['doubted'] / right:.2%}, failed {told['failed']}; "
        f"a chat waits {sum(tally.waited) / len(tally.waited):.1f} s"
    )
    if what.in_time:
        assert (told["stolen"], told["early"]) == (0, 0), tally.examples
        assert reds <= max(what.most_red * right, 1), tally.examples
    else:
        assert told["stolen"] <= max(what.most_stolen * wrong, 1), tally.examples
