"""An instance can be provisioned and found, and it is the only one that its key and id name."""

from __future__ import annotations

import math
import secrets
import uuid
from collections.abc import Callable
from functools import partial

import pytest

from pytest_hydrasmoke import InstanceSpec, RouterError, SmokeInstance
from pytest_hydrasmoke._base import clock

from ._router import SOON, CheckedRouter, begin_chat, broken, like
from ._router import smoke_router as smoke_router
from ._usage import chat_once, see_aged, youngest_of


def test_instance_becomes_ready(smoke_router: CheckedRouter, smoke_instance: SmokeInstance) -> None:
    status, ready = smoke_instance.status().status, smoke_router.config.ready_statuses
    if status.lower() not in ready:
        broken(
            "the instance was ready, and no longer is",
            expected=f"status: {', '.join(sorted(ready))}",
            got=f"status: {status!r}",
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
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    key, ready = _key_of(smoke_instance), smoke_router.config.ready_statuses
    # That it is ready may come a moment later here than in its status; a word comes at once.
    end = clock.now() + SOON
    while (word := _word_of(key, smoke_instance, smoke_router)) not in ready:
        if not word or clock.now() > end:
            broken(
                "poll does not give the status of an instance that it found",
                expected=f"status: {', '.join(sorted(ready))}",
                got=f"status: {word!r}",
            )
        clock.pause(0.25)


def test_same_key_twice_is_the_same_instance(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    key = _key_of(smoke_instance)
    spec = smoke_instance.spec
    assert spec is not None
    # "In progress" is no second instance either.
    echoed = _provision_again(
        smoke_router, smoke_instance, spec, may_refuse=lambda code: code == 409
    )
    if echoed not in (None, key):
        broken(
            "provision answered for another idempotency key",
            expected=f"idempotency_key: {key}",
            got=f"idempotency_key: {echoed}",
        )
    _see_named(smoke_router, smoke_instance)


def test_same_key_with_another_body_is_the_same_instance(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    _, spec = _key_of(smoke_instance), smoke_instance.spec
    assert spec is not None
    for field, value in spec.model_dump().items():
        other = spec.model_copy(update={field: f"{value or 'smoke'}-x"[-80:]})
        # Nothing says how such a request is refused.
        _provision_again(smoke_router, smoke_instance, other, may_refuse=lambda code: code < 500)
        _see_named(smoke_router, smoke_instance)
        status = smoke_instance.status().status
        if status.lower() not in smoke_router.config.ready_statuses:
            broken(
                "a second provision changed the instance",
                expected=f"status: as before, when the same key comes with another {field}",
                got=f"status: {status!r}",
            )


def test_unknown_key_is_not_found(smoke_router: CheckedRouter) -> None:
    smoke_router.knows_no(f"{smoke_router.config.run_id}-unknown-{secrets.token_hex(8)}")


def test_key_that_is_like_another_is_not_found(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    for unlike in like(_key_of(smoke_instance)):
        smoke_router.knows_no(unlike)


def test_unknown_instance_is_not_found(smoke_router: CheckedRouter) -> None:
    unknown = str(uuid.uuid4())
    smoke_router.finds_none("status", partial(smoke_router.client.status, unknown))
    smoke_router.finds_none("llm_events", partial(smoke_router.client.llm_events, unknown))


def test_unknown_instance_takes_no_chat(smoke_router: CheckedRouter) -> None:
    unknown = str(uuid.uuid4())
    smoke_router.finds_none(
        "chat", partial(begin_chat, smoke_router.client, unknown, smoke_router.config.prompt)
    )


def test_llm_events_window_is_of_seconds(
    smoke_router: CheckedRouter, smoke_instance: SmokeInstance
) -> None:
    chat_once(smoke_router, smoke_instance)
    # An earlier check may have looked at it already, and then there is nothing to wait for.
    youngest = youngest_of(smoke_instance)
    if math.isinf(youngest.found_at):
        see_aged(youngest, smoke_router.config.llm_events_timeout)
    smoke_router.wait_until(youngest.ripe)
    youngest.find()
    # A second for a router whose times have no fractions.
    if youngest.since - youngest.until > 1 and not youngest.is_another:
        apart = youngest.since - youngest.until
        broken(
            "llm_events does not count over windows of seconds",
            expected="one time of the youngest LLM event, whatever window it is seen in",
            got=f"two times, {apart:.1f} s apart, as windows of 1 s and more tell it",
        )


def _word_of(key: str, instance: SmokeInstance, router: CheckedRouter) -> str:
    found = router.client.poll(key)
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


def _provision_again(
    router: CheckedRouter,
    instance: SmokeInstance,
    spec: InstanceSpec,
    may_refuse: Callable[[int], bool],
) -> str | None:
    """Return the key that is answered for; None if the router may refuse with this code, and does.

    What the key stands for after a refusal, poll tells.
    """
    try:
        again = router.client.provision(spec, _key_of(instance))
    except RouterError as error:
        if not may_refuse(error.status_code):
            raise
        return None
    if again.instance_id not in (None, instance.id):
        router.discard(again.instance_id)
        _two_instances(instance, again.instance_id)
    return again.idempotency_key


def _see_named(router: CheckedRouter, instance: SmokeInstance) -> None:
    """See that its key names it alone."""
    named = router.client.poll(_key_of(instance)).instance_id
    if named != instance.id:
        # Both are deleted at the end of the run, where the key is asked what it names.
        _two_instances(instance, named)


def _two_instances(instance: SmokeInstance, other: str | None) -> None:
    broken(
        "there is a second instance for one key",
        expected=f"instance_id: {instance.id}, however often it is provisioned",
        got=f"instance_id: {other}",
    )
