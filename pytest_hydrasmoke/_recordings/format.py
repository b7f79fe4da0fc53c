"""The format of a recording, as `docs/reference/recordings.md` defines it; pure functions.

The fake has a reader of its own, which shares nothing with this module.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from json.encoder import encode_basestring, encode_basestring_ascii
from operator import itemgetter
from typing import Any

from pytest_hydrasmoke._base.public import public
from pytest_hydrasmoke._core.turn_end import Ending

FORMAT, VERSION = "pytest-hydrasmoke recording", 1
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
class RecordedEvents:
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
    llm_events: RecordedEvents | None = None
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
    parts = [f'{in_json(head)[:-1]},\n"of": {in_json(owner)},\n"turns": [\n']
    for turn in turns:
        parts += [",\n"] if len(parts) > 1 else []
        parts += _written(turn)
    # A stream is long: copy it only once.
    return "".join([*parts, "\n]}\n"])


def _written(turn: Recorded) -> Iterator[str]:
    counted = turn.llm_events and asdict(turn.llm_events)
    head = in_json({"run": turn.run, "instance": turn.instance, "spec": dict(turn.spec)})
    yield f'{head[:-1]},\n"message": {in_json(turn.message)},\n"llm_events": {in_json(counted)},\n'
    if turn.refused is not None:
        refused = {**asdict(turn.refused), "body": _encoded(turn.refused.body)}
        yield f'"refused": {in_json(refused)}}}'
        return
    if turn.said is not None:
        yield f'"said": {in_json(turn.said)},\n'
    yield f'"end": {in_json(turn.end)},\n"chunks": [\n'
    yield _lines(turn.chunks)
    yield "\n]}" if turn.chunks else "]}"


def _lines(chunks: Sequence[tuple[float, bytes]]) -> str:
    # Recording spends most of its CPU time here, so nothing in here runs once per chunk except C
    # functions, unless a chunk is not ASCII.
    parts = [*map(itemgetter(1), chunks)]
    texts: Iterable[str] = map(_chunk, parts)
    if all(map(bytes.isascii, parts)):
        # It escapes a DEL, too, the only one of `_ODD` in ASCII.
        texts = map(encode_basestring_ascii, map(bytes.decode, parts))
    return ",\n".join(map("[{},{}]".format, map(int, map(itemgetter(0), chunks)), texts))


def _chunk(data: bytes) -> str:
    try:
        return _visible(encode_basestring(data.decode()))
    except UnicodeDecodeError:
        return in_json(_encoded(data))


_encode = json.JSONEncoder(ensure_ascii=False).encode
_ODD = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
"""Characters that break a line, are invisible in a review, or are not valid in UTF-8."""


def in_json(value: object) -> str:
    """Return a value as JSON, on one line and in characters that a review shows."""
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
        llm_events=events
        and RecordedEvents(events["count"], tuple(events["providers"]), events["after"]),
        end=plain.get("end"),
        chunks=[(at, _decoded(chunk)) for at, chunk in plain.get("chunks", ())],
        refused=refused
        and Refusal(refused["status"], refused["content_type"], _decoded(refused["body"])),
        said=plain.get("said"),
    )


def _decoded(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])
