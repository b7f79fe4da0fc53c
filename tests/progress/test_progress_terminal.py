"""Lines of one's own on a terminal that pytest writes to as well."""

from __future__ import annotations

import contextlib
import io
import os
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from progress_tools import pseudo_terminal, rest_of, shown
from systems import poll_without_devices

from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._report.screen import Terminal, terminal_of


class Beside:
    """Pytest's reporter on a stream, and a terminal beside it."""

    def __init__(self, config: pytest.Config, file: TextIO) -> None:
        self.file = file
        self.reporter = pytest.TerminalReporter(config, file)
        self.writer = self.reporter._tw
        self.terminal = Terminal(self.reporter, self.writer)

    def dot(self, text: str = ".") -> None:
        """Write what pytest would, of a test."""
        self.writer.write(text, flush=True)


class Piped(Beside):
    """A pipe, and its reader's end."""

    def __init__(self, config: pytest.Config) -> None:
        self.ours, theirs = os.pipe()
        super().__init__(config, os.fdopen(theirs, "w", encoding="utf-8"))

    def fill(self) -> None:
        """Write until it takes no more."""
        with contextlib.suppress(BlockingIOError):
            os.set_blocking(self.file.fileno(), False)
            while True:
                os.write(self.file.fileno(), b"x" * 4096)
        os.set_blocking(self.file.fileno(), True)

    def all(self) -> str:
        """Give everything that was written, and close it."""
        self.terminal.close()
        self.file.close()
        said = rest_of(self.ours)
        os.close(self.ours)
        return said


Tty = tuple[Beside, int]


@pytest.fixture
def tty(pytestconfig: pytest.Config) -> Iterator[Tty]:
    """A terminal, and the user's end of it."""
    with pseudo_terminal() as (ours, theirs), os.fdopen(theirs, "w") as file:
        yield Beside(pytestconfig, file), ours


def rows(tty: Tty) -> list[str]:
    """Give the rows that a terminal shows in the end."""
    beside, ours = tty
    beside.terminal.close()
    beside.file.close()
    return shown(rest_of(ours))


def test_a_line_is_below_the_dots_and_what_is_captured_is_not_touched(
    tty: Tty, tmp_path: Path
) -> None:
    # As pytest does it: the descriptor is another file for as long as a test runs.
    beside, _ = tty
    beside.dot("test_a.py ..")
    descriptor, saved = beside.file.fileno(), os.dup(beside.file.fileno())
    with (tmp_path / "captured").open("w") as file:
        os.dup2(file.fileno(), descriptor)
        beside.file.write("a print")
        beside.terminal.write_line("a line")
        beside.terminal.write_line("another")
        beside.file.flush()
        os.dup2(saved, descriptor)
    os.close(saved)
    # Pytest reckons by it how far to the right its per cent are.
    assert beside.writer.width_of_current_line == 0
    beside.dot()
    assert beside.writer.width_of_current_line == 1
    assert (tmp_path / "captured").read_text() == "a print"
    assert rows(tty) == ["test_a.py ..", "a line", "another", "."]


def test_in_memory_the_name_of_a_test_is_written_again_before_its_outcome(
    pytester: pytest.Pytester,
) -> None:
    beside = Beside(pytester.parseconfig("-v"), io.StringIO())
    beside.reporter.write_ensure_prefix("test_a.py::test_a ")
    beside.terminal.write_line("a line")
    beside.reporter.write_ensure_prefix("test_a.py::test_a ", "PASSED")
    beside.terminal.close()
    said = beside.file.getvalue().splitlines()
    assert said == ["", "test_a.py::test_a ", "a line", "", "test_a.py::test_a PASSED"]


def test_in_a_file_what_pytest_has_flushed_is_before_it_and_no_character_is_unknown(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as file:
        beside = Beside(pytestconfig, file)
        beside.writer.line("before")
        beside.terminal.flush()
        beside.terminal.write_line("status 'für'")
        beside.terminal.close()
        beside.dot("after")
    assert (tmp_path / "log").read_text("ascii") == "before\nstatus 'f\\xfcr'\nafter"


def test_a_terminal_is_written_to_where_poll_knows_none(
    tty: Tty, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a Mac.
    monkeypatch.setattr(files, "here", files.Mac())
    monkeypatch.setattr(files, "select", poll_without_devices())
    tty[0].terminal.write_line("a line")
    assert rows(tty) == ["a line", ""]


def test_a_line_never_waits_for_room_although_others_do(pytestconfig: pytest.Config) -> None:
    piped = Piped(pytestconfig)
    piped.dot("test_a.py ")
    piped.fill()
    piped.terminal.write_line("a line that is left out")
    assert piped.writer.width_of_current_line == len("test_a.py ")
    # Room for a part of it: a write that blocks would wait for the rest.
    os.read(piped.ours, 4096)
    piped.terminal.write_line("y" * 10_000)
    assert os.get_blocking(piped.file.fileno())
    said = piped.all()
    assert "left out" not in said
    assert said.count("y") < 10_000


def test_a_print_of_a_thread_that_is_held_up_holds_no_line_up(
    pytestconfig: pytest.Config,
) -> None:
    piped = Piped(pytestconfig)
    piped.fill()
    begun = threading.Event()

    def say() -> None:
        begun.set()
        print("a line of a test's own thread", file=piped.file, flush=True)

    thread = threading.Thread(target=say)
    thread.start()
    assert begun.wait(30)
    for _ in range(3):
        piped.terminal.write_line("z")
    said = os.read(piped.ours, 65536)
    thread.join()
    assert "z" not in said.decode() + piped.all()


def test_a_reader_that_is_gone_is_no_matter_of_the_run(pytestconfig: pytest.Config) -> None:
    piped = Piped(pytestconfig)
    os.close(piped.ours)
    piped.terminal.write_line("a line for nobody")
    piped.terminal.close()
    piped.file.close()


def test_a_stopped_terminal_holds_nothing_up(tty: Tty) -> None:
    # By Ctrl-S: what would be written is left out, rather than waited for.
    beside, _ = tty
    termios.tcflow(beside.file, termios.TCOOFF)
    beside.terminal.write_line("one")
    termios.tcflow(beside.file, termios.TCOON)
    beside.terminal.write_line("two")
    assert rows(tty) == ["two", ""]


class Other(pytest.TerminalReporter):
    """The reporter of another plugin."""


def test_who_is_told(pytester: pytest.Pytester) -> None:
    for reporter, option, is_told in (
        (pytest.TerminalReporter, "-q", True),
        (pytest.TerminalReporter, "-qq", False),
        (Other, "-v", False),
        (None, "-v", False),
    ):
        config = pytester.parseconfig(option)
        if reporter is not None:
            config.pluginmanager.register(reporter(config, io.StringIO()), "terminalreporter")
        assert (terminal_of(config) is not None) == is_told
