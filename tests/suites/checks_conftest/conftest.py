"""What a project's root conftest says of the bundled checks."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_hydrasmoke import InstanceSpec


@pytest.fixture
def smoke_spec(smoke_spec: InstanceSpec) -> InstanceSpec:
    return smoke_spec.model_copy(update={"agent_name": "of-the-conftest"})


def pytest_collection_modifyitems(items: list[Any]) -> None:
    for item in items:
        if item.name == "test_unknown_key_is_not_found":
            item.add_marker(pytest.mark.skip(reason="of the conftest"))
