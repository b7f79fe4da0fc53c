"""What is read of a ledger, whatever happened to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_tools import URL
from owner_tools import SPEC

from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.ledger import append, read
from pytest_hydrasmoke._run.ledger_lines import Reading, parse

REST: dict[str, Any] = {"schema": 3, "spec": {}, "share": None, "fake": False}
"""What a claim says beside its key and its router."""


def claimed(**other: object) -> bytes:
    """Return the claim of a key, with some fields of it others."""
    fields = {"key": "k", "state": "claimed", "url": URL, **REST}
    return json.dumps({**fields, **other}).encode()


def facts(*lines: dict[str, object]) -> Reading:
    """Read the claim of a key, and what follows it."""
    told = [json.dumps({"schema": 3, "key": "k", **line}).encode() for line in lines]
    return parse(b"\n".join((claimed(), *told)))


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"[]",
        b'"text"',
        b"{}",
        b'{"schema": 3}',
        b'{"key": "k", "state": "claimed", "schema": 3}',
        claimed(key=1),
        claimed(state="unheard of"),
        claimed(state=["claimed"]),
        claimed(url=1),
        claimed(spec=1),
        claimed(share=1),
        *(claimed(schema=none) for none in (None, "three", [])),
        b'{"schema": 3, "key": "k", "state": "created", "id": "no claim before it"}',
        b'{"schema": 3, "failure": "no room", "share": "s"}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"1" * 5000,
    ],
)
def test_a_line_that_is_none_of_ours_is_skipped(line: bytes) -> None:
    reading = parse(line)
    assert (reading.entries, reading.written) == ({}, True)
    assert reading.problems == ["line 1 can't be read, and is skipped"]


@pytest.mark.parametrize("schema", [2, 4])
def test_a_ledger_of_another_schema_is_told_as_such_in_one_sentence(schema: int) -> None:
    reading = parse(claimed(schema=schema) + b"\n" + claimed(schema=schema))
    words = f"line 1 is of schema {schema}, and this release reads schema 3 alone"
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


@pytest.mark.parametrize("known", [{"id": "an-id"}, {}], ids=["id", "no id"])
@pytest.mark.parametrize("state", State)
def test_each_state_says_whether_there_was_a_row_and_what_may_be_left(
    state: State, known: dict[str, str]
) -> None:
    row, left = KNOWN_OF[state]
    more = {"url": URL, **REST} if state is State.CLAIMED else {}
    reading = facts({"state": "accepted", **known}, {"state": state, **more, **known})
    entry = reading.entries["k"]
    assert entry.state is state
    assert (entry.had_row, entry.open) == (row and bool(known), left)
    assert (reading.open, reading.is_settled) == ([entry] * left, not left)


@pytest.mark.parametrize("state", State)
def test_what_is_shared_is_found_by_name_and_spec_until_it_has_failed_or_is_to_go(
    state: State,
) -> None:
    share = claimed(spec=SPEC, share="shared")
    told = json.dumps({"schema": 3, "key": "k", "state": state, "id": "an-id"}).encode()
    reading = parse(share if state is State.CLAIMED else share + b"\n" + told)
    found = reading.entries["k"] if state in OF_USE else None
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
        {"state": "accepted", "id": "a"},
        {"state": "created", "id": "a"},
        {"state": "created", "id": "b"},
        {"state": "ready", "id": "stranger"},
        {"state": "deleting", "id": "b"},
    )
    [entry] = reading.open
    assert (entry.id, entry.ids, entry.deleted) == ("b", ["a", "b"], ["b"])


def test_a_ledger_tells_how_long_rows_and_boots_took() -> None:
    reading = facts(
        {"state": "created", "id": "a", "seconds": 2.5},
        {"state": "created", "id": "a", "seconds": 1},
        {"state": "ready", "id": "a", "seconds": 70},
        {"state": "gone", "id": "a", "seconds": 999},
    )
    assert (reading.row_lag, reading.boot) == (2.5, 70)
    assert reading.entries["k"].was_ready


def test_a_key_that_is_claimed_again_begins_afresh() -> None:
    [entry] = parse(b"\n".join((claimed(), claimed(state="unused"), claimed()))).open
    assert (entry.state, entry.ids) == (State.CLAIMED, [])


def test_what_the_bundled_fake_has_provisioned_is_never_open() -> None:
    reading = parse(claimed(fake=True))
    assert (reading.open, reading.is_settled) == ([], True)


def test_an_id_that_is_no_text_leaves_the_fact() -> None:
    reading = facts({"state": "created", "id": 7})
    entry = reading.entries["k"]
    assert (len(reading.problems), entry.open, entry.had_row) == (1, True, False)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (b"", False),
        (b"\n \n", True),
        (b'{"failure": "no room", "share": "s", "spec": {}, "schema": 3}', True),
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
    ["key", "state", "url", "share", "spec", "id", "schema", "seconds", "ended"]
)
WORD = st.sampled_from([*State, "key-1", "key-2", 3, 0.5, True])
LINE = st.dictionaries(FIELD, WORD | st.just({}) | JSON, max_size=9)


@given(st.binary() | st.lists(LINE, max_size=6))
def test_whatever_it_says_reading_never_fails(said: bytes | list[dict[str, Any]]) -> None:
    text = said if isinstance(said, bytes) else "\n".join(map(json.dumps, said)).encode()
    for entry in parse(text).entries.values():
        assert entry.open or not entry.had_row or entry.fake


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
    last_id, state = None, State.CLAIMED
    for state, instance_id in [(State.CLAIMED, None), *told]:
        more = {"url": URL, **REST} if state is State.CLAIMED else {}
        fact = {**more, "key": key, "state": state, "id": instance_id}
        append(folder, fact, make=state is State.CLAIMED)
        last_id = None if state is State.CLAIMED else instance_id or last_id
    reading = read(folder)
    assert (reading.problems, list(reading.entries)) == ([], [key])
    assert (reading.entries[key].state, reading.entries[key].id) == (state, last_id)
