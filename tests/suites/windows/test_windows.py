from __future__ import annotations

import pytest

from pytest_hydrasmoke import SmokeInstance


@pytest.mark.parametrize("number", range(4))
def test_chat(smoke_instance: SmokeInstance, number: int) -> None:
    turn = smoke_instance.chat(f"Hello {number}")
    assert turn.complete
    turn.expect_llm_events()
