"""A plugin of pytest for runs in tests: what their journals say is what their report says.

The journals are read anew, from the files and with nothing of the package. What differs is left in
`journal.wrong`. PYTEST_DONT_REWRITE, or a run in a process that has it would warn.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

ENDS = {"gone": "deleted", "deleted": "deleted", "kept": "kept"}
UNNAMED = ("claimed", "unused", "requested", "refused")
"""States of what no answer has named."""


class Told:
    """What lines say of an instance, as far as any reader can tell."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.by_main: Counter[str] = Counter()
        self.chats = 0
        self.states: list[tuple[float, str]] = []
        self.leaks: list[tuple[float, str | None]] = []
        self.failed = False
        self.named = False

    def take(self, line: dict[str, Any]) -> None:
        kind = line["is"]
        if kind in ("Attempt", "Skipped"):
            self.requests[line["call"]] += line.get("times", 1)
            self.by_main[line["call"]] += line.get("times", 1) * (line["by"] == "main")
        elif kind == "TurnBegan":
            self.chats += 1
        elif kind == "Became":
            self.states.append((line["at"], line["state"]))
            self.named |= line.get("id") is not None or line["state"] not in UNNAMED
        elif kind == "Leaked":
            self.leaks.append((line["at"], line["why"]))
        self.failed |= kind == "Blamed"

    @property
    def outcome(self) -> str:
        leaks = sorted(self.leaks, key=lambda pair: pair[0])
        states = sorted(self.states, key=lambda pair: pair[0])
        left = "leaked" if self.named else "unsure"
        if leaks and leaks[-1][1] is not None:
            return left
        return ENDS.get(states[-1][1], left) if states else left


def lines_in(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted((folder / "journal").glob("*.jsonl")):
        for text in path.read_text("utf-8").splitlines():
            found.append({**json.loads(text), "by": path.stem})
    return found


def threads_go_on() -> bool:
    """Return whether a thread of a test outlives it, and may still send requests."""
    others = (it for it in threading.enumerate() if it is not threading.main_thread())
    return any(not it.daemon for it in others)


def differences(
    lines: list[dict[str, Any]], report: Any, *, outlived: bool, goes_on: bool
) -> list[str]:
    """Say where a report tells otherwise than the lines of its run."""
    told: defaultdict[str, Told] = defaultdict(Told)
    for line in lines:
        if line["of"] is not None:
            told[line["of"]].take(line)
        if line["is"] == "FailedTest" and not line["again"]:
            for name in line["used"]:
                told[name].failed = True
    wrong: list[str] = []
    for it in report.instances:
        # A worker that is a run of its own has a folder of its own.
        if it.outcome == "refused" or it.reference not in told:
            continue
        seen = told[it.reference]
        least = seen.by_main if outlived else Counter[str]()
        if (outlived or goes_on) and least <= Counter(it.requests) <= seen.requests:
            # A worker outlives the report by moments, and its deletion goes on; so may a thread.
            seen.requests = Counter(it.requests)
        mine = (dict(seen.requests), seen.chats, min(seen.chats, 200), seen.failed)
        its = (it.requests, it.chats, len(it.turns), it.failed)
        if mine != its:
            wrong.append(f"{it.reference}: {mine} in the journals, {its} in the report")
        if it.outcome != "attached" and seen.outcome != it.outcome:
            wrong.append(f"{it.reference}: {seen.outcome} in the journals, {it.outcome} reported")
    return wrong


@pytest.hookimpl(tryfirst=True)
def pytest_hydra_smoke_report(report: Any) -> None:
    # In the test's folder, wherever the run's output is.
    for folder in Path.cwd().glob(f"**/runs/{report.run_id}"):
        several = len([*(folder / "journal").glob("*.jsonl")]) > 1
        outlived = several and (report.ended or "").startswith("signal: ")
        wrong = differences(lines_in(folder), report, outlived=outlived, goes_on=threads_go_on())
        if wrong:
            Path("journal.wrong").write_text("\n".join(wrong), "utf-8")
