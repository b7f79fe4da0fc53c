"""What the checks have in common: how a refusal is seen, and clients with another token.

What a stranger provisions is owned before it is asked for, and deleted with the run's own token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import NoReturn, TypeVar

import pytest

from pytest_hydrasmoke import (
    ContractError,
    HydraSmokeConfig,
    HydraSmokeError,
    InstanceSpec,
    NotFoundError,
    RejectedError,
    RouterError,
    SmokeClient,
    SmokeInstance,
    SmokeInstanceFactory,
    TransportError,
    UnauthorizedError,
)
from pytest_hydrasmoke._base import clock

from ._proof import needs, proving


def __tracebackhide__(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:  # noqa: N807
    return isinstance(excinfo.value, HydraSmokeError)


E = TypeVar("E", bound=HydraSmokeError)
_WRONG = "not-the-token-of-this-router"
_HEADERS: dict[str, Callable[[str], str | None]] = {
    "missing": lambda token: None,
    "wrong": lambda token: f"Bearer {_WRONG}",
    "longer": lambda token: f"Bearer {token}x",
    "shorter": lambda token: f"Bearer {token[:-1]}",
    "headless": lambda token: f"Bearer {token[1:]}",
    "same-end": lambda token: f"Bearer {_other(token[0])}{token[1:]}",
    "same-beginning": lambda token: f"Bearer {token[:-1]}{_other(token[-1])}",
    "other-case": lambda token: f"Bearer {token.swapcase()}",
    "empty": lambda token: "Bearer",
    "other-scheme": lambda token: f"Basic {token}",
    "bare": lambda token: token,
}
"""The ways to be a stranger: what `authorization` is then, by the right token."""
STRANGERS = ("missing", "wrong")
"""Those whose token has nothing of the right one; with the others it is nearly right."""
SOON = 5.0
"""Seconds for what should be so by now, and may be a moment late."""
DAY = 86_400
"""Seconds of a window that holds whatever this run has left."""
LIMITS = {"manifest_id": 100, "region_id": 80, "tier_id": 80, "idempotency_key": 255}
"""Characters that a provision's fields may have."""
FIELDS = {*LIMITS, "message", "instance_id"}
LATER = 2.0
"""Seconds after which what was refused is done, if it is done all the same."""


def _other(char: str) -> str:
    return "y" if char in "xX" else "x"


def strangers(config: HydraSmokeConfig) -> list[str]:
    """Return all ways to be a stranger; a token without letters has no other case."""
    assert config.token is not None  # A run has one.
    own = config.token.reveal
    return [whose for whose, header in _HEADERS.items() if header(own()) != f"Bearer {own()}"]


def nearly_right(config: HydraSmokeConfig) -> list[str]:
    return [whose for whose in strangers(config) if whose not in STRANGERS]


def wait_until(moment: float, config: pytest.Config) -> None:
    """Wait for what shows later, unless the bundled fake is asked: it does nothing later."""
    while not config.getoption("hydra_smoke_fake") and clock.now() < moment:
        clock.pause(0.1)


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


def see_refused(
    request: pytest.FixtureRequest,
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
    needs(request, refusal)
    try:
        ask()
    except kind as error:
        return error
    except HydraSmokeError as error:
        # With the run's own token, 401 and 403 are no answer to what is wrong with a request.
        fails = isinstance(error, RouterError) and error.status_code >= 500
        if fails or isinstance(error, TransportError | UnauthorizedError):
            with proving(request, refusal):
                raise
        but = error.message
    broken(what, expected=expected, got=but)


def refused(
    request: pytest.FixtureRequest, call: str, token: str, ask: Callable[[], object]
) -> None:
    """See a call refused for its token."""
    what = f"{call} does not refuse a {token} token"
    # The client's poll and delete return an answer for a 404 too: nothing is there.
    but = "an answer, as with the right token, or 404"
    see_refused(request, call, UnauthorizedError, ask, what, expected="401 or 403", but=but)


def not_found(request: pytest.FixtureRequest, call: str, ask: Callable[[], object]) -> None:
    """See a call about an instance that nobody made find none."""
    what = f"{call} does not refuse an unknown instance"
    see_refused(request, call, NotFoundError, ask, what, expected="404")


def rejected(
    request: pytest.FixtureRequest, call: str, what: str, field: str, ask: Callable[[], object]
) -> None:
    """See a request of a call rejected for one of its fields, and no other."""
    needs(request, call)
    unlike = f"the router does not reject {what}"
    error = see_refused(request, call, RejectedError, ask, unlike, expected=f"422, naming {field}")
    # A line for each field: where it is, and what is wrong with it.
    named = {line.partition(":")[0].rpartition(".")[2] for line in error.detail.splitlines()}
    if field not in error.detail or named & FIELDS - {field}:
        broken(
            f"the router rejects {what}, and does not name only {field}",
            expected=f"422, naming {field} alone",
            got=error.detail,
        )


def like(key: str) -> set[str]:
    """Return keys that are like one: its beginning, more, another case, as long as a key may be."""
    return {key[:-1], f"{key}-", key.swapcase(), f"{key}-".ljust(255, "x")} - {key}


def see_unknown(client: SmokeClient, key: str) -> None:
    """See that a key that nobody used names no instance."""
    found = client.poll(key)
    if found.found or found.instance_id is not None:
        broken(
            "poll names an instance for a key that nobody used",
            expected=f"found: false, instance_id: null for {key}",
            got=f"found: {str(found.found).lower()}, instance_id: {found.instance_id}",
        )


def discard(client: SmokeClient, instance_id: str) -> None:
    """Delete an instance that no key of the run names, once its row is there."""
    end = clock.now() + SOON
    while clock.now() < end:
        with contextlib.suppress(NotFoundError):
            client.status(instance_id)
            break
        clock.pause(0.25)
    client.delete(instance_id)


@contextlib.contextmanager
def calling(config: HydraSmokeConfig, client: SmokeClient, whose: str) -> Generator[SmokeClient]:
    """Call as a stranger."""
    assert config.token is not None  # A run has one.
    with client.with_authorization(_HEADERS[whose](config.token.reveal())) as other:
        yield other


def begin_chat(
    client: SmokeClient, instance_id: str, message: str, patience: float | None = None
) -> None:
    """Begin a turn within so many seconds, and leave it as soon as it is taken."""
    with client.stream_chat(instance_id, message, timeout=patience):
        pass


def provision(
    factory: SmokeInstanceFactory, client: SmokeClient, spec: InstanceSpec, name: str
) -> None:
    """Provision under a key that takes no slot; what is made of it is deleted."""
    with factory.own(name) as key:
        client.provision(spec, key)


def provision_refused(
    request: pytest.FixtureRequest,
    stranger: SmokeClient,
    token: str,
    spec: InstanceSpec,
    key: str,
    owner: SmokeClient,
) -> None:
    """See a provision refused for its token, and nothing made."""
    refused(request, "provision", token, lambda: stranger.provision(spec, key))
    if owner.poll(key).found:
        broken(
            "provision was refused, but made an instance",
            expected="no instance for this key",
            got=f"found: true, although a {token} token was refused",
        )


def provision_again_refused(
    request: pytest.FixtureRequest,
    stranger: SmokeClient,
    token: str,
    instance: SmokeInstance,
    owner: SmokeClient,
) -> None:
    """See a provision under the key of an instance refused for its token."""
    key, spec = instance.idempotency_key, instance.spec
    assert key is not None  # It is not attached to.
    assert spec is not None

    def again() -> None:
        named = stranger.provision(spec, key).instance_id
        if named not in (None, instance.id):
            discard(owner, named)

    refused(request, "provision", token, again)
