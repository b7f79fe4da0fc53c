"""Where the figures come from: machine, load and versions."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata

MEASURED = (
    "pytest",
    "anyio",
    "httpx",
    "httpcore",
    "pydantic",
    "starlette",
    "uvicorn",
    "httpx-sse",
    "httpx2",
    "sseclient-py",
    "openai",
    "anthropic",
    "respx",
    "pytest-asyncio",
    "pytest-playwright",
    "pytest-httpserver",
    "schemathesis",
    "fastapi",
)


def version(name: str) -> str | None:
    """Return an installed distribution's version."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def machine() -> str:
    """Say in one line on what, when and under which load this runs."""
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"{datetime.now(UTC):%Y-%m-%d}, load {load:.1f} at the end"
    )


def missing() -> list[str]:
    """Name what is not installed, and so not compared."""
    return [name for name in MEASURED if version(name) is None]


def versions() -> str:
    """Name what was compared, with its version."""
    found = [(name, version(name)) for name in MEASURED]
    return ", ".join(f"{name} {number}" for name, number in found if number is not None)
