"""Terminals for tests: one to run pytest on, and one that shows what bytes look like."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from starlette.types import ASGIApp, Receive, Scope, Send

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke.fake import FakeRouter

TOKEN = "a-made-up-token-of-nobody"
AN_ID = "3f6c1b2e-8d47-4c0a-9a51-7e2b90d4c618"
GOLDEN = Path(__file__).parent.parent / "data" / "golden"
SEQUENCE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
FRAME = re.compile(r"hydra-smoke: [^\r\n\x1b]*(?=\r\x1b\[2K)")


def golden(name: str, output: str) -> None:
    """See that an output is the one in the file of this name, or make it so.

    That is what `HYDRA_GOLDEN_REFRESH=1 pytest tests/live` is for.
    """
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("HYDRA_GOLDEN_REFRESH"):
        path.write_text(output + "\n", "utf-8")
    there, now = path.read_text("utf-8").splitlines(), (output + "\n").splitlines()
    assert there == now, "\n".join(difflib.unified_diff(there, now, path.name, "now", lineterm=""))


def timeless(text: str) -> str:
    """Take out of an output what is another one each time."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", AN_ID, text)
    text = re.sub(r"\b\d+ s left", "9 s left", text)
    text = re.sub(r"(: \w+) \d+ s,", r"\1,", text)
    text = re.sub(r"after \d+ s\b", "after 9 s", text)
    text = re.sub(r"^=+ (.*) in \d.* =+$", r"== \1 ==", text, flags=re.MULTILINE)
    text = re.sub(r"\b\d+\.\d+ ?s\b\*?", "0.0s", text)
    # How wide a table's columns are is a matter of time as well, and how often there was a look.
    text = re.sub(r"^(?:slot|\d+) .*$", lambda row: " ".join(row[0].split()), text, flags=re.M)
    return re.sub(r"^(\d+ \d+ \d+) \d+ (\d+ \d+ \w+)$", r"\1 9 \2", text, flags=re.M)


class Picture:
    """What a terminal shows of what was written to it, without an end to its rows."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._rows: list[list[str]] = [[]]
        self._row = self._column = 0

    def show(self, text: str) -> list[str]:
        """Take in what is written; gives the rows."""
        at = 0
        while at < len(text):
            found = SEQUENCE.match(text, at)
            if found is None:
                self._char(text[at])
                at += 1
                continue
            at = found.end()
            self._move(found[2], found[1])
        return ["".join(row).rstrip() for row in self._rows]

    def _move(self, kind: str | None, number: str | None) -> None:
        if kind == "A":
            self._row -= int(number or 1)
            assert self._row >= 0
        elif kind == "G":
            self._column = int(number or 1) - 1
            assert self._column < self._width
        elif kind == "K" and number == "2":
            self._rows[self._row] = []
        else:
            assert kind in ("m", None), f"the sequence {kind}"

    def _char(self, char: str) -> None:
        if char == "\r":
            self._column = 0
        elif char == "\n":
            self._go_down()
        else:
            assert char.isprintable(), repr(char)
            if self._column == self._width:
                self._column = 0
                self._go_down()
            row = self._rows[self._row]
            row.extend(" " * (self._column + 1 - len(row)))
            row[self._column] = char
            self._column += 1

    def _go_down(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append([])


def pseudo_terminal(width: int) -> tuple[int, int]:
    """Open one; gives its two ends, the user's first."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    return ours, theirs


def rest_of(ours: int) -> str:
    """Read until nobody writes to a terminal any more."""
    said = b""
    with contextlib.suppress(OSError):
        while chunk := os.read(ours, 65536):
            said += chunk
    return said.decode()


class Writes:
    """Writes to a stream, as pytest's writer would."""

    width_of_current_line = 0

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, msg: str) -> None:
        self.file.write(msg)


class Tty(Writes):
    """A terminal in this process."""

    def __init__(self, width: int = 80) -> None:
        self._ours, theirs = pseudo_terminal(width)
        super().__init__(os.fdopen(theirs, "w", encoding="utf-8"))

    def all(self) -> str:
        """Give everything that was written, and close it."""
        self.file.close()
        said = rest_of(self._ours)
        os.close(self._ours)
        return said


def frames(said: str) -> list[str]:
    """Return the lines that stood in place, one after the other."""
    return FRAME.findall(said)


@contextlib.contextmanager
def watched(width: int, *arguments: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Start pytest on a terminal, which its Ctrl-C comes from; gives the user's end of it."""
    ours, theirs = pseudo_terminal(width)
    command = (sys.executable, "-m", "pytest", *arguments)
    process = subprocess.Popen(
        command,
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
        os.close(ours)


def on_terminal(width: int, *arguments: str) -> tuple[int, str]:
    """Run pytest on a terminal; gives the exit code and all that was written."""
    with watched(width, *arguments) as (ours, process):
        said = rest_of(ours)
        assert TOKEN not in said
        return process.wait(), said


def read_until(ours: int, what: Callable[[str], bool]) -> str:
    """Read until something is on the terminal."""
    said = ""
    while not what(said):
        chunk = os.read(ours, 65536)
        assert chunk, said
        said += chunk.decode()
    return said


class Asked:
    """Lets a second pass on a router's clock whenever a status is asked for."""

    def __init__(self, app: ASGIApp, clock: VirtualClock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and re.search(r"/instances/[0-9a-f-]{36}$", scope["path"]):
            self._clock.advance(1)
        await self._app(scope, receive, send)


def settings(router: FakeRouter) -> dict[str, str]:
    """Return the environment of a live run against a router."""
    names = {
        "url": router.url,
        "token": TOKEN,
        "manifest_id": "made-up",
        "region_id": "nowhere",
        "tier_id": "tier-1",
        "run_id": "run",
        "delete_timeout": "20",
    }
    return {f"HYDRA_SMOKE_{name.upper()}": value for name, value in names.items()}
