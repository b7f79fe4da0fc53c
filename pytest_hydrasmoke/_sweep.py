"""Deletes what earlier runs left behind: the keys that their ledgers, or a run id, still own.

A sweep that names a run says that this run is over, and asks for each of its slots, with a ledger
or without one, since a key may have been sent whose row a worker is yet to insert. A sweep that
names none passes live runs by. Two sweeps at once do no harm: a second deletion is none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from . import _ledger, _lifecycle, _run_folder
from ._address import Link, url_problem
from ._calls import Calls
from ._errors import ConfigError, HydraSmokeError
from ._fanout import fan_out
from ._io import SyncIO
from ._ledger import Entry, Fact, Reading
from ._redact import safe_line
from ._report import Report
from ._run_folder import LEDGER, folder_of
from ._settings import HydraSmokeConfig
from ._signals import Interrupts
from ._timeline import InstanceRecord, State
from ._wire import drive

_NOTHING_LEFT = frozenset({"deleted", "absent", "attached"})
"""Outcomes of instances that cost nothing any more, or are not the run's."""
YOUNG = 60.0
"""Seconds for which a folder without a ledger may be a run's that is just beginning."""


@dataclass(frozen=True, slots=True)
class Target:
    """One key to ask for, and the folder whose ledger is told what became of it."""

    key: str
    link: Link
    gone: frozenset[str]
    folder: Path
    in_ledger: bool
    id: str | None = None
    has_row: bool = False
    """Whether the router had a row for it: else the key is asked for first."""


@dataclass(slots=True)
class Sweep:
    """One sweep; `say` is given a line for each thing to be said."""

    config: HydraSmokeConfig
    wait: float
    dry_run: bool
    say: Callable[[str], None]
    left: bool = False
    """Whether something is, or may be, left."""

    def all_runs(self) -> None:
        """Sweep every run that is over; raises `ConfigError` where no run has left a folder."""
        runs = self.config.output / "runs"
        if _run_folder.is_blocked(runs):
            raise ConfigError(f"{runs} is a link, or no folder: no run has left it")
        if not runs.is_dir():
            raise ConfigError(
                f"there is no ledger: {runs} does not exist",
                next_step="give the folder with --output, or name the run with --run-id",
            )
        self.say(f"reading {runs}")
        over: list[Path] = []
        for folder, flaw in _run_folder.all_found(self.config.output).items():
            if flaw is not None:
                self._pass_by(folder, flaw)
            elif self._lives(folder):
                continue
            elif not (folder / LEDGER).exists() and _age(folder) < YOUNG:
                self.say(f"young    run {folder.name}: may be about to begin, passed by")
            else:
                over.append(folder)
        self._sweep([target for folder in over for target in self._of_ledger(folder)])
        self._discard(over)

    def _lives(self, folder: Path) -> bool:
        try:
            lives = _ledger.is_live(folder)
        except OSError as error:
            self.left = True
            self.say(f"LEFT     run {folder.name}: whether it lives can't be told ({error})")
            return True
        if lives:
            self.say(f"live     run {folder.name}: passed by")
        return lives

    def _pass_by(self, folder: Path, flaw: str) -> None:
        # What looks like a ledger may be one: of a run that was moved, or linked, or named before
        # names had rules.
        unread = os.path.lexists(folder / LEDGER)
        self.left = self.left or unread
        word = "LEFT    " if unread else "no run  "
        self.say(f"{word} {safe_line(folder.name)}: {safe_line(flaw)}; it is left alone")

    def one_run(self, run_id: str) -> None:
        """Sweep one run, which is over from now on, whether it has a ledger here or not.

        Raises `ConfigError` where what lies in its place is none of a run's.
        """
        folder = folder_of(self.config.output, run_id)
        self.say(f"reading {folder}")
        flaw = _run_folder.flaw(folder)
        if flaw is not None:
            raise ConfigError(
                f"run {run_id} can't be swept here: {flaw}",
                next_step="put that right, or give another folder with --output",
            )
        if self._has_said_its_end(run_id, folder):
            # All its keys are settled by its own word: what is asked for is asked for once.
            self.say(f"the run has said that nothing of it is left: {self._report}")
            self.wait = 0.0
        entries = self._read(folder).entries
        targets = [*self._of_ledger(folder), *self._other_slots(folder, run_id, entries)]
        if not self.dry_run:
            _ledger.bury(self.config.output, run_id)
        self._sweep(targets)
        if not self.dry_run:
            _ledger.discard_ledger_if_done(folder)

    @property
    def _report(self) -> Path:
        return self.config.output / "report.json"

    def _has_said_its_end(self, run_id: str, folder: Path) -> bool:
        """Tell whether the run itself ended here with nothing left, and no ledger of it is."""
        try:
            report = Report.model_validate_json(self._report.read_bytes())
        except (OSError, ValueError):
            return False
        ended = report.run_id == run_id and not (folder / LEDGER).exists()
        return ended and all(it.outcome in _NOTHING_LEFT for it in report.instances)

    def _of_ledger(self, folder: Path) -> Iterator[Target]:
        reading = self._read(folder)
        for problem in reading.problems:
            self.say(f"WARNING  {folder.name}: {problem}")
        for entry in reading.open:
            if entry.settings.get("fake") is True:
                self._note(folder, entry.key, Fact.ABSENT)
                self.say(f"fake     (key {entry.key}): it ended with its run")
                continue
            try:
                yield self._target(folder, entry)
            except ConfigError as error:
                self.left = True
                self.say(f"LEFT     (key {entry.key}): {error.message}")

    def _read(self, folder: Path) -> Reading:
        try:
            return _ledger.read(folder)
        except OSError as error:
            self.left = True
            self.say(f"LEFT     run {folder.name}: its ledger can't be read ({error})")
            return Reading()

    def _target(self, folder: Path, entry: Entry) -> Target:
        allow_http = entry.settings.get("allow_http") is True
        problem = url_problem(entry.url, allow_http=allow_http)
        if problem is not None:
            raise ConfigError(f"its router's URL in the ledger {problem}")
        ca_file = entry.settings.get("ca_file")
        link = Link(
            entry.url,
            self.config.token,
            Path(ca_file) if isinstance(ca_file, str) else self.config.ca_file,
            entry.settings.get("trust_env") is True or self.config.trust_env,
        )
        given: object = entry.settings.get("gone_statuses")
        words = cast("list[object]", given) if isinstance(given, list) else []
        gone = {str(word).lower() for word in words}
        both = self.config.gone_statuses | gone
        return Target(entry.key, link, both, folder, True, entry.id, entry.has_row)

    def _other_slots(
        self, folder: Path, run_id: str, entries: dict[str, Entry]
    ) -> Iterator[Target]:
        """Give the slots that the ledger does not name: they may be another machine's."""
        link = next((self._target(folder, entry).link for entry in entries.values()), None)
        limits = [entry.settings.get("max_instances") for entry in entries.values()]
        most = max([self.config.max_instances, *(most for most in limits if isinstance(most, int))])
        for slot in range(most):
            key = f"{run_id}-{slot}"
            if key not in entries:
                where = link or self.config.link
                yield Target(key, where, self.config.gone_statuses, folder, in_ledger=False)

    def _sweep(self, targets: list[Target]) -> None:
        if self.dry_run:
            for target in targets:
                doing = f"delete {target.id or 'id not known'}" if target.in_ledger else "ask for"
                self.say(f"would {doing} (key {target.key}) at {target.link.base_url}")
                self.left = self.left or target.in_ledger
            return
        if not all(target.has_row for target in targets):
            self.say(f"asking for up to {self.wait:g} s for keys that have no row yet")
        by_link: dict[Link, list[Target]] = {}
        for target in targets:
            by_link.setdefault(target.link, []).append(target)
        for link, group in by_link.items():
            # `_one` tells every failure of its own: none stops the others.
            fan_out(link, [self._work(target) for target in group], Interrupts())

    def _work(self, target: Target) -> Callable[[SyncIO], None]:
        return lambda io: self._one(io, target)

    def _one(self, io: SyncIO, target: Target) -> None:
        state = State.CREATED if target.has_row else State.REQUESTED
        record = InstanceRecord(None, target.key, id=target.id, state=state)
        policy = dataclasses.replace(
            self.config.policy, row_wait=self.wait, gone=target.gone, keep="never"
        )
        try:
            drive(_lifecycle.delete(Calls(io, record), record, policy))
        except Exception as error:
            self.left = True
            words = error.message if isinstance(error, HydraSmokeError) else repr(error)
            self.say(f"LEFT     {record.name}: {safe_line(words)}")
            return
        if record.state is State.ABSENT:
            self.say(f"nothing  {record.name}: the router has no row")
        else:
            self.say(f"deleted  {record.name}")
        if target.in_ledger:
            fact = Fact.ABSENT if record.state is State.ABSENT else Fact.CONFIRMED
            self._note(target.folder, target.key, fact)

    def _note(self, folder: Path, key: str, fact: Fact) -> None:
        # A folder that another sweep, or the run itself, has removed meanwhile needs no word.
        if not self.dry_run:
            with contextlib.suppress(OSError):
                _ledger.note(folder, key, fact)

    def _discard(self, folders: list[Path]) -> None:
        if not self.dry_run:
            for folder in folders:
                _ledger.discard_if_done(folder)


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0
