"""A router that keeps the HydraCore smoke contract, on loopback, for tests.

Names are resolved on first use (PEP 562), so that importing this package loads neither starlette
nor uvicorn. Nothing here imports the rest of `pytest_hydrasmoke` but its clock: a fake that shared
the client's rules would share its mistakes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .records import FakeInstance, LlmEvent, RequestRecord
    from .router import FakeRouter
    from .scenario import Scenario
    from .standalone import serve
    from .state import Clock

_HOME_OF = {
    "Clock": "state",
    "FakeInstance": "records",
    "FakeRouter": "router",
    "LlmEvent": "records",
    "RequestRecord": "records",
    "Scenario": "scenario",
    "serve": "standalone",
}

__all__ = [
    "Clock",
    "FakeInstance",
    "FakeRouter",
    "LlmEvent",
    "RequestRecord",
    "Scenario",
    "serve",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value
