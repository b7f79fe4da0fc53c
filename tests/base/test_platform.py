"""What systems do differently: each is played here, and what the package does about it is seen."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_hydrasmoke._base import files, platform
from pytest_hydrasmoke._base.platform import Mac, System


@pytest.mark.parametrize(("name", "kind"), [("linux", System), ("darwin", Mac), ("aix", System)])
def test_a_system_is_known_by_its_name(name: str, kind: type[System]) -> None:
    assert type(platform.system(name)) is kind
    assert type(platform.here) is type(platform.system(sys.platform))


# Appending


def test_nothing_is_made_for_a_line_that_begins_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.append(tmp_path / "gone", b"line\n", make=False)
    assert list(tmp_path.iterdir()) == []


# Onto the disk


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

    monkeypatch.setattr(platform, "here", Mac())
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", lambda descriptor: asked.append("fsync"))
    files.append(tmp_path / "log", b"line\n", durable=True)
    assert asked == (["request 51"] if known else ["request 51", "fsync"])


def test_a_folder_is_flushed_where_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []

    def noted(descriptor: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", noted)
    platform.flush_folder(tmp_path)
    platform.flush_folder(tmp_path / "gone")
    assert flushed == [str(tmp_path)]


# What takes output


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


def test_of_a_descriptor_that_can_not_be_asked_for_there_is_no_telling() -> None:
    assert Mac().takes_output(5000)


# Consoles


def test_what_a_console_has_no_character_for_is_escaped() -> None:
    for encoding, shown in {
        "utf-8": "für 一… \N{CHECK MARK}",
        "cp1252": "für \\u4e00… \\u2713",
        "ascii": "f\\xfcr \\u4e00\\u2026 \\u2713",
    }.items():
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        text = platform.printable("für 一… \N{CHECK MARK}", stream)
        stream.write(text)
        assert text == shown
    assert platform.printable("für 一", io.StringIO()) == "für 一"


# Letter case


def listing(*names: str) -> Callable[[Path], list[str]]:
    return lambda folder: list(names)


def test_a_disk_that_knows_a_name_by_another_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nightly").mkdir()
    assert platform.name_on_disk(tmp_path / "nightly") is None
    assert platform.name_on_disk(tmp_path / "Nightly") is None
    assert platform.name_on_disk(tmp_path / "gone" / "nightly") is None
    # As a disk has it where the folder was made as `Nightly`: here by a link, which no list shows.
    (tmp_path / "Nightly").symlink_to("nightly")
    (tmp_path / "NIGHTLY").mkdir()
    monkeypatch.setattr(os, "listdir", listing("other", "NIGHTLY", "Nightly"))
    assert platform.name_on_disk(tmp_path / "nightly") == "Nightly"
