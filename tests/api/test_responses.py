"""Answers read into models, or into errors that say what to do."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from freezegun import freeze_time
from hypothesis import example
from hypothesis import given as for_any
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from scripted_io import ID, OTHER_ID, late, lost, refused, reply

from pytest_hydrasmoke import (
    ContractError,
    DeleteResult,
    HydraSmokeError,
    InstanceSpec,
    InstanceStatus,
    LlmEvents,
    NotFoundError,
    PollResult,
    ProvisionAccepted,
    RejectedError,
    RouterError,
    TransportError,
    UnauthorizedError,
)
from pytest_hydrasmoke._api.responses import detail_of, failure, parse
from pytest_hydrasmoke._api.retry import asked_pause, retry_after
from pytest_hydrasmoke._transport.attempts import ANSWER_LIMIT, append, lost_attempt, unwrap
from pytest_hydrasmoke._transport.protocol import CallName, Request
from pytest_hydrasmoke._transport.reasons import Reason
from pytest_hydrasmoke._transport.steps import Progress

ACCEPTED = {"idempotency_key": "k", "instance_id": ID, "task_id": "t"}
STATUS = {"id": ID, "hostname": "box-1", "status": "running"}
EVENTS = {"instance_id": ID, "count": 2, "providers": ["b", "a", "b"], "window_seconds": 900}


def request(call: CallName = "status") -> Request:
    return Request(call, "GET", "/x")


def without(answer: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name not in names}


# --- models ----------------------------------------------------------------------------------

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


@pytest.mark.parametrize("model", [ProvisionAccepted, PollResult, InstanceStatus, LlmEvents])
def test_an_answer_can_not_be_changed(model: type[BaseModel]) -> None:
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


def test_an_answer_without_a_body_has_no_answer_in_it() -> None:
    with pytest.raises(ContractError) as caught:
        parse(DeleteResult, request("delete"), reply(204))
    assert str(caught.value) == (
        "delete answered with a success code that the contract does not have\n"
        "  expected:  200\n"
        "  got:       204\n"
        "  next step: find out what answers at this URL"
    )


UUIDS = [ID, ID.upper(), OTHER_ID]


@pytest.mark.parametrize("value", UUIDS)
def test_an_id_is_a_uuid_and_kept_as_the_router_wrote_it(value: str) -> None:
    assert InstanceStatus(id=value, status="x").id == value


@pytest.mark.parametrize(
    "value",
    [
        f"urn:uuid:{ID}",
        f"{{{ID}}}",
        "\r" * 31 + "1",
        "\u2028" + "0" * 31,
        "+" + "0" * 31,
        "1_" * 15 + "11",
        "٣" * 32,
    ],
    ids=ascii,
)
def test_an_id_that_is_no_uuid_on_the_wire_is_refused(value: str) -> None:
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


# --- what an attempt comes to ----------------------------------------------------------------


def test_a_body_grows_by_what_arrives() -> None:
    body = bytearray()
    append(body, b"ab")
    append(body, b"c")
    assert body == b"abc"


def test_a_body_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert ANSWER_LIMIT == 1 << 20
    body = bytearray(ANSWER_LIMIT - 1)
    append(body, b"x")
    with pytest.raises(ContractError) as caught:
        append(body, b"x")
    assert str(caught.value) == (
        "the response body exceeds the limit\n"
        "  expected:  at most 1,048,576 bytes\n"
        "  got:       more\n"
        "  next step: find out what answers at this URL"
    )


def test_an_attempts_result_is_given_or_raised() -> None:
    answer, fault = reply(200), refused()
    assert unwrap(answer) is answer
    with pytest.raises(TransportError) as caught:
        unwrap(fault)
    assert caught.value is fault


@pytest.mark.parametrize(
    ("progress", "late", "message"),
    [
        ("CONNECTING", False, "no connection to https://router.example (reset)"),
        ("SHAKING_HANDS", False, "no connection to https://router.example (reset)"),
        ("UNSENT", False, "no connection to https://router.example (reset)"),
        ("BEGUN", False, "the request was not sent whole (reset)"),
        ("SENT", False, "the answer was lost (reset)"),
        ("CONNECTING", True, "no connection to https://router.example in time"),
        (
            "SHAKING_HANDS",
            True,
            "no connection to https://router.example in time: its TLS handshake did not end",
        ),
        ("UNSENT", True, "the request to https://router.example was not sent in time"),
        ("BEGUN", True, "the request was not sent whole in time"),
        ("SENT", True, "no answer in time"),
    ],
)
def test_an_attempt_without_an_answer_says_how_far_it_got(
    progress: str, late: bool, message: str
) -> None:
    reason, came_to = Reason("reset"), Progress[progress]
    error = lost_attempt("https://router.example", reason, came_to, late=late)
    reached = progress in ("BEGUN", "SENT")
    assert (error.message, error.reached, error.late) == (message, reached, late)
    assert isinstance(error, TimeoutError) is late
    if error.next_step is not None:
        assert "https://router.example" in error.next_step
    assert (error.next_step is not None) == (late and progress not in ("CONNECTING", "UNSENT"))


# --- refusals --------------------------------------------------------------------------------

BUSY = "the router is busy: try again later, or raise the deadline"
LOG = "see the router's log of this moment"
REPLAY = "in a replay, do what the message above says; else see the router's log"
TOKEN = "check HYDRA_SMOKE_TOKEN (else OPS_BEARER_TOKEN): is it this environment's token?"
NO_ROW = (
    "the instance has no row yet, was deleted, or belongs to another customer: wait until it is "
    "ready, or check its id"
)
URL = (
    "check HYDRA_SMOKE_URL: it ends where /internal/v1/smoke begins, and keeps a prefix such as "
    "/api"
)
REDIRECT = (
    "it leads to an unnamed place, where the router is not: a sign-in, or another site? Set "
    "HYDRA_SMOKE_URL to where the router itself answers: redirects are not followed"
)

REFUSALS: list[tuple[CallName, int, type[RouterError], str]] = [
    ("status", 400, RouterError, LOG),
    ("status", 401, UnauthorizedError, TOKEN),
    ("delete", 403, UnauthorizedError, TOKEN),
    ("status", 404, NotFoundError, NO_ROW),
    ("provision", 404, NotFoundError, URL),
    ("chat", 409, RouterError, LOG),
    ("provision", 422, RejectedError, "correct the fields named above"),
    ("status", 429, RouterError, BUSY),
    ("status", 500, RouterError, LOG),
    ("chat", 501, RouterError, REPLAY),
    ("status", 503, RouterError, BUSY),
    ("status", 399, RouterError, REDIRECT),
]


@pytest.mark.parametrize(("call", "code", "kind", "advice"), REFUSALS)
def test_a_refusal_has_its_kind_and_its_advice(
    call: CallName, code: int, kind: type[RouterError], advice: str
) -> None:
    error = failure(request(call), reply(code, {"detail": "no"}), 1)
    assert type(error) is kind
    assert isinstance(error, RouterError)
    assert (error.status_code, error.detail) == (code, "no")
    assert str(error) == f"{call} was refused with {code}: no\n  next step: {advice}"


def test_a_refusal_counts_its_attempts() -> None:
    assert failure(request(), reply(503), 7).message == "status was refused with 503 (7 attempts)"


@pytest.mark.parametrize("code", [201, 202, 206, 299])
def test_an_unknown_success_code_is_against_the_contract(code: int) -> None:
    error = failure(request("poll"), reply(code, {"found": True}), 1)
    assert type(error) is ContractError
    assert (error.expected, error.got) == ("200", str(code))


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        (refused(), "check HYDRA_SMOKE_URL, name resolution, firewall, and the proxy (trust_env)"),
        (lost(), LOG),
        (late(), LOG),
    ],
    ids=["refused", "lost", "late"],
)
def test_a_lost_answer_keeps_what_is_known_of_it(fault: TransportError, advice: str) -> None:
    for attempts, tries in ((1, ""), (3, " (3 attempts)")):
        error = failure(request(), fault, attempts)
        assert isinstance(error, TransportError)
        assert (type(error), error.reached) == (type(fault), fault.reached)
        assert str(error) == f"status: {fault.message}{tries}\n  next step: {advice}"


DETAILS: dict[str, tuple[bytes, str]] = {
    "words": (b'{"detail": "Instance not found"}', "Instance not found"),
    "an object": (b'{"detail": {"code": 7}}', '{"code": 7}'),
    "nothing": (b'{"detail": null}', ""),
    "nothing at all": (b"null", ""),
    "no detail": (b'{"error": "x"}', '{"error": "x"}'),
    "a list of fields": (
        b'{"detail": [{"loc": ["body", "tier_id"], "msg": "long"}, {"loc": ["p", 0], "msg": 5}]}',
        "body.tier_id: long\np.0: 5",
    ),
    "fields without words": (b'{"detail": [{}, {"loc": "x", "msg": "y"}]}', "?: ?\n?: y"),
    "a list of anything": (b'{"detail": ["a", 1, null]}', '"a"\n1\nnull'),
    "an empty list": (b'{"detail": []}', ""),
    "a list alone": (b'[{"loc": ["a"], "msg": "b"}]', "a: b"),
    "a text alone": (b'"down"', "down"),
    "a number": (b"7", "7"),
    "no JSON": (b"<html>\n <b>502 Bad Gateway</b>", "<html> <b>502 Bad Gateway</b>"),
    "no body": (b"", ""),
    "no text": (b"\xff\xfe\x00", "\ufffd\ufffd\\x00"),
    "a command": (b'{"detail": "::error::x\\n##[group]"}', ": :error::x\n# #[group]"),
    "a field's command": (
        b'{"detail": [{"loc": ["a", "##[x]"], "msg": "\\u001b[1m"}]}',
        "a.# #[x]: \\x1b[1m",
    ),
    "a huge number": (b"1" * 5000, "1" * 200 + "… (4800 more characters)"),
}


@pytest.mark.parametrize("case", DETAILS)
def test_an_error_bodys_words(case: str) -> None:
    body, words = DETAILS[case]
    assert detail_of(body) == words


def test_at_most_10_fields_are_named() -> None:
    fields = [{"loc": [str(n)], "msg": "m"} for n in range(12)]
    lines = detail_of(json.dumps({"detail": fields}).encode()).splitlines()
    assert lines == [f"{n}: m" for n in range(10)]


def test_a_field_does_not_show_its_value() -> None:
    body = b'{"detail": [{"loc": ["header", "authorization"], "msg": "bad", "input": "Bearer s3"}]}'
    assert detail_of(body) == "header.authorization: bad"


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"detail":' * 50_000])
def test_a_body_nested_without_end_is_shown_as_text(body: bytes) -> None:
    assert detail_of(body).startswith(body[:10].decode())


def test_no_depth_of_nesting_is_too_deep_for_an_error() -> None:
    # What can just be read may be too deep to be written again.
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit() + 10):
        body = b'{"detail": ' + b"[" * depth + b"]" * depth + b"}"
        assert isinstance(failure(request(), reply(500, body), 1), RouterError)


@for_any(st.binary(max_size=300))
def test_any_error_body_becomes_words(body: bytes) -> None:
    error = failure(request(), reply(500, body), 1)
    assert isinstance(error, HydraSmokeError)
    str(error).encode()


# --- Retry-After -----------------------------------------------------------------------------

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)

PAUSES: dict[str | None, float | None] = {
    None: None,
    "": None,
    "  ": None,
    "0": 0.0,
    "7": 7.0,
    " 7 ": 7.0,
    "0120": 120.0,
    "9" * 30: 1e30,
    "1.5": None,
    "-3": None,
    "+3": None,
    "1e3": None,
    "³": None,
    "٣": None,
    "soon": None,
    "Wed, 02 Jan 2030 03:04:35 GMT": 30.0,
    "Wed, 02 Jan 2030 03:04:05 GMT": 0.0,
    "Wed, 02 Jan 2030 03:03:05 GMT": 0.0,
    "Wed, 02 Jan 2030 03:04:35 -0000": 30.0,
    "Wednesday, 02-Jan-30 03:04:35 GMT": 30.0,
    "Wed Jan  2 03:04:35 2030": 30.0,
    "Wed, 02 Jan 2030 05:04:35 +0200": 30.0,
    "Wed, 42 Jan 2030 03:04:35 GMT": None,
}


@pytest.mark.parametrize("header", PAUSES, ids=ascii)
def test_retry_after_is_seconds_or_a_date(header: str | None) -> None:
    assert retry_after(header, NOW) == PAUSES[header]


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone can't be set here")
def test_a_date_without_a_zone_is_not_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XYZ-5")
    time.tzset()
    try:
        assert retry_after("Wed, 02 Jan 2030 03:04:35", NOW) == 30.0
        assert retry_after("Wed, 02 Jan 2030 03:04:35 -0000", NOW) == 30.0
    finally:
        monkeypatch.undo()
        time.tzset()


@for_any(st.integers(0, 10**6), st.integers(-12, 14))
def test_a_date_is_read_in_any_time_zone(seconds: int, hours: int) -> None:
    when = (NOW + timedelta(seconds=seconds)).astimezone(timezone(timedelta(hours=hours)))
    assert retry_after(format_datetime(when), NOW) == seconds


@for_any(st.text() | st.text("0123456789:, +-JanWedGMT", max_size=40))
@example("9" * 5000)
def test_any_retry_after_is_seconds_or_nothing(header: str) -> None:
    wanted = retry_after(header, NOW)
    assert wanted is None or wanted >= 0


@pytest.mark.parametrize(
    "header",
    [
        "Wed, 02 Jan 99999999999999999999 00:00:00 GMT",
        "Wed, 02 Jan 2030 99999999999:00:00 GMT",
        "Wed, 02 Jan 2030 00:00:00 +99999999999999999999999999",
    ],
)
def test_a_date_too_large_for_a_clock_is_nothing(header: str) -> None:
    assert retry_after(header, NOW) is None


def test_the_pause_that_an_answer_asks_for_is_in_its_header() -> None:
    assert asked_pause(reply(503, retry_after="12")) == 12.0
    assert asked_pause(reply(503)) is None
    in_the_past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert asked_pause(reply(503, retry_after=in_the_past)) == 0.0


@pytest.mark.parametrize("date", ["Wed, 02 Jan 2030 03:04:05 GMT", "soon", None])
def test_a_date_counts_from_the_routers_own_time(date: str | None) -> None:
    headers = {"retry_after": "Wed, 02 Jan 2030 03:04:35 GMT"} | ({"date": date} if date else {})
    # Where the router does not tell its time, there is only this machine's.
    own = not (date or "").startswith("Wed")
    with freeze_time("2030-01-02 03:04:15" if own else "2020-01-01"):
        assert asked_pause(reply(503, **headers)) == (20.0 if own else 30.0)
