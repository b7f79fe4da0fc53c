"""Names of groups that are too long for their column."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke._base.width import width_of
from pytest_hydrasmoke._history.short_names import shortened


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["a", "night-17"], ["a", "night-17"]),
        (["smoke-of-night-17"], ["…ight-17"]),
        (["smoke-of-night-17", "smoke-of-night-18"], ["…ight-17", "…ight-18"]),
        (["smoke-of-night-17", "short"], ["…ight-17", "short"]),
        (["17-smoke-of-night", "18-smoke-of-night"], ["17-smok…", "18-smok…"]),
        (["a-smoke-of-night-1", "b-smoke-of-night-1"], ["a-smoke…", "b-smoke…"]),
        (
            ["a-smoke-of-night-1", "b-smoke-of-night-1", "a-smoke-of-night-2"],
            ["a-s…ht-1", "b-s…ht-1", "a-s…ht-2"],
        ),
        (["smoke-of-17-every-night", "smoke-of-18-every-night"], ["…-of-17…", "…-of-18…"]),
        (["smoke-17-of-night", "18-of-night"], ["smoke-1…", "18-of-n…"]),
        (["夜夜夜夜-1", "夜夜夜夜-2"], ["…夜夜-1", "…夜夜-2"]),
    ],
)
def test_names_are_cut_where_it_tells_them_apart(names: list[str], shown: list[str]) -> None:
    assert shortened(names, 8) == shown
    assert all(width_of(name) <= 8 for name in shown)
