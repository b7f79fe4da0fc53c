"""Faults that requests meet, and faults that none meets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_hydrasmoke import InstanceSpec, NotFoundError, SmokeClient
from pytest_hydrasmoke.fake import FakeRouter

SPEC = InstanceSpec(manifest_id="hermes-basic", region_id="eu-central", tier_id="tier-1")
NOBODY = "5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21"


@pytest.fixture
def client(smoke_fake: FakeRouter) -> Iterator[SmokeClient]:
    with SmokeClient(smoke_fake.url, token=smoke_fake.token) as client:
        yield client


@pytest.fixture
def polled_at_its_end(client: SmokeClient) -> Iterator[None]:
    yield
    client.poll("mine")


# What fails at its end


def test_no_chat(smoke_fake: FakeRouter, client: SmokeClient) -> None:
    smoke_fake.fail("chat", status=429)
    client.provision(SPEC, "mine")
    for _ in range(2):
        client.poll("mine")


def test_too_few_polls(smoke_fake: FakeRouter, client: SmokeClient) -> None:
    smoke_fake.drop("poll", after=1)
    smoke_fake.break_stream("split", split_at=[3, 1])
    client.poll("mine")


def test_a_refusal(smoke_fake: FakeRouter, client: SmokeClient) -> None:
    smoke_fake.break_stream("cut")
    with pytest.raises(NotFoundError), client.stream_chat(NOBODY, "hello"):
        pass


def test_nothing_at_all(smoke_fake: FakeRouter) -> None:
    smoke_fake.fail("delete", when="after", retry_after=3, body="no" * 1000)


@pytest.mark.hydra_smoke_runs(2)
def test_in_each_of_two_runs(smoke_fake: FakeRouter) -> None:
    smoke_fake.fail("status")


# What does not


def test_met_once_of_three_times(smoke_fake: FakeRouter, client: SmokeClient) -> None:
    smoke_fake.fail("poll", retry_after=0, times=3)
    smoke_fake.drop("status", optional=True)
    smoke_fake.fail("delete", optional=True)
    smoke_fake.break_stream("cut", optional=True)
    client.poll("mine")


def test_met_while_the_test_ends(smoke_fake: FakeRouter, polled_at_its_end: None) -> None:
    smoke_fake.fail("poll", retry_after=0)


def test_taken_back(smoke_fake: FakeRouter) -> None:
    smoke_fake.fail("poll")
    smoke_fake.reset()


def test_of_a_router_by_hand() -> None:
    with FakeRouter() as router:
        router.fail("poll")


# What is over before


def test_failed(smoke_fake: FakeRouter) -> None:
    smoke_fake.fail("poll")
    pytest.fail("for another reason")


@pytest.mark.xfail(strict=True)
def test_expected_to_fail(smoke_fake: FakeRouter) -> None:
    smoke_fake.fail("poll")
    raise AssertionError


def test_skipped(smoke_fake: FakeRouter) -> None:
    smoke_fake.fail("poll")
    pytest.skip("for a reason")


@pytest.fixture
def broken(smoke_fake: FakeRouter) -> None:
    smoke_fake.fail("poll")
    raise RuntimeError


def test_not_begun(smoke_fake: FakeRouter, broken: None) -> None: ...
