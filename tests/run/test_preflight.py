"""What a run, or a sweep, learns of its router first: how it answers for what does not exist."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_io import (
    NO_ROW,
    NO_SUCH_PATH,
    NOT_FOUND,
    ScriptedIO,
    kind_of,
    reply,
)

from pytest_hydrasmoke import ConfigError, HydraSmokeConfig, HydraSmokeError
from pytest_hydrasmoke._base.evidence import Absent
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._run.preflight import learn
from pytest_hydrasmoke._transport.protocol import Answer

BARE_KEY = "the answers at this URL look like those of a path that does not exist"


class Router(ScriptedIO):
    """A router that answers for what does not exist; its keys have their own answer first."""

    def __init__(self, poll: Answer, /, **controls: Answer) -> None:
        super().__init__(poll=[poll])
        self.controls.update(controls)

    def learn(self) -> Absent:
        config = HydraSmokeConfig(
            url="https://router.example",
            token=Token("made-up-token-1"),
            run_id="run",
            output=Path("out"),
            manifest_id="m",
            region_id="r",
            tier_id="t",
        )
        return learn(config, io=self)  # type: ignore[arg-type]

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("router", "absent"),
    [
        (Router(NO_ROW), Absent()),
        (Router(NOT_FOUND), Absent(key_404=True)),
        (Router(NO_ROW, id=NO_SUCH_PATH), Absent(bare=True)),
        (Router(NO_SUCH_PATH, key=reply(401, {"detail": "no"})), Absent(key_404=True, bare=True)),
        (Router(NO_SUCH_PATH, key=NO_ROW), Absent(key_404=True, bare=True)),
        # Where an unknown key is answered with success, nothing else can look like the router.
        (Router(NO_ROW, id=NO_SUCH_PATH, malformed=NO_SUCH_PATH), Absent(bare=True)),
    ],
)
def test_two_things_are_kept_of_what_is_learned(router: Router, absent: Absent) -> None:
    assert router.learn() == absent


@pytest.mark.parametrize(
    "router",
    [
        Router(NOT_FOUND, malformed=NOT_FOUND),
        Router(NOT_FOUND, malformed=reply(422, {"detail": "x"}), path=reply(422, {"detail": "y"})),
        # Strangers are told that there is no such path: that of keys is another server's.
        Router(NO_SUCH_PATH, key=NO_SUCH_PATH),
    ],
)
def test_a_router_that_can_prove_nothing_is_refused(router: Router) -> None:
    with pytest.raises(ConfigError, match=BARE_KEY) as raised:
        router.learn()
    assert "check HYDRA_SMOKE_URL" in str(raised.value.next_step)


def test_only_where_a_key_is_answered_as_a_wrong_path_a_stranger_asks() -> None:
    for router, anonymous in ((Router(NOT_FOUND), []), (Router(NO_SUCH_PATH), ["key"])):
        router.learn()
        asked = [it.request for it in router.controls_sent]
        assert [kind_of(it) for it in asked if it.anonymous] == anonymous
        assert {kind_of(it) for it in asked} == {"path", "id", "malformed", *anonymous}
        # A cache may give a stranger what it has kept of an answer to the token.
        assert len({it.path for it in asked}) == len(asked)


def test_what_is_wrong_with_the_token_is_told_by_the_first_answer() -> None:
    with pytest.raises(HydraSmokeError, match="poll was refused with 401"):
        Router(reply(401, {"detail": "no"})).learn()


def test_a_word_that_is_taken_for_an_id_is_told_by_its_code() -> None:
    with pytest.raises(ConfigError, match="200 for a malformed id"):
        Router(NOT_FOUND, malformed=reply(200, {})).learn()
