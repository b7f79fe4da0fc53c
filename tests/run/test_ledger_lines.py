"""What is read of a ledger, whatever happened to it; `tests/fuzz` has ledgers of chance."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ledger_tools import URL
from owner_tools import SPEC

from pytest_hydrasmoke._journal.codec import encode
from pytest_hydrasmoke._journal.events import (
    Alive,
    Became,
    Claimed,
    Entry,
    Event,
    Prepared,
    Refuted,
    Status,
)
from pytest_hydrasmoke._journal.known_instance import KnownInstance
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.ledger_lines import LedgerReading, parse

CREATED = Became(State.CREATED, "a")
NO_ROOM = Refuted("chat", "a test", "no room")


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


def test_a_line_that_is_none_of_ours_is_told_and_skipped() -> None:
    wrong = [
        *(b"nonsense", b"[]", b'"text"', b"{}", b'{"schema": 4}', b"\xff\xfe\x00"),
        *(b"[" * 100_000, b"1" * 5000),
        b'{"at": 1.0, "of": "k", "is": "Claimed", "schema": 4}',
        *(claimed(key=1), claimed(key=None), claimed(url=1), claimed(spec=1), claimed(share=1)),
        *(claimed(fake=1), claimed(at="now"), claimed(more=1)),
        *(claimed(schema=none) for none in (None, "three", [])),
        # Facts of no key, and what no ledger has.
        *(line(CREATED), line(Prepared()), line(Status("running")), line(NO_ROOM, why=1)),
    ]
    for it in wrong:
        reading = parse(it)
        assert (reading.instances, reading.size, reading.is_settled) == ({}, len(it), False)
        assert reading.problems == ["line 1 can't be read, and is skipped"], it
    reading = parse(b"\n".join((*wrong, claimed())))
    assert (len(reading.problems), [*reading.instances]) == (len(wrong), ["k"])


def test_a_fact_that_is_none_changes_nothing() -> None:
    fields = ("state", "unheard of"), ("state", ["created"]), ("seconds", "1"), ("of", None)
    for name, wrong in (*fields, ("of", []), ("id", 7)):
        reading = parse(claimed() + b"\n" + line(CREATED, **{name: wrong}))
        assert reading.problems == ["line 2 can't be read, and is skipped"]
        assert reading.instances["k"].state is State.CLAIMED


@pytest.mark.parametrize("schema", [2, 5])
def test_a_ledger_of_another_schema_is_told_as_such_in_one_sentence(schema: int) -> None:
    reading = parse(claimed(schema=schema) + b"\n" + claimed(schema=schema))
    words = f"line 1 is of schema {schema}, and this release reads schema 4 alone"
    assert (reading.problems, reading.is_settled) == ([words], False)


KNOWN_OF = {
    # whether there was a row, whether something may be left, and whether others may use it
    State.CLAIMED: (False, True, True),
    State.UNUSED: (False, False, False),
    State.REQUESTED: (False, True, True),
    State.ACCEPTED: (False, True, True),
    State.CREATED: (True, True, True),
    State.READY: (True, True, True),
    State.FAILED: (True, True, False),
    State.REFUSED: (False, True, False),
    State.ABSENT: (False, False, False),
    State.DELETING: (True, True, False),
    State.GONE: (True, True, False),
    State.DELETED: (False, False, False),
    State.KEPT: (True, True, False),
}


@pytest.mark.parametrize("state", State)
def test_each_state_says_whether_there_was_a_row_and_what_may_be_left_and_used(
    state: State,
) -> None:
    row, left, of_use = KNOWN_OF[state]
    for name in ("an-id", None):
        again = Claimed({}, url=URL) if state is State.CLAIMED else Became(state, name)
        reading = facts(Became(State.CREATED, name), again)
        known = reading.instances["k"]
        assert known.state is state
        assert (known.had_row, known.open) == (row and name is not None, left)
        assert (reading.open, reading.is_settled) == ([known] * left, not left)
    share, told = claimed(spec=SPEC, share="shared"), line(Became(state, "an-id"))
    reading = parse(share if state is State.CLAIMED else share + b"\n" + told)
    assert reading.shared("shared", SPEC) == (reading.instances["k"] if of_use else None)
    assert reading.shared("another", SPEC) is None
    assert reading.shared("shared", {**SPEC, "tier_id": "another"}) is None
    # A later one takes the place of what is gone.
    later = parse(b"\n".join((share, told, share.replace(b'"k"', b'"k-2"'))))
    taken = later.shared("shared", SPEC)
    assert taken is not None
    assert taken.key == ("k" if of_use else "k-2")


BORN = Became(State.CREATED, "b", 1.0)


def test_a_ledger_tells_what_a_key_has_named_and_how_long_rows_and_boots_took() -> None:
    reading = facts(
        Became(State.ACCEPTED, "a", 99.0),
        Became(State.CREATED, "a", 2.5),
        Became(State.CREATED, "b", 1.0),
        # Only an answer about the key makes an instance the key's own.
        Became(State.READY, "stranger", 70.0),
        Became(State.DELETING, "b", 999.0),
    )
    [known] = reading.open
    assert (known.id, known.ids, known.accepted) == ("b", ["a", "b"], ["b"])
    assert (known.was_ready, reading.row_lag, reading.boot) == (True, 2.5, 99)
    # Since its key has named its last one, as whoever has requested it tells.
    for more, lasted in (
        ((), 0.0),
        ((Became(State.READY, "b", 20.0),), 19.0),
        ((Became(State.READY, "b", 20.0), Became(State.CREATED, None, 30.0)), 29.0),
        ((Became(State.READY, "b", 20.0), Became(State.CREATED, "c", 30.0)), 0.0),
        ((Became(State.CREATED, "c"), Became(State.READY, "c", 20.0)), 0.0),
        ((Became(State.READY, "b", 20.0), Became(State.GONE, "b")), 19.0),
    ):
        [known] = facts(Became(State.ACCEPTED, "b", 0.5), BORN, *more).open
        assert known.lasted == lasted
    # What was accepted before it is seen alive did nothing.
    [known] = facts(Became(State.CREATED, "a"), Became(State.DELETING, "a"), Alive()).open
    assert (known.state, known.accepted, known.in_vain) == (State.DELETING, [], True)
    # So does the key that is claimed anew.
    assert facts(Became(State.CREATED, "a"), Alive(), Claimed({}, url=URL)).open[0].in_vain


def test_a_key_that_is_claimed_again_begins_afresh() -> None:
    before = (Became(state, "a") for state in (State.CREATED, State.READY, State.DELETING))
    [known] = facts(*before, Claimed({}, url=URL)).open
    # But it still owes what it has named.
    assert known == KnownInstance(key="k", url=URL, wanted={}, ids=["a"], accepted=["a"])


def test_what_the_bundled_fake_has_provisioned_is_never_open() -> None:
    reading = parse(claimed(fake=True))
    assert (reading.open, reading.is_settled) == ([], True)


def test_a_ledger_has_the_size_of_its_text_whatever_that_is() -> None:
    for text in (b"", b"\n \n", line(NO_ROOM)):
        assert parse(text).size == len(text)
