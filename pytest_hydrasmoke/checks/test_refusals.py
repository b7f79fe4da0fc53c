"""The router refuses what it must refuse, and says why."""

from __future__ import annotations

import dataclasses
import uuid

import pytest

from pytest_hydrasmoke import (
    HydraSmokeConfig,
    InstanceSpec,
    RejectedError,
    SmokeClient,
    SmokeInstance,
    SmokeInstanceFactory,
    UnauthorizedError,
)
from pytest_hydrasmoke._chat import Reading
from pytest_hydrasmoke._io import SyncIO
from pytest_hydrasmoke._redact import Token
from pytest_hydrasmoke.client import RunClient

WRONG = Token("not-the-token-of-this-router")


def test_malformed_instance_id_is_rejected(smoke_client: SmokeClient) -> None:
    with pytest.raises(RejectedError) as refused:
        smoke_client.status("not-a-uuid")
    assert "instance_id" in refused.value.detail


def test_overlong_message_is_rejected(
    smoke_client: SmokeClient, smoke_instance: SmokeInstance
) -> None:
    with (
        pytest.raises(RejectedError) as refused,
        smoke_client.stream_chat(smoke_instance.id, "x" * 4001),
    ):
        pytest.fail("the router took a message of 4,001 characters")
    assert "message" in refused.value.detail


# The router might take these after all. So each is owned before it is asked for, under a key of the
# run that takes no slot, and deleted at the end of the `with`.


@pytest.mark.parametrize(
    ("field", "limit"), [("manifest_id", 100), ("region_id", 80), ("tier_id", 80)]
)
def test_overlong_field_is_rejected(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_spec: InstanceSpec,
    smoke_config: HydraSmokeConfig,
    field: str,
    limit: int,
) -> None:
    spec = smoke_spec.model_copy(update={field: "x" * (limit + 1)})
    key = f"{smoke_config.run_id}-overlong_{field}"
    with (
        pytest.raises(RejectedError) as refused,
        smoke_instance_factory.session.provision_key(spec, key),
    ):
        pytest.fail(f"the router took a {field} of {limit + 1} characters")
    assert field in refused.value.detail


def test_overlong_idempotency_key_is_rejected(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_spec: InstanceSpec,
    smoke_config: HydraSmokeConfig,
) -> None:
    key = f"{smoke_config.run_id}-overlong_".ljust(256, "x")
    with (
        pytest.raises(RejectedError) as refused,
        smoke_instance_factory.session.provision_key(smoke_spec, key),
    ):
        pytest.fail("the router took an idempotency key of 256 characters")
    assert "idempotency_key" in refused.value.detail


@pytest.mark.parametrize("token", ["missing", "wrong"])
def test_token_is_required(
    smoke_config: HydraSmokeConfig, smoke_client: SmokeClient, token: str
) -> None:
    # On calls that only read: if the router lets one through, nothing has happened.
    link = dataclasses.replace(smoke_config.link, token=None if token == "missing" else WRONG)
    assert isinstance(smoke_client, RunClient)
    known = smoke_client.observer, smoke_client.log_of
    with RunClient(SyncIO(link), Reading(), *known) as stranger:
        with pytest.raises(UnauthorizedError):
            stranger.poll(f"{smoke_config.run_id}-0")
        with pytest.raises(UnauthorizedError):
            stranger.status(str(uuid.uuid4()))
        with pytest.raises(UnauthorizedError):
            stranger.llm_events(str(uuid.uuid4()))
