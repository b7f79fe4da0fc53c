"""What the tests of recording share: which files there are, and what a summary says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plugin_tools import Project

RECORD = ("--hydra-smoke-record", "recordings")
WIDE = """
    import pytest

    @pytest.fixture(scope="session")
    def wide(smoke_instance_factory):
        instance = smoke_instance_factory()
        instance.chat("In a fixture")
        yield instance
        instance.chat("At its end")
"""
"""A fixture of a session, which chats at its beginning and at its end."""
ELSEWHERE = """
import os
from pytest_hydrasmoke._run import locks

if "PYTEST_XDIST_WORKER" in os.environ:
    locks.has_main_process = lambda output, run_id: False
"""
"""A plugin with which xdist's workers are as on another host: they see no main process."""


def recorded(project: Project) -> dict[str, list[dict[str, Any]]]:
    """Return the turns of each owner."""
    files = [json.loads(text) for name, text in texts(project).items() if name.endswith(".json")]
    return {it["of"]: it["turns"] for it in files if "of" in it}


def texts(project: Project) -> dict[str, bytes]:
    folder = project.path / "recordings"
    return {
        it.relative_to(folder).as_posix(): it.read_bytes() for it in sorted(folder.rglob("*.*"))
    }


def asked(turns: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (it["run"], it["instance"], it["message"], it.get("end") or it["refused"]["status"])
        for it in turns
    ]


def told(result: pytest.RunResult) -> list[str]:
    """Return what the summary says of recordings, but for the folder's place."""
    lines = [it.removeprefix("hydra-smoke: ") for it in result.outlines]
    start = next(at for at, line in enumerate(lines) if line.startswith("recordings in "))
    return [
        line.partition("recordings: ")[2] or line.strip()
        for line in lines[start:]
        if line.startswith(("recordings in", "  "))
    ]


def recorded_whole(project: Project, name: str = "test_damaged") -> dict[str, list[dict[str, Any]]]:
    damaged = project.path / f"recordings/test_it/{name}.json"
    whole = json.loads(damaged.read_text("utf-8"))
    return {whole["of"]: whole["turns"]}
