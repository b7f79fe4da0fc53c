"""A tool of one's own against a fake router that takes ten minutes, in no time."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import InstanceSpec, Scenario, SmokeClient, VirtualClock
from pytest_hydrasmoke.fake import FakeRouter

SPEC = InstanceSpec(manifest_id="hermes-basic", region_id="eu-central", tier_id="tier-1")
SLOW = Scenario(
    row_after=20, statuses=((0, "queued"), (600, "running")), first_event_after=4, event_pause=2
)


@pytest.fixture
def clock(smoke_fake: FakeRouter) -> VirtualClock:
    assert isinstance(smoke_fake.clock, VirtualClock)
    return smoke_fake.clock


@pytest.fixture
def client(smoke_fake: FakeRouter, clock: VirtualClock) -> SmokeClient:
    return SmokeClient(smoke_fake.url, token=smoke_fake.token, clock=clock)


@pytest.mark.parametrize("smoke_fake", [{"scenario": SLOW, "clock": VirtualClock()}], indirect=True)
def test_ten_minutes(smoke_fake: FakeRouter, client: SmokeClient, clock: VirtualClock) -> None:
    with client:
        client.provision(SPEC, "mine")
        while (found := client.poll("mine")).status != "running":
            clock.sleep(5)
        assert clock.now() == 620
        assert found.instance_id is not None
        with client.stream_chat(found.instance_id, "hello") as events:
            assert [event.at for event in events][:3] == [4, 6, 8]


@pytest.mark.parametrize("smoke_fake", [{"clock": VirtualClock(start=100)}], indirect=True)
def test_by_hand(smoke_fake: FakeRouter, client: SmokeClient, clock: VirtualClock) -> None:
    with client:
        client.provision(SPEC, "mine")
        assert not client.poll("mine").found
        clock.advance(60)
        assert client.poll("mine").status == "running"
    assert [request.at for request in smoke_fake.requests] == [100, 100, 160]
