"""The spec of an instance: which recorded turns are its own, and what is recorded of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .recordings import Turn


class Difference(NamedTuple):
    """A field that a run asks for with another value than recorded; None if it was not set."""

    name: str
    recorded: str | None
    asked: str


def of_spec(turns: list[Turn], spec: Mapping[str, str | None]) -> list[Turn]:
    """Return the turns on the instance of a spec, out of those on all that have its claim.

    If all have one spec, any spec matches: a run against the fake needs none of the router's.
    """
    mine = [turn for turn in turns if turn.spec == given(spec)]
    return mine or (turns if all(turn.spec == turns[0].spec for turn in turns) else [])


def given(spec: Mapping[str, str | None]) -> dict[str, str]:
    """Return the fields of a spec that are set."""
    return {name: value for name, value in spec.items() if value is not None}


def differences(
    recorded: Mapping[str, str], asked: Mapping[str, str], unset: Mapping[str, str]
) -> Sequence[Difference]:
    """Return the fields of a spec that somebody asks for with another value than recorded.

    `unset` are values that a run has where nobody gives one. An empty spec, or field, is unknown: a
    client's instance has the former, an instance to which a run was attached the latter.
    """
    if not recorded:
        return ()
    return tuple(
        Difference(name, recorded.get(name), value)
        for name, value in asked.items()
        if recorded.get(name) not in ("", value) and unset.get(name) != value
    )
