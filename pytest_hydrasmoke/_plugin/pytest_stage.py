"""Who is on stage in this process: a test, a wider fixture, or a hook.

A recording is stored, and looked up again, by that owner. pytest's hooks show it, so that nothing
is added to a request. Chats from a test's threads are the test's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest

from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._core.stage import Origin, RecordedChat
from pytest_hydrasmoke._run.run_stage import RunStage
from pytest_hydrasmoke.instance import SmokeInstance

from .context import CONTINUES, RunContext
from .refutations import Refutations
from .resources import Resources

if TYPE_CHECKING:
    from pytest_hydrasmoke._core.handle import Handle

READY = "hook pytest_hydra_smoke_instance_ready"
"""The owner of turns during that hook."""


class TurnRecorder(Protocol):
    """Who records turns, as the stage knows them."""

    def on_turn(self, turn: RecordedChat) -> None:
        """Begin to record a turn, for the current owner."""

    def setting_up(self, owner: str) -> AbstractContextManager[None]:
        """Set up a fixture in the body of a `with`."""
        ...


class Audience(Protocol):
    """Who has to know whose chats follow: a replay of recordings."""

    def on_stage(self, owner: str | None, run: int, test: str | None, *, begins: bool) -> None:
        """Hear whose chats follow; `begins` if they start again at the first message."""

    def claims(self, instance: Instance) -> None:
        """Hear who owns an instance."""


class PytestStage(RunStage):
    """Follows pytest from test to test, and into the fixtures that outlive a test."""

    recorder: TurnRecorder | None = None
    """Who records the turns of this process, if they are recorded."""

    def __init__(
        self,
        context: RunContext,
        *,
        resources: Resources,
        refutations: Refutations,
        replaying: Audience | None,
    ) -> None:
        self._resources = resources
        self._refutations = refutations
        self._hook = context.pytestconfig.hook
        self._replaying = replaying
        if replaying is None:
            # A recording has what its test has said, in whatever order they are replayed.
            self.new_conversation = context.config.new_conversation
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
        why = self._refutations.why("boot", self.test)
        if why is not None:
            self._refutations.skip(self.test, why)

    def claims(self) -> Origin | None:
        owner = self.owner
        if owner is None:
            return None
        self._claimed[owner] += 1
        return Origin(owner, self._claimed[owner] - 1)

    def asks(self, turn: RecordedChat) -> None:
        if self.recorder is not None:
            self.recorder.on_turn(turn)

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
        hook(instance=SmokeInstance(self._resources.run.handle(instance)))
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
        recorder = self.recorder
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
