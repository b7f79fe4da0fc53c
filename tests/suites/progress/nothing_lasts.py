"""A machine on which no phase lasts long enough to be told, however busy it is."""

from __future__ import annotations

from pytest_hydrasmoke._report import lines

lines.BRIEF = lines.FIRST = float("inf")
