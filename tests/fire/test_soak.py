"""An hour of chats on virtual time, by which the process does not grow."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from fire_soak import KEPT, LEAST, STEADY, complaint, figures, start_client
from fire_tools import told_by
from net_tools import AT_ONCE, KINDS

from pytest_hydrasmoke.fake import FakeRouter

pytestmark = pytest.mark.fire

HOUR, PAUSE = 3600.0, 5.0
"""Virtual seconds of a soak, and from one chat to the next."""
SOON_FULL = {"most": 50}
"""A story that is full soon: it keeps so many requests."""


def soaked(kind: str, **more: Any) -> dict[str, int]:
    """Let a client chat for an hour of virtual time."""
    # The router's time is real, where a lag takes for ever.
    with FakeRouter(dataclasses.replace(AT_ONCE, llm_events_lag=0)) as fake:
        given = {"seconds": HOUR, "virtual": True, "pause": PAUSE, **more}
        told: dict[str, int] = told_by(start_client(fake.url, fake.token, kind, **given), 600)
        assert not [it for it in fake.instances if not it.deleted]
    print("\n" + figures(kind, told, "an hour of virtual time"))
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_an_hour_of_chats_takes_no_more_memory_than_a_few(kind: str) -> None:
    assert complaint(soaked(kind), least=0.9 * HOUR / PAUSE) is None


def test_a_leak_of_one_kib_a_chat_is_seen() -> None:
    told = soaked(KINDS[0], leak=1024, **SOON_FULL)
    assert "its story being full" in str(complaint(told))


TOLD = {"chats": LEAST, "loaded": 50 << 20, "full": 51 << 20, "ended": 51 << 20}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"full": TOLD["loaded"] + KEPT, "ended": TOLD["loaded"] + KEPT + STEADY}, None),
        ({"ended": TOLD["loaded"]}, None),
        ({"chats": LEAST - 1}, "only 499 chats, of at least 500"),
        (
            {"full": TOLD["loaded"] + 3 * KEPT // 2},
            "grown by 5.25 MiB until its story was full",
        ),
        (
            {"ended": TOLD["full"] + 2 * STEADY},
            "grown by 0.50 MiB in 500 chats, its story being full",
        ),
    ],
)
def test_what_a_soak_complains_of(change: dict[str, int], words: str | None) -> None:
    assert complaint(TOLD | change) == words
