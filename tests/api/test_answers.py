"""Answers read into models, or into errors that say what breaks the contract."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asking import request
from hypothesis import given as for_any
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from scripted_io import ID, OTHER_ID, reply
from sizes import examples

import pytest_hydrasmoke as hydra
from pytest_hydrasmoke import ContractError, InstanceSpec, InstanceStatus, LlmEvents, PollResult
from pytest_hydrasmoke._api.responses import parse
from pytest_hydrasmoke._transport.protocol import CallName

ACCEPTED = {"idempotency_key": "k", "instance_id": ID, "task_id": "t"}
FOUND = {"found": True, "instance_id": ID.upper(), "status": "QUEUED"}
STATUS = {"id": ID, "hostname": "box-1", "status": "running"}
EVENTS = {"instance_id": ID, "count": 2, "providers": ["b", "a", "b"], "window_seconds": 900}
GONE = {"instance_id": ID, "status": "x"}
# Each call's model, an answer, and the fields that it need not have: None, then.
ANSWERS: dict[CallName, tuple[type[BaseModel], dict[str, Any], tuple[str, ...]]] = {
    "provision": (hydra.ProvisionAccepted, ACCEPTED, ("instance_id",)),
    "poll": (PollResult, FOUND, ("instance_id", "status")),
    "status": (InstanceStatus, STATUS, ("hostname",)),
    "llm_events": (LlmEvents, EVENTS, ()),
    "delete": (hydra.DeleteResult, GONE, ()),
}


def read(call: CallName, answer: object, **headers: str) -> BaseModel:
    return parse(ANSWERS[call][0], request(call), reply(200, answer, **headers))


def broken(call: CallName, answer: object, **headers: str) -> ContractError:
    with pytest.raises(ContractError) as caught:
        read(call, answer, **headers)
    return caught.value


@pytest.mark.parametrize("call", ANSWERS)
def test_an_answer_is_read_with_the_routers_own_names(call: CallName) -> None:
    model, answer, optional = ANSWERS[call]
    assert model.model_config["frozen"] is True
    unknown = {"zone": {"a": [1]}}
    found = read(call, answer | unknown)
    assert found.model_dump(mode="json") == answer | unknown
    assert found.model_extra == unknown
    for name in answer:
        without = {key: value for key, value in answer.items() if key != name}
        if name in optional:
            for told in (without, answer | {name: None}):
                assert read(call, told).model_dump() == answer | {name: None}
        else:
            error = broken(call, without)
            assert (error.expected, error.got) == (f"{name}: present", "no such field")


def test_a_count_may_be_of_nothing() -> None:
    for told in ({"providers": []}, {"count": 0}, {"window_seconds": 0}):
        assert read("llm_events", EVENTS | told).model_dump(mode="json") == EVENTS | told


def test_a_spec_is_hashable_strict_and_knows_its_fields() -> None:
    spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
    assert spec == InstanceSpec(manifest_id="m", region_id="r", tier_id="t", agent_name=None)
    assert hash(spec) == hash(spec.model_copy())
    for wrong in ({"tier": "t"}, {"tier_id": 1}, {"manifest_id": None}):
        with pytest.raises(ValidationError):
            InstanceSpec(**{"manifest_id": "m", "region_id": "r", "tier_id": "t", **wrong})
    with pytest.raises(ValidationError):
        spec.tier_id = "u"  # type: ignore[misc]


PAGE = "(a page without a title)"
BROKEN: list[tuple[CallName, object, str, str]] = [
    ("provision", {}, "idempotency_key: present; task_id: present", "no such field; no such field"),
    ("provision", ACCEPTED | {"instance_id": "i-1"}, "instance_id: should be a UUID", "'i-1'"),
    ("provision", ACCEPTED | {"instance_id": ""}, "instance_id: should be a UUID", "''"),
    ("provision", ACCEPTED | {"task_id": 7}, "task_id: a valid string", "7"),
    ("poll", {"found": "true"}, "found: a valid boolean", "'true'"),
    ("poll", {"found": 1}, "found: a valid boolean", "1"),
    ("poll", {"found": None}, "found: a valid boolean", "None"),
    ("status", STATUS | {"status": None}, "status: a valid string", "None"),
    ("status", STATUS | {"hostname": 1}, "hostname: a valid string", "1"),
    ("llm_events", EVENTS | {"count": "2"}, "count: a valid integer", "'2'"),
    ("llm_events", EVENTS | {"count": True}, "count: a valid integer", "True"),
    ("llm_events", EVENTS | {"count": -1}, "count: greater than or equal to 0", "-1"),
    ("llm_events", EVENTS | {"window_seconds": "9"}, "window_seconds: a valid integer", "'9'"),
    ("llm_events", EVENTS | {"providers": None}, "providers: a valid array", "None"),
    ("llm_events", EVENTS | {"providers": ["a", 1]}, "providers.1: a valid string", "1"),
    ("delete", [], "body: an object", "[]"),
    ("delete", b"", "body: a JSON object", "nothing"),
    ("delete", b"<html>Sign in</html>", "body: a JSON object", PAGE),
    ("delete", b"null", "body: an object", "None"),
    (
        "llm_events",
        {"instance_id": 1, "count": "2", "providers": 3, "window_seconds": "4"},
        "instance_id: a valid string; count: a valid integer; providers: a valid array",
        "1; '2'; 3",
    ),
]


@pytest.mark.parametrize(("call", "answer", "expected", "got"), BROKEN)
def test_an_answer_against_the_contract_names_field_expected_and_got(
    call: CallName, answer: object, expected: str, got: str
) -> None:
    error = broken(call, answer)
    assert error.message == f"{call} answered against the router's contract"
    assert (error.expected, error.got) == (expected, got)
    assert error.__cause__ is None
    assert error.__context__ is None, "pydantic's own error holds the whole answer"


def test_a_broken_answer_reads_as_a_bug_report() -> None:
    assert str(broken("status", {"id": "\x1b[1m::stop::", "status": 5})) == (
        "status answered against the router's contract\n"
        "  expected:  id: should be a UUID; status: a valid string\n"
        "  got:       '\\x1b[1m::stop::'; 5\n"
        "  next step: compare the router's /openapi.json with the contract: either the router has "
        "changed, or something else answers at this URL"
    )
    # In place of an answer, there may be a page.
    page = b"<html><head><title>Sign in</title></head></html>"
    error = broken("poll", page, server="nginx", content_type="text/html")
    assert error.got == "Sign in (answered by nginx, text/html)"
    assert error.next_step == (
        "a web page answers in the router's place, such as a gateway's sign-in: exempt the "
        "router's paths from it, or correct HYDRA_SMOKE_URL"
    )
    assert str(broken("poll", b"\x1f\x8b", content_encoding="GZip", server="edge")) == (
        "poll answered in an encoding that was not asked for\n"
        "  expected:  no content-encoding, as the request says\n"
        "  got:       content-encoding: gzip (answered by edge, encoded as gzip)\n"
        "  next step: switch compression off for the router's paths, at the router or at the "
        "gateway in front of it"
    )
    with pytest.raises(ContractError) as caught:
        parse(hydra.DeleteResult, request("delete"), reply(204))
    assert str(caught.value) == (
        "delete answered with a success code that the contract does not have\n"
        "  expected:  200\n"
        "  got:       204\n"
        "  next step: find out what answers at this URL"
    )


def test_an_id_is_a_uuid_and_kept_as_the_router_wrote_it() -> None:
    for value in (ID, ID.upper(), OTHER_ID, ID.replace("-", "")):
        assert InstanceStatus(id=value, status="x").id == value
    for value in (
        *(f"urn:uuid:{ID}", f"{{{ID}}}", "\r" * 31 + "1", "\u2028" + "0" * 31),
        *("+" + "0" * 31, "1_" * 15 + "11", "٣" * 32),
    ):
        with pytest.raises(ValidationError):
            InstanceStatus(id=value, status="x")


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
    "no text": b"\x1b[1m ##[error]" + b"x" * 9000,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_bodies_are_contract_errors(name: str) -> None:
    text = str(broken("poll", ODD[name]))
    assert len(text) < 600
    assert not [mark for mark in ("\x1b", "\n::", "##[") if mark in text]


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
VALUES = JSON.filter(lambda it: not isinstance(it, float)) | st.uuids().map(str)
VALUES |= st.lists(TEXTS, max_size=3)


def fits(name: str, value: object, *, optional: bool) -> bool:
    """Return whether a field of that name takes a value."""
    if value is None:
        return optional
    if name == "found":
        return isinstance(value, bool)
    if name == "providers":
        return isinstance(value, list) and all(isinstance(it, str) for it in value)
    if name in ("count", "window_seconds"):
        return type(value) is int and (name != "count" or value >= 0)
    return isinstance(value, str) and (
        not name.endswith("id") or name == "task_id" or len(value) > 30
    )


@examples(80, 10_000)
@for_any(st.sampled_from(list(ANSWERS)), st.integers(0, 9), VALUES, st.dictionaries(TEXTS, JSON))
def test_what_is_known_is_strict_and_what_is_unknown_is_kept(
    call: CallName, at: int, value: object, more: dict[str, Any]
) -> None:
    _, answer, optional = ANSWERS[call]
    name = list(answer)[at % len(answer)]
    unknown = {f"x_{key}": one for key, one in more.items()}
    told = {**unknown, **answer, name: value}
    if fits(name, value, optional=name in optional):
        found = read(call, json.dumps(told).encode())
        assert (found.model_extra, found.model_dump(mode="json")) == (unknown, told)
    else:
        error = broken(call, json.dumps(told).encode())
        assert str(error).startswith(f"{call} answered against the router's contract")
        assert (error.expected or "").startswith(name)
        assert error.got
    if not isinstance(value, dict):
        assert len(str(broken(call, json.dumps(value).encode()))) < 2_000
