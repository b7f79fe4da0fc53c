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

from hypothesis import example, given
from hypothesis import strategies as st
from scripted_io import ID, START, Took, calls_of, events, record, reply, stream
from sizes import examples

from pytest_hydrasmoke import ContractError, HydraSmokeError, LlmEventsError
from pytest_hydrasmoke._core.beside import Beside
from pytest_hydrasmoke._core.chat import OpenTurn
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._core.turn_account import TurnAccount
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive

DONE = b"data: Hi\n\ndata: [DONE]\n\n"
SETTLE = 5.0
DOUBTS = (
    "may be among them",
    "some may be missing",
    "another client has chatted since the turn",
    "went down",
    "no count to compare with",
)
SPELLED = [ID, ID.upper(), ID.replace("-", ""), f"urn:uuid:{ID}", f"{{{ID}}}"]


@dataclass(frozen=True)
class Does:
    """One turn: who takes it, and what comes of it."""

    worker: int
    how: str
    """By a handle, by the plain client, left early, or refused."""
    lasts: float
    shares: tuple[float, ...]
    """When each row comes after the turn's end, as a share of the longest lag."""
    early: int
    """Rows that come before the end."""
    batch: bool
    """Whether all rows come with the last one."""
    rest: float
    """Seconds after it in which nothing happens."""
    wants: int | None
    """The rows more than its own that are expected of it; None where nothing is."""
    exactly: bool
    late: bool
    """Whether they are expected only after the next turn."""
    spelled: str


turns = st.builds(
    Does,
    worker=st.integers(0, 1),
    how=st.sampled_from(["handle"] * 5 + ["plain", "left", "refused"]),
    lasts=st.floats(0.1, 3),
    shares=st.lists(st.floats(0.5, 1), max_size=3).map(tuple),
    early=st.integers(0, 1),
    batch=st.booleans(),
    rest=st.sampled_from([0.0, 0.0, 0.3, 2.0, 7.0]),
    wants=st.sampled_from([None, 0, 0, 1, -1]),
    exactly=st.booleans(),
    late=st.booleans(),
    spelled=st.sampled_from(SPELLED),
)


@dataclass
class Truth:
    """The router, which knows of each row when it comes, and of which turn it is."""

    lag: float
    window: float
    rows: list[tuple[float, int]] = field(default_factory=list)
    turn: int = -1
    io: Any = None

    def count(self, request: Any) -> Any:
        asked = float(request.path.rpartition("=")[2])
        window = min(asked, self.window)
        found = sum(0 <= self.io.time - at <= window for at, _ in self.rows)
        return events(found, *["a"] * bool(found), window=int(window))

    def begins(self, does: Does) -> Any:
        self.turn += 1
        if does.how == "refused":
            return reply(422, {"detail": [{"loc": ["body"], "msg": "no", "type": "x"}]})
        end = self.io.time + does.lasts
        due = [end + share * self.lag for share in does.shares]
        if does.how == "left":
            # Of one that was left nobody knows the end: all comes within `usage_settle`.
            due = [min(at, self.io.time + SETTLE - 0.1) for at in due]
        if does.batch and due:
            due = [max(due)] * len(due)
        # Where a row comes early, one comes late as well: an agent's last call is its end.
        due += [self.io.time + does.lasts / 2] * (does.early if due else 0)
        self.rows += [(at, self.turn) for at in due]
        return stream(b"data: H\n\n", Took(does.lasts, DONE))

    def of(self, turn: int, by: float = math.inf) -> int:
        return sum(number == turn and at <= by for at, number in self.rows)


class Run:
    """Two processes that share an instance, on one clock."""

    def __init__(self, truth: Truth, folder: Path) -> None:
        self.truth, self.next = truth, Does(0, "handle", 1, (), 0, False, 0, None, False, False, ID)
        self.passed = self.doubted = 0
        self.handles: list[Handle] = []
        truth.io, _ = calls_of(
            None, llm_events=[truth.count, ...], chat=[lambda _: truth.begins(self.next), ...]
        )
        for number in range(2):
            it = record(state=State.READY, id=ID)
            it.born = START if number == 0 else None
            it.run_turns = RunTurns(folder / "turns.jsonl", f"gw{number}")
            self.handles.append(self._handle(it))

    def _handle(self, it: InstanceRecord) -> Handle:
        calls = calls_of(it)[1]
        calls.io = self.truth.io
        return Handle(calls, it, Policy(usage_settle=SETTLE, llm_events_timeout=8.0), Reading())

    def take(self, does: Does) -> tuple[int, TurnAccount] | None:
        """Take a turn; returns its number and its account, if it has one."""
        self.next, handle = does, self.handles[does.worker]
        try:
            if does.how == "plain":
                beside = Beside(does.spelled, handle.record)
                more: dict[str, Any] = {"timeout": 60.0, "end": "auto", "reading": Reading()}
                turn = OpenTurn(handle._calls, beside, "hello", **more)
                drive(turn.open())
                while drive(turn.next()) is not None:
                    pass
                drive(turn.close())
                return None
            if does.how == "left":
                turn = handle.turn("hello", None)
                drive(turn.open())
                drive(turn.next())
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
            drive(handle.expect_of_turn(what, account, None))
        except (ContractError, LlmEventsError) as error:
            met = wanted == truth.of(number) or (not does.exactly and wanted < truth.of(number))
            named = isinstance(error, ContractError) or any(
                words in (error.got or "") for words in DOUBTS
            )
            self.doubted += named
            why = None if named or not met else f"red, and nothing says why: {error}"
        else:
            self.passed += 1
            upto = truth.io.time if account.after is None else account.after.at
            own = truth.of(number, upto)
            right = own == wanted if does.exactly else own >= wanted
            why = None if right else f"{wanted} passed on {own} own rows, of {truth.rows}"
        assert why is None, why


def play(lag: float, window: float, story: list[Does]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Truth(lag, window), Path(folder))
        later: tuple[Does, int, TurnAccount] | None = None
        for does in story:
            taken = run.take(does)
            if later is not None:
                run.expect(*later)
                later = None
            if taken is not None and does.wants is not None:
                if does.late:
                    later = does, *taken
                else:
                    run.expect(does, *taken)
            run.truth.io.time += does.rest
        return run


def does(*shares: float, **changes: Any) -> Does:
    plain: dict[str, Any] = {
        "worker": 0,
        "how": "handle",
        "lasts": 1.0,
        "shares": shares,
        "early": 0,
        "batch": False,
        "rest": 0.0,
        "wants": 0,
        "exactly": True,
        "late": False,
        "spelled": ID,
    }
    return Does(**{**plain, **changes})


@given(
    lag=st.sampled_from([0.0, 0.2, 1.0, 2.0, 2.4, 4.0, 4.9]),
    window=st.sampled_from([math.inf, math.inf, 900, 30, 10]),
    story=st.lists(turns, min_size=2, max_size=8),
)
@example(2.0, 10, [does(1.0), does(rest=3.0), does(1.0, 1.0, wants=-1)])
@examples(25, 2_000)
def test_no_count_passes_on_another_turns_row(lag: float, window: float, story: list[Does]) -> None:
    play(lag, window, story)


def test_what_comes_in_time_is_counted_and_in_no_doubt() -> None:
    for lag in (0.0, 0.2, 1.0, 2.0):
        run = play(lag, math.inf, [does(1.0), does(0.5, 1.0), does(), does(1.0, worker=1)] * 2)
        assert (run.passed, run.doubted) == (8, 0)


def test_what_comes_later_than_is_waited_is_in_doubt_and_passes_nowhere() -> None:
    run = play(4.0, math.inf, [does(1.0)] * 5)
    assert (run.passed, run.doubted) == (1, 4)
