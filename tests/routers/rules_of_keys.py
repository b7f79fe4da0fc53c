"""Rules of provisions, and of what keys stand for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import HTTPException
from rules import Rule, fault
from twin import Row, Twin


def first_alive(it: Twin, key: str) -> Row:
    """Return every key the same instance."""
    alive = [row for row in it.rows if not row.deleted]
    row = alive[0] if alive else it.make(key)
    it.__dict__.setdefault("keys", {})[key] = row
    return row


def by_any_key(it: Twin, key: str) -> Row | None:
    row: Row | None = it.__dict__.get("keys", {}).get(key)
    return row or Twin.named(it, key)


def alike(same: Callable[[str, str], bool]) -> Rule:
    """Find an instance by any key that is like its own; its own comes first."""
    return lambda it, key: (
        Twin.named(it, key) or next((row for row in it.rows if same(row.key, key)), None)
    )


def delete_all(it: Twin, row: Row) -> None:
    for each in it.rows:
        each.deleted = True


def no_provision(code: int, detail: Any = "No") -> Rule:
    """Refuse every provision."""

    def provision(it: Twin, key: str) -> Row:
        raise HTTPException(code, detail)

    return provision


def not_named(*loc: str) -> Rule:
    """Refuse every provision for a field that need not be given."""
    return no_provision(422, fault(*loc).detail)


def keyed_by(*fields: str) -> Rule:
    """Make an instance for each body with these fields, whatever its key."""

    def provision(it: Twin, key: str) -> Row:
        known = it.__dict__.setdefault("asked", {})
        asked = (key, *(it.body[field] for field in fields))
        if asked not in known:
            known[asked] = it.make(key)
        row: Row = known[asked]
        return row

    return provision


def newest_of_key(it: Twin, key: str) -> Row | None:
    return next((row for row in reversed(it.rows) if row.key == key), None)


def provisions_again(act: Callable[[Twin, Row], object]) -> Rule:
    """Do something to the instance of a key that is given once more."""

    def provision(it: Twin, key: str) -> Row:
        row = it.named(key)
        if row is None:
            return it.make(key)
        act(it, row)
        return row

    return provision


def boots_anew() -> dict[str, Rule]:
    """Boot the instance of a key anew, for long, when the key is given once more."""
    again: set[str] = set()

    def word(it: Twin, row: Row) -> str:
        return "booting" if row.id in again and not row.deleted else Twin.word(it, row)

    return {"provision": provisions_again(lambda it, row: again.add(row.id)), "word": word}


def second_provision(code: int) -> Rule:
    """Refuse a key that is known."""

    def act(it: Twin, row: Row) -> None:
        raise HTTPException(code, "No")

    return provisions_again(act)


def another_body(code: int) -> Rule:
    """Refuse a key that is known with another body."""

    def provision(it: Twin, key: str) -> Row:
        bodies = it.__dict__.setdefault("bodies", {})
        if bodies.setdefault(key, it.body) != it.body:
            raise HTTPException(code, "The key was used for another request")
        return it.named(key) or it.make(key)

    return provision


def known_tiers(code: int) -> Rule:
    """Refuse a tier that nobody knows, before the key is looked at."""
    words: Any = "No such tier"
    if code == 422:
        words = fault("body", "tier_id", message="unknown").detail

    def provision(it: Twin, key: str) -> Row:
        if it.body["tier_id"] != "tier-1":
            raise HTTPException(code, words)
        return it.named(key) or it.make(key)

    return provision
