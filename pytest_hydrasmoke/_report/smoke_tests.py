"""Which of pytest's reports are of smoke tests.

A report's keywords don't say: they also contain the names of folders, modules and classes.
"""

from __future__ import annotations

import pytest

MARKED = "hydra_smoke_marked"
"""An attribute of a test's report: whether the test has the marker `hydra_smoke`."""
USED = "hydra_smoke_used"
"""An attribute of a test's report: the instances used so far, by key or id."""


def is_smoke_test(report: pytest.TestReport) -> bool:
    """Return whether a report is of a test with the marker, or of one that has used an instance."""
    # A test may ask for a fixture only while it runs.
    return bool(getattr(report, MARKED, False) or getattr(report, USED, ()))
