"""What was collected: whether it is all, and why a run of it is refused before its first boot.

Only certain needs are counted, since a run is refused because of them. What a test provisions with
a factory, or requests dynamically while it runs, is not known yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.pytest_internals import fixture_definitions, refuse, visible_fixtures
from pytest_hydrasmoke._options import LIVE, TABLE, variable
from pytest_hydrasmoke._run.factory import merged
from pytest_hydrasmoke._run.sharing import EVERYBODY, OF_A_CHECK, Wanted
from pytest_hydrasmoke._settings.tables import nearest_table

from .bundled_checks import CheckModule
from .context import RunContext

if TYPE_CHECKING:
    from pytest_hydrasmoke._settings.config import HydraSmokeConfig

_SELECT = (
    *("keyword", "markexpr", "deselect", "ignore", "ignore_glob"),
    *("lf", "stepwise", "maxfail"),
)
"""Options of pytest that leave out tests, or may do so."""
_PLUGIN = "pytest_hydrasmoke.plugin"


class Selection:
    """Sees whether tests are selected: by options, by arguments that name them, or by a plugin."""

    def __init__(self, config: pytest.Config) -> None:
        here = config.invocation_params.dir
        arguments = config.args if config.args_source is config.ArgsSource.ARGS else []
        # A folder as argument usually means all tests.
        named = any(not os.path.isdir(here / argument) for argument in arguments)
        self._selects = named or any(config.getoption(name, None) for name in _SELECT)

    def is_whole(self, exit_code: int) -> bool:
        """Return whether all tests were to be run, and were."""
        ran = exit_code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        return ran and not self._selects

    def pytest_deselected(self) -> None:
        self._selects = True


class Objections:
    """Ends a run whose collected tests can't be run together."""

    def __init__(
        self,
        context: RunContext,
        *,
        replaying: bool,
        expect: Callable[[Sequence[Wanted]], None],
    ) -> None:
        self._context = context
        self._replaying = replaying
        self._expect = expect
        """Takes what the tests are sure to share."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        words = self._unread_tables(session.items) or self._too_many(session.items)
        if words is not None:
            refuse(session, words)
        elif self._context.config.instance is None and not self._replaying:
            self._expect(_certain(session.items, self._context.config))

    def _unread_tables(self, items: Sequence[pytest.Item]) -> str | None:
        """Return why smoke tests have another table of settings than the one that was read.

        The settings are read before tests are collected: from where pytest is called, or for what
        its arguments or `testpaths` name. Which folders the tests lie in is known only now.
        """
        read, here = self._context.table, self._context.pytestconfig.invocation_params.dir
        # The bundled checks belong to no project: they use the run's settings.
        folders = {
            item.path.parent: None
            for item in items
            if item.get_closest_marker("hydra_smoke") and item.getparent(CheckModule) is None
        }
        tables = dict.fromkeys(filter(None, map(nearest_table, folders)))
        # One that is further up than what was read is not this run's.
        unread = [it for it in tables if read is None or not read.parent.is_relative_to(it.parent)]
        if not unread:
            return None
        instead = "" if read is None else f" Instead, {read} was read."
        named = os.path.relpath(unread[0].parent, here)
        return (
            f"tests of this run have a table [{TABLE}] of their own, which was not read: "
            f"{', '.join(map(str, unread))}.{instead} A run has one set of settings: name the "
            f"tests of one table, as in pytest {LIVE} {named}, and run pytest once for each, or "
            f"have one table for all of them, in {here / 'pyproject.toml'}"
        )

    def _too_many(self, items: Sequence[pytest.Item]) -> str | None:
        """Return why tests need more instances than the run may have."""
        config = self._context.config
        if config.instance is not None:
            return None
        least = _least(items, config, replaying=self._replaying)
        if least <= config.max_instances:
            return None
        checks = any(item.getparent(CheckModule) is not None for item in items)
        without = ", or leave out the bundled checks (bundled_checks = false)" if checks else ""
        return (
            f"these tests need at least {least} instances, and max_instances is "
            f"{config.max_instances}: nothing was provisioned. Raise it (set "
            f"{variable('max_instances')}, or max_instances = {least} in [{TABLE}]), run fewer "
            f"tests (-k, -m), have more of them share one (scope){without}"
        )


def scope_node(item: pytest.Item, scope: str) -> pytest.Item | pytest.Collector:
    """Return the node whose end is the end of an instance of this scope."""
    kinds: dict[str, type[pytest.Item | pytest.Collector]] = {
        "session": pytest.Session,
        "package": pytest.Package,
        "module": pytest.Module,
        "class": pytest.Class,
        "function": pytest.Item,
    }
    found = item.getparent(kinds[scope])
    # A test outside any class is its own class; one outside any package uses the session.
    return found or (item if scope == "class" else item.session)


class _Known(NamedTuple):
    spec: InstanceSpec
    sure: Set[str]
    """The fields that are sure; an override of `smoke_spec` supplies the others."""

    @property
    def whole(self) -> bool:
        return self.sure == InstanceSpec.model_fields.keys()

    def differs(self, other: _Known) -> bool:
        """Return whether it certainly differs from the other."""
        names = self.sure & other.sure
        return any(getattr(self.spec, name) != getattr(other.spec, name) for name in names)


_FACTORIES = {"smoke_instance_factory", "async_smoke_instance_factory"}


def _least(items: Sequence[pytest.Item], config: HydraSmokeConfig, *, replaying: bool) -> int:
    """Return the least number of instances that tests need."""
    shared: dict[pytest.Item | pytest.Collector, list[_Known]] = {}
    own = 0
    for item in items:
        wanted, own_ones = _wanted(item, config.spec), _of_a_check(item)
        if not (wanted or own_ones) or _may_be_skipped(item, replaying=replaying):
            continue
        own += own_ones
        if wanted is not None:
            shared.setdefault(scope_node(item, config.scope), []).append(wanted)
    return own + sum(map(_certainly_different, shared.values()))


def _certainly_different(specs: Iterable[_Known]) -> int:
    """Count specs of which no two can be the same."""
    sure: list[_Known] = []
    # Whole specs first: a partly known one may be equal to one of them.
    for wanted in sorted(specs, key=lambda wanted: not wanted.whole):
        if all(wanted.differs(other) for other in sure):
            sure.append(wanted)
    return len(sure)


def _certain(items: Sequence[pytest.Item], config: HydraSmokeConfig) -> list[Wanted]:
    """Return the instances that tests are sure to use, with all the session."""
    sure: dict[Wanted, None] = {}
    of_a_check, room = False, True
    for item in items:
        if _may_be_skipped(item, replaying=False):
            continue
        if item.getparent(CheckModule) is not None:
            of_a_check |= _of_a_check(item) > 0
        elif not _FACTORIES.isdisjoint(getattr(item, "fixturenames", ())):
            room = False
        wanted = _wanted(item, config.spec)
        if wanted is not None and wanted.whole and scope_node(item, config.scope) is item.session:
            sure[Wanted(wanted.spec, EVERYBODY)] = None
    # What a team's tests provision themselves may need its place until the check comes.
    own = [Wanted(config.spec, OF_A_CHECK)] if of_a_check and room else []
    return [*sure, *own]


def _wanted(item: pytest.Item, base: InstanceSpec) -> _Known | None:
    """Return what is known of the spec of a test's shared instance; None if it shares none."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    for name in ("smoke_instance", "async_smoke_instance"):
        if not _reaches_plugin(item, name):
            continue
        changes = params.get(name)
        try:
            spec = base if changes is None else merged(base, changes)
        except ConfigError:
            return None  # The test fails with it.
        fixture = visible_fixtures(item, "smoke_spec")[-1]
        if isinstance(changes, InstanceSpec) or fixture.func.__module__ == _PLUGIN:
            return _Known(spec, InstanceSpec.model_fields.keys())
        return _Known(spec, dict(changes or {}).keys())
    return None


def _reaches_plugin(item: pytest.Item, name: str) -> bool:
    """Return whether a test uses this plugin's fixture, by its own name or in an override."""
    for definition in reversed(fixture_definitions(item, name)):
        if definition.func.__module__ == _PLUGIN:
            return True
        if name not in definition.argnames:
            break
    return False


def _of_a_check(item: pytest.Item) -> int:
    """Return how many instances of its own a bundled check needs."""
    module = item.getparent(CheckModule)
    return 0 if module is None else getattr(module.obj, "OWN_INSTANCES", 0)


def _may_be_skipped(item: pytest.Item, *, replaying: bool) -> bool:
    names = ("skip", "skipif", *(("hydra_smoke_live",) if replaying else ()))
    return any(item.get_closest_marker(name) for name in names)
