"""A whole reply, and one that ends early, on one instance."""

from __future__ import annotations

import pytest

from conftest import Takes
from pytest_hydrasmoke import SmokeClient, SmokeInstance


@pytest.mark.xdist_group("one")
def test_whole(smoke_instance: SmokeInstance) -> None:
    assert smoke_instance.chat("leaves one").complete


@pytest.mark.xdist_group("two")
def test_cut(takes: Takes) -> None:
    assert not takes("test_whole").chat("leaves none").complete


@pytest.mark.xdist_group("one")
def test_cut_by_hand(takes: Takes, smoke_client: SmokeClient) -> None:
    instance = takes("test_cut")
    with smoke_client.stream_chat(instance.id, "leaves none") as events:
        assert list(events)
