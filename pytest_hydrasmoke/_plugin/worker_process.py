"""A worker of xdist: it takes part in its main process's run, or is a run of its own."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hydrasmoke._base.errors import ConfigError, HydraSmokeError
from pytest_hydrasmoke._base.evidence import Forms
from pytest_hydrasmoke._base.pytest_internals import worker_output
from pytest_hydrasmoke._base.run_keys import worker_run_id
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.locks import has_main_process
from pytest_hydrasmoke._settings.model import HydraSmokeConfig

from .part import take_part
from .process import Process, address_of, serve
from .workers import KEY

if TYPE_CHECKING:
    from pytest_hydrasmoke._base.signals import Interrupts
    from pytest_hydrasmoke.fake import Scenario


class _Unable:
    """Ends the run with a message before its first test: a worker can't take part."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        session.shouldfail = self._problem


def join_run(
    config: pytest.Config, worker: dict[str, Any], interrupts: Interrupts
) -> Process | None:
    """Take part with what the main process has sent; None where this worker can't."""
    with ExitStack() as undo:
        try:
            process = Process(
                pytestconfig=config,
                interrupts=interrupts,
                worker=worker["workerid"],
                **_sent(config, worker, undo),
            )
            take_part(process)
            undo.pop_all()
            return process
        except HydraSmokeError as error:
            # An error raised here would be an internal error of xdist, with all its frames.
            config.pluginmanager.register(_Unable(f"{worker['workerid']}: {error}"))
            worker_output(config)[KEY] = ""  # It leaves nothing.
            interrupts.restore()
            return None


def _sent(config: pytest.Config, worker: dict[str, Any], undo: ExitStack) -> dict[str, Any]:
    """Return what a worker's process has of its own, and of its main process."""
    sent: dict[str, Any] = worker[KEY]
    settings = HydraSmokeConfig.from_plain(sent["settings"])
    beside_main = has_main_process(settings.output, settings.run_id)
    fields: dict[str, Any] = {
        "config": settings,
        "forms": None if sent["forms"] is None else Forms.from_plain(sent["forms"]),
        "fake": sent["fake"],
    }
    fields["table"] = Path(sent["table"]) if beside_main and sent["table"] is not None else None
    if beside_main and not sent["replay"]:
        return fields
    if settings.agent_url is not None:
        raise ConfigError(
            f"the agent at {settings.agent_url} is on the main process's machine",
            next_step="run pytest there, with -n as many as you like",
        )
    # A worker on another host, or with a fake of its own, can share nothing with the others: it is
    # a run of its own, with its own instance, ledger and deletions.
    here, there = config.invocation_params.dir, Path(sent["folder"])
    own: dict[str, Any] = {"run_id": worker_run_id(settings.run_id, worker["workerid"])}
    if not beside_main and settings.output.is_relative_to(there):
        own["output"] = here / settings.output.relative_to(there)
    if sent["fake"]:
        from pytest_hydrasmoke.fake import Scenario

        replayed = there if beside_main else here
        router = fields["router"] = serve(
            _recorded(settings.scenario, replayed)
            if sent["replay"]
            else Scenario(**sent["scenario"])
        )
        undo.push(router)
        own |= address_of(router)
    fields["beside"] = folder_of(settings.output, settings.run_id) if beside_main else None
    return {**fields, "config": settings.model_copy(update=own), "alone": True}


def _recorded(scenario: str, folder: Path) -> Scenario:
    from pytest_hydrasmoke.fake.presets import load

    try:
        return load(scenario, folder)
    except ValueError as problem:
        raise ConfigError(
            f"recordings can't be replayed here: {problem}",
            next_step="run pytest where they are, with -n as many as you like",
        ) from None
