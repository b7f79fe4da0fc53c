"""What is public says so: by its name wherever it is shown, and with types that resolve."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import traceback
from typing import get_type_hints

import pytest
from pydantic import BaseModel

import pytest_hydrasmoke
from pytest_hydrasmoke import HydraSmokeConfig, InstanceStatus, SmokeClient, fake

CLASSES = {
    f"{home.__name__}.{name}": kind
    for home in (pytest_hydrasmoke, fake)
    for name in home.__all__
    if isinstance(kind := getattr(home, name), type)
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_is_named_after_the_package(name: str) -> None:
    kind = CLASSES[name]
    full = f"{kind.__module__}.{kind.__qualname__}"
    # A scenario is the fake's, and may be had from both.
    assert full == ("pytest_hydrasmoke.fake.Scenario" if "Scenario" in name else name)
    assert repr(kind) == f"<class '{full}'>"
    assert pickle.loads(pickle.dumps(kind)) is kind
    assert inspect.getmodule(kind) in (pytest_hydrasmoke, fake)


@pytest.mark.parametrize("name", CLASSES)
def test_the_types_of_a_public_class_resolve(name: str) -> None:
    hints = get_type_hints(CLASSES[name])
    assert not [it for it in hints.values() if isinstance(it, str)]
    for member in vars(CLASSES[name]).values():
        if inspect.isfunction(member) and member.__module__.startswith("pytest_hydrasmoke."):
            assert inspect.signature(member)


def test_a_class_is_so_named_whoever_imports_it_first() -> None:
    ask = (
        "import pytest_hydrasmoke._base.errors as it; print(it.ChatError); "
        "import pytest_hydrasmoke.fake.router as it; print(it.FakeRouter)"
    )
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert told.stdout.split("\n")[:2] == [
        "<class 'pytest_hydrasmoke.ChatError'>",
        "<class 'pytest_hydrasmoke.fake.FakeRouter'>",
    ]


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
