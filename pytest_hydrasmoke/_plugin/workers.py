"""xdist's workers, as the main process sees them: their settings, and their reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pytest_hydrasmoke._base.pytest_internals import worker_output
from pytest_hydrasmoke._base.run_keys import name_problem, worker_run_id
from pytest_hydrasmoke._run.ledger import Ledger

from .fixtures import Active

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
        self.sent: dict[str, str] = {}
        """The journals of workers that came to their end."""

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Worker) -> None:
        """Send an xdist worker its settings: it reads and checks none itself."""
        # A worker whose name can't be a file name takes no part in the run, and reports that.
        if name_problem(node.workerinput["workerid"]) is None:
            self.silent.add(node.workerinput["workerid"])
        forms, fake = self._active.forms, self._fake
        replay = self._active.replaying is not None
        # Not its path: the file may exist only on this host. Recordings are too large to be sent.
        scenario = None if fake is None or replay else asdict(fake.scenario)
        node.workerinput[KEY] = {
            "settings": self._active.config.to_plain(),
            "forms": None if forms is None else forms.to_plain(),
            "fake": fake is not None,
            "scenario": scenario,
            "replay": replay,
            "table": None if self._table is None else str(self._table),
            "folder": str(self._pytest.invocation_params.dir),
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
            self.sent[name] = output[KEY]

    def elsewhere(self, ledger: Ledger) -> Sequence[str]:
        """Return a line for each worker without a sign here that did not report its instances.

        It is on another host, and so a run of its own, or its signs here were removed.
        """
        if self._fake is not None:
            return []  # Their instances ended with them.
        config = self._active.config
        return [
            f"worker {name} did not report what it left: {config.commands.sweep(run_id)}, and "
            f"{config.commands.sweep(config.run_id)}"
            for name in sorted(self.silent)
            if not ledger.has_seen(name)
            for run_id in [worker_run_id(config.run_id, name)]
        ]
