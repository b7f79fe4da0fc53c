"""What xdist's workers tell their main process while they run: lines, in the run's folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_NAME = "live.log"


class Teller:
    """A worker's end; what can't be written is not told."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._path = folder / _NAME
        self._worker = worker

    def tell(self, line: str) -> None:
        """Append a line, in one write."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.write(descriptor, f"{self._worker}: {line}\n".encode())
            finally:
                os.close(descriptor)


class Listener:
    """The main process's end."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._at = 0

    def heard(self) -> list[str]:
        """Give the lines that are new, and whole."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                new = file.read()
        except OSError:
            return []
        whole = new[: new.rfind(b"\n") + 1]
        self._at += len(whole)
        return whole.decode("utf-8", "replace").splitlines()
