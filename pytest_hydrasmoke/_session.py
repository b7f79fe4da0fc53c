"""One process of a run: what it owns, who shares what, and its deletion when it is over.

An instance is claimed here before its request leaves, so that however a run ends, `close` knows
what there is to delete. It is called wherever a run can end, and does only what is still to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import anyio

from . import _lifecycle
from ._aio import AsyncIO
from ._calls import Calls
from ._chat import Reading
from ._errors import ConfigError, HydraSmokeError, ProvisionError, own_frames
from ._fanout import fan_out
from ._handle import Handle
from ._io import SyncIO
from ._ledger import Fact, Ledger
from ._models import InstanceSpec
from ._settings import HydraSmokeConfig
from ._signals import Interrupts
from ._timeline import NOTHING_LEFT, SETTLED, InstanceRecord, State
from ._wire import drive
from .instance import AsyncSmokeInstance, SmokeInstance

__tracebackhide__ = own_frames


@dataclass
class Shared:
    """What tests with one spec share within one scope: an instance, or why there is none."""

    record: InstanceRecord | None = None
    failure: str | None = None


@dataclass
class SmokeSession:
    """Everything that one process of a run owns."""

    config: HydraSmokeConfig
    ledger: Ledger
    interrupts: Interrupts = field(default_factory=Interrupts)
    reading: Reading = field(default_factory=Reading)
    on_ready: Callable[[SmokeInstance], object] = lambda instance: None
    records: list[InstanceRecord] = field(default_factory=list[InstanceRecord])

    def __post_init__(self) -> None:
        self._io = SyncIO(self.config.link, interrupts=self.interrupts)
        self._shared: dict[tuple[InstanceSpec | None, Hashable], Shared] = {}

    # Provisioning

    def claim(self, spec: InstanceSpec, number: int = 1) -> list[InstanceRecord]:
        """Own instances that are yet to be asked for, under the next free slots."""
        self._check_detached()
        self._permit()
        limit = self.config.max_instances
        keys = self.ledger.claim(*self._intent(spec), number, limit)
        if keys is None:
            raise ConfigError(
                f"no room for {number} more: max_instances allows {limit} in a run",
                next_step="raise HYDRA_SMOKE_MAX_INSTANCES, or share instances (scope)",
            )
        return [self._record(spec, key) for key in keys]

    def claim_key(self, spec: InstanceSpec, key: str) -> InstanceRecord:
        """Own what a request might make that is to be refused: it takes no slot."""
        self._check_detached()
        self.ledger.claim_key(key, *self._intent(spec))
        return self._record(spec, key)

    def _check_detached(self) -> None:
        if self.config.instance is not None:
            raise ConfigError(
                "this run is attached to an instance: it provisions none",
                instance=self.config.instance,
                next_step="leave out HYDRA_SMOKE_INSTANCE to provision",
            )

    def _intent(self, spec: InstanceSpec) -> tuple[dict[str, Any], str, dict[str, Any]]:
        return spec.model_dump(), self.config.link.base_url, sweep_settings(self.config)

    def _record(self, spec: InstanceSpec | None, key: str) -> InstanceRecord:
        record = InstanceRecord(spec, key, on_state=self._note, permit=self._permit)
        self.records.append(record)
        return record

    def _note(self, record: InstanceRecord) -> None:
        fact = _FACTS.get(record.state)
        if fact is None or record.key is None:
            return
        try:
            self.ledger.note(record.key, fact, record.id)
        except OSError as error:
            # The intent is on the disk: a sweep finds the rest out again.
            record.note(f"not in the ledger: {record.state} ({error})")

    def _permit(self) -> None:
        if self.ledger.is_over:
            raise ConfigError(
                f"run {self.config.run_id} is over: a sweep has said so",
                next_step="this run provisions and chats no more; start another one",
            )

    def provision(self, spec: InstanceSpec) -> SmokeInstance:
        """Provision one, and wait until it is ready; one that fails is deleted at once."""
        return self._ready(self._provision(*self.claim(spec)))

    def provision_key(self, spec: InstanceSpec, key: str) -> SmokeInstance:
        """Provision under a key that takes no slot, what the router is expected to refuse."""
        return self._ready(self._provision(self.claim_key(spec, key)))

    def _provision(self, record: InstanceRecord) -> InstanceRecord:
        try:
            drive(_lifecycle.provision(self._calls(record), record, self.config.policy))
        except Exception:
            record.failed = True
            self.dispose([record])
            raise
        return record

    def many(self, number: int, spec: InstanceSpec) -> list[SmokeInstance]:
        """Provision several at once: all are ready, or none is left."""
        records = self.claim(spec, number)

        def work(record: InstanceRecord) -> Callable[[SyncIO], None]:
            return lambda io: drive(
                _lifecycle.provision(Calls(io, record), record, self.config.policy)
            )

        works = [work(record) for record in records]
        failures = fan_out(self.config.link, works, self.interrupts)
        if failures:
            for record in records:
                record.failed = True
            self.dispose(records)
            raise failures[0]
        return [self._ready(record) for record in records]

    async def many_async(
        self, io: AsyncIO, number: int, spec: InstanceSpec
    ) -> list[AsyncSmokeInstance]:
        """Do what `many` does, from a coroutine."""
        records = self.claim(spec, number)
        try:
            async with anyio.create_task_group() as group:
                for record in records:
                    calls = Calls(io, record)
                    group.start_soon(_lifecycle.provision, calls, record, self.config.policy)
        except ExceptionGroup as failed:
            first = failed.exceptions[0]
        else:
            return [self._ready_async(io, record) for record in records]
        for record in records:
            record.failed = True
        async with anyio.create_task_group() as group:
            for record in self._to_delete(records):
                group.start_soon(self._delete_async, io, record)
        raise first

    # Handles

    def handle(self, record: InstanceRecord) -> Handle:
        """Give an instance's core over this session's own connections."""
        return Handle(self._calls(record), record, self.config.policy, self.reading)

    def handle_async(self, io: AsyncIO, record: InstanceRecord) -> Handle:
        """Give an instance's core over a test's connections."""
        return Handle(Calls(io, record), record, self.config.policy, self.reading)

    def _calls(self, record: InstanceRecord) -> Calls:
        return Calls(self._io, record)

    def _ready(self, record: InstanceRecord) -> SmokeInstance:
        instance = SmokeInstance(self.handle(record))
        self.on_ready(instance)
        return instance

    def _ready_async(self, io: AsyncIO, record: InstanceRecord) -> AsyncSmokeInstance:
        self._ready(record)
        return AsyncSmokeInstance(self.handle_async(io, record))

    # Sharing

    def begins(self, scope: Hashable) -> bool:
        """Tell whether nothing was shared in this scope so far; its end is then to be told."""
        return all(known != scope for _, known in self._shared)

    def shared(self, spec: InstanceSpec | None, scope: Hashable, test: str) -> InstanceRecord:
        """Give the one instance of this spec in this scope, provisioned at its first use.

        One that could not be provisioned is told once: later tests raise a `ProvisionError` that
        points to the first. With `instance` set, it is that one, whatever the spec.
        """
        if self.config.instance is not None:
            spec = None
        shared = self._shared.setdefault((spec, scope), Shared())
        if shared.failure is not None:
            raise ProvisionError(
                f"no instance: {shared.failure}",
                next_step="see the failure of that test; this one did not try again",
            )
        if shared.record is None or shared.record.state in NOTHING_LEFT - {State.CLAIMED}:
            shared.record = None
            try:
                shared.record = (
                    self._attach() if spec is None else self._provision(*self.claim(spec))
                )
            except HydraSmokeError as error:
                shared.failure = f"provisioning failed in the set-up of {test}: {error.message}"
                raise
            self._ready(shared.record)
        return shared.record

    def _attach(self) -> InstanceRecord:
        record = InstanceRecord(None, None, id=self.config.instance)
        self.records.append(record)
        drive(self.handle(record).until_ready())
        return record

    def end(self, scope: Hashable) -> None:
        """Delete what was shared within a scope that is over."""
        over = [key for key in self._shared if key[1] == scope]
        records = [self._shared.pop(key).record for key in over]
        self.dispose([record for record in records if record and not record.attached])

    # The end

    def dispose(self, records: list[InstanceRecord]) -> None:
        """Delete instances, several at once; what is not confirmed becomes the record's `leak`."""
        for record in records:
            if record.state is State.CLAIMED and not record.attached:
                record.becomes(State.REFUSED)  # It was never asked for, and its key is free.
        pending = self._to_delete(records)

        def work(record: InstanceRecord) -> Callable[[SyncIO], None]:
            return lambda io: self._delete(io, record)

        with self.interrupts.hold():
            if len(pending) == 1:
                self._delete(self._io, pending[0])
            elif pending:
                fan_out(self.config.link, [work(record) for record in pending], self.interrupts)

    def _to_delete(self, records: list[InstanceRecord]) -> list[InstanceRecord]:
        return [
            record
            for record in records
            if not record.attached
            and record.state not in SETTLED
            and record.leak is None
            and not _lifecycle.keep(record, self.config.policy)
        ]

    def _delete(self, io: SyncIO, record: InstanceRecord) -> None:
        # Whatever goes wrong with one must not keep the others from being deleted.
        try:
            drive(_lifecycle.delete(Calls(io, record), record, self.config.policy))
        except Exception as error:
            # What was broken off with its group is no verdict: the next `close` tries again.
            if io.hurry() > -math.inf:
                record.leak = str(error) or repr(error)

    async def _delete_async(self, io: AsyncIO, record: InstanceRecord) -> None:
        try:
            await _lifecycle.delete(Calls(io, record), record, self.config.policy)
        except Exception as error:
            record.leak = str(error) or repr(error)

    def adopt(self) -> None:
        """Own what other processes of this run have left open in the ledger."""
        known = {record.key for record in self.records}
        try:
            entries = self.ledger.read().open
        except OSError:
            return  # What can't be read now, a sweep reads later.
        for entry in entries:
            if entry.key not in known and entry.fact is not Fact.KEPT:
                record = self._record(None, entry.key)
                record.id = entry.id
                record.state = State.CREATED if entry.has_row else State.REQUESTED

    @property
    def pending(self) -> list[InstanceRecord]:
        """What `close` has to delete."""
        return self._to_delete(self.records)

    def close(self) -> None:
        """Delete everything that is left; harmless if done before."""
        self.dispose(self.records)
        self._io.close()


_FACTS = {
    State.ACCEPTED: Fact.ACCEPTED,
    State.CREATED: Fact.CREATED,
    State.KEPT: Fact.KEPT,
    State.DELETING: Fact.DELETED,
    State.REFUSED: Fact.REFUSED,
    State.ABSENT: Fact.ABSENT,
    State.DELETED: Fact.CONFIRMED,
}


def sweep_settings(config: HydraSmokeConfig) -> dict[str, Any]:
    """Give what a sweep needs to know of a run, in plain types."""
    names = {"ca_file", "trust_env", "allow_http", "gone_statuses", "max_instances"}
    return config.model_dump(mode="json", include=names)
