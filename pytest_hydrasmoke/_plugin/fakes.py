"""The fake routers that a process serves: the run's own, and one for each test that asks for it.

Imported in live runs, and where a test uses `smoke_fake` in a run without a switch: so what it
needs of the fake, and of a run, is loaded once it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import Token

if TYPE_CHECKING:
    from pytest_hydrasmoke._settings.config import HydraSmokeConfig
    from pytest_hydrasmoke.fake import FakeRouter

_NAME = "hydrasmoke-own-fake"
_OUTCOMES: pytest.StashKey[list[str]] = pytest.StashKey()


def address_of(router: FakeRouter) -> dict[str, Any]:
    """Return the settings that make a fake the router of a run."""
    return {"url": router.url, "token": Token(router.token)}


def stand_before_agent(
    router: FakeRouter, config: HydraSmokeConfig, url: str, say: Callable[[str], None]
) -> HydraSmokeConfig:
    """Have the agent at a URL answer the fake's chats; return the settings with its model.

    Raises `HydraSmokeError` if it can't be used.
    """
    from pytest_hydrasmoke._run.preflight import FIRST_ANSWER_TIMEOUT, WaitingAloud
    from pytest_hydrasmoke.fake.agent import Agent
    from pytest_hydrasmoke.fake.agent_events import AgentError
    from pytest_hydrasmoke.fake.router import answer_chats

    token = None if config.agent_token is None else config.agent_token.reveal()
    agent = Agent(url, config.agent_model, token, config.new_conversation)
    try:
        with WaitingAloud(url, say) as waiting:
            agent.check(min(FIRST_ANSWER_TIMEOUT, config.ready_timeout), waiting.again)
    except AgentError as problem:
        raise HydraSmokeError(safe_line(str(problem), 1000)) from None
    answer_chats(router, agent)
    return config.model_copy(update={"agent_model": agent.model})


class _Outcomes:
    """Notes for a test's teardown what came of its call, and of subtests in it."""

    # Around all others, as skipping's, which knows what was expected to fail.
    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "call":
            item.stash.setdefault(_OUTCOMES, []).append(report.outcome)
        return report


def served(request: pytest.FixtureRequest) -> Iterator[FakeRouter]:
    """Serve the router of a test; then fail a test that passed, and has a fault unmet."""
    from pytest_hydrasmoke.fake import FakeRouter
    from pytest_hydrasmoke.fake.router import unmet

    plugins, test = request.config.pluginmanager, request.node
    if not plugins.hasplugin(_NAME):
        plugins.register(_Outcomes(), _NAME)
    test.stash[_OUTCOMES] = outcomes = list[str]()
    with FakeRouter(**getattr(request, "param", {})) as fake:
        yield fake
    problem = unmet(fake)
    if problem is not None and outcomes[-1:] == ["passed"] and "failed" not in outcomes:
        pytest.fail(problem, pytrace=False)
