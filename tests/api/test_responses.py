"""What an attempt comes to, and refusals: kinds, words and advice that can be followed."""

from __future__ import annotations

import json
import re
import sys

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st
from scripted_io import late, lost, refused, reply

from pytest_hydrasmoke import (
    ContractError,
    HydraSmokeError,
    NotFoundError,
    RejectedError,
    RouterError,
    TransportError,
    UnauthorizedError,
)
from pytest_hydrasmoke._api.responses import detail_of, failure
from pytest_hydrasmoke._transport.attempts import ANSWER_LIMIT, append, lost_attempt, unwrap
from pytest_hydrasmoke._transport.protocol import CallName, Request
from pytest_hydrasmoke._transport.reasons import Reason
from pytest_hydrasmoke._transport.steps import Reached
from pytest_hydrasmoke._transport.target import PREFIX, url_problem


def request(call: CallName = "status") -> Request:
    return Request(call, "GET", "/x")


def test_a_body_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert ANSWER_LIMIT == 1 << 20
    body = bytearray(ANSWER_LIMIT - 1)
    append(body, b"x")
    assert body.endswith(b"\0x")
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
    reason, came_to = Reason("reset"), Reached[progress]
    error = lost_attempt("https://router.example", reason, came_to, late=late)
    reached = progress in ("BEGUN", "SENT")
    assert (error.message, error.reached, error.late) == (message, reached, late)
    assert isinstance(error, TimeoutError) is late
    if error.next_step is not None:
        assert "https://router.example" in error.next_step
    assert (error.next_step is not None) == (late and progress not in ("CONNECTING", "UNSENT"))


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


def test_a_refusal_counts_its_attempts_and_a_success_code_may_be_unknown() -> None:
    assert failure(request(), reply(503), 7).message == "status was refused with 503 (7 attempts)"
    for code in (201, 202, 206, 299):
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
    "many fields": (
        json.dumps({"detail": [{"loc": [str(n)], "msg": "m"} for n in range(12)]}).encode(),
        "\n".join(f"{n}: m" for n in range(10)),
    ),
    "a field's value": (
        b'{"detail": [{"loc": ["header", "authorization"], "msg": "bad", "input": "Bearer s3"}]}',
        "header.authorization: bad",
    ),
}


@pytest.mark.parametrize("case", DETAILS)
def test_an_error_bodys_words(case: str) -> None:
    body, words = DETAILS[case]
    assert detail_of(body) == words


def test_a_body_nested_without_end_is_shown_as_text() -> None:
    for body in (b"[" * 100_000, b'{"detail":' * 50_000):
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


PATH = f"{PREFIX}/instances/by-key/k?x=1"


NOT_FOLLOWED = "redirects are not followed"


REDIRECTS: dict[str, str] = {
    f"https://www.router.example{PATH}": (
        "set HYDRA_SMOKE_URL to https://www.router.example: redirects would carry the token"
    ),
    f"https://router.example:8443/api{PATH}": (
        "set HYDRA_SMOKE_URL to https://router.example:8443/api: redirects would carry the token"
    ),
    f"http://127.0.0.1:8080{PATH}": (
        "set HYDRA_SMOKE_URL to http://127.0.0.1:8080: redirects would carry the token"
    ),
    f"http://router.example{PATH}": (
        "it leads to http://router.example, where the token would cross the network in clear: try "
        "https://router.example as HYDRA_SMOKE_URL, and correct what redirects to http"
    ),
    f"/api{PATH}": f"set HYDRA_SMOKE_URL to the same host with the path /api: {NOT_FOLLOWED}",
    PATH: f"set HYDRA_SMOKE_URL to the same host with the path /: {NOT_FOLLOWED}",
    f"https://router.example{PREFIX}/instances/by-key/k/?x=1": (
        f"it leads to another path (https://router.example{PREFIX}/instances/by-key/k/?x=1): "
        "something on the way rewrites the router's paths, and must not; " + NOT_FOLLOWED
    ),
    f"https://somebody:else@router.example{PATH}": (
        f"it leads to https://somebody:else@router.example{PATH}, which can't be HYDRA_SMOKE_URL: "
        "that must not have a user or password: the router takes the token alone"
    ),
    f"//router.example{PATH}": (
        f"it leads to //router.example{PATH}, which can't be HYDRA_SMOKE_URL: that must begin with "
        "https:// and a host, such as https://router.example"
    ),
    "https://sso.example/login?next=\x1b[1m": (
        "it leads to https://sso.example/login?next=\\x1b[1m, where the router is not: a sign-in, "
        "or another site? Set HYDRA_SMOKE_URL to where the router itself answers: " + NOT_FOLLOWED
    ),
}


@pytest.mark.parametrize("to", REDIRECTS, ids=ascii)
def test_a_redirects_advice_can_be_followed(to: str) -> None:
    error = failure(Request("poll", "GET", PATH), reply(302, location=to), 1)
    assert error.next_step == REDIRECTS[to]
    for url in re.findall(r"(?:URL to|try) (https?://\S+?)(?::? |$)", error.next_step):
        assert url_problem(url, allow_http=False) is None
