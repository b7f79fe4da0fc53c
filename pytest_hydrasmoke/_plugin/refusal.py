"""End a run before its first boot, if its collected tests can't be run together.

The refusal is raised where tests are collected: under xdist in every worker, and the main process
sets the exit code.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import pytest

from pytest_hydrasmoke._base.pytest_internals import worker_input, worker_output

Reason = Callable[[Sequence[pytest.Item]], str | None]
"""Returns why tests can't be run together, or None."""
_REFUSED = "hydra_smoke_refused"


class Refusal:
    """Ends a run for the first reason that applies."""

    def __init__(self, pytest_config: pytest.Config, reasons: Sequence[Reason]) -> None:
        self._pytest = pytest_config
        self._reasons = reasons
        self._refused = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        found = (reason(session.items) for reason in self._reasons)
        words = next((words for words in found if words is not None), None)
        if words is None:
            return
        if worker_input(self._pytest) is None:
            raise pytest.UsageError(words)
        # An error raised here would be an internal error of xdist, with all its frames.
        session.shouldfail = words
        session.items.clear()
        worker_output(self._pytest)[_REFUSED] = True

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Note that a worker has refused."""
        self._refused |= _REFUSED in worker_output(node)

    # Outside the wrapper that stores the run's exit code.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        if self._refused:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        return (yield)
