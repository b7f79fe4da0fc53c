"""Shared instances: one for each spec and scope, used by one test at a time.

Under xdist the processes of a run find each other through its ledger. The process that holds the
lock of a share provisions the instance if no process has, or takes over from one that died while it
did; otherwise it joins by poll. The lock is held from set-up to teardown, so that the LLM events of
a turn are that turn's own, and is released when its process ends. What is known of the last turn
passes from one holder to the next (`_core.run_turns`).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import (
    ConfigError,
    HydraSmokeError,
    ProvisionError,
    hide_own_frames,
)
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.events import Prepared
from pytest_hydrasmoke._journal.instance import Instance
from pytest_hydrasmoke._journal.states import State

from .locks import Lock
from .session import SmokeSession

__tracebackhide__ = hide_own_frames

EVERYBODY = "session"
"""The share that all processes of the run use."""

_Wanted = tuple[InstanceSpec | None, str]


class Sharing:
    """One process's part in the shared instances."""

    def __init__(self, session: SmokeSession, *, worker: bool) -> None:
        self._session = session
        self._worker = worker
        self._begun: set[str] = set()
        self._used: dict[_Wanted, InstanceRecord] = {}
        self._held: tuple[_Wanted, Lock] | None = None

    def begins(self, share: str) -> bool:
        """Return whether a share is new to this process; if so, the caller has to call `end`."""
        if share in self._begun:
            return False
        self._begun.add(share)
        return True

    def take(self, spec: InstanceSpec, share: str, test: str) -> InstanceRecord:
        """Return the one instance of this spec and share, provisioned at its first use.

        It is held until `release`. A failed provision, or a lost instance, is reported once: later
        tests raise a `ProvisionError` that points to the first. With `instance` set, return that
        one, whatever the spec. Raises `ConfigError` where the test holds another one.
        """
        attached = self._session.config.instance is not None
        wanted = (None, EVERYBODY) if attached else (spec, share)
        plain = _plain(wanted[0])
        self._hold(wanted, plain)
        reading = self._session.ledger.look()
        why = reading.failure(wanted[1], plain)
        if why is not None:
            raise ProvisionError(
                f"no instance: {why}",
                next_step="see the failure of that test; this one did not try again",
            )
        known = reading.shared(wanted[1], plain)
        record = self._used.get(wanted)
        if record is not None and (attached or (known is not None and known.key == record.key)):
            return record
        try:
            record = self._bring_up(wanted, known)
        except HydraSmokeError as error:
            why = f"provisioning failed in the set-up of {test}: {error.message}"
            self._session.ledger.give_up(wanted[1], plain, why)
            raise
        self._used[wanted] = record
        if known is None or not known.prepared:
            self._session.ready(record)
            record.note(Prepared())
        return record

    def _hold(self, wanted: _Wanted, plain: dict[str, Any]) -> None:
        if self._held is None:
            digest = hashlib.sha256(json.dumps([wanted[1], plain]).encode()).hexdigest()
            lock = self._session.ledger.hold(digest[:16], self._session.permit)
            self._held = (wanted, lock)
        elif self._held[0] != wanted:
            # Two tests that wait for each other's instance would wait for ever.
            raise ConfigError(
                "this test uses a shared instance of another spec already",
                next_step="get the second one from smoke_instance_factory",
            )

    def _bring_up(self, wanted: _Wanted, known: Instance | None) -> InstanceRecord:
        spec, share = wanted
        if spec is None:
            return self._session.attach()
        if known is None:
            [record] = self._session.claim(spec, share=share)
        else:
            record = self._session.join(known, spec)
        record.shared_across_workers = self._worker and share == EVERYBODY
        return self._session.bring_up(record)

    def give_up_if_gone(self, test: str) -> None:
        """Give up this test's share for all processes, if its instance is proved gone."""
        if self._held is None or self._session.forked:
            return
        spec, share = self._held[0]
        record = self._used.get((spec, share))
        if record is None or record.key is None or record.state is not State.READY:
            return  # It is attached, or a test has deleted it: that one is provisioned anew.
        if self._session.is_gone(record):
            why = f"{record.name} was found to be gone at the router in {test}"
            self._session.ledger.give_up(share, _plain(spec), why)

    def release(self) -> None:
        """Let the next test use what this one holds."""
        # A forked child shares its parent's lock.
        if self._held is not None and not self._session.forked:
            self._held[1].release()
            self._held = None

    def end(self, share: str) -> None:
        """Delete a share whose scope is over, if that is this process's to do."""
        self._begun.discard(share)
        over = [wanted for wanted in self._used if wanted[1] == share]
        records = [self._used.pop(wanted) for wanted in over]
        self._session.dispose_now(
            [record for record in records if not record.shared_across_workers]
        )


def _plain(spec: InstanceSpec | None) -> dict[str, Any]:
    return {} if spec is None else spec.model_dump()
