"""An instance can be provisioned and found."""

from __future__ import annotations

import secrets
import uuid

import pytest

from pytest_hydrasmoke import (
    HydraSmokeConfig,
    NotFoundError,
    RouterError,
    SmokeClient,
    SmokeInstance,
)


def test_instance_becomes_ready(
    smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig
) -> None:
    status = smoke_instance.status()
    assert status.id.lower() == smoke_instance.id.lower()
    assert status.status.lower() in smoke_config.ready_statuses


def test_same_key_twice_is_the_same_instance(
    smoke_instance: SmokeInstance, smoke_client: SmokeClient
) -> None:
    key, spec = smoke_instance.idempotency_key, smoke_instance.spec
    if key is None or spec is None:
        pytest.skip(f"attached to {smoke_instance.id}: nothing is provisioned")
    try:
        again = smoke_client.provision(spec, key)
    except RouterError as error:
        # "In progress" is no second instance either; what the key stands for, poll tells.
        if error.status_code != 409:
            raise
    else:
        assert again.idempotency_key == key
        assert again.instance_id in (None, smoke_instance.id)
    assert smoke_client.poll(key).instance_id == smoke_instance.id


def test_unknown_key_is_not_found(
    smoke_client: SmokeClient, smoke_config: HydraSmokeConfig
) -> None:
    unknown = f"{smoke_config.run_id}-unknown-{secrets.token_hex(8)}"
    assert not smoke_client.poll(unknown).found


def test_unknown_instance_is_not_found(smoke_client: SmokeClient) -> None:
    unknown = str(uuid.uuid4())
    with pytest.raises(NotFoundError):
        smoke_client.status(unknown)
    with pytest.raises(NotFoundError):
        smoke_client.llm_events(unknown)
