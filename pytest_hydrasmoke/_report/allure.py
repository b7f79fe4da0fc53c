"""Allure's results: clean what its plugin takes from exceptions, and add what it misses.

That plugin takes a test's failure from pytest's reports, but those of fixtures and steps, and the
first line of each, from the exceptions themselves. It does not see failures outside tests.
"""

from __future__ import annotations

import sys
import time
import uuid
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


def add_failure(nodeid: str, words: str) -> None:
    """Add a failed result for something outside tests, such as a leak, if Allure is loaded.

    It has the same identity in each run of the same `nodeid`.
    """
    allure: Any = sys.modules.get("allure_commons")
    model: Any = sys.modules.get("allure_commons.model2")
    if allure is None or model is None:
        return
    now = round(time.time() * 1000)
    result = model.TestResult(
        uuid=str(uuid.uuid4()),
        historyId=nodeid,
        name=nodeid.removeprefix("hydra-smoke::"),
        fullName=nodeid,
        status=model.Status.FAILED,
        statusDetails=model.StatusDetails(message=words),
        start=now,
        stop=now,
        labels=[model.Label(name="suite", value="hydra-smoke")],
    )
    # Without `--alluredir` nothing writes it.
    allure.plugin_manager.hook.report_result(result=result)


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
