"""The run before its first test: that the router does not answer is told while it does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from plugin_tools import Project
from scripted_io import refused

from pytest_hydrasmoke._api.retry import Tried
from pytest_hydrasmoke._run import preflight
from pytest_hydrasmoke._run.preflight import WaitingAloud
from pytest_hydrasmoke._transport.protocol import Request
from pytest_hydrasmoke.fake import FakeRouter

URL = "https://router.example"


class Waiting:
    """A `WaitingAloud`, the time by which it goes, and what it told."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        self._now = 0.0
        patch.setattr(preflight, "now", lambda: self._now)
        self.aloud = WaitingAloud(URL, self.told.append)

    def at(self, now: float, failed: int = 0) -> list[str]:
        """Let so many attempts fail by then; return what is told at that moment."""
        self._now = now
        for number in range(1, failed + 1):
            attempt = Tried(Request("poll", "GET", "/"), number, now, 0.0, refused())
            self.aloud.saw_attempt(attempt)
        self.told.clear()
        self.aloud.tick()
        return self.told


def test_a_line_after_10_seconds_and_then_one_every_30_tells_the_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = Waiting(monkeypatch)
    assert waiting.at(9.9, failed=4) == []
    assert waiting.at(10, failed=2) == [f"reaching {URL}, 10 s, attempt 3"]
    for silent in (11, 39.5):
        assert waiting.at(silent, failed=3) == []
    assert waiting.at(41, failed=7) == [f"reaching {URL}, 41 s, attempt 8"]
    # Attempts may be counted by others, and an answer begins afresh.
    waiting.aloud.again()
    assert waiting.at(69) == []
    assert waiting.at(70) == [f"reaching {URL}, 70 s, attempt 9"]
    waiting.aloud.saw_answer("poll", None)
    assert waiting.at(101) == [f"reaching {URL}, 101 s, attempt 1"]


class AtOnce:
    """A ticker that ticks once, as it starts."""

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick

    def start(self, every: float) -> None:
        self._tick()

    def stop(self) -> None:
        pass


@pytest.mark.parametrize(("option", "lines"), [("-q", 1), ("-qq", 0)])
def test_a_run_tells_it_before_its_first_test(
    project: Project,
    router: FakeRouter,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    lines: int,
) -> None:
    monkeypatch.setattr(preflight, "Ticker", AtOnce)
    monkeypatch.setattr(preflight, "FIRST", 0.0)
    project.suite("plain").at(router).write("test_one.py", "def test_one(smoke_config): ...")
    result = project.live("test_one.py", option)
    told = f"hydra-smoke: reaching {router.url}, 0 s, attempt 1"
    assert result.stderr.lines.count(told) == lines
    assert result.ret == 0
