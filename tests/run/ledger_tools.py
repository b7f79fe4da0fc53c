"""Ledgers by themselves: begun, claimed from, refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from owner_tools import SPEC

from pytest_hydrasmoke import ConfigError
from pytest_hydrasmoke._journal.events import Claimed
from pytest_hydrasmoke._run.ledger import Ledger

URL = "https://router.example"
CLAIM = Claimed(SPEC, url=URL, share="shared")


def begun(output: Path, name: str = "main", run_id: str = "owner", *, fake: bool = False) -> Ledger:
    """Begin a process of a run."""
    ledger = Ledger(output, run_id, fake=fake)
    ledger.begin(name)
    return ledger


def claim(ledger: Ledger, number: int = 1, most: int = 4) -> list[str]:
    return ledger.claim(CLAIM, number, most)


def refusal(work: Callable[[], object]) -> str:
    """Return the whole message with which something is refused."""
    with pytest.raises(ConfigError) as caught:
        work()
    return str(caught.value)
