"""What is known of the turns on each instance: in memory, and in files for other processes.

Under xdist the last turn on a shared instance may be another process's. The process that uses the
instance holds it alone, and only it writes its file, `turns/<digest>.json` in the run's folder: of
one size however many chats there were, and replaced as a whole. What a process measured on its own
instances is in one more file, `turns/of-<pid>.json`. They are not fsynced: living processes see
them anyway, and a later run has no turn to wait for.

Points in time in it are the IO's, which is `time.monotonic()`: one clock for all processes of a
host, which never goes back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_hydrasmoke._base.errors import ConfigError, hide_own_frames

from . import settle
from .one_turn import busy
from .pauses import is_limit
from .settle import History, How, LastTurn, Measured

if TYPE_CHECKING:
    from .chat import OpenTurn

__tracebackhide__ = hide_own_frames

SILENCES = 100
"""How many silences are kept, the last ones."""
UNREADABLE = History(1, LastTurn("", 0, 0, 0.0, sure=False))
"""The state for a file that can't be read: a turn whose end is not known."""


class TurnLog:
    """The turns on one instance, as one process knows them."""

    def __init__(self, logs: TurnLogs | None = None, spec: str = "") -> None:
        self._logs = logs or TurnLogs()
        self._path: Path | None = None
        self._own = 0
        self.spec = spec
        self.history = History()
        self._logs.all.append(self)

    @property
    def test(self) -> str | None:
        """The running test; None outside of any."""
        return self._logs.test() or None

    @property
    def run(self) -> int | None:
        """The number of that test's run; None where it has only one, and outside its body."""
        return self._logs.run()

    @property
    def on_turn(self) -> Callable[[OpenTurn], None]:
        """Told of each turn before its message leaves."""
        return self._logs.on_turn

    def cut_by_a_limit(self, silence: float) -> bool:
        """Record the silence before a stream was cut; return whether it looks like a time limit."""
        before = self._logs.silences
        limited = is_limit(silence, tuple(before))
        before.append(silence)
        return limited

    def share(self, name: str) -> None:
        """Share it with the processes that take turns on the instance; `name` is the instance's."""
        digest = hashlib.sha256(f"{name} {self.spec}".encode()).hexdigest()
        self._path = self._logs.file(digest[:16])

    def refresh(self, now: float) -> None:
        """Read what other processes did; a turn under way of one that has died was cut.

        Raises `ChatBusyError` where that process lives: a test's thread, or a handle kept beyond
        its test, chats on an instance that another one holds.
        """
        self._load()
        last = self.history.last
        if last is not None and last.how == "under way" and self._logs.lives(last.by):
            raise busy(f", in worker {last.by}" if last.by else "")
        history = settle.over(self.history, "cut", now)
        self._put(replace(history, since=now) if history.since is None else history)

    def starts_at(self, now: float) -> None:
        """Set the run's start on an instance that was in use before."""
        self._put(replace(self.history, since=now))

    def begin(self, count: int | None, at: float, *, sure: bool = True) -> int:
        """Begin a turn before its message leaves, and return its number.

        `count` is what was counted before, None if nothing was; `sure` if that includes all events
        of earlier turns. Raises `ConfigError` where the file for other processes can't be written.
        """
        self._load()
        test, by = self._logs.test(), self._logs.process
        self.history = settle.begun(self.history, test, count, at, sure=sure, by=by)
        self._own = self.history.number
        try:
            self._save()
        except OSError as error:
            raise ConfigError(
                f"{self._path} can't be written: {error}",
                next_step="other workers would take this turn's LLM events for theirs: give "
                "another --hydra-smoke-output",
            ) from None
        return self._own

    def end(self, how: How, at: float, *, end_seen: bool = False) -> None:
        """End this process's last turn; `end_seen` if its stream had a terminal event."""
        if self.is_own(self._own):
            history = settle.over(self.history, how, at)
            self._put(replace(history, end_seen=history.end_seen or end_seen))

    def leaves_unknown(self) -> None:
        """Record that a replay does not know the last turn's events: that it shows none is no sign.

        Else three such turns would count as an agent without usage.
        """
        last = self.history.last
        if last is not None and self.is_own(self._own):
            self._put(replace(self.history, last=replace(last, sure=False)))

    def undo(self, before: History) -> None:
        """Forget this process's last turn: its message was not accepted."""
        self._put(before)

    def is_own(self, number: int) -> bool:
        """Return whether the turn with this number is the last one, and this process's."""
        self._load()
        return number == self._own == self.history.number

    def saw(self, asked: float, at: float, count: int, limit: float) -> None:
        """Record a count of events over the instance's whole life."""
        self._put(settle.seen(self.history, asked, at, count, self.known, limit))

    @property
    def known(self) -> Measured:
        """What applies to this instance, from all measurements of the run."""
        return self._logs.known(self.spec)

    def _load(self) -> None:
        if self._path is not None:
            found = _read(self._path)
            self.history = History() if found is None else found[1]

    def _put(self, history: History) -> None:
        if history != self.history:
            before, self.history = self.history, history
            if self._path is None and _told(before) != _told(history):
                self._logs.tell()
            with contextlib.suppress(OSError):
                # A failed write only costs others a wait: they take the turn for one that was cut.
                self._save()

    @property
    def path(self) -> Path | None:
        """The file that it shares with other processes; None if it is this process's alone."""
        return self._path

    def _save(self) -> None:
        if self._path is None:
            return
        _write(self._path, {"spec": self.spec, "history": asdict(self.history)})


class TurnLogs:
    """The turns of one process, and what other processes of the run have written of theirs."""

    def __init__(
        self,
        folder: Path | None = None,
        test: Callable[[], str] = lambda: "",
        on_turn: Callable[[OpenTurn], None] = lambda turn: None,
        run: Callable[[], int | None] = lambda: None,
        process: str = "",
        lives: Callable[[str], bool] = lambda process: False,
    ) -> None:
        self._folder = folder
        self.test = test
        """Returns the name of the running test."""
        self.on_turn = on_turn
        """Told of each turn before its message leaves: it may have it recorded."""
        self.run = run
        """Returns the number of the test body's current run."""
        self.process = process
        """The name of this process."""
        self.lives = lives
        """Returns whether another process of the run lives."""
        self.all: list[TurnLog] = []
        self.silences = deque[float](maxlen=SILENCES)
        """The silences before cut streams: on all instances, which share their proxies."""

    def file(self, digest: str) -> Path | None:
        """Return the file of a shared instance; None where no other process shares it."""
        return None if self._folder is None else self._folder / f"{digest}.json"

    def known(self, spec: str) -> Measured:
        """Combine the measurements of this process and of others."""
        found = self._own() + self._others()
        return settle.measured(
            [history for _, history in found],
            [history for name, history in found if name == spec],
        )

    def tell(self) -> None:
        """Write for other processes what was measured on this one's own instances."""
        if self._folder is not None:
            told = [[spec, history.longest, history.watched] for spec, history in self._own()]
            with contextlib.suppress(OSError):  # It only costs others a wait.
                _write(self._folder / self._name, {"own": told})

    @property
    def _name(self) -> str:
        return f"of-{os.getpid()}.json"

    def _own(self) -> list[tuple[str, History]]:
        logs = [log for log in self.all if log.path is None or self._folder is None]
        return [(log.spec, log.history) for log in logs]

    def _others(self) -> list[tuple[str, History]]:
        files = () if self._folder is None else tuple(self._folder.glob("*.json"))
        found: list[tuple[str, History]] = []
        for path in files:
            if path.name != self._name:
                found += _measured_in(path) if path.name.startswith("of-") else _shared(path)
        return found


def _told(history: History) -> tuple[float | None, int]:
    """Return what other instances' accounts need to know of one."""
    return history.longest, history.watched


def _write(path: Path, plain: object) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    other = path.with_suffix(f".{os.getpid()}.tmp")
    other.write_text(json.dumps(plain), "utf-8")
    other.replace(path)


def _measured_in(path: Path) -> list[tuple[str, History]]:
    """Return what another process measured on its own instances; nothing if it can't be read."""
    try:
        plain: Any = json.loads(path.read_bytes())
        return [
            (str(spec), History(longest=longest, watched=int(watched)))
            for spec, longest, watched in plain["own"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _shared(path: Path) -> list[tuple[str, History]]:
    found = _read(path)
    return [] if found is None else [found]


def _read(path: Path) -> tuple[str, History] | None:
    try:
        plain: Any = json.loads(path.read_bytes())
        history = History(**plain["history"])
        if history.last is not None:
            last: Any = history.last
            return plain["spec"], replace(history, last=LastTurn(**last))
        return plain["spec"], history
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return "", UNREADABLE
