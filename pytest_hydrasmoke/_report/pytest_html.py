"""The run in pytest-html's page, where that plugin writes one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from urllib.parse import quote

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._journal.story import PHASES

from .model import InstanceReport, Report


def summary(report: Report, page: Path | None, own_page: Path) -> Iterator[str]:
    """Yield pieces of HTML: the run, a link to its `page`, and a line for each instance.

    The link is relative to `own_page`, the file that pytest-html writes.
    """
    router = f"the bundled {report.fake_words}" if report.fake else f"live router {report.url}"
    yield _paragraph(f"hydra-smoke: {router}, run {report.run_id}")
    yield _paragraph(report.counted)
    if report.tests_words is not None:
        yield _paragraph(f"smoke tests: {report.tests_words}")
    if report.ended is not None:
        yield _paragraph(f"ended before its tests were over: {report.ended}")
    if page is not None:
        link = quote(os.path.relpath(page, own_page.parent))
        yield f'<p><a href="{link}">Every request and chat of the run</a></p>'
    if report.instances:
        yield f"<ul>{''.join(map(_line, report.instances))}</ul>"


def _paragraph(words: str) -> str:
    return f"<p>{escape(safe_line(words))}</p>"


def _line(it: InstanceReport) -> str:
    times = [f"{name} {it.phases[name]:.1f} s" for name in PHASES if name in it.phases]
    words = f"{it.outcome}: {it.name}"
    return f"<li>{escape(safe_line(', '.join([words, *times]), 400))}</li>"
