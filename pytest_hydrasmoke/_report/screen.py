"""Write lines to pytest's terminal at any time.

While a test runs, pytest's capturing redirects output, and only pytest's own thread may suspend
that. So a line is written to the terminal itself, by a descriptor opened beside pytest's, and
pytest's writer is then set to the start of a line.

A reader may stall, and a line is not worth waiting: one that can't be written at once is left out.
A line never flushes pytest's own buffer: that could block, with a lock held that no signal gets the
main thread out of.

Only this module uses pytest's private names: `_file` and `_current_line` of its `TerminalWriter`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any, TextIO

import pytest

from pytest_hydrasmoke._base import files


def terminal_of(config: pytest.Config) -> Terminal | None:
    """Return the terminal; None where another plugin owns it, or under `-qq`."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if type(reporter) is not pytest.TerminalReporter or reporter.verbosity < -1:
        return None
    return Terminal(reporter, config.get_terminal_writer())


class Terminal:
    """The output of pytest's reporter, through its `TerminalWriter`; for one thread at a time.

    Created while nothing is captured.
    """

    def __init__(self, reporter: pytest.TerminalReporter, writer: Any) -> None:
        self._reporter = reporter
        self._writer = writer
        file: TextIO = writer._file
        self._encoding = getattr(file, "encoding", None) or "utf-8"
        self._descriptor = _beside(file)

    def write_line(self, text: str) -> None:
        """Write a line below what pytest has begun; leave it out if that would block."""
        start = "\n" if self._writer.width_of_current_line else ""
        line = f"{start}{text}\n"
        if self._descriptor is None:
            # A stream in memory, which capturing does not affect.
            self._writer.write(line, flush=True)
        elif _write(self._descriptor, line.encode(self._encoding, "backslashreplace")):
            self._writer._current_line = ""
        else:
            return
        if self._reporter.showlongtestinfo:
            # Under -v the test's name precedes its outcome: pytest writes it again.
            self._reporter.currentfspath = None

    def flush(self) -> None:
        """Flush pytest's buffer: called only where pytest itself does so, as it may block."""
        self._writer.flush()

    def close(self) -> None:
        """Close the terminal; nothing may be written afterwards."""
        if self._descriptor is not None:
            os.close(self._descriptor)


def _beside(file: TextIO) -> int | None:
    """Return another descriptor of a stream's file, or None; non-blocking if the system allows.

    It needs its own open file description: `O_NONBLOCK` on this one would affect all that share it.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        descriptor = file.fileno()
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            with contextlib.suppress(OSError):
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
                return os.open(f"/dev/fd/{descriptor}", flags)
        return os.dup(descriptor)
    return None


def _write(descriptor: int, line: bytes) -> bool:
    """Write a line if that is possible at once; return whether it was."""
    with contextlib.suppress(OSError):
        if files.here.takes_output(descriptor) and not _stops_writers(descriptor):
            os.write(descriptor, line)
            return True
    return False


def _stops_writers(descriptor: int) -> bool:
    """Return whether a terminal stops a process that writes: it does so to a background job."""
    import termios  # Windows, where no run begins, can't import it.

    with contextlib.suppress(OSError, termios.error):  # It is no terminal, or has been closed.
        flags: int = termios.tcgetattr(descriptor)[3]
        return bool(flags & termios.TOSTOP) and os.tcgetpgrp(descriptor) != os.getpgrp()
    return False
