"""What is read of a ledger, whatever happened to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_tools import URL
from owner_tools import SPEC

from pytest_hydrasmoke._journal.codec import encode
from pytest_hydrasmoke._journal.events import (
    Became,
    Claimed,
    Entry,
    Event,
    Prepared,
    Refuted,
    Status,
)
from pytest_hydrasmoke._journal.instance import Instance
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.ledger import append, read
from pytest_hydrasmoke._run.ledger_lines import LedgerReading, parse

CREATED, READY = Became(State.CREATED, "a"), Became(State.READY, "a")


def line(event: Event, key: object = "k", **other: object) -> bytes:
    """Return the line of an event, with some fields of it others."""
    text = encode(Entry(0.0, None, event), str, replies=True)
    return json.dumps({**json.loads(text), "of": key, **other}).encode()


def claimed(spec: Any = None, share: Any = None, **other: object) -> bytes:
    """Return the claim of a key."""
    return line(Claimed({} if spec is None else spec, url=URL, share=share), **other)


def facts(*events: Event) -> LedgerReading:
    """Read the claim of a key, and what follows it."""
    return parse(b"\n".join((claimed(), *map(line, events))))


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b'"text"',
        b"{}",
        b'{"schema": 4}',
        b'{"at": 1.0, "of": "k", "is": "Claimed", "schema": 4}',
        claimed(key=1),
        claimed(key=None),
        claimed(url=1),
        claimed(spec=1),
        claimed(share=1),
        claimed(fake=1),
        claimed(at="now"),
        claimed(more=1),
        *(claimed(schema=none) for none in (None, "three", [])),
        line(CREATED),
        line(Prepared()),
        line(Status("running")),
        line(Refuted("chat", "a test", "no room"), why=1),
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"1" * 5000,
    ],
)
def test_a_line_that_is_none_of_ours_is_skipped(line: bytes) -> None:
    reading = parse(line)
    assert (reading.instances, reading.written) == ({}, True)
    assert reading.problems == ["line 1 can't be read, and is skipped"]


@pytest.mark.parametrize(
    "wrong",
    [{"state": "unheard of"}, {"state": ["created"]}, {"seconds": "1"}, {"of": None}, {"of": []}],
)
def test_a_fact_that_is_none_changes_nothing(wrong: dict[str, object]) -> None:
    reading = parse(claimed() + b"\n" + line(CREATED, **wrong))
    assert reading.problems == ["line 2 can't be read, and is skipped"]
    assert reading.instances["k"].state is State.CLAIMED


@pytest.mark.parametrize("schema", [2, 5])
def test_a_ledger_of_another_schema_is_told_as_such_in_one_sentence(schema: int) -> None:
    reading = parse(claimed(schema=schema) + b"\n" + claimed(schema=schema))
    words = f"line 1 is of schema {schema}, and this release reads schema 4 alone"
    assert (reading.problems, reading.is_settled) == ([words], False)


KNOWN_OF = {
    # whether there was a row, and whether something may be left
    State.CLAIMED: (False, True),
    State.UNUSED: (False, False),
    State.REQUESTED: (False, True),
    State.ACCEPTED: (False, True),
    State.CREATED: (True, True),
    State.READY: (True, True),
    State.FAILED: (True, True),
    State.REFUSED: (False, True),
    State.ABSENT: (False, False),
    State.DELETING: (True, True),
    State.GONE: (True, True),
    State.DELETED: (False, False),
    State.KEPT: (True, True),
}
OF_USE = {State.CLAIMED, State.REQUESTED, State.ACCEPTED, State.CREATED, State.READY}


@pytest.mark.parametrize("name", ["an-id", None])
@pytest.mark.parametrize("state", State)
def test_each_state_says_whether_there_was_a_row_and_what_may_be_left(
    state: State, name: str | None
) -> None:
    row, left = KNOWN_OF[state]
    again = Claimed({}, url=URL) if state is State.CLAIMED else Became(state, name)
    reading = facts(Became(State.ACCEPTED, name), again)
    known = reading.instances["k"]
    assert known.state is state
    assert (known.had_row, known.open) == (row and name is not None, left)
    assert (reading.open, reading.is_settled) == ([known] * left, not left)


@pytest.mark.parametrize("state", State)
def test_what_is_shared_is_found_by_name_and_spec_until_it_has_failed_or_is_to_go(
    state: State,
) -> None:
    share = claimed(spec=SPEC, share="shared")
    told = line(Became(state, "an-id"))
    reading = parse(share if state is State.CLAIMED else share + b"\n" + told)
    found = reading.instances["k"] if state in OF_USE else None
    assert reading.shared("shared", SPEC) == found
    assert reading.shared("another", SPEC) is None
    assert reading.shared("shared", {**SPEC, "tier_id": "another"}) is None
    # A later one takes the place of what is gone.
    later = parse(share + b"\n" + told + b"\n" + share.replace(b'"k"', b'"k-2"'))
    taken = later.shared("shared", SPEC)
    assert taken is not None
    assert taken.key == ("k" if found else "k-2")


def test_only_an_answer_about_the_key_makes_an_instance_the_keys_own() -> None:
    reading = facts(
        Became(State.ACCEPTED, "a"),
        Became(State.CREATED, "a"),
        Became(State.CREATED, "b"),
        Became(State.READY, "stranger"),
        Became(State.DELETING, "b"),
    )
    [known] = reading.open
    assert (known.id, known.ids, known.accepted) == ("b", ["a", "b"], ["b"])


def test_a_ledger_tells_how_long_rows_and_boots_took() -> None:
    reading = facts(
        Became(State.CREATED, "a", 2.5),
        Became(State.CREATED, "a", 1.0),
        Became(State.READY, "a", 70.0),
        Became(State.GONE, "a", 999.0),
    )
    assert (reading.row_lag, reading.boot) == (2.5, 70)
    assert reading.instances["k"].was_ready


def test_a_key_that_is_claimed_again_begins_afresh() -> None:
    [known] = facts(CREATED, READY, Became(State.DELETING, "a"), Claimed({}, url=URL)).open
    # But it still owes what it has named.
    assert known == Instance(key="k", url=URL, wanted={}, ids=["a"], accepted=["a"])


def test_what_the_bundled_fake_has_provisioned_is_never_open() -> None:
    reading = parse(claimed(fake=True))
    assert (reading.open, reading.is_settled) == ([], True)


def test_an_id_that_is_no_text_leaves_the_fact() -> None:
    reading = parse(claimed() + b"\n" + line(CREATED, id=7))
    known = reading.instances["k"]
    assert (len(reading.problems), known.open, known.had_row) == (1, True, False)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (b"", False),
        (b"\n \n", True),
        (line(Refuted("chat", "a test", "no room")), True),
    ],
)
def test_a_ledger_with_anything_in_it_is_written(text: bytes, written: bool) -> None:
    assert parse(text).written is written


# Chance


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
FIELD = st.sampled_from(
    ["at", "of", "is", "state", "url", "share", "spec", "id", "schema", "seconds", "fake"]
)
WORD = st.sampled_from([*State, "Claimed", "Became", "CleanedUp", "key-1", "key-2", 4, 0.5, True])
LINE = st.dictionaries(FIELD, WORD | st.just({}) | JSON, max_size=9)


@given(st.binary() | st.lists(LINE, max_size=6))
def test_whatever_it_says_reading_never_fails(said: bytes | list[dict[str, Any]]) -> None:
    text = said if isinstance(said, bytes) else "\n".join(map(json.dumps, said)).encode()
    for known in parse(text).instances.values():
        assert known.open or not known.had_row or known.fake


@given(
    told=st.lists(
        st.tuples(st.sampled_from(list(State)), st.none() | st.text(min_size=1)), max_size=5
    ),
    key=st.text(),
)
def test_what_is_noted_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[State, str | None]], key: str
) -> None:
    folder = tmp_path_factory.mktemp("run")
    events = [Claimed({}, url=URL), *(Became(state, name) for state, name in told)]
    expected = LedgerReading()
    for at, event in enumerate(events):
        append(folder, Entry(at, key, event), make=at == 0)
        expected.apply(Entry(at, key, event))
    reading = read(folder)
    assert (reading.problems, reading.instances) == ([], expected.instances)
    names = [None, *(name for _, name in told if name is not None)]
    assert reading.instances[key].id == names[-1]
