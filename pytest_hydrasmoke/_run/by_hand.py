"""Instances that tests provision by hand, with a client: owned before the request, then deleted."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import TYPE_CHECKING, Protocol

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import (
    InstanceSpec,
    InstanceStatus,
    PollResult,
    ProvisionAccepted,
    plain_id,
    same_id,
)
from pytest_hydrasmoke._api.responses import asked_for
from pytest_hydrasmoke._api.retry import RULES, Tried
from pytest_hydrasmoke._base.errors import (
    ConfigError,
    HydraSmokeError,
    RejectedError,
    RouterError,
    TransportError,
    UnauthorizedError,
)
from pytest_hydrasmoke._base.run_keys import key_of, run_of
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.lifecycle import ask, is_refusal
from pytest_hydrasmoke._core.sightings import Sightings
from pytest_hydrasmoke._journal.events import Answered, Became
from pytest_hydrasmoke._journal.states import CLOSED, HAS_ROW, State

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pytest_hydrasmoke._core.policy import Policy
    from pytest_hydrasmoke._journal.events import Claimed, Event
    from pytest_hydrasmoke._settings.config import HydraSmokeConfig
    from pytest_hydrasmoke._transport.protocol import IO, CallName

    from .ledger import Ledger

_OPEN = frozenset({State.REQUESTED, State.REFUSED, State.UNUSED})
"""States in which the next answer shows whether there is an instance."""
_CLOSED = frozenset({State.DELETING, State.GONE, State.DELETED, State.REFUSED, State.UNUSED})
_NO_ROW_YET = _OPEN | {State.ACCEPTED}


class Owner(Protocol):
    """The run, as far as it has to do with what tests provision by hand."""

    config: HydraSmokeConfig
    ledger: Ledger
    policy: Policy
    instances: list[Instance]

    def tell(self, event: Event) -> None: ...
    def claim_of(self, spec: InstanceSpec) -> Claimed: ...
    def claim_key(self, spec: InstanceSpec, key: str) -> Instance: ...
    def attach_to(self, instance_id: str) -> Instance: ...
    async def dispose(self, instances: list[Instance], io: IO | None = None) -> None: ...
    def dispose_now(self, instances: list[Instance]) -> None: ...


class ByHand(Sightings):
    """The keys that tests own, as an `Observer` of the run's clients: what these learn of them.

    Its sightings belong to no instance.
    """

    def __init__(self, run: Owner) -> None:
        super().__init__(note=run.tell)
        self._run = run
        self._asked = Sightings(note=run.tell, link=run.config.link)
        """Of the polls that show whose a key is: with the run's own token."""
        self._owned: dict[str, Instance] = {}
        self._met: set[str] = set()
        """The instances of other runs that keys have named."""
        self._seen = set[str]()
        """The instances whose status tests have read."""
        self._is_answered = False
        self._answered_at = 0.0
        """When the last answer came, on the IO's clock."""

    @contextlib.contextmanager
    def own(self, name: str) -> Generator[str]:
        """Own a key; at the end, delete the instance that it names."""
        instance = self._begin(name)
        try:
            yield str(instance.key)
        finally:
            self._owned.pop(str(instance.key))
            self._run.dispose_now([instance])

    @contextlib.asynccontextmanager
    async def own_async(self, name: str, io: IO | None) -> AsyncGenerator[str]:
        """Do what `own` does, from a coroutine."""
        instance = self._begin(name)
        try:
            yield str(instance.key)
        finally:
            self._owned.pop(str(instance.key))
            await self._run.dispose([instance], io)

    def _begin(self, name: str) -> Instance:
        run_id = self._run.config.run_id
        # A sweep reads from keys which run owns an instance, and which slots the run has used.
        if not name or name.isdigit() or run_of(key_of(run_id, name)) != run_id:
            raise ConfigError(
                f"{safe_line(name)!r} can't name what a test provisions by hand",
                next_step="give a name such as over_quota: not a number, without a hyphen",
            )
        claims = {it.key: it for it in self._run.instances}
        key = key_of(run_id, name)
        if key in claims and claims[key].state is State.REFUSED and key not in self._owned:
            # Nothing has come of it: it is the same claim, asked for once more.
            return self._owned.setdefault(key, claims[key])
        # What is told of a key is told of one claim of it.
        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        key = next(it for it in (key_of(run_id, one) for one in names) if it not in claims)
        instance = self._run.claim_key(self._run.config.spec, key)
        # From here on the test may send the request at any time.
        instance.becomes(State.REQUESTED)
        self._owned[key] = instance
        return instance

    async def provision(
        self, calls: Calls, spec: InstanceSpec, key: str, *, is_own: bool
    ) -> ProvisionAccepted:
        """Provision with a client, whose token is the run's own or another one.

        The outcome is recorded for an owned key; any other key is up to the caller.
        """
        instance = self._owned.get(key)
        if instance is None and not self._is_claimed(key):
            instance = await self._claim(calls.io, spec, key)
        if instance is None or instance.state not in _OPEN:
            return await self._provision_again(calls, spec, key)
        claimed = self._run.claim_of(spec)._replace(other_token=not is_own)
        if instance.state is not State.REQUESTED or not is_own:
            # Asked for before: what closed its entry then does not hold for this request.
            self._run.ledger.claim_key(key, claimed)
        instance.target.spec = spec
        if is_own:
            return await ask(Calls(calls.io, instance, link=calls.link), instance)
        instance.link = calls.link
        try:
            accepted = await ask(Calls(calls.io, instance, link=calls.link), instance)
        except UnauthorizedError:
            # In whatever form: a gateway may turn strangers away, and what a refusal proves is
            # nothing anyway.
            instance.link = None
            instance.refuses(calls.io.now())
            raise
        try:
            await calls.poll(key)
        except HydraSmokeError as error:
            # A router may take it for a provision alone: then the run's own token asks.
            instance.link = None if isinstance(error, UnauthorizedError) else instance.link
        return accepted

    def _is_claimed(self, key: str) -> bool:
        """Return whether a process of the run has claimed a key, and nobody has closed it."""
        mine = any(instance.key == key for instance in self._run.instances)
        claimed = self._run.ledger.read_if_possible().instances.get(key)
        return mine or (claimed is not None and claimed.state not in CLOSED)

    async def _claim(self, io: IO, spec: InstanceSpec, key: str) -> Instance | None:
        """Own a key of any form that no process of the run has claimed; None for another run's.

        The router shows whose it is, before the run's first request.
        """
        # What can't be a key is rejected, as its request is about to be.
        with contextlib.suppress(RejectedError):
            found = await Calls(io, self._asked).poll(key)
            if found.instance_id is not None:
                # Else another process of the run has claimed it meanwhile.
                if found.instance_id not in self._met and not self._is_claimed(key):
                    self._met.add(found.instance_id)
                    self._run.attach_to(found.instance_id).add_remark(
                        f"its key {safe_line(key)} named it before this run asked for one: it is "
                        "another run's, and is not deleted"
                    )
                return None
        instance = self._owned[key] = self._run.claim_key(spec, key)
        instance.becomes(State.REQUESTED)
        return instance

    def _note_other(self, key: str, instance_id: str | None) -> None:
        """Own what a key of the run names beside the instance that is known."""
        if not instance_id:
            return
        for instance in self._run.instances:
            if instance.key == key and not instance.owns(instance_id):
                instance.ids.append(instance_id)
                # It may be young, however long the other one has been known.
                instance.evidence.shown = self._answered_at
                with contextlib.suppress(OSError):  # Then only this process knows.
                    self._run.ledger.write(key, Became(State.CREATED, instance_id))

    async def _provision_again(
        self, calls: Calls, spec: InstanceSpec, key: str
    ) -> ProvisionAccepted:
        """Provision under a key with nothing open: what was deleted may be made anew."""
        closed = [it for it in self._run.instances if it.key == key and it.state in _CLOSED]
        before = [it.state for it in closed]
        for instance in closed:
            instance.note(Became(State.REQUESTED, instance.id))
        made = True
        try:
            accepted = await calls.provision(spec, key)
            own = accepted.idempotency_key == key
            named = accepted.instance_id if own else None
            made = not named or not all(it.owns(named) for it in closed)
            return accepted
        except (RouterError, TransportError) as error:
            made = await self._may_have_made(calls, error)
            raise
        finally:
            for instance, state in zip(closed, before, strict=True):
                if not made and instance.state is State.REQUESTED:
                    instance.note(Became(state, instance.id))

    async def _may_have_made(self, calls: Calls, error: RouterError | TransportError) -> bool:
        if isinstance(error, TransportError):
            return error.reached
        return not await is_refusal(Calls(calls.io, self._asked), error)

    def saw(self, key: str, found: PollResult) -> None:
        """Record a poll's answer: after the first row, "not found" means gone."""
        self._note_other(key, found.instance_id)
        instance = self._owned.get(key)
        if instance is not None and found.instance_id is not None and instance.state in _NO_ROW_YET:
            instance.names(found.instance_id, self._answered_at)
        if instance is not None and instance.state is State.CREATED:
            self._saw_word(instance, found.instance_id, found.status)

    def _saw_word(self, instance: Instance, instance_id: str | None, word: str | None) -> None:
        """Record that a boot is over: else all of its life would count as one."""
        if same_id(instance.id, instance_id) and self._run.policy.statuses.is_ready(word):
            instance.becomes(State.READY)

    # What clients see

    def saw_attempt(self, attempt: Tried) -> None:
        super().saw_attempt(attempt)
        request, code = attempt.request, attempt.outcome
        if isinstance(code, int) and not self._is_answered:
            self._is_answered = True
            self._run.tell(Answered())
        self._answered_at = attempt.at + attempt.seconds
        if request.call == "delete":
            accepted = isinstance(code, int) and code < 300
            if attempt.outcome_unknown or code in RULES["delete"].answers:
                self._saw_deletion(asked_for(request), accepted=accepted)

    def saw_answer(self, call: CallName, answer: BaseModel) -> None:
        super().saw_answer(call, answer)
        if isinstance(answer, InstanceStatus):
            self._seen.add(plain_id(answer.id))
            for instance in self._named(answer.id):
                if instance.state is State.CREATED:
                    self._saw_word(instance, answer.id, answer.status)

    def _saw_deletion(self, instance_id: str, *, accepted: bool) -> None:
        """Record that a test's client, and not another run, deleted an instance of the run."""
        for instance in self._named(instance_id):
            seen = instance.evidence
            seen[instance_id] = seen[instance_id].deleted(accepted=accepted)
            seen.asked = True
            if (
                accepted
                and instance.state is State.ACCEPTED
                and plain_id(instance_id) in self._seen
            ):
                # The test has not polled its key, and knows what it deletes.
                instance.names(instance_id, self._answered_at)
            # Without a row the answer proves nothing: a router may accept any id.
            if accepted and instance.state in HAS_ROW:
                instance.becomes(State.DELETING)

    def _named(self, instance_id: str) -> Iterator[Instance]:
        """Yield the instances of the run with an id."""
        for instance in self._run.instances:
            if same_id(instance.id, instance_id):
                yield instance
