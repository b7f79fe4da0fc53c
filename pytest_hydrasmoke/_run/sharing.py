"""Shared instances: one for each spec and scope, used by one test at a time.

Under xdist the processes of a run find each other through its ledger. The process that holds the
lock of a share provisions the instance if no process has, or takes over from one that died while it
did; otherwise it joins by poll. The lock is held from set-up to teardown, so that the LLM events of
a turn are that turn's own, and is released when its process ends. What is known of the last turn
passes from one holder to the next (`_core.run_turns`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError, HydraSmokeError, ProvisionError
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._journal.events import Prepared
from pytest_hydrasmoke._journal.known_instance import KnownInstance
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive

from .ledger_lines import share_name
from .locks import Lock
from .run import Run

EVERYBODY = "session"
"""The share that all processes of the run use."""

OF_A_CHECK = "check"
"""The share of the bundled check that deletes: nobody else uses it, so it may be held beside one
that others wait for."""


class Wanted(NamedTuple):
    """What a test wants to share."""

    spec: InstanceSpec | None
    """None for the instance that the run is attached to."""
    share: str

    @property
    def plain(self) -> dict[str, Any]:
        return {} if self.spec is None else self.spec.model_dump()

    @property
    def name(self) -> str:
        """The name of its lock, and of what tests have shown of it."""
        return share_name(self.share, self.plain)

    @property
    def shown_by(self) -> list[str]:
        """The names of those whose failed boot shows that it would not boot, either."""
        shares = (EVERYBODY, self.share) if self.share == OF_A_CHECK else (self.share,)
        return [share_name(share, self.plain) for share in shares]

    @property
    def words(self) -> str:
        """What is done to have it."""
        names = (str(value) for value in self.plain.values() if value is not None)
        return "attaching" if self.spec is None else f"the boot of {'/'.join(names)}"


class NotRunError(Exception):
    """Raised for a test whose instance another test has shown not to boot, or to be gone."""


class Sharing:
    """One process's part in the shared instances."""

    def __init__(self, run: Run, *, worker: bool, certain: Sequence[Wanted] = ()) -> None:
        self._run = run
        self._worker = worker
        self._certain = certain
        """What the tests of the run are sure to use: it boots side by side."""
        self._begun: set[str] = set()
        self._used: dict[Wanted, Instance] = {}
        self._failed: dict[str, Exception] = {}
        """The errors of boots that no test has been told of, by names."""
        self._held: dict[Wanted, Lock] = {}

    def begins(self, share: str) -> bool:
        """Return whether a share is new to this process; if so, the caller has to call `end`."""
        if share in self._begun:
            return False
        self._begun.add(share)
        return True

    def take(self, spec: InstanceSpec, share: str, test: str) -> Instance:
        """Return the one instance of this spec and share, provisioned at its first use.

        It is held until `release`. A boot that failed, or a lost instance, is the failure of one
        test: other ones raise `NotRunError`, which names it; the same test tries again. With
        `instance` set, return that one, whatever the spec. Raises `ConfigError` where the test
        holds another one, and what provisioning raises.
        """
        attached = self._run.config.instance is not None
        wanted = Wanted(None, EVERYBODY) if attached else Wanted(spec, share)
        self._hold(wanted)
        reading = self._run.ledger.look()
        known = reading.shared(wanted.share, wanted.plain)
        refuted = next(filter(None, map(reading.refuted.get, wanted.shown_by)), None)
        if refuted is not None:
            if not refuted.test:
                error = self._failed.pop(refuted.what, None) or ProvisionError(str(refuted.why))
                self._refute(refuted.what, wanted, test, error)
                raise error
            if refuted.test != test:
                raise NotRunError(str(refuted.why))
            known = None  # What is left of a boot that failed is nobody's to use.
        instance = self._used.get(wanted)
        if instance is None or not (attached or (known is not None and known.key == instance.key)):
            try:
                instance = self._used[wanted] = self._bring_up(wanted, known)
            except HydraSmokeError as error:
                self._refute(wanted.name, wanted, test, error)
                raise
        if not instance.prepared:
            self._run.ready(instance)
            instance.note(Prepared())
        return instance

    def _refute(self, name: str, wanted: Wanted, test: str, error: Exception) -> None:
        why = error.message if isinstance(error, HydraSmokeError) else repr(error)
        if test:
            why = f"{wanted.words} failed in {test}: {why}"
        self._run.ledger.refute(name, test, why)

    def _hold(self, wanted: Wanted) -> None:
        if wanted in self._held:
            return
        if any(held.share != OF_A_CHECK for held in self._held):
            # Two tests that wait for each other's instance would wait for ever.
            raise ConfigError(
                "this test uses a shared instance of another spec already",
                next_step="get the second one from smoke_instance_factory",
            )
        # Before it is waited for: a time limit of the test may come just as it is got.
        lock = self._held[wanted] = self._run.ledger.lock_of(wanted.name)
        try:
            self._run.ledger.hold(lock, self._run.permit)
        except BaseException:
            self._held.pop(wanted).release()
            raise

    def _bring_up(self, wanted: Wanted, known: KnownInstance | None) -> Instance:
        if wanted.spec is None:
            return self._run.attach()
        with contextlib.ExitStack() as holding:
            booted = {wanted: self._own(wanted, known)}
            for other in self._beside(wanted, holding) if known is None else ():
                # Where there is no room, it boots when a test comes to it.
                with contextlib.suppress(ConfigError):
                    booted[other] = self._own(other)
                    booted[other].touched = True  # By no test: that is not noted.
            try:
                failures = self._run.boot([*booted.values()])
            finally:
                for other in booted.keys() - {wanted}:
                    booted[other].touched = False
            for number, it in enumerate(booted):
                if number not in failures:
                    self._used[it] = booted[it]
                elif it != wanted:
                    self._failed[it.name] = failures[number]
                    self._refute(it.name, it, "", failures[number])
        if 0 in failures:
            raise failures[0]
        return booted[wanted]

    def _own(self, wanted: Wanted, known: KnownInstance | None = None) -> Instance:
        assert wanted.spec is not None
        if known is not None:
            # A claim of this process's own, whose boot was cut short, is gone on with.
            claims = (it for it in self._run.instances if it.key == known.key)
            mine = (it for it in claims if it.state is known.state is State.CLAIMED)
            instance = next(mine, None) or self._run.join(known, wanted.spec)
        else:
            [instance] = self._run.claim(wanted.spec, share=wanted.share)
        instance.shared_across_workers = self._worker and wanted.share in (EVERYBODY, OF_A_CHECK)
        return instance

    def _beside(self, wanted: Wanted, holding: contextlib.ExitStack) -> Iterator[Wanted]:
        """Hold and yield what is certain to be used, and nobody has booted or boots."""
        if wanted not in self._certain:
            return
        for other in self._certain:
            lock = None if other == wanted else self._run.ledger.hold_if_free(other.name)
            if lock is None:
                continue
            holding.callback(lock.release)
            reading = self._run.ledger.look()
            shown = any(name in reading.refuted for name in other.shown_by)
            if not shown and reading.shared(other.share, other.plain) is None:
                yield other

    def give_up_if_gone(self, test: str) -> None:
        """Give up this test's share for all processes, if its instance is proved gone."""
        for wanted in () if self._run.forked else self._held:
            instance = self._used.get(wanted)
            if instance is None or instance.key is None or instance.state is not State.READY:
                continue  # It is attached, or a test has deleted it: that one is provisioned anew.
            if drive(self._run.handle(instance).is_gone()):
                why = f"{instance.name} was found to be gone at the router in {test}"
                self._run.ledger.refute(wanted.name, test, why)

    def release(self) -> None:
        """Let the next test use what this one holds."""
        # A forked child shares its parent's lock.
        while self._held and not self._run.forked:
            self._held.popitem()[1].release()

    def end(self, shares: Collection[str]) -> None:
        """Delete shares whose scope is over, as far as that is this process's to do."""
        self._begun.difference_update(shares)
        over = [wanted for wanted in self._used if wanted.share in shares]
        instances = [self._used.pop(wanted) for wanted in over]
        self._run.dispose_now(
            [instance for instance in instances if not instance.shared_across_workers]
        )
