"""What is known of the turns on each instance: in memory, and for what is shared in a file.

Under xdist the last turn on a shared instance may have been another process's. Whoever uses the
instance holds it alone, and is the only one to write its file, `turns/<digest>.json` in the run's
folder: of one size however many chats there were, and replaced as a whole. It is not forced onto
the disk: processes that live see it anyway, and who comes later has no turn to wait for.

Points in time in it are the IO's, which is `time.monotonic()`: one clock for all processes of a
host, which nobody can set back.
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
"""How many silences are remembered, the last ones."""
UNREADABLE = History(1, LastTurn("", 0, 0, 0.0, sure=False))
"""What a file stands for that can't be read: a turn that nobody has seen the end of."""


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
        """The test that is being run; None outside of any."""
        return self._logs.test() or None

    @property
    def run(self) -> int | None:
        """Which run of that test's body it is; None where it has one alone, and around its body."""
        return self._logs.run()

    def tape(self, message: str) -> Tape | None:
        """Begin to record a turn; None where nothing is recorded."""
        return self._logs.tape(self, message)

    def cut_by_a_limit(self, silence: float) -> bool:
        """Take in after what silence a stream broke off; tells whether that is as of a limit."""
        before = self._logs.silences
        limited = is_limit(silence, tuple(before))
        before.append(silence)
        return limited

    def share(self, name: str) -> None:
        """Share it with the processes that use the instance by turns; `name` is its own."""
        digest = hashlib.sha256(f"{name} {self.spec}".encode()).hexdigest()
        self._path = self._logs.file(digest[:16])

    def refresh(self, now: float) -> None:
        """Take in what other processes did; a turn under way is one whose process died in it."""
        self._load()
        self._put(settle.over(self.history, "cut", now))

    def begin(self, count: int | None, at: float) -> int:
        """Let a turn begin before its message leaves, and give its number.

        `count` is what was counted before, None if that is not sure. Raises `ConfigError` where
        other processes can't be told.
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

    def end(self, how: How, at: float, *, told: bool = False) -> None:
        """Let the turn that was begun last by this process be over; `told` by its own stream."""
        if self.is_own(self._own):
            history = settle.over(self.history, how, at)
            self._put(replace(history, end_told=history.end_told or told))

    def undo(self, before: History) -> None:
        """Forget the turn that was begun last: its message was not taken."""
        self._put(before)

    def is_own(self, number: int) -> bool:
        """Return whether the last turn on the instance is this process's, by its number."""
        self._load()
        return number == self._own == self.history.number

    def saw(self, asked: float, at: float, count: int, whole: float) -> None:
        """Take in that events were counted over the instance's whole life."""
        self._put(settle.seen(self.history, asked, at, count, self.known, whole))

    @property
    def known(self) -> Measured:
        """What goes for this instance, by all that the run has measured."""
        return self._logs.known(self.spec)

    def _load(self) -> None:
        if self._path is not None:
            found = _read(self._path)
            self.history = History() if found is None else found[1]

    def _put(self, history: History) -> None:
        if history != self.history:
            self.history = history
            with contextlib.suppress(OSError):
                # What is not written costs others a wait: they take the turn for one that was cut.
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
    """The turns of one process, and what others of the run have written down of theirs."""

    def __init__(
        self,
        folder: Path | None = None,
        test: Callable[[], str] = lambda: "",
        tape: Callable[[TurnLog, str], Tape | None] = lambda log, message: None,
        run: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._folder = folder
        self.test = test
        """Names the test that runs."""
        self.tape = tape
        """Begins to record a turn."""
        self.run = run
        """Numbers the run of the test's body."""
        self.all: list[TurnLog] = []
        self.silences = deque[float](maxlen=SILENCES)
        """After how long ones streams broke off: on all instances, behind the same proxies."""

    def file(self, digest: str) -> Path | None:
        """Return the file of what is shared; None where nobody is there to share it with."""
        return None if self._folder is None else self._folder / f"{digest}.json"

    def known(self, spec: str) -> Measured:
        """Put together what was measured in this process and in others."""
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
