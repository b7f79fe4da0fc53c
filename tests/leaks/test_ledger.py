"""The ledger holds no token, although it stays when a run is killed, and is read by others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_hydrasmoke import ConfigError, HydraSmokeConfig, InstanceSpec
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.session import SmokeSession

# A token may well be a UUID, as ids are.
TOKEN = "5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21"
SPEC = InstanceSpec(manifest_id="made-up", region_id="nowhere", tier_id="tier-1")


@pytest.fixture
def session(tmp_path: Path) -> SmokeSession:
    config = HydraSmokeConfig(
        url="http://127.0.0.1:9", token=Token(TOKEN), run_id="run", output=tmp_path
    )
    ledger = Ledger(tmp_path, "run", clean=scrubbing(Token(TOKEN)))
    ledger.begin("main")
    return SmokeSession(config, ledger)


def test_a_spec_with_the_token_in_it_is_refused(session: SmokeSession) -> None:
    spec = SPEC.model_copy(update={"agent_name": f"agent of {TOKEN}"})
    for claim in (lambda: session.claim(spec), lambda: session.claim_key(spec, "key")):
        with pytest.raises(ConfigError, match="the spec contains the token") as caught:
            claim()
        assert TOKEN not in str(caught.value)
    assert not session.ledger.read().instances
    session.ledger.end()


@pytest.mark.parametrize(("known", "written"), [(TOKEN, None), (TOKEN[::-1], TOKEN[::-1])])
def test_an_id_that_is_the_token_is_not_written_down(
    session: SmokeSession, known: str, written: str | None
) -> None:
    [record] = session.claim(SPEC)
    record.id = known
    record.becomes(State.CREATED)
    assert session.ledger.read().instances["run-0"].id == written
    assert TOKEN not in (session.ledger.folder / "ledger.jsonl").read_text("utf-8")
    session.ledger.end()
