"""Fixtures of runs, and of clients of every kind."""

from __future__ import annotations

from client_fixtures import anyio_backend, kind, no_waste
from run_fixtures import (
    fake,
    live,
    looks_at_once,
    no_settings_of_this_machine,
    output,
    signals_that_count,
)

__all__ = [
    "anyio_backend",
    "fake",
    "kind",
    "live",
    "looks_at_once",
    "no_settings_of_this_machine",
    "no_waste",
    "output",
    "signals_that_count",
]
