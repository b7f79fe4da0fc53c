"""xdist's workers, as the main process sees them: their settings, and what they send back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hydrasmoke._base.pytest_internals import REFUSED, worker_output
from pytest_hydrasmoke._base.run_keys import name_problem, worker_run_id

if TYPE_CHECKING:
    from .process import Process

KEY = "hydra_smoke"


class Workers:
    """The workers of the main process: sends each its settings, and receives its journal."""

    def __init__(self, process: Process) -> None:
        self._process = process
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
        process = self._process
        router, replay = process.router, process.replaying is not None
        node.workerinput[KEY] = {
            "settings": process.config.to_plain(),
            "forms": None if process.forms is None else process.forms.to_plain(),
            "fake": process.fake,
            # Not its path: the file may exist only on this host. Recordings are too large.
            "scenario": None if router is None or replay else asdict(router.scenario),
            "replay": replay,
            "table": None if process.table is None else str(process.table),
            "folder": str(process.pytestconfig.invocation_params.dir),
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Receive an xdist worker's report; one that crashed has none.

        Called twice for one that was interrupted and has reported.
        """
        name, output = node.workerinput["workerid"], worker_output(node)
        self.refused |= REFUSED in output
        if KEY in output:
            self.silent.discard(name)
            self.sent[name] = output[KEY]

    def unheard(self) -> list[str]:
        """Return a line for each worker without a sign here that did not report its instances.

        It is on another host, and so a run of its own, or its signs here were removed.
        """
        process, config = self._process, self._process.config
        if process.fake:
            return []  # Their instances ended with them.
        return [
            f"worker {name} did not report what it left: {config.commands.sweep(run_id)}, and "
            f"{config.commands.sweep(config.run_id)}"
            for name in sorted(self.silent)
            if not process.ledger.has_seen(name)
            for run_id in [worker_run_id(config.run_id, name)]
        ]
