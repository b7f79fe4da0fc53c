"""Clients with another token: all that they ask must be refused.

What a stranger provisions is owned before it is asked for, and deleted with the run's own token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

from pytest_hydrasmoke import InstanceSpec, SmokeClient, SmokeInstance, UnauthorizedError

from ._router import CheckedRouter, begin_chat, broken
from ._router import __tracebackhide__ as __tracebackhide__

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


def _other(char: str) -> str:
    return "y" if char in "xX" else "x"


def strangers(router: CheckedRouter) -> list[str]:
    """Return all ways to be a stranger; a token without letters has no other case."""
    own = _token(router)
    return [whose for whose, header in _HEADERS.items() if header(own) != f"Bearer {own}"]


def nearly_right(router: CheckedRouter) -> list[str]:
    return [whose for whose in strangers(router) if whose not in STRANGERS]


def _token(router: CheckedRouter) -> str:
    assert router.config.token is not None  # A run has one.
    return router.config.token.reveal()


class Stranger:
    """A client of which each call must be refused for its token."""

    def __init__(self, router: CheckedRouter, client: SmokeClient, token: str) -> None:
        self._router, self._client, self._token = router, client, token

    def is_refused(self, call: str, *arguments: object) -> None:
        """See a call refused."""
        ask: Callable[..., object] = getattr(self._client, call)
        self._is_refused(call, lambda: ask(*arguments))

    def is_refused_to_chat(self, instance_id: str) -> None:
        message = self._router.config.prompt
        self._is_refused("chat", lambda: begin_chat(self._client, instance_id, message))

    def is_refused_to_read(self, key: str, instance_id: str) -> None:
        """See all calls refused that only read."""
        self.is_refused("poll", key)
        self.is_refused("status", instance_id)
        self.is_refused("llm_events", instance_id)

    def is_refused_to_provision(self, spec: InstanceSpec, key: str, known: SmokeInstance) -> None:
        """See a provision refused, and nothing made; then one under the key of a `known` one."""
        self.is_refused("provision", spec, key)
        if self._router.client.poll(key).found:
            broken(
                "provision was refused, but made an instance",
                expected="no instance for this key",
                got=f"found: true, although a {self._token} token was refused",
            )
        self._is_refused("provision", lambda: self._provision_again(known))

    def _provision_again(self, known: SmokeInstance) -> None:
        key, spec = known.idempotency_key, known.spec
        assert key is not None  # It is not attached to.
        assert spec is not None
        named = self._client.provision(spec, key).instance_id
        if named not in (None, known.id):
            self._router.discard(named)

    def _is_refused(self, call: str, ask: Callable[[], object]) -> None:
        what = f"{call} does not refuse a {self._token} token"
        # The client's poll and delete return an answer for a 404 too: nothing is there.
        but = "an answer, as with the right token, or 404"
        self._router.refuses(call, UnauthorizedError, ask, what, expected="401 or 403", but=but)


@contextlib.contextmanager
def calling(router: CheckedRouter, whose: str) -> Generator[Stranger]:
    """Call as a stranger."""
    with router.client.with_authorization(_HEADERS[whose](_token(router))) as client:
        yield Stranger(router, client, whose)
