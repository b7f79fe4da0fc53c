"""Which budgets a run did not keep, by the reports of its instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter

from pytest_hydrasmoke._journal.story import TOKENS, WAITS

from .model import InstanceReport
from .parts import BreachReport


def breaches(
    instances: Sequence[InstanceReport], budgets: Mapping[str, float]
) -> list[BreachReport]:
    """Return the exceeded budgets, each with its worst value."""
    return [
        BreachReport(
            phase=name,
            limit=limit,
            value=value,
            instance=worst.name,
            test=_waited(worst, name, value),
        )
        for name, limit in budgets.items()
        for value, worst in _most(instances, name)
        if value > limit
    ]


def _most(instances: Sequence[InstanceReport], name: str) -> Iterator[tuple[float, InstanceReport]]:
    """Yield what was used of a budget, and where most of it was; nothing without instances."""
    if not instances:
        return
    if name == TOKENS:
        worst = max(instances, key=lambda it: it.tokens.total)
        yield sum(instance.tokens.total for instance in instances), worst
    else:
        worst = max(instances, key=lambda it: _took(it, name))
        yield _took(worst, name), worst


def _took(it: InstanceReport, name: str) -> float:
    return (it.waits if name in WAITS else it.phases).get(name, 0.0)


def _waited(it: InstanceReport, name: str, seconds: float) -> str | None:
    """Return the test whose turn took that long; None if that turn is not kept."""
    if name not in WAITS:
        return None
    wait_of = attrgetter("first_text_after" if name == "first_text" else "max_gap")
    return next((turn.test for turn in it.turns if wait_of(turn) == seconds), None)


def untold_tokens(instances: Sequence[InstanceReport], budgets: Mapping[str, float]) -> str | None:
    """Return how many chats a token budget does not cover; None if it covers all, or is not set."""
    untold = sum(instance.untold for instance in instances)
    if TOKENS not in budgets or not untold:
        return None
    chats = sum(instance.chats for instance in instances)
    return f"budgets: tokens of {untold} of {chats} chats were not reported, and are not counted"
