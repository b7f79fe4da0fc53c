"""What was provisioned is gone once it is deleted, by its owner alone, and nothing else with it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from functools import partial

from pytest_hydrasmoke import (
    ChatTimeoutError,
    LlmEventsError,
    RejectedError,
    RouterError,
    SmokeInstance,
)
from pytest_hydrasmoke._base import clock
from pytest_hydrasmoke._base.evidence import NOT_FOUND

from ._router import DAY, SOON, CheckedRouter, begin_chat, broken, like
from ._router import smoke_router as smoke_router
from ._strangers import calling, strangers
from ._usage import see_counted

OWN_INSTANCES = 1
"""What is provisioned here beside the shared instance, for whoever counts before a run."""
LATER = 2.0
"""Seconds after which what was refused is done, if it is done all the same."""


def test_deletion_is_confirmed_and_a_second_one_does_no_harm(smoke_router: CheckedRouter) -> None:
    # Where this check fails, the end of the run deletes it, and tells what it leaves.
    instance = smoke_router.own_instance()
    other = _shared(smoke_router)
    # A team's hook may chat with whatever is ready, and nobody knows here what that cost.
    hook = smoke_router.request.config.hook.pytest_hydra_smoke_instance_ready
    spoken_to = hook.get_hookimpls()
    counts = not spoken_to and smoke_router.works("chat", "llm_events")
    if other is not None:
        _see_apart(smoke_router, instance, other)
        if not spoken_to:
            _see_counted_apart(smoke_router, instance, other, chats=counts)
    _see_strangers_refused(smoke_router, instance.id)
    smoke_router.wait_until(clock.now() + LATER)
    _see_alive(smoke_router, instance.id, "stranger's", f"it is gone {LATER:g} s later")
    if not spoken_to:
        _see_nothing_spent(instance)
        if counts and other is not None:
            _see_spent_apart(smoke_router, instance, other)
    with smoke_router.proving("delete"):
        told = smoke_router.client.delete(instance.id).status
    if told.lower() in smoke_router.config.ready_statuses:
        broken(
            "delete answers that the instance is unchanged",
            expected=f"status: {', '.join(sorted(smoke_router.config.gone_statuses))}, or the like",
            got=f"status: {told!r}",
        )
    instance.delete()
    _see_gone(smoke_router, instance.id)
    smoke_router.client.delete(instance.id)
    _see_gone(smoke_router, instance.id)
    _see_silent(smoke_router, instance.id)
    if other is not None and _alive(smoke_router, other.id) is None:
        broken(
            "deleting one instance deleted another",
            expected=f"{other.id} as it was",
            got=f"deleted with {instance.id}",
        )


def _shared(router: CheckedRouter) -> SmokeInstance | None:
    """Return the instance that all checks share; None where each scope has one of its own.

    Taken only now, so that under xdist others may use it while the check's own one boots.
    """
    if router.config.scope != "session":
        return None
    shared: SmokeInstance = router.request.getfixturevalue("smoke_instance")
    return shared


def _see_apart(router: CheckedRouter, one: SmokeInstance, other: SmokeInstance) -> None:
    """See that what is told of an instance is not another's."""
    if one.id == other.id:
        broken("two keys name one instance", expected="one for each", got=one.id)
    if one.hostname is not None and one.hostname == other.hostname:
        broken("two instances have one hostname", expected="one for each", got=one.hostname)
    # Now that both are there: a router may take such a key for another one's.
    router.knows_no(f"{router.config.run_id}-unknown-{secrets.token_hex(8)}")
    for each in (one, other):
        key = each.idempotency_key
        named = each.id if key is None else router.client.poll(key).instance_id
        for unlike in like(key or router.config.run_id):
            router.knows_no(unlike)
        if named != each.id:
            broken(
                "poll names another instance than before",
                expected=f"instance_id: {each.id} for {key}",
                got=f"instance_id: {named}",
            )


def _see_counted_apart(
    router: CheckedRouter, one: SmokeInstance, other: SmokeInstance, *, chats: bool
) -> None:
    """See that LLM events are not counted for an instance that nobody has spoken to, `one`.

    With `chats`, somebody speaks to the other one if nobody has done so.
    """
    if chats and other.llm_events(DAY).count == 0:
        # That none come is another check's to tell.
        with contextlib.suppress(LlmEventsError):
            other.chat(router.config.prompt).expect_llm_events()
    counted = one.llm_events(DAY).count
    if counted:
        broken(
            "LLM events of another instance are counted",
            expected=f"0 LLM events of {one.id}, with which nobody has chatted",
            got=f"{counted}, and {other.llm_events(DAY).count} of {other.id}",
        )


def _see_strangers_refused(router: CheckedRouter, instance_id: str) -> None:
    """Try what must be refused, and would do something: in every way to be a stranger."""
    for token in strangers(router):
        with calling(router, token) as stranger:
            stranger.is_refused_to_chat(instance_id)
            stranger.is_refused("delete", instance_id)
        _see_alive(router, instance_id, token, "401 or 403, and it is gone")
    with contextlib.suppress(RejectedError):
        begin_chat(router.client, instance_id, "x" * 4001)


def _see_alive(router: CheckedRouter, instance_id: str, token: str, but: str) -> None:
    if _alive(router, instance_id) is None:
        # As the run's own: it was not another run that did this.
        router.client.delete(instance_id)
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


def _see_spent_apart(router: CheckedRouter, one: SmokeInstance, other: SmokeInstance) -> None:
    """See that a chat with `one` is counted for it, and for it alone."""
    before = counted = other.llm_events(DAY).count
    # An event of the other's last chat may come just now; it does not come twice.
    for _ in range(2):
        before = counted
        see_counted(router, one, router.config.prompt)
        counted = other.llm_events(DAY).count
        if counted <= before:
            return
    broken(
        "LLM events of one instance are counted for another, too",
        expected=f"{before} LLM events of {other.id}, with which nobody has chatted meanwhile",
        got=str(counted),
    )


def _see_silent(router: CheckedRouter, instance_id: str) -> None:
    """See that nothing answers any more for an instance that is deleted, whatever the refusal."""
    client, refusals = router.client, (RouterError, ChatTimeoutError)
    asks: dict[str, Callable[[], object]] = {
        "chat": partial(begin_chat, client, instance_id, router.config.prompt, patience=SOON),
        "llm_events": partial(client.llm_events, instance_id, None),
    }
    for call, ask in asks.items():
        what = f"{call} still answers for an instance that is deleted"
        router.refuses(call, refusals, ask, what, expected="404, or the like")


def _see_gone(router: CheckedRouter, instance_id: str) -> None:
    alive = _alive(router, instance_id)
    if alive is not None:
        broken(
            "an instance whose deletion was confirmed is there again",
            expected=f"status: 404, or {', '.join(sorted(router.config.gone_statuses))}",
            got=f"status: {alive!r}",
        )


def _alive(router: CheckedRouter, instance_id: str) -> str | None:
    """Return the status of an instance that is not gone, None for one that is."""
    try:
        status = router.client.status(instance_id).status
    except RouterError as error:
        if error.status_code not in NOT_FOUND:
            raise
        return None
    return None if status.lower() in router.config.gone_statuses else status
