"""What collected tests need at least, before anything is provisioned; pure functions.

Only certain needs are counted, since a run is refused because of them. What a test provisions with
a factory, or requests dynamically while it runs, is not known yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.pytest_internals import fixture_definitions, visible_fixtures
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._run.factory import merged

from .bundled_checks import CheckModule
from .scopes import scope_node

_PLUGIN = "pytest_hydrasmoke.plugin"
_SHARED = ("smoke_instance", "async_smoke_instance")
_FACTORIES = ("smoke_instance_factory", "async_smoke_instance_factory")
_LISTED = 10
"""How many tests of a shared instance are listed."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is known of a spec."""

    known: tuple[tuple[str, str | None], ...]
    override: str | None = None
    """Where the project overrides `smoke_spec`, which supplies the rest; None if it does not."""

    def differs(self, other: _Wanted) -> bool:
        """Return whether it certainly differs from the other."""
        here, there = dict(self.known), dict(other.known)
        return any(here[name] != there[name] for name in here.keys() & there.keys())

    @property
    def words(self) -> str:
        own = [] if self.override is None else [f"what smoke_spec in {self.override} returns"]
        return " with ".join([*own, *([_words(dict(self.known))] if self.known else [])])


@dataclass(frozen=True, slots=True)
class Need:
    """One instance, and the tests that it is for."""

    what: str
    lives: str
    tests: tuple[str, ...]
    sure: bool = True
    """Whether it certainly differs from all others."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What collected tests need."""

    instances: tuple[Need, ...]
    factory: tuple[str, ...]
    """Tests with a factory: what they provision is not known."""
    left_out: int
    """How many tests a marker skips, or may skip."""
    wrong: tuple[str, ...] = ()
    """Tests that fail because of their parameter, each with the reason: they need nothing."""

    @property
    def least(self) -> int:
        """Return the least number of instances."""
        return sum(need.sure for need in self.instances)

    def lines(self) -> Iterator[str]:
        """Yield each need, with its tests."""
        for need in self.instances:
            doubt = "" if need.sure else " (1 more, or one of the others)"
            yield f"  {need.lives}: {need.what}{doubt}"
            yield from _listed(need.tests)
        if self.factory:
            yield "  not counted: what these tests provision with smoke_instance_factory:"
            yield from _listed(self.factory)
        if self.wrong:
            yield "  not counted: these tests will fail, and provision nothing:"
            yield from _listed(self.wrong)
        if self.left_out:
            yield f"  not counted: tests that a marker skips, or may skip: {self.left_out}"


def _listed(tests: Sequence[str]) -> Iterator[str]:
    yield from (f"      {safe_line(test, 600)}" for test in tests[:_LISTED])
    if len(tests) > _LISTED:
        yield f"      and {len(tests) - _LISTED} more"


def needs_of(
    items: Sequence[pytest.Item], base: InstanceSpec, scope: str, *, replaying: bool = False
) -> Needs:
    """Return what tests need; `base` is the spec from the settings."""
    shared: dict[pytest.Item | pytest.Collector, dict[_Wanted, list[str]]] = {}
    own: list[Need] = []
    factory: list[str] = []
    wrong: list[str] = []
    left_out = 0
    for item in items:
        wanted, own_ones, asks = _wanted(item, base), _of_a_check(item), _has_factory(item)
        if not (wanted or own_ones or asks):
            continue
        if _may_be_skipped(item, replaying=replaying):
            left_out += 1
            continue
        if isinstance(wanted, ConfigError):
            wrong.append(f"{safe_line(item.nodeid, 300)}: {wanted.message}")
            continue
        if wanted:
            tests = shared.setdefault(scope_node(item, scope), {}).setdefault(wanted, [])
            tests.append(item.nodeid)
        own += [Need(_words(base.model_dump()), "for itself", (item.nodeid,))] * own_ones
        if asks:
            factory.append(item.nodeid)
    instances = [need for node, specs in shared.items() for need in _of_node(node, specs)]
    return Needs((*instances, *own), tuple(factory), left_out, tuple(wrong))


def _of_node(
    node: pytest.Item | pytest.Collector, specs: Mapping[_Wanted, Sequence[str]]
) -> Iterator[Need]:
    lives = "for the session" if isinstance(node, pytest.Session) else f"for {node.nodeid}"
    sure: list[_Wanted] = []
    # Fully known specs first: a partly known one may be equal to one of them.
    for wanted in sorted(specs, key=lambda wanted: wanted.override is not None):
        differs = all(wanted.differs(other) for other in sure)
        sure += [wanted] if differs else []
        yield Need(wanted.words, lives, tuple(specs[wanted]), differs)


def _words(parts: Mapping[str, str | None]) -> str:
    known = [f"{name} {safe_line(text, 100)}" for name, text in parts.items() if text is not None]
    return ", ".join(known)


def _wanted(item: pytest.Item, base: InstanceSpec) -> _Wanted | ConfigError | None:
    """Return what is known of the spec of a test's shared instance; None if it shares none.

    An error is what the test will fail with.
    """
    params = getattr(getattr(item, "callspec", None), "params", {})
    for name in _SHARED:
        if not _reaches_plugin(item, name):
            continue
        changes = params.get(name)
        try:
            spec = base if changes is None else merged(base, changes)
        except ConfigError as error:
            return error
        fixture = visible_fixtures(item, "smoke_spec")[-1]
        if isinstance(changes, InstanceSpec) or fixture.func.__module__ == _PLUGIN:
            return _Wanted(tuple(spec.model_dump().items()))
        named: dict[str, object] = dict(changes or {})
        known = tuple((key, getattr(spec, key)) for key in named)
        return _Wanted(known, fixture.baseid or fixture.func.__module__)
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


def _has_factory(item: pytest.Item) -> bool:
    if item.getparent(CheckModule) is not None:
        return False  # Their requests are known.
    return any(_reaches_plugin(item, name) for name in _FACTORIES)


def _may_be_skipped(item: pytest.Item, *, replaying: bool) -> bool:
    names = ("skip", "skipif", *(("hydra_smoke_live",) if replaying else ()))
    return any(item.get_closest_marker(name) for name in names)
