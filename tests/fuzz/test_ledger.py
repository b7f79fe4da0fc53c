"""A ledger of any bytes: it is read as far as it can be, and what can't be is reported."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from sizes import examples

from pytest_hydrasmoke._journal.codec import SCHEMA
from pytest_hydrasmoke._journal.known_instance import KnownInstance
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.ledger_lines import LedgerReading, parse

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


def entries(name: str, of: st.SearchStrategy[Any], **fields: Any) -> Any:
    """Make lines of an event."""
    head = {"at": SECONDS, "of": of, "is": st.just(name), "schema": NOW}
    return st.fixed_dictionaries({**head, **fields})


claims = entries(
    *("Claimed", KEYS), url=TEXTS, spec=OBJECTS, share=st.none() | TEXTS, fake=st.booleans()
)
LATER = st.sampled_from([state.value for state in State if state != State.CLAIMED])
facts = entries("Became", KEYS, state=LATER, id=st.none() | TEXTS, seconds=SECONDS)
facts |= entries("Alive", KEYS) | entries("Prepared", KEYS)
entry = claims | facts | entries("Refuted", st.none(), what=TEXTS, test=TEXTS, why=TEXTS)
entry |= entries("CleanedUp", st.none())
# Near to what a ledger has: fields of any kind, under the right names.
strange = st.dictionaries(
    st.sampled_from(["at", "of", "is", "state", "url", "fake", "spec", "share", "id", "schema"]),
    JSON | NOW | st.sampled_from(["Claimed", "Became", "Refuted"]),
)


def line(value: object) -> bytes:
    return f"\n{json.dumps(value)}\n".encode()


garbage = st.binary(max_size=20).filter(lambda it: b"\n" not in it) | (JSON | strange).map(
    lambda value: json.dumps(value).encode()
)


def uses(reading: LedgerReading) -> None:
    """Ask everything that its readers ask."""
    for key, known in reading.instances.items():
        assert known.key == key
        assert isinstance(known.state, State)
        assert (known in reading.open) == known.open
        assert not (known.had_row and known.id is None)
        shared = None if known.share is None else reading.shared(known.share, known.wanted or {})
        assert shared is None or shared.open or shared.fake
    for what, event in reading.refuted.items():
        assert event.what == what
        assert isinstance(event.why, str)


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
@example(text=b'{"at": 1, "of": "\\ud800", "is": ["Claimed"], "schema": 4}')
@example(
    text=b'{"at": 1, "of": "k", "is": "Became", "state": "gone", "seconds": 1e999, "schema": 4}'
)
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
    # Each line that is no problem became an instance, a later fact of one, or a failure.
    assert bool(reading.instances or reading.refuted or reading.ended) == (
        len({*reported, *others}) < len(written)
    )
    assert reading.size == len(text)


@examples(25, 2_000)
@given(
    several=st.lists(entry.map(line), max_size=12),
    victim=entry.map(line),
    dirt=st.lists(st.binary(min_size=1, max_size=20), max_size=5),
    data=st.data(),
)
def test_what_a_killed_writer_or_anybody_else_left_spoils_no_other_line(
    several: list[bytes], victim: bytes, dirt: list[bytes], data: st.DataObject
) -> None:
    """Cut the line of any one writer anywhere, and let others write on."""
    at = data.draw(st.integers(0, len(several)))
    half = victim[: data.draw(st.integers(0, len(victim) - 3))]
    foreign = [b"\n\xff" + piece.replace(b"\n", b"") + b"\n" for piece in dirt]
    reading = parse(b"".join([*several[:at], half, *several[at:], *foreign]))
    expected = parse(b"".join(several))
    uses(reading)
    assert reading.instances == expected.instances
    assert reading.refuted == expected.refuted
    assert reading.ended == expected.ended
    spoiled = bool(half.strip()) + len(foreign)
    assert len(reading.problems) == len(expected.problems) + spoiled


def was_ready_of(became: list[dict[str, Any]]) -> bool:
    """Return whether the instance that its key has last named was ready."""
    ready, named = False, None
    for fact in became:
        other = None not in (named, fact["id"]) and fact["id"] != named
        ready &= not (other and fact["state"] == "created")
        ready |= fact["state"] == "ready"
        named = named if fact["id"] is None else fact["id"]
    return ready


@examples(25, 2_000)
@given(several=st.lists(claims, max_size=6), more=st.lists(facts, max_size=6))
def test_the_last_fact_of_a_key_is_what_is_known(
    several: list[dict[str, Any]], more: list[dict[str, Any]]
) -> None:
    reading = parse(b"".join(map(line, [*several, *more])))
    known = {claim["of"]: claim for claim in several}
    assert set(reading.instances) == set(known)
    assert len(reading.problems) == sum(fact["of"] not in known for fact in more)
    for key, claim in known.items():
        of_key = [fact for fact in more if fact["of"] == key]
        became = [fact for fact in of_key if "state" in fact]
        names = [fact["id"] for fact in became if fact["id"] is not None]
        words = ["claimed", *(fact["state"] for fact in became)]
        own = [fact["id"] for fact in became if fact["state"] == "created"]
        told = [fact.get("state", fact["is"]) for fact in of_key]
        back = max(at for at, it in enumerate(["Alive", *told]) if it in ("Alive", "created"))
        gone = [fact["id"] for fact in of_key[back:] if fact.get("state") == "deleting"]
        assert reading.instances[key] == KnownInstance(
            key=key,
            url=claim["url"],
            wanted=claim["spec"],
            fake=claim["fake"],
            share=claim["share"],
            state=State(words[-1]),
            id=[None, *names][-1],
            ids=[*dict.fromkeys(name for name in own if name is not None)],
            accepted=[name for name in gone if name is not None],
            in_vain="Alive" in told,
            was_ready=was_ready_of(became),
            prepared="Prepared" in told,
        )
    took = [fact for fact in more if fact["of"] in known and "state" in fact]
    rows = [fact["seconds"] for fact in took if fact["state"] == "created"]
    assert reading.row_lag == max([0.0, *rows])
    # A boot lasts until it is over, as far as anybody tells.
    of_keys = [[fact for fact in took if fact["of"] == key] for key in known]
    boots = [
        fact["seconds"]
        for one in of_keys
        for at, fact in enumerate(one)
        if not was_ready_of(one[:at])
    ]
    assert reading.boot == max([0.0, *boots])
