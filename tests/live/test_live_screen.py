"""A line in place, and whole lines, among what others write to a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import termios
import threading
from pathlib import Path

import pytest
from live_tools import Picture, Tty, Writes, frames

from pytest_hydrasmoke._progress.screen import Column, Screen, fit, width_of


@pytest.fixture(autouse=True)
def _term(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1)])
def test_wide_characters_take_two_columns(text: str, width: int) -> None:
    assert width_of(text) == width


@pytest.mark.parametrize(
    ("width", "shown"), [(8, "日本語ab"), (7, "日本..."), (3, "..."), (1, "."), (0, "")]
)
def test_what_is_too_long_is_cut(width: int, shown: str) -> None:
    assert fit("日本語ab", width) == shown


@pytest.mark.parametrize(
    ("written", "at"),
    [
        (["abc"], 3),
        (["abc", "de"], 5),
        (["abc\nde"], 2),
        (["abc\rd"], 1),
        (["\x1b[32m.\x1b[0m"], 1),
        (["\x1b]9;4;1;50\x1b\\ab"], 2),
        (["a\tb"], None),
        (["a\tb", "c", "\n"], 0),
        (["\x1b[5A"], None),
        ([""], 0),
    ],
)
def test_the_column_is_known_by_what_is_written(written: list[str], at: int | None) -> None:
    column = Column()
    for text in written:
        column.feed(text)
    assert column.at == at


def test_a_line_in_place_leaves_nothing_behind() -> None:
    tty = Tty()
    screen = Screen(tty, tty.file)
    assert screen.in_place
    tty.write("test_a.py ")
    screen.draw("hydra-smoke: one")
    screen.draw("hydra-smoke: two")
    screen.draw("hydra-smoke: two")
    tty.write(".")
    screen.draw("hydra-smoke: three")
    screen.erase()
    screen.erase()
    tty.write(".\nan end\n")
    screen.draw("hydra-smoke: four")
    screen.close()
    said = tty.all()
    assert frames(said) == [f"hydra-smoke: {word}" for word in ("one", "two", "three", "four")]
    assert Picture(80).show(said) == ["test_a.py ..", "an end", ""]


@pytest.mark.parametrize("written", [0, 1, 79, 80, 81, 160, 200])
def test_it_leaves_nothing_wherever_the_cursor_is(written: int) -> None:
    tty = Tty()
    screen = Screen(tty, tty.file)
    tty.write("x" * written)
    screen.draw("hydra-smoke: " + "y" * 100)
    tty.write("z")
    screen.close()
    said = tty.all()
    assert "".join(Picture(80).show(said)) == "x" * written + "z"
    # In the last column the cursor is neither here nor there: nothing is drawn.
    assert len(frames(said)) == (written not in (80, 160))


def test_it_is_narrower_than_the_terminal() -> None:
    # By as much as a `^C` takes.
    tty = Tty(40)
    screen = Screen(tty, tty.file)
    screen.draw("hydra-smoke: " + "x" * 80)
    screen.close()
    [frame] = frames(tty.all())
    assert len(frame) == 37
    assert frame.endswith("...")


def test_a_terminal_without_a_size_is_taken_for_80_columns() -> None:
    tty = Tty(0)
    screen = Screen(tty, tty.file)
    screen.draw("hydra-smoke: " + "x" * 80)
    screen.close()
    [frame] = frames(tty.all())
    assert len(frame) == 77


def test_nothing_is_drawn_where_the_column_is_unknown() -> None:
    tty = Tty()
    screen = Screen(tty, tty.file)
    tty.write("a tab\t")
    screen.draw("hydra-smoke: one")
    screen.close()
    assert frames(tty.all()) == []


def test_lines_are_whole_ones() -> None:
    tty = Tty()
    screen = Screen(tty, tty.file)
    tty.write("test_a.py ")
    screen.draw("hydra-smoke: in place")
    screen.line("a line")
    screen.line("another")
    tty.write(".")
    screen.close()
    screen.line("too late")
    screen.draw("too late")
    tty.write(".")
    assert Picture(80).show(tty.all()) == ["test_a.py", "a line", "another", ".."]


def test_prints_to_stderr_are_not_written_into(monkeypatch: pytest.MonkeyPatch) -> None:
    tty = Tty()
    with os.fdopen(os.dup(tty.file.fileno()), "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        screen = Screen(tty, tty.file)
        screen.draw("hydra-smoke: one")
        print("a print", file=sys.stderr, flush=True)
        screen.close()
    assert Picture(80).show(tty.all()) == ["a print", ""]


def test_what_is_captured_is_not_touched(tmp_path: Path) -> None:
    # As pytest does it: the descriptor is another file for as long as a test runs.
    tty, captured = Tty(), tmp_path / "captured"
    screen = Screen(tty, tty.file)
    tty.write("test_a.py ")
    tty.file.flush()
    descriptor, saved = tty.file.fileno(), os.dup(tty.file.fileno())
    with captured.open("w") as file:
        os.dup2(file.fileno(), descriptor)
        screen.draw("hydra-smoke: one")
        tty.write("a print")
        screen.draw("hydra-smoke: two")
        tty.file.flush()
        os.dup2(saved, descriptor)
    os.close(saved)
    screen.erase()
    tty.write(".")
    screen.close()
    assert captured.read_text() == "a print"
    said = tty.all()
    assert frames(said) == ["hydra-smoke: one", "hydra-smoke: two"]
    assert Picture(80).show(said) == ["test_a.py .", ""]


@pytest.mark.parametrize("term", [None, "", "dumb"])
def test_a_terminal_that_moves_no_cursor_gets_lines(
    term: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if term is None:
        monkeypatch.delenv("TERM")
    else:
        monkeypatch.setenv("TERM", term)
    tty = Tty()
    screen = Screen(tty, tty.file)
    assert not screen.in_place
    screen.close()
    tty.all()


class InMemory(io.StringIO):
    """A stream without a descriptor, and its own writer."""

    width_of_current_line = 5

    encoding = "ascii"


def test_a_stream_without_a_descriptor_gets_lines() -> None:
    file = InMemory()
    screen = Screen(file, file)
    assert not screen.in_place
    screen.draw("no line in place")
    screen.line("a line")
    screen.close()
    # Its writer had written five characters already.
    assert file.getvalue() == "\na line\n"
    assert "write" not in vars(file)


def test_somebody_elses_look_over_stays() -> None:
    file = InMemory()
    screen = Screen(file, file)
    file.write = file.write  # type: ignore[method-assign]
    vars(file)["write"] = theirs = lambda text: len(text)
    screen.close()
    assert vars(file)["write"] is theirs


def test_characters_that_a_stream_does_not_know_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w", encoding="ascii") as file:
        screen = Screen(Writes(file), file)
        screen.line("status 'für'")
        screen.close()
    assert path.read_text("ascii") == "status 'f\\xfcr'\n"


def test_a_reader_that_is_gone_or_busy_is_no_matter_of_the_run() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w") as file:
        screen = Screen(Writes(file), file)
        os.set_blocking(theirs, False)
        while True:
            try:
                os.write(theirs, b"x" * 1000)
            except BlockingIOError:
                break
        # Full: nobody waits for it.
        screen.line("a line that is lost")
        os.read(ours, 8000)
        screen.line("y" * 100_000)
        os.read(ours, 1 << 20)
        os.close(ours)
        screen.line("a line for nobody")
        screen.line("another one")
        screen.close()


class Piped(Writes):
    """A pipe that is full, and whose reader reads no more."""

    def __init__(self) -> None:
        self.ours, theirs = os.pipe()
        super().__init__(os.fdopen(theirs, "w", encoding="utf-8"))
        self.screen = Screen(self, self.file)
        os.set_blocking(theirs, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(theirs, b"x" * 4096)
        os.set_blocking(theirs, True)

    def all(self) -> bytes:
        """Give everything that was written, and close it."""
        self.screen.close()
        self.file.close()
        said = b""
        while chunk := os.read(self.ours, 65536):
            said += chunk
        os.close(self.ours)
        return said


def test_a_line_never_waits_for_room_although_others_do() -> None:
    piped = Piped()
    # Room for a part of it: more than that is left out, where a write that blocks would wait.
    os.read(piped.ours, 4096)
    piped.screen.line("y" * 10_000)
    assert os.get_blocking(piped.file.fileno())
    said = piped.all()
    assert said.endswith(b"y" * 4096)
    assert said.count(b"y") < 10_000


def test_a_print_of_a_thread_that_is_held_up_holds_nobody_else_up() -> None:
    piped = Piped()
    begun = threading.Event()

    def say() -> None:
        begun.set()
        print("a line of a test's own thread", file=piped.file, flush=True)

    thread = threading.Thread(target=say)
    thread.start()
    assert begun.wait(30)
    os.read(piped.ours, 100)
    for _ in range(3):
        piped.screen.line("z")
        piped.screen.draw("z")
        piped.screen.erase()
    said = os.read(piped.ours, 65536)
    thread.join()
    assert b"z" not in said + piped.all()


def test_what_was_written_before_is_before_it(tmp_path: Path) -> None:
    # Python keeps it in a buffer, which is not flushed by whoever writes a line.
    path = tmp_path / "log"
    with path.open("w") as file:
        file.write("before\n")
        screen = Screen(Writes(file), file)
        screen.line("one")
        file.write("between")
        screen.line("two")
        screen.close()
        file.write("after\n")
    assert path.read_text() == "before\none\nbetween\ntwo\nafter\n"


def test_a_pipe_whose_reader_was_gone_before_is_no_matter_of_the_run() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as file:
        screen = Screen(Writes(file), file)
        screen.line("a line for nobody")
        screen.close()


def test_a_stopped_terminal_holds_nothing_up() -> None:
    # By Ctrl-S: what would be written is left out, rather than waited for.
    tty = Tty()
    screen = Screen(tty, tty.file)
    screen.draw("hydra-smoke: one")
    termios.tcflow(tty.file, termios.TCOOFF)
    screen.draw("hydra-smoke: two")
    screen.line("a line")
    screen.erase()
    termios.tcflow(tty.file, termios.TCOON)
    screen.draw("hydra-smoke: three")
    screen.close()
    said = tty.all()
    assert frames(said) == ["hydra-smoke: one", "hydra-smoke: three"]
    assert Picture(80).show(said) == [""]


def test_a_closed_stream_is_no_matter_of_the_run() -> None:
    tty = Tty()
    screen = Screen(tty, tty.file)
    screen.draw("hydra-smoke: one")
    tty.file.close()
    screen.erase()
    screen.draw("hydra-smoke: two")
    with pytest.raises(ValueError, match="closed"):
        tty.write("what its writer is told anyway")
    screen.close()
    assert Picture(80).show(tty.all()) == [""]


def test_a_forked_child_has_nothing_to_do_with_it(tmp_path: Path) -> None:
    # As it sees itself: with another process id than the one that looks over.
    path = tmp_path / "log"
    with path.open("w") as file:
        screen = Screen(Writes(file), file)
        vars(screen)["_pid"] = -1
        file.write("a child's print")
        screen.close()
    assert path.read_text() == "a child's print"
