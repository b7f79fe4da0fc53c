"""A ledger of any bytes: it is read as far as it can be, and what can't be is reported."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.ledger_lines import SCHEMA, Entry, Reading, parse

TEXTS = st.text(max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=3,
)
KEYS = st.sampled_from(["run-0", "run-1", "run-2"])
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=2)
SECONDS = st.floats(0, 1e6)

NOW = st.just(SCHEMA)

claims = st.fixed_dictionaries(
    {
        "key": KEYS,
        "state": st.just("claimed"),
        "url": TEXTS,
        "spec": OBJECTS,
        "share": st.none() | TEXTS,
        "fake": st.booleans() | JSON,
        "schema": NOW,
    },
)
facts = st.fixed_dictionaries(
    {
        "key": KEYS,
        "state": st.sampled_from([state.value for state in State if state != State.CLAIMED]),
        "schema": NOW,
    },
    optional={"id": st.none() | TEXTS, "seconds": SECONDS, "prepared": st.booleans()},
)
failures = st.fixed_dictionaries({"share": TEXTS, "spec": OBJECTS, "failure": TEXTS, "schema": NOW})
ends = st.fixed_dictionaries({"ended": st.just(True), "schema": NOW})
# Near to what a ledger has: fields of any kind, under the right names.
strange = st.dictionaries(
    st.sampled_from(["key", "state", "url", "fake", "spec", "share", "failure", "id", "schema"]),
    JSON | NOW,
)


def line(value: object) -> bytes:
    return f"\n{json.dumps(value)}\n".encode()


lines = st.lists(claims | facts | failures | ends, max_size=12).map(
    lambda several: [line(value) for value in several]
)
garbage = st.binary(max_size=20).filter(lambda it: b"\n" not in it) | (JSON | strange).map(
    lambda value: json.dumps(value).encode()
)


def uses(reading: Reading) -> None:
    """Ask everything that its readers ask."""
    for key, entry in reading.entries.items():
        assert entry.key == key
        assert isinstance(entry.state, State)
        assert (entry in reading.open) == entry.open
        assert not (entry.had_row and entry.id is None)
        shared = None if entry.share is None else reading.shared(entry.share, entry.spec)
        assert shared is None or shared.open or shared.fake
    for share, spec, why in reading.failures:
        assert reading.failure(share, spec) is not None
        assert isinstance(why, str)


def is_of_another_schema(text: bytes) -> bool:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return False
    schema = value.get("schema") if isinstance(value, dict) else None
    return isinstance(schema, int) and schema != SCHEMA


@given(text=st.binary(max_size=200) | st.lists(garbage, max_size=8).map(b"\n".join))
@example(text=b"[" * 100_000)
@example(text=b'{"key": ' + b"9" * 10_000 + b"}")
@example(text=b'"failure"')
@example(text=b'{"key": "\\ud800", "state": ["claimed"], "schema": 3}')
@example(text=b'{"key": "k", "state": "created", "seconds": 1e999, "schema": 3}')
@example(text="{}".encode("utf-16"))
def test_any_bytes_are_read_and_every_line_that_is_none_is_reported(text: bytes) -> None:
    reading = parse(text)
    uses(reading)
    written = [number for number, part in enumerate(text.split(b"\n"), 1) if part.strip()]
    reported = [int(problem.split()[1]) for problem in reading.problems]
    assert sorted(set(reported)) == reported
    assert set(reported) <= set(written)
    others = [number for number in written if is_of_another_schema(text.split(b"\n")[number - 1])]
    assert set(others[:1]) <= set(reported), "it is told once for each schema"
    # Each line that is no problem became an entry, a later fact of one, or a failure.
    assert bool(reading.entries or reading.failures or reading.ended) == (
        len({*reported, *others}) < len(written)
    )
    assert reading.size == len(text)


def whole(several: list[bytes]) -> Reading:
    return parse(b"".join(several))


@given(several=lines, data=st.data())
def test_what_a_killed_writer_left_spoils_no_other_line(
    several: list[bytes], data: st.DataObject
) -> None:
    """Cut the line of any one writer anywhere, and let others write on."""
    at = data.draw(st.integers(0, len(several)))
    victim = data.draw(claims | facts | failures | ends)
    half = line(victim)[: data.draw(st.integers(0, len(line(victim)) - 3))]
    reading = parse(b"".join([*several[:at], half, *several[at:]]))
    expected = whole(several)
    uses(reading)
    assert reading.entries == expected.entries
    assert reading.failures == expected.failures
    assert reading.ended == expected.ended
    assert len(reading.problems) == len(expected.problems) + bool(half.strip())


@given(several=lines, dirt=st.lists(st.binary(min_size=1, max_size=20), max_size=5))
def test_foreign_lines_are_reported_and_change_nothing(
    several: list[bytes], dirt: list[bytes]
) -> None:
    foreign = [b"\n\xff" + piece.replace(b"\n", b"") + b"\n" for piece in dirt]
    reading, expected = parse(b"".join([*several, *foreign])), whole(several)
    assert reading.entries == expected.entries
    assert len(reading.problems) == len(expected.problems) + len(foreign)


@given(several=st.lists(claims, max_size=6), more=st.lists(facts, max_size=6))
def test_the_last_fact_of_a_key_is_what_is_known(
    several: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    reading = parse(b"".join(map(line, [*several, *more])))
    known = {claim["key"]: claim for claim in several}
    assert set(reading.entries) == set(known)
    assert len(reading.problems) == sum(fact["key"] not in known for fact in more)
    for key, claim in known.items():
        of_key = [fact for fact in more if fact["key"] == key]
        named = [fact for fact in of_key if fact.get("id") is not None]
        words = ["claimed", *(fact["state"] for fact in of_key)]
        own = [fact["id"] for fact in named if fact["state"] in ("accepted", "created")]
        assert reading.entries[key] == Entry(
            key,
            claim["url"],
            claim["spec"],
            fake=claim["fake"] is True,
            share=claim["share"],
            state=State(words[-1]),
            id=[None, *(fact["id"] for fact in named)][-1],
            ids=[*dict.fromkeys(own)],
            deleted=[fact["id"] for fact in named if fact["state"] == "deleting"],
            was_ready="ready" in words,
            prepared=any(fact.get("prepared") for fact in of_key),
        )
    took = [fact for fact in more if fact["key"] in known]
    for state, longest in (("created", reading.row_lag), ("ready", reading.boot)):
        seconds = [fact.get("seconds", 0.0) for fact in took if fact["state"] == state]
        assert longest == max([0.0, *seconds])
