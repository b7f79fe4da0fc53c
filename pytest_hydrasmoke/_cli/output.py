"""A command's output; if it can't be written, the command still does its work."""

from __future__ import annotations

import io
import sys

from pytest_hydrasmoke._base.text import aside, printable


class Output:
    """Standard output, as a function that prints a line."""

    lost = False
    """Whether lines were lost that a reader may need."""

    def __call__(self, line: str) -> None:
        """Print a line, unless an earlier one could not be printed."""
        try:
            # In one call: several threads print.
            sys.stdout.write(printable(f"{line}\n", sys.stdout))
            sys.stdout.flush()
        except OSError as error:
            # Python would try to flush the rest at exit.
            sys.stdout = io.StringIO()
            # A reader that has closed the pipe, such as `head`, has seen enough.
            if not isinstance(error, BrokenPipeError):
                self.lost = True
                aside(f"standard output can't be written: {error.strerror}")


def replace_closed() -> None:
    """Replace standard streams that were closed (`2>&-`): Python has None in their place."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, io.StringIO())


def flush() -> None:
    """Write what is left of a line in which the command was interrupted.

    Python would do so at exit, and change the exit code where that fails.
    """
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except OSError:
            setattr(sys, name, io.StringIO())
