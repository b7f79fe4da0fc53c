"""What systems do differently: each is played here, and what the package does about it is seen."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import sys
from pathlib import Path

import pytest

from pytest_hydrasmoke._base import files
from pytest_hydrasmoke._base.files import Mac, System
from pytest_hydrasmoke._base.text import printable


def test_a_system_is_known_by_its_name() -> None:
    for name, kind in (("linux", System), ("darwin", Mac), ("aix", System)):
        assert type(files.system(name)) is kind
    assert type(files.here) is type(files.system(sys.platform))


@pytest.mark.parametrize("known", [True, False])
def test_on_a_mac_the_disk_s_own_cache_is_flushed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    asked: list[str] = []

    def control(descriptor: int, request: int) -> int:
        asked.append(f"request {request}")
        if not known:
            raise OSError(errno.ENOTSUP, "Operation not supported")
        return 0

    monkeypatch.setattr(files, "here", Mac())
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", lambda descriptor: asked.append("fsync"))
    files.append(tmp_path / "log", b"line\n", durable=True)
    assert asked == (["request 51"] if known else ["request 51", "fsync"])
    with pytest.raises(FileNotFoundError):  # Nothing is made for a line that begins no file.
        files.append(tmp_path / "gone", b"line\n", make=False)
    assert [it.name for it in tmp_path.iterdir()] == ["log"]


def test_a_folder_is_flushed_where_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []

    def noted(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", noted)
    files.flush_folder(tmp_path)
    files.flush_folder(tmp_path / "gone")
    assert flushed == [str(tmp_path)]


@pytest.mark.parametrize("here", [System(), Mac()])
def test_what_takes_output_is_told_from_what_does_not(here: System) -> None:
    reads, full = os.pipe()
    assert here.takes_output(full)
    os.set_blocking(full, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(full, b"x" * 4096)
    try:
        assert not here.takes_output(full)
        os.close(reads)
        # Whoever writes to it is told so, and does not wait.
        assert here.takes_output(full)
    finally:
        os.close(full)
    # Of a descriptor that can't be asked for there is no telling.
    assert Mac().takes_output(5000)


def test_what_a_console_has_no_character_for_is_escaped() -> None:
    for encoding, shown in {
        "utf-8": "für 一… \N{CHECK MARK}",
        "cp1252": "für \\u4e00… \\u2713",
        "ascii": "f\\xfcr \\u4e00\\u2026 \\u2713",
    }.items():
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        text = printable("für 一… \N{CHECK MARK}", stream)
        stream.write(text)
        assert text == shown
    assert printable("für 一", io.StringIO()) == "für 一"


def test_a_disk_that_knows_a_name_by_another_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nightly").mkdir()
    assert files.name_on_disk(tmp_path / "nightly") is None
    assert files.name_on_disk(tmp_path / "Nightly") is None
    assert files.name_on_disk(tmp_path / "gone" / "nightly") is None
    # As a disk has it where the folder was made as `Nightly`: here by a link, which no list shows.
    (tmp_path / "Nightly").symlink_to("nightly")
    (tmp_path / "NIGHTLY").mkdir()
    monkeypatch.setattr(os, "listdir", lambda folder: ["other", "NIGHTLY", "Nightly"])
    assert files.name_on_disk(tmp_path / "nightly") == "Nightly"
