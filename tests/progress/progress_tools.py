"""Terminals for tests, and what is shown on them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator

AN_ID = "3f6c1b2e-8d47-4c0a-9a51-7e2b90d4c618"
SEQUENCE = re.compile(r"\x1b\[[0-9;]*m|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
"""Colours, titles and the terminal's progress, none of which moves the cursor."""


def timeless(text: str) -> str:
    """Take out of an output what is another one each time."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", AN_ID, text)
    text = re.sub(r"\b\d+ s left", "9 s left", text)
    text = re.sub(r"(: \w+) \d+ s,", r"\1,", text)
    text = re.sub(r"^=+ (.*) in \d.* =+$", r"== \1 ==", text, flags=re.MULTILINE)
    text = re.sub(r"\b\d+\.\d+( ?)s\b\*?", r"0.0\1s", text)
    # Whether a phase took long enough for a column is a matter of time as well.
    return re.sub(r"^\n?(?:instance|\d+ {8,}\w+) .*\n", "", text, flags=re.M)


def shown(written: str) -> list[str]:
    """Return the rows of a terminal, as wide as need be, on which this was written."""
    rows = SEQUENCE.sub("", written).replace("\r\n", "\n").split("\n")
    return [_overwritten(row) for row in rows]


def _overwritten(row: str) -> str:
    """Let what follows a carriage return take the place of what is before it."""
    assert "\x1b" not in row, "the cursor was moved"
    drawn = ""
    for part in row.split("\r"):
        drawn = part + drawn[len(part) :]
    return drawn.rstrip()


@contextlib.contextmanager
def pseudo_terminal(width: int = 80) -> Iterator[tuple[int, int]]:
    """Open one; gives the user's end of it, and the other one, which is the caller's to close."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def rest_of(ours: int) -> str:
    """Read until nobody writes to a terminal, or a pipe, any more."""
    said = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 65536):
            said += chunk
    return said.decode()


@contextlib.contextmanager
def on_terminal(width: int, *arguments: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Start pytest on a terminal, which its Ctrl-C comes from; gives the user's end of it."""
    with pseudo_terminal(width) as (ours, theirs):
        process = subprocess.Popen(
            (sys.executable, "-m", "pytest", *arguments),
            # Not what C libraries have in theirs, such as the COLUMNS of another terminal.
            env=dict(os.environ),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        try:
            yield ours, process
        finally:
            process.kill()
            process.wait()
