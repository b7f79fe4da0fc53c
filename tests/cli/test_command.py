"""The command line `hydra-smoke`, which is `python -m pytest_hydrasmoke` too."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

import httpx
import pytest
from plugin_tools import FILES, SOMEBODY, TOKEN, Project, answering, until
from starlette.responses import HTMLResponse, JSONResponse, Response

from pytest_hydrasmoke._api.contract import contract
from pytest_hydrasmoke._cli import check as check_module
from pytest_hydrasmoke._cli import main as main_module
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._run import reaching
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import Request
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.server import mount, unmount

Output = pytest.CaptureFixture[str]


@pytest.fixture
def here(project: Project, router: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder from which `router` is known."""
    return project.at(router)


def check(output: Output) -> tuple[int, list[str]]:
    """Run `hydra-smoke check` here; gives its exit code and what it wrote."""
    code = main(["check"])
    out, err = output.readouterr()
    assert TOKEN not in out + err
    return code, (out + err).splitlines()


def like(lines: list[str], *patterns: str) -> None:
    pytest.LineMatcher(lines).fnmatch_lines(list(patterns), consecutive=True)


def test_the_script_is_this_command() -> None:
    [script] = entry_points(group="console_scripts", name="hydra-smoke")
    assert script.load() is main


# check


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


def test_check_as_a_module_loads_no_conftest(here: Project) -> None:
    here.write("conftest.py", "raise SystemExit('broken')")
    result = here.command("check")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["ok    token: accepted"])


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


@pytest.mark.parametrize("command", [["check"], ["sweep", "--run-id", "run"]])
def test_a_router_that_is_not_reached_yet_is_told_of_as_time_passes(
    here: Project,
    router: FakeRouter,
    capsys: Output,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    said = threading.Event()
    write = main_module.aside

    def wait_aloud(line: str) -> None:
        write(line)
        # What two attempts have come to: the third is under way.
        if "attempt 3" in line:
            said.set()

    ask = SyncIO._attempt_open
    monkeypatch.setattr(reaching, "TICK", 0.001)
    monkeypatch.setattr(reaching, "FIRST", 0.0)
    monkeypatch.setattr(reaching, "EVERY", 0.001)
    monkeypatch.setattr(main_module, "aside", wait_aloud)
    route = "status" if command == ["check"] else "poll"
    router.drop(route, times=2)

    def attempt(io: SyncIO, request: Request, deadline: float) -> Any:
        if router.requests and len(router.requests) == 2 and request.call == route:
            assert said.wait(30)
        return ask(io, request, deadline)

    monkeypatch.setattr(SyncIO, "_attempt_open", attempt)
    main([*command, *(["--wait", "0"] if command[0] == "sweep" else [])])
    out, err = capsys.readouterr()
    assert re.search(rf"^reaching {router.url}, \d+ s, attempt 3$", err, re.MULTILINE)
    assert "reaching" not in out


def test_check_of_a_wrong_token(here: Project, capsys: Output) -> None:
    here.set(token="not-the-token-of-it")
    code, lines = check(capsys)
    assert code == 1
    like(lines, "ok    router: reached in ?.?? s", "WRONG token: poll was refused with 401*")
    assert not any("unknown instance" in line for line in lines)


@pytest.mark.parametrize("status", [401, 403])
def test_check_of_a_token_that_is_looked_at_first(
    here: Project, router: FakeRouter, capsys: Output, status: int
) -> None:
    for route in ("status", "poll"):
        router.fail(route, status=status)
    code, lines = check(capsys)
    assert code == 1
    like(lines, "ok    router: reached in ?.?? s", f"WRONG token: poll was refused with {status}*")


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


def test_check_of_a_wrong_path(here: Project, router: FakeRouter, capsys: Output) -> None:
    here.set(url=f"{router.url}/api")
    code, lines = check(capsys)
    assert code == 1
    like(
        lines,
        "WRONG router: not at this path: status was refused with 404*",
        "  next step: check HYDRA_SMOKE_URL: it ends where /internal/v1/smoke begins",
    )
    assert not any("token:" in line for line in lines)


def test_check_of_something_that_takes_any_id(
    here: Project, router: FakeRouter, capsys: Output
) -> None:
    router.fail("status", status=200, body={"id": SOMEBODY, "status": "running"})
    code, lines = check(capsys)
    assert code == 1
    like(lines, "WRONG router: something else answers: status answered for another instance")


def test_check_of_something_else_than_a_router(
    here: Project, router: FakeRouter, capsys: Output
) -> None:
    router.fail("status", status=200, body="<h1>Welcome</h1>")
    code, lines = check(capsys)
    assert code == 1
    words = "status answered against the router's contract"
    like(lines, f"WRONG router: something else answers: {words}")


def test_check_of_a_poll_against_the_contract(
    here: Project, router: FakeRouter, capsys: Output
) -> None:
    router.fail("poll", status=200, body={"found": "perhaps"})
    code, lines = check(capsys)
    assert code == 1
    like(lines, "WRONG token: poll answered against the router's contract")


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


def test_check_of_a_router_that_knows_every_key(
    here: Project, router: FakeRouter, capsys: Output
) -> None:
    body = {"found": True, "instance_id": SOMEBODY, "status": "running"}
    router.fail("poll", status=200, times=9, body=body)
    code, lines = check(capsys)
    assert code == 1
    like(lines, "WRONG unknown key: found, although nothing was provisioned under it")


def test_check_of_a_router_that_does_not_tell_of_a_key(
    here: Project, router: FakeRouter, capsys: Output
) -> None:
    router.fail("poll", status=400, after=1)
    code, lines = check(capsys)
    assert code == 1
    like(lines, "ok    token: accepted", "WRONG unknown key: poll was refused with 400*")
    # The rest is found out all the same.
    assert "ok    unknown instance: not found" in lines


def test_check_of_a_router_that_knows_every_instance(
    here: Project, router: FakeRouter, capsys: Output
) -> None:
    with answering(router, "status", 1, hostname=None, status="running\x1b[0m") as url:
        here.set(url=url)
        code, lines = check(capsys)
    assert code == 1
    like(lines, "WRONG unknown instance: has the status 'running*")
    assert "\x1b" not in "".join(lines)


def test_check_of_a_router_that_is_broken_behind_its_door(
    here: Project, router: FakeRouter, capsys: Output
) -> None:
    router.fail("status", status=400, after=1)
    code, lines = check(capsys)
    assert code == 1
    like(lines, "WRONG unknown instance: status was refused with 400*")


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


def test_check_of_a_router_that_documents_the_contract(
    documented: Documented, capsys: Output
) -> None:
    documented.document = json.dumps(contract()).encode()
    code, lines = check(capsys)
    assert code == 0
    like(lines, "ok    contract: as in /openapi.json")


def test_check_of_a_router_that_documents_another_contract(
    documented: Documented, capsys: Output
) -> None:
    document = json.loads(json.dumps(contract()))
    path = next(path for path in document["paths"] if path.endswith("/provision"))
    del document["paths"][path]
    documented.document = json.dumps(document).encode()
    code, lines = check(capsys)
    assert code == 1
    like(lines, "WRONG contract: broken", f"  breaks: POST {path} is missing")


def test_check_of_a_router_that_documents_more_than_the_contract(
    documented: Documented, capsys: Output
) -> None:
    document = json.loads(json.dumps(contract()))
    document["paths"]["/internal/v1/smoke/instances"] = {"get": {}}
    documented.document = json.dumps(document).encode()
    code, lines = check(capsys)
    assert code == 0
    like(
        lines,
        "ok    contract: kept; /openapi.json has harmless differences",
        "  harmless: GET /internal/v1/smoke/instances is new",
    )


@pytest.mark.parametrize("document", [b"<html>", b"[]", b"\xff", b"null", b"[" * 100_000])
def test_check_of_a_document_that_is_none(
    documented: Documented, capsys: Output, document: bytes
) -> None:
    documented.document = document
    code, lines = check(capsys)
    assert code == 0
    like(lines, "ok    contract: not compared: /openapi.json is not a JSON object")


def test_check_of_a_router_without_a_document(documented: Documented, capsys: Output) -> None:
    documented.document, documented.status = b"", 404
    code, lines = check(capsys)
    assert code == 0
    like(lines, "ok    contract: not compared: /openapi.json is not served (404)")


def test_check_of_a_document_that_is_too_long(
    documented: Documented, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_module, "DOCUMENT_LIMIT", 100)
    documented.document = json.dumps(contract()).encode()
    code, lines = check(capsys)
    assert code == 0
    like(lines, "ok    contract: not compared: /openapi.json is too large")


def test_check_of_a_document_that_breaks_off(documented: Documented, capsys: Output) -> None:
    code, lines = check(capsys)
    assert code == 1
    pytest.LineMatcher(lines).fnmatch_lines(["WRONG contract: *"])


# fake


def test_fake_serves_until_it_is_interrupted(project: Project) -> None:
    project.set(token=TOKEN)
    command = ("-m", "pytest_hydrasmoke", "fake", "--port", "0")
    with project.started(*command) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().rstrip() for _ in range(3)]
        assert lines[1:] == ["its token is HYDRA_SMOKE_TOKEN", "stop it with Ctrl-C"]
        url = lines[0].removeprefix("fake router at ")
        result = project.suite("bare").at(url).live("pytest_hydrasmoke/checks/test_instance.py")
        result.assert_outcomes(passed=FILES["test_instance.py"])
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")


def test_fake_makes_up_a_token_and_prints_it(project: Project) -> None:
    project.set(token="")
    command = ("-m", "pytest_hydrasmoke", "fake", "--host", "localhost", "--port", "0")
    with project.started(*command) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        token = process.stdout.readline().removeprefix("its token is ").strip()
        assert re.fullmatch("http://127.0.0.1:[0-9]+|http://.*::1.*", url)
        answer = httpx.get(
            f"{url}/internal/v1/smoke/instances/by-key/k",
            headers={"authorization": f"Bearer {token}"},
            trust_env=False,
        )
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_fake_on_a_port_that_is_taken(project: Project, capsys: Output) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["fake", "--port", port]) == 4
    assert "the fake router can't be served: " in capsys.readouterr().err


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_fake_on_a_port_that_is_none(
    port: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A port that is taken for another one would be served for good.
    monkeypatch.setattr("pytest_hydrasmoke.fake.serve", lambda *_, **__: pytest.fail("served"))
    assert main(["fake", "--port", port]) == 4
    like(
        capsys.readouterr().err.splitlines(),
        f"there is no port {port}",
        "*next step: give 0 to 65535",
    )


def test_fake_plays_a_scenario(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Scenario] = []
    monkeypatch.setattr("pytest_hydrasmoke.fake.serve", lambda it, *_, **__: served.append(it))
    project.write("own.toml", 'base = "text"\nreply = "yes"\n')
    for given in ([], ["--scenario", "goose"], ["--scenario", "own.toml"]):
        assert main(["fake", *given]) == 0
    assert served == [
        Scenario(),
        Scenario(runtime="goose"),
        Scenario(runtime="text", reply="yes"),
    ]


def test_fake_says_which_recordings_it_serves(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    def serve(*_: object, announce: Callable[[str, str], None], **__: object) -> None:
        announce("http://127.0.0.1:8000", "made-up")

    monkeypatch.setattr("pytest_hydrasmoke.fake.serve", serve)
    project.write("over.toml", 'base = "recordings"\n')
    for number, day in enumerate(("2020-01-31", "2020-02-29")):
        head = {"format": "pytest-hydrasmoke recording", "version": 1, "recorded": day}
        text = json.dumps({**head, "of": f"t.py::test_{number}", "turns": []})
        project.write(f"recordings/{number}.json", text)
    for given in ("recordings/", "over.toml"):
        assert main(["fake", "--scenario", given]) == 0
        like(
            capsys.readouterr().out.splitlines(),
            "fake router at http://127.0.0.1:8000",
            "replaying 2 recordings of 2020-01-31 to 2020-02-29; the oldest is * days old",
            "its token is *",
            "stop it with Ctrl-C",
        )


def test_fake_with_a_scenario_that_is_none(project: Project, capsys: Output) -> None:
    assert main(["fake", "--scenario", "slowboot"]) == 4
    words = "there is no scenario 'slowboot' (did you mean slow-boot?): give one of default, "
    assert words in capsys.readouterr().err


def test_fake_on_a_host_that_is_none(project: Project) -> None:
    # In a process, for the same reason.
    result = project.command("fake", "--host", "no host", "--port", "0")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["the fake router can't be served: *"])


def test_fake_with_a_token_that_is_none(project: Project, capsys: Output) -> None:
    project.set(token=f"{TOKEN} with spaces")
    assert main(["fake", "--port", "0"]) == 4
    out, err = capsys.readouterr()
    assert "a token is printable ASCII" in err
    assert TOKEN not in out + err


# Neither


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["swep"],
        ["check", "--port", "1"],
        ["fake", "--port", "x"],
        ["fake", "--po", "0"],
        ["sweep", "--wait", "soon"],
        ["sweep", "--run", "run"],
        ["sweep", "run"],
    ],
)
def test_other_words_are_a_usage_error(arguments: list[str], capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: hydra-smoke" in capsys.readouterr().err


def test_help(capsys: Output) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for command in ("check", "sweep", "fake", "history"):
        assert f"\n    {command} " in text


def test_on_windows_no_command_begins(
    here: Project, router: FakeRouter, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main_module, "ON_WINDOWS", True)
    assert main(["check"]) == 4
    assert capsys.readouterr().err == (
        "smoke tests run on Linux and macOS: on Windows, run them in WSL\n"
    )
    assert router.requests == ()


# Signals

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@contextmanager
def silent() -> Iterator[tuple[str, Callable[[], socket.socket]]]:
    """Listen like a router, and never answer; gives its URL, and what waits for a connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        yield f"http://127.0.0.1:{server.getsockname()[1]}", lambda: server.accept()[0]


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("command", [["check"], ["sweep", "--run-id", "run"]], ids=" ".join)
def test_a_signal_ends_a_command_that_waits_for_its_router(
    project: Project, command: list[str], number: int
) -> None:
    with silent() as (url, asked):
        project.at(url)
        with project.started("-m", "pytest_hydrasmoke", *command) as process, asked():
            # Two of them, as an impatient user sends: the first one counts.
            process.send_signal(number)
            process.send_signal(number)
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    lines = said.splitlines()
    assert lines[-1] == f"interrupted: run it again: hydra-smoke {' '.join(command)}"
    assert "Traceback" not in said
    assert len(lines) == (2 if command == ["check"] else 3)


@pytest.mark.parametrize("command", [["check"], ["sweep", "--run-id", "run"]], ids=" ".join)
def test_the_code_of_an_interrupt_is_the_same_where_nobody_reads(
    project: Project, command: list[str]
) -> None:
    with silent() as (url, asked):
        project.at(url)
        with project.unread("-m", "pytest_hydrasmoke", *command) as process, asked():
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 128 + signal.SIGTERM


@pytest.mark.parametrize("closed", [["stdout"], ["stderr"], ["stdout", "stderr"]], ids=" ".join)
def test_closed_streams_do_not_change_the_code(
    here: Project, monkeypatch: pytest.MonkeyPatch, closed: list[str]
) -> None:
    for name in closed:
        monkeypatch.setattr(sys, name, None)
    assert main(["check"]) == 0
    for name in closed:
        monkeypatch.setattr(sys, name, None)
    assert main(["history", str(here.path)]) == 4


class LeftPipe(io.StringIO):
    """Its reader leaves, and Ctrl-C comes while the first line is written."""

    interrupted = False

    def flush(self) -> None:
        if not self.interrupted:
            self.interrupted = True
            raise KeyboardInterrupt
        raise BrokenPipeError


def test_the_rest_of_an_interrupted_line_does_not_change_the_code(
    here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", LeftPipe())
    assert main(["check"]) == 128 + signal.SIGINT
    sys.stdout.flush()  # As Python does at its exit: a failure there is code 120.


def test_the_code_of_wrong_settings_is_the_same_where_nobody_reads(project: Project) -> None:
    with project.unread("-m", "pytest_hydrasmoke", "check") as process:
        assert process.wait(60) == 4


def test_a_sweep_that_is_interrupted_says_what_it_knows_and_what_not(
    here: Project, router: FakeRouter
) -> None:
    router.fail("poll", status=503, times=10_000, after=1)
    with here.started("-m", "pytest_hydrasmoke", "sweep", "--run-id", "abc") as process:
        until(lambda: any(one.path.endswith("abc-7") for one in router.requests))
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    like(
        said.splitlines()[-3:],
        "UNKNOWN  interrupted: 78 keys were not asked to the end: abc-stranger_*",
        "something may be left",
        "interrupted: run it again: hydra-smoke sweep --run-id abc",
    )
    assert "LEFT" not in said
