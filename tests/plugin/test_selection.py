"""Which runs are of all tests, so that what they do not use is of no use."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke._plugin.collected import Selection


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        ([], True),
        (["tests", "-q"], True),
        (["tests/test_it.py"], False),
        (["tests/test_it.py::test_it"], False),
        (["-k", "it"], False),
        (["-m", "slow"], False),
        (["--lf"], False),
        (["-x"], False),
        (["--deselect", "tests/test_it.py"], False),
    ],
)
def test_a_run_is_whole_where_nothing_selects(
    pytester: pytest.Pytester, arguments: list[str], whole: bool
) -> None:
    pytester.mkpydir("tests").joinpath("test_it.py").touch()
    selection = Selection(pytester.parseconfig(*arguments))
    assert selection.is_whole(0) is selection.is_whole(1) is whole
    assert not selection.is_whole(2)


def test_a_plugin_may_select(pytester: pytest.Pytester) -> None:
    selection = Selection(pytester.parseconfig())
    selection.pytest_deselected()
    assert not selection.is_whole(0)
