"""What a user can import, and what importing it costs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_hydrasmoke
import pytest_hydrasmoke.fake

PACKAGE = Path(pytest_hydrasmoke.__file__).parent

PUBLIC = {
    # the calls
    "SmokeClient",
    "AsyncSmokeClient",
    # instances
    "SmokeInstance",
    "AsyncSmokeInstance",
    "ChatTurn",
    "AsyncChatTurn",
    "ChatEvent",
    "SmokeInstanceFactory",
    "AsyncSmokeInstanceFactory",
    # answers
    "ProvisionAccepted",
    "PollResult",
    "InstanceStatus",
    "LlmEvents",
    "DeleteResult",
    # to annotate with
    "InstanceSpec",
    "HydraSmokeConfig",
    "Scenario",
    "VirtualClock",
    "RecordedTurn",
    "Report",
    # errors
    "HydraSmokeError",
    "ConfigError",
    "TokenUsage",
    "ToolCall",
    "TransportError",
    "TransportTimeoutError",
    "RouterError",
    "UnauthorizedError",
    "NotFoundError",
    "RejectedError",
    "ContractError",
    "ProvisionError",
    "ProvisionTimeoutError",
    "ChatError",
    "ChatBusyError",
    "ChatTimeoutError",
    "LeakError",
    "LlmEventsError",
}

HEAVY = (
    "anyio",
    "httpcore",
    "httpx",
    "pydantic",
    "starlette",
    "uvicorn",
)


def in_a_fresh_interpreter(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_public_names_are_those_of_the_contract() -> None:
    assert set(pytest_hydrasmoke.__all__) == PUBLIC
    assert sorted(pytest_hydrasmoke.__all__) == list(pytest_hydrasmoke.__all__)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_is_a_class_of_this_package(name: str) -> None:
    value = getattr(pytest_hydrasmoke, name)
    assert isinstance(value, type)
    assert value.__name__ == name
    assert value.__module__.split(".")[0] == "pytest_hydrasmoke"
    assert value.__doc__


def test_an_event_has_the_names_of_the_contract_and_no_others() -> None:
    names = {name for name in dir(pytest_hydrasmoke.ChatEvent) if not name.startswith("_")}
    assert names == {"event", "data", "id", "retry", "at", "text", "json"}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pytest_hydrasmoke' has no attribute 'Nope'"):
        _ = pytest_hydrasmoke.Nope
    with pytest.raises(AttributeError, match="has no attribute 'Nope'"):
        _ = pytest_hydrasmoke.fake.Nope
    with pytest.raises(ImportError):
        from pytest_hydrasmoke import Nope  # type: ignore[attr-defined]  # noqa: F401


def test_errors_form_one_tree() -> None:
    errors = [
        value
        for name in PUBLIC
        if isinstance(value := getattr(pytest_hydrasmoke, name), type)
        and issubclass(value, Exception)
    ]
    assert all(issubclass(error, pytest_hydrasmoke.HydraSmokeError) for error in errors)
    assert issubclass(pytest_hydrasmoke.ChatTimeoutError, TimeoutError)
    assert issubclass(pytest_hydrasmoke.TransportTimeoutError, TimeoutError)
    assert issubclass(pytest_hydrasmoke.ProvisionTimeoutError, TimeoutError)
    assert issubclass(pytest_hydrasmoke.LlmEventsError, AssertionError)
    for refused in ("UnauthorizedError", "NotFoundError", "RejectedError"):
        assert issubclass(getattr(pytest_hydrasmoke, refused), pytest_hydrasmoke.RouterError)


@pytest.mark.parametrize(
    "module", ["pytest_hydrasmoke", "pytest_hydrasmoke.plugin", "pytest_hydrasmoke.fake"]
)
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    # pytest itself comes first: what it loads is not this package's doing.
    loaded = json.loads(
        in_a_fresh_interpreter(
            "import sys, json, pytest\n"
            "before = set(sys.modules)\n"
            f"import {module}\n"
            "print(json.dumps(sorted(set(sys.modules) - before)))"
        )
    )
    assert module in loaded
    assert not [name for name in loaded if name.split(".")[0] in HEAVY]


def test_every_home_can_be_the_first_to_be_imported() -> None:
    for home in pytest_hydrasmoke._HOMES:
        name = pytest_hydrasmoke._HOMES[home][0]
        assert (
            in_a_fresh_interpreter(f"from pytest_hydrasmoke import {name}; print({name}.__name__)")
            == f"{name}\n"
        )


def imported_by(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


def test_the_two_ways_to_the_network_alone_know_httpx() -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "httpx" in imported_by(path)
    }
    assert {it.partition("/")[0] for it in users} == {"_transport"}


def test_the_network_library_below_it_is_known_to_the_network_modules_only() -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "httpcore" in imported_by(path)
    }
    assert {it.partition("/")[0] for it in users} == {"_transport"}


def test_the_fake_shares_nothing_with_what_it_tests() -> None:
    for path in (PACKAGE / "fake").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        froms = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        assert not [node for node in froms if node.level > 1], path.name
        named = [node.module or "" for node in froms if not node.level]
        named += [it.name for node in nodes if isinstance(node, ast.Import) for it in node.names]
        ours = [name for name in named if name.partition(".")[0] == "pytest_hydrasmoke"]
        # By whole names a folder within it reaches the others.
        assert all(name.startswith("pytest_hydrasmoke.fake.") for name in ours), path.name
