"""Refusals: their kinds and words, who has answered in the router's place, and what to do."""

from __future__ import annotations

import json
import re
import sys

import pytest
from asking import request
from hypothesis import given as for_any
from hypothesis import strategies as st
from scripted_io import late, lost, refused, reply
from sizes import examples

import pytest_hydrasmoke as hydra
from pytest_hydrasmoke._api import hop
from pytest_hydrasmoke._api.responses import Earlier, detail_of, failure
from pytest_hydrasmoke._base.evidence import form_of
from pytest_hydrasmoke._base.text import harmless
from pytest_hydrasmoke._transport.protocol import CallName, Request
from pytest_hydrasmoke._transport.target import PREFIX, url_problem

LOG = "see the router's log of this moment"
BUSY = "the router is busy{}: try again later, or allow more time"
TOKEN = "check HYDRA_SMOKE_TOKEN (else OPS_BEARER_TOKEN): is it this environment's token?"
NO_ROW = (
    "the instance has no row yet, was deleted, or belongs to another customer: wait until it is "
    "ready, or check its id"
)
URL = (
    "check HYDRA_SMOKE_URL: it ends where /internal/v1/smoke begins, and keeps a prefix such as "
    "/api"
)
SIGN_IN = (
    "this may be a gateway in front of the router, with its own sign-in: exempt the router's paths "
    f"from it; else {TOKEN}"
)
GATEWAY_LOG = "see the log of what answered, which may be a gateway in front of the router"
LIMITS = "limits the rate of requests (nginx: limit_req){}: see its log, or try again later"
GONE = (
    "the gateway did not reach the router, or lost it: see whether the router runs, and the "
    "gateway's log"
)
SLOW = (
    "the gateway stopped waiting for the router: raise its limit if the router needs more time "
    "(nginx: proxy_read_timeout; HAProxy: timeout server), else see the router's log"
)
TOO_LARGE = (
    "the request is larger than the gateway accepts: raise its limit (nginx: client_max_body_size)"
)
PROXY = (
    "put a user and a password that the proxy accepts into its URL, in the environment's "
    "HTTP_PROXY (http://USER:PASSWORD@HOST:PORT); or set trust_env = false"
)
CERTIFICATE = (
    "if a gateway asks its clients for a certificate, set client_cert (HYDRA_SMOKE_CLIENT_CERT) "
    "and client_key to one that it accepts; if its port is for https, begin HYDRA_SMOKE_URL with "
    f"https://; else {GATEWAY_LOG}"
)
ELSEWHERE = (
    "it leads to {}, where the router is not: a sign-in, or another site? Set HYDRA_SMOKE_URL to "
    "where the router itself answers: redirects are not followed"
)
FULL = f"a gateway in front of the router has no router behind it, or {LIMITS}"
AGENT = "the router says that the agent failed it: see the agent's log of this moment"
REFUSALS: list[tuple[CallName, int, type[hydra.RouterError], str]] = [
    ("status", 400, hydra.RouterError, LOG),
    ("status", 401, hydra.UnauthorizedError, TOKEN),
    ("delete", 403, hydra.UnauthorizedError, TOKEN),
    ("status", 404, hydra.NotFoundError, NO_ROW),
    ("provision", 404, hydra.NotFoundError, URL),
    ("chat", 409, hydra.RouterError, LOG),
    ("chat", 413, hydra.RouterError, f"{TOO_LARGE}, or send a shorter message"),
    ("provision", 413, hydra.RouterError, TOO_LARGE),
    ("provision", 422, hydra.RejectedError, "correct the fields named above"),
    ("status", 429, hydra.RouterError, BUSY.format("")),
    ("status", 500, hydra.RouterError, LOG),
    (
        "chat",
        501,
        hydra.RouterError,
        "see the router's log; in a replay, do what the message above says",
    ),
    ("chat", 502, hydra.RouterError, AGENT),
    ("status", 502, hydra.RouterError, GONE),
    ("status", 503, hydra.RouterError, BUSY.format("")),
    ("status", 504, hydra.RouterError, SLOW),
    ("status", 399, hydra.RouterError, ELSEWHERE.format("an unnamed place")),
]


def error_of(request: Request, result: object, attempts: int = 1) -> hydra.HydraSmokeError:
    """Return the error of a call all of whose attempts went in the same way."""
    return failure(request, result, attempts, Earlier())


@pytest.mark.parametrize(("call", "code", "kind", "advice"), REFUSALS)
def test_a_refusal_has_its_kind_and_its_advice(
    call: CallName, code: int, kind: type[hydra.RouterError], advice: str
) -> None:
    answer = reply(code, {"detail": "no"})
    error = error_of(request(call), answer)
    assert type(error) is kind
    assert isinstance(error, hydra.RouterError)
    assert (error.status_code, error.detail, error.answer) == (code, "no", answer)
    assert error.form == form_of(code, "", answer.body, "x")
    assert str(error) == f"{call} was refused with {code}: no\n  next step: {advice}"


NGINX = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center>"
    b"<h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.26.3</center>\r\n</body>\r\n</html>"
)
HTML = {"content-type": "text/html"}
GATEWAYS: list[tuple[int, dict[str, str], str]] = [
    (413, {}, TOO_LARGE),
    (407, {}, PROXY),
    (504, {}, SLOW),
    (502, {}, GONE),
    (503, {"retry-after": "30"}, FULL.format(", and asks to wait 30 s")),
    (429, {}, f"a gateway in front of the router {LIMITS.format('')}"),
    (401, {}, SIGN_IN),
    (400, {}, CERTIFICATE),
    (500, {}, GATEWAY_LOG),
]


@pytest.mark.parametrize(("code", "headers", "advice"), GATEWAYS)
def test_a_gateways_refusal_names_it_its_title_and_its_limits(
    code: int, headers: dict[str, str], advice: str
) -> None:
    page = b"<html>\n<head><title>Not now</title></head><body>nothing else</body></html>"
    error = error_of(request(), reply(code, page, server="nginx", **HTML, **headers))
    assert isinstance(error, hydra.RouterError)
    assert (error.detail, error.form) == ("Not now", form_of(code, "text/html", page, "x"))
    told = f"status was refused with {code}: Not now (answered by nginx, text/html)"
    assert str(error) == f"{told}\n  next step: {advice}"


OWN = b'{"detail": "no"}'
CALLED = {"www-authenticate": 'Basic realm="staff only"'}
BR = {"content-encoding": "br"}
BY = "answered by an unnamed server, which"
UNNAMED = "(answered by an unnamed server, encoded as br)"
# Codes, headers and bodies; the message, or its end; what the advice begins with.
WHOSE: list[tuple[CallName, int, dict[str, str], bytes, str, str]] = [
    ("status", 401, {}, OWN, "401: no", TOKEN),
    ("status", 401, {"www-authenticate": 'bearer realm="x"'}, OWN, "401: no", TOKEN),
    ("status", 403, CALLED, OWN, f"403: no ({BY} asks for Basic, realm 'staff only')", SIGN_IN),
    ("status", 503, {"retry-after": "7"}, OWN, "503: no", BUSY.format(", and asks to wait 7 s")),
    ("status", 503, {}, b'{"message": "no"}', '503: {"message": "no"}', "a gateway"),
    ("chat", 502, {}, b'{"message": "no"}', '502: {"message": "no"}', GONE),
    ("status", 404, HTML, b'{"detail": "no <b>such</b> one"}', "404: no <b>such</b> one", NO_ROW),
    ("status", 502, BR, b"\x0b\x02\x80", f"502: (a body encoded as br) {UNNAMED}", GONE),
]


@pytest.mark.parametrize(("call", "code", "headers", "body", "words", "advice"), WHOSE)
def test_an_error_is_told_as_the_routers_by_its_form(
    call: CallName, code: int, headers: dict[str, str], body: bytes, words: str, advice: str
) -> None:
    error = error_of(request(call), reply(code, body, **headers))
    assert error.message.startswith(f"{call} was refused with {code}")
    assert error.message.endswith(words)
    assert error.next_step is not None
    assert error.next_step.startswith(advice)


def test_an_error_is_the_routers_by_its_form() -> None:
    for code, body, own in (
        *(
            (code, OWN, code in (404, 500, 503))
            for code in (404, 500, 503, 502, 504, 413, 520, 302)
        ),
        *(
            (503, body, False)
            for body in (b'{"message": "no"}', b'["detail"]', b"", b"[" * 100_000)
        ),
        (404, NGINX, False),
    ):
        assert hop.is_routers(reply(code, body)) is own


def test_a_refusal_counts_its_attempts_and_a_success_code_may_be_unknown() -> None:
    assert error_of(request(), reply(503), 7).message == "status was refused with 503 (7 attempts)"
    for code in (201, 202, 206, 299):
        error = error_of(request("poll"), reply(code, {"found": True}))
        assert type(error) is hydra.ContractError
        assert (error.expected, error.got) == ("200", str(code))


REACH = "check HYDRA_SMOKE_URL, name resolution, firewall, and the proxy (trust_env)"


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        *((refused(), REACH), (lost(), LOG), (late(), LOG)),
        (hydra.TransportError("x", reached=True, permanent=True, next_step="y"), "y"),
    ],
)
def test_a_lost_answer_keeps_what_is_known_of_it(fault: hydra.TransportError, advice: str) -> None:
    for attempts, tries in ((1, ""), (3, " (3 attempts)")):
        error = error_of(request(), fault, attempts)
        assert isinstance(error, hydra.TransportError)
        known = (type(error), error.reached, error.permanent)
        assert known == (type(fault), fault.reached, fault.permanent)
        assert str(error) == f"status: {fault.message}{tries}\n  next step: {advice}"


FIELD = b'{"detail": [{"loc": ["header", "authorization"], "msg": "bad", "input": "Bearer s3"}]}'
MANY = json.dumps({"detail": [{"loc": [str(n)], "msg": "m"} for n in range(12)]}).encode()
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
    "many fields": (MANY, "\n".join(f"{n}: m" for n in range(10))),
    "a field's value": (FIELD, "header.authorization: bad"),
}


def test_an_error_bodys_words() -> None:
    for body, words in DETAILS.values():
        assert detail_of(body) == words
    for body in (b"[" * 100_000, b'{"detail":' * 50_000):
        assert detail_of(body).startswith(body[:10].decode())
    # What can just be read may be too deep to be written again.
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit() + 10):
        body = b'{"detail": ' + b"[" * depth + b"]" * depth + b"}"
        assert isinstance(error_of(request(), reply(500, body)), hydra.RouterError)


PATH = f"{PREFIX}/instances/by-key/k?x=1"
NOT_FOLLOWED = "redirects are not followed"
CARRIED = "redirects would carry the token"
REDIRECTS: dict[str, str] = {
    **{
        f"{base}{PATH}": f"set HYDRA_SMOKE_URL to {base}: {CARRIED}"
        for base in (
            "https://www.router.example",
            "https://router.example:8443/api",
            "http://127.0.0.1:8080",
        )
    },
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
        ELSEWHERE.format("https://sso.example/login?next=\\x1b[1m")
    ),
}


@pytest.mark.parametrize("to", REDIRECTS, ids=ascii)
def test_a_redirects_advice_can_be_followed(to: str) -> None:
    error = error_of(Request("poll", "GET", PATH), reply(302, location=to))
    assert error.next_step == REDIRECTS[to]
    for url in re.findall(r"(?:URL to|try) (https?://\S+?)(?::? |$)", error.next_step):
        assert url_problem(url, allow_http=False) is None


@examples(50, 5_000)
@for_any(
    st.dictionaries(
        st.sampled_from(["server", "via", "content-type", "content-encoding", "www-authenticate"]),
        st.text(max_size=300),
    ),
    *(st.binary(max_size=300), st.integers(300, 599)),
)
def test_whatever_answers_its_words_are_harmless_and_short(
    headers: dict[str, str], body: bytes, code: int
) -> None:
    error = error_of(request(), reply(code, body, **headers))
    assert len(str(error)) < 3000
    assert harmless(str(error)) == str(error)
    str(error).encode()
    assert hop.is_ascii_in(hop.charset_of(headers)) in (True, False)
