"""Find and read reports, and write a history to the files that a caller names, and to no report.

Reads are bounded, and no path in a report is followed. Any JSON file may be a report, whatever its
name. A name with `report` in it says that it is one: then it must not be left out in silence,
however damaged it is.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.files import replace
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._report.model import SCHEMA_VERSION
from pytest_hydrasmoke._report.run_files import FORM, as_json

from .contents import History
from .runs import Found, PastRun, worse
from .summary import markdown

MOST_FILES = 100_000
"""Most files to open."""
LARGEST = 32 * 1024 * 1024
"""Most bytes of a report, unpacked; a run of fifty instances has less than 1 MiB."""
_GZIP = b"\x1f\x8b"
_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
"""How a text of UTF-16 or UTF-8 begins where a shell of Windows has copied it."""
_RUN = TypeAdapter(PastRun)
STANDARD_OUTPUT = Path("-")


class NoReportError(ValueError):
    """Raised for a file that is no report, or can't be read as one; says what it is."""

    def __init__(self, words: str, ours: bool | None) -> None:
        super().__init__(words)
        self.ours = ours
        """Whether it is a report that is cut, damaged or newer; None if nobody knows."""


def read(paths: Sequence[Path]) -> Found:
    """Read the reports that `paths` name, or that lie in folders that they name.

    Of a run that is found more than once, the red report counts.
    """
    found, runs = Found([], [], []), dict[object, PastRun]()
    others = 0
    for number, (path, named) in enumerate(_files(paths, found)):
        if number == MOST_FILES:
            found.unread.append(f"more than {MOST_FILES:,} files: the rest was not read")
            break
        says = named or says_report(path.name)
        try:
            run = run_of_file(path)
        except NoReportError as error:
            if named or error.ours or (says and error.ours is None):
                found.unread.append(_line(path, str(error)))
            elif says:
                found.skipped.append(_line(path, str(error)))
            else:
                others += 1
        except OSError as error:
            lines = found.unread if says else found.skipped
            lines.append(_line(path, error.strerror or str(error)))
        else:
            key = run.run_id, run.began, run.fake
            runs[key] = worse(runs[key], run) if key in runs else run
    if others:
        found.skipped.append(f"other JSON files, which are no reports: {others}")
    found.runs.extend(runs.values())
    return found


def says_report(name: str) -> bool:
    """Return whether a file's name says that it is a report."""
    return _is_json(name) and "report" in name.lower()


def _is_json(name: str) -> bool:
    return name.lower().endswith((".json", ".json.gz"))


def _files(paths: Sequence[Path], found: Found) -> Iterator[tuple[Path, bool]]:
    """Yield the files that `paths` name, and the JSON files in their folders; and which it is."""

    def note(error: OSError) -> None:
        found.unread.append(_line(error.filename, error.strerror or "it can't be read"))

    for path in paths:
        if not os.path.isdir(path):
            yield path, True
            continue
        for folder, folders, names in os.walk(path, onerror=note):
            folders.sort()
            for link in filter(os.path.islink, (Path(folder, name) for name in folders)):
                # It could lead anywhere, even in circles.
                found.skipped.append(_line(link, "a link to a folder, which is not followed"))
            yield from ((Path(folder, name), False) for name in sorted(names) if _is_json(name))


def _line(path: str | Path, words: str) -> str:
    return f"{safe_line(str(path), 1_000)}: {safe_line(words)}"


def run_of_file(path: Path) -> PastRun:
    """Read a report; raises `OSError`, or `NoReportError` that says what the file is instead."""
    data = content_of(path)
    try:
        return _RUN.validate_json(data)
    except ValidationError as error:
        raise _no_report(error, data) from None


def _no_report(error: ValidationError, data: bytes) -> NoReportError:
    errors = error.errors(include_url=False, include_input=True)
    if errors[0]["type"] == "json_invalid":
        return NoReportError(f"damaged: {errors[0]['msg']}", _ours(data))
    places = {".".join(map(str, it["loc"])): it for it in errors}
    version = places.get("schema_version", {"input": 0})["input"]
    if not places.keys().isdisjoint({"", "run_id"}) or not isinstance(version, int):
        return NoReportError("not a report of this plugin", ours=False)
    if version:
        words = f"its schema_version is {version}, and this release reads {SCHEMA_VERSION}"
        return NoReportError(words, _ours(data))
    place, first = next(iter(places.items()))
    return NoReportError(f"not a whole report: {place}: {first['msg']}", ours=True)


def content_of(path: Path) -> bytes:
    """Return a file's content, unpacked and in UTF-8; raises `OSError` and `NoReportError`."""
    if not os.path.isfile(path):
        # Opening a pipe would block.
        missing = not os.path.lexists(path)
        raise NoReportError("there is no such file" if missing else "not a file", ours=None)
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if data.startswith(_GZIP):
        data = _unpacked(data)
    if data.startswith(_MARKS):
        data = data.decode(json.detect_encoding(data), "replace").encode()
    if len(data) > LARGEST:
        raise NoReportError(f"larger than {LARGEST // 1024**2} MiB", _ours(data))
    return data


def _ours(data: bytes) -> bool | None:
    """Return whether what can't be read as a report begins like one."""
    return True if re.search(FORM, data[:1000]) else None


def _unpacked(data: bytes) -> bytes:
    whole = bytearray()
    try:
        with gzip.GzipFile(fileobj=BytesIO(data)) as file:
            while len(whole) <= LARGEST and (part := file.read1(1 << 20)):
                whole += part
    except (OSError, EOFError, zlib.error) as error:
        raise NoReportError(f"damaged: {error}", _ours(bytes(whole))) from None
    return bytes(whole)


# Writing


def refuse_reports(views: Mapping[str, Path], read: Sequence[Path]) -> None:
    """Raise `ConfigError` where an output file is also an input, or is named twice."""
    written = [os.path.realpath(path) for path in views.values()]
    inputs = [os.path.realpath(path) for path in read]
    for path, real in zip(views.values(), written, strict=True):
        if written.count(real) > 1:
            raise ConfigError(
                f"{safe_line(str(path))} is named twice: one view would overwrite another",
                next_step="name a file of its own for each of --html, --json and --markdown",
            )
        # A new file of such a name would be taken for a report the next time.
        would_be = says_report(Path(real).name) and any(map(Path(real).is_relative_to, inputs))
        if real in inputs or would_be or _is_report(path):
            raise ConfigError(
                f"{safe_line(str(path))} is, or would be, one of the reports that are read",
                next_step="name another file, in another folder or without report in its name",
            )


def _is_report(path: Path) -> bool:
    try:
        run_of_file(path)
    except NoReportError as error:
        return error.ours is True
    except OSError:
        return False
    return True


def write(history: History, views: Mapping[str, Path], say: Callable[[str], None]) -> None:
    """Write the views that are asked for; raises `ConfigError` for one that can't be written.

    Files are replaced atomically. `say` prints to standard output.
    """
    made: dict[str, Callable[[History], str]] = {
        "html": _page,
        "json": as_json,
        "markdown": markdown,
    }
    for name, path in views.items():
        text = made[name](history)
        if path == STANDARD_OUTPUT:
            say(text.removesuffix("\n"))
            continue
        try:
            _put(path, text)
        except OSError as error:
            raise ConfigError(
                f"{safe_line(str(path))} can't be written: {error.strerror}",
                next_step="name a file that can be, in a folder that is there",
            ) from None


def _page(history: History) -> str:
    # Imported here: it takes time to load.
    from .history_page import render

    return render(history)


def _put(path: Path, text: str) -> None:
    if path.exists() and not path.is_file():
        # A pipe or a device can't be replaced.
        path.write_text(text, "utf-8", newline="\n")
        return
    # The target of a link is written, and not the link.
    real = Path(os.path.realpath(path))
    umask = os.umask(0o077)
    os.umask(umask)
    mode = stat.S_IMODE(real.stat().st_mode) if real.exists() else 0o666 & ~umask
    replace(real, text)
    # Others may read it, like other new files here.
    real.chmod(mode)
