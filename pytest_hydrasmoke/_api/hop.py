"""What sent an answer that is not the router's, such as a proxy or a gateway, by its own words.

None of it is trusted: it is cut, and made safe to print.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Mapping

from pytest_hydrasmoke._base.evidence import object_in
from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._transport.protocol import Answer, Request

Headers = Mapping[str, str]

_NAME = 80
_LOOKED_AT = 8_192
"""Characters of a page in which its title is looked for."""
_TYPE = "content-type"
_OF_GATEWAYS = frozenset({407, 411, 413, 414, 421, 431, 502, 504})
"""Refusals by gateways in front of a router, whatever form they have."""
_HEADLINES = tuple(
    # HAProxy's own pages have no title.
    re.compile(rf"<{tag}\b[^<>]*>(.*?)</{tag}\b", re.IGNORECASE | re.DOTALL)
    for tag in ("title", "h1")
)
_TAG = re.compile(r"<[^<>]*>")
_REALM = re.compile(r'\brealm\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', re.IGNORECASE)


def words_of(headers: Headers, body: bytes) -> str:
    """Return what a body that is no JSON says: a page's title, else its heading, or the text."""
    if (coding := unreadable(headers)) is not None:
        return f"(a body encoded as {coding})"
    text = body.decode("utf-8", "replace")
    if not is_page(headers, body) or _TAG.search(text, 0, _LOOKED_AT) is None:
        return safe_line(text)
    found = (pattern.search(text, 0, _LOOKED_AT) for pattern in _HEADLINES)
    titles = (html.unescape(_TAG.sub(" ", hit[1])).strip() for hit in found if hit is not None)
    return safe_line(next(filter(None, titles), "(a page without a title)"))


def is_page(headers: Headers, body: bytes) -> bool:
    """Return whether an answer is HTML, by its content type or by its beginning."""
    return media_type(headers) in ("text/html", "application/xhtml+xml") or bool(
        re.match(rb"\s*<(!doctype html|html)\b", body[:200], re.IGNORECASE)
    )


def is_routers(answer: Answer) -> bool:
    """Return whether an error is in the form of the router's contract: JSON with a `detail`."""
    if 300 <= answer.status < 400 or answer.status in _OF_GATEWAYS or answer.status > 504:
        return False
    return has_detail(answer)


def has_detail(answer: Answer) -> bool:
    """Return whether an answer is JSON with a `detail`."""
    return "detail" in (object_in(answer.body) or ())


def turns_away(answer: Answer) -> bool:
    """Return whether a 401 or 403 comes, by its form, from a gateway in front of the router.

    It then has another form than the router's errors, or asks for other credentials than a token.
    """
    if answer.status not in (401, 403):
        return False
    asked = challenge(answer.headers)
    return not is_routers(answer) or (
        asked is not None and asked.partition(",")[0].lower() != "bearer"
    )


def answered_by(headers: Headers) -> str:
    """Return what answered, in brackets, to come after a message; empty if nothing tells.

    That is its `Server` and `Via`, the answer's type and encoding, and what it asks for.
    """
    names = ("server", "via", _TYPE)
    server, via, kind = (safe_line(headers.get(name, ""), _NAME) for name in names)
    known = [f"via {via}" if via else "", kind]
    if (coding := unreadable(headers)) is not None:
        known.append(f"encoded as {coding}")
    if (asked := challenge(headers)) is not None:
        known.append(f"which asks for {asked}")
    known = [text for text in known if text]
    if not server and not known:
        return ""
    return f" (answered by {', '.join([server or 'an unnamed server', *known])})"


def challenge(headers: Headers) -> str | None:
    """Return scheme and realm that `WWW-Authenticate` asks for; None without one."""
    text = headers.get("www-authenticate", "")[:500].strip()
    if not text:
        return None
    scheme, realm = safe_line(re.split(r"[\s,]", text)[0], _NAME), _REALM.search(text)
    if realm is None:
        return scheme
    return f"{scheme}, realm {safe_line(realm[1] or realm[2] or '', _NAME)!r}"


def unreadable(headers: Headers) -> str | None:
    """Return the encoding of a body, such as gzip, which no request asks for; None without one."""
    coding = headers.get("content-encoding", "").strip().lower()
    return safe_line(coding, _NAME) if coding not in ("", "identity") else None


def oddity(request: Request, headers: Headers) -> str | None:
    """Return a note on a charset that no event stream has; None without one."""
    charset = charset_of(headers)
    if request.call != "chat" or charset in ("", "utf-8", "utf8", "us-ascii"):
        return None
    return f"in charset {charset}, and was read as UTF-8, which every event stream is"


def charset_of(headers: Headers) -> str:
    """Return the charset that a content type names, in lower case."""
    found = re.search(r';\s*charset\s*=\s*"?([^\s;"]+)', headers.get(_TYPE, ""), re.IGNORECASE)
    return safe_line(found[1].lower(), _NAME) if found else ""


def is_ascii_in(charset: str) -> bool:
    """Return whether the names of an event stream's fields are ASCII in a charset."""
    try:
        # What is no charset of text has no `encode` for it, and no lookup.
        return codecs.lookup(charset).encode("data: x\n")[0] == b"data: x\n"
    except (LookupError, ValueError, TypeError):
        return True


def media_type(headers: Headers) -> str:
    """Return the type that a content type names, in lower case, without its parameters."""
    return headers.get(_TYPE, "").partition(";")[0].strip().lower()
