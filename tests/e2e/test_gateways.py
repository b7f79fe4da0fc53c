"""What a user sees of a gateway that answers in the router's place, or changes what it says."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from faulty_server import FaultyServer, answer
from plugin_tools import Project, nothing_left
from starlette.responses import HTMLResponse, Response

from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.server import mount, unmount

CHAT = """
def test_it(smoke_instance):
    assert smoke_instance.chat("hello").text == "I am ready."
"""
BASIC = {"server": "nginx/1.26.3", "www-authenticate": 'Basic realm="staff only"'}
UNAVAILABLE = "Service Temporarily Unavailable"


def page(code: int, title: str, **headers: str) -> Response:
    """Make a page as nginx has it."""
    body = f"<html>\r\n<head><title>{code} {title}</title></head>\r\n<body><hr></body></html>"
    return HTMLResponse(body, code, {"server": "nginx/1.26.3", **headers})


@contextmanager
def served(app: Any) -> Iterator[str]:
    place = mount(app)
    try:
        yield place.url
    finally:
        unmount(place)


@contextmanager
def behind(router: FakeRouter, answers: Callable[[str, str], Response | None]) -> Iterator[str]:
    """Serve a router behind a gateway, which answers itself what it has an answer to."""

    async def gateway(scope: Any, receive: Any, send: Any) -> None:
        answer = answers(scope["method"], scope["path"])
        await (router.app if answer is None else answer)(scope, receive, send)

    with served(gateway) as url:
        yield url


@pytest.mark.parametrize(
    ("answer", "told", "advice"),
    [
        (
            page(401, "Authorization Required", **BASIC),
            "poll was refused with 401: * (answered by *nginx/1.26.3, *Basic, realm 'staff only')",
            "this may be a gateway in front of the router*",
        ),
        (
            page(302, "Found", location="https://router.example{path}"),
            "poll was refused with 302: 302 Found (answered by uvicorn, nginx/1.26.3, *",
            "set HYDRA_SMOKE_URL to https://router.example: *",
        ),
        (
            HTMLResponse("<title>Welcome to nginx!</title>"),
            "poll answered against the router's contract",
            "a web page answers in the router's place, *",
        ),
    ],
    ids=["sign-in", "redirect", "page"],
)
def test_a_gateway_in_the_routers_place_is_one_error_that_names_it(
    project: Project, router: FakeRouter, answer: Response, told: str, advice: str
) -> None:
    def answers(method: str, path: str) -> Response:
        here = path[path.index("/internal") :]
        if "location" in answer.headers:
            answer.headers["location"] = f"https://router.example{here}"
        return answer

    project.write("test_it.py", CHAT)
    with behind(router, answers) as url:
        result = project.at(url).live("test_it.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    lines = result.stderr.lines
    assert sum(line.startswith("ERROR: ") for line in lines) == 1
    result.stderr.fnmatch_lines([f"ERROR: {told}", f"  next step: {advice}"])
    assert "<" not in result.stderr.str()


def test_a_gateway_that_lets_no_chat_through_is_not_the_agents_fault(
    project: Project, router: FakeRouter
) -> None:
    def answers(method: str, path: str) -> Response | None:
        return page(503, UNAVAILABLE) if path.endswith("/chat") else None

    project.write("test_it.py", CHAT)
    with behind(router, answers) as url:
        result = project.at(url, chat_timeout=0.6).live("test_it.py")
    result.stdout.fnmatch_lines(
        [
            f"*ChatTimeoutError: not accepted within 0.6 s: *: 503 {UNAVAILABLE} (answered by *",
            "E *next step: a gateway in front of the router has no router behind it*",
        ]
    )
    assert "agent's log" not in result.stdout.str()
    assert nothing_left(router)


@pytest.mark.parametrize(("code", "once"), [(403, True), (407, True), (503, False)])
def test_a_tunnel_is_asked_for_again_only_where_that_may_help(
    project: Project, monkeypatch: pytest.MonkeyPatch, code: int, once: bool
) -> None:
    project.write("test_it.py", CHAT)
    monkeypatch.setenv("NO_PROXY", "")
    with FaultyServer(answer(b"", code)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        project.at("https://router.example", trust_env="true", ready_timeout=1.5)
        result = project.live("test_it.py")
        asked = proxy.count("CONNECT")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: poll: the proxy 127.0.0.1:* ({code} *)*"])
    assert (asked == 1) is once
    assert ("attempts" not in result.stderr.str()) is once


def test_a_port_without_https_is_asked_once(project: Project, router: FakeRouter) -> None:
    project.write("test_it.py", CHAT)
    result = project.at(router.url.replace("http:", "https:")).live("test_it.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: poll: no connection to https://127.0.0.1:*", "*does not speak https*"]
    )
    assert "attempts" not in result.stderr.str()


TOO_LARGE = "Request Entity Too Large"
CARRIED_OUT = "*: the request was answered with {}, and the router may have carried it out*"
REFUSALS = {
    "413": (
        page(413, TOO_LARGE),
        f"*RouterError: provision was refused with 413: 413 {TOO_LARGE} (answered by *nginx*",
        "*next step: the request is larger than the gateway accepts: *client_max_body_size)",
    ),
    # It is not told as a quota.
    "403": (
        page(403, "Forbidden"),
        "*: provision was refused with 403: 403 Forbidden (answered by *",
        "*next step: this may be a gateway in front of the router*",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_gateways_refusal_of_a_provision_is_told_and_proves_nothing(
    project: Project, router: FakeRouter, name: str
) -> None:
    answer, words, advice = REFUSALS[name]

    def answers(method: str, path: str) -> Response | None:
        return answer if path.endswith("/provision") else None

    project.write("test_it.py", CHAT)
    with behind(router, answers) as url:
        result = project.at(url, delete_timeout=0.6).live("test_it.py")
    result.assert_outcomes(errors=1, failed=1)
    carried_out = CARRIED_OUT.format(answer.status_code)
    leaked = "*: provisioned 1, deleted 0, kept 0, leaked 1"
    result.stdout.fnmatch_lines([words, advice, "LEAK: *", carried_out, leaked])
    assert "such as a quota" not in result.stdout.str()
    assert router.instances == ()


def test_a_gateway_that_refuses_a_provisions_answer_hides_no_instance(
    project: Project, router: FakeRouter
) -> None:
    async def gateway(scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].endswith("/provision"):
            await router.app(scope, receive, send)
            return

        async def drop(message: Any) -> None:
            pass

        await router.app(scope, receive, drop)
        await page(413, TOO_LARGE)(scope, receive, send)

    project.write("test_it.py", CHAT)
    with served(gateway) as url:
        result = project.at(url).live("test_it.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*: provisioned 1, deleted 1, kept 0, leaked 0"])
    assert len(router.instances) == 1
    assert nothing_left(router)


def test_a_gateway_that_encodes_answers_all_the_same_is_named(
    project: Project, router: FakeRouter
) -> None:
    async def packing(scope: Any, receive: Any, send: Any) -> None:
        head: dict[str, Any] = {}
        body = b""

        async def pack(message: dict[str, Any]) -> None:
            nonlocal body
            if message["type"] == "http.response.start":
                head.update(message)
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                packed = gzip.compress(body)
                kept = [it for it in head["headers"] if it[0].lower() != b"content-length"]
                head["headers"] = [*kept, (b"content-encoding", b"gzip")]
                await send(head)
                await send({"type": "http.response.body", "body": packed})

        await router.app(scope, receive, pack)

    project.write("test_it.py", CHAT)
    with served(packing) as url:
        result = project.at(url).live("test_it.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not router.instances
    result.stderr.fnmatch_lines(
        [
            "*poll answered in an encoding that was not asked for*",
            "*got: *content-encoding: gzip (answered by *application/json, encoded as gzip)",
            "*next step: switch compression off for the router's paths, *",
        ]
    )
