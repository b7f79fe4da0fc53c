"""Rows of the summary: however wide the terminal is, none begins with what a runner would obey."""

from __future__ import annotations

import re

import pytest
from report_tools import a_report, an_instance

from pytest_hydrasmoke._report import terminal

WORDS = f"unknown: {'::error::boo ' * 12}"


@pytest.mark.parametrize("width", range(40, 90))
def test_no_row_of_the_summary_begins_with_a_command(width: int) -> None:
    report = a_report(an_instance(notes=(WORDS,), drift=(WORDS,)))
    rows = ["".join(text for text, _ in line) for line in terminal.summary(report, width)]
    assert sum("boo" in row for row in rows) > 4
    assert not [row for row in rows if re.match(r"\s*::", row)]
