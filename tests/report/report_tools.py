"""Reports of runs that never were: a plain one, one that failed, one with very many requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pytest_hydrasmoke import InstanceSpec, Report
from pytest_hydrasmoke._base.commands import PLAIN
from pytest_hydrasmoke._report.build import with_commands
from pytest_hydrasmoke._report.model import (
    BreachReport,
    FailureReport,
    InstanceReport,
    StatusReport,
    TurnReport,
)
from pytest_hydrasmoke._report.parts import CountReport, ExchangeReport, Manners, SpanReport

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ID = "0b0e9d5e-5d3c-4a64-9f0e-3a1b8f6d2c11"
PREFIX = "/internal/v1/smoke"
SPEC = InstanceSpec(manifest_id="hermes-basic", region_id="eu-central", tier_id="tier-1")
REPLY = "Ready when <b>you</b> are & waiting"


def exchange(call: str, at: float, **changes: Any) -> ExchangeReport:
    """Make a request that was answered with 200 in 50 ms, or as changed."""
    paths = {
        "provision": ("POST", "/provision"),
        "poll": ("GET", "/instances/by-key/night-0"),
        "status": ("GET", f"/instances/{ID}"),
        "chat": ("POST", f"/instances/{ID}/chat"),
        "llm_events": ("GET", f"/instances/{ID}/llm-events?window_seconds=960"),
        "delete": ("DELETE", f"/instances/{ID}"),
    }
    method, path = paths[call]
    plain: dict[str, Any] = {"attempt": 1, "seconds": 0.05, "status": 200, "error": None}
    return ExchangeReport(
        call=call, method=method, path=PREFIX + path, at=at, **{**plain, **changes}
    )


def turn(at: float, **changes: Any) -> TurnReport:
    plain: dict[str, Any] = {
        "message": "Are you ready?",
        "text": REPLY,
        "events": 4,
        "arrivals": (0.5, 0.6, 1.6, 1.7),
        "seconds": 1.7,
        "complete": True,
        "error": None,
    }
    return TurnReport(at=at, **{**plain, **changes})


def an_instance(**changes: Any) -> InstanceReport:
    """Make an instance that was provisioned, chatted with, counted and deleted."""
    plain: dict[str, Any] = {
        "id": ID,
        "idempotency_key": "night-0",
        "hostname": "agent-1.example",
        "spec": SPEC,
        "outcome": "deleted",
        "leak": None,
        "failed": False,
        "began": NOON,
        "phases": {"provision": 0.1, "row": 1.0, "ready": 60.0, "turn": 1.7, "delete": 2.0},
        "chats": 1,
        "requests": {"provision": 1, "poll": 2, "status": 3, "chat": 1, "delete": 1},
        "retries": 0,
        "notes": (),
        "drift": (),
        "statuses": (
            StatusReport(at=1.0, word="booting"),
            StatusReport(at=60.0, word="running"),
        ),
        "spans": (
            SpanReport(at=0.0, phase="provision", seconds=0.1),
            SpanReport(at=0.1, phase="row", seconds=1.0),
            SpanReport(at=1.0, phase="ready", seconds=59.0),
            SpanReport(at=61.0, phase="first_event", seconds=0.5),
            SpanReport(at=61.0, phase="turn", seconds=1.7),
            SpanReport(at=63.0, phase="delete", seconds=2.0),
        ),
        "exchanges": (
            exchange("provision", 0.0, status=202, seconds=0.1),
            exchange("poll", 0.2),
            exchange("poll", 1.0),
            *(exchange("status", float(at)) for at in (2, 30, 60)),
            exchange("chat", 61.0, seconds=0.4),
            exchange("llm_events", 62.8),
            exchange("delete", 63.0),
        ),
        "turns": (turn(61.001),),
        "usage": (
            CountReport(at=60.5, count=0, providers=()),
            CountReport(at=62.8, count=2, providers=("anthropic", "openai")),
        ),
        "failures": (),
    }
    return InstanceReport(**{**plain, **changes})


def a_report(*instances: InstanceReport, **changes: Any) -> Report:
    """Make a report of a live run that passed, or as changed."""
    plain: dict[str, Any] = {
        "run_id": "night",
        "fake": False,
        "url": "https://router.example/api",
        "began": NOON,
        "seconds": 66.0,
        "exit_code": 0,
        "instances": tuple(with_commands(instances or (an_instance(),), PLAIN)),
    }
    return Report(**{**plain, **changes})


def a_failed_report() -> Report:
    """Make a report of a run in which about everything went wrong."""
    error = "the stream was cut: the answer was lost"
    broken = an_instance(
        outcome="leaked",
        leak="not confirmed as deleted, it may still run: delete was refused with 500",
        failed=True,
        retries=1,
        notes=("a chat's stream ended without a terminal event",),
        drift=("unknown in the answer to poll: zone",),
        exchanges=(
            exchange("provision", 0.0, status=None, error="the answer was lost", seconds=0.1),
            exchange("provision", 0.6, status=202, attempt=2),
            *(exchange("status", 1.0 + at) for at in range(30)),
            exchange("chat", 61.0, seconds=0.4),
            exchange("delete", 63.0, status=500),
        ),
        turns=(turn(61.001, text="Rea", complete=False, error=error),),
        failures=(
            FailureReport(
                at=62.7,
                message=f"{error}\n  phase:     turn, after 1.7 s",
                phase="turn",
                test="tests/test_agent.py::test_greeting",
            ),
            FailureReport(at=62.9, message="AssertionError: 1 == 2", phase=None, test=None),
        ),
    )
    never = an_instance(
        id=None,
        idempotency_key="night-1",
        hostname=None,
        outcome="refused",
        began=None,
        phases={},
        chats=0,
        requests={},
        statuses=(),
        spans=(),
        exchanges=(),
        turns=(),
        usage=(),
    )
    return a_report(
        broken,
        never,
        exit_code=1,
        breaches=(BreachReport(phase="ready", limit=30.0, value=59.0, instance=broken.name),),
        manners=Manners(drift=broken.drift),
    )


def a_long_report(requests: int) -> Report:
    """Make a report of a run that asked very often."""
    calls = ("status", "poll", "llm_events")
    asked = tuple(
        exchange(calls[number % 3], number * 0.5, seconds=0.01 + number % 7 / 50)
        for number in range(requests)
    )
    return a_report(an_instance(exchanges=asked), seconds=requests * 0.5)
