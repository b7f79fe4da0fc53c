"""Options, switch and fixtures: nothing is decided here.

Every run of every user who has the package installed loads this module, so it imports pytest and
the standard library only. All else is loaded inside the function that needs it, once the plugin
is switched on.

PYTEST_DONT_REWRITE: this module has no assertions to rewrite.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hydrasmoke._options import (
    FAKE,
    LIVE,
    METAVARS,
    ON_WINDOWS,
    SECRETS,
    SETTINGS,
    TABLE,
    WITHOUT_OPTION,
    WSL,
    flag,
    variable,
)

if TYPE_CHECKING:
    from pytest_hydrasmoke import (
        AsyncSmokeClient,
        AsyncSmokeInstance,
        AsyncSmokeInstanceFactory,
        HydraSmokeConfig,
        InstanceSpec,
        SmokeClient,
        SmokeInstance,
        SmokeInstanceFactory,
    )
    from pytest_hydrasmoke._plugin.compose import Parts
    from pytest_hydrasmoke.fake import FakeRouter

_PARTS: pytest.StashKey[Parts] = pytest.StashKey()

_SMOKE_FIXTURES = {
    "smoke_instance",
    "smoke_instance_factory",
    "async_smoke_instance",
    "async_smoke_instance_factory",
    "smoke_client",
    "async_smoke_client",
    "smoke_spec",
    "smoke_config",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hydra-smoke", "HydraCore end-to-end smoke tests")
    group.addoption(
        LIVE, action="store_true", dest="hydra_smoke", help="smoke-test the live router"
    )
    group.addoption(
        FAKE,
        action="store_true",
        dest="hydra_smoke_fake",
        help="smoke-test the bundled fake router, served on loopback for this run",
    )
    for name, words in SETTINGS.items():
        group.addoption(
            flag(name),
            dest=f"hydra_smoke_{name}",
            metavar=METAVARS.get(name, "VALUE"),
            help=words,
        )
    # Registered only to be refused, without their values in the error message.
    for name in (*SECRETS, *_no_options()):
        group.addoption(flag(name), dest=f"hydra_smoke_{name}", help=argparse.SUPPRESS)


def _no_options() -> tuple[str, ...]:
    """Return settings that have no option, where the command line may have one all the same.

    Each option costs every run of pytest something, so there are none elsewhere.
    """
    ours = any(word.startswith(f"{LIVE}-") for word in sys.argv)
    return WITHOUT_OPTION if ours else ()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_hydrasmoke import _hookspecs

    pluginmanager.add_hookspecs(_hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "hydra_smoke: a smoke test (added to every test that uses a smoke fixture)"
    )
    config.addinivalue_line(
        "markers",
        "hydra_smoke_runs(n, at_least=k): run a test's body up to n times on its fixtures, until "
        "k runs have passed (default: all)",
    )
    config.addinivalue_line(
        "markers", "hydra_smoke_live: skip this test if recordings are replayed"
    )
    config.addinivalue_line(
        "markers",
        "hydra_smoke_continues: begin no new conversation for this test (new_conversation)",
    )
    live, fake = bool(config.getoption("hydra_smoke")), bool(config.getoption("hydra_smoke_fake"))
    for name in _no_options():
        if config.getoption(f"hydra_smoke_{name}", None) is not None:
            raise pytest.UsageError(
                f"{flag(name)} is no option: set {variable(name)}, or {name} in [{TABLE}]"
            )
    settings = (*SETTINGS, *SECRETS)
    given = [flag(name) for name in settings if config.getoption(f"hydra_smoke_{name}") is not None]
    if ON_WINDOWS and (live or fake):
        raise pytest.UsageError(WSL)
    if live or fake:
        from pytest_hydrasmoke._plugin.switch import switch_on

        parts = switch_on(config)
        if parts is not None:
            config.stash[_PARTS] = parts
    elif given:
        switch = f"{LIVE} (live) or {FAKE} (the bundled fake)"
        if given[0] in (flag("agent_url"), flag("scenario")):
            switch = FAKE
        raise pytest.UsageError(f"{given[0]} has no effect without {switch}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    code = yield
    # What comes before a run begins may end pytest, and `pytest.exit` may ask for 0.
    switched = config.getoption("hydra_smoke") or config.getoption("hydra_smoke_fake")
    if not switched or code or config.stash.get(_PARTS, None) is not None:
        return code
    from pytest_hydrasmoke._plugin.switch import without_a_run

    return without_a_run(config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, object, object]:
    # Before pytest's own hook, which selects by marker.
    for item in items:
        names = getattr(item, "fixturenames", None)
        # Empty for most tests of others: what is done for each test, every run pays.
        if names and not _SMOKE_FIXTURES.isdisjoint(names):
            item.add_marker("hydra_smoke")
    result = yield
    # After all other hooks, which may have added that marker.
    if _have_marker(items, "hydra_smoke_runs"):
        from pytest_hydrasmoke._plugin.repeats import take_part

        parts = config.stash.get(_PARTS, None)
        take_part(config, items, None if parts is None else parts.repeats)
    return result


def _have_marker(items: list[pytest.Item], name: str) -> bool:
    """Return whether a test, or a class, module or package around one, has a marker.

    `get_closest_marker` on each test took 1.4 % of the time that collecting it takes.
    """
    nodes: list[Any] = []
    last: object = None
    for item in items:
        if item.own_markers:
            nodes.append(item)
        if item.parent is not last:
            last = item.parent
            nodes += item.listchain()[:-1]
    return any(mark.name == name for node in nodes for mark in node.own_markers)


def _parts(config: pytest.Config) -> Parts:
    parts = config.stash.get(_PARTS, None)
    if parts is None:
        pytest.skip(f"smoke tests run with {LIVE} (live) or {FAKE} (the bundled fake)")
    return parts


@pytest.fixture(scope="session")
def smoke_config(pytestconfig: pytest.Config) -> HydraSmokeConfig:
    """The settings of the run; skips the test in a run without a switch."""
    return _parts(pytestconfig).config


@pytest.fixture
def smoke_spec(smoke_config: HydraSmokeConfig) -> InstanceSpec:
    """What `smoke_instance` provisions; override it in a conftest, module or class."""
    return smoke_config.spec


@pytest.fixture
def smoke_instance(
    request: pytest.FixtureRequest, smoke_config: HydraSmokeConfig, smoke_spec: InstanceSpec
) -> SmokeInstance:
    """A ready instance with this test's spec; tests with the same spec share it within `scope`.

    Parametrize it, indirectly, with fields of another spec: `{"tier_id": "..."}`.
    """
    return _parts(request.config).fixtures.instance(request, smoke_spec)


@pytest.fixture
def async_smoke_instance(
    request: pytest.FixtureRequest, smoke_config: HydraSmokeConfig, smoke_spec: InstanceSpec
) -> AsyncSmokeInstance:
    """The same instance as `smoke_instance`, for coroutines.

    A call without `await` does nothing, and fails the run.
    """
    return _parts(request.config).fixtures.async_instance(request, smoke_spec)


@pytest.fixture(scope="session")
def smoke_instance_factory(
    pytestconfig: pytest.Config, smoke_config: HydraSmokeConfig
) -> SmokeInstanceFactory:
    """Provisions instances that only you use: `factory(**spec)`, `factory.many(n, **spec)`."""
    return _parts(pytestconfig).fixtures.factory()


@pytest.fixture
def async_smoke_instance_factory(
    pytestconfig: pytest.Config, smoke_config: HydraSmokeConfig
) -> AsyncSmokeInstanceFactory:
    """The same factory as `smoke_instance_factory`, for coroutines."""
    return _parts(pytestconfig).fixtures.async_factory()


@pytest.fixture
def smoke_client(
    pytestconfig: pytest.Config, smoke_config: HydraSmokeConfig
) -> Iterator[SmokeClient]:
    """The router's six calls. The run deletes what they provision.

    `smoke_client.with_token(None)` is a client without a token.
    """
    with _parts(pytestconfig).fixtures.client() as client:
        yield client


@pytest.fixture
def async_smoke_client(
    pytestconfig: pytest.Config, smoke_config: HydraSmokeConfig
) -> AsyncSmokeClient:
    """The router's six calls, for coroutines."""
    return _parts(pytestconfig).fixtures.async_client()


@pytest.fixture
def smoke_fake(request: pytest.FixtureRequest) -> Iterator[FakeRouter]:
    """A fake router for this test alone, on loopback; needs no switch.

    It is not the router of `smoke_instance`. Parametrize it, indirectly, with arguments of
    `FakeRouter`: `{"clock": VirtualClock()}`. A test fails at its end if no request has met a fault
    that it asked for.
    """
    from pytest_hydrasmoke._plugin.fakes import served

    yield from served(request)
