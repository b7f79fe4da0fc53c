"""Answers read into models, or into errors that say what breaks the contract."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from scripted_io import ID, OTHER_ID, reply

from pytest_hydrasmoke import (
    ContractError,
    DeleteResult,
    InstanceSpec,
    InstanceStatus,
    LlmEvents,
    PollResult,
    ProvisionAccepted,
)
from pytest_hydrasmoke._api.responses import parse
from pytest_hydrasmoke._transport.protocol import CallName, Request

ACCEPTED = {"idempotency_key": "k", "instance_id": ID, "task_id": "t"}


STATUS = {"id": ID, "hostname": "box-1", "status": "running"}


EVENTS = {"instance_id": ID, "count": 2, "providers": ["b", "a", "b"], "window_seconds": 900}


def request(call: CallName = "status") -> Request:
    return Request(call, "GET", "/x")


def without(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in names}


READ: list[tuple[type[BaseModel], dict[str, Any], dict[str, Any]]] = [
    # model, the answer, what it is read as
    (ProvisionAccepted, ACCEPTED, ACCEPTED),
    (ProvisionAccepted, ACCEPTED | {"instance_id": None}, ACCEPTED | {"instance_id": None}),
    (ProvisionAccepted, without(ACCEPTED, "instance_id"), ACCEPTED | {"instance_id": None}),
    (
        PollResult,
        {"found": False},
        {"found": False, "instance_id": None, "status": None},
    ),
    (
        PollResult,
        {"found": True, "instance_id": ID.upper(), "status": "QUEUED"},
        {"found": True, "instance_id": ID.upper(), "status": "QUEUED"},
    ),
    (InstanceStatus, STATUS, STATUS),
    (InstanceStatus, without(STATUS, "hostname"), STATUS | {"hostname": None}),
    (LlmEvents, EVENTS, EVENTS | {"providers": ("b", "a", "b")}),
    (LlmEvents, EVENTS | {"providers": []}, EVENTS | {"providers": ()}),
    (LlmEvents, EVENTS | {"count": 0}, EVENTS | {"count": 0, "providers": ("b", "a", "b")}),
    (DeleteResult, {"instance_id": ID, "status": "x"}, {"instance_id": ID, "status": "x"}),
]


@pytest.mark.parametrize(("model", "answer", "read"), READ)
def test_an_answer_is_read_with_the_routers_own_names(
    model: type[BaseModel], answer: dict[str, Any], read: dict[str, Any]
) -> None:
    assert parse(model, request(), reply(200, answer)).model_dump() == read


def test_an_answer_keeps_fields_that_are_unknown() -> None:
    read = parse(InstanceStatus, request(), reply(200, STATUS | {"zone": {"a": [1]}}))
    assert read.model_extra == {"zone": {"a": [1]}}
    for model in (ProvisionAccepted, PollResult, InstanceStatus, LlmEvents, DeleteResult):
        assert model.model_config["frozen"] is True


def test_a_spec_is_hashable_strict_and_knows_its_fields() -> None:
    spec = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
    assert spec == InstanceSpec(manifest_id="m", region_id="r", tier_id="t", agent_name=None)
    assert hash(spec) == hash(spec.model_copy())
    for wrong in ({"tier": "t"}, {"tier_id": 1}, {"manifest_id": None}):
        with pytest.raises(ValidationError):
            InstanceSpec(**{"manifest_id": "m", "region_id": "r", "tier_id": "t", **wrong})
    with pytest.raises(ValidationError):
        spec.tier_id = "u"  # type: ignore[misc]


BROKEN: list[Any] = [
    # model, the answer, expected, got
    (ProvisionAccepted, without(ACCEPTED, "task_id"), "task_id: present", "no such field"),
    (
        ProvisionAccepted,
        {},
        "idempotency_key: present; task_id: present",
        "no such field; no such field",
    ),
    (
        ProvisionAccepted,
        ACCEPTED | {"instance_id": "i-1"},
        "instance_id: should be a UUID",
        "'i-1'",
    ),
    (ProvisionAccepted, ACCEPTED | {"instance_id": ""}, "instance_id: should be a UUID", "''"),
    (ProvisionAccepted, ACCEPTED | {"task_id": 7}, "task_id: a valid string", "7"),
    (PollResult, {"found": "true"}, "found: a valid boolean", "'true'"),
    (PollResult, {"found": 1}, "found: a valid boolean", "1"),
    (PollResult, {"found": None}, "found: a valid boolean", "None"),
    (InstanceStatus, without(STATUS, "id") | {"instance_id": ID}, "id: present", "no such field"),
    (InstanceStatus, STATUS | {"status": None}, "status: a valid string", "None"),
    (InstanceStatus, STATUS | {"hostname": 1}, "hostname: a valid string", "1"),
    (LlmEvents, EVENTS | {"count": "2"}, "count: a valid integer", "'2'"),
    (LlmEvents, EVENTS | {"count": True}, "count: a valid integer", "True"),
    (LlmEvents, EVENTS | {"count": -1}, "count: greater than or equal to 0", "-1"),
    (LlmEvents, EVENTS | {"providers": None}, "providers: a valid array", "None"),
    (LlmEvents, EVENTS | {"providers": ["a", 1]}, "providers.1: a valid string", "1"),
    (DeleteResult, {"status": "x"}, "instance_id: present", "no such field"),
    (DeleteResult, [], "body: an object", "[]"),
    (DeleteResult, b"", "body: a JSON object", "nothing"),
    (DeleteResult, b"<html>Sign in</html>", "body: a JSON object", "(a page without a title)"),
    (DeleteResult, b"null", "body: an object", "None"),
    (
        LlmEvents,
        {"instance_id": 1, "count": "2", "providers": 3, "window_seconds": "4"},
        "instance_id: a valid string; count: a valid integer; providers: a valid array",
        "1; '2'; 3",
    ),
]


@pytest.mark.parametrize(("model", "answer", "expected", "got"), BROKEN)
def test_an_answer_against_the_contract_names_field_expected_and_got(
    model: type[BaseModel], answer: object, expected: str, got: str
) -> None:
    with pytest.raises(ContractError) as caught:
        parse(model, request("poll"), reply(200, answer))
    error = caught.value
    assert error.message == "poll answered against the router's contract"
    assert (error.expected, error.got) == (expected, got)
    assert error.__cause__ is None
    assert error.__context__ is None, "pydantic's own error holds the whole answer"


def test_a_broken_answer_reads_as_a_bug_report() -> None:
    answer = STATUS | {"status": "\x1b[1m::error::" + "x" * 300, "id": "::stop::"}
    with pytest.raises(ContractError) as caught:
        parse(InstanceStatus, request(), reply(200, answer | {"status": 5}))
    assert str(caught.value) == (
        "status answered against the router's contract\n"
        "  expected:  id: should be a UUID; status: a valid string\n"
        "  got:       '::stop::'; 5\n"
        "  next step: compare the router's /openapi.json with the contract: either the router has "
        "changed, or something else answers at this URL"
    )


def test_what_a_broken_answer_quotes_is_harmless_and_short() -> None:
    with pytest.raises(ContractError) as caught:
        parse(InstanceStatus, request(), reply(200, b"\x1b[1m ##[error]" + b"x" * 9000))
    assert caught.value.got is not None
    assert "\\x1b[1m # #[error]xxx" in caught.value.got
    assert len(caught.value.got) < 300


def test_an_answer_in_an_encoding_is_named() -> None:
    packed = reply(200, b"\x1f\x8b", content_encoding="GZip", server="edge")
    with pytest.raises(ContractError) as caught:
        parse(PollResult, request("poll"), packed)
    assert str(caught.value) == (
        "poll answered in an encoding that was not asked for\n"
        "  expected:  no content-encoding, as the request says\n"
        "  got:       content-encoding: gzip (answered by edge, encoded as gzip)\n"
        "  next step: switch compression off for the router's paths, at the router or at the "
        "gateway in front of it"
    )


def test_an_answer_without_a_body_has_no_answer_in_it() -> None:
    with pytest.raises(ContractError) as caught:
        parse(DeleteResult, request("delete"), reply(204))
    assert str(caught.value) == (
        "delete answered with a success code that the contract does not have\n"
        "  expected:  200\n"
        "  got:       204\n"
        "  next step: find out what answers at this URL"
    )


def test_an_id_is_a_uuid_and_kept_as_the_router_wrote_it() -> None:
    for value in (ID, ID.upper(), OTHER_ID):
        assert InstanceStatus(id=value, status="x").id == value


def test_an_id_that_is_no_uuid_on_the_wire_is_refused() -> None:
    for value in (
        *(f"urn:uuid:{ID}", f"{{{ID}}}", "\r" * 31 + "1", "\u2028" + "0" * 31),
        *("+" + "0" * 31, "1_" * 15 + "11", "٣" * 32),
    ):
        with pytest.raises(ValidationError):
            InstanceStatus(id=value, status="x")


@for_any(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "hostname", "status", "x"]), inner, max_size=4)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_body_is_an_answer_or_a_contract_error(body: bytes) -> None:
    try:
        parse(InstanceStatus, request(), reply(200, body))
    except ContractError as error:
        told = (error.expected, error.got)
    else:
        told = ("everything", "everything")
    assert all(told)
