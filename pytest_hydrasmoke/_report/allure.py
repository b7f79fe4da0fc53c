"""Allure's results: clean what its plugin takes from exceptions.

That plugin takes a test's failure from pytest's reports, but those of fixtures and steps, and the
first line of each, from the exceptions themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

Clean = Callable[[str], str]


class _Cleaner:
    def __init__(self, clean: Clean) -> None:
        self._clean = clean

    def report_result(self, result: object) -> None:
        clean_result(result, self._clean)

    def report_container(self, container: object) -> None:
        clean_result(container, self._clean)


def register(clean: Clean) -> Callable[[], object]:
    """Clean all results from now on, if Allure is loaded; return a function that ends it."""
    allure: Any = sys.modules.get("allure_commons")
    if allure is None:
        return lambda: None
    for hook in (_Cleaner.report_result, _Cleaner.report_container):
        # Before the hook that writes them.
        allure.hookimpl(tryfirst=True)(hook)
    cleaner = _Cleaner(clean)
    allure.plugin_manager.register(cleaner)
    return lambda: allure.plugin_manager.unregister(cleaner)


def clean_result(value: object, clean: Clean) -> object:
    """Clean every string of a result and of its parts, in place."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        items = cast("list[object]", value)
        items[:] = [clean_result(item, clean) for item in items]
        return items
    if hasattr(value, "__attrs_attrs__"):
        for name, part in vars(value).items():
            setattr(value, name, clean_result(part, clean))
    return value
