"""A factory's instance that is gone before another test fails."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import RouterError, SmokeInstance, SmokeInstanceFactory


def test_expects_an_error(smoke_instance_factory: SmokeInstanceFactory) -> None:
    with smoke_instance_factory() as instance:
        instance.delete()
        with pytest.raises(RouterError):
            instance.chat("Are you still there?")


def test_fails(smoke_instance: SmokeInstance) -> None:
    raise AssertionError("a failure of the test's own")
