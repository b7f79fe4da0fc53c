"""Reports to be shown on GitHub, and what a renderer of Markdown makes of a summary."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._base.commands import PLAIN
from pytest_hydrasmoke._report.build import with_commands
from pytest_hydrasmoke._report.model import FailureReport, InstanceReport
from pytest_hydrasmoke._report.parts import BreachReport

GOLDEN = Path(__file__).parent.parent / "data" / "golden"
IDS = (
    "0b0e9d5e-5d3c-4a64-9f0e-3a1b8f6d2c11",
    "7c1d2e3f-4a5b-4c6d-8e7f-9a0b1c2d3e4f",
    "5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21",
)
BOOT = {"provision": 0.4, "row": 1.25, "ready": 151.0}
CHAT = {"first_event": 0.9, "turn": 3.25, "llm_events": 2.0}


def instance(number: int = 0, **changes: Any) -> InstanceReport:
    """Make the report of an instance that has chatted twice, and is gone."""
    facts: dict[str, Any] = {
        "id": IDS[number % 3],
        "idempotency_key": f"nightly-7-{number}",
        "hostname": "agent-1",
        "spec": None,
        "outcome": "deleted",
        "leak": None,
        "failed": False,
        "began": None,
        "phases": {**BOOT, **CHAT, "delete": 4.0},
        "chats": 2,
        "requests": {},
        "retries": 0,
        "notes": (),
        "drift": (),
        "statuses": (),
        "spans": (),
        "exchanges": (),
        "turns": (),
        "usage": (),
        "failures": (),
    }
    return InstanceReport(**{**facts, **changes})


def report(*instances: InstanceReport, **changes: Any) -> Report:
    facts: dict[str, Any] = {
        "run_id": "nightly-7",
        "fake": False,
        "url": "https://router.example",
        "began": datetime(2026, 1, 2, tzinfo=UTC),
        "seconds": 172.44,
        "exit_code": 0,
        "instances": tuple(with_commands(instances, PLAIN)),
    }
    return Report(**{**facts, **changes})


def failing() -> Report:
    """Make the report of a run in which everything went wrong that can."""
    failure = FailureReport(
        at=155.4,
        message="ChatError: the stream was cut\n  phase:     turn, after 2.0 s",
        phase="turn",
        test="test_agent.py::test_greeting",
    )
    outside = FailureReport(at=0.5, message="out of patience", phase=None, test=None)
    leaked = instance(
        1,
        outcome="leaked",
        leak="not confirmed as deleted, it may still run: delete was refused with 500",
        phases=BOOT,
        chats=0,
        retries=3,
        failures=(outside,),
    )
    return report(
        instance(failures=(failure,), failed=True, notes=("the stream ended without an end",)),
        leaked,
        instance(2, outcome="kept", drift=("unknown in the answer to poll: zone",)),
        instance(3, id=None, outcome="refused", leak=None, phases={"provision": 0.4}, chats=0),
        exit_code=1,
        breaches=(
            BreachReport(
                phase="ready", limit=120, value=151.0, instance=f"{IDS[0]} (key nightly-7-0)"
            ),
        ),
    )


HOSTILE = (
    "plain",
    "::error title=x::y",
    "\n::set-output name=x::y\r\n##[error]z",
    "`</code></pre><script>alert(1)</script>",
    "```\n# heading\n![x](https://evil.example/x.png)",
    "``` `` ` |",
    "a|b\\|c\\\\|d",
    "\\`",
    "@somebody #1 https://evil.example www.evil.example :+1:",
    "<img src=x onerror=alert(1)>",
    "[link](javascript:alert(1))",
    "\x1b[31mred\x1b]0;title\x07",
    "a\u202eb\u2028c\u200bd",
    "~~~\n\n---\n\n> quote\n- item\n1. item",
    "&lt;b&gt; **bold** _it_ ~~no~~ $x$ <!-- c",
    "   ",
    "",
    "%0A::error::x",
)


def hostile(words: str) -> Report:
    """Make a report in which whatever a server may have shaped is these words."""
    failure = FailureReport(at=1.0, message=words, phase=words, test=words)
    return report(
        instance(id=words, outcome="leaked", leak=words, failures=(failure,)),
        instance(1, id=words, outcome="kept", notes=(words,), drift=(words,)),
        url=words,
        breaches=(BreachReport(phase="ready", limit=1, value=2, instance=words),),
    )


def structure(markdown: str) -> list[str]:
    """Return the elements that GitHub would make of a summary, without any text."""
    renderer = MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable("table")
    html = renderer.render(markdown)
    return re.findall(r"</?[a-zA-Z!][^>]*>", html)


def check_golden(name: str, text: str) -> None:
    """Compare with a file of `tests/data/golden`, or make it so with HYDRA_DOCS_REFRESH=1."""
    file = GOLDEN / name
    if os.environ.get("HYDRA_DOCS_REFRESH"):
        file.write_text(text, "utf-8")
    assert file.read_text("utf-8") == text
