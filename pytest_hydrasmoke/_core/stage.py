"""A run, as its instances see it: who keeps what they note, and who is on stage.

What is claimed and chatted now is theirs who are on stage. These classes do nothing, as outside of
a run; those of a run override them. They know no instance and no turn, only what a port names.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError

from .account import TurnAccount
from .incoming import Incoming
from .kept import KeptBytes
from .policy import Policy
from .turn_end import Outcome

if TYPE_CHECKING:
    from pytest_hydrasmoke._journal.events import Event

I = TypeVar("I", contravariant=True)  # noqa: E741 (an instance, which is not known here)
_between: ContextVar[bool] = ContextVar("between", default=False)
"""Whether a new conversation is being begun: by one task, or thread, of those there are."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The only user of an instance: a test or a fixture, and which of its instances it is."""

    owner: str
    number: int
    """From 0, in the order of claims."""


class RecordedTarget(Protocol):
    """Whom a turn is with, as its recorder sees it."""

    spec: InstanceSpec | None
    origin: Origin | None

    @property
    def key(self) -> str | None:
        """The instance's idempotency key."""
        ...

    @property
    def attached(self) -> bool:
        """Whether the run is attached to the instance."""
        ...


class RecordedChat(Protocol):
    """A turn, as its recorder sees it: from its message to its end."""

    message: str
    came: Incoming
    kept: KeptBytes
    outcome: Outcome
    account: TurnAccount

    @property
    def target(self) -> RecordedTarget:
        """The turn's instance."""
        ...

    def records(self) -> None:
        """Keep all of the stream, before any of it comes."""


class Stage:
    """A stage with nobody on it, as outside of pytest; it tells nobody of anything."""

    test = ""
    """The running test; "" outside of any."""
    repeat: int | None = None
    """The current run of the test's body, from 1, where it has several."""
    in_teardown = False
    """Whether the running test is in its teardown."""
    scene = 0
    """Counts the tests, the times that a plugin runs one again, and the runs of its body."""
    continues = False
    """Whether the running test means to go on with what others have said to its instance."""
    new_conversation: str | None = None
    """The message with which an agent begins a new conversation."""

    @property
    def is_between(self) -> bool:
        """Whether what is chatted now begins a new conversation, and is of no test."""
        return _between.get()

    @contextmanager
    def between(self) -> Generator[None]:
        """Begin a new conversation in the body of a `with`."""
        token = _between.set(True)
        try:
            yield
        finally:
            _between.reset(token)

    def boots(self) -> None:
        """Hear of a boot before it begins; ends a test whose boot would be in vain."""

    def claims(self) -> Origin | None:
        """Return the user of an instance that is not shared; called once per instance."""

    def asks(self, turn: RecordedChat) -> None:
        """Hear of a turn before its message leaves: it may be recorded."""


class Keeper(Generic[I]):
    """Keeps what instances note; the base class keeps nothing, and allows everything."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        """How the lifecycles of its instances go."""

    def note(self, instance: I, at: float, event: Event) -> None:
        """Keep an event, before the step after it."""

    def permit(self, instance: I) -> None:
        """Allow a provision or a chat; raises where the run must not go on."""

    def begins_anew(self, instance: I) -> bool:
        """Begin a new conversation in another way than by a message, if there is one."""
        return False

    @property
    def was_swept(self) -> bool:
        """Whether a sweep has declared the run over, and deletes its instances as well."""
        return False

    @property
    def forked(self) -> bool:
        """Whether this is a forked child, which takes no part in the run."""
        return False

    def check_process(self) -> None:
        """Raise `ConfigError` in a forked child."""
        if self.forked:
            raise ConfigError(
                "this process is a child that a test has forked: its parent owns the instances",
                next_step="end it with os._exit, and use the instances in the parent",
            )
