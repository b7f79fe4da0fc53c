"""One process of a run: what it owns, and its deletion when the run is over.

An instance is claimed here before its request leaves, so that `close` knows what to delete however
a run ends. `close` is called wherever a run can end, and does only what is left to do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import InstanceSpec, plain_id
from pytest_hydrasmoke._api.replayed import Replay
from pytest_hydrasmoke._base.errors import ConfigError, hide_own_frames
from pytest_hydrasmoke._base.evidence import Forms
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._core.beside import Beside
from pytest_hydrasmoke._core.chat import OpenTurn
from pytest_hydrasmoke._core.deletion import is_gone
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.listener import RecordListener
from pytest_hydrasmoke._core.proof import Evidence, Seen
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.record import InstanceRecord, Origin
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._core.sightings import Sightings
from pytest_hydrasmoke._journal.events import Became, Claimed, Event, Used
from pytest_hydrasmoke._journal.states import CLOSED, HAS_ROW, SETTLED, State
from pytest_hydrasmoke._settings.model import HydraSmokeConfig
from pytest_hydrasmoke._transport.asynchronous import AsyncIO
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke._transport.threads import Network
from pytest_hydrasmoke.instance import AsyncSmokeInstance, SmokeInstance

from .by_hand import ByHand, OfClients
from .claims import Claims
from .disposal import believe_others, dispose, dispose_async, to_delete
from .folder import TURNS
from .last_look import LastLook, look_back
from .ledger import Ledger
from .ledger_lines import Entry
from .provisioning import bring_up, bring_up_all, bring_up_all_async

__tracebackhide__ = hide_own_frames


@dataclass
class SmokeSession(RecordListener):
    """Everything that one process of a run owns."""

    config: HydraSmokeConfig
    ledger: Ledger
    interrupts: Interrupts = field(default_factory=Interrupts)
    reading: Reading = field(default_factory=Reading)
    on_ready: Callable[[SmokeInstance], object] = lambda instance: None
    on_change: Callable[[InstanceRecord], None] = lambda record: None
    """Called for every change of every instance; from any thread."""
    records: list[InstanceRecord] = field(default_factory=list[InstanceRecord])
    sightings: Sightings = field(init=False)
    """Sightings of clients that belong to no instance."""
    network: Network = field(default_factory=Network)
    """How blocking code calls the router."""
    forms: Forms | None = None
    """The router's own forms, learned before the run; without them no "not found" is believed."""
    test: Callable[[], str] = lambda: ""
    """Returns the name of the running test."""
    origin: Callable[[], Origin | None] = lambda: None
    """Returns the user of an instance that is not shared; called once per instance."""
    on_turn: Callable[[OpenTurn], None] = lambda turn: None
    """Told of each turn before its message leaves: it may have it recorded."""
    run: Callable[[], int | None] = lambda: None
    """Returns the number of the current run of the test's body, where it has several."""
    replay: Replay | None = None
    """The replay of recordings that plays the router, if one does."""
    note: Callable[[Event, str | None, float | None], None] = lambda event, of, at: None
    """Writes an event, of an instance, at a point in time: see `_journal.journal.Journal.note`."""
    in_teardown: Callable[[], bool] = lambda: False
    """Returns whether the running test is in its teardown."""

    def __post_init__(self) -> None:
        self._ended = False
        self._looked_back = False
        self._pid = os.getpid()
        self._turns = RunTurns(
            *(self.ledger.folder / TURNS, self.ledger.name),
            clean=scrubbing(self.config.token),
            test=self.test,
            run=self.run,
            on_turn=self.on_turn,
            lives=self.ledger.other_lives,
        )
        self._io = self.network.blocking(self.config.link, self.interrupts)
        self.policy = dataclasses.replace(
            self.config.policy, forms=self.forms, fake=self.ledger.fake
        )
        self.claims = Claims(self.config, self.ledger)
        self.by_hand = ByHand(self)
        self.sightings = OfClients(
            note=lambda event: self.note(event, None, None),
            on_row=self.by_hand.note_row,
            on_deletion=self.by_hand.note_deletion,
        )

    # Provisioning

    def claim(
        self, spec: InstanceSpec, number: int = 1, share: str | None = None
    ) -> list[InstanceRecord]:
        """Own instances before they are requested, under the next free slots."""
        self.claims.check_detached()
        self.permit()
        keys = self.claims.take_slots(spec, number, share)
        records = [self._record(spec, key) for key in keys]
        if share is None:
            for record in records:
                record.origin = self.origin()
        return records

    def claim_key(self, spec: InstanceSpec, key: str) -> InstanceRecord:
        """Own what a test may provision by hand: it takes no slot."""
        self.claims.check_detached()
        self.permit()
        self.claims.take_key(spec, key)
        record = self._record(spec, key)
        record.takes_slot = False
        return record

    def _record(self, spec: InstanceSpec | None, key: str) -> InstanceRecord:
        record = InstanceRecord(spec, key, listener=self, run_turns=self._turns)
        self.records.append(record)
        record.note(Claimed(None if spec is None else spec.model_dump()))
        return record

    def beside(self, instance_id: str) -> Beside:
        """Return the record of a client's chat with an instance, which may be outside of the run.

        The run knows of the turn all the same, if it knows the instance.
        """
        same = plain_id(instance_id)
        known = (it for it in self.records if plain_id(it.id or "") == same)
        return Beside(instance_id, next(known, None), RunTurns(on_turn=self.on_turn))

    def noted(self, record: InstanceRecord, at: float, event: Event) -> None:
        self.note(event, record.reference, at)

    def touched(self, record: InstanceRecord) -> None:
        test = self.test()
        if test:
            record.note(Used(test, self.in_teardown()))

    def state_changed(self, record: InstanceRecord) -> None:
        if record.state in (State.CREATED, State.READY) and record.born is not None:
            self.write(record, seconds=self._io.now() - record.born)
        else:
            self.write(record)

    def write(self, record: InstanceRecord, **more: object) -> None:
        """Append a record's state to the ledger, if the instance is the run's."""
        if record.key is None:
            return  # The run is attached to it.
        # A router can echo the token as an id; without an id, a sweep asks for the key.
        shown = record.id is None or scrubbing(self.config.token)(record.id) == record.id
        try:
            self.ledger.write(record.key, record.state, record.id if shown else None, **more)
        except OSError as error:
            # The claim is on disk: a sweep asks the router for the rest.
            record.add_remark(f"not in the ledger: {record.state} ({error})")

    @property
    def forked(self) -> bool:
        """Whether this is a forked child, which takes no part in the run."""
        return os.getpid() != self._pid

    def changed(self, record: InstanceRecord) -> None:
        self.on_change(record)

    def permit(self, record: InstanceRecord | None = None) -> None:
        """Raise `ConfigError` where a sweep, or the main process, has declared the run over."""
        if record is not None and record.attached:
            return  # It outlives the run.
        self.check_process()
        if self._ended or self.ledger.is_over:
            raise ConfigError(
                f"run {self.config.run_id} is over: a sweep or its main process has ended it",
                next_step="this run no longer provisions or chats; start another one",
            )

    def provision(self, spec: InstanceSpec) -> SmokeInstance:
        """Provision an instance, and wait until it is ready; if that fails, delete it at once."""
        return self._ready(self.bring_up(*self.claim(spec)))

    def bring_up(self, record: InstanceRecord) -> InstanceRecord:
        """Take an owned instance from any state to ready; delete it if that fails."""
        try:
            drive(bring_up(self._calls(record), record, self.policy))
        except Exception:
            record.blame()
            self.dispose([record])
            raise
        return record

    def many(self, number: int, spec: InstanceSpec) -> list[SmokeInstance]:
        """Provision several concurrently: all become ready, or all are deleted."""
        records, link = self.claim(spec, number), self.config.link
        failure = bring_up_all(records, self.policy, link, self.interrupts, self.network)
        if failure is not None:
            for record in records:
                record.blame()
            self.dispose(records)
            raise failure
        return [self._ready(record) for record in records]

    async def many_async(
        self, io: AsyncIO, number: int, spec: InstanceSpec
    ) -> list[AsyncSmokeInstance]:
        """Do what `many` does, from a coroutine."""
        records = self.claim(spec, number)
        failure = await bring_up_all_async(records, self.policy, io)
        if failure is not None:
            for record in records:
                record.blame()
            await dispose_async(records, self.policy, io)
            raise failure
        return [self._ready_async(io, record) for record in records]

    # Handles

    def handle(self, record: InstanceRecord) -> Handle:
        """Return an instance's handle over this session's own connections."""
        return Handle(self._calls(record), record, self.policy, self.reading)

    def handle_async(self, io: AsyncIO, record: InstanceRecord) -> Handle:
        """Return an instance's handle over a test's connections."""
        calls = Calls(io, record, replay=self.replay)
        return Handle(calls, record, self.policy, self.reading)

    def _calls(self, record: InstanceRecord) -> Calls:
        return Calls(self._io, record, replay=self.replay)

    def _ready(self, record: InstanceRecord) -> SmokeInstance:
        self.ready(record)
        return SmokeInstance(self.handle(record))

    def _ready_async(self, io: AsyncIO, record: InstanceRecord) -> AsyncSmokeInstance:
        self.ready(record)
        return AsyncSmokeInstance(self.handle_async(io, record))

    def attach(self) -> InstanceRecord:
        """Use the instance that the settings name; it is never deleted."""
        record = InstanceRecord(
            None,
            None,
            id=self.config.instance,
            attached=True,
            listener=self,
            run_turns=self._turns,
        )
        self.records.append(record)
        record.note(Claimed(None, attached=True))
        drive(self.handle(record).until_ready())
        return record

    def ready(self, record: InstanceRecord) -> None:
        """Notify listeners that an instance is ready."""
        self.on_ready(SmokeInstance(self.handle(record)))

    def is_gone(self, record: InstanceRecord) -> bool:
        """Return whether the router proves that an instance is gone."""
        return drive(is_gone(self._calls(record), record, self.policy))

    # The end

    def dispose(self, records: list[InstanceRecord]) -> None:
        """Delete instances concurrently; what is not confirmed becomes the record's `leak`."""
        if not self.forked:
            dispose(records, self.policy, self._io, self.interrupts, self.network)

    def join(self, entry: Entry, spec: InstanceSpec | None = None) -> InstanceRecord:
        """Own an instance in the ledger, together with another process of the run."""
        record = self._record(spec, entry.key)
        record.id, record.ids, record.state = entry.id, [*entry.ids], entry.state
        record.was_ready = entry.was_ready
        record.evidence = Evidence({plain_id(it): Seen(accepted=True) for it in entry.deleted})
        # A claim of another process may have been sent; without an id nothing shows a row.
        if entry.state is State.CLAIMED or (record.id is None and entry.state in HAS_ROW):
            record.state = State.REQUESTED
        # This process can't know whether the request was sent and carried out.
        record.unknown_outcomes = 1
        record.note(Became(record.state, record.id))
        return record

    def adopt(
        self, reported: Mapping[str, Entry] | None = None, leaks: Mapping[str, str] | None = None
    ) -> None:
        """Own what other processes of this run have left: in the ledger, or `reported` by them.

        `leaks` are what they have given up: these are not waited for again.
        """
        known = {record.key for record in self.records}
        entries = dict(reported or {})
        with contextlib.suppress(OSError):  # Else a sweep may read it later.
            entries |= self.ledger.read().entries
        for key, entry in entries.items():
            if key not in known and entry.state not in CLOSED:
                record = self.join(entry)
                record.leaks(None if record.state in SETTLED else (leaks or {}).get(key))

    @property
    def pending(self) -> list[InstanceRecord]:
        """The instances that `close` has to delete."""
        return to_delete(self._own, self.policy)

    @property
    def _own(self) -> list[InstanceRecord]:
        """The instances that this process deletes, and not the main process for all workers."""
        return [record for record in self.records if not record.shared_across_workers]

    def end(self) -> None:
        """Stop provisioning and chatting: a test's thread may outlive the run."""
        self._ended = True

    def close(self) -> None:
        """Delete all that is left and this process's to delete; harmless if done before."""
        if self.interrupts.received is not None and not self._looked_back:
            self._looked_back = True
            for record in self._own:
                # There is no last look, but what leaked is tried once more.
                record.leaks(None if record.state in HAS_ROW else record.leak)
        self.dispose(self._own)
        believe_others(self.records, self.ledger)
        self._io.close()

    def look_back(self) -> list[str]:
        """Look once more at all that was deleted, refused or leaked; return lines for people.

        Only once, by the process that owns the instances, and not after a signal.
        """
        if self._looked_back or self.ledger.fake or self.interrupts.received is not None:
            return []
        self._looked_back = True
        row_lag = 0.0
        with contextlib.suppress(OSError):
            row_lag = self.ledger.read().row_lag
        look = LastLook(self.policy, self._io.now(), row_lag)
        return look_back(self._own, look, self.config.link, self.interrupts, self.network)
