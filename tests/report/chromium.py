"""A real browser without a window, driven over a pipe; it reaches no host.

Chromium speaks its DevTools protocol in JSON messages that end in a zero byte: what it is told
goes to its descriptor 3, what it says comes from 4.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PATIENCE = 60.0
"""Seconds of silence after which it hangs: on a machine that is not busy it needs one to start."""
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
_START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.closerange(5, 64)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Tab:
    """A browser with one page; `events` are what it told, each with its `method`."""

    def __init__(self) -> None:
        assert PROGRAM is not None
        self.events: list[dict[str, Any]] = []
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        # High numbers, so that 3 and 4 are free in the child.
        ends = [os.dup(it) for it in (theirs_in, theirs_out)]
        ends = [_above(it, 10) for it in ends]
        data = f"--user-data-dir={self._folder.name}"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, *map(str, ends), PROGRAM, *_FLAGS, data],
            pass_fds=ends,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for it in (theirs_in, theirs_out, *ends):
            os.close(it)
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        attached = self.tell("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for room in ("Page", "Network", "Log", "Runtime"):
            self.tell(f"{room}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._from)
        os.close(self._to)
        self._folder.cleanup()

    def tell(self, method: str, **parameters: object) -> dict[str, Any]:
        """Return a command, and wait for its result."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, path: Path, *, width: int, height: int = 900, dark: bool = False) -> None:
        """Open a file, and wait until it is loaded."""
        self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.media("screen", dark=dark)
        self.visit(path.as_uri())

    def opening(self, path: Path, times: int = 9) -> str:
        """Open a file so often, and say how long it took."""
        took: list[float] = []
        for _ in range(times):
            self.open(path, width=1280)
            end = self.value("performance.getEntriesByType('navigation')[0].loadEventEnd")
            took.append(float(end) / 1000)
        return f"open after median {median(took):.2f} s, slowest {max(took):.2f} s of {times}"

    def visit(self, address: str) -> None:
        """Go somewhere, and wait until it is loaded."""
        self.events.clear()
        self.tell("Page.navigate", url=address)
        while not any(it["method"] == "Page.loadEventFired" for it in self.events):
            self.events.append(self._next())

    def media(self, kind: str, *, dark: bool = False) -> None:
        """Show the page as on a screen or on paper."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", media=kind, features=[scheme])

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page, None if it has none or fails."""
        answer = self.tell(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        return None if "exceptionDetails" in answer else answer["result"].get("value")

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write a PNG of what is seen, or of the whole page."""
        data = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(data["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._from], [], [], PATIENCE)[0], "the browser says nothing"
            chunk = os.read(self._from, 1 << 16)
            assert chunk, "the browser has ended"
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        read: dict[str, Any] = json.loads(message)
        return read


def _above(descriptor: int, least: int) -> int:
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD, least)
    os.close(descriptor)
    return high
