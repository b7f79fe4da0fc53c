"""A project whose tests ask for other instances: by a parameter, a class, a module or a folder."""

from __future__ import annotations

OF_ITS_OWN = """
import pytest

@pytest.fixture
def smoke_spec(smoke_spec):
    return smoke_spec.model_copy(update={{"tier_id": "{tier}"}})
"""
OF_THE_PROJECT = """
import pytest
from pytest_hydrasmoke import InstanceSpec

@pytest.fixture
def smoke_spec():
    return InstanceSpec(manifest_id="m", region_id="r", tier_id="root")
"""
MIXED = """
import pytest
from pytest_hydrasmoke import InstanceSpec

ANOTHER = InstanceSpec(manifest_id="m", region_id="r", tier_id="whole")

def test_plain(smoke_instance):
    assert smoke_instance.spec.tier_id == "root"

@pytest.mark.parametrize("smoke_instance", [{"tier_id": "big"}, None, ANOTHER], indirect=True)
def test_by_parameter(smoke_instance):
    assert smoke_instance.spec.tier_id in ("big", "root", "whole")

class TestClass:
    @pytest.fixture
    def smoke_spec(self, smoke_spec):
        return smoke_spec.model_copy(update={"tier_id": "class"})

    def test_of_class(self, smoke_instance):
        assert smoke_instance.spec.tier_id == "class"

    @pytest.mark.parametrize("smoke_instance", [{"agent_name": "bob"}], indirect=True)
    def test_by_parameter_over_class(self, smoke_instance):
        spec = smoke_instance.spec
        assert (spec.tier_id, spec.agent_name) == ("class", "bob")

def test_plain_again(smoke_instance):
    assert smoke_instance.spec.tier_id == "root"

@pytest.mark.parametrize("smoke_instance", [{"tier_id": "big"}], indirect=True)
def test_big_again(smoke_instance):
    assert smoke_instance.spec.tier_id == "big"
"""
ONE = "def test_one(smoke_instance): assert smoke_instance.spec.tier_id == '{tier}'\n"
SPECS = {
    "conftest.py": OF_THE_PROJECT,
    "test_specs.py": MIXED,
    "test_specs_module.py": OF_ITS_OWN.format(tier="module") + ONE.format(tier="module"),
    "folder/conftest.py": OF_ITS_OWN.format(tier="folder"),
    "folder/test_specs_folder.py": ONE.format(tier="folder"),
}
