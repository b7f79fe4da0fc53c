"""Reports of runs that never were: a plain one, failed ones, one with very many requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pytest_hydrasmoke import InstanceSpec, Report
from pytest_hydrasmoke._base.run_keys import PLAIN
from pytest_hydrasmoke._report import github
from pytest_hydrasmoke._report.model import InstanceReport
from pytest_hydrasmoke._report.parts import (
    BreachReport,
    CaseReport,
    CountReport,
    ExchangeReport,
    FailureReport,
    SpanReport,
    StatusReport,
    TurnReport,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ID = "0b0e9d5e-5d3c-4a64-9f0e-3a1b8f6d2c11"
PREFIX = "/internal/v1/smoke"
SPEC = InstanceSpec(manifest_id="hermes-basic", region_id="eu-central", tier_id="tier-1")
REPLY = "Ready when <b>you</b> are & waiting"
BOOT = {"provision": 0.21, "row": 1.04, "ready": 45.2, "delete": 2.5}
CHATS = {**BOOT, "first_event": 0.9, "turn": 7.31, "llm_events": 1.0}
HOSTILE = (
    "plain",
    "::error title=x::y",
    "\n::set-output name=x::y\r\n##[error]z",
    "`</code></pre></style><script>alert(1)</script>",
    "```\n# heading\n![x](https://evil.example/x.png)",
    "``` `` ` |",
    "a|b\\|c\\\\|d",
    "\\`",
    "@somebody #1 https://evil.example www.evil.example :+1:",
    '"><img src=https://elsewhere.example onerror=alert(1)>',
    "{{ 7 * 191 }} [link](javascript:alert(1))",
    "\x1b[31mred\x1b]0;title\x07\x9b1m\r\x00\x7f",
    "a\u202eb\u2028c\u200bd\u2066",
    "~~~\n\n---\n\n> quote\n- item\n1. item",
    "&lt;b&gt; **bold** _it_ ~~no~~ $x$ <!-- c",
    "   ",
    "",
    "%0A::error::x",
    "\ud800 alone",
)
"""What a server may say to have more than its words on a page, a summary or in a runner's log."""


def exchange(call: str, at: float, **changes: Any) -> ExchangeReport:
    """Make a request that was answered with 200 in 50 ms, or as changed."""
    method, path = {
        "provision": ("POST", "/provision"),
        "poll": ("GET", "/instances/by-key/night-0"),
        "status": ("GET", f"/instances/{ID}"),
        "chat": ("POST", f"/instances/{ID}/chat"),
        "llm_events": ("GET", f"/instances/{ID}/llm-events?window_seconds=960"),
        "delete": ("DELETE", f"/instances/{ID}"),
    }[call]
    plain: dict[str, Any] = {"attempt": 1, "seconds": 0.05, "status": 200, "error": None}
    facts = {"method": method, "path": PREFIX + path, **plain, **changes}
    return ExchangeReport(call=call, at=at, **facts)


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


def failure(at: float, message: str, phase: str | None = None, **facts: Any) -> FailureReport:
    return FailureReport(at=at, message=message, phase=phase, **{"test": None, **facts})


def case(name: str, outcome: str = "passed", **facts: Any) -> CaseReport:
    """Make the report of a test that took a second."""
    return CaseReport(id=name, outcome=outcome, **{"seconds": 1.0, **facts})


def bare(number: int = 0, **changes: Any) -> InstanceReport:
    """Make an instance that was booted and deleted, and of which no more is told, or as changed."""
    tuples = ("notes", "drift", "statuses", "spans", "exchanges", "turns", "usage", "failures")
    plain: dict[str, Any] = {
        "id": f"0b6f3f1e-8d47-4c0a-9a51-7e2b90d4c6{number:02}",
        "idempotency_key": f"night-{number}",
        "run_id": "night",
        "hostname": None,
        "spec": SPEC,
        "outcome": "deleted",
        "leak": None,
        "failed": False,
        "began": None,
        "phases": BOOT,
        "chats": 0,
        "requests": {},
        "retries": 0,
    }
    return InstanceReport(**{**plain, **dict.fromkeys(tuples, ()), **changes})


def an_instance(**changes: Any) -> InstanceReport:
    """Make an instance that was provisioned, chatted with, counted and deleted."""
    spans = {
        "provision": (0.0, 0.1),
        "row": (0.1, 1.0),
        "ready": (1.0, 59.0),
        "first_event": (61.0, 0.5),
        "turn": (61.0, 1.7),
        "delete": (63.0, 2.0),
    }
    plain: dict[str, Any] = {
        "id": ID,
        "hostname": "agent-1.example",
        "began": NOON,
        "phases": {"provision": 0.1, "row": 1.0, "ready": 60.0, "turn": 1.7, "delete": 2.0},
        "chats": 1,
        "requests": {"provision": 1, "poll": 2, "status": 3, "chat": 1, "delete": 1},
        "statuses": (
            StatusReport(at=1.0, word="booting"),
            StatusReport(at=60.0, word="running"),
        ),
        "spans": tuple(
            SpanReport(at=at, phase=phase, seconds=took) for phase, (at, took) in spans.items()
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
    }
    return bare(**{**plain, **changes})


def left(it: InstanceReport) -> InstanceReport:
    """Add to an instance the commands that it has where it is left."""
    if it.outcome not in ("kept", "leaked", "unsure"):
        return it
    attach = PLAIN.attach(it.id) if it.outcome == "kept" else ""
    return it.model_copy(update={"delete_with": PLAIN.sweep(it.run_id), "attach_with": attach})


def unsure(number: int, status: int | None, error: str | None = None) -> InstanceReport:
    """Make an instance that was requested, and that no answer ever named."""
    asked = exchange("provision", 0.0, status=status, error=error)
    leak = "not confirmed as deleted, it may still run: a signal came before a row for its key did"
    return bare(number, id=None, outcome="unsure", leak=leak, exchanges=(asked,))


def a_report(*instances: InstanceReport, **changes: Any) -> Report:
    """Make a report of a live run that passed, or as changed; without one, of `an_instance`."""
    plain: dict[str, Any] = {
        "run_id": "night",
        "fake": False,
        "url": "https://router.example/api",
        "began": NOON,
        "seconds": 66.0,
        "exit_code": 0,
        "instances": tuple(map(left, instances or (an_instance(),))),
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
            failure(
                62.7,
                f"{error}\n  phase:     turn, after 1.7 s",
                "turn",
                test="tests/test_agent.py::test_greeting",
            ),
            failure(62.9, "AssertionError: 1 == 2"),
        ),
    )
    return a_report(
        broken,
        bare(1, id=None, outcome="refused", phases={}),
        exit_code=1,
        breaches=(BreachReport(phase="ready", limit=30.0, value=59.0, instance=broken.name),),
        drift=broken.drift,
    )


def markdown(report: Report, room: int = github.LIMIT) -> str:
    """Return what a job's summary has of a run."""
    return github.fitted(github.pieces(report), room)


def several() -> Report:
    """Make a report with an instance of each outcome, of which no request is told."""
    drift = "unknown in the answer to poll: " + ", ".join(f"new_field_{n}" for n in range(9))
    slow = bare(1, phases={**BOOT, "ready": 612.4, "row": 20.0})
    cut = failure(
        155.4, "ChatError: cut\n  phase:     turn, after 2.0 s", "turn", test="test_a.py::test_hi"
    )
    early = "a chat's stream ended early"
    return a_report(
        bare(0, phases=CHATS, chats=3, retries=2, notes=(early,), failures=(cut,)),
        slow,
        bare(2, outcome="kept", failed=True),
        bare(
            3,
            outcome="leaked",
            leak="not confirmed as deleted, it may still run: delete was refused with 500",
            phases={**BOOT, "delete": 125.0},
            drift=(drift,),
            failures=(failure(0.5, "out of patience"),),
        ),
        bare(4, id=None, outcome="refused", phases={"provision": 0.0}),
        bare(5, idempotency_key=None, outcome="attached", phases={}),
        exit_code=1,
        breaches=(BreachReport(phase="ready", limit=300.0, value=612.4, instance=slow.name),),
        drift=("delete answered with 418, which its contract does not know",),
    )


def a_long_report(requests: int) -> Report:
    """Make a report of a run that asked very often."""
    calls = ("status", "poll", "llm_events")
    asked = tuple(
        exchange(calls[number % 3], number * 0.5, seconds=0.01 + number % 7 / 50)
        for number in range(requests)
    )
    return a_report(an_instance(exchanges=asked), seconds=requests * 0.5)
