"""Runs through a proxy, as it is and as it is often set: it works, or one error says what is on.

HAProxy tells its name nowhere, and Caddy's refusals have no body.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from blocks import blocks
from fastapi.responses import Response
from infra_tools import Seen, Upstream, proxy, see
from plugin_tools import Project
from shown import ROOT
from twin import Row

pytestmark = pytest.mark.infra

Serving = Callable[..., int]
Through = Callable[..., Seen]
PAGE = ROOT / "docs" / "pipelines" / "network.md"
SLOW = {"first": 1.3, "pause": 0.05, "words": tuple("abcdefgh")}
"""An agent that thinks first, and is read as it speaks."""
SILENT = {"after_words": 20.0}
"""One that falls silent for longer than anybody waits here."""
HELD_BACK = "note: a chat's stream came all at once"
ZONE = "limit_req_zone $binary_remote_addr zone=z:1m rate={};"
LOOKS = """
def test_it(smoke_instance):
    turn = smoke_instance.chat("hello")
    arrivals = [event.at for event in turn.events if event.text]
    pauses = [after - before for before, after in zip(arrivals, arrivals[1:])]
    assert sum(pause > 0.02 for pause in pauses) >= 5, pauses
"""
PAUSES = """
import time

def test_it(smoke_instance):
    # Some of the connections that are kept are closed just as they are used.
    for n in range(16):
        assert smoke_instance.chat("hello").complete
        time.sleep(0.99 + n / 800)
"""


def unbuffered(self: Upstream, row: Row, message: str) -> Response:
    answer = Upstream.stream(self, row, message)
    answer.headers["x-accel-buffering"] = "no"
    return answer


def shown(name: str) -> str:
    """Return the lines that the documentation shows for a proxy."""
    [block] = [it for it in blocks(PAGE) if it.name == name]
    return block.text.replace("\n", "\n  ")


def rows(table: Mapping[str, Mapping[str, object]]) -> list[Any]:
    """Return a table's rows as parameters, each with its proxy."""
    return [
        pytest.param(name, row, id=f"{name}: {case}")
        for name, cases in table.items()
        for case, row in cases.items()
    ]


NONE: dict[str, Any] = {}


class Working(NamedTuple):
    """A proxy's lines, the rules of the router behind it, and a run's settings and notes."""

    lines: dict[str, str] = NONE
    router: dict[str, Any] = NONE
    settings: dict[str, object] = NONE
    notes: str = ""


WORKING = {
    "nginx": {
        "as it is": Working(),
        "an upstream in HTTP/1.0": Working({"location": "proxy_http_version 1.0;"}),
        "an upstream in HTTP/1.1": Working(
            {"location": 'proxy_http_version 1.1; proxy_set_header Connection "";'}
        ),
        "nothing buffered": Working(
            {"location": "proxy_buffering off; proxy_request_buffering off;"}
        ),
        "small buffers": Working(
            {"location": "proxy_buffer_size 1k; proxy_buffers 2 1k; proxy_busy_buffers_size 1k;"}
        ),
        "no connection twice": Working({"location": "keepalive_timeout 0;"}),
        "a keep-alive of a second": Working(
            # A connection that ends just as a request leaves is another one's second attempt.
            {"server": "keepalive_timeout 1s;"},
            settings={"suite": PAUSES},
            notes="*",
        ),
        "a gentle rate limit": Working(
            {"http": ZONE.format("5r/s"), "location": "limit_req zone=z;"},
            settings={"ready_timeout": 20, "delete_timeout": 20},
            notes="note: * requests were repeated",
        ),
        # A stream that is buffered is noted, and no other.
        "a stream is buffered": Working(router=SLOW, notes=f"*{HELD_BACK}*"),
        "unbuffered by its setting": Working({"location": "proxy_buffering off;"}, SLOW),
        "unbuffered by the router's header": Working(router={**SLOW, "stream": unbuffered}),
        "as the page shows it": Working(
            {"location": shown("location.conf")}, SLOW, {"suite": LOOKS}
        ),
    },
    "haproxy": {
        "as it is": Working(),
        "closing every connection": Working({"defaults": "option httpclose"}),
        "an upstream in HTTP/1.0": Working({"backend": "http-request set-header connection close"}),
        "a keep-alive of a second": Working({"defaults": "timeout http-keep-alive 1s"}, notes="*"),
        # By default it sends what it has after a quarter of a second.
        "words gathered for a moment": Working(router={**SLOW, "pause": 0.06}),
        "without a delay": Working({"defaults": "option http-no-delay"}, {**SLOW, "pause": 0.06}),
        "as the page shows it": Working({"backend": shown("backend.cfg")}, SLOW, {"suite": LOOKS}),
    },
    "caddy": {"as it is": Working(router=SLOW)},
}


@pytest.mark.parametrize(("name", "row"), rows(WORKING))
def test_a_run_works(through: Through, serving: Serving, name: str, row: Working) -> None:
    seen = through(name, serving(**row.router), row.settings, **row.lines)
    assert (seen.passed, seen.errors) == (True, [])
    assert fnmatchcase(" ".join(seen.notes), row.notes), seen.notes


def test_a_stream_in_gzip_is_named(project: Project, tmp_path: Path, upstream: int) -> None:
    packs = "gzip on; gzip_types text/event-stream application/json; gzip_min_length 1;"
    packs += "gzip_http_version 1.0; gzip_proxied any;"
    asks = "proxy_set_header Accept-Encoding gzip;"
    with (
        proxy("nginx", tmp_path, upstream, http=packs, location="proxy_buffering off;") as inner,
        proxy("nginx", tmp_path, inner, location=asks) as port,
    ):
        error = see(project, f"http://127.0.0.1:{port}").error
    assert "answered in an encoding that was not asked for" in error
    assert "content-encoding: gzip (answered by nginx" in error


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that takes connections, and says nothing."""
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        it.listen()
        yield it.getsockname()[1]


class Failing(NamedTuple):
    """A proxy's lines, what is told of it, and the rules of the router behind it, or who is."""

    lines: dict[str, str]
    words: tuple[str, ...]
    """As `fnmatch` reads them."""
    behind: dict[str, Any] | str = NONE


FAILING = {
    "nginx": {
        "a tiny body limit": Failing(
            {"server": "client_max_body_size 10;"},
            ("413: 413 Request Entity Too Large (answered by nginx/", "client_max_body_size"),
        ),
        "its own sign-in": Failing(
            {"server": 'auth_basic "staff only"; auth_basic_user_file /dev/null;'},
            (
                "401 Authorization Required",
                "Basic, realm 'staff only'",
                "a gateway in front of the router",
            ),
        ),
        "forbidden": Failing({"server": "deny all;"}, ("403 Forbidden (answered by nginx/",)),
        "a redirect to https": Failing(
            {"server": "return 301 https://$host:8443$request_uri;"},
            ("301 Moved Permanently", "set HYDRA_SMOKE_URL to https://127.0.0.1:8443:"),
        ),
        "a redirect to another host": Failing(
            {"server": "return 302 http://router.example$request_uri;"},
            ("302 Found", "in clear", "try https://router.example as"),
        ),
        "a sign-in page elsewhere": Failing(
            {"server": "return 302 https://sso.example/login;"},
            ("it leads to https://sso.example/login, where the router is not",),
        ),
        "a page in the router's place": Failing(
            {
                "server": "default_type text/html; "
                "return 200 '<title>Welcome to nginx!</title><p>x';"
            },
            ("got: Welcome to nginx! (answered by nginx/",),
        ),
        "a page of its own": Failing(
            {
                "server": "error_page 418 @down; return 418; location @down { default_type "
                "text/html; return 503 '<title>Down for maintenance</title><p>x'; }"
            },
            ("418: Down for maintenance (answered by nginx/",),
        ),
        "a rate limit": Failing(
            {"http": ZONE.format("1r/m"), "location": "limit_req zone=z;"},
            ("503 Service Temporarily Unavailable (answered by nginx/", "limit_req", "attempts"),
        ),
        "a rate limit that says 429": Failing(
            {"http": ZONE.format("1r/m"), "location": "limit_req zone=z; limit_req_status 429;"},
            ("429 Too Many Requests (answered by nginx/", "limit_req", "attempts"),
        ),
        "an upstream that is gone": Failing(
            {},
            ("502 Bad Gateway (answered by nginx/", "the gateway did not reach the router"),
            "nobody",
        ),
        "an upstream that is silent": Failing(
            {"location": "proxy_read_timeout 1s;"}, ("504", "nginx: proxy_read_timeout"), "deaf"
        ),
        "an idle timeout below the agent's silence": Failing(
            {"location": "proxy_read_timeout 5s; proxy_buffering off;"},
            ("the stream was cut after 5.? s of silence", "nginx: proxy_read_timeout"),
            SILENT,
        ),
        "an idle timeout before the first event": Failing(
            {"location": "proxy_read_timeout 5s;"},
            ("after 5.? s of silence", "phase: first_event", "nginx: proxy_read_timeout"),
            {"first": 20.0},
        ),
    },
    "haproxy": {
        "a rate limit": Failing(
            {"front": "http-request deny deny_status 429"},
            ("429 Too Many Requests (answered by an unnamed server, text/html)", "rate"),
        ),
        "forbidden": Failing(
            {"front": "http-request deny"},
            ("403 Forbidden (answered by an unnamed server, text/html)",),
        ),
        "a sign-in": Failing(
            {"front": 'http-request auth realm "staff only"'},
            ("401 Unauthorized", "Basic, realm 'staff only'", "a gateway in front of the router"),
        ),
        "a redirect to https": Failing(
            {"front": "http-request redirect scheme https code 308"},
            ("308", "set HYDRA_SMOKE_URL to https://127.0.0.1:"),
        ),
        "a tiny body limit": Failing(
            {"front": "http-request deny deny_status 413 if { req.body_size gt 10 }"},
            ("413 Payload Too Large", "limit"),
        ),
        "an upstream that is gone": Failing(
            {"defaults": "timeout connect 100ms\n  retries 0"},
            (
                "503 Service Unavailable (answered by an unnamed server, text/html)",
                "a gateway in front of the router has no router behind it",
            ),
            "nobody",
        ),
        "an upstream that is silent": Failing(
            {"backend": "timeout server 1s"}, ("504", "HAProxy: timeout server"), "deaf"
        ),
        # It has gathered the last words for a moment, in which there was no silence yet.
        "an idle timeout below the agent's silence": Failing(
            {"backend": "timeout server 5s"},
            ("the stream was cut after", "s of silence", "HAProxy: timeout server"),
            SILENT,
        ),
    },
    "caddy": {
        # Its password is one that nobody has.
        "a sign-in": Failing(
            {
                "site": "basicauth {\n    somebody "
                "$2a$04$abcdefghijklmnopqrstuuLQaOmjTGvXSNrVYK6jWA9dpMbRiNMRm\n  }"
            },
            (
                "401",
                "answered by Caddy",
                "Basic, realm 'restricted'",
                "a gateway in front of the router",
            ),
        ),
        # Caddy 2.6 says 502 of it, newer ones 413.
        "a tiny body limit": Failing(
            {"site": "request_body {\n    max_size 10\n  }"}, ("answered by Caddy",)
        ),
        "a page in the router's place": Failing(
            {"site": 'header Content-Type text/html\n  respond "<h1>It works!</h1>" 200'},
            ("got: It works! (answered by Caddy, text/html)",),
        ),
        "a redirect": Failing(
            {"site": "redir https://www.router.example{uri}"},
            ("302", "set HYDRA_SMOKE_URL to https://www.router.example:"),
        ),
        "an upstream that is gone": Failing(
            {},
            ("502", "answered by Caddy", "the gateway did not reach the router"),
            "nobody",
        ),
    },
}


@pytest.mark.parametrize(("name", "row"), rows(FAILING))
def test_what_keeps_a_run_from_its_router_is_told_as_its_own(
    through: Through, serving: Serving, deaf: int, name: str, row: Failing
) -> None:
    ports = {"nobody": 9, "deaf": deaf}
    port = ports[row.behind] if isinstance(row.behind, str) else serving(**row.behind)
    error = through(name, port, {"ready_timeout": 4, "chat_timeout": 15}, **row.lines).error
    assert [it for it in row.words if not fnmatchcase(error, f"*{it}*")] == [], error
    assert "<" not in error, "a tag"


def test_after_a_body_limit_the_key_stays_open(
    project: Project, through: Through, upstream: int
) -> None:
    through("nginx", upstream, {"delete_timeout": 1}, server="client_max_body_size 10;")
    [instance] = project.report()["instances"]
    assert instance["outcome"] == "leaked"
    assert "answered with 413" in str(instance["leak"])
