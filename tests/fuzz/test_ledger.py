"""A ledger of any bytes: it is read as far as it can be, and what can't be is reported."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._run.ledger_lines import SCHEMA, Entry, Reading, parse

TEXTS = st.text(max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=3,
)
KEYS = st.sampled_from(["run-0", "run-1", "run-2"])
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=2)

intents = st.fixed_dictionaries(
    {
        "key": KEYS,
        "fact": st.just("intent"),
        "url": TEXTS,
        "settings": OBJECTS | st.fixed_dictionaries({"fake": JSON}),
        "spec": OBJECTS,
        "at": st.datetimes(timezones=st.timezones()).map(datetime.isoformat),
    },
    optional={"share": st.none() | TEXTS},
)
facts = st.fixed_dictionaries(
    {
        "key": KEYS,
        "fact": st.sampled_from([fact.value for fact in State if fact != State.CLAIMED]),
        "schema": st.just(SCHEMA),
    },
    optional={"id": st.none() | TEXTS},
)
failures = st.fixed_dictionaries({"share": TEXTS, "spec": OBJECTS, "failure": TEXTS})
# Near to what a ledger has: fields of any kind, under the right names.
strange = st.dictionaries(
    st.sampled_from(["key", "fact", "url", "settings", "spec", "share", "failure", "id", "at"]),
    JSON,
)


def line(value: object) -> bytes:
    return f"\n{json.dumps(value)}\n".encode()


lines = st.lists(intents | facts | failures, max_size=12).map(
    lambda several: [line(value) for value in several]
)
garbage = st.binary(max_size=20).filter(lambda it: b"\n" not in it) | (JSON | strange).map(
    lambda value: json.dumps(value).encode()
)


def uses(reading: Reading) -> None:
    """Ask everything that its readers ask."""
    for key, entry in reading.entries.items():
        assert entry.key == key
        assert isinstance(entry.fact, State)
        assert (entry in reading.open) == entry.open
        assert not (entry.has_row and entry.id is None)
        assert entry.share is None or reading.shared(entry.share, entry.spec) is None or entry.open
    for share, spec, why in reading.failures:
        assert reading.failure(share, spec) is not None
        assert isinstance(why, str)


@given(text=st.binary(max_size=200) | st.lists(garbage, max_size=8).map(b"\n".join))
@example(text=b"[" * 100_000)
@example(text=b'{"key": ' + b"9" * 10_000 + b"}")
@example(text=b'"failure"')
@example(text=b'{"key": "\\ud800", "fact": ["intent"]}')
@example(text="{}".encode("utf-16"))
def test_any_bytes_are_read_and_every_line_that_is_none_is_reported(text: bytes) -> None:
    reading = parse(text)
    uses(reading)
    written = [number for number, part in enumerate(text.split(b"\n"), 1) if part.strip()]
    reported = [int(problem.split()[1]) for problem in reading.problems]
    assert sorted(set(reported)) == reported
    assert set(reported) <= set(written)
    # Each line that is no problem became an entry, a later fact of one, or a failure.
    assert bool(reading.entries or reading.failures) == (len(reported) < len(written))


def whole(several: list[bytes]) -> Reading:
    return parse(b"".join(several))


@given(several=lines, data=st.data())
def test_what_a_killed_writer_left_spoils_no_other_line(
    several: list[bytes], data: st.DataObject
) -> None:
    """Cut the line of any one writer anywhere, and let others write on."""
    at = data.draw(st.integers(0, len(several)))
    victim = data.draw(intents | facts | failures)
    half = line(victim)[: data.draw(st.integers(0, len(line(victim)) - 3))]
    reading = parse(b"".join([*several[:at], half, *several[at:]]))
    expected = whole(several)
    uses(reading)
    assert reading.entries == expected.entries
    assert reading.failures == expected.failures
    assert len(reading.problems) == len(expected.problems) + bool(half.strip())


@given(several=lines, dirt=st.lists(st.binary(min_size=1, max_size=20), max_size=5))
def test_foreign_lines_are_reported_and_change_nothing(
    several: list[bytes], dirt: list[bytes]
) -> None:
    foreign = [b"\n\xff" + piece.replace(b"\n", b"") + b"\n" for piece in dirt]
    reading, expected = parse(b"".join([*several, *foreign])), whole(several)
    assert reading.entries == expected.entries
    assert len(reading.problems) == len(expected.problems) + len(foreign)


@given(several=st.lists(intents, max_size=6), more=st.lists(facts, max_size=6))
def test_the_last_fact_of_a_key_is_what_is_known(
    several: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    reading = parse(b"".join(map(line, [*several, *more])))
    known = {intent["key"]: intent for intent in several}
    assert set(reading.entries) == set(known)
    assert len(reading.problems) == sum(fact["key"] not in known for fact in more)
    for key, intent in known.items():
        of_key = [fact for fact in more if fact["key"] == key]
        ids = [fact["id"] for fact in of_key if fact.get("id") is not None]
        words = ["intent", *(fact["fact"] for fact in of_key)]
        assert reading.entries[key] == Entry(
            key,
            intent["url"],
            intent["spec"],
            datetime.fromisoformat(intent["at"]),
            fake=intent["settings"].get("fake") is True,
            share=intent.get("share"),
            fact=State(words[-1]),
            id=[None, *ids][-1],
            was_ready="ready" in words,
        )
