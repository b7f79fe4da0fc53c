"""What this team's tests share: a way to ask, and one more instance for those that break theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pytest_hydrasmoke import ChatTurn, SmokeInstance, SmokeInstanceFactory


@pytest.fixture
def ask(smoke_instance: SmokeInstance) -> Callable[[str], ChatTurn]:
    """Ask the shared instance something, and see that it comes to an end."""

    def ask(message: str) -> ChatTurn:
        turn = smoke_instance.chat(message)
        assert turn.complete, "the reply broke off"
        return turn

    return ask


@pytest.fixture(scope="module")
def own_instance(smoke_instance_factory: SmokeInstanceFactory) -> Iterator[SmokeInstance]:
    """An instance that nobody else uses, deleted after this module's last test."""
    with smoke_instance_factory(agent_name="nightly") as instance:
        yield instance
