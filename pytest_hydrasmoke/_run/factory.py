"""Instances that one test owns, beside the shared one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._base.text import nearest
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.open_calls import counted
from pytest_hydrasmoke._transport.protocol import IO, drive
from pytest_hydrasmoke.instance import AsyncSmokeInstance, SmokeInstance

from .run import Run

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def merged(base: InstanceSpec | None, changes: object) -> InstanceSpec:
    """Apply a test's changes to a spec; raises `ConfigError` that names the wrong field."""
    if isinstance(changes, InstanceSpec):
        return changes
    try:
        fields: dict[str, Any] = dict(changes)  # type: ignore[call-overload]
        return InstanceSpec(**{**(base.model_dump() if base else {}), **fields})
    except ValidationError as error:
        wrong = "; ".join(map(_fault, error.errors()))
    except (TypeError, ValueError):
        wrong = f"{changes!r} is not a mapping"
    raise ConfigError(
        f"this is not an instance spec: {wrong}",
        next_step=f"give some of {', '.join(InstanceSpec.model_fields)}",
    )


def _fault(fault: ErrorDetails) -> str:
    name = str(fault["loc"][0])
    if fault["type"] != "extra_forbidden":
        return f"{name}: {fault['msg']}"
    near = nearest(name.lower(), InstanceSpec.model_fields)
    return f"{name}: no such field" + (f", did you mean {near}?" if near else "")


class SmokeInstances(list[SmokeInstance]):
    """Instances of one call; as a context manager it deletes them at its end, side by side."""

    def __init__(self, handles: Sequence[Handle]) -> None:
        super().__init__(map(SmokeInstance, handles))
        self._handles = handles

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *others: object) -> None:
        drive(Handle.leave_all(self._handles, failed=kind is not None))


class AsyncSmokeInstances(list[AsyncSmokeInstance]):
    """The same as `SmokeInstances`, for coroutines."""

    def __init__(self, handles: Sequence[Handle]) -> None:
        super().__init__(map(AsyncSmokeInstance, handles))
        self._handles = handles

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *others: object) -> None:
        await Handle.leave_all(self._handles, failed=kind is not None)


class _Factory:
    """What a factory needs: a run, and in coroutines an IO of their loop."""

    def __init__(self, run: Run, io: IO | None = None) -> None:
        self._run = run
        self._io = io

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _spec(self, changes: Mapping[str, str | None]) -> InstanceSpec:
        return merged(self._run.config.spec, changes)

    async def _many(self, n: int, changes: Mapping[str, str | None]) -> list[Handle]:
        if n < 1:
            raise ConfigError(f"many({n}) asks for nothing", next_step="ask for at least one")
        return await self._run.provision_all(n, self._spec(changes), self._io)


@public
class SmokeInstanceFactory(_Factory):
    """Provision instances that only you use.

    Each is deleted at the end of a `with`, else of the session. Fields of the spec that you do not
    give come from the settings. Raises `ConfigError` beyond `max_instances`, and the errors of
    provisioning.
    """

    def __call__(self, **spec: str | None) -> SmokeInstance:
        """Provision one, and wait until it is ready."""
        return self._run.provision(self._spec(spec))

    def many(self, n: int, **spec: str | None) -> SmokeInstances:
        """Provision `n` at once, and wait until all are ready; if one fails, delete all.

        `with factory.many(3) as instances:` deletes all at its end, side by side. Raises
        `LeakError`, with a note on each further leak.
        """
        return SmokeInstances(drive(self._many(n, spec)))

    def own(self, name: str) -> AbstractContextManager[str]:
        """Return a context manager that owns what you provision by hand, and yields its key.

        The key is the run's, and takes no slot. Provision under it with `smoke_client`, or a client
        `with_token`: at the end of the `with` the instance is deleted, and is a leak if it is not
        gone then. A key that was not used, or was used by other clients, is polled until
        `delete_timeout`, and is a leak without a row, too. Raises `ConfigError` for a `name` that
        is a number, or has a hyphen.
        """
        return self._run.by_hand.own(name)


@public
class AsyncSmokeInstanceFactory(_Factory):
    """The same as `SmokeInstanceFactory`, for coroutines."""

    @counted
    async def __call__(self, **spec: str | None) -> AsyncSmokeInstance:
        """Provision one, and wait until it is ready."""
        [handle] = await self._many(1, spec)
        return AsyncSmokeInstance(handle)

    @counted
    async def many(self, n: int, **spec: str | None) -> AsyncSmokeInstances:
        """Provision `n` at once: `async with await factory.many(3) as instances:`."""
        return AsyncSmokeInstances(await self._many(n, spec))

    def own(self, name: str) -> AbstractAsyncContextManager[str]:
        """Return an async context manager for what you provision with `async_smoke_client`."""
        return self._run.by_hand.own_async(name, self._io)
