"""An hour of chats on virtual time, by which the process does not grow."""

from __future__ import annotations

import dataclasses

import pytest
from fire_soak import complaint, figures, start_client
from fire_tools import told_by
from net_tools import AT_ONCE, KINDS

from pytest_hydrasmoke.fake import FakeRouter

HOUR = 3600.0


@pytest.mark.parametrize(
    ("kind", "pause"),
    [
        pytest.param(KINDS[0], 30.0, id="sample"),
        *(pytest.param(kind, 5.0, marks=pytest.mark.fire, id=kind) for kind in KINDS),
    ],
)
def test_an_hour_of_chats_takes_no_more_memory_than_a_few(kind: str, pause: float) -> None:
    # `pause` is in virtual seconds, between two chats.
    # The router's time is real, where a lag takes for ever.
    with FakeRouter(dataclasses.replace(AT_ONCE, llm_events_lag=0)) as fake:
        process = start_client(fake.url, fake.token, kind, seconds=HOUR, virtual=True, pause=pause)
        told = told_by(process, 600)
        alive = [it for it in fake.instances if not it.deleted]
    print("\n" + figures(kind, told, "an hour of virtual time"))
    assert complaint(told) is None
    assert told["chats"] >= 0.9 * HOUR / pause
    assert not alive
