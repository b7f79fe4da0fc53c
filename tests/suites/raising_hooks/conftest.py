"""The plugin's hooks, of which one makes a mistake: the one that `RAISES` names."""

from __future__ import annotations

import os

from pytest_hydrasmoke import ChatEvent, RecordedTurn, Report, SmokeInstance


def blunder(hook: str) -> None:
    if os.environ.get("RAISES") == hook:
        raise ZeroDivisionError(f"my own, in {hook}")


def pytest_hydra_smoke_instance_ready(instance: SmokeInstance) -> None:
    blunder("instance_ready")


def pytest_hydra_smoke_new_conversation(instance: SmokeInstance) -> None:
    blunder("new_conversation")


def pytest_hydra_smoke_chat_text(event: ChatEvent) -> None:
    blunder("chat_text")


def pytest_hydra_smoke_chat_end(event: ChatEvent) -> None:
    blunder("chat_end")


def pytest_hydra_smoke_report(report: Report) -> None:
    blunder("report")


def pytest_hydra_smoke_record(turn: RecordedTurn) -> RecordedTurn:
    blunder("record")
    return turn
