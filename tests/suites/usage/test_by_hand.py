"""A turn through the plain client, and one on the handle right after it."""

from __future__ import annotations

import pytest

from conftest import Takes
from pytest_hydrasmoke import SmokeClient, SmokeInstance


@pytest.mark.xdist_group("one")
def test_plain(smoke_instance: SmokeInstance, smoke_client: SmokeClient) -> None:
    with smoke_client.stream_chat(smoke_instance.id, "leaves one") as events:
        assert list(events)


@pytest.mark.xdist_group("two")
def test_handle(takes: Takes) -> None:
    takes("test_plain").chat("leaves one").expect_llm_events(at_most=1)
