"""What pytest writes to, as far as it is shared with it: lines of one's own, or one in place.

Whatever is shown here goes to the terminal itself, by a descriptor of its own: while a test runs,
pytest has its output somewhere else. And whoever else writes there through Python, pytest or,
under `-s`, a test, goes by `write` of a stream, which is looked over here: the line in place is
gone before it, and what it leaves is known to the column, so that nothing is ever written into the
middle of somebody else's line.

A reader may stall, and what is shown here is no reason to wait for him: what can't be written at
once is left out. A buffer of Python's is flushed by whoever wrote to it, and never from here, where
it could block with a lock held that no signal gets the main thread out of.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import stat
import sys
import threading
import unicodedata
from collections.abc import Callable, Generator
from typing import Protocol, TextIO

_COLOURS = re.compile(r"\x1b\[[0-9;]*[mK]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
"""Sequences that move no cursor: colours, erasing to a line's end, titles and progress."""
_ROOM = 3
"""Columns left free: a terminal shows Ctrl-C as `^C`."""
_WIDTH = 80
"""Columns of a terminal that does not tell how many it has."""
_BUSY = 0.1
"""Seconds to wait for another thread that writes; one that is held up keeps nobody."""


def width_of(text: str) -> int:
    """Return the columns that a text of one line takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, width: int) -> str:
    """Cut a text to a number of columns; one that is cut ends in dots."""
    if width_of(text) <= width:
        return text
    room = max(width - 3, 0)
    while width_of(text) > room:
        text = text[:-1]
    return (text + "...")[: max(width, 0)]


class Column:
    """Where the cursor is, as far as that can be told by what was written."""

    def __init__(self) -> None:
        self.at: int | None = 0
        """Columns from the left; more than the terminal has once a line was broken by it."""

    def feed(self, text: str) -> None:
        """Take in what is written."""
        start = max(text.rfind("\n"), text.rfind("\r")) + 1
        if start:
            self.at = 0
        rest = _COLOURS.sub("", text[start:])
        if not rest or self.at is None:
            return
        self.at = self.at + width_of(rest) if rest.isprintable() else None


class _Stream:
    """A stream whose `write` is looked over."""

    def __init__(self, file: TextIO, over: Callable[[_Stream, str], int]) -> None:
        self.file = file
        self.write = file.write
        self._there: os.stat_result | None = None
        with contextlib.suppress(OSError, ValueError):
            self._there = os.fstat(file.fileno())
        self._over: Callable[[str], int] = lambda text: over(self, text)
        vars(file)["write"] = self._over

    @property
    def is_there(self) -> bool:
        """Whether it reaches the terminal now: pytest puts something else in its place."""
        if self._there is None:
            return True
        try:
            return os.path.samestat(os.fstat(self.file.fileno()), self._there)
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        if vars(self.file).get("write") is self._over:
            del vars(self.file)["write"]


class Writer(Protocol):
    """What is used of pytest's `TerminalWriter`."""

    @property
    def width_of_current_line(self) -> int:
        """Columns."""
        ...

    def write(self, msg: str, /) -> None:
        """Write to the stream of the run's terminal."""
        ...


class Screen:
    """The terminal of a run; raises TypeError where its stream can't be looked over.

    `writer` writes to `file`. Everything may be called from any thread.
    """

    def __init__(self, writer: Writer, file: TextIO) -> None:
        self._writer = writer
        self._lock = threading.RLock()
        self._column = Column()
        self._column.at = writer.width_of_current_line
        self._drawn: tuple[str, int] | None = None
        """What stands in place, and how wide the terminal was then."""
        self._own = self._over = False
        self._pid = os.getpid()
        self._out = _Stream(file, self._looked_over)
        with contextlib.suppress(OSError, ValueError):
            file.flush()
        self._streams = [self._out]
        self._fd = _copy(file)
        moves = os.name == "posix" and os.environ.get("TERM") not in (None, "", "dumb")
        self.in_place = self._fd is not None and file.isatty() and moves
        """Whether a line can be redrawn here."""
        if self.in_place and sys.stderr is not file and sys.stderr.isatty():
            self._streams.append(_Stream(sys.stderr, self._looked_over))

    def _looked_over(self, stream: _Stream, text: str) -> int:
        if os.getpid() != self._pid:
            return stream.write(text)  # A forked child's copy of the lock may be held for ever.
        with self._lock:
            if self._own:
                self._put(text)
                return len(text)
            if not stream.is_there:
                return stream.write(text)
            self.erase()
            self._column.feed(text)
            written = stream.write(text)
            stream.file.flush()
            return written

    def line(self, text: str) -> None:
        """Write a line of its own."""
        with self._turn() as mine:
            if not mine or self._over or not self._takes():
                return
            self.erase()
            start = "" if self._column.at == 0 else "\n"
            # By way of pytest's writer, which has to know where its line begins.
            self._own = True
            try:
                self._writer.write(f"{start}{text}\n")
            finally:
                self._own = False
            self._column.feed("\n")

    def draw(self, text: str) -> None:
        """Put a text in place of what was drawn before, on the row below what others wrote."""
        with self._turn() as mine:
            if not mine or self._over or self._fd is None:
                return
            at, width = self._column.at, os.get_terminal_size(self._fd).columns or _WIDTH
            text = fit(text, width - _ROOM)
            if at is None or (at and at % width == 0) or (text, width) == self._drawn:
                return
            if not self._takes():
                return
            start = "\r\x1b[2K" if self._drawn else "\r\n" if at else ""
            self._drawn = (text, width)
            self._put(start + text)

    def erase(self) -> None:
        """Take away what was drawn, and the cursor back to where it was."""
        with self._turn() as mine:
            if not mine or self._drawn is None or not self._takes():
                return
            (_, width), self._drawn = self._drawn, None
            at = self._column.at
            self._put("\r\x1b[2K" + (f"\x1b[A\x1b[{at % width + 1}G" if at else ""))

    def close(self) -> None:
        """Leave the terminal to others; nothing is written afterwards. Harmless if done before."""
        with self._lock:
            self.erase()
            self._over = True
            while self._streams:
                self._streams.pop().close()
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    @contextlib.contextmanager
    def _turn(self) -> Generator[bool]:
        mine = self._lock.acquire(timeout=_BUSY)
        try:
            yield mine
        finally:
            if mine:
                self._lock.release()

    def _takes(self) -> bool:
        """Return whether something can be written at once: nobody waits for a stopped terminal."""
        if self._fd is None or os.name != "posix":
            return True
        if _stops_writers(self._fd):
            return False
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return any(event & select.POLLOUT for _, event in poll.poll(0))

    def _put(self, text: str) -> None:
        try:
            if self._fd is None:
                self._out.write(text)
                self._out.file.flush()
                return
            rest = text.encode(self._out.file.encoding, "backslashreplace")
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except BlockingIOError:
            pass  # It takes no more now, and the next line comes.
        except (OSError, ValueError):
            self._over = True  # It is gone.


def _stops_writers(descriptor: int) -> bool:
    """Return whether a terminal stops the process that writes: one of a job in the background."""
    import termios  # Not on every system, and not needed there.

    try:
        flags: int = termios.tcgetattr(descriptor)[3]
        return bool(flags & termios.TOSTOP) and os.tcgetpgrp(descriptor) != os.getpgrp()
    except (OSError, termios.error):
        return False  # It is no terminal, or nobody's any more.


def _copy(file: TextIO) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return _own(file.fileno())
    return None


def _own(descriptor: int) -> int:
    """Return another descriptor of the same; where the system lets one, it never blocks.

    That is so by a description of its own: to unblock this one would unblock whoever shares it.
    """
    mode = os.fstat(descriptor).st_mode
    if os.name == "posix" and (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
            return os.open(f"/proc/self/fd/{descriptor}", flags)
    return os.dup(descriptor)
