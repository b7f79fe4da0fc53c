"""Instances that tests provision by hand, with a client: owned before the request, then deleted."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import TYPE_CHECKING

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import (
    InstanceSpec,
    InstanceStatus,
    PollResult,
    ProvisionAccepted,
    same_id,
)
from pytest_hydrasmoke._api.responses import asked_for
from pytest_hydrasmoke._api.retry import RULES, Tried
from pytest_hydrasmoke._base.errors import ConfigError, UnauthorizedError, hide_own_frames
from pytest_hydrasmoke._base.run_keys import key_of, run_of
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.lifecycle import ask
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.sightings import Sightings
from pytest_hydrasmoke._journal.events import Became
from pytest_hydrasmoke._journal.states import HAS_ROW, SETTLED, State

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_hydrasmoke._transport.protocol import IO, CallName

    from .session import SmokeSession

__tracebackhide__ = hide_own_frames

_OPEN = frozenset({State.REQUESTED, State.REFUSED, State.UNUSED})
"""States in which the next answer shows whether there is an instance."""
_NO_ROW_YET = _OPEN | {State.ACCEPTED}
_DELETED = RULES["delete"].answers


class ByHand(Sightings):
    """The keys that tests own, as an `Observer` of the run's clients: what these learn of them.

    Its sightings belong to no instance.
    """

    def __init__(self, session: SmokeSession) -> None:
        super().__init__(note=session.tell)
        self._session = session
        self._owned: dict[str, InstanceRecord] = {}

    @contextlib.contextmanager
    def own(self, name: str) -> Generator[str]:
        """Own a key; at the end, delete the instance that it names."""
        record = self._begin(name)
        try:
            yield str(record.key)
        finally:
            self._owned.pop(str(record.key))
            self._session.dispose_now([record])

    @contextlib.asynccontextmanager
    async def own_async(self, name: str, io: IO | None) -> AsyncGenerator[str]:
        """Do what `own` does, from a coroutine."""
        record = self._begin(name)
        try:
            yield str(record.key)
        finally:
            self._owned.pop(str(record.key))
            await self._session.dispose([record], io)

    def _begin(self, name: str) -> InstanceRecord:
        run_id = self._session.config.run_id
        key = key_of(run_id, name)
        # A sweep reads from keys which run owns an instance, and which slots the run has used.
        # What is not settled under a key would be lost with a new claim of it.
        is_open = any(
            it.key == key and (it.leak is not None or it.state not in SETTLED)
            for it in self._session.records
        )
        if not name or name.isdigit() or run_of(key) != run_id or key in self._owned or is_open:
            raise ConfigError(
                f"{safe_line(name)!r} can't name what a test provisions by hand",
                next_step="give a name such as over_quota: not a number, without a hyphen, and "
                "owned only once at a time",
            )
        record = self._session.claim_key(self._session.config.spec, key)
        # From here on the test may send the request at any time.
        record.becomes(State.REQUESTED)
        self._owned[key] = record
        return record

    async def provision(
        self, calls: Calls, spec: InstanceSpec, key: str, *, is_own: bool
    ) -> ProvisionAccepted:
        """Provision with a client, whose token is the run's own or another one.

        The outcome is recorded for an owned key; any other key is up to the caller.
        """
        record = self._owned.get(key)
        if record is None or record.state not in _OPEN:
            accepted = await calls.provision(spec, key)
            self._note_other(key, accepted.instance_id)
            return accepted
        claimed = self._session.claim_of(spec)
        if record.state is not State.REQUESTED:
            # Asked for before: what closed its entry then does not hold for this request.
            self._session.ledger.claim_key(key, claimed)
        record.spec, forms = spec, self._session.policy.router.forms
        if is_own:
            return await ask(Calls(calls.io, record), record, forms)
        # The run knows the forms of answers to its own token only.
        try:
            return await ask(Calls(calls.io, record), record, None)
        except UnauthorizedError:
            # In whatever form: a gateway may turn strangers away, and what a refusal proves is
            # nothing anyway.
            record.refuses(calls.io.now())
            raise

    def _note_other(self, key: str, instance_id: str | None) -> None:
        """Own what an answer about a key of the run names beside the instance that is known."""
        if not instance_id:
            return
        for record in self._session.records:
            if record.key == key and not record.owns(instance_id):
                record.ids.append(instance_id)
                with contextlib.suppress(OSError):  # Then only this process knows.
                    self._session.ledger.write(key, Became(State.CREATED, instance_id))

    def saw(self, key: str, found: PollResult) -> None:
        """Record a poll's answer: after the first row, "not found" means gone."""
        self._note_other(key, found.instance_id)
        record = self._owned.get(key)
        if record is not None and found.instance_id is not None and record.state in _NO_ROW_YET:
            record.names(found.instance_id)

    # What clients see

    def saw_attempt(self, attempt: Tried) -> None:
        super().saw_attempt(attempt)
        code = attempt.outcome
        if attempt.request.call == "delete" and isinstance(code, int) and code in _DELETED:
            self._saw_deletion(asked_for(attempt.request), accepted=code < 300)

    def saw_answer(self, call: CallName, code: int, answer: BaseModel) -> None:
        super().saw_answer(call, code, answer)
        if isinstance(answer, InstanceStatus):
            for record in self._named(answer.id):
                if record.state is State.ACCEPTED:
                    record.names(answer.id)

    def _saw_deletion(self, instance_id: str, *, accepted: bool) -> None:
        """Record that a test's client, and not another run, deleted an instance of the run."""
        for record in self._named(instance_id):
            seen = record.evidence
            seen[instance_id] = seen[instance_id].deleted(accepted=accepted)
            seen.asked = True
            # Without a row the answer proves nothing: a router may accept any id.
            if accepted and record.state in HAS_ROW:
                record.becomes(State.DELETING)

    def _named(self, instance_id: str) -> Iterator[InstanceRecord]:
        """Yield the instances of the run with an id."""
        for record in self._session.records:
            if same_id(record.id, instance_id):
                yield record
