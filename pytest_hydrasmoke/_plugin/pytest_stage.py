"""Who is on stage in this process: a test, a wider fixture, or a hook.

A recording is stored, and looked up again, by that owner. pytest's hooks show it, so that nothing
is added to a request. Chats from a test's threads are the test's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.stage import Origin, RecordedChat
from pytest_hydrasmoke._run.run_stage import RunStage
from pytest_hydrasmoke.instance import SmokeInstance

if TYPE_CHECKING:
    from pytest_hydrasmoke._core.handle import Handle

    from .process import Process


CONTINUES = "hydra_smoke_continues"
"""The marker of a test that means to go on with what an earlier one has said."""
LIVE_ONLY = "hydra_smoke_live"
"""The marker of tests that no recording can answer."""
READY = "hook pytest_hydra_smoke_instance_ready"
"""The owner of turns during that hook."""


class PytestStage(RunStage):
    """Follows pytest from test to test, and into the fixtures that outlive a test."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._hook = process.pytestconfig.hook
        self._replaying = process.replaying
        if process.replaying is None:
            # A recording has what its test has said, in whatever order they are replayed.
            self.new_conversation = process.config.new_conversation
        self._owners: list[str] = []
        self._run = 1
        self._claimed: Counter[str] = Counter()
        self._claimed_before_repeats = 0

    @property
    def owner(self) -> str | None:
        """A test's node id, `fixture <baseid>::<name>`, or `READY`; None outside of any."""
        return self._owners[-1] if self._owners else None

    @property
    def run(self) -> int:
        """The run of the test's body, from 1; always 1 outside a test."""
        return self._run if len(self._owners) == 1 else 1

    def begins_repeat(self, number: int) -> None:
        """Begin a run of the test's body, with the same fixtures."""
        self.repeat = number
        if number > 1:
            self.scene += 1
            self._run = number
            self._claimed[self.test] = self._claimed_before_repeats
            self._notify()

    # `RunStage`

    def boots(self) -> None:
        fixtures = self._process.fixtures
        why = fixtures.refuted("boot", self.test)
        if why is not None:
            fixtures.not_run(self.test, why)

    def claims(self) -> Origin | None:
        owner = self.owner
        if owner is None:
            return None
        self._claimed[owner] += 1
        return Origin(owner, self._claimed[owner] - 1)

    def asks(self, turn: RecordedChat) -> None:
        if self._process.recorder is not None:
            self._process.recorder.on_turn(turn)

    def is_ready(self, handle: Handle) -> None:
        with self._on(READY):
            self._hook.pytest_hydra_smoke_instance_ready(instance=SmokeInstance(handle))

    @property
    def separates(self) -> bool:
        """Whether anything begins new conversations."""
        by_hook = self._hook.pytest_hydra_smoke_new_conversation.get_hookimpls()
        return self.new_conversation is not None or bool(by_hook)

    def begins_anew(self, instance: Instance) -> bool:
        hook = self._hook.pytest_hydra_smoke_new_conversation
        if self._replaying is not None or not hook.get_hookimpls():
            return False
        hook(instance=SmokeInstance(self._process.run.handle(instance)))
        return True

    def changed(self, instance: Instance) -> None:
        if self._replaying is not None:
            self._replaying.claims(instance)

    # Owners

    @contextmanager
    def _on(self, owner: str) -> Generator[None]:
        self._enter(owner, begins=True)
        try:
            yield
        finally:
            self._leave(owner)

    def _enter(self, owner: str, *, begins: bool = False) -> None:
        self._owners.append(owner)
        self._notify(begins=begins)

    def _leave(self, owner: str) -> None:
        # A fixture whose set-up failed runs a teardown without a matching entry.
        if self._owners[-1:] == [owner]:
            self._owners.pop()
            self._notify()

    def _notify(self, *, begins: bool = False) -> None:
        if self._replaying is not None:
            test = self._owners[0] if self._owners else None
            self._replaying.on_stage(self.owner, self.run, test, begins=begins)

    # Hooks

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self.test = item.nodeid
        with self._on(item.nodeid):
            try:
                return (yield)
            except BaseException:
                self.test = ""  # What clean-up uses, no test does.
                raise

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        # Plugins that run a test again set it up again.
        self.in_teardown, self._run = False, 1
        self.continues = item.get_closest_marker(CONTINUES) is not None
        self.scene += 1
        del self._claimed[item.nodeid]
        self._notify(begins=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        self._claimed_before_repeats = self._claimed[item.nodeid]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        self.in_teardown = True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Make a fixture that outlives its test the owner, in its set-up and its teardown."""
        __tracebackhide__ = True  # An error of the fixture does not come from here.
        if fixturedef.scope == "function":
            return (yield)
        owner = owner_of(fixturedef, request)
        del self._claimed[owner]
        # The finalizer added last is called first.
        fixturedef.addfinalizer(partial(self._leave, owner))
        recorder = self._process.recorder
        with self._on(owner), nullcontext() if recorder is None else recorder.setting_up(owner):
            result = yield
        fixturedef.addfinalizer(partial(self._enter, owner))
        return result


def owner_of(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> str:
    """Return a fixture's name as an owner."""
    name = f"fixture {fixturedef.baseid}::{fixturedef.argname}"
    if not hasattr(request, "param"):
        return name
    param = request.param
    if not isinstance(param, str | int | float | None):
        param = f"{fixturedef.argname}{getattr(request, 'param_index', 0)}"
    return f"{name}[{param}]"
