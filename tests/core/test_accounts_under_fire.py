"""Random turns against a router that knows whose row is whose: no count passes on another's.

Rows are at most twice as late as the latest of another turn, or come within a second: what comes
later than that nobody can tell from another turn's.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core_tools import DONE, WORD, handle_of, ready, turn_of
from hypothesis import example, given
from hypothesis import strategies as st
from scripted_io import ID, START, ScriptedIO, Took, events, reply, stream
from sizes import examples

from pytest_hydrasmoke import ContractError, HydraSmokeError, LlmEventsError
from pytest_hydrasmoke._core.account import TurnAccount
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._transport.protocol import drive

SETTLE = 5.0
DOUBTS = (
    "may be among them",
    "some may be missing",
    "another client has chatted since the turn",
    "went down",
    "no count to compare with",
)


@dataclass(frozen=True)
class Does:
    """One turn: who takes it, and what comes of it."""

    shares: tuple[float, ...] = ()
    """When each row comes after the turn's end, as a share of the longest lag."""
    worker: int = 0
    how: str = "handle"
    """By a handle, by the plain client, left early, or refused."""
    lasts: float = 1.0
    early: int = 0
    """Rows that come before the end."""
    batch: bool = False
    """Whether all rows come with the last one."""
    rest: float = 0.0
    """Seconds after it in which nothing happens."""
    wants: int | None = 0
    """The rows more than its own that are expected of it; None where nothing is."""
    exactly: bool = True
    late: bool = False
    """Whether they are expected only after the next turn."""
    spelled: str = ID


TURNS = st.builds(
    Does,
    shares=st.lists(st.floats(0.5, 1), max_size=3).map(tuple),
    worker=st.integers(0, 1),
    how=st.sampled_from(["handle"] * 5 + ["plain", "left", "refused"]),
    lasts=st.floats(0.1, 3),
    early=st.integers(0, 1),
    batch=st.booleans(),
    rest=st.sampled_from([0.0, 0.0, 0.3, 2.0, 7.0]),
    wants=st.sampled_from([None, 0, 0, 1, -1]),
    exactly=st.booleans(),
    late=st.booleans(),
    spelled=st.sampled_from([ID, ID.upper(), ID.replace("-", ""), f"urn:uuid:{{{ID}}}"]),
)


@dataclass
class Truth:
    """The router, which knows of each row when it comes, and of which turn it is."""

    lag: float
    window: float
    rows: list[tuple[float, int]] = field(default_factory=list)
    turn: int = -1
    next: Does = field(default_factory=Does)
    io: ScriptedIO = field(init=False)

    def count(self, request: Any) -> Any:
        window = min(float(request.path.rpartition("=")[2]), self.window)
        found = sum(0 <= self.io.time - at <= window for at, _ in self.rows)
        return events(found, *["a"] * bool(found), window=int(window))

    def begins(self, _: Any) -> Any:
        self.turn += 1
        does, now = self.next, self.io.time
        if does.how == "refused":
            return reply(422, {"detail": [{"loc": ["body"], "msg": "no", "type": "x"}]})
        due = [now + does.lasts + share * self.lag for share in does.shares]
        if does.how == "left":
            # Of one that was left nobody knows the end: all comes within `usage_settle`.
            due = [min(at, now + SETTLE - 0.1) for at in due]
        if does.batch and due:
            due = [max(due)] * len(due)
        # Where a row comes early, one comes late as well: an agent's last call is its end.
        due += [now + does.lasts / 2] * (does.early if due else 0)
        self.rows += [(at, self.turn) for at in due]
        return stream(WORD, Took(does.lasts, WORD + DONE))

    def of(self, turn: int, by: float = math.inf) -> int:
        return sum(number == turn and at <= by for at, number in self.rows)


class Run:
    """Two processes that share an instance, on one clock."""

    def __init__(self, truth: Truth, folder: Path) -> None:
        self.truth = truth
        self.passed = self.doubted = 0
        truth.io = ScriptedIO(llm_events=[truth.count, ...], chat=[truth.begins, ...])
        policy = Policy(usage_settle=SETTLE, llm_events_timeout=8.0)
        self.handles = []
        for number, born in enumerate((START, None)):
            turns = RunTurns(folder / "turns.jsonl", f"gw{number}")
            _, handle = handle_of(ready(born=born, run_turns=turns), policy)
            handle._calls.io = truth.io
            self.handles.append(handle)

    def take(self, does: Does) -> tuple[int, TurnAccount] | None:
        """Take a turn; returns its number and its account, if it has one."""
        self.truth.next, handle = does, self.handles[does.worker]
        try:
            if does.how in ("plain", "left"):
                turn = handle.turn("hello", None)
                if does.how == "plain":
                    turn = turn_of(handle._calls, it=handle.instance.beside(does.spelled))
                drive(turn.open())
                while drive(turn.next()) is not None and does.how == "plain":
                    pass
                drive(turn.close())
                return None
            return self.truth.turn + 1, drive(handle.chat("hello", None))[0].account
        except HydraSmokeError:
            assert does.how == "refused"
            return None

    def expect(self, does: Does, number: int, account: TurnAccount) -> None:
        """Expect rows of a turn, and compare what comes of it with the truth."""
        truth, handle = self.truth, self.handles[does.worker]
        wanted = max(truth.of(number) + (does.wants or 0), 0)
        what = Expected(wanted, wanted if does.exactly else None)
        try:
            drive(handle.expect(what, None, account))
        except (ContractError, LlmEventsError) as error:
            met = wanted == truth.of(number) or (not does.exactly and wanted < truth.of(number))
            got = "" if isinstance(error, ContractError) else error.got or ""
            named = isinstance(error, ContractError) or any(words in got for words in DOUBTS)
            self.doubted += named
            why = None if named or not met else f"red, and nothing says why: {error}"
        else:
            self.passed += 1
            own = truth.of(number, truth.io.time if account.after is None else account.after.at)
            right = own == wanted if does.exactly else own >= wanted
            why = None if right else f"{wanted} passed on {own} own rows, of {truth.rows}"
        assert why is None, why


def play(lag: float, window: float, story: list[Does]) -> tuple[int, int]:
    """Take turns; gives how many expectations were met, and how many were in doubt."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Truth(lag, window), Path(folder))
        later: list[tuple[Does, int, TurnAccount]] = []
        for does in story:
            taken = run.take(does)
            while later:
                run.expect(*later.pop())
            if taken is not None and does.wants is not None:
                later.append((does, *taken))
                if not does.late:
                    run.expect(*later.pop())
            run.truth.io.time += does.rest
        return run.passed, run.doubted


@given(
    lag=st.sampled_from([0.0, 0.2, 1.0, 2.0, 2.4, 4.0, 4.9]),
    window=st.sampled_from([math.inf, math.inf, 900, 30, 10]),
    story=st.lists(TURNS, min_size=2, max_size=8),
)
@example(2.0, 10, [Does((1.0,)), Does(rest=3.0), Does((1.0, 1.0), wants=-1)])
@examples(25, 2_000)
def test_no_count_passes_on_another_turns_row(lag: float, window: float, story: list[Does]) -> None:
    play(lag, window, story)


def test_what_comes_in_time_is_in_no_doubt_and_what_comes_later_passes_nowhere() -> None:
    story = [Does((1.0,)), Does((0.5, 1.0)), Does(), Does((1.0,), worker=1)] * 2
    for lag in (0.0, 0.2, 1.0, 2.0):
        assert play(lag, math.inf, story) == (8, 0)
    assert play(4.0, math.inf, [Does((1.0,))] * 5) == (1, 4)
