"""From a spec to a ready instance.

Written once for sync and async: see `_transport.protocol` for what may be awaited here. An
instance learns of every step before the next one begins, so that clean-up knows what to delete
however the steps end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_hydrasmoke._api.calls import Calls, work
from pytest_hydrasmoke._api.models import InstanceStatus, ProvisionAccepted, same_id
from pytest_hydrasmoke._base.errors import (
    ConfigError,
    ContractError,
    HydraSmokeError,
    ProvisionError,
    ProvisionTimeoutError,
    RouterError,
    TransportError,
)
from pytest_hydrasmoke._base.evidence import may_be_refusal
from pytest_hydrasmoke._base.run_keys import is_random
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.events import Interrupted
from pytest_hydrasmoke._journal.states import NOTHING_TO_DELETE, State
from pytest_hydrasmoke._journal.story import BOOT
from pytest_hydrasmoke._transport.protocol import IO, LAST_CHANCE

from .controls import malformed
from .instance import Instance
from .looks import status_of
from .policy import poll_interval

CONTROL = 10.0
"""Seconds to find out whether a refusal is the router's."""
_TWO_INSTANCES = "tell the router's developers: there may be an instance that nobody deletes"


async def bring_up(io: IO, instances: Sequence[Instance]) -> None:
    """Take instances from any state to ready, side by side.

    The first failure stops the others, and is raised. Where the router failed, and not the
    instance, it is `in_vain`: another boot would fail as this one did.
    """
    works = [work(_bring_up, instance) for instance in instances]
    for failure in (await io.gather(works, together=True)).values():
        match failure:
            case TransportError():
                failure.in_vain = "boot"
            case RouterError(status_code=code) if code == 401 or code >= 500:
                failure.in_vain = "boot"
            case _:
                pass
        raise failure


async def _bring_up(calls: Calls, instance: Instance) -> None:
    await check_free(calls, instance)
    await provision(calls, instance)


async def provision(calls: Calls, instance: Instance) -> None:
    """Take an instance from any state to ready, or raise.

    Raises `ProvisionError`, `ProvisionTimeoutError`, `RouterError`, `TransportError` or
    `ContractError`; what exists then is still owned.
    """
    start = calls.io.now()
    deadline = start + instance.policy.ready_timeout
    try:
        if instance.state in (State.CLAIMED, State.REQUESTED):
            with instance.phase("provision", calls.io, deadline=deadline):
                await request(calls, instance, deadline)
        with instance.phase("row", calls.io, deadline=deadline):
            await _row(calls, instance, start)
        with instance.phase("ready", calls.io, deadline=deadline):
            await until_ready(calls, instance, start)
    except BaseException as error:
        # Between two phases, too.
        if not isinstance(error, HydraSmokeError) and instance.interrupted is None:
            begun = (name for name in reversed(BOOT) if name in instance.phases)
            instance.note(Interrupted(next(begun, BOOT[0])))
        raise


async def check_free(calls: Calls, instance: Instance) -> None:
    """Poll a key before it is used to provision; raises `ConfigError` if it has a row already.

    This run has not requested it, so something else owns it, and this one must not delete it.
    """
    if instance.state is not State.CLAIMED or instance.key is None:
        return
    io = calls.io
    deadline = io.now() + instance.policy.ready_timeout
    with instance.phase("provision", io, timed=False):
        found = await calls.poll(instance.key, deadline=deadline)
        if found.found:
            why = "another run uses this run id, or has used it"
            step = "give every run an id of its own, such as run, attempt, job and shard"
            if is_random(str(instance.run_id)):
                why = "this run has not requested it, and its run id is random"
                step = "see the router's log; a test that provisions by hand gets a key from "
                step += "smoke_instance_factory.own"
            raise ConfigError(
                f"the router has an instance for this key already: {why}",
                got=found.instance_id,
                next_step=step,
            )


async def request(calls: Calls, instance: Instance, deadline: float) -> None:
    """Call `ask`, and accept a key already in progress (409): poll finds its instance."""
    try:
        await ask(calls, instance, deadline)
    except RouterError as error:
        if error.status_code != 409:
            raise


async def ask(calls: Calls, instance: Instance, deadline: float | None = None) -> ProvisionAccepted:
    """Request an instance; before the request it knows of that, after it the outcome.

    Raises `RouterError`, `TransportError`, or `ContractError` for an answer about another key.
    """
    if instance.target.spec is None or instance.key is None:
        raise ConfigError("an attached instance can't be provisioned")
    if instance.state is State.REQUESTED and instance.born is not None:
        # An outcome holds for its own request: nobody knows that of the one before.
        instance.evidence.unknown_outcomes += 1
    before = instance.state
    try:
        accepted = await calls.provision(
            *(instance.target.spec, instance.key),
            deadline=deadline,
            before=lambda: instance.leaves(calls.io.now()),
        )
    except (RouterError, TransportError) as error:
        raise await _failed(calls, instance, error, before) from None
    own = accepted.idempotency_key == instance.key
    # What it names for another key is another run's, and not this one's to delete.
    instance.becomes(State.ACCEPTED, accepted.instance_id if own else None)
    if not own:
        raise ContractError(
            "provision answered for another idempotency key",
            expected=instance.key,
            got=safe_line(repr(accepted.idempotency_key)),
            next_step=_TWO_INSTANCES,
        )
    return accepted


async def is_refusal(calls: Calls, error: RouterError) -> bool:
    """Ask whether an answer to a provision is the router's own refusal, or may be a gateway's."""
    if error.form is None or not may_be_refusal(error.form):
        return False
    try:
        control = await malformed(calls, calls.io.now() + CONTROL)
        return error.form.envelope == control.envelope
    except HydraSmokeError:
        return False


async def _failed(
    calls: Calls, instance: Instance, error: RouterError | TransportError, before: State
) -> HydraSmokeError:
    """Record what a request shows that has failed, and return its error."""
    is_known, at = not instance.evidence.unknown_outcomes, calls.io.now()
    if isinstance(error, TransportError):
        if is_known and not error.reached and before is State.REFUSED:
            instance.refuses(at)
        elif is_known and not error.reached:
            instance.becomes(State.UNUSED)
        return error
    if not await is_refusal(calls, error):
        return error  # It may be a gateway's: that shows nothing.
    if is_known:
        instance.refuses(at)
    if error.status_code != 403 or instance.link is not None:
        return error
    # Preflight has proved the token valid.
    return RouterError(
        error.message,
        status_code=error.status_code,
        detail=error.detail,
        form=error.form,
        next_step="the router accepts this token, but refuses to provision for the reason that "
        "it gives, such as a quota: ask its operators",
    )


async def _row(calls: Calls, instance: Instance, start: float) -> None:
    assert instance.key is not None
    deadline = start + instance.policy.ready_timeout
    while True:
        found = await calls.poll(instance.key, deadline=deadline)
        if found.status is not None:
            instance.saw_status(found.status, calls.io.now())
        if found.found and found.instance_id is not None:
            break
        what = (
            "poll found its row, but names no instance" if found.found else "its row did not appear"
        )
        await _pause(calls.io, start, deadline, instance, what)
    if instance.id is not None and not same_id(instance.id, found.instance_id):
        raise ContractError(
            "provision and poll name different instances for one key",
            expected=instance.id,
            got=found.instance_id,
            next_step=_TWO_INSTANCES,
        )
    instance.names(found.instance_id, calls.io.now())


async def until_ready(calls: Calls, instance: Instance, start: float) -> None:
    """Wait until an instance that has a row is ready; `start` is when the wait began.

    Raises `ProvisionError` for a failed or gone status, `ProvisionTimeoutError` at the deadline.
    """
    policy = instance.policy
    await wait(
        calls,
        instance,
        lambda it: policy.statuses.is_ready(it.status),
        error=lambda it: policy.statuses.is_failed(it.status),
        start=start,
        timeout=policy.ready_timeout,
    )
    instance.becomes(State.READY)


async def wait(
    calls: Calls,
    instance: Instance,
    ready: Callable[[InstanceStatus], bool],
    *,
    error: Callable[[InstanceStatus], bool] | None,
    start: float,
    timeout: float,
) -> InstanceStatus:
    """Read the status until `ready` returns true.

    Raises `ProvisionError` once `error` returns true, `ProvisionTimeoutError` `timeout` seconds
    after `start`.
    """
    assert instance.id is not None
    while True:
        deadline = max(start + timeout, calls.io.now() + LAST_CHANCE)
        status = await status_of(calls, instance, instance.id, deadline=deadline)
        if ready(status):
            return status
        if error is not None and error(status):
            if not instance.attached and instance.state not in NOTHING_TO_DELETE:
                instance.becomes(State.FAILED)
            raise ProvisionError(
                f"the instance is {safe_line(status.status)!r}",
                got=" → ".join(safe_line(it.event.word) for it in instance.statuses),
                next_step="see the router's log of its provisioning task",
            )
        await _pause(calls.io, start, start + timeout, instance, "the status never became ready")


async def _pause(io: IO, start: float, deadline: float, instance: Instance, what: str) -> None:
    # A run that is over, by a sweep or its own end, stops waiting.
    instance.permit()
    now = io.now()
    left = deadline - now - LAST_CHANCE
    if left <= 0:
        raise ProvisionTimeoutError(
            f"the instance was not ready in time: {what} within {deadline - start:g} s",
            last=instance.last_state or "no row for its key",
            next_step="raise HYDRA_SMOKE_READY_TIMEOUT if boots take longer, "
            "else see the router's log of its provisioning task",
        )
    await io.sleep(min(poll_interval(now - start), left))
