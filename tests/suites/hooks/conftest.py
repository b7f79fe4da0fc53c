"""The plugin's hooks, implemented for a runtime that the plugin does not know."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_hydrasmoke import ChatEvent, Report, SmokeInstance

LOG = Path(__file__).parent / "log.txt"


def say(line: str) -> None:
    with LOG.open("a", encoding="utf-8") as log:
        log.write(line + "\n")


def pytest_hydra_smoke_chat_text(event: ChatEvent) -> str | None:
    return "<said>" if "ready" in event.data else None


def pytest_hydra_smoke_chat_end(event: ChatEvent) -> bool | None:
    return True if "." in event.data else None


def pytest_hydra_smoke_instance_ready(instance: SmokeInstance) -> None:
    say(f"ready {instance.idempotency_key} {instance.status().status}")


def pytest_hydra_smoke_report(report: Report) -> None:
    counts = {word: report.count(word) for word in ("deleted", "kept", "leaked")}
    first = report.instances[0] if report.instances else None
    more = (report.fake, first and (first.outcome, first.chats, first.statuses[0].word))
    say(f"report {report.run_id} {report.provisioned} {json.dumps(counts)} {more}")
