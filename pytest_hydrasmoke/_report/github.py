"""A run on GitHub Actions: a summary of the job, and annotations.

A server's words appear only in code spans and code blocks, where Markdown has no meaning, and
GitHub makes no link, mention or picture of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from urllib.parse import quote

import pytest

from pytest_hydrasmoke._base.pytest_internals import failure_words
from pytest_hydrasmoke._base.text import safe_line, safe_text
from pytest_hydrasmoke._journal.story import PHASES

from .model import FAKE_ENDED, LEAKED, UNPROVED, InstanceReport, Report
from .parts import FailureReport

SUMMARY = "GITHUB_STEP_SUMMARY"
LIMIT = 1024 * 1024
"""The most bytes of a step's summary; GitHub shows nothing of a longer one."""
MOST_ANNOTATIONS = 10
"""The most errors of a step that GitHub shows."""

_CUT = "\nThe rest is left out because of GitHub's size limit. `report.json` has all of it.\n"

# Markdown


def code(words: str, most: int = 200) -> str:
    """Return text as a code span on one line, without bars, so that it works in a table too."""
    line = safe_line(words, most).replace("|", "\N{BROKEN BAR}") or " "
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    room = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{room}{line}{room}{fence}"


def command(words: str | None) -> str:
    """Return a command to paste, whole."""
    return code(words or "", 2_000)


def block(words: str) -> str:
    """Return text as a code block that nothing in it can end."""
    text = safe_text(words.strip("\n"), 2_000)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}\n"


def fitted(pieces: Iterable[str], room: int = LIMIT) -> str:
    """Join parts in at most `room` bytes: one is left out only together with all after it."""
    whole = list(pieces)
    sizes = [len(piece.encode()) for piece in whole]
    if sum(sizes) <= room:
        return "".join(whole)
    ends = accumulate(sizes)
    kept = [piece for piece, end in zip(whole, ends, strict=True) if end <= room - len(_CUT)]
    return "".join([*kept, _CUT]) if kept else ""


def pieces(report: Report) -> Iterator[str]:
    """Yield the parts of a run's summary, the most important first."""
    verdict = {0: "passed", 1: "failed"}.get(report.exit_code, f"exit code {report.exit_code}")
    router = (
        f"the bundled {report.fake_words}" if report.fake else f"live router {code(report.url)}"
    )
    yield (
        f"## hydra-smoke: {verdict}\n\n"
        f"{router}, run {code(report.run_id)}, {report.seconds:.1f} s: "
        f"{report.counted}\n"
    )
    if report.trace_id is not None and (report.trace_url or report.exit_code):
        trace = code(report.trace_id)
        if report.trace_url is not None:
            # The setting's, not a server's; nothing in it ends the link.
            trace = f"[{trace}]({quote(report.trace_url, safe=':/?&=#%~+,;@!$*-._')})"
        yield f"\nTrace of its requests: {trace}\n"
    if report.tests_words is not None:
        yield f"\nSmoke tests: {report.tests_words}\n"
    if report.ended is not None:
        yield f"\nEnded before its tests were over: {code(report.ended)}\n"
    yield from _section("Leaked", (_leak(it, fake=report.fake) for it in _with(report, "leaked")))
    odd = ((it.name, it.conflict) for it in report.instances if it.conflict is not None)
    yield from _section("Conflicts", (f"{code(name)}:\n\n{block(why)}\n" for name, why in odd))
    yield from _section("Failures", _failures(report))
    yield from _section("Unsure", [block(report.unsure)] if report.unsure is not None else [])
    yield from _section(
        "Not run", (f"- {code(why)}: {number}\n" for why, number in report.reasons.items())
    )
    yield from _section(
        "Budgets that were not kept",
        (f"- {code(breach.words)}, on {code(breach.place)}\n" for breach in report.breaches),
    )
    yield from _section("Instances", _table(report.instances))
    yield from _section("Kept", map(_kept, _with(report, "kept")))
    yield from _section("Notes", _notes(report.instances))


def _with(report: Report, outcome: str) -> Iterator[InstanceReport]:
    return (instance for instance in report.instances if instance.outcome == outcome)


def _section(title: str, parts: Iterable[str]) -> Iterator[str]:
    for number, part in enumerate(parts):
        # The title goes with its first part.
        yield part if number else f"\n### {title}\n\n{part}"


def _leak(it: InstanceReport, *, fake: bool) -> str:
    state, way_out = LEAKED, f"To delete it: {command(it.delete_with)}"
    if fake:
        state, way_out = UNPROVED, f"{FAKE_ENDED}."
    return f"{code(it.name)} {state}.\n\n{block(it.leak_words)}\n{way_out}\n\n"


def _kept(it: InstanceReport) -> str:
    attach, delete = command(it.attach_with), command(it.delete_with)
    return f"- {code(it.name)}: attach with {attach}, delete with {delete}\n"


def _failures(report: Report) -> Iterator[str]:
    for test in report.other_failures:
        yield f"{code(test.id)}:\n\n{block(test.failure or test.outcome)}\n"
    for instance in report.instances:
        for failure in instance.failures:
            if instance.outcome == "leaked" and failure.phase == "delete" and failure.test is None:
                continue  # It is told as a leak.
            yield f"{_where(failure)} on {code(instance.name)}, after {failure.at:.1f} s:\n\n"
            yield block(failure.message) + "\n"


def _where(failure: FailureReport) -> str:
    places = (("", failure.test), ("phase ", failure.phase))
    where = ", ".join(f"{kind}{code(name)}" for kind, name in places if name) or "A failure"
    return f"{where} (cured by a rerun)" if failure.cured else where


def _table(instances: Iterable[InstanceReport]) -> Iterator[str]:
    instances = list(instances)
    # In a matrix, the key does not tell which is which.
    several = len({tuple(_fields(instance)) for instance in instances}) > 1
    words = ("instance", "key", *(("spec",) if several else ()), "outcome")
    columns = (*words, *PHASES, "chats", "retries")
    line = "---|" * len(words) + "--:|" * (len(columns) - len(words))
    head = f"| {' | '.join(columns)} |\n|{line}\n"
    for instance in instances:
        took = instance.phases
        times = [f"{took[name]:.1f} s" if name in took else "" for name in PHASES]
        names = [code(instance.id or "no id"), code(instance.idempotency_key or "attached")]
        if several:
            names.append(code("/".join(map(str, _fields(instance)))))
        bad = instance.outcome in ("leaked", "unsure")
        outcome = f"**{instance.outcome}**" if bad else instance.outcome
        counts = [str(instance.chats), str(instance.retries)]
        yield f"{head}| {' | '.join([*names, outcome, *times, *counts])} |\n"
        head = ""


def _fields(instance: InstanceReport) -> list[str]:
    spec = {} if instance.spec is None else instance.spec.model_dump(exclude_none=True)
    return list(spec.values()) or ["-"]


def _notes(instances: Iterable[InstanceReport]) -> Iterator[str]:
    for instance in instances:
        for note in (*instance.notes, *instance.drift):
            yield f"- {code(instance.name)}: {code(note)}\n"


def append_summary(report: Report, environ: Mapping[str, str]) -> None:
    """Append the run to the step's summary, where there is one.

    Raises `OSError` if it can't be written, or is as long as GitHub accepts already.
    """
    _append(pieces(report), environ)


def append_refusal(words: str, environ: Mapping[str, str]) -> None:
    """Append why a run has not begun; raises as `append_summary` does."""
    text = f"## hydra-smoke: refused before anything was provisioned\n\n{block(words)}"
    _append([text], environ)


def _append(pieces: Iterable[str], environ: Mapping[str, str]) -> None:
    path = environ.get(SUMMARY)
    if not path:
        return
    file = Path(path)
    there = file.stat().st_size if file.exists() else 0
    text = fitted(pieces, LIMIT - there)
    if not text:
        raise OSError(f"the summary has already reached GitHub's limit ({there} bytes)")
    with file.open("a", encoding="utf-8", newline="\n") as summary:
        summary.write(text)


# Annotations


def annotation(title: str, message: str, place: tuple[str, int] | None = None) -> str:
    """Return the line that makes GitHub show an error; nothing in it can end it early.

    `place` is a file, from the repository's root, and a line.
    """
    where = "" if place is None else f"file={_property(place[0])},line={place[1]},"
    shown = _data(safe_text(message, 1_000))
    return f"::error {where}title={_property(safe_line(title))}::{shown}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


class Annotations:
    """Annotate failed smoke tests, each at its own line, and leaks before all.

    The bundled checks are in no repository. Of set-up and teardown, the fixture is to blame.
    """

    def __init__(
        self,
        is_smoke_test: Callable[[str], bool],
        root: Path,
        environ: Mapping[str, str],
        *,
        replies: bool,
        reason: Callable[[], str | None],
    ) -> None:
        self._is_smoke_test = is_smoke_test
        self._reason = reason
        """Returns why a run is red in which no test failed."""
        self._replies = replies
        self._root = root
        workspace = environ.get("GITHUB_WORKSPACE")
        self._repository = root if workspace is None else Path(workspace)
        self._leaks: list[str] = []
        self._tests: list[tuple[str, str]] = []
        """Those that failed, each with its line."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.failed:
            return
        words = failure_words(report)
        if report.nodeid.startswith("hydra-smoke::leak::"):
            self._leaks.insert(0, annotation(report.location[2], words))
        # A budget or a conflict is in the summary.
        elif not report.nodeid.startswith("hydra-smoke::"):
            phase = "" if report.when == "call" else f"{report.when} of "
            if not (phase or self._replies):
                words = words.partition(":")[0]  # An assertion may quote a reply.
            line = annotation(f"{phase}{report.nodeid}", words, self._place(report))
            self._tests.append((report.nodeid, line))

    def _place(self, report: pytest.TestReport) -> tuple[str, int] | None:
        """Return the test's file and line in the repository."""
        name, line, _ = report.location
        # The last of its own lines in the traceback, else its first.
        trace = getattr(getattr(report.longrepr, "reprtraceback", None), "reprentries", [])
        places = (getattr(entry, "reprfileloc", None) for entry in trace)
        own = [it.lineno for it in places if it is not None and it.path == name]
        # A link is no way out of the repository: nothing is looked up.
        path = Path(os.path.normpath(self._root / name))
        bundled = report.nodeid.startswith("pytest_hydrasmoke/checks/")
        if bundled or line is None or not path.is_relative_to(self._repository):
            return None
        return path.relative_to(self._repository).as_posix(), own[-1] if own else line + 1

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        # By now it is known of each test whether it is a smoke test.
        lines = [line for test, line in self._tests if self._is_smoke_test(test)]
        # Leaks come last, at the end of the run, and matter most.
        lines = [*self._leaks, *lines]
        if not lines and (why := self._reason()) is not None:
            lines = [annotation("hydra-smoke", why)]
        shown = lines[:MOST_ANNOTATIONS]
        more = len(lines) - len(shown) + 1
        if more > 1:
            shown[-1] = annotation("hydra-smoke", f"{more} more errors are in this step's log")
        for line in shown:
            terminalreporter.ensure_newline()
            terminalreporter.line(line)
