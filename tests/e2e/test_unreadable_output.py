"""An output folder that can't be read at a run's end costs no deletion, and hides no leak."""

from __future__ import annotations

import pytest
from plugin_tools import Project, nothing_left

from pytest_hydrasmoke.fake import FakeRouter

LAYER = """
import errno, os, sys
AUDITED = {"open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}
broken = []
def layer(event, given):
    paths = [str(it) for it in given if isinstance(it, (str, os.PathLike))]
    if broken and event in AUDITED and any(".hydrasmoke" in it for it in paths):
        raise OSError(errno.EIO, "Input/output error", paths[0])
sys.addaudithook(layer)
"""
ENDS = {
    "alone": "def pytest_runtest_teardown(nextitem): nextitem is None and broken.append(1)\n",
    "a worker": "def pytest_runtest_teardown(nextitem): nextitem is None and broken.append(1)\n",
    "beside workers": "def pytest_testnodedown(): broken.append(1)\n",
}


@pytest.mark.parametrize("leaks", [False, True], ids=["gone", "leaks"])
@pytest.mark.parametrize("where", ENDS)
def test_all_is_deleted_and_told(
    project: Project, router: FakeRouter, where: str, leaks: bool
) -> None:
    project.at(router, bundled_checks="false", delete_timeout="5", run_id="unreadable")
    project.write("conftest.py", LAYER + ENDS[where])
    project.write(
        "test_it.py", "def test_many(smoke_instance_factory):\n    smoke_instance_factory.many(2)\n"
    )
    if leaks:
        router.fail("delete", status=500, times=999)
    workers = () if where == "alone" else ("-p", "xdist", "-n1")
    result = project.process("--hydra-smoke", *workers, "test_it.py", ret=int(leaks))
    result.says(
        f"*provisioned 2, deleted {0 if leaks else 2}, kept 0, leaked {2 if leaks else 0}, unsure 0"
    )
    if where != "a worker":
        result.says(
            "hydra-smoke: the ledger can't be read * hydra-smoke sweep --run-id unreadable *"
        )
    assert leaks or nothing_left(router)
    if leaks:
        result.says("*To delete it: * hydra-smoke sweep --run-id unreadable*")
