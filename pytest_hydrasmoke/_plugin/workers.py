"""xdist's workers, as the main process sees them: their settings, and their reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pytest_hydrasmoke._base.pytest_internals import worker_output
from pytest_hydrasmoke._base.run_keys import name_problem
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._report.model import ProcessReport
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.ledger_lines import Entry

from .fixtures import Active
from .replay import comes_at_once, serve_stage

if TYPE_CHECKING:
    from pytest_hydrasmoke.fake import FakeRouter

KEY = "hydra_smoke"


class Worker(Protocol):
    """The part of xdist's worker controller that is used here."""

    workerinput: dict[str, Any]


class Workers:
    """Sends each worker its settings, and receives its report."""

    def __init__(
        self,
        pytest_config: pytest.Config,
        active: Active,
        fake: FakeRouter | None,
        table: Path | None,
    ) -> None:
        self._pytest = pytest_config
        self._table = table
        self._active = active
        self._fake = fake
        self.silent: set[str] = set()
        """Workers that have not reported, or not yet, what they own."""
        self.reports: dict[str, ProcessReport] = {}
        self.crashed = False

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Worker) -> None:
        """Send an xdist worker its settings: it reads and checks none itself."""
        # A worker whose name can't be a file name takes no part in the run, and reports that.
        if name_problem(node.workerinput["workerid"]) is None:
            self.silent.add(node.workerinput["workerid"])
        forms, fake = self._active.forms, self._fake
        settings = self._active.config.to_plain()
        replay = fake is not None and fake.scenario.recordings is not None
        if fake is not None and replay:
            settings["url"] = serve_stage(self._pytest, fake)
        node.workerinput[KEY] = {
            "settings": settings,
            "forms": None if forms is None else forms.to_plain(),
            "fake": fake is not None,
            "replay": replay,
            "at_once": fake is not None and comes_at_once(fake.scenario),
            "table": None if self._table is None else str(self._table),
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Worker) -> None:
        """Receive an xdist worker's report; one that crashed has none.

        Called twice for one that was interrupted and has reported.
        """
        name = node.workerinput["workerid"]
        output = worker_output(node)
        if KEY in output:
            self.silent.discard(name)
            self.reports[name] = ProcessReport(**output[KEY])
        else:
            self.crashed = True

    def left(self) -> tuple[dict[str, Entry], dict[str, str]]:
        """Return what they report as not deleted, and why they gave it up, each by key.

        The run's ledger, which should know these too, may be gone.
        """
        config, entries, leaks = self._active.config, dict[str, Entry](), dict[str, str]()
        for instance in (one for report in self.reports.values() for one in report.instances):
            key = instance.idempotency_key
            if key is None:
                continue
            if instance.outcome in ("shared", "leaked"):
                entries[key] = Entry(
                    key,
                    config.link.base_url,
                    {} if instance.spec is None else instance.spec.model_dump(),
                    state=State.CREATED if instance.statuses else State.CLAIMED,
                    id=instance.id,
                    ids=[] if instance.id is None else [instance.id],
                    was_ready=any(
                        status.word.lower() in config.ready_statuses for status in instance.statuses
                    ),
                )
            if instance.leak is not None:
                leaks[key] = instance.leak
        return entries, leaks

    def unheard(self, ledger: Ledger) -> Sequence[str]:
        """Return a line for each worker that did not report its instances, and has no sign here.

        Who has removed it may have removed the ledger, too.
        """
        if self._fake is not None:
            return []  # Their instances ended with them.
        config = self._active.config
        return [
            f"worker {name} did not report what it left: {config.commands.sweep(config.run_id)}"
            for name in sorted(self.silent)
            if not ledger.has_seen(name)
        ]
