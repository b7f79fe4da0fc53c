"""The ways in which a test can end; each is run alone or before others."""

from __future__ import annotations

import time

import pytest

from pytest_hydrasmoke import SmokeInstance, SmokeInstanceFactory


def test_fails(smoke_instance: SmokeInstance) -> None:
    raise AssertionError("a failure of the test's own")


def test_passes(smoke_instance: SmokeInstance) -> None: ...


@pytest.mark.xfail(reason="known", raises=AssertionError)
def test_expected_failure(smoke_instance: SmokeInstance) -> None:
    raise AssertionError


def test_skips(smoke_instance: SmokeInstance) -> None:
    pytest.skip("not today")


@pytest.fixture
def broken(smoke_instance: SmokeInstance) -> None:
    raise RuntimeError("broken set-up")


def test_setup(broken: None) -> None: ...


def test_exits(smoke_instance: SmokeInstance) -> None:
    pytest.exit("enough", returncode=7)


def test_hangs(smoke_instance: SmokeInstance, smoke_instance_factory: SmokeInstanceFactory) -> None:
    smoke_instance_factory()
    time.sleep(60)


def test_leaves_two(smoke_instance_factory: SmokeInstanceFactory) -> None:
    smoke_instance_factory.many(2)


def test_factory(smoke_instance_factory: SmokeInstanceFactory) -> None:
    smoke_instance_factory()


def test_plain() -> None: ...
