"""Answers of any shape: what is known is strict, what is not known is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from sizes import examples

from pytest_hydrasmoke import ContractError
from pytest_hydrasmoke._api.models import (
    DeleteResult,
    InstanceStatus,
    LlmEvents,
    PollResult,
    ProvisionAccepted,
)
from pytest_hydrasmoke._api.responses import parse
from pytest_hydrasmoke._transport.protocol import CallName, Reply, Request

UUIDS = st.uuids().map(str)
TEXTS = st.text(max_size=10)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=3,
)

Fields = dict[str, st.SearchStrategy[Any]]
# What each call's answer must have, and may have.
ANSWERS: dict[CallName, tuple[type[BaseModel], Fields, Fields]] = {
    "provision": (
        ProvisionAccepted,
        {"idempotency_key": TEXTS, "task_id": TEXTS},
        {"instance_id": st.none() | UUIDS},
    ),
    "poll": (
        PollResult,
        {"found": st.booleans()},
        {"instance_id": st.none() | UUIDS, "status": st.none() | TEXTS},
    ),
    "status": (InstanceStatus, {"id": UUIDS, "status": TEXTS}, {"hostname": st.none() | TEXTS}),
    "llm_events": (
        LlmEvents,
        {
            "instance_id": UUIDS,
            "count": st.integers(0, 1 << 40),
            "providers": st.lists(TEXTS, max_size=3),
            "window_seconds": st.integers(0, 1 << 40),
        },
        {},
    ),
    "delete": (DeleteResult, {"instance_id": UUIDS, "status": TEXTS}, {}),
}
# Values that no field of that name takes.
MISTYPED: Fields = {
    name: values
    for names, values in {
        ("idempotency_key", "task_id"): JSON.filter(lambda it: not isinstance(it, str)),
        ("hostname",): JSON.filter(lambda it: not isinstance(it, str | None)),
        ("status",): JSON.filter(lambda it: not isinstance(it, str | None)),
        ("id", "instance_id"): JSON.filter(lambda it: it is not None),
        ("found",): JSON.filter(lambda it: not isinstance(it, bool)),
        ("count", "window_seconds"): JSON.filter(
            lambda it: isinstance(it, bool) or not isinstance(it, int | float)
        )
        | st.integers(0, 9).map(str),
        ("providers",): JSON.filter(lambda it: not isinstance(it, list))
        | st.lists(st.none() | st.integers(), min_size=1, max_size=3),
    }.items()
    for name in names
}
CALLS = pytest.mark.parametrize("call", ANSWERS)


def read(call: CallName, body: bytes) -> BaseModel:
    return parse(ANSWERS[call][0], Request(call, "GET", "/x"), Reply(200, {}, body))


def bodies(call: CallName) -> st.SearchStrategy[dict[str, Any]]:
    _, must, may = ANSWERS[call]
    return st.fixed_dictionaries(must, optional=may)


@CALLS
@examples(15, 2_000)
@given(data=st.data())
def test_fields_known_and_unknown_are_kept(call: CallName, data: st.DataObject) -> None:
    known = data.draw(bodies(call))
    unknown = data.draw(st.dictionaries(TEXTS.map("x_{}".format), JSON, max_size=3))
    answer = read(call, json.dumps({**unknown, **known}).encode())
    assert answer.model_extra == unknown
    dumped = answer.model_dump(mode="json", exclude_unset=True)
    assert dumped == {**known, **unknown}


@CALLS
@examples(15, 2_000)
@given(data=st.data())
def test_a_mistyped_field_is_told_with_call_field_expected_and_got(
    call: CallName, data: st.DataObject
) -> None:
    known = data.draw(bodies(call))
    name = data.draw(st.sampled_from(sorted({*ANSWERS[call][1], *ANSWERS[call][2]})))
    wrong = data.draw(MISTYPED[name])
    with pytest.raises(ContractError) as caught:
        read(call, json.dumps({**known, name: wrong}).encode())
    error = caught.value
    assert str(error).startswith(f"{call} answered against the router's contract")
    assert error.expected is not None
    assert error.expected.startswith(name)
    assert error.got
    assert error.expected in str(error)
    assert error.got in str(error)


@CALLS
@examples(15, 2_000)
@given(data=st.data())
def test_a_missing_field_is_named(call: CallName, data: st.DataObject) -> None:
    known = data.draw(bodies(call))
    gone = data.draw(st.sampled_from(sorted(ANSWERS[call][1])))
    del known[gone]
    with pytest.raises(ContractError) as caught:
        read(call, json.dumps(known).encode())
    assert (caught.value.expected, caught.value.got) == (f"{gone}: present", "no such field")


@CALLS
@examples(15, 2_000)
@given(body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_other_body_is_a_short_contract_error(call: CallName, body: bytes) -> None:
    with pytest.raises(ContractError) as caught:
        read(call, body)
    assert len(str(caught.value)) < 2_000


ODD = {
    "nesting": b"[" * 100_000,
    "digits": b'{"found": ' + b"9" * 10_000 + b"}",
    "a number beyond floats": b'{"found": 1e999}',
    "half a surrogate pair": b'{"found": "\\ud800"}',
    "bytes that are not UTF-8": b'{"found": "\xff"}',
    "UTF-16": '{"found": true}'.encode("utf-16"),
    "a BOM": b"\xef\xbb\xbf[]",
    "a list of fields": b'[{"found": true}]',
    "NaN": b'{"found": NaN}',
    "long": b'{"found": "' + b"x" * 100_000 + b'"}',
    "controls": b'{"found": "\\u001b]0;x\\u0007\\n::error::x"}',
}


@pytest.mark.parametrize("name", ODD)
def test_odd_bodies_are_contract_errors(name: str) -> None:
    with pytest.raises(ContractError) as caught:
        read("poll", ODD[name])
    text = str(caught.value)
    assert len(text) < 1_000
    assert "\x1b" not in text
    assert "\n::" not in text
