"""What a user can import: by its name wherever it is shown, and with types that resolve."""

from __future__ import annotations

import inspect
import pickle
import traceback
from typing import get_type_hints

import pytest
from pydantic import BaseModel

import pytest_hydrasmoke
from pytest_hydrasmoke import HydraSmokeConfig, InstanceStatus, SmokeClient, fake

PUBLIC = {
    *("SmokeClient", "AsyncSmokeClient", "SmokeInstance", "AsyncSmokeInstance"),
    *("SmokeInstanceFactory", "AsyncSmokeInstanceFactory"),
    *("ChatTurn", "AsyncChatTurn", "ChatEvent", "ToolCall", "TokenUsage"),
    *("ChatStream", "AsyncChatStream", "ToolCallsError"),
    *("ProvisionAccepted", "PollResult", "InstanceStatus", "LlmEvents", "DeleteResult"),
    *("InstanceSpec", "HydraSmokeConfig", "Scenario", "VirtualClock", "RecordedTurn", "Report"),
    *("HydraSmokeError", "ConfigError", "TransportError", "TransportTimeoutError"),
    *("RouterError", "UnauthorizedError", "NotFoundError", "RejectedError", "ContractError"),
    *("ProvisionError", "ProvisionTimeoutError", "LeakError", "LlmEventsError"),
    *("ChatError", "ChatBusyError", "ChatTimeoutError"),
}
CLASSES = {
    f"{home.__name__}.{name}": kind
    for home in (pytest_hydrasmoke, fake)
    for name in home.__all__
    if isinstance(kind := getattr(home, name), type)
}


def test_the_public_names_are_those_of_the_contract() -> None:
    assert set(pytest_hydrasmoke.__all__) == PUBLIC
    assert sorted(pytest_hydrasmoke.__all__) == list(pytest_hydrasmoke.__all__)
    names = {name for name in dir(pytest_hydrasmoke.ChatEvent) if not name.startswith("_")}
    assert names == {"event", "data", "id", "retry", "at", "text", "json"}


def test_a_public_class_is_named_after_the_package_and_its_types_resolve() -> None:
    assert {it.partition(".")[2] for it in CLASSES} >= PUBLIC
    for name, kind in CLASSES.items():
        full = f"{kind.__module__}.{kind.__qualname__}"
        # A scenario is the fake's, and may be had from both.
        assert full == ("pytest_hydrasmoke.fake.Scenario" if "Scenario" in name else name)
        assert repr(kind) == f"<class '{full}'>"
        assert kind.__doc__
        assert pickle.loads(pickle.dumps(kind)) is kind
        assert inspect.getmodule(kind) in (pytest_hydrasmoke, fake)
        hints = get_type_hints(kind)
        assert not [it for it in hints.values() if isinstance(it, str)]
        for member in vars(kind).values():
            if inspect.isfunction(member) and member.__module__.startswith("pytest_hydrasmoke."):
                assert inspect.signature(member)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pytest_hydrasmoke' has no attribute 'Nope'"):
        _ = pytest_hydrasmoke.Nope
    with pytest.raises(AttributeError, match="has no attribute 'Nope'"):
        _ = pytest_hydrasmoke.fake.Nope
    with pytest.raises(ImportError):
        from pytest_hydrasmoke import Nope  # type: ignore[attr-defined]  # noqa: F401


def test_a_traceback_names_an_error_as_users_do() -> None:
    with pytest.raises(pytest_hydrasmoke.ConfigError) as caught:
        SmokeClient("router.example", token="a-made-up-token")
    told = traceback.format_exception_only(caught.value)
    assert told[0].startswith("pytest_hydrasmoke.ConfigError: the router's URL must begin")


def test_a_model_can_be_derived_from() -> None:
    class Ours(InstanceStatus):
        zone: int = 0

    known = {"id": "5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21", "hostname": None, "status": "running"}
    ours = Ours.model_validate({**known, "zone": 3})
    assert (ours.zone, ours.status) == (3, "running")

    class Wrapped(BaseModel):
        inner: InstanceStatus

    assert Wrapped.model_validate({"inner": known}).inner.status == "running"
    again: InstanceStatus = pickle.loads(pickle.dumps(InstanceStatus.model_validate(known)))
    assert again == InstanceStatus.model_validate(known)

    class Settings(HydraSmokeConfig):
        more: str = ""

    assert Settings(url="https://router.example").ready_timeout == 900
