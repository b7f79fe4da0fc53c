"""`python -m pytest_hydrasmoke` is `hydra-smoke`."""

from __future__ import annotations

import sys

from ._command import main

sys.exit(main())
