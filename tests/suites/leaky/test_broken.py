"""A module that can't be imported, and says too much about it."""

from __future__ import annotations

import os

token = os.environ["HYDRA_SMOKE_TOKEN"]
print("at import", token)
raise RuntimeError(f"no test is here for {token}")
