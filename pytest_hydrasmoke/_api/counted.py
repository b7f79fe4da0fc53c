"""What a count of LLM events must explain: each provider that is named has written one of them."""

from __future__ import annotations

from typing import NamedTuple

from pytest_hydrasmoke._base.errors import ContractError, hide_own_frames
from pytest_hydrasmoke._base.text import first_few, safe_line

from .models import LlmEvents

__tracebackhide__ = hide_own_frames


class Rows(NamedTuple):
    """LLM events as they were counted, and the providers that were named with them."""

    number: int = 0
    providers: frozenset[str] = frozenset()


NONE = Rows()


def rows_of(answer: LlmEvents) -> Rows:
    """Return what an answer counts and names."""
    return Rows(answer.count, frozenset(answer.providers))


def explained(now: Rows, before: Rows = NONE) -> bool:
    """Return whether the rows since an earlier count can be those of all names that are new.

    A name may be repeated for each of its rows, so that it counts once.
    """
    return len(now.providers - before.providers) <= max(now.number - before.number, 0)


def check_explained(now: Rows, before: Rows = NONE) -> None:
    """Raise `ContractError` for names that no row explains."""
    if explained(now, before):
        return
    new, added = now.providers - before.providers, max(now.number - before.number, 0)
    since = "" if before == NONE else f" since {before.number} were counted"
    raise ContractError(
        f"llm_events names more providers than it counts LLM events{since}",
        expected=f"no more than {added}: an LLM event of each",
        got=f"{len(new)}: {safe_line(first_few(sorted(new)))}",
        next_step="tell the router's developers: it names others' providers, or leaves out rows",
    )
