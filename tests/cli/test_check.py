"""`hydra-smoke check`: is it the router, does it know the token, and does it keep the contract?"""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cli_tools import Output, check, like
from gates import Front, serving
from plugin_tools import SOMEBODY, Project, answering
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from pytest_hydrasmoke._api.contract import contract
from pytest_hydrasmoke._cli import check as check_module
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke.fake import FakeRouter
from pytest_hydrasmoke.fake.chat_stream import hang_up

REACHED = "ok    router: reached in ?.?? s"


def test_check_of_a_good_router(here: Project, router: FakeRouter, capsys: Output) -> None:
    code, lines = check(capsys)
    assert code == 0
    like(
        lines,
        f"ok    settings: {router.url}",
        REACHED,
        "ok    token: accepted",
        "ok    unknown key: not found",
        "ok    unknown instance: not found",
        "ok    contract: as in /openapi.json",
    )
    assert {request.method for request in router.requests} == {"GET"}
    assert router.instances == ()


def test_check_of_settings(
    project: Project, router: FakeRouter, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set(url="ftp://router.example")
    assert main(["check"]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hydra-smoke can't start:\n  - ")
    assert "the token is not set" in err
    file = project.write("token", router.token)
    file.chmod(0o644)
    project.at(router, token="", token_file=file)
    code, lines = check(capsys)
    assert code == 0
    like(lines[1:], "note  settings: *others can read*")
    monkeypatch.setattr(check_module, "ANSWER_TIMEOUT", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    project.set(url=f"http://127.0.0.1:{port}")
    code, lines = check(capsys)
    assert code == 1
    like(lines[-3:-2], "WRONG router: status: *")
    assert not any("token:" in line for line in lines)


FOUND = {"found": True, "instance_id": SOMEBODY, "status": "running"}
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


def test_words_of_a_router_are_printed_safely_on_any_console(
    here: Project, router: FakeRouter, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(router, "status", 1, hostname=None, status="running\x1b[0m") as url:
        here.set(url=url)
        code, lines = check(capsys)
    like(lines, "WRONG unknown instance: has the status 'running*")
    assert (code, "\x1b" in "".join(lines)) == (1, False)
    # Words can be of any script, and a console may have no character for one.
    written = io.BytesIO()
    console = io.TextIOWrapper(written, encoding="cp1252", write_through=True)
    monkeypatch.setattr(sys, "stdout", console)
    here.set(url=router.url)
    router.fail("poll", status=400, body={"detail": "läuft 一"})
    assert main(["check"]) == 1
    assert "läuft \\u4e00" in written.getvalue().decode("cp1252")


# What stands before it, or beside it


@pytest.fixture
def front(project: Project, router: FakeRouter) -> Iterator[Front]:
    """What stands before a router, from a folder from which it is known."""
    app = Front(router)
    with serving(app) as url:
        project.at(url)
        yield app


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


@pytest.mark.parametrize("case", IN_FRONT)
def test_check_of_what_stands_before_a_router(front: Front, capsys: Output, case: str) -> None:
    front.answer, words = IN_FRONT[case]
    code, lines = check(capsys)
    assert code == 1
    in_place = "a gateway in front of it answered in its place: status was refused with"
    like(
        lines,
        f"WRONG router: {in_place} {words}",
        "  next step: this may be a gateway in front of the router*HYDRA_SMOKE_TOKEN*",
    )
    assert not any("token:" in line for line in lines)
    # One that lets no malformed id pass, and everything else, is none to tell of.
    front.ends = "/not-a-uuid"
    code, lines = check(capsys)
    assert code == 0
    like(lines, REACHED, "ok    token: accepted")


def other(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(json.dumps(contract()))
    change(document["paths"])
    return json.dumps(document).encode()


PROVISION = next(path for path in contract()["paths"] if path.endswith("/provision"))
NONE = "ok    contract: not compared: /openapi.json is not a JSON object"
AS_IT_IS = "ok    contract: as in /openapi.json"
DOCUMENTS: dict[str, tuple[bytes, list[str]]] = {
    "with more": (other(lambda paths: paths.update({"/instances": {"get": {}}})), [AS_IT_IS]),
    "with less": (
        other(lambda paths: paths.pop(PROVISION)),
        ["WRONG contract: broken", f"  breaks: POST {PROVISION} is missing"],
    ),
    **{
        str(text[:6]): (text, [NONE])
        for text in (b"<html>", b"[]", b"\xff", b"null", b"[" * 100_000)
    },
    "large": (b" " * 1_000_000, ["ok    contract: not compared: /openapi.json is too large"]),
    "not there": (b"", ["ok    contract: not compared: /openapi.json is not served (404)"]),
    "broken off": (b"", ["WRONG contract: *"]),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_check_of_a_document(
    front: Front, capsys: Output, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    document, told = DOCUMENTS[name]
    monkeypatch.setattr(check_module, "DOCUMENT_LIMIT", 900_000)
    front.ends, half = "/openapi.json", len(document) // 2
    code = 404 if name == "not there" else 200
    served = StreamingResponse(iter([document[:half], document[half:]]), code)
    front.answer = hang_up if name == "broken off" else served
    code, lines = check(capsys)
    assert code == int(told[0].startswith("WRONG"))
    like(lines, *told)
