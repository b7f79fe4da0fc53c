"""The interface between the lifecycle and the network.

The lifecycle is written once, as coroutines over `IO`. The async client awaits them; the sync
client runs the same coroutines with `drive`, over an IO that blocks and never suspends. Every
module that takes an `IO` keeps these rules:

- Await nothing but the IO you were given: no `anyio`, no task group, no async generator.
- Time comes from `io.now()` and `io.sleep()`; a deadline is an `io.now()`.
- Work that must not be cancelled runs as `io.grace(seconds, work)`, several as `io.gather(works)`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from pytest_hydrasmoke._base.errors import ConfigError, TransportError

if TYPE_CHECKING:
    from .links import Link

T = TypeVar("T")

CallName = Literal[
    "provision", "poll", "status", "chat", "llm_events", "delete", "missing", "openapi"
]


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `path` follows the base URL, percent-encoded, query included.

    Raises `ConfigError` for a body that can't be sent.
    """

    call: CallName
    method: str
    path: str
    body: Mapping[str, str] | None = None
    accept: str = "application/json"
    anonymous: bool = False
    """Whether it is sent without the token."""
    link: Link | None = None
    """With whose token it is sent, and which fields its body lacks; None for its IO's."""

    def __post_init__(self) -> None:
        # Before anybody is told that it is sent: what fails later is taken for a lost attempt.
        for name, text in (self.body or {}).items():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise ConfigError(
                    f"{self.call} can't send this {name}: {error}",
                    next_step="give a text of whole characters",
                ) from None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read to its end; header names are in lower case.

    Its content is the router's, raw, and may echo the request: the repr leaves it out.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Stream(Protocol):
    """An answer whose head is in and whose body is still arriving."""

    status: int
    headers: Mapping[str, str]
    """Each name once, in lower case."""

    async def read(self, deadline: float) -> bytes:
        """Return the next bytes, or b"" at the end; raises `TransportError`."""
        ...

    async def close(self) -> None:
        """Release the connection; harmless if done before."""
        ...


class StoppedError(TransportError):
    """Raised where a call's group was stopped, as by a signal: no failure of its own."""

    def __init__(self) -> None:
        super().__init__("stopped with the rest of its group", reached=False)


class IO(Protocol):
    """What the lifecycle may do outside itself."""

    link: Link
    """Where the requests go."""

    def now(self) -> float:
        """Return the time in seconds, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    async def send(self, request: Request, deadline: float) -> Answer:
        """Send and read the whole answer; raises `TransportError`, at the deadline too."""
        ...

    async def open(self, request: Request, deadline: float) -> Stream:
        """Send and read the answer's head; raises `TransportError`, at the deadline too."""
        ...

    def cleanup_deadline(self) -> float:
        """Return the `now()` at which a signal wants clean-up to end; inf for none."""
        ...

    async def grace(self, seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Complete `work` even if the caller is cancelled meanwhile, for up to `seconds`."""
        ...

    async def gather(
        self, works: Sequence[Work], *, at_once: int | None = None, together: bool = False
    ) -> Mapping[int, Exception]:
        """Do works side by side, or `at_once` of them, each over the IO that it is given.

        Return what failed by the works' numbers, in the order of time. No failure stops another
        work, unless they end `together`: then the first one does. What cancels or interrupts the
        caller stops all of them, and is raised once they have ended.
        """
        ...


Work = Callable[[IO], Awaitable[object]]
"""One of several things to do side by side."""

Share = Sequence[tuple[int, Work]]
"""Works of a gathering that are done one after the other, with their numbers."""


async def do(
    io: IO, works: Share, failures: dict[int, Exception], failed: Callable[[], object] = int
) -> None:
    """Do works; a failure is noted and told, and stops none of those here."""
    for number, work in works:
        try:
            await work(io)
        except Exception as error:
            failures[number] = error
            failed()


LAST_CHANCE = 0.5
"""Seconds of a deadline reserved for one last attempt, however long the router says to wait."""

IN_FLIGHT = 16
"""Concurrent requests: beyond 10 to 20 a router's answers only get slower."""


def drive(work: Awaitable[T]) -> T:
    """Run a coroutine that never suspends, because its IO blocks, to its result."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as stop:
        result: T = stop.value
        return result
    close = getattr(steps, "close", None)
    if close is not None:
        close()
    raise RuntimeError("the lifecycle awaited something other than its IO")
