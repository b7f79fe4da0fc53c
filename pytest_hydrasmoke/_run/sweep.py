"""Delete what earlier runs left behind: the instances of keys in their ledgers, or of a run id.

A sweep that names a run declares it over and polls each of its slots, with or without a ledger,
since a worker may still insert the row of a key that was sent. A sweep without a run id skips live
runs. Two concurrent sweeps do no harm: a second deletion changes nothing.

Only keys are taken from a ledger. Where to ask and what an answer means is the sweep's own, and it
sends the token only to the configured router.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._api.models import plain_id
from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._base.errors import ConfigError, HydraSmokeError, LeakError
from pytest_hydrasmoke._base.run_keys import run_of
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._core.deletion import NoRowError, delete, see_gone
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._report.model import Report
from pytest_hydrasmoke._settings.model import HydraSmokeConfig
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke._transport.target import same_router
from pytest_hydrasmoke._transport.threads import fan_out

from . import folder as run_folder
from . import ledger as ledgers
from . import locks
from .at_risk import at_risk
from .folder import LEDGER, OVER, folder_of
from .ledger_lines import Entry, Fact, Reading
from .preflight import learn
from .reaching import Reaching
from .slots import Slots, Target, in_order, spans

_NOTHING_LEFT = frozenset({"deleted", "absent", "attached"})
"""Outcomes of instances that cost nothing any longer, or are not the run's."""
ANSWER = 10.0
"""Least seconds to wait for an answer, however short the wait for rows: many are sent at once."""
USED = (
    *("url", "token", "token_file", "allow_http", "trust_env"),
    *("ca_file", "client_cert", "client_key"),
    *("output", "row_settle", "delete_timeout", "gone_statuses"),
)
"""The settings that a sweep depends on: a problem with another one must not stop it."""
YOUNG = 60.0
"""Seconds for which a folder without a ledger may belong to a run that is just beginning."""


@dataclass(slots=True)
class Sweep:
    """One sweep; `say` is called with each line of output."""

    config: HydraSmokeConfig
    wait: float
    dry_run: bool
    say: Callable[[str], None]
    wait_aloud: Callable[[str], None] = lambda line: None
    """Called with a line now and then, while the router can't be reached."""
    left: bool = False
    """Whether something is, or may be, left."""
    _policy: Policy = field(init=False)
    _found: set[str] = field(default_factory=set[str])
    """The keys that had a row."""
    _pending: dict[str, Target] = field(default_factory=dict[str, Target])
    """The keys of which nothing was said yet."""
    _absent: list[str] = field(default_factory=list[str])
    """The keys without a row, which are listed together, in the order of their slots."""
    _run_id: str | None = None
    """The run that is swept alone."""

    def all_runs(self) -> None:
        """Sweep every run that is over; raises `ConfigError` where no run has left a folder."""
        runs = self.config.output / "runs"
        if files.is_blocked(runs):
            raise ConfigError(f"{runs} is a link, or not a folder: no run has left it")
        if not runs.is_dir():
            above = self._above("*")
            raise ConfigError(
                f"there is no ledger: {runs} does not exist",
                next_step="give the folder with --output, or name the run with --run-id"
                if above is None
                else f"{above} has one: give --output {above}",
            )
        if not self._knows_router():
            return
        self.say(f"reading {runs}")
        over: list[Path] = []
        for folder, flaw in run_folder.all_found(self.config.output).items():
            if flaw is not None:
                self._skip(folder, flaw)
            elif self._lives(folder):
                continue
            elif not (folder / LEDGER).exists() and _age(folder) < YOUNG:
                self._skip_young(folder)
            else:
                over.append(folder)
        readings = {folder: self._read(folder) for folder in over}
        targets = [
            target for folder, found in readings.items() for target in self._owned(folder, found)
        ]
        unread = [
            Slots(folder.name, folder, frozenset(reading.entries))
            for folder, reading in readings.items()
            if reading.problems
        ]
        self._sweep(targets, unread)
        if not self.dry_run:
            for folder in over:
                ledgers.discard_if_done(folder)
        above = self._above("*")
        if above is not None:
            self.say(f"not read {above}: runs that were called there have left a ledger in it")

    def _above(self, run_id: str) -> str | None:
        """Return the folder further up that has a ledger, quoted as an argument of --output."""
        found = run_folder.with_ledger_above(self.config.output, run_id)
        return None if found is None else shlex.quote(Path(os.path.relpath(found)).as_posix())

    def _lives(self, folder: Path) -> bool:
        try:
            lives = locks.is_live(folder)
        except OSError as error:
            self.left = True
            self.say(f"LEFT     run {folder.name}: cannot find out whether it is alive ({error})")
            return True
        if lives:
            self.say(f"live     run {folder.name}: skipped")
        return lives

    def _skip_young(self, folder: Path) -> None:
        # The mark of a run's end is kept, as the run may still begin.
        if (folder / OVER).exists():
            self.say(f"over     run {folder.name}: it was ended before, and has no ledger, skipped")
        else:
            self.say(f"young    run {folder.name}: it may be about to begin, skipped")

    def _skip(self, folder: Path, flaw: str) -> None:
        # It may be a run's ledger: the folder was moved or linked, or its name is from before names
        # had rules.
        unread = os.path.lexists(folder / LEDGER)
        self.left = self.left or unread
        word = "LEFT    " if unread else "no run  "
        self.say(f"{word} {safe_line(folder.name)}: {safe_line(flaw)}; it is left alone")

    def one_run(self, run_id: str) -> None:
        """Sweep one run, which is over from now on, whether it has a ledger here or not.

        Raises `ConfigError` where the folder in its place is not a run's.
        """
        self._run_id = run_id
        if not self._knows_router():
            return
        folder = folder_of(self.config.output, run_id)
        self.say(f"reading {folder}")
        flaw = run_folder.flaw(folder)
        if flaw is not None:
            raise ConfigError(
                f"run {run_id} can't be swept here: {flaw}",
                next_step="fix that, or give another folder with --output",
            )
        ended = self._is_reported_over(run_id, folder)
        if ended:
            # The run itself has settled all its keys: one poll of each is enough.
            self.say(f"the run's report says that nothing of it is left: {self._report}")
            self.wait = 0.0
        elif not (folder / LEDGER).exists():
            self.say(
                f"there is no ledger of run {run_id} here: its slots are asked for anyway, as they "
                "may have been used elsewhere"
            )
            above = self._above(run_id)
            if above is not None:
                # It may know of a request whose row is still to come.
                self.left = True
                where = f"its ledger is in {above}: sweep with --output {above}"
                self.say(f"LEFT     run {run_id}: {where}")
        reading = self._read(folder)
        slots = Slots(run_id, folder, frozenset(reading.entries))
        targets = list(self._owned(folder, reading))
        if self.dry_run:
            self._sweep(targets, [slots])
            return
        is_new = not os.path.lexists(folder)
        ledgers.mark_run_over(self.config.output, run_id)
        self._sweep(targets, [slots])
        # Any other run may be about to begin, and must find the mark of its end.
        if ended and is_new and not (self._found or self.left):
            ledgers.discard_if_done(folder)
        else:
            ledgers.discard_ledger_if_done(folder)

    def _knows_router(self) -> bool:
        """Return whether a smoke router answers: no other server's answer proves anything."""
        try:
            with Reaching(self.config.url, self.wait_aloud) as observer:
                forms = learn(self.config, observer=observer)
        except HydraSmokeError as error:
            self.left = True
            self.say(f"UNKNOWN  what is left: {self.config.url} does not show it: {error.message}")
            self.say(f"         {error.next_step or 'see hydra-smoke check'}")
            self._say_at_risk()
            return False
        self._policy = dataclasses.replace(
            self.config.policy, forms=forms, keep="never", last_look=ANSWER
        )
        return True

    def _say_at_risk(self) -> None:
        for line in at_risk(self.config.output, self._run_id, self.config.link.base_url):
            self.say(f"         at risk: {line}")

    def interrupted(self) -> None:
        """Say of what nothing is known, as the sweep was interrupted."""
        self.left = True
        self._say_absent()
        if self._pending:
            keys, number = spans(self._pending), len(self._pending)
            many = f"{number} {'key was' if number == 1 else 'keys were'}"
            self.say(f"UNKNOWN  interrupted: {many} not asked to the end: {safe_line(keys)}")
        else:
            self.say("UNKNOWN  what is left: interrupted before every key was asked for")
        self._say_at_risk()

    @property
    def _report(self) -> Path:
        return self.config.output / "report.json"

    def _is_reported_over(self, run_id: str, folder: Path) -> bool:
        """Return whether the run's report here shows nothing left, and it has no ledger here."""
        try:
            report = Report.model_validate_json(self._report.read_bytes())
        except (OSError, ValueError):
            return False
        same = report.run_id == run_id and same_router(report.url, self.config.link.base_url)
        ended = same and not (folder / LEDGER).exists()
        return ended and all(instance.outcome in _NOTHING_LEFT for instance in report.instances)

    def _read(self, folder: Path) -> Reading:
        try:
            reading = ledgers.read(folder)
        except OSError as error:
            reading = Reading(problems=[f"the file can't be read ({error.strerror or error})"])
        for problem in reading.problems:
            self.left = True
            self.say(f"LEFT     run {folder.name}: its ledger: {problem}")
        if reading.problems:
            self.say(
                "         its slots are asked for instead; once you know that nothing of it is "
                f"left, delete {folder}"
            )
        return reading

    def _owned(self, folder: Path, reading: Reading) -> Iterator[Target]:
        """Yield the open entries of a ledger that are this sweep's to delete."""
        here = self.config.link.base_url
        for entry in reading.open:
            if entry.fake:
                self._record(folder, entry.key, Fact.ABSENT)
                self.say(f"fake     (key {entry.key}): it ended with its run")
            elif run_of(entry.key) != folder.name:
                self._leave(entry.key, f"its ledger is run {folder.name}'s, which has no such key")
            elif not same_router(entry.url, here):
                where = safe_line(entry.url)
                self._leave(
                    entry.key, f"it is another router's: sweep with HYDRA_SMOKE_URL={where}"
                )
            else:
                yield Target(entry.key, folder, entry)

    def _leave(self, key: str, why: str) -> None:
        self.left = True
        self.say(f"LEFT     (key {key}): {why}")

    def _sweep(self, targets: list[Target], several: list[Slots]) -> None:
        until = time.monotonic() + self.wait
        targets = targets + [target for slots in several for target in slots.more()]
        if self.dry_run:
            for target in targets:
                entry = target.entry
                doing = "ask for" if entry is None else f"delete {entry.id or 'id not known'}"
                self.say(f"would {doing} (key {target.key}) at {self.config.link.base_url}")
                self.left = self.left or entry is not None
            return
        have_rows = (target.entry is not None and target.entry.has_row for target in targets)
        if self.wait and not all(have_rows):
            self.say(f"asking for up to {self.wait:g} s for keys that have no row yet")
        while targets:
            self._pending = {target.key: target for target in targets}
            # `_one` reports its failures itself: none stops the others.
            fan_out(self.config.link, [partial(self._one, target) for target in targets])
            self._say_absent(of_all=not self._found and len(self._absent) == len(targets))
            # The wait for a row is over for a request sent before this sweep.
            self.wait = max(until - time.monotonic(), 0.0)
            found = frozenset(self._found)
            targets = [target for slots in several for target in slots.more(found)]

    def _one(self, target: Target, io: SyncIO) -> None:
        # An id in a ledger is not trusted: the key's poll returns what to delete.
        record = InstanceRecord(None, target.key, state=State.REQUESTED)
        had_row = target.entry is not None and target.entry.has_row
        policy = dataclasses.replace(self._policy, row_wait=0.0 if had_row else self.wait)
        try:
            fact = self._settle(Calls(io, record), record, policy, target.entry)
        except Exception as error:
            self.left = True
            if io.stopped and record.id is None:
                return  # Nobody knows whether it exists: `interrupted` counts it.
            words = error.message if isinstance(error, HydraSmokeError) else repr(error)
            if io.stopped:
                words = "not confirmed as deleted, it may still run: interrupted"
            self.say(f"LEFT     {record.name}: {safe_line(words)}")
            fact = None
        if record.id is not None:
            self._found.add(target.key)
        if fact is Fact.ABSENT:
            self._absent.append(target.key)
        if fact is not None and target.entry is not None:
            self._record(target.folder, target.key, fact)
        self._pending.pop(target.key, None)

    def _settle(
        self, calls: Calls, record: InstanceRecord, policy: Policy, entry: Entry | None
    ) -> Fact | None:
        """Delete what a key names, or see that there is nothing; raises `LeakError`."""
        known_id = None if entry is None else entry.id
        try:
            drive(delete(calls, record, policy))
        except LeakError as error:
            if not isinstance(error.__cause__, NoRowError):
                raise
        if known_id is not None and plain_id(known_id) != plain_id(record.id or ""):
            drive(see_gone(calls, record, policy, known_id))
        if record.id is not None:
            self.say(f"deleted  {record.name}")
            return Fact.DELETED
        if entry is not None and entry.has_row:
            # Proved gone, by its status and its key, but not deleted by this sweep.
            self.say(f"gone     {known_id} {record.name}: the router does not know it (any more)")
            return Fact.DELETED
        wait = 0.0 if entry is None else self._still_to_wait(entry)
        if wait <= 0:
            return Fact.ABSENT
        self.left = True
        # Rounded up: a sweep that begins earlier would still be unsure.
        again = f"sweep again in {math.ceil(wait)} s"
        self.say(f"unsure   {record.name}: no row yet, one may come; {again}")
        return None

    def _say_absent(self, *, of_all: bool = False) -> None:
        """List the keys without a row; those `of_all` of a run have one line."""
        keys, self._absent = in_order(self._absent), []
        if of_all and self._run_id is not None:
            self.say(
                f"nothing of run {self._run_id} was found at {self.config.link.base_url}; "
                f"{len(keys)} keys looked up: {safe_line(spans(keys))}"
            )
            return
        for key in keys:
            self.say(f"nothing  {safe_line(f'(key {key})')}: the router has no row")

    def _still_to_wait(self, entry: Entry) -> float:
        """Return the seconds until a key without a row is known to never get one."""
        return self.config.row_settle - (datetime.now(UTC) - entry.at).total_seconds()

    def _record(self, folder: Path, key: str, fact: Fact) -> None:
        # Another sweep, or the run itself, may have removed the folder meanwhile.
        if not self.dry_run:
            with contextlib.suppress(OSError):
                ledgers.record_fact(folder, key, fact)


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0
