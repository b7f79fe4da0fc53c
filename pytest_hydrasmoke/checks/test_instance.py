"""An instance can be provisioned and found, and it is the only one that its key and id name."""

from __future__ import annotations

import math
import secrets
import uuid

import pytest

from pytest_hydrasmoke import HydraSmokeConfig, RouterError, SmokeClient, SmokeInstance
from pytest_hydrasmoke._base import clock

from ._strangers import SOON, begin_chat, broken, discard, like, not_found, see_unknown, wait_until
from ._usage import chat_once, see_aged, youngest_of


def test_instance_becomes_ready(
    smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig
) -> None:
    status = smoke_instance.status()
    if status.status.lower() not in smoke_config.ready_statuses:
        broken(
            "the instance was ready, and no longer is",
            expected=f"status: {', '.join(sorted(smoke_config.ready_statuses))}",
            got=f"status: {status.status!r}",
        )


def test_ready_instance_has_a_hostname(smoke_instance: SmokeInstance) -> None:
    # It may be null before boot; a moment's delay after it is none of a smoke test's concern.
    end = clock.now() + SOON
    while not (status := smoke_instance.status()).hostname:
        if clock.now() > end:
            told = "hostname" in status.model_fields_set
            broken(
                "a ready instance has no hostname",
                expected="hostname: a name, once it is ready",
                got=f"hostname: {status.hostname!r}" if told else "hostname: no such field",
            )
        clock.pause(0.25)


def test_key_of_an_instance_is_found(
    smoke_instance: SmokeInstance, smoke_client: SmokeClient, smoke_config: HydraSmokeConfig
) -> None:
    key = _key_of(smoke_instance)
    # That it is ready may come a moment later here than in its status; a word comes at once.
    end = clock.now() + SOON
    while (word := _word_of(key, smoke_instance, smoke_client)) not in smoke_config.ready_statuses:
        if not word or clock.now() > end:
            broken(
                "poll does not give the status of an instance that it found",
                expected=f"status: {', '.join(sorted(smoke_config.ready_statuses))}",
                got=f"status: {word!r}",
            )
        clock.pause(0.25)


def test_same_key_twice_is_the_same_instance(
    smoke_instance: SmokeInstance, smoke_client: SmokeClient
) -> None:
    key, spec = _key_of(smoke_instance), smoke_instance.spec
    assert spec is not None
    try:
        again = smoke_client.provision(spec, key)
    except RouterError as error:
        # "In progress" is no second instance either; what the key stands for, poll tells.
        if error.status_code != 409:
            raise
    else:
        if again.instance_id not in (None, smoke_instance.id):
            discard(smoke_client, again.instance_id)
            _two_instances(smoke_instance, again.instance_id)
        if again.idempotency_key != key:
            broken(
                "provision answered for another idempotency key",
                expected=f"idempotency_key: {key}",
                got=f"idempotency_key: {again.idempotency_key}",
            )
    named = smoke_client.poll(key).instance_id
    if named != smoke_instance.id:
        # Both are deleted at the end of the run, where the key is asked what it names.
        _two_instances(smoke_instance, named)


def test_same_key_with_another_body_is_the_same_instance(
    smoke_instance: SmokeInstance, smoke_client: SmokeClient, smoke_config: HydraSmokeConfig
) -> None:
    key, spec = _key_of(smoke_instance), smoke_instance.spec
    assert spec is not None
    for field, value in spec.model_dump().items():
        other = spec.model_copy(update={field: f"{value or 'smoke'}-x"[-80:]})
        try:
            again = smoke_client.provision(other, key)
        except RouterError as error:
            # What the key stands for, poll tells; nothing says how such a request is refused.
            if error.status_code >= 500:
                raise
        else:
            if again.instance_id not in (None, smoke_instance.id):
                discard(smoke_client, again.instance_id)
                _two_instances(smoke_instance, again.instance_id)
        named = smoke_client.poll(key).instance_id
        if named != smoke_instance.id:
            _two_instances(smoke_instance, named)
        status = smoke_instance.status().status
        if status.lower() not in smoke_config.ready_statuses:
            broken(
                "a second provision changed the instance",
                expected=f"status: as before, when the same key comes with another {field}",
                got=f"status: {status!r}",
            )


def test_unknown_key_is_not_found(
    smoke_client: SmokeClient, smoke_config: HydraSmokeConfig
) -> None:
    see_unknown(smoke_client, f"{smoke_config.run_id}-unknown-{secrets.token_hex(8)}")


def test_key_that_is_like_another_is_not_found(
    smoke_instance: SmokeInstance, smoke_client: SmokeClient
) -> None:
    key = _key_of(smoke_instance)
    for unlike in like(key):
        see_unknown(smoke_client, unlike)


def test_unknown_instance_is_not_found(
    smoke_client: SmokeClient, request: pytest.FixtureRequest
) -> None:
    unknown = str(uuid.uuid4())
    not_found(request, "status", lambda: smoke_client.status(unknown))
    not_found(request, "llm_events", lambda: smoke_client.llm_events(unknown))


def test_unknown_instance_takes_no_chat(
    smoke_client: SmokeClient, smoke_config: HydraSmokeConfig, request: pytest.FixtureRequest
) -> None:
    unknown, message = str(uuid.uuid4()), smoke_config.prompt
    not_found(request, "chat", lambda: begin_chat(smoke_client, unknown, message))


def test_llm_events_window_is_of_seconds(
    smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig, request: pytest.FixtureRequest
) -> None:
    chat_once(request, smoke_instance, smoke_config)
    # An earlier check may have looked at it already, and then there is nothing to wait for.
    youngest = youngest_of(smoke_instance)
    if math.isinf(youngest.found_at):
        see_aged(youngest, smoke_config)
    wait_until(youngest.ripe, request.config)
    youngest.find()
    # A second for a router whose times have no fractions.
    if youngest.since - youngest.until > 1 and not youngest.is_another:
        apart = youngest.since - youngest.until
        broken(
            "llm_events does not count over windows of seconds",
            expected="one time of the youngest LLM event, whatever window it is seen in",
            got=f"two times, {apart:.1f} s apart, as windows of 1 s and more tell it",
        )


def _word_of(key: str, instance: SmokeInstance, client: SmokeClient) -> str:
    found = client.poll(key)
    if not found.found or found.instance_id != instance.id:
        broken(
            "poll does not find an instance by its key",
            expected=f"found: true, instance_id: {instance.id}",
            got=f"found: {str(found.found).lower()}, instance_id: {found.instance_id}",
        )
    return (found.status or "").strip().lower()


def _key_of(instance: SmokeInstance) -> str:
    if instance.idempotency_key is None:
        pytest.skip(f"attached to {instance.id}: nothing is provisioned")
    return instance.idempotency_key


def _two_instances(instance: SmokeInstance, other: str | None) -> None:
    broken(
        "there is a second instance for one key",
        expected=f"instance_id: {instance.id}, however often it is provisioned",
        got=f"instance_id: {other}",
    )
