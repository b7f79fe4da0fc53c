"""One process of a run: what it owns, and its deletion when the run is over.

An instance is claimed here before its request leaves, so that `close` knows what to delete however
a run ends. `close` is called wherever a run can end, and does only what is left to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._base.forks import generation
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.token import has_token, scrubbing
from pytest_hydrasmoke._core.cleanup import dispose, to_delete
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.incoming import Reading
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.lifecycle import bring_up
from pytest_hydrasmoke._core.policy import KnownRouter
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._core.stage import Keeper
from pytest_hydrasmoke._journal.events import Attempt, Became, Claimed, Event, Fact, Used
from pytest_hydrasmoke._journal.journal import Journal
from pytest_hydrasmoke._journal.known_instance import KnownInstance
from pytest_hydrasmoke._journal.states import CLOSED, HAD_ROW, HAS_ROW, SETTLED, State
from pytest_hydrasmoke._journal.story import Story
from pytest_hydrasmoke._settings.config import HydraSmokeConfig
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import IO, StoppedError, drive
from pytest_hydrasmoke.instance import SmokeInstance

from .by_hand import ByHand
from .folder import TURNS
from .last_look import LastLook
from .ledger import Ledger
from .run_stage import RunStage

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake.replay import Replay

_NO_MORE = "this run no longer provisions or chats; start another one"
AWAY = 1.0
"""Seconds beyond the time for its clean-up after which a process did not run meanwhile."""


@dataclass
class Run(Keeper[Instance]):
    """Everything that one process of a run owns."""

    config: HydraSmokeConfig
    ledger: Ledger
    interrupts: Interrupts = field(default_factory=Interrupts)
    reading: Reading = field(default_factory=Reading)
    stage: RunStage = field(default_factory=RunStage)
    """Whose instances are claimed, and whose chats are under way."""
    instances: list[Instance] = field(default_factory=list[Instance])
    absent: Absent = field(default_factory=Absent)
    """How the router answered, before the run, for what does not exist."""
    replay: Replay | None = None
    """The replay of recordings that plays the router, if one does."""
    journal: Journal | None = None
    """Where this process writes what happens; None where nobody reads that."""

    def __post_init__(self) -> None:
        self._ended = self._looked_back = False
        self._generation = generation()
        self._turns = RunTurns(
            *(self.ledger.folder / TURNS, self.ledger.name),
            clean=scrubbing(self.config.token),
            stage=self.stage,
            lives=self.ledger.other_lives,
        )
        self._io = SyncIO(self.config.link, interrupts=self.interrupts)
        self.policy = replace(self.config.policy, router=KnownRouter(self.absent, self.ledger.fake))
        self.by_hand = ByHand(self)

    # Provisioning

    def claim(
        self, spec: InstanceSpec, number: int = 1, share: str | None = None
    ) -> list[Instance]:
        """Own instances before they are requested, under the next free slots."""
        self.permit()
        self.stage.boots()
        claimed = self.claim_of(spec, share)
        keys = self.ledger.claim(claimed, number, self.config.max_instances)
        instances = [self._new_instance(spec, key, claimed) for key in keys]
        for instance in instances if share is None else ():
            instance.target.origin = self.stage.claims()
        return instances

    def claim_key(self, spec: InstanceSpec, key: str) -> Instance:
        """Own what a test may provision by hand: it takes no slot."""
        self.permit()
        claimed = self.claim_of(spec)
        self.ledger.claim_key(key, claimed)
        instance = self._new_instance(spec, key, claimed)
        instance.target.origin = self.stage.claims()
        return instance

    def claim_of(self, spec: InstanceSpec, share: str | None = None) -> Claimed:
        """Return the claim of a key; raises `ConfigError` for a spec that can't be provisioned."""
        if self.config.instance is not None:
            raise ConfigError(
                "this run is attached to an instance, and provisions none",
                instance=self.config.instance,
                next_step="leave out HYDRA_SMOKE_INSTANCE to provision",
            )
        plain, token = spec.model_dump(), self.config.token
        if any(has_token(str(value), token) for value in plain.values()):
            raise ConfigError(
                "the spec contains the token",
                next_step="remove it: the spec is written into the ledger and the reports",
            )
        url, fake = self.config.link.base_url, self.ledger.fake
        claimed = Claimed(plain, url=url, fake=fake, share=share, run=self.config.run_id)
        return claimed._replace(**self.absent._asdict())

    def _new_instance(
        self, spec: InstanceSpec | None, key: str | None, claimed: Claimed, known: str | None = None
    ) -> Instance:
        instance = Instance(spec, key=key, id=known, keeper=self, run_turns=self._turns)
        self.instances.append(instance)
        instance.note(claimed)
        return instance

    def note(self, instance: Instance, at: float, event: Event) -> None:
        if isinstance(event, Attempt):
            self.uses(instance)
        self.write(instance, at, event)

    def write(self, instance: Instance, at: float, event: Event) -> None:
        """Write an event: what other processes must know into the ledger, and into the journal."""
        if isinstance(event, Became):
            self.stage.changed(instance)
            if instance.born is not None:
                event = event._replace(seconds=self._io.now() - instance.born)
        # The run is attached to an instance without a key.
        if isinstance(event, Fact) and instance.key is not None:
            try:
                self.ledger.write(instance.key, event)
            except OSError as error:
                # The claim is on disk: a sweep asks the router for the rest.
                what = event.state if isinstance(event, Became) else type(event).__name__.lower()
                instance.add_remark(f"not in the ledger: {what} ({error})")
        self.tell(event, instance.reference, at)

    def tell(self, event: Event, of: str | None = None, at: float | None = None) -> None:
        """Write an event of an instance, or of none, into the journal."""
        if self.journal is not None:
            self.journal.note(event, of, at)

    def uses(self, instance: Instance) -> None:
        """Note that the running test uses an instance: once."""
        if not instance.touched:
            instance.touched, test = True, self.stage.test
            if test:
                instance.note(Used(test, self.stage.in_teardown))

    @property
    def forked(self) -> bool:
        return generation() != self._generation

    @property
    def was_swept(self) -> bool:
        return self.ledger.was_swept

    def permit(self, instance: Instance | None = None) -> None:
        """Raise `ConfigError` where its deadline, a sweep or the main process has ended the run."""
        why = self.interrupts.why  # A test may go on after the signal of its deadline.
        if why is None and (instance is None or not instance.attached):  # That outlives it.
            self.check_process()
            if self._is_over:
                why = f"run {self.config.run_id} is over: a sweep or its main process has ended it"
        if why is not None:
            raise ConfigError(why, next_step=_NO_MORE)

    @property
    def _is_over(self) -> bool:
        return self._ended or self.ledger.is_over

    def provision(self, spec: InstanceSpec) -> SmokeInstance:
        """Provision an instance, and wait until it is ready; if that fails, delete it at once."""
        [handle] = drive(self.provision_all(1, spec))
        return SmokeInstance(handle)

    async def provision_all(
        self, number: int, spec: InstanceSpec, io: IO | None = None
    ) -> list[Handle]:
        """Provision several concurrently: all become ready, or all are deleted."""
        instances = self.claim(spec, number)
        await self._bring_up(instances, io or self._io)
        for instance in instances:
            self.ready(instance)
        return [self.handle(instance, io) for instance in instances]

    def boot(self, instances: Sequence[Instance]) -> Mapping[int, Exception]:
        """Take instances to ready from any state, side by side; return what failed, by numbers.

        Each that fails is deleted at once.
        """
        return drive(self._io.gather([partial(self._bring_up, [it]) for it in instances]))

    async def _bring_up(self, instances: list[Instance], io: IO) -> None:
        try:
            await bring_up(io, instances)
        except Exception as error:
            # What ends a run deletes all that there is: two at once would be in each other's way.
            if not isinstance(error, StoppedError) and not self._is_over:
                for instance in instances:
                    instance.blame()
                await self.dispose(instances, io)
            raise

    # Handles

    def handle(self, instance: Instance, io: IO | None = None) -> Handle:
        """Return an instance's handle over a test's connections, or this run's own."""
        calls = Calls(io or self._io, instance, replay=self.replay)
        return Handle(calls, instance, self.reading)

    def attach_to(self, instance_id: str) -> Instance:
        """Use an instance that is not the run's; it is never deleted."""
        return self._new_instance(None, None, Claimed(None, attached=True), instance_id)

    def attach(self) -> Instance:
        """Use the instance that the settings name, and wait until it is ready."""
        assert self.config.instance is not None
        instance = self.attach_to(self.config.instance)
        drive(self.handle(instance).until_ready())
        return instance

    def ready(self, instance: Instance) -> None:
        """Tell the stage that an instance is ready."""
        self.stage.is_ready(self.handle(instance))

    def begins_anew(self, instance: Instance) -> bool:
        return self.stage.begins_anew(instance)

    # The end

    async def dispose(self, instances: list[Instance], io: IO | None = None) -> None:
        """Delete instances concurrently; what is not confirmed becomes an instance's `leak`."""
        if not self.forked:
            await dispose(io or self._io, instances)

    def dispose_now(self, instances: list[Instance]) -> None:
        drive(self.dispose(instances))

    def join(self, it: KnownInstance, spec: InstanceSpec | None = None) -> Instance:
        """Own an instance in the ledger, together with another process of the run."""
        plain = None if spec is None else spec.model_dump()
        claimed = Claimed(plain, url=it.url, fake=it.fake, share=it.share, run=it.run)
        instance = self._new_instance(spec, str(it.key), claimed)
        # Only the process that has the other token can ask for what it shows.
        if not it.other_token:
            instance.take_over(it)
        # A claim of another process may have been sent; without an id nothing shows a row.
        unseen = it.state is State.CLAIMED or (instance.id is None and it.state in HAS_ROW)
        self._follow(instance, State.REQUESTED if unseen else it.state)
        # Whether the request was sent and carried out, this process can't know.
        instance.evidence.unknown_outcomes = 1
        return instance

    def _follow(self, instance: Instance, state: State) -> None:
        """Take a state from the ledger, which needs no line of it."""
        instance.state = state
        self.tell(Became(state, instance.id), instance.key)

    def adopt(self, told: Mapping[str, Story]) -> None:
        """Own what other processes of this run have left: in the ledger, or as they have `told`.

        What they have given up is not waited for again.
        """
        known = {instance.key for instance in self.instances}
        # A worker on another host is a run of its own; what is attached has no run.
        ours = ((key, it) for key, it in told.items() if it.run_id == self.config.run_id)
        mine = dict[str, KnownInstance](ours)
        # A ledger that could not be written says less than its process has told.
        over = {key: it for key, it in mine.items() if it.state in CLOSED | {State.GONE}}
        left = {**mine, **self.ledger.read_if_possible().instances, **over}
        for key, it in left.items():
            if key not in known and it.state not in CLOSED:
                instance, story = self.join(it), told.get(key, Story())
                instance.evidence.asked = story.asked_to_go
                if instance.state not in SETTLED:
                    instance.leaks(story.leak)

    @property
    def pending(self) -> list[Instance]:
        """The instances that `close` has to delete."""
        return to_delete(self._own)

    @property
    def _own(self) -> list[Instance]:
        """The instances that this process deletes, and not the main process for all workers."""
        return [instance for instance in self.instances if not instance.shared_across_workers]

    def end(self) -> None:
        """Stop provisioning and chatting: a test's thread may outlive the run."""
        self._ended = True

    def close(self) -> None:
        """Delete all that is left and this process's to delete; harmless if done before."""
        hurried = self.interrupts.received is not None
        if hurried and not self._looked_back:
            self._looked_back = True
            self._retry()  # There is no last look.
        self.dispose_now(self._own)
        if hurried and self._io.now() > self.interrupts.deadline() + AWAY:
            # The process did not run meanwhile, and no delete may have left.
            self.interrupts.begin_clean_up()
            self._retry()
            self.dispose_now(self._own)
        # Another process may have recorded a deletion while this one asked for a row. Once that is
        # seen, a ledger proves nothing against the router's answers.
        unseen = [it for it in self.instances if it.leak is not None and it.state not in HAD_ROW]
        known = self.ledger.read_if_possible().instances if unseen else {}
        for instance in unseen:
            told = known.get(str(instance.key))
            if told is not None and told.state in (State.GONE, State.DELETED):
                instance.leaks(None)
                self._follow(instance, told.state)
        self._io.close()

    def _retry(self) -> None:
        for instance in self._own:  # What leaked is tried once more.
            instance.leaks(None if instance.state in HAS_ROW else instance.leak)

    def look_back(self) -> None:
        """Look once more at all that was deleted, refused or leaked.

        Only once, by the process that owns the instances, and not after a signal.
        """
        if self._looked_back or self.ledger.fake or self.interrupts.received is not None:
            return
        self._looked_back = True
        self._io.close()  # It looks over new connections.
        last = LastLook(self._io.now(), self.ledger.read_if_possible().row_lag)
        with self.interrupts.hold():
            drive(last.at_all(self._io, self._own))
