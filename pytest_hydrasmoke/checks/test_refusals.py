"""The router refuses what it must refuse, and says why; what is just within its limits it does not.

It might take what it must refuse, so nothing is tried that could do harm. Each provision is owned
before it is asked for, under a key of the run that takes no slot, and deleted before the check
ends; an existing instance's key is used only where that has made nothing. A chat is left as soon as
it is taken; deleted is what there is not. (What there is, is tried in `test_deletion`, where it is
about to be deleted.)
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial

import pytest

from pytest_hydrasmoke import InstanceSpec, SmokeClient, SmokeInstance, SmokeInstanceFactory

from ._router import LIMITS, CheckedRouter, begin_chat
from ._router import smoke_router as smoke_router
from ._strangers import STRANGERS, calling, nearly_right
from ._usage import see_counted

NO_ID = "not-a-uuid"


def test_malformed_instance_id_is_rejected(smoke_router: CheckedRouter) -> None:
    ask = partial(smoke_router.client.status, NO_ID)
    smoke_router.rejects("status", f"the status of {NO_ID!r}", "instance_id", ask)


@pytest.mark.parametrize("call", ["chat", "llm_events", "delete"])
def test_malformed_instance_id_is_rejected_by(smoke_router: CheckedRouter, call: str) -> None:
    asks: dict[str, Callable[[], object]] = {
        "chat": partial(begin_chat, smoke_router.client, NO_ID, smoke_router.config.prompt),
        "llm_events": partial(smoke_router.client.llm_events, NO_ID, None),
        "delete": partial(smoke_router.client.delete, NO_ID),
    }
    smoke_router.rejects(call, f"{call} of {NO_ID!r}", "instance_id", asks[call])


def test_longest_message_is_taken(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    # Its characters are what counts: the last one has more than a byte. It is not the first chat,
    # and that must not be the only one that is counted.
    see_counted(smoke_router, smoke_instance, smoke_router.config.prompt[:3999].ljust(3999) + "…")


def test_overlong_message_is_rejected(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    ask = partial(begin_chat, smoke_router.client, smoke_instance.id, "x" * 4001)
    smoke_router.rejects("chat", "a message of 4001 characters", "message", ask)


@pytest.mark.parametrize(
    ("field", "limit"), [("manifest_id", 100), ("region_id", 80), ("tier_id", 80)]
)
def test_overlong_field_is_rejected(
    smoke_router: CheckedRouter,
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_spec: InstanceSpec,
    field: str,
    limit: int,
) -> None:
    # The others are as long as they may be, and so none of them is to be named.
    longest = {name: "x" * most for name, most in LIMITS.items() if name != "idempotency_key"}
    spec = smoke_spec.model_copy(update={**longest, field: "x" * (limit + 1)})
    name = _long(f"overlong_{field}_", LIMITS["idempotency_key"], smoke_router)
    ask = partial(_provision, smoke_instance_factory, smoke_router.client, spec, name)
    smoke_router.rejects("provision", f"a {field} of {limit + 1} characters", field, ask)


def test_overlong_idempotency_key_is_rejected(
    smoke_router: CheckedRouter,
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_spec: InstanceSpec,
) -> None:
    field = "idempotency_key"
    length = LIMITS[field] + 1
    name = _long("overlong_", length, smoke_router)
    ask = partial(_provision, smoke_instance_factory, smoke_router.client, smoke_spec, name)
    smoke_router.rejects("provision", f"an idempotency key of {length} characters", field, ask)


@pytest.mark.parametrize("field", ["manifest_id", "region_id", "tier_id"])
def test_missing_field_is_rejected(
    smoke_router: CheckedRouter,
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_spec: InstanceSpec,
    field: str,
) -> None:
    with smoke_router.client.without(field) as client:
        name = f"without_{field}"
        ask = partial(_provision, smoke_instance_factory, client, smoke_spec, name)
        smoke_router.rejects("provision", f"a provision without {field}", field, ask)


def test_missing_message_is_rejected(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    with smoke_router.client.without("message") as client:
        ask = partial(begin_chat, client, smoke_instance.id, smoke_router.config.prompt)
        smoke_router.rejects("chat", "a chat without message", "message", ask)


def _provision(
    factory: SmokeInstanceFactory, client: SmokeClient, spec: InstanceSpec, name: str
) -> None:
    """Provision under a key that takes no slot; what is made of it is deleted."""
    with factory.own(name) as key:
        client.provision(spec, key)


def _long(name: str, length: int, router: CheckedRouter) -> str:
    """Return a name whose key, which the run's id begins, has so many characters."""
    return name.ljust(length - len(f"{router.config.run_id}-"), "x")


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required(smoke_router: CheckedRouter, token: str) -> None:
    # On calls that only read, about what there is not.
    with calling(smoke_router, token) as stranger:
        stranger.is_refused_to_read(f"{smoke_router.config.run_id}-unknown", str(uuid.uuid4()))


@pytest.mark.parametrize("token", [*STRANGERS, "longer"])
def test_token_is_required_to_read_an_instance(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance, token: str
) -> None:
    _see_not_read(smoke_router, smoke_instance, token)


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required_to_chat(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance, token: str
) -> None:
    with calling(smoke_router, token) as stranger:
        stranger.is_refused_to_chat(smoke_instance.id)


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required_to_provision(
    smoke_router: CheckedRouter,
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_instance: SmokeInstance,
    smoke_spec: InstanceSpec,
    token: str,
) -> None:
    _see_not_provisioned(smoke_router, smoke_instance_factory, smoke_instance, smoke_spec, token)


@pytest.mark.parametrize("token", STRANGERS)
def test_token_is_required_to_delete(smoke_router: CheckedRouter, token: str) -> None:
    with calling(smoke_router, token) as stranger:
        stranger.is_refused("delete", str(uuid.uuid4()))


def test_token_that_is_nearly_right_is_refused(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    # Those that do something are tried where it is about to be deleted.
    for token in nearly_right(smoke_router):
        _see_not_read(smoke_router, smoke_instance, token)


def test_token_that_is_nearly_right_is_refused_to_provision(
    smoke_router: CheckedRouter,
    smoke_instance_factory: SmokeInstanceFactory,
    smoke_instance: SmokeInstance,
    smoke_spec: InstanceSpec,
) -> None:
    for token in nearly_right(smoke_router):
        # A new key each time: a router that carries out what it refuses would make many for one.
        _see_not_provisioned(
            smoke_router, smoke_instance_factory, smoke_instance, smoke_spec, token
        )


def _see_not_read(router: CheckedRouter, instance: SmokeInstance, token: str) -> None:
    """See all calls refused that only read of an instance."""
    key = instance.idempotency_key or f"{router.config.run_id}-0"
    with calling(router, token) as stranger:
        stranger.is_refused_to_read(key, instance.id)


def _see_not_provisioned(
    router: CheckedRouter,
    factory: SmokeInstanceFactory,
    instance: SmokeInstance,
    spec: InstanceSpec,
    token: str,
) -> None:
    """See a provision refused, under a key of its own and under an instance's."""
    name = f"stranger_{token.replace('-', '_')}"
    with calling(router, token) as stranger, factory.own(name) as key:
        stranger.is_refused_to_provision(spec, key, instance)
