"""LLM events that a test expects, and what a count and names prove about them; pure functions.

The router lists providers without counts, in any order, over a window up to now: a provider seen
before a turn may or may not be among the turn's own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pytest_hydrasmoke._base.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Expected:
    """What a test expects: from `at_least` to `at_most` events, and every one of `providers`."""

    at_least: int = 1
    at_most: int | None = None
    providers: frozenset[str] = frozenset()
    only: bool = False
    """Whether other providers are forbidden."""

    def __str__(self) -> str:
        if self.at_least == self.at_most:
            number = f"exactly {self.at_least}"
        else:
            most = "" if self.at_most is None else f" and at most {self.at_most}"
            number = f"at least {self.at_least}{most}"
        last = self.at_least if self.at_most is None else self.at_most
        number += " LLM event" if last == 1 else " LLM events"
        names = " and ".join(sorted(self.providers))
        if self.only:
            return f"{number}, from {names} and no other"
        return f"{number}{f', {names} among them' if names else ''}"

    @property
    def bounded(self) -> bool:
        """Whether more events could still break the expectation."""
        return self.at_most is not None or self.only

    def too_many(self, added: int) -> bool:
        """Return whether there are too many, which no later read can change."""
        return self.at_most is not None and added > self.at_most

    def unexpected(self, seen: Collection[str]) -> frozenset[str]:
        """Return the providers that should not be there."""
        return frozenset(seen) - self.providers if self.only else frozenset()

    def met(self, added: int, seen: Collection[str]) -> bool:
        """Return whether nothing is missing."""
        return added >= self.at_least and self.providers <= set(seen)


def expected(
    at_least: int | None = None,
    at_most: int | None = None,
    providers: Collection[str] | None = None,
    exactly: int | None = None,
    only: Collection[str] | None = None,
) -> Expected:
    """Check what a test expects; raises `ConfigError` for what nothing can meet."""
    for name, value in (("providers", providers), ("only", only)):
        if isinstance(value, str):
            raise ConfigError(
                f"{name}={value!r} is a string, not a set of names",
                next_step=f"write {name}={{{value!r}}}",
            )
    least, most = _bounds(at_least, at_most, exactly)
    names = frozenset(providers or ()) | frozenset(only or ())
    if only is not None:
        if not only:
            raise ConfigError(
                "only is empty", next_step="name a provider, or give exactly=0 for no events"
            )
        if names != frozenset(only):
            raise ConfigError(
                f"only={_set(only)} leaves out some of providers={_set(providers or ())}",
                next_step="add them to only: it needs every provider that may appear",
            )
    if most is not None and most < len(names):
        raise ConfigError(
            f"{len(names)} providers can't be among at most {most} LLM "
            f"event{'' if most == 1 else 's'}",
            next_step="allow for an event of each",
        )
    return Expected(least, most, names, only is not None)


def _bounds(
    at_least: int | None, at_most: int | None, exactly: int | None
) -> tuple[int, int | None]:
    if exactly is None:
        least = 1 if at_least is None else at_least
        if least < 0 or (at_most is not None and at_most < least):
            raise ConfigError(
                f"no count can be at least {least} and at most {at_most}",
                next_step="give 0 <= at_least <= at_most",
            )
        return least, at_most
    if at_least is not None or at_most is not None:
        raise ConfigError(
            f"exactly={exactly} can't be combined with at_least or at_most",
            next_step="keep the one you mean",
        )
    if exactly < 0:
        raise ConfigError(f"no count is exactly {exactly}", next_step="give 0 or more")
    return exactly, exactly


def _set(names: Collection[str]) -> str:
    return "{" + ", ".join(map(repr, sorted(names))) + "}"


def surely_since(before: frozenset[str], now: frozenset[str], added: int) -> frozenset[str]:
    """Return the providers that must be among the `added` events, from the names alone."""
    if added <= 0:
        return frozenset()
    return now if len(now) == 1 else now - before


def maybe_since(before: frozenset[str], now: frozenset[str], added: int) -> bool:
    """Return whether providers seen before may be among the `added` events, too."""
    return added > len(now - before)
