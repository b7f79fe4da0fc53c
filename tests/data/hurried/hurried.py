"""A plugin of pytest for runs in tests: what they wait for before they look again is short.

It loads nothing of the package: what a run has not loaded needs no hurry. PYTEST_DONT_REWRITE, or
a run in a process that has it would warn.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest

SOON = 0.02
WAITS = {
    "pytest_hydrasmoke._core.proof": (
        *("UNASKED", "UNDER_WAY", "KEPT_ROW", "NEXT_LOOK", "AFTER", "REFUSED_AFTER"),
    ),
    "pytest_hydrasmoke._core.settling": ("LEAST",),
    "pytest_hydrasmoke._core.counting": ("SECOND_LOOK",),
    "pytest_hydrasmoke._run.last_look": ("AFTER",),
}
"""Constants of modules: how long runs and sweeps wait before they look again."""


def _shortened(proof: Any) -> Any:
    """Return a proof whose answer needs to hold for a moment only."""
    waits = (name for name in ("accepted", "unasked", "sweep") if getattr(proof, name))
    return proof._replace(**dict.fromkeys(waits, SOON))


@contextmanager
def hurried() -> Iterator[None]:
    """Shorten what runs and sweeps wait for before they look again."""
    changes = [
        mock.patch.object(module, name, SOON)
        for path, names in WAITS.items()
        if (module := sys.modules.get(path)) is not None
        for name in names
    ]
    proof = sys.modules.get("pytest_hydrasmoke._core.proof")
    if proof is not None:
        # The table has taken the constants in already.
        table = {says: _shortened(one) for says, one in proof.PROOFS.items()}
        changes.append(mock.patch.object(proof, "PROOFS", table))
    for change in changes:
        change.start()
    try:
        yield
    finally:
        for change in changes:
            change.stop()


def main() -> int:
    """Run the command line in a hurry: `python -m hurried sweep`."""
    from pytest_hydrasmoke._cli.main import main as command
    from pytest_hydrasmoke._run import sweep  # noqa: F401 - else there is nothing to hurry yet.

    with hurried():
        return command()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Hurry until the run is over: its own hooks are the first at its end, and the last."""
    hurry = hurried()
    hurry.__enter__()
    session.config.add_cleanup(lambda: hurry.__exit__(None, None, None))


if __name__ == "__main__":
    sys.exit(main())
