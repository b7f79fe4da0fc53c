"""What Allure's plugin tells of its own is cleaned before it is written.

A stand-in for that plugin, with hooks as it has them; `tests/leaks` has it itself, where it is
installed.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pluggy
import pytest

from pytest_hydrasmoke._report.other_reports import clean_allure

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
        self.written: list[object] = []

    @hookimpl
    def report_result(self, result: Part) -> None:
        [step] = vars(result)["steps"]
        self.written += [vars(result)["name"], vars(step)["name"], vars(result)["start"]]

    @hookimpl
    def report_container(self, container: Part) -> None:
        self.written += vars(container)["befores"]


def test_results_are_clean_before_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "allure_commons", raising=False)
    assert clean_allure(str.upper)() is None, "without that plugin there is nothing to clean"
    manager = pluggy.PluginManager("allure")
    manager.add_hookspecs(Specs)
    commons = SimpleNamespace(hookimpl=hookimpl, plugin_manager=manager)
    monkeypatch.setitem(sys.modules, "allure_commons", commons)
    end = clean_allure(str.upper)
    manager.register(writer := Writer())
    result = Part(name="a test", start=1, steps=[Part(name="a step", status=None)])
    manager.hook.report_result(result=result)
    manager.hook.report_container(container=Part(befores=["a fixture"]))
    end()
    manager.hook.report_container(container=Part(befores=["another"]))
    assert writer.written == ["A TEST", "A STEP", 1, "A FIXTURE", "another"]
