"""A worker of xdist: it takes part in its main process's run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hydrasmoke._base.errors import ConfigError, HydraSmokeError
from pytest_hydrasmoke._base.evidence import Forms
from pytest_hydrasmoke._base.pytest_internals import worker_output
from pytest_hydrasmoke._run.locks import has_main_process
from pytest_hydrasmoke._settings.model import HydraSmokeConfig

from .interrupts import begin_watch
from .part import Part, take_part
from .workers import KEY

if TYPE_CHECKING:
    from .fixtures import Active


def join_run(config: pytest.Config, worker: dict[str, Any]) -> Active | None:
    """Take part with what the main process has sent; None where this worker can't."""
    try:
        return take_part(config, _part(worker), begin_watch(config))
    except HydraSmokeError as error:
        # An error raised here would be an internal error of xdist, with all its frames.
        config.pluginmanager.register(_Unable(f"{worker['workerid']}: {error}"))
        worker_output(config)[KEY] = {}  # It leaves nothing.
        return None


class _Unable:
    """Ends the run with a message before its first test: a worker can't take part."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        session.shouldfail = self._problem


def _part(worker: dict[str, Any]) -> Part:
    sent: dict[str, Any] = worker[KEY]
    settings = HydraSmokeConfig.from_plain(sent["settings"])
    if not has_main_process(settings.output, settings.run_id):
        raise ConfigError(
            f"the main process of run {settings.run_id} is not seen in {settings.output}: it is "
            "on another host, or its folder was removed",
            next_step="run all workers on one host, with -n as many as you like",
        )
    return Part(
        settings=settings,
        forms=None if sent["forms"] is None else Forms.from_plain(sent["forms"]),
        fake=sent["fake"],
        replay=sent["replay"],
        at_once=sent["at_once"],
        table=None if sent["table"] is None else Path(sent["table"]),
        worker=worker["workerid"],
    )
