"""`python -m pytest_hydrasmoke` is `hydra-smoke`."""

from __future__ import annotations

import sys

from pytest_hydrasmoke._cli.main import main

sys.exit(main())
