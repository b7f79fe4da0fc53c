"""Fixtures of clients of every kind."""

from __future__ import annotations

from client_fixtures import anyio_backend, kind, no_waste

__all__ = ["anyio_backend", "kind", "no_waste"]
