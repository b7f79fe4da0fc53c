"""Tests some of which kill their worker, wherever they then are: set-up, chat, or the end.

`DOOMED` gives their numbers, and the seconds after which each does so.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest

from pytest_hydrasmoke import SmokeInstance

DOOMED: dict[str, float] = json.loads(os.environ.get("DOOMED", "{}"))
TESTS = int(os.environ.get("TESTS", "8"))


@pytest.fixture
def doom(number: int) -> None:
    after = DOOMED.get(str(number))
    if after is not None:
        threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()


@pytest.mark.parametrize("number", range(TESTS))
def test_turn(doom: None, smoke_instance: SmokeInstance, number: int) -> None:
    smoke_instance.chat(str(number)).expect_llm_events()
    if str(number) in DOOMED:
        time.sleep(600)
