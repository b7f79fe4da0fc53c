"""The plugin's own hooks. Every run has them, so a conftest may implement them.

PYTEST_DONT_REWRITE: this module has no assertions to rewrite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_hydrasmoke._recordings.format import RecordedTurn
    from pytest_hydrasmoke._report.model import Report
    from pytest_hydrasmoke._sse.decoder import ChatEvent
    from pytest_hydrasmoke.instance import SmokeInstance


@pytest.hookspec(firstresult=True)
def pytest_hydra_smoke_chat_text(event: ChatEvent) -> str | None:
    """Return the text that an event of your runtime adds to the reply; None for no opinion.

    The first result that is not None wins over the plugin's own reading.
    """


@pytest.hookspec(firstresult=True)
def pytest_hydra_smoke_chat_end(event: ChatEvent) -> bool | None:
    """Return whether an event of your runtime ends the turn; None for no opinion."""


@pytest.hookspec
def pytest_hydra_smoke_instance_ready(instance: SmokeInstance) -> None:
    """Called once for each ready instance, in the process that provisioned it."""


@pytest.hookspec
def pytest_hydra_smoke_new_conversation(instance: SmokeInstance) -> None:
    """Begin a new conversation with a shared instance, in place of the setting's message.

    Called before a test's first chat with it, if another test, or an earlier run of its body, has
    chatted with it. What the hook chats is in the report, and in no test's account.
    """


@pytest.hookspec
def pytest_hydra_smoke_record(turn: RecordedTurn) -> RecordedTurn | None:
    """Return the turn that a recording will hold; None leaves the turn out.

    Change its message or its text with `dataclasses.replace`: the text is the stream on the wire,
    or the body of a refusal. Several implementations get it one after the other. In a replay it
    is called with each message that a test sends, and an empty text.
    """


@pytest.hookspec
def pytest_hydra_smoke_report(report: Report) -> None:
    """Called once at the end, in the main process, after all deletions."""
