"""What happens to an instance, tried on one of this module's own."""

from __future__ import annotations

import pytest

from pytest_hydrasmoke import RouterError, SmokeInstance


def test_it_is_named_as_asked(own_instance: SmokeInstance) -> None:
    assert own_instance.spec.agent_name == "nightly"
    assert own_instance.hostname


def test_once_deleted_it_answers_no_more(own_instance: SmokeInstance) -> None:
    own_instance.delete()
    with pytest.raises(RouterError):
        own_instance.chat("Are you still there?")
