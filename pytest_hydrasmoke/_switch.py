"""Switching on: what is asked for, whether it can be had, and what then takes part in the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ._collect import BundledChecks
from ._options import FAKE, LIVE, SETTINGS, flag, variable

if TYPE_CHECKING:
    from ._active import Active
    from ._load import Loaded
    from ._settings import HydraSmokeConfig
    from .fake import FakeRouter

# Calls of pytest that execute no test: they must work without any settings, and touch nothing.
_TELLS_ONLY = (
    "help",
    "version",
    "markers",
    "showfixtures",
    "show_fixtures_per_test",
    "collectonly",
    "setupplan",
    "cacheshow",
)


def switch_on(config: pytest.Config, *, live: bool, fake: bool) -> Active | None:
    """Register what takes part in the run; None where pytest only tells something.

    Raises `pytest.UsageError` with everything that is wrong.
    """
    tells_only = any(config.getoption(name, default=None) for name in _TELLS_ONLY)
    if tells_only:
        _collect(config, unasked=True)
        return None
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    active = (
        _main_process(config, live=live, fake=fake) if worker is None else _worker(config, worker)
    )
    _collect(config, unasked=active.config.bundled_checks)
    return active


def _collect(config: pytest.Config, *, unasked: bool) -> None:
    config.pluginmanager.register(BundledChecks(config, unasked=unasked), "hydra-smoke-checks")


def _main_process(config: pytest.Config, *, live: bool, fake: bool) -> Active:
    from . import _load
    from ._errors import HydraSmokeError
    from ._redact import Token
    from ._unused import check_unused
    from .fake import FakeRouter

    if live and fake:
        raise pytest.UsageError(f"{LIVE} and {FAKE} are both given: keep the one you mean")
    if config.getoption("hydra_smoke_token") is not None:
        raise pytest.UsageError(
            f"{flag('token')} would show the token to everybody on this machine: "
            f"set {variable('token')} in the environment, or give {flag('token_file')}"
        )
    options = {name: config.getoption(f"hydra_smoke_{name}") for name in SETTINGS}
    router: FakeRouter | None = None
    try:
        loaded = _load.load(options, config.invocation_params.dir, fake=fake)
        settings = loaded.config
        if fake:
            # Served until `pytest_unconfigure`, which pytest calls however the run ends.
            router = FakeRouter().__enter__()
            at = {"url": router.url, "token": Token(router.token)}
            settings = settings.model_copy(update=at)
        elif settings.instance is None:
            check_unused(settings, named="run_id" in loaded.sources)
        return _take_part(config, settings, loaded=loaded, router=router, fake=fake)
    except HydraSmokeError as error:
        problem = str(error)
    if router is not None:
        router.__exit__(None, None, None)
    raise pytest.UsageError(problem)


def _worker(config: pytest.Config, worker: dict[str, Any]) -> Active:
    from ._settings import HydraSmokeConfig

    given: dict[str, Any] = worker["hydra_smoke"]
    settings = HydraSmokeConfig.from_plain(given["settings"])
    return _take_part(config, settings, fake=given["fake"], worker=worker["workerid"])


def _take_part(
    config: pytest.Config,
    settings: HydraSmokeConfig,
    *,
    fake: bool,
    loaded: Loaded | None = None,
    router: FakeRouter | None = None,
    worker: str | None = None,
) -> Active:
    from ._active import Active
    from ._finish import Finish
    from ._ledger import MAIN, Ledger
    from ._signals import Interrupts

    ledger = Ledger(settings.output, settings.run_id, fake=fake)
    ledger.begin(worker or MAIN)
    interrupts = Interrupts(on_first=lambda number: _stop(config, number))
    interrupts.install()
    active = Active(config, settings, ledger, interrupts)
    finish = Finish(
        config,
        active,
        ledger,
        interrupts,
        loaded=loaded,
        fake=router,
        worker=worker is not None,
    )
    config.pluginmanager.register(active, "hydra-smoke-active")
    config.pluginmanager.register(finish, "hydra-smoke-finish")
    return active


def _stop(config: pytest.Config, number: int) -> None:
    # A test that swallows the interrupt is at least the last one.
    session = config.pluginmanager.get_plugin("session")
    if session is not None:
        session.shouldstop = f"signal {number}"
