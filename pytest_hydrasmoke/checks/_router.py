"""The router as one check sees it, and what is said of it.

What a check has shown not to work is one failure: the first check that fails of a call tells of it;
those that need the call as well are skipped, and name that one. What was waited for in vain is not
waited for again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import NoReturn, Protocol, TypeVar

import pytest

from pytest_hydrasmoke import (
    ContractError,
    HydraSmokeConfig,
    HydraSmokeError,
    NotFoundError,
    RejectedError,
    RouterError,
    SmokeClient,
    SmokeInstance,
    TransportError,
    UnauthorizedError,
)
from pytest_hydrasmoke._base import clock


def __tracebackhide__(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:  # noqa: N807
    return isinstance(excinfo.value, HydraSmokeError)


E = TypeVar("E", bound=HydraSmokeError)
SOON = 5.0
"""Seconds for what should be so by now, and may be a moment late."""
DAY = 86_400
"""Seconds of a window that holds whatever this run has left."""
LIMITS = {"manifest_id": 100, "region_id": 80, "tier_id": 80, "idempotency_key": 255}
"""Characters that a provision's fields may have."""
FIELDS = {*LIMITS, "message", "instance_id"}


def broken(what: str, *, expected: str, got: str) -> NoReturn:
    """Raise the `ContractError` of a router that is wrong."""
    raise ContractError(
        what, expected=expected, got=shown(got), next_step="tell the router's developers"
    )


def shown(words: str, limit: int = 200) -> str:
    """Return a stranger's words on one line, with nothing in them that acts or is not seen."""
    line = " ".join(words.split())
    safe = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line[:limit])
    return f"{safe}…" if len(line) > limit else safe


class Refutations(Protocol):
    """What tests have shown not to work."""

    def why(self, call: str, test: str) -> str | None:
        """Return how another test has shown that a call does not work."""
        ...

    def skip(self, test: str, why: str) -> None: ...

    def tell(self, call: str, test: str, why: str | None) -> None:
        """Tell the run that a call does not work; None: that it does."""
        ...


class Support(Protocol):
    """What the run does for its checks."""

    refutations: Refutations

    def of_a_check(self, request: pytest.FixtureRequest) -> SmokeInstance: ...


class CheckedRouter:
    """What a check asks, with the run's own token, and what it sees."""

    def __init__(
        self, request: pytest.FixtureRequest, client: SmokeClient, config: HydraSmokeConfig
    ) -> None:
        self.request, self.client, self.config = request, client, config
        run: Support | None = request.config.pluginmanager.get_plugin("hydra-smoke-fixtures")
        assert run is not None  # Without a switch, a fixture has skipped the test.
        self._run = run
        self._test: str = request.node.nodeid

    def own_instance(self) -> SmokeInstance:
        """Return an instance for this check alone; skips where the run is attached to one."""
        return self._run.of_a_check(self.request)

    def works(self, *calls: str) -> bool:
        """Return whether no other test has shown that one of these calls does not work."""
        return not any(self._run.refutations.why(call, self._test) for call in calls)

    def needs(self, *calls: str) -> None:
        """Skip the test where another one has shown that one of these calls does not work."""
        for call in calls:
            why = self._run.refutations.why(call, self._test)
            if why is not None:
                self._run.refutations.skip(self._test, why)

    @contextlib.contextmanager
    def proving(self, call: str) -> Generator[None]:
        """See that a call works: tell of it if it fails, and skip if another test has done so."""
        self.needs(call)
        try:
            yield
        except HydraSmokeError as error:
            kind = type(error).__name__
            self._run.refutations.tell(
                call, self._test, f"{call} was shown to fail in {self._test} ({kind})"
            )
            raise
        self._run.refutations.tell(call, self._test, None)

    def refuses(
        self,
        call: str,
        kind: type[E] | tuple[type[E], ...],
        ask: Callable[[], object],
        what: str,
        *,
        expected: str,
        but: str = "an answer",
    ) -> E:
        """Return the refusal of a call; raises `ContractError`, saying `what`, where it is another.

        A call that fails in place of it is told, and no other test tries what it must refuse.
        """
        refusal = f"a refusal by {call}"
        self.needs(refusal)
        try:
            ask()
        except kind as error:
            return error
        except HydraSmokeError as error:
            # With the run's own token, 401 and 403 are no answer to what is wrong with a request.
            fails = isinstance(error, RouterError) and error.status_code >= 500
            if fails or isinstance(error, TransportError | UnauthorizedError):
                with self.proving(refusal):
                    raise
            but = error.message
        broken(what, expected=expected, got=but)

    def finds_none(self, call: str, ask: Callable[[], object]) -> None:
        """See a call about an instance that nobody made find none."""
        what = f"{call} does not refuse an unknown instance"
        self.refuses(call, NotFoundError, ask, what, expected="404")

    def rejects(self, call: str, what: str, field: str, ask: Callable[[], object]) -> None:
        """See a request of a call rejected for one of its fields, and no other."""
        self.needs(call)
        unlike, expected = f"the router does not reject {what}", f"422, naming {field}"
        error = self.refuses(call, RejectedError, ask, unlike, expected=expected)
        # A line for each field: where it is, and what is wrong with it.
        named = {line.partition(":")[0].rpartition(".")[2] for line in error.detail.splitlines()}
        if field not in error.detail or named & FIELDS - {field}:
            broken(
                f"the router rejects {what}, and does not name only {field}",
                expected=f"422, naming {field} alone",
                got=error.detail,
            )

    def knows_no(self, key: str) -> None:
        """See that a key that nobody used names no instance."""
        found = self.client.poll(key)
        if found.found or found.instance_id is not None:
            broken(
                "poll names an instance for a key that nobody used",
                expected=f"found: false, instance_id: null for {key}",
                got=f"found: {str(found.found).lower()}, instance_id: {found.instance_id}",
            )

    def discard(self, instance_id: str) -> None:
        """Delete an instance that no key of the run names, once its row is there."""
        end = clock.now() + SOON
        while clock.now() < end:
            with contextlib.suppress(NotFoundError):
                self.client.status(instance_id)
                break
            clock.pause(0.25)
        self.client.delete(instance_id)

    def wait_until(self, moment: float) -> None:
        """Wait for what shows later, unless the bundled fake is asked: it does nothing later."""
        while not self.request.config.getoption("hydra_smoke_fake") and clock.now() < moment:
            clock.pause(0.1)


@pytest.fixture
def smoke_router(
    request: pytest.FixtureRequest, smoke_client: SmokeClient, smoke_config: HydraSmokeConfig
) -> CheckedRouter:
    """The router as this check sees it: a name that no project's own fixture has."""
    return CheckedRouter(request, smoke_client, smoke_config)


def like(key: str) -> set[str]:
    """Return keys that are like one: its beginning, more, another case, as long as a key may be."""
    return {key[:-1], f"{key}-", key.swapcase(), f"{key}-".ljust(255, "x")} - {key}


def begin_chat(
    client: SmokeClient, instance_id: str, message: str, patience: float | None = None
) -> None:
    """Begin a turn within so many seconds, and leave it as soon as it is taken."""
    with client.stream_chat(instance_id, message, timeout=patience):
        pass
