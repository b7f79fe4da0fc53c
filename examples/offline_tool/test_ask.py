"""The tool's own tests: offline, against a fake router for each test, without any switch."""

from __future__ import annotations

import ask
import pytest

from pytest_hydrasmoke import ChatError, Scenario, SmokeClient
from pytest_hydrasmoke.fake import FakeRouter


@pytest.fixture
def token(smoke_fake: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_SMOKE_TOKEN", smoke_fake.token)


@pytest.mark.usefixtures("token")
def test_it_prints_the_answer(smoke_fake: FakeRouter, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask.main(smoke_fake.url, "Are you ready?") == 0
    assert "ready" in capsys.readouterr().out


@pytest.mark.usefixtures("token")
def test_a_router_that_refuses_is_told(
    smoke_fake: FakeRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    smoke_fake.fail("provision", status=422, body={"detail": "no such tier"})
    assert ask.main(smoke_fake.url, "Are you ready?") == 1
    assert "no such tier" in capsys.readouterr().err
    assert not smoke_fake.instances


def test_a_reply_that_breaks_off_leaves_nothing_behind(smoke_fake: FakeRouter) -> None:
    smoke_fake.break_stream("cut")
    with SmokeClient(smoke_fake.url, token=smoke_fake.token) as client, pytest.raises(ChatError):
        ask.ask(client, "Are you ready?")
    assert [instance.deleted for instance in smoke_fake.instances] == [True]


@pytest.mark.parametrize(
    "smoke_fake",
    [{"scenario": Scenario(row_after=0, statuses=((0, "booting"),))}],
    indirect=True,
)
def test_an_agent_that_never_boots_is_given_up(smoke_fake: FakeRouter) -> None:
    with SmokeClient(smoke_fake.url, token=smoke_fake.token) as client, pytest.raises(TimeoutError):
        ask.ask(client, "Are you ready?", patience=0.1)
    assert [instance.deleted for instance in smoke_fake.instances] == [True]
