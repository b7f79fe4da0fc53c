"""What collected tests certainly need, and why a run that can't have it is refused.

Only certain needs are counted, since a run is refused because of them. What a test provisions with
a factory, or requests dynamically while it runs, is not known yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pytest_hydrasmoke._api.models import InstanceSpec
from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.pytest_internals import fixture_definitions, visible_fixtures
from pytest_hydrasmoke._options import TABLE, variable
from pytest_hydrasmoke._run.factory import merged

from .bundled_checks import CheckModule
from .scopes import scope_node

if TYPE_CHECKING:
    from pytest_hydrasmoke._settings.model import HydraSmokeConfig

    from .refusal import Reason

_PLUGIN = "pytest_hydrasmoke.plugin"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is known of a spec."""

    known: tuple[tuple[str, str | None], ...]
    whole: bool
    """Whether that is all of it; else an override of `smoke_spec` supplies the rest."""

    def differs(self, other: _Wanted) -> bool:
        """Return whether it certainly differs from the other."""
        here, there = dict(self.known), dict(other.known)
        return any(here[name] != there[name] for name in here.keys() & there.keys())


def limit(config: HydraSmokeConfig, *, replaying: bool) -> Reason:
    """Return what refuses tests that need more instances than the run may have."""

    def reason(items: Sequence[pytest.Item]) -> str | None:
        least = _least(items, config, replaying=replaying)
        return None if least <= config.max_instances else _too_many(items, least, config)

    return reason


def _too_many(items: Sequence[pytest.Item], least: int, config: HydraSmokeConfig) -> str:
    checks = any(item.getparent(CheckModule) is not None for item in items)
    without = ", or leave out the bundled checks (bundled_checks = false)" if checks else ""
    return (
        f"these tests need at least {least} instances, and max_instances is "
        f"{config.max_instances}: nothing was provisioned. Raise it (set "
        f"{variable('max_instances')}, or max_instances = {least} in [{TABLE}]), run fewer tests "
        f"(-k, -m), have more of them share one (scope){without}"
    )


def _least(items: Sequence[pytest.Item], config: HydraSmokeConfig, *, replaying: bool) -> int:
    """Return the least number of instances that tests need."""
    shared: dict[pytest.Item | pytest.Collector, list[_Wanted]] = {}
    own = 0
    for item in items:
        wanted, own_ones = _wanted(item, config.spec), _of_a_check(item)
        if not (wanted or own_ones) or _may_be_skipped(item, replaying=replaying):
            continue
        own += own_ones
        if wanted is not None:
            shared.setdefault(scope_node(item, config.scope), []).append(wanted)
    return own + sum(map(_certainly_different, shared.values()))


def _certainly_different(specs: Iterable[_Wanted]) -> int:
    """Count specs of which no two can be the same."""
    sure: list[_Wanted] = []
    # Whole specs first: a partly known one may be equal to one of them.
    for wanted in sorted(specs, key=lambda wanted: not wanted.whole):
        if all(wanted.differs(other) for other in sure):
            sure.append(wanted)
    return len(sure)


def _wanted(item: pytest.Item, base: InstanceSpec) -> _Wanted | None:
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
            return _Wanted(tuple(spec.model_dump().items()), whole=True)
        named: dict[str, object] = dict(changes or {})
        return _Wanted(tuple((key, getattr(spec, key)) for key in named), whole=False)
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
