"""The format of a recording, as `docs/reference/recordings.md` defines it; pure functions.

The fake has a reader of its own, which shares nothing with this module.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from json.encoder import encode_basestring, encode_basestring_ascii
from pathlib import PurePosixPath
from typing import Any

from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._core.turn_end import Ending

FORMAT, VERSION = "pytest-hydrasmoke recording", 1
_UNSAFE = re.compile(r"[^a-z0-9_\-.,=+\[\] ]")
_BAD_END = re.compile(r"^\.|[. ]$")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(?![^.])")
_MOST = 100
"""Characters of a file's or folder's name, without its digest and suffix."""
_MOST_FOLDERS = 8
Place = str | int | Mapping[str, str | int] | None
"""Which instance of its owner a turn was on, as the recording names it."""
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
    """An answer that was not a stream."""

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
class Recorded:
    """A turn as it is stored in a file."""

    run: int
    instance: Place
    spec: Mapping[str, str]
    message: str
    llm_events: Events | None = None
    end: Ending | None = None
    chunks: Sequence[tuple[float, bytes]] = ()
    """What was read, and when, in milliseconds since the request; written as whole numbers."""
    refused: Refusal | None = None
    said: str | None = None
    """A digest of its words, where nothing was removed from them."""

    @property
    def stream(self) -> bytes:
        """All that was read."""
        return b"".join(chunk for _, chunk in self.chunks)


class NotWrittenError(Exception):
    """Raised where something can't be written, or replaced; says why."""


def as_text(owner: str, turns: Sequence[Recorded], day: str) -> str:
    """Return a recording as text, one chunk per line, for review."""
    head = {"format": FORMAT, "version": VERSION, "recorded": day}
    parts = [f'{_json(head)[:-1]},\n"of": {_json(owner)},\n"turns": [\n']
    for turn in turns:
        parts += [",\n"] if len(parts) > 1 else []
        parts += _written(turn)
    # A stream is long: copy it only once.
    return "".join([*parts, "\n]}\n"])


def _written(turn: Recorded) -> Iterator[str]:
    counted = turn.llm_events and asdict(turn.llm_events)
    head = _json({"run": turn.run, "instance": turn.instance, "spec": dict(turn.spec)})
    yield f'{head[:-1]},\n"message": {_json(turn.message)},\n"llm_events": {_json(counted)},\n'
    if turn.refused is not None:
        refused = {**asdict(turn.refused), "body": _encoded(turn.refused.body)}
        yield f'"refused": {_json(refused)}}}'
        return
    if turn.said is not None:
        yield f'"said": {_json(turn.said)},\n'
    yield f'"end": {_json(turn.end)},\n"chunks": [\n'
    yield _lines(turn.chunks)
    yield "\n]}" if turn.chunks else "]}"


def _lines(chunks: Sequence[tuple[float, bytes]]) -> str:
    # Recording spends most of its CPU time here, so nothing in here runs once per chunk except C
    # functions, unless a chunk is not ASCII.
    times, parts = zip(*chunks, strict=True) if chunks else ((), ())
    texts: Iterable[str] = map(_chunk, parts)
    if all(map(bytes.isascii, parts)):
        # It escapes a DEL, too, the only one of `_ODD` in ASCII.
        texts = map(encode_basestring_ascii, map(bytes.decode, parts))
    lines = ",\n".join(["[%d,%s]"] * len(chunks))
    return lines % tuple(itertools.chain.from_iterable(zip(times, texts, strict=True)))


def _chunk(data: bytes) -> str:
    try:
        return _visible(encode_basestring(data.decode()))
    except UnicodeDecodeError:
        return _json(_encoded(data))


_encode = json.JSONEncoder(ensure_ascii=False).encode
_ODD = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Characters that break a line, are invisible in a review, or are not valid in UTF-8."""


def _json(value: object) -> str:
    return _visible(_encode(value))


def _visible(text: str) -> str:
    """Escape such characters as in JSON; they occur only inside strings."""
    return _ODD.sub(lambda odd: f"\\u{ord(odd[0]):04x}", text)


def _encoded(data: bytes) -> str | dict[str, str]:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def turns_of(text: bytes) -> list[Recorded]:
    """Return the turns of a recording, none of a damaged one; raises `NotWrittenError`."""
    try:
        plain: Any = json.loads(text)
        if plain["format"] == FORMAT and plain["version"] != VERSION:
            raise NotWrittenError(
                f"it has version {plain['version']!r} of the format, not {VERSION}: update "
                "pytest-hydrasmoke, or move it away"
            )
        return [_turn(turn) for turn in plain["turns"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def _turn(plain: Any) -> Recorded:
    events, refused = plain["llm_events"], plain.get("refused")
    return Recorded(
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


def overlaid(old: Sequence[Recorded], new: Sequence[Recorded], *, whole: bool) -> list[Recorded]:
    """Replace an owner's old turns by new ones; a run may have repeated only a part of them.

    Drop old turns that a `whole` run did not repeat on an instance that had turns; keep further
    turns with the same message, and instances without turns in this run.
    """
    waiting = by_key(new, said_on)
    used = set(map(_instance, new))
    merged: list[Recorded] = []
    for turn in old:
        same = waiting.get(said_on(turn))
        if same:
            merged.append(same.popleft())
        elif same is not None or not whole or _instance(turn) not in used:
            merged.append(turn)
    left = [turn for turns in waiting.values() for turn in turns]
    return merged + [turn for turn in new if any(turn is one for one in left)]


def by_key(turns: Iterable[Recorded], key: Callable[[Recorded], str]) -> dict[str, deque[Recorded]]:
    """Return the turns with each key, in their order."""
    found: dict[str, deque[Recorded]] = {}
    for turn in turns:
        found.setdefault(key(turn), deque()).append(turn)
    return found


def asked(turn: Recorded) -> str:
    """Return the key by which a turn is looked up, but for the spec of a shared instance."""
    return _json([turn.run, turn.instance, turn.message])


def said_on(turn: Recorded) -> str:
    """Return the key of a turn among those of an owner that has instances of several specs."""
    return _json([asked(turn), _instance(turn)])


def _instance(turn: Recorded) -> str:
    # Others are numbered, so that one with another spec takes the place of the old one.
    spec = sorted(turn.spec.items()) if turn.instance in ("shared", None) else None
    return _json([turn.instance, spec])


HEAD = 1 << 16
"""The first bytes of a file, which name its owner."""
_OWNER = re.compile(rb'"of":\s*("(?:[^"\\]|\\.)*")')


def owner_in(text: bytes) -> str | None:
    """Return the owner of a recording; None for any other file. The rest may be damaged."""
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
    # A dot may be literal, or separate a class; in a parameter, it is literal.
    name, _, param = last.partition("[")
    if safe != wanted or "." in name or "::" in param:
        digest = hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()
        safe[-1] += f"-{digest[:8]}"
    return PurePosixPath(*safe[:-1], f"{safe[-1]}.json")


def _safe(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        # Some disks treat two names that differ only in case as one.
        name = _UNSAFE.sub("_", part.lower())[:_MOST]
        name = _BAD_END.sub("_", name)
        yield f"_{name}" if _DEVICES.match(name) else name
