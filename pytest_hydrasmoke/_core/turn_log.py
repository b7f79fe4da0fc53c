"""What is known of the turns on each instance: in memory, and in a file for shared ones.

Under xdist the last turn on a shared instance may be another process's. The process that uses the
instance holds it alone, and only it writes its file, `turns/<digest>.json` in the run's folder: of
one size however many chats there were, and replaced as a whole. It is not fsynced: living processes
see it anyway, and a later run has no turn to wait for.

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
from typing import Any

from pytest_hydrasmoke._base import platform
from pytest_hydrasmoke._base.errors import ConfigError, hide_own_frames

from . import settle
from .pauses import is_limit
from .settle import History, How, LastTurn, Measured
from .tape import Tape

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

    def tape(self, message: str) -> Tape | None:
        """Begin to record a turn; None where nothing is recorded."""
        return self._logs.tape(self, message)

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
        """Read what other processes did; a turn under way is one whose process died during it."""
        self._load()
        self._put(settle.over(self.history, "cut", now))

    def begin(self, count: int | None, at: float) -> int:
        """Begin a turn before its message leaves, and return its number.

        `count` is what was counted before, None if that is not sure. Raises `ConfigError` where the
        file for other processes can't be written.
        """
        self._load()
        self.history = settle.begun(self.history, self._logs.test(), count, at)
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
            self.history = history
            with contextlib.suppress(OSError):
                # A failed write only costs others a wait: they take the turn for one that was cut.
                self._save()

    def _save(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        plain = {"spec": self.spec, "history": asdict(self.history)}
        other = self._path.with_suffix(f".{os.getpid()}.tmp")
        other.write_text(json.dumps(plain), "utf-8")
        path = self._path
        platform.here.patiently(lambda: other.replace(path))


class TurnLogs:
    """The turns of one process, and what other processes of the run have written of theirs."""

    def __init__(
        self,
        folder: Path | None = None,
        test: Callable[[], str] = lambda: "",
        tape: Callable[[TurnLog, str], Tape | None] = lambda log, message: None,
        run: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._folder = folder
        self.test = test
        """Returns the name of the running test."""
        self.tape = tape
        """Begins to record a turn."""
        self.run = run
        """Returns the number of the test body's current run."""
        self.all: list[TurnLog] = []
        self.silences = deque[float](maxlen=SILENCES)
        """The silences before cut streams: on all instances, which share their proxies."""

    def file(self, digest: str) -> Path | None:
        """Return the file of a shared instance; None where no other process shares it."""
        return None if self._folder is None else self._folder / f"{digest}.json"

    def known(self, spec: str) -> Measured:
        """Combine the measurements of this process and of others."""
        found = [(log.spec, log.history) for log in self.all] + self._others()
        return settle.measured(
            [history for _, history in found],
            [history for name, history in found if name == spec],
        )

    def _others(self) -> list[tuple[str, History]]:
        files = () if self._folder is None else tuple(self._folder.glob("*.json"))
        return [found for path in files if (found := _read(path)) is not None]


def _read(path: Path) -> tuple[str, History] | None:
    try:
        plain: Any = json.loads(platform.here.patiently(path.read_bytes))
        history = History(**plain["history"])
        if history.last is not None:
            last: Any = history.last
            return plain["spec"], replace(history, last=LastTurn(**last))
        return plain["spec"], history
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return "", UNREADABLE
