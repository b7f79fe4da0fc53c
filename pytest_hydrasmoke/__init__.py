"""End-to-end smoke tests of a HydraCore router, as a pytest plugin.

Names are resolved on first use (PEP 562): pytest imports this package in every run of every
user, switched on or not, and must not load httpx and pydantic there. `dir()` does not list them
before: freezegun reads every name that it lists, in every module, while time is half frozen.

PYTEST_DONT_REWRITE: this module has no assertions to rewrite.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_hydrasmoke._api.models import (
        DeleteResult,
        InstanceSpec,
        InstanceStatus,
        LlmEvents,
        PollResult,
        ProvisionAccepted,
    )
    from pytest_hydrasmoke._base.errors import (
        ChatBusyError,
        ChatError,
        ChatTimeoutError,
        ConfigError,
        ContractError,
        HydraSmokeError,
        LeakError,
        LlmEventsError,
        NotFoundError,
        ProvisionError,
        ProvisionTimeoutError,
        RejectedError,
        RouterError,
        ToolCallsError,
        TransportError,
        TransportTimeoutError,
        UnauthorizedError,
    )
    from pytest_hydrasmoke._clock.virtual import VirtualClock
    from pytest_hydrasmoke._recordings.format import RecordedTurn
    from pytest_hydrasmoke._report.model import Report
    from pytest_hydrasmoke._run.factory import AsyncSmokeInstanceFactory, SmokeInstanceFactory
    from pytest_hydrasmoke._runtimes.content import TokenUsage, ToolCall
    from pytest_hydrasmoke._settings.config import HydraSmokeConfig
    from pytest_hydrasmoke._sse.decoder import ChatEvent
    from pytest_hydrasmoke.client import AsyncSmokeClient, SmokeClient
    from pytest_hydrasmoke.fake import Scenario
    from pytest_hydrasmoke.instance import AsyncSmokeInstance, SmokeInstance
    from pytest_hydrasmoke.turn import AsyncChatStream, AsyncChatTurn, ChatStream, ChatTurn

_HOMES = {
    "_clock.virtual": ("VirtualClock",),
    "_base.errors": (
        "ChatBusyError",
        "ChatError",
        "ChatTimeoutError",
        "ConfigError",
        "ContractError",
        "HydraSmokeError",
        "LeakError",
        "LlmEventsError",
        "NotFoundError",
        "ProvisionError",
        "ProvisionTimeoutError",
        "RejectedError",
        "RouterError",
        "ToolCallsError",
        "TransportError",
        "TransportTimeoutError",
        "UnauthorizedError",
    ),
    "_run.factory": ("AsyncSmokeInstanceFactory", "SmokeInstanceFactory"),
    "_recordings.format": ("RecordedTurn",),
    "_api.models": (
        "DeleteResult",
        "InstanceSpec",
        "InstanceStatus",
        "LlmEvents",
        "PollResult",
        "ProvisionAccepted",
    ),
    "_settings.config": ("HydraSmokeConfig",),
    "_runtimes.content": ("TokenUsage", "ToolCall"),
    "_sse.decoder": ("ChatEvent",),
    "_report.model": ("Report",),
    "client": ("AsyncSmokeClient", "SmokeClient"),
    "fake": ("Scenario",),
    "instance": ("AsyncSmokeInstance", "SmokeInstance"),
    "turn": ("AsyncChatStream", "AsyncChatTurn", "ChatStream", "ChatTurn"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AsyncChatStream",
    "AsyncChatTurn",
    "AsyncSmokeClient",
    "AsyncSmokeInstance",
    "AsyncSmokeInstanceFactory",
    "ChatBusyError",
    "ChatError",
    "ChatEvent",
    "ChatStream",
    "ChatTimeoutError",
    "ChatTurn",
    "ConfigError",
    "ContractError",
    "DeleteResult",
    "HydraSmokeConfig",
    "HydraSmokeError",
    "InstanceSpec",
    "InstanceStatus",
    "LeakError",
    "LlmEvents",
    "LlmEventsError",
    "NotFoundError",
    "PollResult",
    "ProvisionAccepted",
    "ProvisionError",
    "ProvisionTimeoutError",
    "RecordedTurn",
    "RejectedError",
    "Report",
    "RouterError",
    "Scenario",
    "SmokeClient",
    "SmokeInstance",
    "SmokeInstanceFactory",
    "TokenUsage",
    "ToolCall",
    "ToolCallsError",
    "TransportError",
    "TransportTimeoutError",
    "UnauthorizedError",
    "VirtualClock",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value
