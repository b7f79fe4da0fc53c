"""Fixtures of progress: signals that count for runs on terminals."""

from __future__ import annotations

from run_fixtures import signals_that_count

__all__ = ["signals_that_count"]
