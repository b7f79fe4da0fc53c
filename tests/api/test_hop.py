"""What sent an answer that is not the router's, as far as it tells."""

from __future__ import annotations

import pytest
from asking import request

from pytest_hydrasmoke._api import hop

HTML = {"content-type": "text/html"}
TEXT = {"content-type": "text/plain"}
UNTITLED = "(a page without a title)"
HAPROXY = (
    b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this "
    b"request.\n</body></html>\n"
)
WORDS: dict[str, tuple[dict[str, str], bytes, str]] = {
    "haproxy, which has no title": (HTML, HAPROXY, "503 Service Unavailable"),
    "XHTML": ({"content-type": "Application/XHTML+XML;x"}, b"<title>a</title>", "a"),
    "by its beginning": ({}, b"\n <!DOCTYPE HTML><TITLE lang=en>No\n  way</TITLE>", "No way"),
    "entities and tags": (HTML, b"<title>a &amp; <b>b</b>&#58;</title>", "a & b :"),
    "an empty title": (HTML, b"<title> </title><h1>Down</h1>", "Down"),
    "no title": (HTML, b"<p>much that nobody wants to read", UNTITLED),
    "a title too late": (HTML, b"<p>" + b" " * 9000 + b"<title>x</title>", UNTITLED),
    "a title that never ends": (HTML, b"<title>" * 2000, UNTITLED),
    "text": (TEXT, b"no healthy\n upstream", "no healthy upstream"),
    "text with a title": (TEXT, b"a <title>x</title>", "a <title>x</title>"),
    "nothing": ({}, b"", ""),
    "br": ({**HTML, "content-encoding": "br"}, HAPROXY, "(a body encoded as br)"),
    "a command": (
        HTML,
        b"<title>::error::x ##[group]\x1b[1m</title>",
        ": :error::x # #[group]\\x1b[1m",
    ),
    "a text that is called a page": (HTML, b"no way", "no way"),
    "a long title": (
        HTML,
        b"<title>" + b"x" * 3000 + b"</title>",
        "x" * 200 + "… (2800 more characters)",
    ),
}


@pytest.mark.parametrize("case", WORDS)
def test_a_page_says_its_title_and_a_text_itself(case: str) -> None:
    headers, body, words = WORDS[case]
    assert hop.words_of(headers, body) == words


BASIC = {"www-authenticate": 'Basic realm="staff only"'}
TOLD: list[tuple[dict[str, str], str]] = [
    ({}, ""),
    ({"server": "nginx/1.26.3", **HTML}, "nginx/1.26.3, text/html"),
    (HTML, "an unnamed server, text/html"),
    (
        {"server": "squid/6.13", "via": "1.1 proxy.example", **TEXT},
        "squid/6.13, via 1.1 proxy.example, text/plain",
    ),
    ({"via": "1.1 edge"}, "an unnamed server, via 1.1 edge"),
    ({"server": "Caddy"}, "Caddy"),
    ({"server": "e", "content-encoding": "br"}, "e, encoded as br"),
    ({"server": "e", "content-encoding": "identity"}, "e"),
    ({"server": "nginx", **BASIC}, "nginx, which asks for Basic, realm 'staff only'"),
    (
        {"server": "::error::\x1b[1m" + "x" * 200},
        ": :error::\\x1b[1m" + "x" * 67 + "… (133 more characters)",
    ),
]
CHALLENGES: dict[str, str | None] = {
    "": None,
    "  ": None,
    "Bearer": "Bearer",
    'Basic realm="a \\"b\\""': "Basic, realm 'a \\\\\"b\\\\\"'",
    "Digest realm=staff, nonce=x": "Digest, realm 'staff'",
    "Negotiate, Basic realm=x": "Negotiate, realm 'x'",
    'Bearer error="invalid_token"': "Bearer",
    'Basic realm=""': "Basic, realm ''",
    "Basic " + "x" * 495 + "realm=late": "Basic",
}


def test_who_answered_is_told_by_its_own_words() -> None:
    for headers, told in TOLD:
        assert hop.answered_by(headers) == (told and f" (answered by {told})")
    for header, asked in CHALLENGES.items():
        assert hop.challenge({"www-authenticate": header}) == asked


def test_encodings_and_charsets_that_no_answer_can_have_are_told() -> None:
    for coding in ("Identity", " identity ", ""):
        assert hop.unreadable({"content-encoding": coding}) is None
    for coding in ("gzip", "deflate", "br", "gzip, br"):
        assert hop.unreadable({"content-encoding": f" {coding.upper()}"}) == coding
    odd = "in charset iso-8859-1, and was read as UTF-8, which every event stream is"
    streams = {"": None, "; charset=utf-8": None, ";charset=US-ASCII": None}
    for parameter, told in {**streams, ';charset="ISO-8859-1"': odd}.items():
        kind = {"content-type": f"text/event-stream{parameter}"}
        assert hop.oddity(request("chat"), kind) == told
        assert hop.oddity(request("status"), kind) is None
    assert hop.oddity(request("chat"), {}) is None
    for charset in ("", "utf-8", "latin-1", "utf-7", "nobody-knows", "base64", "idna", "a\0b"):
        assert hop.is_ascii_in(charset)
    for charset in ("utf-16", "utf-32le", "cp037"):
        assert not hop.is_ascii_in(charset)
