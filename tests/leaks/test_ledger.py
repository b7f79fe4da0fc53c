"""The ledger holds no token, although it stays when a run is killed, and is read by others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_hydrasmoke import ConfigError, HydraSmokeConfig, InstanceSpec
from pytest_hydrasmoke._base.token import Token, scrubbing
from pytest_hydrasmoke._journal.events import Vanished
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.ledger import Ledger
from pytest_hydrasmoke._run.run import Run

# A token may well be a UUID, as ids are.
TOKEN = "5e0c1c4a-9f0b-4a55-8d3e-0d9a4f6b7c21"
SPEC = InstanceSpec(manifest_id="made-up", region_id="nowhere", tier_id="tier-1")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = HydraSmokeConfig(
        url="http://127.0.0.1:9", token=Token(TOKEN), run_id="run", output=tmp_path
    )
    ledger = Ledger(tmp_path, "run", clean=scrubbing(Token(TOKEN)))
    ledger.begin("main")
    return Run(config, ledger)


def test_a_spec_with_the_token_in_it_is_refused(run: Run) -> None:
    spec = SPEC.model_copy(update={"agent_name": f"agent of {TOKEN}"})
    for claim in (lambda: run.claim(spec), lambda: run.claim_key(spec, "key")):
        with pytest.raises(ConfigError, match="the spec contains the token") as caught:
            claim()
        assert TOKEN not in str(caught.value)
    assert not run.ledger.read().instances
    run.ledger.end()


@pytest.mark.parametrize(("known", "written"), [(TOKEN, None), (TOKEN[::-1], TOKEN[::-1])])
def test_an_id_that_is_the_token_is_not_written_down(
    run: Run, known: str, written: str | None
) -> None:
    [instance] = run.claim(SPEC)
    instance.becomes(State.REQUESTED)
    instance.id = known
    instance.becomes(State.CREATED)
    instance.note(Vanished(known))
    told = run.ledger.read().instances["run-0"]
    assert (told.id, told.vanished) == (written, [] if written is None else [written])
    assert TOKEN not in (run.ledger.folder / "ledger.jsonl").read_text("utf-8")
    run.ledger.end()
