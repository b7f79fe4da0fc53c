"""What is kept out of this team's recordings: the address that its agent repeats."""

from __future__ import annotations

import dataclasses

from pytest_hydrasmoke import RecordedTurn

CUSTOMER = "noor@customer.example"


def pytest_hydra_smoke_record(turn: RecordedTurn) -> RecordedTurn:
    texts = (turn.text, turn.message)
    text, message = (it.replace(CUSTOMER, "someone@example.com") for it in texts)
    return dataclasses.replace(turn, text=text, message=message)
