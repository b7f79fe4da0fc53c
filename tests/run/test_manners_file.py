"""`router.json` among recordings: what it says, what it keeps, and what is new to it."""

from __future__ import annotations

import json

import pytest

from pytest_hydrasmoke._run.manners_file import (
    MannersError,
    answers_in,
    as_text,
    drift,
    in_words,
    joined,
    unknown,
)

KNOWN = {"provision_status": [200], "terminal": [True], "extra": [["zone", "string"]], "new": [1]}


def test_there_and_back_with_a_line_for_each_question() -> None:
    text = as_text({**KNOWN, "providers": []})
    assert text.splitlines() == [
        '{"format": "pytest-hydrasmoke router", "version": 1,',
        '"provision_status": [200],',
        '"terminal": [true],',
        '"extra": [["zone", "string"]],',
        '"new": [1]}',
    ]
    assert answers_in(text.encode()) == KNOWN


def test_later_runs_only_add() -> None:
    seen = {"provision_status": [202, 200], "providers": ["openai"], "terminal": []}
    every = joined(KNOWN, seen)
    assert every == {**KNOWN, "provision_status": [200, 202], "providers": ["openai"]}
    assert joined(every, seen) == every
    assert unknown(KNOWN, seen) == {"provision_status": [202], "providers": ["openai"]}
    assert joined({}, seen) == {"provision_status": [202, 200], "providers": ["openai"]}


def test_answers_in_words() -> None:
    odd = {"early_hostname": ["null"], "gone_words": ["\x1b[31m"], "poll_before_row": []}
    assert list(in_words({**KNOWN, **odd})) == [
        "success code of provision: 200",
        "hostname before the boot ends: null",
        "terminal event at a turn's end: yes",
        "status words after delete: \\x1b[31m",
        'fields that the contract does not know: ["zone", "string"]',
    ]


def test_an_answer_that_is_not_in_it_is_drift() -> None:
    assert list(drift(KNOWN, {"provision_status": [200, 202], "rate_limit": [429]})) == [
        "drift: success code of provision: 202, and router.json has 200",
        "drift: rate limit: 429, and router.json has nothing",
    ]


DAMAGED = [
    (b"", "JSONDecodeError: Expecting value"),
    (b"<<<<<<< ours\n{}\n=======\n{}\n>>>>>>> theirs\n", "JSONDecodeError: Expecting value"),
    (b"\xff", "UnicodeDecodeError: "),
    (b"[" * 100_000, "RecursionError: "),
    (b"[]", "it is not the file that a run writes"),
    (b'{"schema_version": 2}', "it is not the file that a run writes"),
    (
        as_text({"rate_limit": [429]}).replace("[429]", "429").encode(),
        "not every question in it has a list of answers",
    ),
]


@pytest.mark.parametrize(("text", "problem"), DAMAGED)
def test_a_damaged_file_is_no_reason_to_lose_what_it_holds(text: bytes, problem: str) -> None:
    with pytest.raises(MannersError) as caught:
        answers_in(text)
    assert str(caught.value).startswith(f"it is damaged: {problem}")
    assert str(caught.value).endswith(
        ": mend it, for example from version control, or move it away, and a run makes it anew"
    )


def test_a_file_of_another_version_is_left_to_its_release() -> None:
    text = json.dumps({"format": "pytest-hydrasmoke router", "version": 2}).encode()
    told = "^it has version 2 of the format, and this release writes 1: update pytest-hydrasmoke, "
    with pytest.raises(MannersError, match=told):
        answers_in(text)
