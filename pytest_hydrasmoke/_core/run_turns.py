"""The turns of a run on its instances, one at a time each: its processes tell each other of them.

An agent's rows come after its turn, and under xdist the last turn on a shared instance may be
another process's. So a turn's beginning is written before its message leaves, and each count. What
is known of an instance's turns is a fold of these entries (`settling`), in the order in which they
were appended; no word of a chat is in them. They are not fsynced: living processes see them anyway,
and a later run has no turn to wait for.

Points in time in them are the IO's, which is `time.monotonic()`: one clock for all processes of a
host, which never goes back.

The router does not lock a stream, and assumes one consumer. So concurrent turns are refused here,
whatever client of this process takes them. An instance is held by a turn, and only that turn frees
it: freeing is harmless wherever an interrupt came, and each step is one operation of a dict, which
nothing can split.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from pytest_hydrasmoke._api.models import plain_id
from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._base.errors import ChatBusyError, ConfigError
from pytest_hydrasmoke._journal.chat import Counted, TurnBegan, TurnOver
from pytest_hydrasmoke._journal.codec import encode
from pytest_hydrasmoke._journal.events import Entry
from pytest_hydrasmoke._journal.journal import Growing

from .settling import Lags, Settling, apply
from .stage import Stage
from .times import is_limit

SILENCES = 100
"""How many silences are kept, the last ones."""
_busy: dict[str, object] = {}
"""The turns under way, by their instances."""


def reserve(instance_id: str, turn: object) -> None:
    """Begin a turn on an instance; raises `ChatBusyError` while another one is under way."""
    if _busy.setdefault(plain_id(instance_id), turn) is not turn:
        raise busy()


def busy(where: str = "") -> ChatBusyError:
    """Return the error of a turn that would be a second one."""
    return ChatBusyError(
        f"a chat turn is under way on this instance already{where}",
        next_step="end that turn first, or chat on an instance of your own "
        "(smoke_instance_factory)",
    )


def is_under_way(instance_id: str, turn: object) -> bool:
    """Return whether this turn has begun on an instance, and has not ended."""
    return _busy.get(plain_id(instance_id)) is turn


def free(instance_id: str, turn: object) -> None:
    """Let the next turn begin; harmless if this one is not under way."""
    if is_under_way(instance_id, turn):
        del _busy[plain_id(instance_id)]


class RunTurns:
    """The turns of a run, as one of its processes knows them; without a `file`, of it alone."""

    def __init__(
        self,
        file: Path | None = None,
        process: str = "",
        *,
        clean: Callable[[str], str] = str,
        stage: Stage | None = None,
        lives: Callable[[str], bool] = lambda process: False,
    ) -> None:
        self._file = file
        self._appended = None if file is None else Growing(file)
        self.process = process
        """The name of this process."""
        self._clean = clean
        self.stage = stage or Stage()
        """Whose turns they are."""
        self._lives = lives
        self._known: dict[str, Settling] = {}
        self._lags: dict[str, Lags] = {}
        """What was seen of the rows of each spec."""
        self._lock = threading.Lock()
        self._silences = deque[float](maxlen=SILENCES)
        """The silences before cut streams: on all instances, which share their proxies."""

    def on(self, name: str) -> Settling:
        """Return what is known of the turns on an instance, and what the run has measured."""
        self._read()
        turns = self._known.get(name, Settling())
        proved = [it.longest for it in [*self._lags.values()] if it.longest is not None]
        # How rows travel is the router's matter; whether an agent reports them, its spec's.
        lags = self._lags.get(turns.spec, Lags())._replace(longest=max(proved, default=None))
        return turns._replace(lags=lags)

    def begin(self, name: str, event: TurnBegan, at: float) -> None:
        """Write that a turn begins; raises `ConfigError` where that can't be written."""
        try:
            self._write(name, event, at)
        except OSError as error:
            raise ConfigError(
                f"{self._file} can't be written: {error}",
                next_step="other workers would take this turn's LLM events for theirs: give "
                "another --hydra-smoke-output",
            ) from None

    def note(self, name: str, event: TurnOver | Counted, at: float) -> None:
        """Write how a turn ended, or what was counted."""
        try:
            self._write(name, event, at)
        except OSError:
            # It only costs others a wait: they take the turn for one that was cut.
            self._apply(Entry(at, name, event))

    def check_free(self, name: str, now: float) -> None:
        """Take a turn under way of a process that has died for one that was cut.

        Raises `ChatBusyError` where that process lives: a test's thread, or a handle kept beyond
        its test, chats on an instance that another one holds.
        """
        turns = self.on(name)
        if turns.last is not None and turns.last.how == "under way":
            if self._lives(turns.last.by):
                raise busy(f", in worker {turns.last.by}")
            self.note(name, TurnOver(turns.number, "cut"), now)

    def cut_by_a_limit(self, silence: float) -> bool:
        """Record the silence before a stream was cut; return whether it looks like a time limit."""
        limited = is_limit(silence, tuple(self._silences))
        self._silences.append(silence)
        return limited

    def _write(self, name: str, event: TurnBegan | TurnOver | Counted, at: float) -> None:
        entry = Entry(at, name, event)
        if self._file is None:
            self._apply(entry)
        else:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.append(self._file, b"\n" + encode(entry, self._clean, replies=False))

    def _read(self) -> None:
        """Apply what was appended since the last time, by any process."""
        if self._appended is not None:
            with self._lock, contextlib.suppress(OSError):
                for entry in self._appended.new():
                    self._apply(entry)

    def _apply(self, entry: Entry) -> None:
        name, event = entry.of or "", entry.event
        turns = self._known.get(name, Settling())
        spec = event.spec if isinstance(event, TurnBegan) else turns.spec
        lags = self._lags.get(spec, Lags())
        self._known[name], self._lags[spec] = apply(turns, lags, entry.at, event)
