"""What the checks need that is not public: calls with another token than the run's.

What a stranger provisions is owned before it is asked for, and deleted with the run's own token.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import uuid
from collections.abc import Callable, Generator
from typing import Literal, NoReturn, TypeVar

from pytest_hydrasmoke import HydraSmokeConfig
from pytest_hydrasmoke._api.calls import CALL_TIMEOUT, Calls
from pytest_hydrasmoke._api.models import InstanceSpec, LlmEvents
from pytest_hydrasmoke._base.errors import (
    ContractError,
    HydraSmokeError,
    NotFoundError,
    RejectedError,
    UnauthorizedError,
    hide_own_frames,
)
from pytest_hydrasmoke._base.evidence import Form
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._core import lifecycle
from pytest_hydrasmoke._core.chat import Turn
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.record import State
from pytest_hydrasmoke._core.turn_observers import LogObserver
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.client import RunClient, SmokeClient

__tracebackhide__ = hide_own_frames

E = TypeVar("E", bound=HydraSmokeError)
Whose = Literal["right", "missing", "wrong", "longer"]

STRANGERS: tuple[Whose, ...] = ("missing", "wrong")
SOON = 5.0
"""Seconds for what should be so by now, and may be a moment late."""
LIMITS = {"manifest_id": 100, "region_id": 80, "tier_id": 80, "idempotency_key": 255}
"""Characters that a provision's fields may have."""
FIELDS = {*LIMITS, "message", "instance_id"}
_WRONG = Token("not-the-token-of-this-router")


def broken(what: str, *, expected: str, got: str) -> NoReturn:
    """Raise the `ContractError` of a router that is wrong."""
    raise ContractError(
        what, expected=expected, got=safe_line(got), next_step="tell the router's developers"
    )


def see_refused(
    kind: type[E] | tuple[type[E], ...],
    ask: Callable[[], object],
    what: str,
    *,
    expected: str,
    but: str = "an answer",
) -> E:
    """Return the refusal of a call; raises `ContractError`, saying `what`, where it is another."""
    try:
        ask()
    except kind as error:
        return error
    except HydraSmokeError as error:
        but = error.message
    broken(what, expected=expected, got=but)


def refused(call: str, token: Whose, ask: Callable[[], object]) -> None:
    """See a call refused for its token."""
    what, but = f"{call} does not refuse a {token} token", "an answer, as with the right token"
    see_refused(UnauthorizedError, ask, what, expected="401 or 403", but=but)


def not_found(call: str, ask: Callable[[], object]) -> None:
    """See a call about an instance that nobody made find none."""
    what = f"{call} does not refuse an unknown instance"
    see_refused(NotFoundError, ask, what, expected="404")


def rejected(what: str, field: str, ask: Callable[[], object]) -> None:
    """See a request rejected for one of its fields, and no other."""
    error = see_refused(
        RejectedError, ask, f"the router does not reject {what}", expected=f"422, naming {field}"
    )
    # A line for each field: where it is, and what is wrong with it.
    named = {line.partition(":")[0].rpartition(".")[2] for line in error.detail.splitlines()}
    if field not in error.detail or named & FIELDS - {field}:
        broken(
            f"the router rejects {what}, and does not name only {field}",
            expected=f"422, naming {field} alone",
            got=error.detail,
        )


def discard(client: SmokeClient, instance_id: str) -> None:
    """Delete an instance that no key of the run names, once its row is there."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        with contextlib.suppress(NotFoundError):
            client.status(instance_id)
            break
        time.sleep(0.25)
    client.delete(instance_id)


class Calling:
    """The calls of whoever has this token, each made by itself."""

    def __init__(self, io: SyncIO, client: RunClient, whose: Whose) -> None:
        self._io = io
        self._whose = whose
        self._client = client
        self._calls = Calls(io, client.observer)

    def poll(self, key: str) -> None:
        """Ask for a key; one without a row may be a `NotFoundError` here."""
        drive(self._calls.find(key, deadline=self._deadline()))

    def status(self, instance_id: str) -> None:
        drive(self._calls.status(instance_id, deadline=self._deadline()))

    def llm_events(self, instance_id: str, window_seconds: int | None = None) -> LlmEvents:
        """Count; without a window, the router's own default is what counts."""
        deadline = self._deadline()
        return drive(self._calls.llm_events(instance_id, window_seconds, deadline=deadline))

    def chat(self, instance_id: str, message: str, patience: float = CALL_TIMEOUT) -> None:
        """Begin a turn within so many seconds, and leave it as soon as it is taken."""
        turn = Turn(
            self._calls,
            instance_id,
            message,
            timeout=patience,
            end="optional",
            reading=Reading(),
            observer=LogObserver(self._client.log_of(instance_id), message, self._calls.io.now),
        )
        try:
            drive(turn.open())
        finally:
            drive(turn.close())

    def delete(self, instance_id: str) -> None:
        """Delete; what is gone already, or never was, is no error."""
        drive(self._calls.delete(instance_id, deadline=self._deadline()))

    def provision(self, session: SmokeSession, spec: InstanceSpec, key: str) -> None:
        """Provision under a key that takes no slot; what is made of it is deleted at once."""
        record, policy = session.claim_key(spec, key), session.policy
        if self._whose != "right":
            # These are the forms for a token that was proved.
            policy = dataclasses.replace(policy, forms=None)
        try:
            calls = Calls(self._io, record)
            drive(lifecycle.request(calls, record, policy, self._deadline()))
        except UnauthorizedError as error:
            if self._client.poll(key).found:
                record.becomes(State.ACCEPTED)
                broken(
                    "provision was refused, but made an instance",
                    expected="no instance for this key",
                    got=error.message,
                )
            # Turned away as where nothing can be made, be it by a gateway.
            usual = self._refusal()
            if usual is not None and error.form is not None and error.form.looks_like(usual):
                record.becomes(State.REFUSED)
            raise
        finally:
            session.dispose([record])

    def _refusal(self) -> Form | None:
        """Return the form in which this caller is turned away where nothing can be made."""
        try:
            self.status(str(uuid.uuid4()))
        except UnauthorizedError as error:
            return error.form
        except HydraSmokeError:
            pass  # That it is not is told where it is looked for.
        return None

    def _deadline(self) -> float:
        return self._io.now() + CALL_TIMEOUT


@contextlib.contextmanager
def calling(
    config: HydraSmokeConfig, client: SmokeClient, whose: Whose = "right"
) -> Generator[Calling]:
    """Call with the run's `right` token, with a `wrong` one, a `longer` one, or a `missing` one."""
    assert isinstance(client, RunClient)
    link = config.link
    token = link.token
    if whose == "longer" and token is not None:
        token = Token(f"{token.reveal()}x")
    elif whose != "right":
        token = _WRONG if whose == "wrong" else None
    io = SyncIO(dataclasses.replace(link, token=token))
    try:
        yield Calling(io, client, whose)
    finally:
        io.close()
