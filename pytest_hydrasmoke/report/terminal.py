"""What a run says on the terminal: its settings at the start, its instances at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from pytest_hydrasmoke._redact import safe_line
from pytest_hydrasmoke._report import BreachReport, InstanceReport, Report
from pytest_hydrasmoke._settings import HydraSmokeConfig
from pytest_hydrasmoke._timeline import PHASES, InstanceRecord


def header(config: HydraSmokeConfig, sources: Mapping[str, str], *, fake: bool) -> list[str]:
    """Say where the run goes, and where each setting that is not a default came from."""
    where = f"the bundled FAKE router at {config.url}" if fake else f"live router {config.url}"
    lines = [f"hydra-smoke: {where}, run id {config.run_id}"]
    given = [f"{name} {_shown(config, name)} ({sources[name]})" for name in sorted(sources)]
    if given:
        lines.append(f"hydra-smoke settings: {', '.join(given)}")
    return lines


def _shown(config: HydraSmokeConfig, name: str) -> str:
    value: object = getattr(config, name)
    if isinstance(value, frozenset):
        value = ",".join(sorted(map(str, value)))  # pyright: ignore[reportUnknownArgumentType]
    return "********" if name == "token" else safe_line(str(value), 60)


def summary(report: Report) -> list[str]:
    """Count the instances, then give each a line with its phases' times and what was odd."""
    lines = [
        (
            f"{'fake router' if report.fake else 'live router'}, run {report.run_id}: "
            f"provisioned {report.provisioned}, deleted {report.count('deleted')}, "
            f"kept {report.count('kept')}, leaked {report.count('leaked')}"
        )
    ]
    for instance in report.instances:
        lines.append(f"{instance.outcome:<8} {instance.name}")
        if instance.phases:
            lines.append(f"         {_phases(instance)}")
        notes = [*instance.notes, *instance.drift]
        if instance.retries:
            notes.append(f"{instance.retries} requests were repeated")
        lines += [f"         note: {safe_line(note)}" for note in notes]
        if instance.outcome == "kept":
            lines.append(
                f"         attach: pytest --hydra-smoke --hydra-smoke-instance {instance.id}"
            )
            lines.append(f"         delete: {_sweep(instance.run_id)}")
    return lines


def _phases(instance: InstanceReport) -> str:
    times = [f"{name} {instance.phases[name]:.1f}s" for name in PHASES if name in instance.phases]
    return ", ".join(times)


def leak(instance: InstanceReport) -> str:
    """Say which instance may still run, why, and how to get rid of it."""
    return (
        f"LEAK: {instance.name} may still run, and costs money as long as it does\n"
        f"{instance.leak or 'its deletion was not confirmed'}\n"
        f"To delete it: {_sweep(instance.run_id)}"
    )


def breach(breach: BreachReport) -> str:
    """Say which budget was not kept, by how much, and where."""
    return (
        f"BUDGET: {breach.words}\n"
        f"seen on {breach.instance}\n"
        f"If this is as it should be, raise it: budgets = {{ {breach.phase} = ... }}"
    )


def _sweep(run_id: str | None) -> str:
    return f"hydra-smoke sweep --run-id {run_id}"


def deleting(records: Sequence[InstanceRecord]) -> list[str]:
    """Say what an interrupted run still deletes."""
    if not records:
        return []
    names = [f"  {record.name}" for record in records]
    return ["hydra-smoke: interrupted; deleting, and another Ctrl-C makes it no faster:", *names]


def timeout_warning(config: pytest.Config) -> list[str]:
    """Warn of pytest-timeout's thread method: it ends the process without any teardown."""
    method = config.getoption("timeout_method", None)
    if method is None and config.pluginmanager.has_plugin("timeout"):
        method = config.getini("timeout_method")
    if method != "thread":
        return []
    words = "kills without any clean-up: set timeout_method = signal, or sweep afterwards"
    return [f"pytest-timeout's thread method {words}"]
