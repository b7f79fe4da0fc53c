"""What Allure's plugin tells of its own is cleaned before it is written.

A stand-in for that plugin, with hooks as it has them; `tests/leaks` has it itself, where it is
installed.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pluggy
import pytest

from pytest_hydrasmoke._report import allure

hookspec, hookimpl = pluggy.HookspecMarker("allure"), pluggy.HookimplMarker("allure")


class Specs:
    @hookspec
    def report_result(self, result: object) -> None: ...

    @hookspec
    def report_container(self, container: object) -> None: ...


class Part:
    __attrs_attrs__ = ()

    def __init__(self, **fields: object) -> None:
        vars(self).update(fields)


class Writer:
    """What writes results, registered after us: it would be asked first."""

    def __init__(self) -> None:
        self.written: list[str] = []

    @hookimpl
    def report_result(self, result: Part) -> None:
        [step] = vars(result)["steps"]
        self.written.append(f"{vars(result)['name']} {vars(step)['name']}")

    @hookimpl
    def report_container(self, container: Part) -> None:
        self.written += vars(container)["befores"]


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> pluggy.PluginManager:
    manager = pluggy.PluginManager("allure")
    manager.add_hookspecs(Specs)
    commons = SimpleNamespace(hookimpl=hookimpl, plugin_manager=manager)
    monkeypatch.setitem(sys.modules, "allure_commons", commons)
    return manager


def test_results_are_clean_before_they_are_written(manager: pluggy.PluginManager) -> None:
    end = allure.register(str.upper)
    manager.register(writer := Writer())
    result = Part(name="a test", start=1, steps=[Part(name="a step", status=None)])
    manager.hook.report_result(result=result)
    manager.hook.report_container(container=Part(befores=["a fixture"]))
    assert writer.written == ["A TEST A STEP", "A FIXTURE"]
    assert vars(result)["start"] == 1
    end()
    manager.hook.report_container(container=Part(befores=["another"]))
    assert writer.written[-1] == "another"


def test_without_that_plugin_there_is_nothing_to_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "allure_commons", raising=False)
    assert allure.register(str.upper)() is None
