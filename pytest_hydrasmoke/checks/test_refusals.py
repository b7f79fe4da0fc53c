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


def test_malformed_instance_id_is_rejected(
    smoke_client: SmokeClient, request: pytest.FixtureRequest
) -> None:
    rejected(
        request,
        "status",
        f"the status of {NO_ID!r}",
        "instance_id",
        lambda: smoke_client.status(NO_ID),
    )


@pytest.mark.parametrize("call", ["chat", "llm_events", "delete"])
def test_malformed_instance_id_is_rejected_by(
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    call: str,
    request: pytest.FixtureRequest,
) -> None:
    asks = {
        "chat": lambda: begin_chat(smoke_client, NO_ID, smoke_config.prompt),
        "llm_events": lambda: smoke_client.llm_events(NO_ID, None),
        "delete": lambda: smoke_client.delete(NO_ID),
    }
    rejected(request, call, f"{call} of {NO_ID!r}", "instance_id", asks[call])


def test_longest_message_is_taken(
    smoke_client: SmokeClient,
    smoke_instance: SmokeInstance,
    smoke_config: HydraSmokeConfig,
    request: pytest.FixtureRequest,
) -> None:
    # Its characters are what counts: the last one has more than a byte. It is not the first chat,
    # and that must not be the only one that is counted.
    message = smoke_config.prompt[:3999].ljust(3999) + "…"
    see_counted(request, smoke_client, smoke_instance, message, smoke_config)


def test_overlong_message_is_rejected(
    smoke_client: SmokeClient, smoke_instance: SmokeInstance, request: pytest.FixtureRequest
) -> None:
    rejected(
        request,
        "chat",
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
    request: pytest.FixtureRequest,
) -> None:
    # The others are as long as they may be, and so none of them is to be named.
    longest = {name: "x" * most for name, most in LIMITS.items() if name != "idempotency_key"}
    spec = smoke_spec.model_copy(update={**longest, field: "x" * (limit + 1)})
    name = _long(f"overlong_{field}_", LIMITS["idempotency_key"], smoke_config)
    rejected(
        request,
        "provision",
        f"a {field} of {limit + 1} characters",
        field,
        lambda: provision(smoke_instance_factory, smoke_client, spec, name),
    )


def test_overlong_idempotency_key_is_rejected(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_client: SmokeClient,
    smoke_spec: InstanceSpec,
    smoke_config: HydraSmokeConfig,
    request: pytest.FixtureRequest,
) -> None:
    length = LIMITS["idempotency_key"] + 1
    name = _long("overlong_", length, smoke_config)
    rejected(
        request,
        "provision",
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
    request: pytest.FixtureRequest,
) -> None:
    with smoke_client.without(field) as client:
        rejected(
            request,
            "provision",
            f"a provision without {field}",
            field,
            lambda: provision(smoke_instance_factory, client, smoke_spec, f"without_{field}"),
        )


def test_missing_message_is_rejected(
    smoke_client: SmokeClient,
    smoke_instance: SmokeInstance,
    smoke_config: HydraSmokeConfig,
    request: pytest.FixtureRequest,
) -> None:
    with smoke_client.without("message") as client:
        rejected(
            request,
            "chat",
            "a chat without message",
            "message",
            lambda: begin_chat(client, smoke_instance.id, smoke_config.prompt),
        )


def _long(name: str, length: int, config: HydraSmokeConfig) -> str:
    """Return a name whose key, which the run's id begins, has so many characters."""
    return name.ljust(length - len(f"{config.run_id}-"), "x")


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required(
    smoke_config: HydraSmokeConfig,
    smoke_client: SmokeClient,
    token: str,
    request: pytest.FixtureRequest,
) -> None:
    # On calls that only read, about what there is not.
    unknown = str(uuid.uuid4())
    with calling(smoke_config, smoke_client, token) as stranger:
        refused(request, "poll", token, lambda: stranger.poll(f"{smoke_config.run_id}-unknown"))
        refused(request, "status", token, lambda: stranger.status(unknown))
        refused(request, "llm_events", token, lambda: stranger.llm_events(unknown))


@pytest.mark.parametrize("token", [*STRANGERS, "longer"])
def test_token_is_required_to_read_an_instance(
    smoke_instance: SmokeInstance,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    token: str,
    request: pytest.FixtureRequest,
) -> None:
    instance_id = smoke_instance.id
    key = smoke_instance.idempotency_key or f"{smoke_config.run_id}-0"
    with calling(smoke_config, smoke_client, token) as stranger:
        refused(request, "poll", token, lambda: stranger.poll(key))
        refused(request, "status", token, lambda: stranger.status(instance_id))
        refused(request, "llm_events", token, lambda: stranger.llm_events(instance_id))


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required_to_chat(
    smoke_instance: SmokeInstance,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    token: str,
    request: pytest.FixtureRequest,
) -> None:
    with calling(smoke_config, smoke_client, token) as stranger:
        refused(
            request,
            "chat",
            token,
            lambda: begin_chat(stranger, smoke_instance.id, smoke_config.prompt),
        )


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required_to_provision(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_instance: SmokeInstance,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    smoke_spec: InstanceSpec,
    token: str,
    request: pytest.FixtureRequest,
) -> None:
    with (
        calling(smoke_config, smoke_client, token) as stranger,
        smoke_instance_factory.own(f"stranger_{token}") as key,
    ):
        provision_refused(request, stranger, token, smoke_spec, key, smoke_client)
        provision_again_refused(request, stranger, token, smoke_instance, smoke_client)


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required_to_delete(
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    token: str,
    request: pytest.FixtureRequest,
) -> None:
    with calling(smoke_config, smoke_client, token) as stranger:
        refused(request, "delete", token, lambda: stranger.delete(str(uuid.uuid4())))


def test_token_that_is_nearly_right_is_refused(
    smoke_instance: SmokeInstance,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    request: pytest.FixtureRequest,
) -> None:
    # Those that do something are tried where it is about to be deleted.
    instance_id, key = smoke_instance.id, smoke_instance.idempotency_key
    for token in nearly_right(smoke_config):
        with calling(smoke_config, smoke_client, token) as stranger:
            refused(
                request, "poll", token, lambda: stranger.poll(key or f"{smoke_config.run_id}-0")
            )
            refused(request, "status", token, lambda: stranger.status(instance_id))
            refused(request, "llm_events", token, lambda: stranger.llm_events(instance_id))


def test_token_that_is_nearly_right_is_refused_to_provision(
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_instance: SmokeInstance,
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    smoke_spec: InstanceSpec,
    request: pytest.FixtureRequest,
) -> None:
    for token in nearly_right(smoke_config):
        # A new key each time: a router that carries out what it refuses would make many for one.
        name = f"stranger_{token.replace('-', '_')}"
        with (
            calling(smoke_config, smoke_client, token) as stranger,
            smoke_instance_factory.own(name) as key,
        ):
            provision_refused(request, stranger, token, smoke_spec, key, smoke_client)
            provision_again_refused(request, stranger, token, smoke_instance, smoke_client)
