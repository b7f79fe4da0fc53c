"""conftest.py: a result for each instance beside those of the tests in an Allure report."""

from __future__ import annotations

from uuid import uuid4

import pytest
from allure_commons.logger import AllureFileLogger
from allure_commons.model2 import Label, Status, StatusDetails, TestResult, TestStepResult

from pytest_hydrasmoke import Report

STATUS = {
    "deleted": Status.PASSED,
    "kept": Status.PASSED,
    "leaked": Status.BROKEN,
    "unsure": Status.BROKEN,
}


class Instances:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def pytest_hydra_smoke_report(self, report: Report) -> None:
        logger = AllureFileLogger(self.folder)
        for instance in report.instances:
            if instance.began is None:
                continue
            start = int(instance.began.timestamp() * 1000)
            steps = [
                TestStepResult(
                    name=phase.phase,
                    status=Status.PASSED,
                    start=start + int(phase.at * 1000),
                    stop=start + int((phase.at + phase.seconds) * 1000),
                )
                for phase in instance.spans
            ]
            result = TestResult(
                uuid=str(uuid4()),
                # The slot, and not the key: so that Allure sees the same one in each run.
                historyId=f"hydra-smoke {(instance.idempotency_key or '').rpartition('-')[2]}",
                name=f"instance {instance.name}",
                fullName=f"hydra-smoke::{instance.name}",
                status=STATUS.get(instance.outcome, Status.SKIPPED),
                start=start,
                stop=max((step.stop for step in steps), default=start),
                steps=steps,
                labels=[Label(name="suite", value="hydra-smoke")],
            )
            if instance.leak is not None:
                result.statusDetails = StatusDetails(message=instance.leak)
            logger.report_result(result)


def pytest_configure(config: pytest.Config) -> None:
    folder = config.getoption("allure_report_dir", None)
    # Under xdist the main process alone has the report.
    if folder is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Instances(folder))
