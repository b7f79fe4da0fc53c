"""Tests in two sizes: a sample in the normal tests, and all of it where a marker is asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest
from hypothesis import settings


def sizes(marker: str, sample: object, full: object) -> list[Any]:
    """Return the parameters of a test that `-m marker` runs with more."""
    return [
        pytest.param(sample, id="sample"),
        pytest.param(full, id="full", marks=getattr(pytest.mark, marker)),
    ]


def sampled(
    marker: str,
    cases: Iterable[Any],
    sample: Collection[Any],
    name: Callable[[Any], str] | None = None,
) -> list[Any]:
    """Return each case as a parameter; `-m marker` runs those outside the sample."""
    return [
        pytest.param(
            case,
            id=name(case) if name else None,
            marks=() if case in sample else getattr(pytest.mark, marker),
        )
        for case in cases
    ]


def examples(sample: int, full: int) -> settings:
    """Return settings of a property that takes long: its own numbers of examples."""
    in_full = settings.default.max_examples == settings.get_profile("full").max_examples
    return settings(settings.default, max_examples=full if in_full else sample)
