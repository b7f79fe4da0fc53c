"""Who has answered in the router's place, as far as an answer tells."""

from __future__ import annotations

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st
from scripted_io import reply

from pytest_hydrasmoke import ContractError, PollResult, RouterError
from pytest_hydrasmoke._api.hop import (
    answered_by,
    challenge,
    charset_of,
    is_ascii_in,
    is_routers,
    oddity,
    unreadable,
    words_of,
)
from pytest_hydrasmoke._api.responses import failure, parse
from pytest_hydrasmoke._base.text import harmless
from pytest_hydrasmoke._transport.protocol import CallName, Request

NGINX = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center>"
    b"<h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.26.3</center>\r\n</body>\r\n</html>"
)
HAPROXY = (
    b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this "
    b"request.\n</body></html>\n"
)
HTML = {"content-type": "text/html"}
TEXT = {"content-type": "text/plain"}


def request(call: CallName = "status") -> Request:
    return Request(call, "GET", "/x")


WORDS: dict[str, tuple[dict[str, str], bytes, str]] = {
    "nginx": (HTML, NGINX, "502 Bad Gateway"),
    "haproxy, which has no title": (HTML, HAPROXY, "503 Service Unavailable"),
    "a page by its beginning": (
        {},
        b"\n <!DOCTYPE HTML><TITLE lang=en>No\n  way</TITLE>",
        "No way",
    ),
    "entities and tags": (HTML, b"<title>a &amp; <b>b</b>&#58;</title>", "a & b :"),
    "an empty title": (HTML, b"<title> </title><h1>Down</h1>", "Down"),
    "no title": (HTML, b"<p>much that nobody wants to read", "(a page without a title)"),
    "a title too late": (
        HTML,
        b"<p>" + b" " * 9000 + b"<title>x</title>",
        "(a page without a title)",
    ),
    "a title that never ends": (HTML, b"<title>" * 2000, "(a page without a title)"),
    "text": (TEXT, b"no healthy\n upstream", "no healthy upstream"),
    "text with a title": (TEXT, b"a <title>x</title>", "a <title>x</title>"),
    "nothing": ({}, b"", ""),
    "br": ({**HTML, "content-encoding": "br"}, NGINX, "(a body encoded as br)"),
    "a command": (
        HTML,
        b"<title>::error::x ##[group]\x1b[1m</title>",
        ": :error::x # #[group]\\x1b[1m",
    ),
    "a text that is called a page": (HTML, b"no way", "no way"),
    "a long title": (HTML, b"<title>" + b"x" * 300, "(a page without a title)"),
    "a very long title": (
        HTML,
        b"<title>" + b"x" * 3000 + b"</title>",
        "x" * 200 + "… (2800 more characters)",
    ),
}


@pytest.mark.parametrize("case", WORDS)
def test_a_page_says_its_title_and_a_text_itself(case: str) -> None:
    headers, body, words = WORDS[case]
    assert words_of(headers, body) == words


TOLD: list[tuple[dict[str, str], str]] = [
    ({}, ""),
    ({"server": "nginx/1.26.3", **HTML}, "nginx/1.26.3, text/html"),
    (HTML, "an unnamed server, text/html"),
    (
        {"server": "squid/6.13", "via": "1.1 proxy.example (squid/6.13)", **TEXT},
        "squid/6.13, via 1.1 proxy.example (squid/6.13), text/plain",
    ),
    ({"via": "1.1 edge"}, "an unnamed server, via 1.1 edge"),
    ({"server": "Caddy"}, "Caddy"),
    ({"server": "e", "content-encoding": "br"}, "e, encoded as br"),
    ({"server": "e", "content-encoding": "identity"}, "e"),
    (
        {"server": "nginx", "www-authenticate": 'Basic realm="staff only"'},
        "nginx, which asks for Basic, realm 'staff only'",
    ),
    (
        {"server": "::error::\x1b[1m" + "x" * 200},
        ": :error::\\x1b[1m" + "x" * 67 + "… (133 more characters)",
    ),
]


def test_who_answered_is_told_by_its_own_words() -> None:
    for headers, told in TOLD:
        assert answered_by(headers) == (told and f" (answered by {told})")


CHALLENGES: dict[str, str | None] = {
    "": None,
    "  ": None,
    "Bearer": "Bearer",
    'Basic realm="a \\"b\\""': "Basic, realm 'a \\\\\"b\\\\\"'",
    "Digest realm=staff, nonce=x": "Digest, realm 'staff'",
    "Negotiate, Basic realm=x": "Negotiate, realm 'x'",
    'Bearer error="invalid_token"': "Bearer",
    'Basic realm=""': "Basic, realm ''",
}


def test_a_challenge_is_a_scheme_and_a_realm() -> None:
    for header, told in CHALLENGES.items():
        assert challenge({"www-authenticate": header}) == told


def test_a_gateways_401_is_not_told_as_a_wrong_token() -> None:
    page = b"<html><head><title>401 Authorization Required</title></head></html>"
    basic = {"www-authenticate": 'Basic realm="staff only"'}
    error = failure(request(), reply(401, page, server="nginx/1.26.3", **HTML, **basic), 1)
    assert str(error) == (
        "status was refused with 401: 401 Authorization Required (answered by nginx/1.26.3, "
        "text/html, which asks for Basic, realm 'staff only')\n"
        "  next step: this may be a gateway in front of the router, with its own sign-in: "
        "exempt the router's paths from it; else check HYDRA_SMOKE_TOKEN (else "
        "OPS_BEARER_TOKEN): is it this environment's token?"
    )


@pytest.mark.parametrize(
    ("asked", "own"), [("", True), ("Bearer", True), ('bearer realm="x"', True), ("Basic", False)]
)
def test_the_routers_own_401_is_about_the_token(asked: str, own: bool) -> None:
    headers = {"www-authenticate": asked} if asked else {}
    error = failure(request(), reply(401, {"detail": "Not authenticated"}, **headers), 1)
    by = "" if own else " (answered by an unnamed server, which asks for Basic)"
    assert error.message == f"status was refused with 401: Not authenticated{by}"
    assert error.next_step is not None
    assert error.next_step.startswith("check HYDRA_SMOKE_TOKEN") is own


OWN = b'{"detail": "no"}'
ROUTERS: list[tuple[int, bytes, bool]] = [
    (404, OWN, True),
    (500, OWN, True),
    (503, OWN, True),
    (502, OWN, False),
    (504, OWN, False),
    (413, OWN, False),
    (520, OWN, False),
    (302, OWN, False),
    (503, b'{"message": "no"}', False),
    (503, b'["detail"]', False),
    (503, b"", False),
    (503, b"[" * 100_000, False),
    (404, NGINX, False),
]


def test_an_error_is_the_routers_by_its_form() -> None:
    for code, body, own in ROUTERS:
        assert is_routers(reply(code, body)) is own


def test_only_a_message_can_be_shorter() -> None:
    chat = failure(Request("chat", "POST", "/chat", {"message": "hello"}), reply(413), 1)
    assert "or send a shorter message" in str(chat)
    provision = failure(Request("provision", "POST", "/provision", {}), reply(413), 1)
    assert "shorter" not in str(provision)


@pytest.mark.parametrize(
    ("code", "words", "advice"),
    [
        (413, "413 Request Entity Too Large", "client_max_body_size"),
        (407, "407 Proxy Authentication Required", "HTTP_PROXY (http://USER:PASSWORD@HOST:PORT)"),
        (504, "504 Gateway Time-out", "proxy_read_timeout"),
        (502, "502 Bad Gateway", "the gateway did not reach the router"),
        (503, "503 Service Temporarily Unavailable", "limit_req"),
        (429, "429 Too Many Requests", "limit_req"),
        (400, "400 No required SSL certificate was sent", "HYDRA_SMOKE_CLIENT_CERT"),
        (400, "400 The plain HTTP request was sent to HTTPS port", "https://"),
        (500, "500 Internal Server Error", "the log of what answered"),
    ],
)
def test_a_gateways_refusal_names_it_its_title_and_its_limits(
    code: int, words: str, advice: str
) -> None:
    page = f"<html>\n<head><title>{words}</title></head><body>nothing else</body></html>".encode()
    error = failure(request(), reply(code, page, server="nginx", **HTML), 1)
    assert isinstance(error, RouterError)
    assert error.detail == words
    assert error.message == (
        f"status was refused with {code}: {words} (answered by nginx, text/html)"
    )
    assert error.next_step is not None
    assert advice in error.next_step
    assert "see the router's log of this moment" not in error.next_step


@pytest.mark.parametrize(("body", "own"), [(OWN, True), (b'{"message": "no"}', False)])
def test_a_502_with_the_routers_words_about_a_chat_is_about_its_agent(
    body: bytes, own: bool
) -> None:
    chat = Request("chat", "POST", "/chat", {"message": "hello"})
    for asked, about_agent in ((chat, own), (request(), False)):
        advice = failure(asked, reply(502, body), 1).next_step
        assert advice is not None
        assert ("see the agent's log" in advice) is about_agent
        assert advice.startswith("the gateway did not reach the router") is not about_agent


def test_advice_after_a_page_in_place_of_an_answer_is_about_what_answered() -> None:
    page = b"<html><head><title>Sign in</title></head></html>"
    with pytest.raises(ContractError) as caught:
        parse(PollResult, request(), reply(200, page, server="nginx", **HTML))
    assert caught.value.got == "Sign in (answered by nginx, text/html)"
    assert caught.value.next_step is not None
    assert "sign-in" in caught.value.next_step
    assert "openapi" not in caught.value.next_step


def test_the_routers_own_words_are_shown_whatever_type_they_have() -> None:
    error = failure(request(), reply(404, {"detail": "no <b>such</b> one"}, **HTML), 1)
    assert error.message == "status was refused with 404: no <b>such</b> one"


def test_an_error_that_can_not_be_read_is_not_shown() -> None:
    error = failure(request(), reply(502, b"\x0b\x02\x80", content_encoding="br"), 1)
    assert error.message == (
        "status was refused with 502: (a body encoded as br) "
        "(answered by an unnamed server, encoded as br)"
    )


ODD: list[tuple[CallName, dict[str, str], str | None]] = [
    ("status", {}, None),
    ("chat", {"content-type": "text/event-stream; charset=utf-8"}, None),
    ("chat", {"content-type": "text/event-stream"}, None),
    (
        "chat",
        {"content-type": 'text/event-stream;charset="ISO-8859-1"'},
        "in charset iso-8859-1, and was read as UTF-8, which every event stream is",
    ),
    ("status", {"content-type": "application/json; charset=latin-1"}, None),
]


def test_a_charset_that_no_stream_has_is_told() -> None:
    for call, headers, odd in ODD:
        assert oddity(request(call), headers) == odd


def test_a_body_in_an_encoding_is_not_readable() -> None:
    for coding in ("Identity", " identity ", ""):
        assert unreadable({"content-encoding": coding}) is None
    for coding in ("gzip", "deflate", "br", "gzip, br"):
        assert unreadable({"content-encoding": f" {coding.upper()}"}) == coding


def test_a_charset_has_the_names_of_fields_in_ascii_or_not() -> None:
    for charset in ("", "utf-8", "latin-1", "utf-7", "nobody-knows", "base64", "idna", "a\0b"):
        assert is_ascii_in(charset)
    for charset in ("utf-16", "utf-32le", "cp037"):
        assert not is_ascii_in(charset)


@for_any(
    st.dictionaries(
        st.sampled_from(["server", "via", "content-type", "content-encoding", "www-authenticate"]),
        st.text(max_size=300),
    ),
    st.binary(max_size=300),
    st.integers(300, 599),
)
def test_whatever_answers_its_words_are_harmless_and_short(
    headers: dict[str, str], body: bytes, code: int
) -> None:
    error = failure(request(), reply(code, body, **headers), 1)
    assert len(str(error)) < 3000
    assert harmless(str(error)) == str(error)
    assert is_ascii_in(charset_of(headers)) in (True, False)
