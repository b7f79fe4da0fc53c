"""Canaries: what this package knows of others' inside is still there, or a test says what moved."""

from __future__ import annotations

import inspect
import logging
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
import xdist.remote
import xdist.workermanage
from uvicorn.protocols.http.h11_impl import H11Protocol

from pytest_hydrasmoke._base import pytest_internals as internals
from pytest_hydrasmoke.fake import FakeRouter

SUITE = """
import pytest

@pytest.mark.filterwarnings("ignore:record_xml_attribute")
def test_fails(record_testsuite_property, record_xml_attribute):
    record_testsuite_property("colour", "blue")
    record_xml_attribute("classname", "round")
    assert 1 == 2, "one is not two"
"""


class Probe:
    """Asks everything at the end of a session."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        self.config = config
        config.trace.root.setwriter(lambda text: self.found.update(trace=text))
        internals.clean_trace(config, lambda text: "cleaned")
        config.trace("a secret")
        config.trace.root.setwriter(None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":  # Its writer closes a test's element.
            [writer] = internals.junit_writers(self.config)
            self.found["shapes"] = [it["classname"] for it in internals.case_attributes(writer)]
        if report.failed:
            self.found["words"] = internals.failure_words(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        config, item = session.config, session.items[0]
        [writer] = internals.junit_writers(config)
        fixtures = internals.fixture_definitions(item, "record_testsuite_property")
        visible = internals.visible_fixtures(item, "tmp_path")
        self.found |= {
            "session": internals.session_of(config) is session,
            "collected": session.testscollected,
            "worker": internals.worker_input(config),
            "properties": internals.suite_properties(writer),
            "level": internals.live_log_level(config),
            "fixture": [definition.argname for definition in fixtures],
            "visible": [definition.argname for definition in visible],
        }


MOVED = {
    "words": ("one is not two\nassert 1 == 2", "TestReport.longrepr.reprcrash.message"),
    "session": (True, 'the plugin "session"'),
    "collected": (1, "Session.testscollected"),
    "worker": (None, "config.workerinput, of xdist's workers alone"),
    "properties": ([("colour", "blue")], "LogXML.add_global_property and global_properties"),
    "shapes": (["round"], "LogXML.node_reporters and attrs of what is in it"),
    "level": (logging.INFO, 'log_cli_handler of the plugin "logging-plugin"'),
    "fixture": (["record_testsuite_property"], "Item._fixtureinfo.name2fixturedefs"),
    "visible": (["tmp_path"], "Session._fixturemanager.getfixturedefs"),
    "trace": ("cleaned", "TagTracer._writer of pluggy"),
}


def test_pytest_has_it_where_it_was(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    probe = Probe()
    arguments = ("--junitxml=junit.xml", "-o", "log_cli=true", "--log-cli-level=INFO")
    pytester.inline_run(*arguments, plugins=[probe])
    found = {**probe.found, "words": str(probe.found["words"]).removeprefix("AssertionError: ")}
    for name, (wanted, where) in MOVED.items():
        assert found.get(name) == wanted, f"{where} has moved: see _base/pytest_internals.py"


def test_xdist_has_it_where_it_was() -> None:
    remote = inspect.getsource(xdist.remote)
    assert "config.workerinput = workerinput" in remote
    assert "workeroutput=workeroutput" in remote
    assert 'self.workeroutput = kwargs["workeroutput"]' in inspect.getsource(xdist.workermanage)
    worker: Any = SimpleNamespace(workerinput={"workerid": "gw0"}, workeroutput={})
    assert internals.worker_input(worker) == {"workerid": "gw0"}
    internals.worker_output(worker)["told"] = "by gw0"
    assert worker.workeroutput == {"told": "by gw0"}


def test_pytests_terminal_has_it_where_it_was(pytestconfig: pytest.Config) -> None:
    writer: Any = pytestconfig.get_terminal_writer()
    for name in ("_file", "_current_line", "width_of_current_line", "flush", "write"):
        assert hasattr(writer, name), f"pytest's writer has moved {name}: see _report/screen.py"
    reporter = inspect.getsource(pytest.TerminalReporter)
    for name in ("currentfspath", "showlongtestinfo", "verbosity"):
        assert f"self.{name}" in reporter, f"pytest has moved {name}: see _report/screen.py"


def test_httpcore_names_the_steps_of_a_connection_and_uvicorn_its_protocol() -> None:
    steps: list[str] = []

    async def ask(url: str) -> object:
        async def trace(step: str, info: object) -> None:
            steps.append(step.partition(".")[2])

        async with httpx.AsyncHTTPTransport() as transport:
            request = httpx.Request("GET", url, extensions={"trace": trace})
            answer = await transport.handle_async_request(request)
            await answer.aread()
            return answer.extensions["network_stream"]

    with FakeRouter() as router:
        stream: Any = anyio.run(ask, f"{router.url}/openapi.json")
    assert hasattr(stream, "get_extra_info"), "the extension network_stream has moved"
    for step in (
        *("connect_tcp.started", "connect_tcp.complete", "send_request_headers.started"),
        *("send_request_body.complete", "receive_response_headers.complete"),
    ):
        assert step in steps, f"httpcore traces no {step} any more: see _transport/steps.py"
    for name in ("connection_made", "connection_lost"):
        assert hasattr(H11Protocol, name), "uvicorn's H11Protocol has moved: see fake/server.py"
