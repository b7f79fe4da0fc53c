"""Fail a test that has begun a call, or offered a stream, which did not end with the test."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator

import pytest

from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._core.open_calls import OpenCalls, unwatch, watch


class Unended(logging.Handler):
    """Asks at a test's end what it has left open, and at the last one's what fixtures have.

    A call that fails in a task has ended for nobody if nobody asks the task: asyncio logs that.
    """

    def __init__(self, owner: Callable[[], str | None]) -> None:
        super().__init__(logging.ERROR)
        self._calls = OpenCalls(owner)

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info and record.exc_info[1]
        if isinstance(error, HydraSmokeError):
            self._calls.begin(error, f"{type(error).__name__}, which nobody saw")

    def forget(self, test: str) -> None:
        """Ask nothing of what a test, or a run of its body, has not come to as it raised."""
        self._calls.take(test)

    def pytest_configure(self) -> None:
        watch(self._calls)
        logging.getLogger("asyncio").addHandler(self)

    def pytest_unconfigure(self) -> None:
        unwatch(self._calls)
        logging.getLogger("asyncio").removeHandler(self)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, object, object]:
        report = yield
        # `unittest` keeps what was raised until here.
        if call.excinfo is not None:
            self.forget(item.nodeid)
        return report

    # Around the teardown of fixtures: a loop that ends there cancels its tasks.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        result = yield
        names = self._calls.take(None if nextitem is None else item.nodeid)
        if names:
            pytest.fail(
                f"{', '.join(names)}: begun, and not ended with the test, so nothing was proved.\n"
                "Await each call and task, enter each stream (with, or async with), and give a "
                "call a timeout instead of cancelling it",
                pytrace=False,
            )
        return result
