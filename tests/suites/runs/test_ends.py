"""Runs that end more than themselves."""

from __future__ import annotations

import os

import pytest


@pytest.mark.hydra_smoke_runs(3, at_least=2)
def test_ends(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> None:
    kind = os.environ["ENDS_BY"]
    print("a run")
    if kind == "exit":
        pytest.exit("enough")
    if kind == "interrupt":
        raise KeyboardInterrupt
    if kind == "group":
        raise BaseExceptionGroup("several", [ValueError("one"), KeyboardInterrupt()])
    request.session.shouldstop = "told to"
    assert kind == "stop"


def test_next() -> None: ...
