"""Nobody gets anywhere without the router's token, at any of the six calls.

Each is tried where nothing can be harmed. What a router lets a stranger make is owned before it is
asked for, and deleted; a chat that it takes is left at once. (The deletion of an instance that
exists is tried in `test_deletion`, of one that is about to be deleted.)
"""

from __future__ import annotations

import uuid

import pytest

from pytest_hydrasmoke import (
    HydraSmokeConfig,
    InstanceSpec,
    SmokeClient,
    SmokeInstance,
    SmokeInstanceFactory,
)
from pytest_hydrasmoke.checks._strangers import STRANGERS, Whose, calling, refused


@pytest.mark.parametrize("token", [*STRANGERS, "longer"])
def test_token_is_required_to_read_an_instance(
    smoke_instance: SmokeInstance,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    token: Whose,
) -> None:
    instance_id = smoke_instance.id
    key = smoke_instance.idempotency_key or f"{smoke_config.run_id}-0"
    with calling(smoke_config, smoke_client, token) as stranger:
        refused("poll", token, lambda: stranger.poll(key))
        refused("status", token, lambda: stranger.status(instance_id))
        refused("llm_events", token, lambda: stranger.llm_events(instance_id))


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required_to_chat(
    smoke_instance: SmokeInstance,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    token: Whose,
) -> None:
    with calling(smoke_config, smoke_client, token) as stranger:
        refused("chat", token, lambda: stranger.chat(smoke_instance.id, smoke_config.prompt))


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required_to_provision(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    smoke_spec: InstanceSpec,
    token: Whose,
) -> None:
    session, key = smoke_instance_factory.session, f"{smoke_config.run_id}-stranger_{token}"
    with calling(smoke_config, smoke_client, token) as stranger:
        refused("provision", token, lambda: stranger.provision(session, smoke_spec, key))


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required_to_delete(
    smoke_client: SmokeClient, smoke_config: HydraSmokeConfig, token: Whose
) -> None:
    with calling(smoke_config, smoke_client, token) as stranger:
        refused("delete", token, lambda: stranger.delete(str(uuid.uuid4())))
