"""A world of agents whose usage rows come late, and the router that counts them: on virtual time.

The world knows whose each row is. What goes on side by side are coroutines, each of which gives the
moment at which it goes on.
"""

from __future__ import annotations

import heapq
import math
import random
import types
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scripted_io import SPEC, START, lost, reply

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._transport.links import Link
from pytest_hydrasmoke._transport.protocol import Answer, Request

WORD = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
PROVIDERS = ("anthropic", "openai", "mistral")
REFUSED = reply(422, {"detail": [{"loc": ["body", "message"], "msg": "no", "type": "x"}]})
Lag = Callable[[random.Random, float], float]
"""Gives when a row is counted whose call of a model was over at a moment."""


def constant(seconds: float) -> Lag:
    return lambda chance, at: at + seconds


def mixed(least: float, most: float) -> Lag:
    return lambda chance, at: at + chance.uniform(least, most)


def batches(every: float, after: float = 0.0) -> Lag:
    """Let rows come with the next flush, `after` seconds later than they would have."""
    return lambda chance, at: math.ceil((at + after) / every) * every


class Does(NamedTuple):
    """One turn: what its agent does, what becomes of it, and what its test expects."""

    calls: tuple[float, ...] = (1.0,)
    """When its calls of a model are over, as shares of the time that the agent takes."""
    recorded: tuple[int, ...] = (1,)
    """How many rows each of them leaves: 0 where one is lost, 2 where it is doubled."""
    lasts: float = 1.0
    how: str = "handle"
    """By a handle, by the plain client, left early, cut, or refused."""
    who: str = PROVIDERS[0]
    wants: Expected | None = None
    later: bool = False
    """Whether it is expected only after the next turn."""
    rest: float = 0.0
    """Seconds after it in which nothing happens."""


class Row(NamedTuple):
    at: float
    who: str
    turn: int


@dataclass
class Agent:
    """An instance's agent, and what the router counts of it."""

    id: str
    lag: Lag
    spec: InstanceSpec
    born: float
    rows: list[Row] = field(default_factory=list)
    turns: int = 0
    next: Does = field(default_factory=Does)
    taken_by: object = None

    def of(self, turn: int) -> list[Row]:
        return [it for it in self.rows if it.turn == turn]


@dataclass
class World:
    """Agents, their router, and the time."""

    chance: random.Random
    slow: float = 0.05
    """Seconds that a count takes at most."""
    fails: float = 0.0
    """The share of counts that fail."""
    within: float = math.inf
    """Seconds after a turn's end, or after it was left, in which all of its rows come."""
    now: float = START
    agents: dict[str, Agent] = field(default_factory=dict)

    def agent(self, lag: Lag, tier: str = "tier-1", used: int = 0) -> Agent:
        """Boot an agent; others have used it, and left so many rows."""
        chance, spec = self.chance, SPEC.model_copy(update={"tier_id": tier})
        agent = Agent(str(uuid.UUID(int=chance.getrandbits(128))), lag, spec, self.now)
        agent.rows = [Row(self.now - 600 * chance.random(), PROVIDERS[0], 0) for _ in range(used)]
        self.agents[agent.id] = agent
        return agent

    def run(self, *works: Coroutine[float, None, None]) -> None:
        """Let coroutines go on, each at the moment that it has given."""
        waiting = [(self.now, number, work) for number, work in enumerate(works)]
        while waiting:
            at, number, work = heapq.heappop(waiting)
            self.now = max(self.now, at)
            try:
                heapq.heappush(waiting, (work.send(None), number, work))
            except StopIteration:
                continue


@types.coroutine
def until(at: float) -> Generator[float, None, None]:
    yield at


@dataclass
class WorldIO:
    """What one process asks of the world."""

    world: World
    link = Link("https://router.example", None)

    def now(self) -> float:
        return self.world.now

    def sleep(self, seconds: float) -> Awaitable[None]:
        return until(self.world.now + max(seconds, 0.0))

    def cleanup_deadline(self) -> float:
        return math.inf

    async def send(self, request: Request, deadline: float) -> Answer:
        world = self.world
        path, _, window = request.path.partition("?window_seconds=")
        assert request.call == "llm_events", request
        agent = world.agents[path.split("/")[-2].lower()]
        took = world.chance.uniform(0.001, world.slow)
        share = world.chance.random()
        await self.sleep(took * share)
        seen = [it for it in agent.rows if world.now - int(window) <= it.at <= world.now]
        await self.sleep(took * (1 - share))
        if world.chance.random() < world.fails:
            return reply(400, {"detail": "no"})
        who = sorted({it.who for it in seen})
        body = {"instance_id": agent.id, "count": len(seen), "providers": who}
        return reply(200, {**body, "window_seconds": int(window)})

    async def open(self, request: Request, deadline: float) -> Any:
        world = self.world
        agent = world.agents[request.path.split("/")[-2].lower()]
        does, began = agent.next, world.now
        if does.how == "refused":
            return Refused()
        agent.turns += 1
        over = began + does.lasts * {"left": 0.0, "cut": 0.5}.get(does.how, 1.0)
        for share, many in zip(does.calls, does.recorded, strict=True):
            at = agent.lag(world.chance, began + does.lasts * share)
            row = Row(min(at, over + world.within), does.who, agent.turns)
            agent.rows += [row] * many
        return Said(self, over, does.how == "cut")


@dataclass
class Said:
    """What an agent says: one word at once, and the end at its time."""

    io: WorldIO
    over: float
    cut: bool
    status: int = 200
    steps: int = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": "text/event-stream"}

    async def read(self, deadline: float) -> bytes:
        self.steps += 1
        if self.steps == 1:
            return WORD
        if self.steps == 2:
            await until(self.over)
            if self.cut:
                raise lost()
            return DONE
        return b""

    async def close(self) -> None:
        pass


class Refused:
    """The answer to a message that the router refuses."""

    status = 422
    headers: Mapping[str, str] = {"content-type": "application/json"}

    def __init__(self) -> None:
        self.left = [REFUSED.body]

    async def read(self, deadline: float) -> bytes:
        return self.left.pop() if self.left else b""

    async def close(self) -> None:
        pass
