"""A router that asks its clients for certificates: by every way in which a run asks it."""

from __future__ import annotations

import pytest
from plugin_tools import Project, alone_or_workers, nothing_left
from tls_tools import CA, CLIENT, over_tls

from pytest_hydrasmoke._cli.main import main as command
from pytest_hydrasmoke.fake import FakeRouter

SOME = "test_instance[asyncio] or test_chat_answers or test_token_is_required_to"
"""An async test, bundled checks of the run's own client, and those of other tokens."""


@alone_or_workers
def test_a_run_presents_its_client_certificate_everywhere(
    project: Project,
    router: FakeRouter,
    capsys: pytest.CaptureFixture[str],
    workers: tuple[str, ...],
) -> None:
    project.suite("async_anyio")
    with over_tls(router) as url:
        patient = {"ready_timeout": 60, "llm_events_timeout": 60, "delete_timeout": 60}
        project.at(url, run_id="run", ca_file=CA, **CLIENT, **patient)
        project.live("-p", "anyio", *workers, "-k", SOME, passed=11)
        assert nothing_left(router)
        capsys.readouterr()
        assert command(["check"]) == 0
        assert command(["sweep", "--run-id", "run"]) == 0
        out, err = capsys.readouterr()
        assert (out.count("ok    "), err) == (6, "")
