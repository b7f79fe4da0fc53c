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

from pytest_hydrasmoke._base import platform
from pytest_hydrasmoke._report.screen import Terminal, terminal_of

Config = pytest.Config


class Beside:
    """Pytest's reporter on a stream, and a terminal beside it."""

    def __init__(self, config: Config, file: TextIO) -> None:
        self.file = file
        self.reporter = pytest.TerminalReporter(config, file)
        self.writer = self.reporter._tw
        self.terminal = Terminal(self.reporter, self.writer)

    def dot(self, text: str = ".") -> None:
        """Write what pytest would, of a test."""
        self.writer.write(text, flush=True)


class Piped(Beside):
    """A pipe, and its reader's end."""

    def __init__(self, config: Config) -> None:
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


@pytest.fixture
def config(pytester: pytest.Pytester) -> Config:
    return pytester.parseconfig()


@pytest.fixture
def tty(config: Config) -> Iterator[tuple[Beside, int]]:
    """A terminal, and the user's end of it."""
    with pseudo_terminal() as (ours, theirs), os.fdopen(theirs, "w") as file:
        yield Beside(config, file), ours


def rows(tty: tuple[Beside, int]) -> list[str]:
    """Give the rows that a terminal shows in the end."""
    beside, ours = tty
    beside.terminal.close()
    beside.file.close()
    return shown(rest_of(ours))


def test_a_line_is_below_the_dots_and_pytest_goes_on_below_it(tty: tuple[Beside, int]) -> None:
    beside, _ = tty
    beside.dot("test_a.py ..")
    beside.terminal.write_line("a line")
    beside.terminal.write_line("another")
    # Pytest reckons by it how far to the right its per cent are.
    assert beside.writer.width_of_current_line == 0
    beside.dot()
    assert beside.writer.width_of_current_line == 1
    assert rows(tty) == ["test_a.py ..", "a line", "another", "."]


def test_the_name_of_a_test_is_written_again_before_its_outcome(pytester: pytest.Pytester) -> None:
    beside = Beside(pytester.parseconfig("-v"), io.StringIO())
    beside.reporter.write_ensure_prefix("test_a.py::test_a ")
    beside.terminal.write_line("a line")
    beside.reporter.write_ensure_prefix("test_a.py::test_a ", "PASSED")
    said = beside.file.getvalue().splitlines()
    assert said == ["", "test_a.py::test_a ", "a line", "", "test_a.py::test_a PASSED"]


def test_what_is_captured_is_not_touched(tty: tuple[Beside, int], tmp_path: Path) -> None:
    # As pytest does it: the descriptor is another file for as long as a test runs.
    beside, _ = tty
    beside.dot("test_a.py ")
    descriptor, saved = beside.file.fileno(), os.dup(beside.file.fileno())
    with (tmp_path / "captured").open("w") as file:
        os.dup2(file.fileno(), descriptor)
        beside.file.write("a print")
        beside.terminal.write_line("a line")
        beside.file.flush()
        os.dup2(saved, descriptor)
    os.close(saved)
    beside.dot()
    assert (tmp_path / "captured").read_text() == "a print"
    assert rows(tty) == ["test_a.py", "a line", "."]


def test_a_stream_in_memory_gets_lines(config: Config) -> None:
    beside = Beside(config, io.StringIO())
    beside.dot()
    beside.terminal.write_line("a line")
    beside.terminal.close()
    assert beside.file.getvalue() == ".\na line\n"


def test_characters_that_a_stream_does_not_know_are_escaped(config: Config, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as file:
        beside = Beside(config, file)
        beside.terminal.write_line("status 'für'")
        beside.terminal.close()
    assert (tmp_path / "log").read_text("ascii") == "status 'f\\xfcr'\n"


def test_a_terminal_is_written_to_where_poll_knows_none(
    tty: tuple[Beside, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a Mac.
    monkeypatch.setattr(platform, "here", platform.Mac())
    monkeypatch.setattr(platform, "select", poll_without_devices())
    beside, _ = tty
    beside.terminal.write_line("a line")
    assert rows(tty) == ["a line", ""]


def test_in_a_file_what_pytest_has_flushed_is_before_it(config: Config, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        beside = Beside(config, file)
        beside.writer.line("before")
        beside.terminal.flush()
        beside.terminal.write_line("a line")
        beside.terminal.close()
        beside.dot("after")
    assert (tmp_path / "log").read_text() == "before\na line\nafter"


def test_a_line_never_waits_for_room_although_others_do(config: Config) -> None:
    piped = Piped(config)
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


def test_a_print_of_a_thread_that_is_held_up_holds_no_line_up(config: Config) -> None:
    piped = Piped(config)
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


def test_a_reader_that_is_gone_is_no_matter_of_the_run(config: Config) -> None:
    piped = Piped(config)
    os.close(piped.ours)
    piped.terminal.write_line("a line for nobody")
    piped.terminal.close()
    piped.file.close()


def test_a_stopped_terminal_holds_nothing_up(tty: tuple[Beside, int]) -> None:
    # By Ctrl-S: what would be written is left out, rather than waited for.
    beside, _ = tty
    termios.tcflow(beside.file, termios.TCOOFF)
    beside.terminal.write_line("one")
    termios.tcflow(beside.file, termios.TCOON)
    beside.terminal.write_line("two")
    assert rows(tty) == ["two", ""]


class Other(pytest.TerminalReporter):
    """The reporter of another plugin."""


@pytest.mark.parametrize(
    ("reporter", "options", "is_told"),
    [
        (pytest.TerminalReporter, [], True),
        (pytest.TerminalReporter, ["-q"], True),
        (pytest.TerminalReporter, ["-qq"], False),
        (Other, [], False),
        (None, [], False),
    ],
)
def test_who_is_told(
    reporter: type[pytest.TerminalReporter] | None,
    options: list[str],
    is_told: bool,
    pytester: pytest.Pytester,
) -> None:
    config = pytester.parseconfig(*options)
    if reporter is not None:
        config.pluginmanager.register(reporter(config, io.StringIO()), "terminalreporter")
    assert (terminal_of(config) is not None) == is_told
