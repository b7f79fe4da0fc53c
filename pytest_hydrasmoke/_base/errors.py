"""The errors of this package, and how they are printed.

::

    HydraSmokeError
    ├── ConfigError                  a setting, an argument or a fixture's parameter is wrong
    ├── TransportError               the router was never reached, or its answer was lost
    │   └── TransportTimeoutError    no answer came in time (also a TimeoutError)
    ├── RouterError                  the router answered, and refused
    │   ├── UnauthorizedError        401, 403
    │   ├── NotFoundError            404
    │   └── RejectedError            422, with a line for each field
    ├── ContractError                the router answered, and the answer breaks its contract
    ├── ProvisionError               the instance failed, or vanished, before it was ready
    │   └── ProvisionTimeoutError    it was not ready in time (also a TimeoutError)
    ├── ChatError                    the chat turn ended early, or the agent reported an error
    │   ├── ChatBusyError            another turn is in progress on this instance
    │   └── ChatTimeoutError         the turn did not end in time (also a TimeoutError)
    ├── LlmEventsError               LLM events are missing or too many (also an AssertionError)
    ├── ToolCallsError               other tools than expected were called (also an AssertionError)
    └── LeakError                    a deletion was not confirmed: the instance may still run

An error is raised where the failure is noticed. Its callers add what they alone know (phase, last
state, seconds) with `add_context`.
"""

from __future__ import annotations

import os
import sys
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from .public import public

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_hydrasmoke._sse.decoder import ChatEvent

    from .evidence import Form


def hide_frames(*others: str) -> None:
    """Have pytest hide the frames of this package's modules, and of others, that are loaded.

    The bundled checks say themselves which of theirs.
    """
    for name, module in sys.modules.copy().items():
        own = name.startswith("pytest_hydrasmoke.") and ".checks" not in name
        if own or name in others:
            vars(module).setdefault("__tracebackhide__", _hides)


def _hides(excinfo: Any) -> bool:
    # An own error's message says what a user needs, and one of a user's hook has its own frames.
    # Any other exception is a bug, and shows every frame.
    return isinstance(excinfo.value, HydraSmokeError) or at_hook(excinfo.value) != ""


def at_hook(error: BaseException) -> str:
    """Return ` at FILE:LINE` of the user's hook that an error comes from, if it does."""
    for frame, line in walk_tb(error.__traceback__):
        if frame.f_code.co_name.startswith("pytest_hydra_smoke_"):
            return f" at {os.path.relpath(frame.f_code.co_filename)}:{line}"
    return ""


OTHERS = "hydra_smoke_others"
"""The attribute of an error with those that came beside it."""


def first_of(errors: Sequence[Exception]) -> Exception:
    """Return the first of errors that came side by side; its notes are the others."""
    first, *others = errors
    for other in others:
        first.add_note(f"as well: {other}")
    vars(first)[OTHERS] = others
    return first


@public
class HydraSmokeError(Exception):
    """Raised when a smoke test cannot continue; the base of every error of this package.

    `message` says what happened. `phase` is one of `provision`, `row`, `ready`, `first_event`,
    `turn`, `llm_events`, `delete`; `last` the last state seen; `seconds` how long the phase took;
    `expected` and `got` the two sides of a mismatch; `next_step` what to do now.
    """

    def __init__(
        self,
        message: str,
        *,
        phase: str | None = None,
        last: str | None = None,
        seconds: float | None = None,
        expected: str | None = None,
        got: str | None = None,
        instance: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(message)
        hide_frames()  # It comes from any module, which may just have been loaded.
        self.message = message
        self.phase = phase
        self.last = last
        self.seconds = seconds
        self.expected = expected
        self.got = got
        self.instance = instance
        self.next_step = next_step
        # What the turn did, in the agent's words.
        self.turn: str | None = None
        # Its entry in an instance's story: the error is recognised by it, not by its text.
        self.failure: int | None = None
        # The trace that its request belongs to: an id, or a link.
        self.trace: str | None = None
        # The router's answer that caused it; the repr leaves it out.
        self.answer: object = None
        # What other tests of the run would try in vain, too: `boot` or `llm_events`.
        self.in_vain = ""

    def add_context(
        self,
        *,
        phase: str,
        seconds: float,
        last: str | None = None,
        instance: str | None = None,
        next_step: str | None = None,
        trace: str | None = None,
    ) -> None:
        """Add what the raising code did not know; values that are set already stay."""
        self.phase = self.phase or phase
        self.seconds = seconds if self.seconds is None else self.seconds
        self.last = self.last or last
        self.instance = self.instance or instance
        self.trace = self.trace or trace
        self.next_step = self.next_step or next_step

    def __str__(self) -> str:
        return self._text(self.turn)

    @property
    def brief(self) -> str:
        """The text without `turn`, which has the agent's words."""
        return self._text(None)

    def _text(self, turn: str | None) -> str:
        took = "" if self.seconds is None else f", after {self.seconds:.1f} s"
        rows = (
            ("phase", self.phase and f"{self.phase}{took}"),
            ("instance", self.instance),
            ("last seen", self.last),
            ("expected", self.expected),
            ("got", self.got),
            ("turn", turn),
            ("next step", self.next_step),
            ("trace", self.trace),
        )
        return "\n".join(
            [self.message, *(f"  {name + ':':<11}{text}" for name, text in rows if text)]
        )


@public
class ConfigError(HydraSmokeError):
    """Raised when a setting, an argument or a fixture's parameter is wrong."""


@public
class TransportError(HydraSmokeError):
    """Raised when the router could not be reached, or its answer was lost on the way.

    `reached` is False only if the request certainly never arrived. Otherwise the router may have
    carried it out, because a lost answer proves nothing.
    `permanent` is True if another attempt cannot help, as with a certificate that is not trusted.
    """

    def __init__(
        self,
        message: str,
        *,
        reached: bool,
        next_step: str | None = None,
        permanent: bool = False,
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.reached = reached
        self.permanent = permanent

    @property
    def late(self) -> bool:
        """Whether time ran out: it is a `TransportTimeoutError` then."""
        return isinstance(self, TransportTimeoutError)


@public
class TransportTimeoutError(TransportError, TimeoutError):
    """Raised when a call's deadline passed before an answer or a connection."""


@public
class RouterError(HydraSmokeError):
    """Raised when the router refuses a call, with `status_code` and its words in `detail`."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        detail: str,
        form: Form | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.status_code = status_code
        self.detail = detail
        # The form of the answer, which decides what it proves.
        self.form = form


@public
class UnauthorizedError(RouterError):
    """Raised when the router says that the token is missing, wrong or not sufficient (401, 403)."""


@public
class NotFoundError(RouterError):
    """Raised when the router knows no such instance, or no such path (404)."""


@public
class RejectedError(RouterError):
    """Raised when the router rejects the request (422); `detail` has a line for each field."""


@public
class ContractError(HydraSmokeError):
    """Raised when an answer breaks the router's contract; names the call and the field."""


@public
class ProvisionError(HydraSmokeError):
    """Raised when an instance failed, or was deleted, before it was ready."""


@public
class ProvisionTimeoutError(ProvisionError, TimeoutError):
    """Raised when an instance was not ready, or in the awaited state, within its deadline."""


@public
class ChatError(HydraSmokeError):
    """Raised when a chat turn ended early or the agent reported an error.

    `events` are those that arrived before, in order.
    """

    def __init__(
        self,
        message: str,
        *,
        events: Sequence[ChatEvent] = (),
        last: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        next_step: str | None = None,
    ) -> None:
        super().__init__(message, last=last, expected=expected, got=got, next_step=next_step)
        self.events = tuple(events)


@public
class ChatBusyError(ChatError):
    """Raised when a chat begins on an instance while another one is still in progress."""


@public
class ChatTimeoutError(ChatError, TimeoutError):
    """Raised when a chat turn did not end within its deadline."""


@public
class LlmEventsError(HydraSmokeError, AssertionError):
    """Raised when the router counts other LLM events than expected, or cannot count them."""


@public
class ToolCallsError(HydraSmokeError, AssertionError):
    """Raised when the agent called other tools in a turn than expected."""


@public
class LeakError(HydraSmokeError):
    """Raised when a deletion was not confirmed: the instance may still run, and cost money."""
