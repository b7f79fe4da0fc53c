"""The exit code of a run; pure."""

from __future__ import annotations

import pytest


def code(
    before: int, *, failed: bool = False, broken: bool = False, signal: int | None = None
) -> int:
    """Return a run's exit code: what fails at its end adds to its tests, and hides none of them.

    `failed` is the run's report, `broken` the end of the session.
    """
    if signal is not None:
        return 128 + signal
    clean = before in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    return pytest.ExitCode.TESTS_FAILED if (failed or broken) and clean else before


def code_after(session: pytest.Session) -> int:
    """Return the exit code that pytest makes of tests that were not broken off."""
    if session.testsfailed:
        return pytest.ExitCode.TESTS_FAILED
    none = session.testscollected == 0
    return pytest.ExitCode.NO_TESTS_COLLECTED if none else pytest.ExitCode.OK


def code_of(error: BaseException) -> int:
    """Return the exit code that pytest makes of what has broken off the tests."""
    match error:
        case pytest.exit.Exception(returncode=int(asked)):
            return asked
        case KeyboardInterrupt() | pytest.exit.Exception():
            return pytest.ExitCode.INTERRUPTED
        case pytest.Session.Failed():
            return pytest.ExitCode.TESTS_FAILED
        case _:
            return pytest.ExitCode.INTERNAL_ERROR
