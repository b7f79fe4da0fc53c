"""What a user sees of a gateway that answers in the router's place, or changes what it says."""

from __future__ import annotations

from typing import Any

import pytest
from faulty_server import FaultyServer, answer
from gates import Front, answer_of, serving
from plugin_tools import Project, nothing_left
from starlette.responses import HTMLResponse, Response

from pytest_hydrasmoke.fake import FakeRouter

CHAT = """
def test_it(smoke_instance):
    assert smoke_instance.chat("hello").text == "I am ready."
"""
UNAVAILABLE = "Service Temporarily Unavailable"


def page(code: int, title: str, **headers: str) -> Response:
    """Make a page as nginx has it."""
    body = f"<html>\r\n<head><title>{code} {title}</title></head>\r\n<body><hr></body></html>"
    return HTMLResponse(body, code, {"server": "nginx/1.26.3", **headers})


def test_a_gateway_in_the_routers_place_is_one_error_that_names_it(
    project: Project, router: FakeRouter
) -> None:
    project.write("test_it.py", CHAT)
    with serving(Front(router, HTMLResponse("<title>Welcome to nginx!</title>"))) as url:
        result = project.at(url).live("test_it.py")
    result.is_refused(
        "ERROR: poll answered against the router's contract",
        "  next step: a web page answers in the router's place, *",
    )
    assert sum(line.startswith("ERROR: ") for line in result.stderr.lines) == 1
    assert "<" not in result.stderr.str()


def test_a_gateway_that_lets_no_chat_through_is_not_the_agents_fault(
    project: Project, router: FakeRouter
) -> None:
    project.write("test_it.py", CHAT)
    with serving(Front(router, page(503, UNAVAILABLE), "/chat")) as url:
        result = project.at(url, chat_timeout=0.6).live("test_it.py")
    result.says(
        f"*ChatTimeoutError: not accepted within 0.6 s: *: 503 {UNAVAILABLE} (answered by *",
        "E *next step: a gateway in front of the router has no router behind it*",
    )
    assert "agent's log" not in result.stdout.str()
    assert nothing_left(router)


@pytest.mark.parametrize(("code", "once"), [(407, True), (503, False)])
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
    result.is_refused(f"ERROR: poll: the proxy 127.0.0.1:* ({code} *)*")
    assert (asked == 1) is once
    assert ("attempts" not in result.stderr.str()) is once


TOO_LARGE = "Request Entity Too Large"
UNSURE = "hydra-smoke: unsure 1: *named them: smoke-*-0 (answered with 413). To look *"
TOLD = f"*RouterError: provision was refused with 413: 413 {TOO_LARGE} (answered by *nginx*"


@pytest.mark.parametrize("made", [False, True])
def test_a_gateways_refusal_of_a_provision_is_told_proves_nothing_and_hides_no_instance(
    project: Project, router: FakeRouter, made: bool
) -> None:
    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        if made:
            await answer_of(router.app, scope, receive)
        await page(413, TOO_LARGE)(scope, receive, send)

    project.write("test_it.py", CHAT)
    with serving(Front(router, refuse, "/provision")) as url:
        result = project.at(url, delete_timeout=0.6).live("test_it.py")
    result.says(TOLD, "*next step: the request is larger than the gateway *")
    if made:
        result.assert_outcomes(errors=1)
        result.says("*: provisioned 1, deleted 1, kept 0, leaked 0, unsure 0")
        assert nothing_left(router)
        return
    result.assert_outcomes(errors=1)
    result.says("*: provisioned 0, deleted 0, kept 0, leaked 0, unsure 1", UNSURE)
    assert router.instances == ()
