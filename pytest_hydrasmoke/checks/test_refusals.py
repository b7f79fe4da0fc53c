"""The router refuses what it must refuse, and says why; what is just within its limits it does not.

It might take what it must refuse, so nothing is tried that could do harm. Each provision is owned
before it is asked for, under a key of the run that takes no slot, and deleted before the check
ends; an existing instance's key is used only where that has made nothing. A chat is left as soon as
it is taken; deleted is what there is not. (What there is, is tried in `test_deletion`, where it is
about to be deleted.)
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

from ._strangers import (
    LIMITS,
    STRANGERS,
    begin_chat,
    calling,
    nearly_right,
    provision,
    provision_again_refused,
    provision_refused,
    refused,
    rejected,
)
from ._usage import see_counted

NO_ID = "not-a-uuid"


def test_malformed_instance_id_is_rejected(smoke_client: SmokeClient) -> None:
    rejected(f"the status of {NO_ID!r}", "instance_id", lambda: smoke_client.status(NO_ID))


@pytest.mark.parametrize("call", ["chat", "llm_events", "delete"])
def test_malformed_instance_id_is_rejected_by(
    smoke_client: SmokeClient, smoke_config: HydraSmokeConfig, call: str
) -> None:
    asks = {
        "chat": lambda: begin_chat(smoke_client, NO_ID, smoke_config.prompt),
        "llm_events": lambda: smoke_client.llm_events(NO_ID, None),
        "delete": lambda: smoke_client.delete(NO_ID),
    }
    rejected(f"{call} of {NO_ID!r}", "instance_id", asks[call])


def test_longest_message_is_taken(
    smoke_client: SmokeClient, smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig
) -> None:
    # Its characters are what counts: the last one has more than a byte. It is not the first chat,
    # and that must not be the only one that is counted.
    message = smoke_config.prompt[:3999].ljust(3999) + "…"
    see_counted(smoke_client, smoke_instance, message, smoke_config)


def test_overlong_message_is_rejected(
    smoke_client: SmokeClient, smoke_instance: SmokeInstance
) -> None:
    rejected(
        "a message of 4001 characters",
        "message",
        lambda: begin_chat(smoke_client, smoke_instance.id, "x" * 4001),
    )


@pytest.mark.parametrize(
    ("field", "limit"), [("manifest_id", 100), ("region_id", 80), ("tier_id", 80)]
)
def test_overlong_field_is_rejected(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_client: SmokeClient,
    smoke_spec: InstanceSpec,
    smoke_config: HydraSmokeConfig,
    field: str,
    limit: int,
) -> None:
    # The others are as long as they may be, and so none of them is to be named.
    longest = {name: "x" * most for name, most in LIMITS.items() if name != "idempotency_key"}
    spec = smoke_spec.model_copy(update={**longest, field: "x" * (limit + 1)})
    name = _long(f"overlong_{field}_", LIMITS["idempotency_key"], smoke_config)
    rejected(
        f"a {field} of {limit + 1} characters",
        field,
        lambda: provision(smoke_instance_factory, smoke_client, spec, name),
    )


def test_overlong_idempotency_key_is_rejected(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_client: SmokeClient,
    smoke_spec: InstanceSpec,
    smoke_config: HydraSmokeConfig,
) -> None:
    length = LIMITS["idempotency_key"] + 1
    name = _long("overlong_", length, smoke_config)
    rejected(
        f"an idempotency key of {length} characters",
        "idempotency_key",
        lambda: provision(smoke_instance_factory, smoke_client, smoke_spec, name),
    )


@pytest.mark.parametrize("field", ["manifest_id", "region_id", "tier_id"])
def test_missing_field_is_rejected(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_client: SmokeClient,
    smoke_spec: InstanceSpec,
    field: str,
) -> None:
    with smoke_client.without(field) as client:
        rejected(
            f"a provision without {field}",
            field,
            lambda: provision(smoke_instance_factory, client, smoke_spec, f"without_{field}"),
        )


def test_missing_message_is_rejected(
    smoke_client: SmokeClient, smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig
) -> None:
    with smoke_client.without("message") as client:
        rejected(
            "a chat without message",
            "message",
            lambda: begin_chat(client, smoke_instance.id, smoke_config.prompt),
        )


def _long(name: str, length: int, config: HydraSmokeConfig) -> str:
    """Return a name whose key, which the run's id begins, has so many characters."""
    return name.ljust(length - len(f"{config.run_id}-"), "x")


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required(
    smoke_config: HydraSmokeConfig, smoke_client: SmokeClient, token: str
) -> None:
    # On calls that only read, about what there is not.
    unknown = str(uuid.uuid4())
    with calling(smoke_config, smoke_client, token) as stranger:
        refused("poll", token, lambda: stranger.poll(f"{smoke_config.run_id}-unknown"))
        refused("status", token, lambda: stranger.status(unknown))
        refused("llm_events", token, lambda: stranger.llm_events(unknown))


@pytest.mark.parametrize("token", [*STRANGERS, "longer"])
def test_token_is_required_to_read_an_instance(
    smoke_instance: SmokeInstance,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    token: str,
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
    token: str,
) -> None:
    with calling(smoke_config, smoke_client, token) as stranger:
        refused("chat", token, lambda: begin_chat(stranger, smoke_instance.id, smoke_config.prompt))


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required_to_provision(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_instance: SmokeInstance,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    smoke_spec: InstanceSpec,
    token: str,
) -> None:
    with (
        calling(smoke_config, smoke_client, token) as stranger,
        smoke_instance_factory.own(f"stranger_{token}") as key,
    ):
        provision_refused(stranger, token, smoke_spec, key, smoke_client)
        provision_again_refused(stranger, token, smoke_instance, smoke_client)


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required_to_delete(
    smoke_client: SmokeClient, smoke_config: HydraSmokeConfig, token: str
) -> None:
    with calling(smoke_config, smoke_client, token) as stranger:
        refused("delete", token, lambda: stranger.delete(str(uuid.uuid4())))


def test_token_that_is_nearly_right_is_refused(
    smoke_instance: SmokeInstance,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
) -> None:
    # Those that do something are tried where it is about to be deleted.
    instance_id, key = smoke_instance.id, smoke_instance.idempotency_key
    for token in nearly_right(smoke_config):
        with calling(smoke_config, smoke_client, token) as stranger:
            refused("poll", token, lambda: stranger.poll(key or f"{smoke_config.run_id}-0"))
            refused("status", token, lambda: stranger.status(instance_id))
            refused("llm_events", token, lambda: stranger.llm_events(instance_id))


def test_token_that_is_nearly_right_is_refused_to_provision(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_instance: SmokeInstance,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    smoke_spec: InstanceSpec,
) -> None:
    for token in nearly_right(smoke_config):
        # A new key each time: a router that carries out what it refuses would make many for one.
        name = f"stranger_{token.replace('-', '_')}"
        with (
            calling(smoke_config, smoke_client, token) as stranger,
            smoke_instance_factory.own(name) as key,
        ):
            provision_refused(stranger, token, smoke_spec, key, smoke_client)
            provision_again_refused(stranger, token, smoke_instance, smoke_client)
