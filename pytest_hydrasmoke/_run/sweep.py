"""Delete what earlier runs left behind: the instances of keys in their ledgers, or of a run id.

A sweep that names a run declares it over, and asks for every key that its id could have: a ledger
and a report are of one attempt, and the id is of all attempts, perhaps on other machines. A sweep
without a run id skips live runs. Two concurrent sweeps do no harm: a second deletion changes
nothing.

Keys are taken from a ledger, and the ids that the key's own answers have named. Where to ask and
what an answer means is the sweep's own, and it sends the token only to the configured router.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._base.errors import ConfigError, HydraSmokeError
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._core.policy import KnownRouter, Policy
from pytest_hydrasmoke._journal.known_instance import KnownInstance
from pytest_hydrasmoke._settings.config import HydraSmokeConfig
from pytest_hydrasmoke._transport.blocking import SyncIO

from . import folder as run_folder
from . import ledger as ledgers
from . import locks
from .folder import LEDGER, OVER, folder_of
from .ledger_lines import LedgerReading
from .on_disk import at_risk
from .preflight import WaitingAloud, learn
from .swept_key import End, Rounds, SweptKey
from .swept_run import Slots, SweptRun, spans

ANSWER = 10.0
"""Least seconds to wait for an answer, however short the wait for rows: many are sent at once."""
USED = (
    *("url", "token", "token_file", "allow_http", "trust_env"),
    *("ca_file", "client_cert", "client_key"),
    *("output", "row_settle", "delete_timeout", "gone_statuses", "max_instances"),
)
"""The settings that a sweep depends on: a problem with another one must not stop it."""
LEFT = "something may be left"
"""What is said where not everything is known to be gone."""
YOUNG = 60.0
"""Seconds for which a folder without a ledger may belong to a run that is just beginning."""


@dataclass(slots=True)
class Sweep:
    """One sweep; `say` is called with each line of output."""

    config: HydraSmokeConfig
    io: SyncIO
    wait: float
    dry_run: bool
    say: Callable[[str], None]
    wait_aloud: Callable[[str], None] = lambda line: None
    """Called with a line now and then, while the router can't be reached."""
    left: bool = False
    """Whether something is, or may be, left."""
    conclusion: str = f"{LEFT}: sweep again, or ask who runs the router"
    """What the sweep has found, in a sentence."""
    _policy: Policy = field(init=False)
    _rounds: Rounds = field(init=False)
    _later: int = 0
    """How many are deleted, and need one more look."""
    _nothing: list[str] = field(default_factory=list[str])
    """The keys in ledgers that have no row."""
    _run_id: str | None = None
    """The run that is swept alone."""

    def __post_init__(self) -> None:
        self._rounds = Rounds(self.io)

    def all_runs(self) -> None:
        """Sweep every run that is over; raises `ConfigError` where no run has left a folder."""
        runs = self.config.output / "runs"
        if files.is_blocked(runs):
            raise ConfigError(f"{runs} is a link, or not a folder: no run has left it")
        above = self._above("*")
        if run_folder.listed(self.config.output) is None:
            raise ConfigError(
                f"there is no ledger: {runs} does not exist",
                next_step="give the folder with --output, or name the run with --run-id"
                if above is None
                else f"{above} has one: give --output {above}",
            )
        if not self._knows_router():
            return
        found = run_folder.all_found(self.config.output)
        over = [folder for folder, flaw in found.items() if self._is_over(folder, flaw)]
        swept = [self._begin(folder) for folder in over]
        self._sweep(swept)
        self._discard(swept, whole=True)
        if above is not None:
            self.say(f"not read {above}: runs that were called there have left a ledger in it")
        number = f"{len(over)} run{'' if len(over) == 1 else 's'}"
        self._conclude(f"is left of {number} with a ledger in {runs}")

    def one_run(self, run_id: str) -> None:
        """Sweep one run, which is over from now on, whether it has a ledger here or not.

        Raises `ConfigError` where the folder in its place is not a run's.
        """
        self._run_id = run_id
        if not self._knows_router():
            return
        folder = folder_of(self.config.output, run_id)
        flaw = run_folder.flaw(folder)
        if flaw is not None:
            raise ConfigError(
                f"run {run_id} can't be swept here: {flaw}",
                next_step="fix that, or give another folder with --output",
            )
        has_ledger = (folder / LEDGER).exists()
        above = None if has_ledger else self._above(run_id)
        if above is not None:
            # It may know of a request whose row is still to come.
            self._leave(f"run {run_id}", f"its ledger is in {above}: sweep with --output {above}")
        if not self.dry_run:
            ledgers.mark_run_over(self.config.output, run_id)
        run = self._begin(folder)
        # What a ledger calls closed is asked for, too: another attempt may have left it.
        asked = [str(known.key) for known in run.reading.open]
        run.slots = slots = Slots(run_id, asked, self.config.max_instances)
        self._sweep([run])
        # The run may be about to begin, and must find the mark of its end.
        self._discard([run], whole=False)
        found = bool(self._rounds.found)
        row = f"no {'other ' if found else ''}row under {slots.words}"
        but = f"but for the keys in {folder / LEDGER}"
        where = but if has_ledger else f"without a ledger in {folder}"
        of_nothing = f"{row}; {where}, a row that is still to come is not seen"
        self._conclude(f"was found of run {run_id}: {of_nothing}", some=found)

    def _conclude(self, of_nothing: str, *, some: bool = False) -> None:
        if self.dry_run:
            self.conclusion = f"{f'{LEFT}; ' if self.left else ''}this was a dry run"
        elif not self.left:
            again = f"{self._later} to be swept again; " if self._later else ""
            else_ = "else " if some or self._later else ""
            self.conclusion = f"{again}nothing {else_}{of_nothing}"

    # Folders

    def _is_over(self, folder: Path, flaw: str | None) -> bool:
        if flaw is not None:
            what = f"{safe_line(flaw)}; it is left alone"
            # It may be a run's ledger: the folder was moved or linked, or its name is from before
            # names had rules.
            if run_folder.may_have_ledger(folder):
                self._leave(safe_line(folder.name), what)
            else:
                self.say(f"no run   {safe_line(folder.name)}: {what}")
            return False
        try:
            lives = locks.is_live(folder)
        except OSError as error:
            self._leave(f"run {folder.name}", f"cannot find out whether it is alive ({error})")
            return False
        if lives:
            self.say(f"live     run {folder.name}: skipped")
        elif not run_folder.has_entries(folder) and run_folder.age_of(folder) < YOUNG:
            # The mark of a run's end is kept, as the run may still begin.
            over = (folder / OVER).exists()
            what = "it was ended before, and has no ledger" if over else "it may be about to begin"
            self.say(f"{'over ' if over else 'young'}    run {folder.name}: {what}, skipped")
        else:
            return True
        return False

    def _above(self, run_id: str) -> str | None:
        """Return the folder further up that has a ledger, quoted as an argument of --output."""
        found = run_folder.with_ledger_above(self.config.output, run_id)
        return None if found is None else shlex.quote(Path(os.path.relpath(found)).as_posix())

    def _begin(self, folder: Path) -> SweptRun:
        """Begin to sweep a run."""
        try:
            reading = ledgers.read(folder)
        except OSError as error:
            reading = LedgerReading(
                problems=[f"the file can't be read ({error.strerror or error})"]
            )
        run = SweptRun(
            folder,
            reading,
            self.config.link.base_url,
            ended=reading.ended and not reading.problems,
            clean=scrubbing(self.config.token),
        )
        run.begin()
        for problem in reading.problems:
            self._leave(f"run {folder.name}", f"its ledger: {problem}")
        if reading.problems:
            self.say(
                "         its slots are asked for instead; once you know that nothing of it is "
                f"left, delete {folder}"
            )
            run.slots = Slots(run.run_id, reading.instances, self.config.max_instances)
        return run

    def _discard(self, runs: Sequence[SweptRun], *, whole: bool) -> None:
        """Remove what is not needed any longer of runs."""
        for run in runs:
            run.end()
            if not self.dry_run and run.reading.is_settled and not locks.is_live(run.folder):
                run_folder.discard(run.folder, whole=whole)

    # The router

    def _knows_router(self) -> bool:
        """Return whether a smoke router answers: no other server's answer proves anything."""
        try:
            with WaitingAloud(self.config.url, self.wait_aloud) as observer:
                absent = learn(self.config, observer=observer, io=self.io)
        except HydraSmokeError as error:
            self.left = True
            self.say(f"UNKNOWN  what is left: {self.config.url} does not show it: {error.message}")
            self.say(f"         {error.next_step or 'see hydra-smoke check'}")
            self._say_at_risk()
            return False
        self._policy = dataclasses.replace(
            self.config.policy,
            router=KnownRouter(absent),
            keep="never",
            last_look=ANSWER,
            row_wait=self.wait,
            patient=True,
        )
        return True

    def _say_at_risk(self) -> None:
        for line in at_risk(self.config.output, self._run_id, self.config.link.base_url):
            self.say(f"         at risk: {line}")

    def interrupted(self) -> None:
        """Say of what nothing is known, as the sweep was interrupted."""
        self.left = True
        pending = [it for it in self._rounds.pending if it.end is None]
        for it in pending:
            if it.found:
                self._leave(
                    it.instance.name, "not confirmed as deleted, it may still run: interrupted"
                )
        keys = [it.key for it in pending if not it.found]
        if keys:
            many = f"{len(keys)} {'key was' if len(keys) == 1 else 'keys were'}"
            what = f"{many} not asked to the end: {safe_line(spans(keys))}"
            self.say(f"UNKNOWN  interrupted: {what}")
        elif not pending:
            self.say("UNKNOWN  what is left: interrupted before every key was asked for")
        self._say_at_risk()

    def _leave(self, name: str, why: str) -> None:
        self.left = True
        self.say(f"LEFT     {name}: {why}")

    # The keys

    def _sweep(self, runs: Sequence[SweptRun]) -> None:
        """Ask for all keys of runs, until each of them has an end."""
        keys = [it for run in runs for it in self._known(run)]
        keys += self._further(runs)
        if self.dry_run:
            self._say_what_it_would_do(keys)
            keys = []  # The connections on which it has asked first are closed below.
        if any(it.waits for it in keys):
            self.say(f"asking for up to {self.wait:g} s for keys that have no row yet")
        rounds = self._rounds
        rounds.pending = keys
        with contextlib.closing(self.io):
            while rounds.pending:
                for ended in rounds.next():
                    self._end(ended)
                rounds.pending += self._further(runs)
        if self._nothing:
            self.say(f"nothing  {_listed(self._nothing)}")

    def _known(self, run: SweptRun) -> Iterator[SweptKey]:
        """Yield what a ledger knows, and that is this sweep's to delete."""
        for name, why in run.not_ours():
            self._leave(name, why)
        for known in run.ours:
            yield self._key(run, str(known.key), known)

    def _further(self, runs: Sequence[SweptRun]) -> Iterator[SweptKey]:
        """Yield what runs may have used beside, as far as the keys found by now let one think."""
        for run in runs:
            seen = {*run.reading.instances, *self._rounds.found}
            for key in () if run.slots is None else run.slots.more(seen):
                yield self._key(run, key)

    def _key(self, run: SweptRun, key: str, known: KnownInstance | None = None) -> SweptKey:
        return SweptKey(key, run, known, self._policy, self.config.row_settle)

    def _say_what_it_would_do(self, keys: Sequence[SweptKey]) -> None:
        where = f"at {self.config.link.base_url}"
        for it in keys:
            if it.known is not None and not it.settled:
                self.left = True
                name = f"{it.known.id or 'id not known'} (key {it.key})"
                self.say(f"would delete {name} {where}{it.remark}")
        if asked := [it.key for it in keys if it.settled]:
            self.say(f"would ask for {_listed(asked)} {where}")

    def _end(self, it: SweptKey) -> None:
        assert it.end is not None
        self._later += it.end in (End.BOOTING, End.UNDER_WAY)
        if it.end.learned is None:
            self.left = True
        elif it.known is not None:
            boots = it.instance.booted is not None
            it.run.learned(it.key, it.end.learned, it.instance.known_ids, boots=boots)
        # What the run itself has told, or nobody has asked for, needs no line.
        quiet = it.known is None or (it.run.ended and it.settled)
        if it.end is End.NOTHING:
            self._nothing += [] if quiet else [it.key]
        elif not quiet or it.end is not End.GONE:
            self.say(it.line)


def _listed(keys: Sequence[str]) -> str:
    return f"{f'{len(keys)} keys: ' if len(keys) > 1 else ''}{safe_line(spans(keys))}"
