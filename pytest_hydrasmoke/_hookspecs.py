"""The plugin's own hooks. They are known in every run, so that a conftest may implement them.

PYTEST_DONT_REWRITE: there is no assertion in here that pytest would have to look for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_hydrasmoke._report.model import Report
    from pytest_hydrasmoke._run.recording import RecordedTurn
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
    """Called with each instance once it is ready, in the process that provisioned it."""


@pytest.hookspec
def pytest_hydra_smoke_record(turn: RecordedTurn) -> RecordedTurn | None:
    """Return a turn as it is to be written into a recording; None leaves it out.

    Change its message or its text with `dataclasses.replace`: the text is the stream on the wire,
    or the body of a refusal. Several implementations see it one after the other. In replay it is
    called with each message that is asked, and an empty text.
    """


@pytest.hookspec
def pytest_hydra_smoke_report(report: Report) -> None:
    """Called once, in the main process, when everything is deleted that will be."""
