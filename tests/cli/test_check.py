"""`hydra-smoke check`: is it the router, does it know the token, and does it keep the contract?"""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cli_tools import Output, check, like
from plugin_tools import SOMEBODY, Project, answering
from starlette.responses import HTMLResponse, JSONResponse, Response

from pytest_hydrasmoke._api.contract import contract
from pytest_hydrasmoke._cli import check as check_module
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.server import mount, unmount


def test_check_of_a_good_router(here: Project, router: FakeRouter, capsys: Output) -> None:
    code, lines = check(capsys)
    assert code == 0
    like(
        lines,
        f"ok    settings: {router.url}",
        "ok    router: reached in ?.?? s",
        "ok    token: accepted",
        "ok    unknown key: not found",
        "ok    unknown instance: not found",
        "ok    contract: as in /openapi.json",
        "ok    left open: seen here",
        "  poll before the row exists: found_false",
        "  not seen: success code of provision, instance_id in provision's answer, *",
    )
    assert {request.method for request in router.requests} == {"GET"}
    assert router.instances == ()


MANNERS = {"format": "pytest-hydrasmoke router", "version": 1, "provision_status": [202, 200]}


@pytest.mark.parametrize("setting", ["record", "scenario"])
def test_check_tells_what_the_contract_leaves_open(
    here: Project, capsys: Output, setting: str
) -> None:
    here.write("recordings/router.json", json.dumps({**MANNERS, "poll_before_row": ["404"]}))
    here.table(f'{setting} = "recordings"')
    code, lines = check(capsys)
    assert code == 0
    file = here.path / "recordings/router.json"
    like(
        lines[-5:],
        f"ok    left open: seen here and in {file}",
        "  success code of provision: 202, 200",
        "  poll before the row exists: 404, found_false",
        "  drift: poll before the row exists: found_false, and router.json has 404",
        "  not seen: instance_id in provision's answer, status words of a boot, *",
    )


def test_check_of_manners_that_can_not_be_read(here: Project, capsys: Output) -> None:
    here.write("recordings/router.json", "<<<<<<<")
    here.table('record = "recordings"')
    code, lines = check(capsys)
    assert code == 1
    file = here.path / "recordings/router.json"
    like(lines[-1:], f"WRONG left open: {file}: it is damaged: JSONDecodeError: *")


def test_check_warns_of_a_token_that_others_can_read(
    here: Project, router: FakeRouter, capsys: Output
) -> None:
    file = here.path / "token"
    file.write_text(router.token, "utf-8")
    file.chmod(0o644)
    here.set(token="", token_file=file)
    code, lines = check(capsys)
    assert code == 0
    like(lines[1:], "note  settings: *others can read*")


def test_check_of_wrong_settings(project: Project, capsys: Output) -> None:
    project.set(url="ftp://router.example")
    assert main(["check"]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hydra-smoke can't start:\n  - ")
    assert "the token is not set" in err


def test_check_of_a_router_that_is_not_there(
    project: Project, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_module, "ANSWER_TIMEOUT", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    project.at(f"http://127.0.0.1:{port}")
    code, lines = check(capsys)
    assert code == 1
    like(lines, "ok    settings: *", "WRONG router: status: *")
    assert not any("token:" in line for line in lines)


FOUND = {"found": True, "instance_id": SOMEBODY, "status": "running"}
REACHED = "ok    router: reached in ?.?? s"
ELSE = "WRONG router: something else answers: "
Change = Callable[[Project, FakeRouter], object]
WRONG: dict[str, tuple[Change, list[str]]] = {
    "a wrong token": (
        lambda here, router: here.set(token="not-the-token-of-it"),
        [REACHED, "WRONG token: poll was refused with 401*"],
    ),
    **{
        f"a token that is looked at first, by {status}": (
            lambda here, router, status=status: [
                router.fail(route, status=status) for route in ("status", "poll")
            ],
            [REACHED, f"WRONG token: poll was refused with {status}*"],
        )
        for status in (401, 403)
    },
    "a wrong path": (
        lambda here, router: here.set(url=f"{router.url}/api"),
        [
            "WRONG router: not at this path: status was refused with 404*",
            "  next step: check HYDRA_SMOKE_URL: it ends where /internal/v1/smoke begins",
        ],
    ),
    "what takes any id": (
        lambda here, router: router.fail(
            "status", status=200, body={"id": SOMEBODY, "status": "running"}
        ),
        [f"{ELSE}status answered for another instance"],
    ),
    "something else": (
        lambda here, router: router.fail("status", status=200, body="<h1>Welcome</h1>"),
        [f"{ELSE}status answered against the router's contract"],
    ),
    "a poll against the contract": (
        lambda here, router: router.fail("poll", status=200, body={"found": "perhaps"}),
        ["WRONG token: poll answered against the router's contract"],
    ),
    "what knows every key": (
        lambda here, router: router.fail("poll", status=200, times=9, body=FOUND),
        ["WRONG unknown key: found, although nothing was provisioned under it"],
    ),
    "what does not tell of a key": (
        lambda here, router: router.fail("poll", status=400, after=1),
        [
            "ok    token: accepted",
            "WRONG unknown key: poll was refused with 400*",
            # The rest is found out all the same.
            *["  next step: *", "  trace: *", "ok    unknown instance: not found"],
        ],
    ),
    "what is broken behind its door": (
        lambda here, router: router.fail("status", status=400, after=1),
        ["WRONG unknown instance: status was refused with 400*"],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_check_of_a_wrong_router(
    here: Project, router: FakeRouter, capsys: Output, case: str
) -> None:
    change, patterns = WRONG[case]
    change(here, router)
    code, lines = check(capsys)
    assert code == 1
    like(lines, *patterns)
    asked = [line.split()[1] for line in lines if line.startswith(("ok ", "WRONG "))]
    if patterns[-1].startswith("WRONG token"):
        assert asked[-1] == "token:"
    if patterns[0].startswith("WRONG router"):
        assert "token:" not in asked


def test_a_console_that_has_no_character_for_a_word_shows_an_escape(
    here: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A router's words can be of any script.
    written = io.BytesIO()
    console = io.TextIOWrapper(written, encoding="cp1252", write_through=True)
    monkeypatch.setattr(sys, "stdout", console)
    router.fail("poll", status=400, body={"detail": "läuft 一"})
    assert main(["check"]) == 1
    assert "läuft \\u4e00" in written.getvalue().decode("cp1252")


def test_check_of_a_router_that_knows_every_instance(
    here: Project, router: FakeRouter, capsys: Output
) -> None:
    with answering(router, "status", 1, hostname=None, status="running\x1b[0m") as url:
        here.set(url=url)
        code, lines = check(capsys)
    like(lines, "WRONG unknown instance: has the status 'running*")
    assert (code, "\x1b" in "".join(lines)) == (1, False)


# What stands before it


def page(code: int, title: str, **headers: str) -> Response:
    """Make a gateway's page."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return HTMLResponse(f"<title>{title}</title>", code, {"server": "nginx", **named})


IN_FRONT: dict[str, tuple[Response, str]] = {
    "sign-in": (
        page(401, "401 Authorization Required", www_authenticate='Basic realm="staff only"'),
        "401: 401 Authorization Required (answered by *nginx, *, *Basic, realm 'staff only')",
    ),
    "forbidden": (page(403, "403 Forbidden"), "403: 403 Forbidden (answered by *nginx, text/html*"),
    "in JSON": (
        JSONResponse({"message": "Unauthorized"}, 401, {"server": "gateway"}),
        '401: {"message":"Unauthorized"} (answered by *gateway, application/json)',
    ),
    "like the router, but for others": (
        JSONResponse({"detail": "no"}, 401, {"www-authenticate": "Negotiate"}),
        "401: no (answered by *application/json, which asks for Negotiate)",
    ),
}


@contextmanager
def behind(router: FakeRouter, answer: Response, *ends: str) -> Iterator[str]:
    """Serve a router behind a gateway, which answers itself where a path ends like one of these."""

    async def gateway(scope: Any, receive: Any, send: Any) -> None:
        app: Any = answer if scope["path"].endswith(ends) else router.app
        await app(scope, receive, send)

    place = mount(gateway)
    try:
        yield place.url
    finally:
        unmount(place)


@pytest.mark.parametrize("case", IN_FRONT)
def test_check_of_what_stands_before_a_router(
    here: Project, router: FakeRouter, capsys: Output, case: str
) -> None:
    answer, words = IN_FRONT[case]
    with behind(router, answer, "") as url:
        here.set(url=url)
        code, lines = check(capsys)
    assert code == 1
    like(
        lines,
        "WRONG router: a gateway in front of it answered in its place: status was refused with "
        + words,
        "  next step: this may be a gateway in front of the router*HYDRA_SMOKE_TOKEN*",
    )
    assert not any("token:" in line for line in lines)


def test_check_of_a_router_whose_gateway_lets_no_malformed_id_pass(
    here: Project, router: FakeRouter, capsys: Output
) -> None:
    with behind(router, page(403, "403 Forbidden"), "/not-a-uuid") as url:
        here.set(url=url)
        code, lines = check(capsys)
    assert code == 0
    like(lines, "ok    router: reached in ?.?? s", "ok    token: accepted")


# Its document


class Documented:
    """A router that serves a document as `/openapi.json`, or whatever stands for one."""

    def __init__(self, router: FakeRouter) -> None:
        self._app = router.app
        self.document: bytes | None = None
        self.status = 200

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if not scope["path"].endswith("/openapi.json"):
            await self._app(scope, receive, send)
            return
        if self.document is None:
            scope["extensions"]["pytest_hydrasmoke.hang_up"]()
            return
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        half = len(self.document) // 2
        for body, more in ((self.document[:half], True), (self.document[half:], False)):
            await send({"type": "http.response.body", "body": body, "more_body": more})


@pytest.fixture
def documented(project: Project, router: FakeRouter) -> Iterator[Documented]:
    """A router with a document, from a folder from which it is known."""
    app = Documented(router)
    place = mount(app)
    project.at(place.url)
    try:
        yield app
    finally:
        unmount(place)


def other(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(json.dumps(contract()))
    change(document["paths"])
    return json.dumps(document).encode()


PROVISION = next(path for path in contract()["paths"] if path.endswith("/provision"))
NONE = "ok    contract: not compared: /openapi.json is not a JSON object"
AS_IT_IS = "ok    contract: as in /openapi.json"
DOCUMENTS: list[tuple[bytes | None, int, list[str]]] = [
    (other(lambda paths: None), 200, [AS_IT_IS]),
    (other(lambda paths: paths.update({"/instances": {"get": {}}})), 200, [AS_IT_IS]),
    (
        other(lambda paths: paths.pop(PROVISION)),
        200,
        ["WRONG contract: broken", f"  breaks: POST {PROVISION} is missing"],
    ),
    *((text, 200, [NONE]) for text in (b"<html>", b"[]", b"\xff", b"null", b"[" * 100_000)),
    (b"", 404, ["ok    contract: not compared: /openapi.json is not served (404)"]),
    (b" " * 1_000_000, 200, ["ok    contract: not compared: /openapi.json is too large"]),
    (None, 200, ["WRONG contract: *"]),
]
"""What is served, by which code, and what is said of it; None breaks off."""


@pytest.mark.parametrize(("document", "status", "told"), DOCUMENTS, ids=lambda it: "")
def test_check_of_a_document(
    documented: Documented,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
    document: bytes | None,
    status: int,
    told: list[str],
) -> None:
    monkeypatch.setattr(check_module, "DOCUMENT_LIMIT", 900_000)
    documented.document, documented.status = document, status
    code, lines = check(capsys)
    assert code == (1 if told[0].startswith("WRONG") else 0)
    like(lines, *told)
