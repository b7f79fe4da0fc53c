"""xdist's workers: what the main process sends them, what they make of it, and what comes back."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._base.pytest_internals import REFUSED, worker_output
from pytest_hydrasmoke._base.run_keys import name_problem, worker_run_id
from pytest_hydrasmoke._run.folder import folder_of
from pytest_hydrasmoke._run.locks import has_main_process
from pytest_hydrasmoke._settings.config import HydraSmokeConfig

from .context import RunContext
from .fakes import address_of
from .resources import Resources

if TYPE_CHECKING:
    from pytest_hydrasmoke._recordings.store import Tape
    from pytest_hydrasmoke.fake import Scenario
    from pytest_hydrasmoke.fake.course import Course

KEY = "hydra_smoke"
"""What a worker is sent, and what it sends back; nothing if it has taken no part."""


class Workers:
    """What the main process and its workers send each other."""

    def __init__(
        self,
        context: RunContext,
        *,
        resources: Resources,
        tape: Tape | None,
        course: Course | None,
    ) -> None:
        self._context = context
        self._resources = resources
        self._tape = tape
        """Where the turns go that this process records."""
        self._course = course
        """What has come of the recordings that are replayed."""
        self.silent: set[str] = set()
        """Workers that have not reported, or not yet, what they own."""
        self.sent: dict[str, str] = {}
        """The journals of workers that came to their end."""
        self.refused = False
        """Whether a worker has refused the tests that it collected."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Send an xdist worker its settings: it reads and checks none itself."""
        # A worker whose name can't be a file name takes no part in the run, and reports that.
        if name_problem(node.workerinput["workerid"]) is None:
            self.silent.add(node.workerinput["workerid"])
        context, replay = self._context, self._course is not None
        router = context.router
        node.workerinput[KEY] = {
            "settings": context.config.to_plain(),
            "absent": [*context.absent],
            "fake": context.fake,
            # Not its path: the file may exist only on this host. Recordings are too large.
            "scenario": None if router is None or replay else asdict(router.scenario),
            "replay": replay,
            "table": None if context.table is None else str(context.table),
            "folder": str(context.pytestconfig.invocation_params.dir),
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Receive what an xdist worker has to tell; one that crashed has not said it.

        Called twice for one that was interrupted and has reported.
        """
        name, output = node.workerinput["workerid"], worker_output(node)
        self.refused |= REFUSED in output
        if KEY in output:
            self.silent.discard(name)
        if output.get(KEY) and name not in self.sent:
            told = output[KEY]
            self.sent[name] = told["journal"]
            if self._tape is not None:
                self._tape.kept += told["recorded"]
            if self._course is not None:
                self._course.add(told["asked"])

    def hand_on(self) -> None:
        """Send the main process what this worker has to tell."""
        worker_output(self._context.pytestconfig)[KEY] = {
            "journal": self._resources.journal.text,
            "recorded": [] if self._tape is None else self._tape.kept,
            "asked": [] if self._course is None else [*self._course.came],
        }

    def unheard(self) -> list[str]:
        """Return a line for each worker without a sign here that did not report its instances.

        It is on another host, and so a run of its own, or its signs here were removed.
        """
        run_id = self._context.config.run_id
        if self._context.fake:
            return []  # Their instances ended with them.
        sweep = self._context.config.commands.sweep
        return [
            f"worker {name} did not report what it left: {sweep(worker_run_id(run_id, name))}, and "
            f"{sweep(run_id)}"
            for name in sorted(self.silent)
            if not self._resources.ledger.has_seen(name)
        ]


def received(config: pytest.Config, worker: dict[str, Any], undo: ExitStack) -> dict[str, Any]:
    """Return what a worker's process has: what its main process has sent, and of its own.

    Raises `ConfigError` where it can take no part.
    """
    sent: dict[str, Any] = worker[KEY]
    settings = HydraSmokeConfig.from_plain(sent["settings"])
    beside_main = has_main_process(settings.output, settings.run_id)
    fields: dict[str, Any] = {
        "config": settings,
        "absent": Absent(*sent["absent"]),
        "fake": sent["fake"],
        "table": Path(sent["table"]) if beside_main and sent["table"] is not None else None,
    }
    if beside_main and not sent["replay"]:
        return {**fields, "lag": _lag_of(sent["scenario"])}
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
        from pytest_hydrasmoke.fake import FakeRouter, Scenario

        if sent["replay"]:
            scenario = _recorded(settings.scenario, there if beside_main else here)
        else:
            scenario = Scenario(**sent["scenario"])
        router = fields["router"] = undo.enter_context(FakeRouter(scenario))
        own |= address_of(router)
    fields["beside"] = folder_of(settings.output, settings.run_id) if beside_main else None
    return {**fields, "config": settings.model_copy(update=own), "alone": True}


def _lag_of(scenario: dict[str, Any] | None) -> float | None:
    """Return how late the rows of the main process's fake are; None where that isn't known."""
    if scenario is None or scenario["llm_events_gap"]:
        return None
    lag: float = scenario["llm_events_lag"]
    return lag


def _recorded(scenario: str, folder: Path) -> Scenario:
    from pytest_hydrasmoke.fake.presets import load

    try:
        return load(scenario, folder)
    except ValueError as problem:
        raise ConfigError(
            f"recordings can't be replayed here: {problem}",
            next_step="run pytest where they are, with -n as many as you like",
        ) from None
