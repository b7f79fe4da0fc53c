"""What becomes of a run's recordings: its main process writes their files, and sums them up.

Those of tests are written as their last run left them; those of fixtures and hooks from what
several workers have told of them.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import pytest

from pytest_hydrasmoke._base.text import first_few
from pytest_hydrasmoke._options import FAKE, LIVE, flag
from pytest_hydrasmoke._recordings.compare import compared, overlaid
from pytest_hydrasmoke._recordings.format import KINDS, Recorded, as_text, turns_of
from pytest_hydrasmoke._recordings.store import RecordingStore
from pytest_hydrasmoke._report.model import Report

from .context import RunContext
from .exit_code import code
from .recorder import NOT_RECORDED, UNWRITTEN, Recorder, in_words
from .replaying import as_argument
from .resources import Resources

NEW, CHANGED, SAME = "new", "changed", "unchanged"
_MOST = 10
"""How many of a kind the summary lists."""


class RecordingEnd:
    """Writes the recordings of all processes, and reports on them."""

    def __init__(
        self,
        context: RunContext,
        *,
        resources: Resources,
        recorder: Recorder,
        store: RecordingStore,
        is_whole: Callable[[int], bool],
        fail: Callable[[str, str, str], None],
    ) -> None:
        self._context = context
        self._resources = resources
        self._recorder = recorder
        self._store = store
        self._is_whole = is_whole
        """Tells whether a run with this exit code was one of all tests."""
        self._fail = fail
        """Fails the run: for a kind of failure, a name and words."""
        self._came: dict[str, tuple[str, str]] = {}
        """What has become of each owner's recording, and why."""
        self._lines: list[str] = []

    def write(self, session: pytest.Session) -> None:
        """Write all that there are.

        Called when instances are deleted and workers are done, and before the report is handed out,
        as its readers may fail or block.
        """
        # After a failure, what was not said may be what a fixture had no time for.
        whole = session.exitstatus == 0 and self._is_whole(0)
        parts: dict[str, list[Recorded]] = {}
        for line in self._recorder.tape.lines():
            owner = line["of"]
            if "turns" not in line:
                self._came[owner] = line["what"], line["why"]
                continue
            turns = turns_of(line["turns"].encode())
            if owner.startswith(KINDS):
                # Workers repeat a fixture; each may have set it up for other tests, too.
                parts[owner] = overlaid(parts.get(owner, ()), turns, whole=False)
            else:
                self._write(owner, turns)
        for owner, turns in parts.items():
            self._write(owner, turns, whole=whole)
        for test in self._recorder.failed_tests:
            if self._store.path(test).exists():
                self._came.setdefault(test, (NOT_RECORDED, "it failed"))
        if self._unwritten:  # Before the exit code goes into the run's report.
            session.exitstatus = code(session.exitstatus, failed=True)

    def _write(self, owner: str, turns: list[Recorded], *, whole: bool | None = None) -> None:
        """Write a test's turns, or those of a fixture or a hook, in a `whole` run or another."""
        with self._told(owner):
            what, why, old = NEW, None, self._store.read(owner)
            if old is not None:
                known = turns_of(old)
                turns = turns if whole is None else overlaid(known, turns, whole=whole)
                left = partial(self._recorder.masking.leaves, owner)
                turns, why = compared(known, turns, self._resources.reading, left)
                what = SAME if why is None else CHANGED
            if what != SAME:
                day = datetime.now(UTC).date().isoformat()
                self._store.write(owner, as_text(owner, turns, day))
            self._came[owner] = what, self._recorder.clean(why or "")

    @contextmanager
    def _told(self, owner: str) -> Generator[None]:
        """Note an error of writing an owner's file: it fails the run, not a test."""
        try:
            yield
        except Exception as error:
            self._came[owner] = UNWRITTEN, self._recorder.clean(in_words(error))

    @property
    def _unwritten(self) -> dict[str, str]:
        return {owner: why for owner, (what, why) in self._came.items() if what == UNWRITTEN}

    # Hooks

    def pytest_hydra_smoke_report(self, report: Report) -> None:
        """Fail the run for what could not be written."""
        for owner, why in self._unwritten.items():
            self._fail("recording", owner, self._words(owner, why))
        whole = self._is_whole(report.exit_code)
        self._lines += self._summary(whole=whole)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._lines:
            terminalreporter.line(self._context.scrub(f"hydra-smoke: {line}"))

    def pytest_unconfigure(self) -> None:
        self._store.end()
        self._recorder.tape.discard()

    # In words

    def _words(self, owner: str, why: str) -> str:
        named = not owner.startswith(KINDS)
        test = (as_argument(self._context.pytestconfig, owner),) if named else ()
        agent = self._context.config.agent_url
        switch = (LIVE,) if agent is None else (FAKE, flag("agent_url"), agent)
        command = ("pytest", *switch, flag("record"), str(self._store.folder), *test)
        return (
            f"RECORDING: the recording of {owner} could not be written\n{why}\n"
            f"  an earlier recording is unchanged; record it again: {shlex.join(command)}"
        )

    def _summary(self, *, whole: bool) -> Iterator[str]:
        """Yield what has become of recordings, and in a `whole` run the unused ones."""
        counts = Counter(what for what, _ in self._came.values())
        every = (NEW, CHANGED, SAME, NOT_RECORDED, UNWRITTEN)
        counted = ", ".join(f"{counts[what]} {what}" for what in every if counts[what])
        yield f"recordings in {self._store.folder}: {counted or 'there was nothing to record'}"
        for kind in (NEW, CHANGED, NOT_RECORDED, UNWRITTEN):
            lines = [
                f"  {kind}: {owner}{why and ': '}{why}{self._earlier(owner, what)}"
                for owner, (what, why) in sorted(self._came.items())
                if what == kind
            ]
            yield from lines[:_MOST]
            if len(lines) > _MOST:
                yield f"  {kind}: {len(lines) - _MOST} more"
        used = self._came.keys() | self._recorder.not_passed
        unused = [
            str(path.relative_to(self._store.folder))
            for owner, path in sorted(self._store.owners.items())
            if owner not in used
        ]
        if whole and unused:
            yield f"  used by no test of this run: {len(unused)}: {first_few(unused)}"

    def _earlier(self, owner: str, what: str) -> str:
        # A user who removes words from recordings must know where they still are.
        path = self._store.path(owner)
        if what != NOT_RECORDED or not path.exists():
            return ""
        return f"; its earlier recording stays: {path.relative_to(self._store.folder).as_posix()}"
