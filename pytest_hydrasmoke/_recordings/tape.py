"""What has become of a run's turns, told by its processes while it lasts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pytest_hydrasmoke._base.files import append


class Tape:
    """A line for each owner whose turns are over: the turns, or why they are not recorded.

    It is in the run's folder, as a worker may be killed. What finds no room there, or is of a
    worker on another host (which has no `file`), is kept, and sent when the worker ends.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.kept: list[dict[str, str]] = []

    def add(self, **line: str) -> None:
        if self.file is not None:
            with suppress(OSError):
                # Begins with a newline: the line before may have been cut short on a full disk.
                append(self.file, b"\n" + json.dumps(line).encode() + b"\n")
                return
        self.kept.append(line)

    def lines(self) -> Iterator[dict[str, str]]:
        if self.file is not None:
            with suppress(OSError), self.file.open("rb") as lines:
                for line in lines:
                    with suppress(ValueError):  # It is empty, or was cut short.
                        yield json.loads(line)
        yield from self.kept

    def discard(self) -> None:
        """Remove the file."""
        if self.file is not None:
            with suppress(OSError):
                self.file.unlink()
