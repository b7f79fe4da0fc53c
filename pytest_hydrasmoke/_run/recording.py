"""The format of a recording, as `docs/reference/recordings.md` defines it; pure.

The fake has a reader of its own, which shares nothing with this module.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring, encode_basestring_ascii
from pathlib import PurePosixPath
from typing import Any

from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._core.chat import Ending
from pytest_hydrasmoke._core.tape import Place

FORMAT, VERSION = "pytest-hydrasmoke recording", 1
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(?![^.])")
_MOST = 100
"""Characters of a file's or folder's name, without its digest and suffix."""
_MOST_FOLDERS = 8
KINDS = ("fixture ", "hook ")
"""Prefix of an owner that is not a test."""


@public
@dataclass(frozen=True, slots=True)
class RecordedTurn:
    """A chat turn before it is written; `pytest_hydra_smoke_record` gets it."""

    owner: str
    """Whose turn it is: a test's node id, or the name of a fixture or a hook."""
    run: int
    """Which run of the test's body, from 1."""
    message: str
    """The message to the agent."""
    text: str
    """The stream as it came, or the body of a refusal; bytes that are not UTF-8 are lone
    surrogates."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that was no stream."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Events:
    """LLM events of a turn, and the seconds after its end at which that count was first seen."""

    count: int
    providers: tuple[str, ...]
    after: float


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as stored in a file; chunks with the milliseconds since the request was sent."""

    run: int
    instance: Place
    spec: Mapping[str, str]
    message: str
    llm_events: Events | None
    end: Ending | None
    chunks: Sequence[tuple[int, bytes]]
    refused: Refusal | None
    said: str | None = None
    """A digest of its words, where nothing was removed from them."""

    @property
    def stream(self) -> bytes:
        """All that was read."""
        return b"".join([chunk for _, chunk in self.chunks])


class FormatError(ValueError):
    """Raised where a file is no recording that this module can read; says why."""


class VersionError(FormatError):
    """Raised where a recording has another version of the format."""


def as_text(owner: str, turns: Sequence[Turn], day: str) -> str:
    """Return a recording as text, one chunk per line, for review."""
    head = {"format": FORMAT, "version": VERSION, "recorded": day}
    bodies = ",\n".join(map(_written, turns))
    return _visible(f'{_json(head)[:-1]},\n"of": {_json(owner)},\n"turns": [\n{bodies}\n]}}\n')


def _written(turn: Turn) -> str:
    events = turn.llm_events
    counted = events and {
        "count": events.count,
        "providers": list(events.providers),
        "after": events.after,
    }
    head = _json({"run": turn.run, "instance": turn.instance, "spec": dict(turn.spec)})
    lines = [
        f"{head[:-1]},",
        f'"message": {_json(turn.message)},',
        f'"llm_events": {_json(counted)},',
    ]
    if turn.refused is not None:
        refused = {
            "status": turn.refused.status,
            "content_type": turn.refused.content_type,
            "body": _encoded(turn.refused.body),
        }
        return "\n".join([*lines, f'"refused": {_json(refused)}}}'])
    if turn.said is not None:
        lines.append(f'"said": {_json(turn.said)},')
    chunks = ",\n".join([f"[{at},{_chunk(chunk)}]" for at, chunk in turn.chunks])
    return "\n".join(
        [*lines, f'"end": {_json(turn.end)},', '"chunks": [', *([chunks] if chunks else []), "]}"]
    )


_json = json.JSONEncoder(ensure_ascii=False).encode
_ODD = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Characters that would break a line, be invisible in a review, or be no valid UTF-8."""


def _visible(text: str) -> str:
    """Escape such characters as in JSON; they occur only inside strings."""
    if text.isascii() and "\x7f" not in text:
        return text
    return _ODD.sub(lambda odd: f"\\u{ord(odd[0]):04x}", text)


def _chunk(data: bytes) -> str:
    # Writing spends most of its time here; for ASCII text this shortcut saves two thirds of it.
    if data.isascii():
        return encode_basestring_ascii(data.decode())
    try:
        return encode_basestring(data.decode())
    except UnicodeDecodeError:
        return _json(_encoded(data))


def _encoded(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def turns_of(text: bytes) -> list[Turn]:
    """Return the turns of a recording; raises `FormatError`."""
    try:
        plain: Any = json.loads(text)
        if plain.get("format") != FORMAT:
            raise FormatError("it is no recording")
        if plain["version"] != VERSION:
            raise VersionError(f"it has version {plain['version']!r} of the format, not {VERSION}")
        return [_turn(turn) for turn in plain["turns"]]
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"it is damaged: {type(error).__name__}: {error}") from None


def _turn(plain: Any) -> Turn:
    events, refused = plain["llm_events"], plain.get("refused")
    return Turn(
        run=plain["run"],
        instance=plain["instance"],
        spec=plain["spec"],
        message=plain["message"],
        llm_events=events and Events(events["count"], tuple(events["providers"]), events["after"]),
        end=plain.get("end"),
        chunks=[(at, _decoded(chunk)) for at, chunk in plain.get("chunks", ())],
        refused=refused
        and Refusal(refused["status"], refused["content_type"], _decoded(refused["body"])),
        said=plain.get("said"),
    )


def _decoded(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])


def overlaid(old: Sequence[Turn], new: Sequence[Turn]) -> list[Turn]:
    """Put new turns in the places of an owner's old ones, of which a run may have seen a part.

    Drop old turns that were not repeated on an instance that had turns; keep further turns with the
    same message, and instances without turns in this run.
    """
    waiting: dict[str, deque[Turn]] = {}
    for turn in new:
        waiting.setdefault(asked(turn), deque()).append(turn)
    used = [turn.instance for turn in new]
    merged: list[Turn] = []
    for turn in old:
        same = waiting.get(asked(turn))
        if same:
            merged.append(same.popleft())
        elif same is not None or turn.instance not in used:
            merged.append(turn)
    left = [turn for turns in waiting.values() for turn in turns]
    return merged + [turn for turn in new if any(turn is one for one in left)]


def asked(turn: Turn) -> str:
    """Return the key by which a turn is looked up."""
    return _json([turn.run, turn.instance, turn.message])


HEAD = 1 << 16
"""The first bytes of a file, which name its owner."""
_OWNER = re.compile(rb'"of":\s*("(?:[^"\\]|\\.)*")')


def owner_in(text: bytes) -> str | None:
    """Return whose recording a file is; None if it is none. The rest may be damaged."""
    if FORMAT.encode() not in text[:HEAD] or (found := _OWNER.search(text[:HEAD])) is None:
        return None
    try:
        return str(json.loads(found[1]))
    except ValueError:
        return None


# Names


def path_of(owner: str) -> PurePosixPath:
    """Return the path of a new recording, with a name that is valid on every disk."""
    kind, _, rest = owner.partition(" ") if owner.startswith(KINDS) else ("", "", owner)
    module, _, rest = rest.partition("::") if "::" in rest else ("", "", rest)
    last = f"{kind} {rest}".lstrip()
    wanted = [*filter(None, module.removesuffix(".py").split("/")), last.replace("::", ".")]
    safe = list(_safe(wanted[-_MOST_FOLDERS:]))
    # A dot may be literal, or separate a class.
    if safe != wanted or "." in last.partition("[")[0]:
        digest = hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()
        safe[-1] += f"-{digest[:8]}"
    return PurePosixPath(*safe[:-1], f"{safe[-1]}.json")


def _safe(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        # Some disks treat two names that differ only in case as one.
        name = re.sub(r"[^a-z0-9_\-.,=+\[\] ]", "_", part.lower())[:_MOST]
        name = re.sub(r"^\.|[. ]$", "_", name)
        yield f"_{name}" if _DEVICES.match(name) else name
