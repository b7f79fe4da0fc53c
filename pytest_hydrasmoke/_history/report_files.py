"""Find the files that may be reports, and read them, whatever they are.

Any JSON file may be a report, whatever its name. A name with `report` in it says that it is one:
then it must not be left out in silence, however damaged it is.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from pathlib import Path

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._report.files import FORM

LARGEST = 32 * 1024 * 1024
"""Most bytes of a report, unpacked; a run of fifty instances has less than 1 MiB."""
MOST_MEMBERS = 1_000
"""Most parts of a gzip file; a report is one, or has one for each 64 KiB."""
_GZIP = b"\x1f\x8b"
_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
"""How a text of UTF-16 or UTF-8 begins where a shell of Windows has copied it."""


class Kind(Enum):
    """What a file is that is no report."""

    OTHER = "another program's JSON"
    DAMAGED = "nobody knows"
    OURS = "a report that is cut, damaged or newer"


class NoReportError(ValueError):
    """Raised for a file that is no report, or can't be read as one; says what it is."""

    def __init__(self, words: str, kind: Kind) -> None:
        super().__init__(words)
        self.kind = kind


def says_report(name: str) -> bool:
    """Return whether a file's name says that it is a report."""
    return _is_json(name) and "report" in name.lower()


def _is_json(name: str) -> bool:
    return name.lower().endswith((".json", ".json.gz"))


def json_files(
    paths: Sequence[Path], left_out: Callable[[str], object], unread: Callable[[str], object]
) -> Iterator[tuple[Path, bool]]:
    """Yield the files that `paths` name, and the JSON files in their folders; and which it is.

    `unread` gets a line for each folder that can't be read, `left_out` one for each that is a link:
    it could lead anywhere, even in circles.
    """

    def note(error: OSError) -> None:
        unread(line(error.filename, error.strerror or "it can't be read"))

    for path in paths:
        if not os.path.isdir(path):
            yield path, True
            continue
        for folder, folders, names in os.walk(path, onerror=note):
            folders.sort()
            for name in folders:
                if os.path.islink(os.path.join(folder, name)):
                    left_out(line(Path(folder, name), "a link to a folder, which is not followed"))
            yield from ((Path(folder, name), False) for name in sorted(names) if _is_json(name))


def line(path: str | Path, words: str) -> str:
    """Return a line about a file or a folder."""
    return f"{safe_line(str(path), 1_000)}: {safe_line(words)}"


def content_of(path: Path) -> bytes:
    """Return a file's content, unpacked and in UTF-8; raises `OSError` and `NoReportError`."""
    if not os.path.isfile(path):
        # Opening a pipe would block.
        missing = not os.path.lexists(path)
        raise NoReportError("there is no such file" if missing else "not a file", Kind.DAMAGED)
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if data.startswith(_GZIP):
        data = _unpacked(data)
    if data.startswith(_MARKS):
        data = data.decode(json.detect_encoding(data), "replace").encode()
    if len(data) > LARGEST:
        raise NoReportError(f"larger than {LARGEST // 1024**2} MiB", kind_of(data))
    return data


def kind_of(data: bytes) -> Kind:
    """Return what a file is whose content can't be read as a report."""
    return Kind.OURS if re.search(FORM, data[:1000]) else Kind.DAMAGED


def _unpacked(data: bytes) -> bytes:
    whole = b""
    for _ in range(MOST_MEMBERS):
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            whole += unpacker.decompress(data, LARGEST + 1 - len(whole))
        except zlib.error:
            raise NoReportError("damaged: its gzip can't be unpacked", kind_of(whole)) from None
        # Some programs fill a file up with zeros.
        data = unpacker.unused_data.lstrip(b"\0")
        if len(whole) > LARGEST or (unpacker.eof and not data):
            return whole
        if not unpacker.eof:
            raise NoReportError("damaged: its gzip ends early", kind_of(whole))
    raise NoReportError(f"damaged: its gzip has more than {MOST_MEMBERS} parts", kind_of(whole))
