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

from .interrupts import begin_watch
from .part import Part, address_of, serve, take_part
from .workers import KEY

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake import Scenario

    from .fixtures import Active


def join_run(config: pytest.Config, worker: dict[str, Any]) -> Active | None:
    """Take part with what the main process has sent; None where this worker can't."""
    with ExitStack() as undo:
        try:
            part = _part(config, worker)
            if part.router is not None:
                undo.push(part.router)
            active = take_part(config, part, begin_watch(config))
            undo.pop_all()
            return active
        except HydraSmokeError as error:
            # An error raised here would be an internal error of xdist, with all its frames.
            config.pluginmanager.register(_Unable(f"{worker['workerid']}: {error}"))
            worker_output(config)[KEY] = ""  # It leaves nothing.
            return None


class _Unable:
    """Ends the run with a message before its first test: a worker can't take part."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        session.shouldfail = self._problem


def _part(config: pytest.Config, worker: dict[str, Any]) -> Part:
    sent: dict[str, Any] = worker[KEY]
    fake, name = sent["fake"], worker["workerid"]
    forms = None if sent["forms"] is None else Forms.from_plain(sent["forms"])
    settings = HydraSmokeConfig.from_plain(sent["settings"])
    beside_main = has_main_process(settings.output, settings.run_id)
    table = Path(sent["table"]) if beside_main and sent["table"] is not None else None
    if beside_main and not sent["replay"]:
        return Part(settings=settings, forms=forms, fake=fake, table=table, reports_as=name)
    # A worker on another host, or with a fake of its own, can share nothing with the others: it is
    # a run of its own, with its own instance, ledger and deletions.
    here, there = config.invocation_params.dir, Path(sent["folder"])
    own: dict[str, Any] = {"run_id": worker_run_id(settings.run_id, name)}
    if not beside_main and settings.output.is_relative_to(there):
        own["output"] = here / settings.output.relative_to(there)
    router = None
    if sent["replay"]:
        router = serve(_recorded(settings.scenario, there if beside_main else here))
    elif fake:
        router = serve(_scenario(sent["scenario"]))
    if router is not None:
        own |= address_of(router)
    return Part(
        settings=settings.model_copy(update=own),
        forms=forms,
        fake=fake,
        router=router,
        table=table,
        reports_as=name,
        alone=True,
        beside=folder_of(settings.output, settings.run_id) if beside_main else None,
    )


def _recorded(scenario: str, folder: Path) -> Scenario:
    from pytest_hydrasmoke.fake.presets import load

    try:
        return load(scenario, folder)
    except ValueError as problem:
        raise ConfigError(
            f"recordings can't be replayed here: {problem}",
            next_step="run pytest where they are, with -n as many as you like",
        ) from None


def _scenario(plain: dict[str, Any]) -> Scenario:
    from pytest_hydrasmoke.fake import Scenario

    return Scenario(**plain)
