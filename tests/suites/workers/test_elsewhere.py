"""A worker that ends in its first test, and the one that takes its place."""

from __future__ import annotations

import os

from pytest_hydrasmoke import HydraSmokeConfig, SmokeInstance


def test_crashes(smoke_instance: SmokeInstance) -> None:
    os._exit(7)


def test_has_a_run_of_its_own(
    smoke_instance: SmokeInstance, smoke_config: HydraSmokeConfig
) -> None:
    assert smoke_config.run_id == "run-gw1"
    assert smoke_instance.idempotency_key == "run-gw1-0"
    assert (smoke_config.output / "runs" / "run-gw1" / "ledger.jsonl").is_file()
    smoke_instance.chat("hello").expect_llm_events()
