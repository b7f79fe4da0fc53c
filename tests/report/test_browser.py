"""Pages in a real browser: they load nothing, fit a phone, follow the appearance, and print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import PROGRAM, Tab
from history_tools import a_history
from report_tools import a_failed_report, a_report, an_instance

from pytest_hydrasmoke._history.views import render as render_history
from pytest_hydrasmoke._report import page as html

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium here")

LIGHT, DARK = "rgb(246, 247, 249)", "rgb(20, 23, 27)"
FOLDED = "[...document.querySelectorAll('.instance:not([open]) h3')]"


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with Tab() as tab:
        yield tab


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
@pytest.mark.parametrize("kind", ["report", "history"])
def test_it_loads_nothing_and_fits(
    tab: Tab, tmp_path: Path, kind: str, width: int, dark: bool
) -> None:
    page = tmp_path / "page.html"
    shown = html.render(a_failed_report()) if kind == "report" else render_history(a_history())
    page.write_text(shown, "utf-8")
    tab.open(page, width=width, dark=dark)
    asked = [it["params"] for it in tab.events if it["method"] == "Network.requestWillBeSent"]
    assert [it["request"]["url"] for it in asked] == [page.as_uri()]
    # Its policy would be told of here, had it kept something of the page's own from working.
    assert not [
        it for it in tab.events if it["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")
    ]
    assert tab.value("document.documentElement.scrollWidth") == width
    assert tab.value("document.scripts.length") == 0
    background = tab.value("getComputedStyle(document.body).backgroundColor")
    assert background == (DARK if dark else LIGHT), "its sheet is in force"
    if kind == "report":
        # A link to a failure shows it; a pixel of the screen is not always one of the page.
        tab.value("document.querySelector('.troubles a[href=\"#i1-f1\"]').click()")
        assert tab.value("location.hash") == "#i1-f1"
        box = "document.getElementById('i1-f1').getBoundingClientRect()"
        assert -1 < tab.value(f"{box}.top") < tab.value("innerHeight")


def test_on_paper_every_instance_is_unfolded(tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    many = [an_instance(idempotency_key=f"n-{slot}") for slot in range(5)]
    path.write_text(html.render(a_report(*many)), "utf-8")
    tab.open(path, width=1280)
    seen = f"{FOLDED}.map(it => it.checkVisibility())"
    assert set(tab.value(seen)) == {False}
    tab.media("print")
    assert set(tab.value(seen)) == {True}
