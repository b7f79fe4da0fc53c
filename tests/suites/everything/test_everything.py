"""A test for each fixture that makes a test a smoke test."""

from __future__ import annotations

import pytest

FIXTURES = (
    "smoke_instance",
    "smoke_instance_factory",
    "async_smoke_instance",
    "async_smoke_instance_factory",
    "smoke_client",
    "async_smoke_client",
    "smoke_spec",
    "smoke_config",
)


@pytest.mark.parametrize("name", FIXTURES)
def test_by_name(name: str, request: pytest.FixtureRequest) -> None:
    # Asked for at run time: no marker, but skipped all the same.
    assert request.getfixturevalue(name) is not None


class TestByArgument:
    def test_instance(self, smoke_instance: object) -> None: ...

    def test_instance_factory(self, smoke_instance_factory: object) -> None: ...

    def test_async_instance(self, async_smoke_instance: object) -> None: ...

    def test_async_instance_factory(self, async_smoke_instance_factory: object) -> None: ...

    def test_client(self, smoke_client: object) -> None: ...

    def test_async_client(self, async_smoke_client: object) -> None: ...

    def test_spec(self, smoke_spec: object) -> None: ...

    def test_config(self, smoke_config: object) -> None: ...
