"""What was provisioned is gone once it is deleted, by its owner alone, and nothing else with it."""

from __future__ import annotations

import contextlib
import secrets
from functools import partial

import pytest

from pytest_hydrasmoke import (
    ChatTimeoutError,
    HydraSmokeConfig,
    LlmEventsError,
    NotFoundError,
    RejectedError,
    RouterError,
    SmokeClient,
    SmokeInstance,
)
from pytest_hydrasmoke._base import clock

from ._proof import own_instance, proving, works
from ._strangers import (
    DAY,
    LATER,
    SOON,
    begin_chat,
    broken,
    calling,
    like,
    refused,
    see_refused,
    see_unknown,
    strangers,
    wait_until,
)
from ._usage import see_counted

OWN_INSTANCES = 1
"""What is provisioned here beside the shared instance, for whoever counts before a run."""


def test_deletion_is_confirmed_and_a_second_one_does_no_harm(
    smoke_client: SmokeClient,
    smoke_config: HydraSmokeConfig,
    request: pytest.FixtureRequest,
) -> None:
    # Where this check fails, the end of the run deletes it, and tells what it leaves.
    instance = own_instance(request)
    other = _shared(request, smoke_config)
    # A team's hook may chat with whatever is ready, and nobody knows here what that cost.
    spoken_to = request.config.hook.pytest_hydra_smoke_instance_ready.get_hookimpls()
    counts = not spoken_to and works(request, "chat", "llm_events")
    if other is not None:
        _see_apart(instance, other, smoke_client, smoke_config)
        if not spoken_to:
            _see_counted_apart(instance, other, smoke_config, chats=counts)
    _see_strangers_refused(request, instance.id, smoke_client, smoke_config)
    wait_until(clock.now() + LATER, request.config)
    _see_alive(
        instance.id, smoke_client, smoke_config, "stranger's", f"it is gone {LATER:g} s later"
    )
    if not spoken_to:
        _see_nothing_spent(instance)
        if counts and other is not None:
            _see_spent_apart(request, instance, other, smoke_client, smoke_config)
    with proving(request, "delete"):
        told = smoke_client.delete(instance.id).status
    if told.lower() in smoke_config.ready_statuses:
        broken(
            "delete answers that the instance is unchanged",
            expected=f"status: {', '.join(sorted(smoke_config.gone_statuses))}, or the like",
            got=f"status: {told!r}",
        )
    instance.delete()
    _see_gone(smoke_client, instance.id, smoke_config)
    smoke_client.delete(instance.id)
    _see_gone(smoke_client, instance.id, smoke_config)
    _see_silent(request, instance.id, smoke_client, smoke_config)
    if other is not None and _alive(smoke_client, other.id, smoke_config) is None:
        broken(
            "deleting one instance deleted another",
            expected=f"{other.id} as it was",
            got=f"deleted with {instance.id}",
        )


def _shared(request: pytest.FixtureRequest, config: HydraSmokeConfig) -> SmokeInstance | None:
    """Return the instance that all checks share; None where each scope has one of its own.

    Taken only now, so that under xdist others may use it while the check's own one boots.
    """
    if config.scope != "session":
        return None
    shared: SmokeInstance = request.getfixturevalue("smoke_instance")
    return shared


def _see_apart(
    one: SmokeInstance, other: SmokeInstance, client: SmokeClient, config: HydraSmokeConfig
) -> None:
    """See that what is told of an instance is not another's."""
    if one.id == other.id:
        broken("two keys name one instance", expected="one for each", got=one.id)
    if one.hostname is not None and one.hostname == other.hostname:
        broken("two instances have one hostname", expected="one for each", got=one.hostname)
    # Now that both are there: a router may take such a key for another one's.
    see_unknown(client, f"{config.run_id}-unknown-{secrets.token_hex(8)}")
    for each in (one, other):
        key = each.idempotency_key
        named = each.id if key is None else client.poll(key).instance_id
        for unlike in like(key or config.run_id):
            see_unknown(client, unlike)
        if named != each.id:
            broken(
                "poll names another instance than before",
                expected=f"instance_id: {each.id} for {key}",
                got=f"instance_id: {named}",
            )


def _see_counted_apart(
    one: SmokeInstance, other: SmokeInstance, config: HydraSmokeConfig, *, chats: bool
) -> None:
    """See that LLM events are not counted for an instance that nobody has spoken to, `one`.

    With `chats`, somebody speaks to the other one if nobody has done so.
    """
    if chats and other.llm_events(DAY).count == 0:
        # That none come is another check's to tell.
        with contextlib.suppress(LlmEventsError):
            other.chat(config.prompt).expect_llm_events()
    counted = one.llm_events(DAY).count
    if counted:
        broken(
            "LLM events of another instance are counted",
            expected=f"0 LLM events of {one.id}, with which nobody has chatted",
            got=f"{counted}, and {other.llm_events(DAY).count} of {other.id}",
        )


def _see_strangers_refused(
    request: pytest.FixtureRequest,
    instance_id: str,
    client: SmokeClient,
    config: HydraSmokeConfig,
) -> None:
    """Try what must be refused, and would do something: in every way to be a stranger."""
    for token in strangers(config):
        with calling(config, client, token) as stranger:
            chat = partial(begin_chat, stranger, instance_id, config.prompt)
            refused(request, "chat", token, chat)
            refused(request, "delete", token, lambda: stranger.delete(instance_id))
        _see_alive(instance_id, client, config, token, "401 or 403, and it is gone")
    with contextlib.suppress(RejectedError):
        begin_chat(client, instance_id, "x" * 4001)


def _see_alive(
    instance_id: str, client: SmokeClient, config: HydraSmokeConfig, token: str, but: str
) -> None:
    if _alive(client, instance_id, config) is None:
        # As the run's own: it was not another run that did this.
        client.delete(instance_id)
        broken(
            f"delete refused a {token} token, but the instance was deleted",
            expected="401 or 403, and nothing done",
            got=but,
        )


def _see_nothing_spent(instance: SmokeInstance) -> None:
    """See that what was refused has cost nothing: nobody else has spoken to this instance."""
    counted = instance.llm_events(DAY).count
    if counted:
        broken(
            "a refused chat has left LLM events",
            expected=f"0 LLM events of {instance.id}: all chats with it were refused",
            got=str(counted),
        )


def _see_spent_apart(
    request: pytest.FixtureRequest,
    one: SmokeInstance,
    other: SmokeInstance,
    client: SmokeClient,
    config: HydraSmokeConfig,
) -> None:
    """See that a chat with `one` is counted for it, and for it alone."""
    before = counted = other.llm_events(DAY).count
    # An event of the other's last chat may come just now; it does not come twice.
    for _ in range(2):
        before = counted
        see_counted(request, client, one, config.prompt, config)
        counted = other.llm_events(DAY).count
        if counted <= before:
            return
    broken(
        "LLM events of one instance are counted for another, too",
        expected=f"{before} LLM events of {other.id}, with which nobody has chatted meanwhile",
        got=str(counted),
    )


def _see_silent(
    request: pytest.FixtureRequest, instance_id: str, client: SmokeClient, config: HydraSmokeConfig
) -> None:
    """See that nothing answers any more for an instance that is deleted, whatever the refusal."""
    for call, ask in {
        "chat": lambda: begin_chat(client, instance_id, config.prompt, patience=SOON),
        "llm_events": lambda: client.llm_events(instance_id, None),
    }.items():
        what = f"{call} still answers for an instance that is deleted"
        see_refused(
            request, call, (RouterError, ChatTimeoutError), ask, what, expected="404, or the like"
        )


def _see_gone(client: SmokeClient, instance_id: str, config: HydraSmokeConfig) -> None:
    alive = _alive(client, instance_id, config)
    if alive is not None:
        broken(
            "an instance whose deletion was confirmed is there again",
            expected=f"status: 404, or {', '.join(sorted(config.gone_statuses))}",
            got=f"status: {alive!r}",
        )


def _alive(client: SmokeClient, instance_id: str, config: HydraSmokeConfig) -> str | None:
    """Return the status of an instance that is not gone, None for one that is."""
    try:
        status = client.status(instance_id).status
    except NotFoundError:
        return None
    return None if status.lower() in config.gone_statuses else status
