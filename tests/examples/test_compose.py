"""The compose file: its two services run here as two processes, without Docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from blocks import stand_ins
from shown import ROOT
from systems import free_port
from without_trio import path_with_trio

FOLDER = ROOT / "examples" / "compose"
SERVICES: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))["services"]
ROUTER, CLIENT = SERVICES["router"], SERVICES["client"]
[PORT] = re.findall(r":(\d+)$", CLIENT["environment"]["ROUTER_URL"])


def words(command: list[str], port: str) -> list[str]:
    """Return a service's command for this machine: its paths, loopback only, a free port."""
    command = [word.replace("0.0.0.0", "127.0.0.1").replace(PORT, port) for word in command]
    for volume in CLIENT["volumes"]:
        here, there, _ = volume.split(":")
        command = [word.replace(there, str(FOLDER / here)) for word in command]
    return command


def environment(service: dict[str, Any], commands: Path, port: str) -> dict[str, str]:
    given = {name: text.replace(PORT, port) for name, text in service["environment"].items()}
    # The name by which one service reaches the other.
    [name] = CLIENT["depends_on"]
    given = {key: text.replace(f"//{name}:", "//127.0.0.1:") for key, text in given.items()}
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "PYTHONPATH": path_with_trio(), "NO_PROXY": "127.0.0.1"}
    return {**os.environ, **own, **given}


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
def test_the_client_meets_the_fake(tmp_path: Path) -> None:
    commands, port = stand_ins(tmp_path / "bin"), str(free_port())
    env = environment(ROUTER, commands, port)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import controls\ncontrols.add_to_every_fake()\n"
    )
    controls = [str(tmp_path / "site"), str(ROOT / "tests" / "shared")]
    env["PYTHONPATH"] = os.pathsep.join([*controls, env["PYTHONPATH"]])
    how, *check = words(ROUTER["healthcheck"]["test"], port)
    assert how == "CMD"

    def is_healthy() -> bool:
        return subprocess.run(check, env=env, capture_output=True, check=False).returncode == 0

    assert not is_healthy()
    fake = subprocess.Popen(words(ROUTER["command"], port), env=env, stdout=subprocess.PIPE)
    try:
        end = time.monotonic() + 30
        while not is_healthy():
            assert time.monotonic() < end
        done = subprocess.run(
            words(CLIENT["command"], port),
            env=environment(CLIENT, commands, port),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "I am ready.\ndeleted\n"
        token = {"authorization": f"Bearer {ROUTER['environment']['HYDRA_SMOKE_TOKEN']}"}
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}/_fake/",
            headers=token,
            trust_env=False,
            verify=False,
        ) as http:
            requests = http.get("requests").json()
            [instance] = http.get("instances").json()
    finally:
        fake.terminate()
        said, _ = fake.communicate(timeout=30)
    assert fake.returncode == 0
    assert token["authorization"].encode() not in said
    assert instance["deleted"]
    routes = [it["route"] for it in requests if it["route"] != "poll"]
    assert routes == ["provision", "chat", "delete"]


def test_the_client_waits_for_a_healthy_router() -> None:
    assert CLIENT["depends_on"] == {"router": {"condition": "service_healthy"}}
    assert CLIENT["environment"]["ROUTER_URL"] == f"http://router:{PORT}"
    assert ROUTER["command"][-2:] == ["--port", PORT]


def test_every_file_is_on_a_page() -> None:
    pages = "".join(page.read_text("utf-8") for page in ROOT.glob("docs/**/*.md"))
    for file in FOLDER.iterdir():
        assert f"{{literalinclude}} ../../examples/compose/{file.name}" in pages
