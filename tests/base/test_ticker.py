"""The thread that shows progress: it may be stopped at any moment."""

from __future__ import annotations

import threading

import pytest

from pytest_hydrasmoke._base.ticker import Ticker


def test_it_may_be_stopped_before_its_thread_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[int] = []
    ticker = Ticker(lambda: ticks.append(1))
    start = threading.Thread.start

    def start_late(thread: threading.Thread) -> None:
        ticker.stop()  # By the end of the run, while a test's thread begins to provision.
        start(thread)
        thread.join()

    monkeypatch.setattr(threading.Thread, "start", start_late)
    ticker.start(0.0)
    assert not ticks
