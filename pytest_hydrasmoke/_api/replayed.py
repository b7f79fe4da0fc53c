"""What a replaying fake says with a count of LLM events; from a router it means nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

COUNTED = "hydra-smoke-counted"
"""The header of a count that nothing recorded is missing from."""


@dataclass(frozen=True, slots=True)
class AllCounted:
    """All recorded LLM events of an instance's turns so far are counted: no more will come."""

    again: str
    """The command that records them again."""
    all_asked: bool
    """Whether no recorded turn on the instance is left, which could add more."""


def all_counted(headers: Mapping[str, str]) -> AllCounted | None:
    """Return what the headers of a count say; None if more may come."""
    words = headers.get(COUNTED)
    return None if words is None else AllCounted(**json.loads(words))
