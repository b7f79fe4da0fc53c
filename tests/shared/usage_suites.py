"""Suites that chat with agents whose usage rows come late, and what comes of their accounts.

What a run says of an account is compared with the truth: an account that is green although the
turn's own rows are not as expected has counted those of another turn (`stolen`), or was judged
before all of its own had come (`early`).
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field

from scripted_io import KEY
from usage_world import PROVIDERS, Agent, Does, Row, World, WorldIO, until

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import ContractError, HydraSmokeError, LlmEventsError
from pytest_hydrasmoke._core.account import TurnAccount
from pytest_hydrasmoke._core.expected import Expected, expected
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.incoming import Incoming, Reading
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.open_turn import OpenTurn
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._core.stage import Keeper
from pytest_hydrasmoke._journal.states import State

FAILURES = (
    "can't be counted",
    "no count to compare with",
    "another client has chatted since the turn",
)
DOUBTS = (
    "may be among them",
    "some may be missing",
    "LLM events of another client come in all the time",
)


@dataclass
class Tally:
    """What came of accounts."""

    told: Counter[str] = field(default_factory=Counter)
    waited: list[float] = field(default_factory=list)
    """How long each chat waited before its message left."""
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, outcome: str, words: str) -> None:
        self.told[outcome] += 1
        self.examples.setdefault(outcome, words)

    @property
    def wrong(self) -> int:
        """How many accounts were expected to be what they were not."""
        return self.told["found"] + self.told["stolen"] + self.told["early"]

    @property
    def right(self) -> int:
        return self.told.total() - self.wrong


@dataclass
class Worker:
    """A process of a run: its tests chat with agents, and expect rows of their turns."""

    world: World
    tally: Tally
    turns: RunTurns
    policy: Policy
    attached: bool = False
    known: dict[str, Handle] = field(default_factory=dict)

    def handle(self, agent: Agent) -> Handle:
        if agent.id not in self.known:
            key = None if self.attached else KEY + agent.id
            it = Instance(
                agent.spec, key=key, id=agent.id, state=State.READY, attached=self.attached
            )
            it.born = None if self.attached else agent.born
            it.target.run_turns, it.keeper = self.turns, Keeper(self.policy)
            calls = Calls(WorldIO(self.world), it)  # type: ignore[arg-type]
            self.known[agent.id] = Handle(calls, it, Reading())
        return self.known[agent.id]

    async def test(self, agent: Agent, story: list[Does]) -> None:
        """Take turns, one right after the other, but for their rests."""
        while agent.taken_by not in (None, self):
            await until(self.world.now + 0.5)
        agent.taken_by = self
        open_accounts: list[tuple[Does, int, TurnAccount]] = []
        for does in story:
            account = await self._take(agent, does)
            for asked in open_accounts:
                await self._expect(agent, *asked)
            open_accounts.clear()
            if account is not None and does.wants is not None:
                open_accounts.append((does, agent.turns, account))
                if not does.later:
                    await self._expect(agent, *open_accounts.pop())
            await until(self.world.now + does.rest)
        for asked in open_accounts:
            await self._expect(agent, *asked)
        agent.taken_by = None

    async def _take(self, agent: Agent, does: Does) -> TurnAccount | None:
        handle, began = self.handle(agent), self.world.now
        agent.next = does
        turn = handle.turn("hello", None)
        if does.how == "plain":
            it, came = (
                handle.instance.target.beside(agent.id.upper()),
                Incoming(Reading(), "optional", None),
            )
            turn = OpenTurn(handle._calls, it, "hello", came, timeout=60.0)
        try:
            await turn.open()
            self.tally.waited.append(turn.story.at - began)
            while await turn.next() is not None and does.how != "left":
                pass
        except HydraSmokeError as error:
            if does.how not in ("cut", "refused"):
                raise AssertionError(does) from error
            return None
        finally:
            await turn.close()
        return turn.account

    async def _expect(self, agent: Agent, does: Does, number: int, account: TurnAccount) -> None:
        handle, wanted = self.handle(agent), does.wants
        assert wanted is not None
        own = agent.of(number)
        right, got = is_met(wanted, own), ""
        try:
            await handle.expect(wanted, None, account)
        except (ContractError, LlmEventsError) as error:
            got = error.got or error.message
            is_doubt = any(words in got for words in DOUBTS)
            failed = any(words in got for words in FAILURES)
            outcome = "failed" if failed else "doubted" if is_doubt else "alarm"
            if not right:
                outcome = "found"
        else:
            seen = [it for it in own if it.at <= self.world.now]
            outcome = "green" if right else "early" if is_met(wanted, seen) else "stolen"
        self.tally.add(outcome, f"turn {number}: {wanted}: {got}; {agent.rows}; {self.world.now}")


def is_met(wanted: Expected, own: list[Row]) -> bool:
    """Return whether a turn's own rows are as a test expects."""
    names = {it.who for it in own}
    most = math.inf if wanted.at_most is None else wanted.at_most
    alone = not wanted.only or names <= wanted.providers
    return wanted.at_least <= len(own) <= most and wanted.providers <= names and alone


@dataclass
class Stories:
    """Tests as teams write them: turns with and without account, fresh conversations, rests."""

    chance: random.Random
    calls: tuple[int, ...] = (1,)
    """How many calls of a model a turn may make."""
    lost: float = 0.07
    doubled: float = 0.03
    fresh: float = 0.2
    """The share of turns that only begin a new conversation, and leave no row."""
    accounts: float = 0.5
    """The share of the others whose rows are expected."""
    odd: float = 0.0
    """The share of turns that are left, cut, refused, or taken by the plain client."""
    mistaken: float = 0.1
    """The share of accounts that expect one row more, or less, than the agent means to leave."""
    rests: float = 30.0
    silent_from: float = math.inf
    """From which turn on nothing is recorded."""
    told: int = 0

    def test(self) -> list[Does]:
        return [self.turn() for _ in range(self.chance.randint(1, 4))]

    def turn(self) -> Does:
        chance = self.chance
        self.told += 1
        rest = chance.choice((0.0, 0.0, chance.uniform(0, 3), chance.uniform(0, self.rests)))
        lasts = chance.uniform(0.2, 6)
        if chance.random() < self.fresh:
            wants = expected(exactly=0) if chance.random() < 0.2 else None
            return Does((), (), lasts=0.3, wants=wants, rest=rest)
        many = chance.choice(self.calls)
        calls = tuple(sorted(chance.random() for _ in range(many - 1))) + (1.0,) * (many > 0)
        recorded = [1] * many
        if chance.random() < self.lost or self.told >= self.silent_from:
            recorded = [0] * many
        elif many and chance.random() < self.doubled:
            recorded[chance.randrange(many)] = 2
        how = "handle"
        if chance.random() < self.odd:
            how = chance.choice(("plain", "left", "cut", "refused"))
        who = chance.choice(PROVIDERS)
        if how != "handle" or chance.random() >= self.accounts:
            return Does(calls, tuple(recorded), lasts, how, who, rest=rest)
        wants = self._wanted(many, who)
        # Whose a name was can't be told after the next turn has begun.
        later = not wants.providers and chance.random() < 0.2
        return Does(calls, tuple(recorded), lasts, how, who, wants, later, rest)

    def _wanted(self, many: int, who: str) -> Expected:
        """Return what a test expects: mostly what the agent does."""
        chance = self.chance
        if chance.random() < self.mistaken:
            many = max(many + chance.choice((-1, 1)), 0)
        if many == 0:
            return expected(exactly=0)
        return chance.choice(
            (
                expected(exactly=many),
                expected(exactly=many),
                expected(exactly=many, only={who}),
                expected(at_least=many),
                expected(at_most=many),
                expected(providers={who}),
            )
        )
