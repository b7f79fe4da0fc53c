"""What a command prints; where that can't be written, it does its work all the same."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable


class Output:
    """Standard output, by a function that prints a line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.lost = False
        """Whether lines are lost that somebody may miss."""

    def __call__(self, line: str) -> None:
        """Print a line, unless one before could not be printed."""
        try:
            self._say(line)
        except OSError as error:
            # What is left in it would be tried again when Python ends.
            sys.stdout = io.StringIO()
            # A reader that has gone, such as `head`, has seen enough.
            if not isinstance(error, BrokenPipeError):
                self.lost = True
                aside(f"standard output can't be written: {error.strerror}")


def aside(line: str) -> None:
    """Print a line where standard output is for something else."""
    sys.stderr.write(f"{line}\n")
