"""conftest.py: gauges of the run for Prometheus, by way of a push gateway."""

from __future__ import annotations

import os
from collections import Counter

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

from pytest_hydrasmoke import Report


def pytest_hydra_smoke_report(report: Report) -> None:
    gateway = os.environ.get("SMOKE_PUSH_GATEWAY")
    if gateway is None or report.fake:
        return
    registry = CollectorRegistry()

    def gauge(name: str, words: str, *labels: str) -> Gauge:
        return Gauge(f"hydra_smoke_{name}", words, labels, registry=registry)

    gauge("ok", "1 if the last run passed").set(report.exit_code == 0)
    # No label of an instance or run: each would be a time series of its own, for ever.
    instances = gauge("instances", "Instances of the last run", "outcome")
    for outcome in ("deleted", "kept", "leaked", "unsure"):
        instances.labels(outcome).set(report.count(outcome))
    slowest: Counter[str] = Counter()
    for instance in report.instances:
        slowest |= Counter(instance.phases)
    phases = gauge("phase_seconds", "The longest time that each phase took", "phase")
    for phase, seconds in slowest.items():
        phases.labels(phase).set(seconds)
    push_to_gateway(gateway, job="hydra-smoke", registry=registry, timeout=10)
