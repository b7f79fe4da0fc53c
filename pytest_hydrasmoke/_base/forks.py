"""Which process this is: a fork is another one, also where a test has replaced `os.getpid`."""

from __future__ import annotations

import os
import sys

_forks = list[None]()
"""One for each fork between the interpreter's start and this process."""

if sys.platform == "win32":
    pass  # Nothing forks there.
else:
    os.register_at_fork(after_in_child=lambda: _forks.append(None))


def generation() -> int:
    """Return a number that a fork has one higher than who has forked it."""
    return len(_forks)
