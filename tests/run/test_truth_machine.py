"""G30, G12: lives of runs and sweeps in any order, at a router that keeps the truth.

Never is a machine alive while every word says that all is well; a key makes one machine at most;
a user's file stays as it is; and at a router that is right, no run is red, or takes long.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from lies import WEAK, Lie, on
from sizes import sizes
from truth import Machine, Manner, Truth
from truth_app import TrueRouter
from truth_seam import (
    FOREVER,
    Ages,
    Killed,
    Process,
    World,
    open_keys,
    sweep,
    threads_may_be_killed,
    vanished_keys,
)

from pytest_hydrasmoke import HydraSmokeError, SmokeInstance, SmokeInstanceFactory, VirtualClock
from pytest_hydrasmoke._journal.states import State

ROW, BOOT = 3.0, 4.0
USUAL = {"row_after": ROW, "boot": BOOT}
RIGHT = [
    Manner(**USUAL),
    Manner(row_after=0.0, boot=0.0),
    *(Manner(**USUAL, keeps_row=True, second_delete=code) for code in (200, 404, 409, 410)),
    Manner(**USUAL, keeps_row=True, key_word=None),
    Manner(**USUAL, keeps_row=True, key_words=False, key_word=None),
    Manner(**USUAL, deleting=120.0),
    Manner(**USUAL, takes=2.0),
    Manner(**USUAL, busy_every=5),
]
WRONG = [
    *(Manner(**USUAL, lag=lag) for lag in (0.5, 3.0, 8.0)),
    *(Manner(**USUAL, lag=lag, deletes_behind=True) for lag in (0.5, 3.0, 8.0)),
    *(Manner(**USUAL, blind=lag) for lag in (0.5, 3.0, 8.0)),
    *(Manner(**USUAL, deaf=deaf, flaps=1) for deaf in (1, math.inf)),
    *(Manner(**USUAL, deaf=deaf, hidden=1.0) for deaf in (1, math.inf)),
    *(Manner(**USUAL, deaf=deaf, hidden=1.0, hides_key=True) for deaf in (1, math.inf)),
    *(Manner(**USUAL, deaf=deaf, stale=lag) for deaf in (1, math.inf) for lag in (3.0, 8.0)),
    Manner(row_after=ROW, boot=20.0, finishes=True),
    *(Manner(**USUAL, refuses=code) for code in (401, 403, 422, 429)),
    Manner(**USUAL, outage=5.0),
    Manner(**USUAL, loses_key=0.3),
]
_CALLS = ("provision", "poll", "status", "chat", "delete")
LOST = [
    Lie(code, {"detail": "no"} if code else "", on(call), carried_out=done)
    for code in (0, 429, 503)
    for call in _CALLS
    for done in (False, True)
]
UNDECIDED = [
    Lie(403, "<html>", on("provision"), "text/html", carried_out=True),
    Lie(307, "", on("provision"), carried_out=True),
    Lie(400, {"message": "no"}, on("provision"), carried_out=True),
    Lie(422, {"detail": "no"}, on("provision")),
    Lie(404, {"detail": "Not Found"}, on("poll")),
]
FINE = frozenset({"deleted", "refused"})
LIVES = st.none() | st.none() | st.none() | st.integers(0, 40)
"""After how many steps of its requests a process is killed, each sent and answered in two."""
PATIENCE = st.sampled_from([60.0, 60.0, 60.0, 5.0, 2.0])
"""Seconds in which it is to be ready: two of them are too few."""
USUAL_END = 2.5
"""Seconds that the end of a run takes at a plain router: its last look comes after 2 s."""
SOON = 15.0
"""Seconds that a right router may take longer than a plain one."""


def of_every_id(lie: Lie) -> Lie:
    """Have a lie about a status told of an id that is none, too."""
    return replace(lie, calls=lie.calls | on("malformed")) if "status" in lie.calls else lie


class Life(RuleBasedStateMachine):
    """Runs come and go, one at a time; the router stays, and so does what is on the disk."""

    @initialize(manner=st.sampled_from([*RIGHT, *WRONG]), ready_timeout=PATIENCE, lives=LIVES)
    def begin_life(self, manner: Manner, ready_timeout: float, lives: int | None) -> None:
        self.clock = VirtualClock()
        self.truth = Truth(manner, self.clock)
        self.router = TrueRouter(self.truth)
        self.world = World(self.router, self.clock)
        self.home = tempfile.TemporaryDirectory()
        self.output = Path(self.home.name) / ".hydrasmoke"
        self.elsewhere = Path(self.home.name) / "elsewhere"
        self.ages = Ages(self.output, self.clock)
        self.number = 0
        self.process: Process | None = None
        self.instances: list[SmokeInstance] = []
        self.smooth = manner in RIGHT
        """Whether nothing has happened that would excuse a red run."""
        self.in_trouble = False
        self.mine = {
            self.output / name: name.encode()
            for name in ("notes.txt", "runs/exp1/turns/0001.json", "runs/exp1/turns.jsonl")
        }
        for path, text in self.mine.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
        # Chance leaves rules out, and without this one there is nothing to see.
        self.provision(1, lives, ready_timeout)

    @property
    def curable(self) -> bool:
        return self.truth.manner.deaf < math.inf

    def left(self) -> set[str]:
        """Return the keys of the machines that stay alive, if nobody does anything more.

        Of one whose key the router has lost, before anybody's ledger had its id, nobody can know.
        """
        read = (it.read_text() for it in self.output.glob("runs/*/*.jsonl"))
        # What the answer to a provision alone has named may be another run's.
        lines = (line for text in read for line in text.splitlines())
        ledgers = "".join(line for line in lines if '"state": "accepted"' not in line)
        left = self.truth.left()
        return {it.key for it in left if str(it.id) in ledgers or not self.is_nameless(it)}

    def is_nameless(self, machine: Machine) -> bool:
        """Return whether no key of the router's names a machine any more."""
        ended = self.truth.manner.finishes and not self.truth.seen(machine, "key")[0]
        return ended or self.truth.has_lost(machine)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            if self.process is not None:
                self.crash()
            self.router.lie([])
            # The last sweeps come on good days, when all that was on its way has arrived.
            for _ in range(2):
                self.pass_time(7200)
                left, said = self.sweep_in(self.output, None, row_settle=0.0)
            assert left or not self.left(), said
            if self.curable:
                stays = vanished_keys(self.output)
                told = self.left(), open_keys(self.output) - stays, left
                assert told == (set(), set(), bool(stays)), said
            self.my_files_stay()
        finally:
            self.home.cleanup()

    # What happens

    @rule(lies=st.data(), after=st.integers(0, 12), times=st.sampled_from([1, 2, 5, 20, 1000]))
    def get_into_trouble(self, lies: st.DataObject, after: int, times: int) -> None:
        own = self.truth.manner in RIGHT
        kinds = [[it] for it in LOST]
        if own:  # Both at once would be more than any rule allows for.
            kinds += [*WEAK.values(), *([it] for it in UNDECIDED)]
        self.router.lie([of_every_id(it) for it in lies.draw(st.sampled_from(kinds))], after, times)
        self.smooth, self.in_trouble = False, True

    @precondition(lambda self: self.in_trouble)
    @rule()
    def get_out_of_trouble(self) -> None:
        self.router.lie([])
        self.in_trouble = False

    def guarded(self, work: Callable[[], object], lives: int | None) -> None:
        """Do something, in whose midst its process may be killed."""
        self.world.lives = FOREVER if lives is None else lives
        try:
            work()
        except HydraSmokeError:
            assert not self.smooth, "red at a right router"
        except Killed:
            self.crash()
        self.world.lives = FOREVER

    def begin(self, ready_timeout: float) -> None:
        """Begin a run; one that waits for less than it takes gives up before it is ready."""
        self.number += 1
        self.instances = []
        self.smooth &= ready_timeout >= 60
        limits = {"ready_timeout": ready_timeout, "delete_timeout": 30.0, "max_instances": 50}

        def work() -> None:
            self.process = Process(self.world, self.output, f"run{self.number}", **limits)

        self.guarded(work, None)

    @rule(number=st.sampled_from([1, 1, 2]), lives=LIVES, ready_timeout=PATIENCE)
    def provision(self, number: int, lives: int | None, ready_timeout: float) -> None:
        if self.process is None:
            self.begin(ready_timeout)
        process = self.process
        if process is None:
            return

        def work() -> None:
            self.instances += SmokeInstanceFactory(process.run).many(number)

        self.guarded(work, lives)

    @precondition(lambda self: self.process is not None and self.instances)
    @rule(data=st.data(), lives=LIVES)
    def chat(self, data: st.DataObject, lives: int | None) -> None:
        instance = data.draw(st.sampled_from(self.instances))
        self.guarded(lambda: instance.chat("hello"), lives)

    @precondition(lambda self: self.process is not None and self.instances)
    @rule(data=st.data(), lives=LIVES)
    def delete(self, data: st.DataObject, lives: int | None) -> None:
        instance = data.draw(st.sampled_from(self.instances))
        self.instances.remove(instance)
        self.guarded(instance.delete, lives)

    @precondition(lambda self: self.process is not None)
    @rule(lives=LIVES)
    def end(self, lives: int | None) -> None:
        process, began = self.process, self.clock.now()
        assert process is not None
        told: dict[str, str] = {}
        self.guarded(lambda: told.update(process.end()), lives)
        if self.process is None:
            return
        self.process, took = None, self.clock.now() - began
        well = {key for key, outcome in told.items() if outcome in FINE}
        if not self.truth.manner.finishes:  # A boot of which no look can tell is a sweep's.
            assert not well & self.left(), told
        if self.smooth:
            assert well == told.keys(), "red at a right router"
            most = USUAL_END + SOON + 20 * self.truth.manner.takes
            assert round(took, 6) <= most, "long at a right router"

    @precondition(lambda self: self.process is not None)
    @rule()
    def crash(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process = None
        self.smooth = False

    @rule(seconds=st.floats(0.1, 20.0))
    def pass_time(self, seconds: float) -> None:
        self.ages.follow()
        self.clock.advance(seconds)

    @rule(lives=LIVES)
    def sweep_all(self, lives: int | None) -> None:
        self.swept(self.output, None, lives)

    @precondition(lambda self: self.number)
    @rule(data=st.data(), lost=st.booleans(), lives=LIVES)
    def sweep_one(self, data: st.DataObject, lost: bool, lives: int | None) -> None:
        """Sweep a run by its id, perhaps where there is no ledger of it."""
        run_id = f"run{data.draw(st.integers(1, self.number))}"
        if self.process is not None and self.process.run_id == run_id:
            self.smooth = False
        self.swept(self.elsewhere if lost else self.output, run_id, lives)

    def swept(self, output: Path, run_id: str | None, lives: int | None) -> None:
        """Sweep; the sweep may be killed, too."""
        self.world.lives = FOREVER if lives is None else lives
        with contextlib.suppress(Killed):
            self.sweep_in(output, run_id)
        self.world.lives = FOREVER

    def sweep_in(
        self, output: Path, run_id: str | None, row_settle: float = 3600.0
    ) -> tuple[bool, list[str]]:
        self.ages.follow()
        shown = {it.key for it in self.truth.machines if self.truth.seen(it, "key")[0]}
        wait = self.truth.manner.trouble + 1
        limits = {"delete_timeout": 30.0, "row_settle": row_settle}
        left, said = sweep(self.world, output, run_id, wait, **limits)
        self.ages.follow()
        assert not (left and self.smooth), said
        if self.truth.manner.finishes:
            return left, said  # No look can tell of such a boot, until it was long ago.
        hedged = {_key_in(line) for line in said if line.startswith("booting ")}
        told = {_key_in(line) for line in said if line.startswith("deleted ")}
        assert not told & self.left(), said
        if not left:
            live = "" if self.process is None else f"{self.process.run_id}-"
            known = shown if output is self.elsewhere else {it.key for it in self.truth.machines}
            wrong = {
                key
                for key in (known & self.left()) - hedged
                if key.startswith(f"{run_id}-" if run_id else "run")
                and not (live and key.startswith(live) and run_id is None)
            }
            assert not wrong, said
        return left, said

    # What always holds

    @invariant()
    def what_lives_is_in_a_ledger(self) -> None:
        assert self.left() <= open_keys(self.output)

    @invariant()
    def a_key_makes_one_machine(self) -> None:
        keys = [machine.key for machine in self.truth.machines]
        assert len(keys) == len(set(keys))

    @invariant()
    def my_files_stay(self) -> None:
        for path, text in self.mine.items():
            assert path.read_bytes() == text, path


def _key_in(line: str) -> str:
    return line.partition("(key ")[2].partition(")")[0]


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Let them come when they come: on made-up time that costs nothing."""


@pytest.mark.parametrize("number", sizes("fuzz", 12, 10_000))
def test_what_is_alive_is_told(number: int) -> None:
    how = settings(settings.default, max_examples=number, stateful_step_count=14)
    with threads_may_be_killed():
        run_state_machine_as_test(Life, settings=how)


def drawn(value: object) -> Any:
    """Return what draws a value, whatever is to be drawn."""
    return SimpleNamespace(draw=lambda strategy: value)


@pytest.mark.parametrize(
    ("manner", "ready_timeout"),
    [(Manner(deaf=1, flaps=1), 60.0), (Manner(**USUAL, deaf=math.inf, stale=ROW), 2.0)],
    ids=["is said to be under way, once", "a replica does not know the instance yet"],
)
def test_what_only_a_last_look_can_prove_is_a_leak_without_one(
    manner: Manner, ready_timeout: float
) -> None:
    life: Any = Life()
    life.begin_life(manner=manner, ready_timeout=ready_timeout, lives=None)
    for each in life.instances:
        life.delete(data=drawn(each), lives=None)
    [instance] = life.process.run.instances
    assert instance.state is State.GONE
    lie = Lie(status=0, body="", calls=frozenset({"status"}), kind=None, carried_out=True)
    life.get_into_trouble(after=0, lies=drawn([lie]), times=1000)
    life.end(lives=None)
    assert instance.leak is not None
    life.teardown()


def test_what_was_deleted_in_its_boot_is_left_until_a_delete_after_it_is_taken() -> None:
    life: Any = Life()
    manner = Manner(row_after=ROW, boot=20.0, finishes=True)
    life.begin_life(manner=manner, ready_timeout=5.0, lives=None)
    life.crash()
    lie = Lie(429, {"detail": "no"}, on("delete"), carried_out=False)
    life.get_into_trouble(after=0, lies=drawn([lie]), times=1000)
    life.sweep_all(lives=None)
    life.pass_time(60.0)
    life.sweep_all(lives=None)
    life.what_lives_is_in_a_ledger()
    life.get_out_of_trouble()
    left, said = life.sweep_in(life.output, None)
    assert (left, life.left()) == (False, set()), said
    life.teardown()


def test_a_deletion_that_goes_on_is_no_leak() -> None:
    life: Any = Life()
    life.begin_life(manner=Manner(**USUAL, deleting=120.0), ready_timeout=60.0, lives=None)
    life.end(lives=None)
    life.teardown()


@pytest.mark.parametrize(
    ("after", "times", "lost"),
    [(4, 1, True), (0, 1000, False)],
    ids=["at one key", "from a sweep's first request on"],
)
def test_nothing_is_left_only_where_keys_are_answered_as_keys(
    after: int, times: int, lost: bool
) -> None:
    # Something else has answered, in a form that the router's status has.
    life: Any = Life()
    life.begin_life(manner=RIGHT[0], ready_timeout=60.0, lives=None)
    life.crash()
    lies = WEAK["status not found in the router's form, and the rest another's"]
    life.get_into_trouble(after=after, lies=drawn(lies), times=times)
    if lost:
        life.sweep_one(data=drawn(1), lost=True, lives=None)
    else:
        life.sweep_all(lives=None)
    life.teardown()
