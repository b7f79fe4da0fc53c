"""Lines from xdist's workers to their main process during the run, in the run's folder."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pytest_hydrasmoke._base.files import append

PROGRESS_LOG = "live.log"


class RelayWriter:
    """A worker's end; a line that can't be written is dropped."""

    def __init__(self, folder: Path, worker: str) -> None:
        self._path = folder / PROGRESS_LOG
        self._worker = worker

    def append_line(self, line: str) -> None:
        """Append a line, in one write."""
        with contextlib.suppress(OSError):
            append(self._path, f"{self._worker}: {line}\n".encode())


class RelayReader:
    """The main process's end."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS_LOG
        self._at = 0

    def new_lines(self) -> list[str]:
        """Return the new lines that are complete."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                new = file.read()
        except OSError:
            return []
        whole = new[: new.rfind(b"\n") + 1]
        self._at += len(whole)
        return whole.decode("utf-8", "replace").splitlines()
