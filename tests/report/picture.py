"""Make the picture of a report for the documentation, and tell how long a long one takes to open.

    python tests/report/picture.py

It needs a Chromium. The run is a real one, against the fake router; all that is changed of it is
where the router lives and the instance's id.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from chromium import Tab
from report_tools import a_long_report

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import page as html
from pytest_hydrasmoke.fake import FakeRouter, Scenario

PICTURE = Path(__file__).parent.parent.parent / "docs" / "images" / "report.png"
PLAIN_ID = "3f6c1b2e-8d47-4c0a-9a51-7e2b90d4c618"
SCENARIO = Scenario(
    row_after=0.4,
    statuses=((0, "queued"), (1, "provisioning"), (3, "booting"), (7, "running")),
    reply="I am ready. All three tools answer, and the knowledge base is loaded.",
    first_event_after=0.7,
    event_pause=0.15,
)
TESTS = """
def test_tools(smoke_instance):
    turn = smoke_instance.chat("Which tools do you have?", timeout=4)
    assert "knowledge base" in turn.text
"""
REQUESTS = 1000


def failed_run() -> Report:
    """Run a test that meets an agent which falls silent."""
    token = "a-made-up-token-of-nobody"
    with FakeRouter(SCENARIO, token=token) as router, tempfile.TemporaryDirectory() as folder:
        router.break_stream("stall", after_events=6)
        Path(folder, "test_agent.py").write_text(TESTS, "utf-8")
        settings = {
            "URL": router.url,
            "TOKEN": token,
            "MANIFEST_ID": "hermes-basic",
            "REGION_ID": "eu-central",
            "TIER_ID": "00000000-0000-4000-8000-000000000001",
            "RUN_ID": "nightly-7",
        }
        subprocess.run(
            [sys.executable, "-m", "pytest", "--hydra-smoke", "-q", "test_agent.py"],
            cwd=folder,
            env=os.environ | {f"HYDRA_SMOKE_{name}": text for name, text in settings.items()},
            check=False,
        )
        text = Path(folder, ".hydrasmoke", "report.json").read_text("utf-8")
        text = text.replace(router.url, "https://router.example")
        return Report.model_validate_json(text.replace(router.instances[0].id, PLAIN_ID))


def main() -> None:
    with Tab() as tab, tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        page.write_text(html.render(failed_run()), "utf-8")
        PICTURE.parent.mkdir(exist_ok=True)
        tab.open(page, width=1000, height=1660)
        tab.picture(PICTURE)
        print(f"{PICTURE.name}: {PICTURE.stat().st_size / 1024:.0f} KiB")
        page.write_text(html.render(a_long_report(REQUESTS)), "utf-8")
        size = page.stat().st_size / 1024
        print(f"{REQUESTS} requests, {size:.0f} KiB: {tab.opening(page)}")


if __name__ == "__main__":
    main()
