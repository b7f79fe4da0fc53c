"""A run through nginx, as it is and as it is often set: it works, or one error says what is on."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.responses import Response
from infra_tools import Upstream, nginx, see
from plugin_tools import Project
from twin import Row

pytestmark = pytest.mark.infra

Serving = Callable[..., int]
SLOW = {"first": 1.3, "pause": 0.05, "words": tuple("abcdefgh")}
"""An agent that thinks first, and is read as it speaks."""
SILENT = {"after_words": 20.0}
"""One that falls silent for longer than anybody waits here."""
HELD_BACK = "note: a chat's stream came all at once"


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that takes connections, and says nothing."""
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        it.listen()
        yield it.getsockname()[1]


WORKING = {
    "as it is": "",
    "an upstream in HTTP/1.0": "proxy_http_version 1.0;",
    "an upstream in HTTP/1.1": 'proxy_http_version 1.1; proxy_set_header Connection "";',
    "nothing buffered": "proxy_buffering off; proxy_request_buffering off;",
    "small buffers": "proxy_buffer_size 1k; proxy_buffers 2 1k; proxy_busy_buffers_size 1k;",
    "no connection twice": "keepalive_timeout 0;",
}


@pytest.mark.parametrize("case", WORKING)
def test_a_run_works(project: Project, tmp_path: Path, upstream: int, case: str) -> None:
    with nginx(tmp_path / "nginx", upstream, location=WORKING[case]) as port:
        seen = see(project, f"http://127.0.0.1:{port}")
    assert (seen.passed, seen.errors) == (True, [])


def test_a_stream_that_is_buffered_is_noted(
    project: Project, tmp_path: Path, serving: Serving
) -> None:
    with nginx(tmp_path / "nginx", serving(**SLOW)) as port:
        seen = see(project, f"http://127.0.0.1:{port}")
    assert seen.passed
    assert [it for it in seen.notes if it.startswith(HELD_BACK)]


@pytest.mark.parametrize("how", ["by its setting", "by the router's header"])
def test_a_stream_that_is_not_buffered_is_not_noted(
    project: Project, tmp_path: Path, serving: Serving, how: str
) -> None:
    off = "proxy_buffering off;" if how == "by its setting" else ""
    rules = SLOW if off else {**SLOW, "stream": unbuffered}
    with nginx(tmp_path / "nginx", serving(**rules), location=off) as port:
        seen = see(project, f"http://127.0.0.1:{port}")
    assert (seen.passed, seen.notes) == (True, [])


def unbuffered(self: Upstream, row: Row, message: str) -> Response:
    answer = Upstream.stream(self, row, message)
    answer.headers["x-accel-buffering"] = "no"
    return answer


def test_a_stream_in_gzip_is_named(project: Project, tmp_path: Path, upstream: int) -> None:
    packs = "gzip on; gzip_types text/event-stream application/json; gzip_min_length 1;"
    packs += "gzip_http_version 1.0; gzip_proxied any;"
    asks = "proxy_set_header Accept-Encoding gzip;"
    with (
        nginx(tmp_path / "inner", upstream, http=packs, location="proxy_buffering off;") as inner,
        nginx(tmp_path / "outer", inner, location=asks) as port,
    ):
        error = see(project, f"http://127.0.0.1:{port}").error
    assert "answered in an encoding that was not asked for" in error
    assert "content-encoding: gzip (answered by nginx" in error


def test_an_idle_timeout_below_the_agents_silence_is_named(
    project: Project, tmp_path: Path, serving: Serving
) -> None:
    limit = "proxy_read_timeout 5s; proxy_buffering off;"
    with nginx(tmp_path / "nginx", serving(**SILENT), location=limit) as port:
        error = see(project, f"http://127.0.0.1:{port}", chat_timeout=15).error
    assert re.search(r"the stream was cut after 5\.\d s of silence", error)
    assert "nginx: proxy_read_timeout" in error


def test_an_idle_timeout_before_the_first_event_is_named(
    project: Project, tmp_path: Path, serving: Serving
) -> None:
    with nginx(tmp_path / "nginx", serving(first=20.0), location="proxy_read_timeout 5s;") as port:
        error = see(project, f"http://127.0.0.1:{port}", chat_timeout=15).error
    assert re.search(r"after 5\.\d s of silence", error)
    assert "phase: first_event" in error
    assert "nginx: proxy_read_timeout" in error


REFUSING: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "a tiny body limit": (
        {"server": "client_max_body_size 10;"},
        ("413: 413 Request Entity Too Large (answered by nginx/", "client_max_body_size"),
    ),
    "its own sign-in": (
        {"server": 'auth_basic "staff only"; auth_basic_user_file /dev/null;'},
        (
            "401 Authorization Required",
            "Basic, realm 'staff only'",
            "a gateway in front of the router",
        ),
    ),
    "forbidden": ({"server": "deny all;"}, ("403 Forbidden (answered by nginx/",)),
    "a redirect to https": (
        {"server": "return 301 https://$host:8443$request_uri;"},
        ("301 Moved Permanently", "set HYDRA_SMOKE_URL to https://127.0.0.1:8443:"),
    ),
    "a redirect to another host": (
        {"server": "return 302 http://router.example$request_uri;"},
        ("302 Found", "in clear", "try https://router.example as"),
    ),
    "a sign-in page elsewhere": (
        {"server": "return 302 https://sso.example/login;"},
        ("it leads to https://sso.example/login, where the router is not",),
    ),
    "a page in the router's place": (
        {"server": "default_type text/html; return 200 '<title>Welcome to nginx!</title><p>x';"},
        ("got: Welcome to nginx! (answered by nginx/",),
    ),
    "a page of its own": (
        {
            "server": "error_page 418 @down; return 418; location @down { default_type text/html; "
            "return 503 '<title>Down for maintenance</title><p>x'; }"
        },
        ("418: Down for maintenance (answered by nginx/",),
    ),
    "a rate limit": (
        {
            "http": "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/m;",
            "location": "limit_req zone=z;",
        },
        ("503 Service Temporarily Unavailable (answered by nginx/", "limit_req", "attempts"),
    ),
    "a rate limit that says 429": (
        {
            "http": "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/m;",
            "location": "limit_req zone=z; limit_req_status 429;",
        },
        ("429 Too Many Requests (answered by nginx/", "limit_req", "attempts"),
    ),
}


@pytest.mark.parametrize("case", REFUSING)
def test_what_nginx_refuses_is_told_as_its_own(
    project: Project, tmp_path: Path, upstream: int, case: str
) -> None:
    lines, words = REFUSING[case]
    with nginx(tmp_path / "nginx", upstream, **lines) as port:
        error = see(project, f"http://127.0.0.1:{port}", ready_timeout=4).error
    assert all(it in error for it in words), error
    assert "<" not in error, "a tag"


def test_after_a_body_limit_the_key_stays_open(
    project: Project, tmp_path: Path, upstream: int
) -> None:
    with nginx(tmp_path / "nginx", upstream, server="client_max_body_size 10;") as port:
        see(project, f"http://127.0.0.1:{port}", delete_timeout=1)
    report = json.loads((project.path / ".hydrasmoke" / "report.json").read_text("utf-8"))
    [instance] = report["instances"]
    assert instance["outcome"] == "leaked"
    assert "answered with 413" in str(instance["leak"])


def test_a_gentle_rate_limit_is_kept_to(project: Project, tmp_path: Path, upstream: int) -> None:
    zone = "limit_req_zone $binary_remote_addr zone=z:1m rate=5r/s;"
    with nginx(tmp_path / "nginx", upstream, http=zone, location="limit_req zone=z;") as port:
        seen = see(project, f"http://127.0.0.1:{port}", ready_timeout=20, delete_timeout=20)
    assert (seen.passed, seen.errors) == (True, [])


def test_an_upstream_that_is_gone_is_a_502(project: Project, tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx", 9) as port:
        error = see(project, f"http://127.0.0.1:{port}", ready_timeout=3).error
    assert "502 Bad Gateway (answered by nginx/" in error
    assert "the gateway did not reach the router" in error


def test_an_upstream_that_is_silent_is_a_504(project: Project, tmp_path: Path, deaf: int) -> None:
    with nginx(tmp_path / "nginx", deaf, location="proxy_read_timeout 1s;") as port:
        error = see(project, f"http://127.0.0.1:{port}", ready_timeout=4).error
    assert "504" in error
    assert "nginx: proxy_read_timeout" in error


PAUSES = """
import time

def test_it(smoke_instance):
    # Some of the connections that are kept are closed just as they are used.
    for n in range(16):
        assert smoke_instance.chat("hello").complete
        time.sleep(0.99 + n / 800)
"""


def test_a_keep_alive_of_a_second_loses_no_chat(
    project: Project, tmp_path: Path, upstream: int
) -> None:
    with nginx(tmp_path / "nginx", upstream, server="keepalive_timeout 1s;") as port:
        seen = see(project, f"http://127.0.0.1:{port}", suite=PAUSES)
    assert (seen.passed, seen.errors) == (True, [])
