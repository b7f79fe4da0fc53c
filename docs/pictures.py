"""Make the picture of a terminal: `python docs/pictures.py`, whose output is a run's own.

The run is a small team's, against the fake router, which boots an instance in a few seconds.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pytest_hydrasmoke.fake import FakeRouter, Scenario

IMAGES = Path(__file__).parent / "images"
TOKEN = "a-made-up-token-of-a-picture"  # noqa: S105
WIDTH = 88
SUITE = """
def test_it_greets(smoke_instance):
    turn = smoke_instance.chat("Are you ready?")
    assert "ready" in turn.text


def test_its_usage_is_recorded(smoke_instance):
    turn = smoke_instance.chat("Are you ready?")
    turn.expect_llm_events(providers={"anthropic"})


def test_a_second_region(smoke_instance_factory):
    with smoke_instance_factory(region_id="us-east") as instance:
        assert instance.chat("Are you ready?").complete
"""
BOOT = ((0.0, "queued"), (0.4, "provisioning"), (1.2, "booting"), (2.1, "running"))


def run(arguments: list[str], scenario: Scenario) -> str:
    """Run the suite in colour, and give what it prints."""
    with tempfile.TemporaryDirectory() as folder, FakeRouter(scenario, TOKEN) as router:
        (Path(folder) / "test_agent.py").write_text(SUITE, "utf-8")
        settings = {
            "URL": router.url,
            "TOKEN": TOKEN,
            "RUN_ID": "deploy-1742",
            "MANIFEST_ID": "hermes-basic",
            "REGION_ID": "eu-central",
            "TIER_ID": "basic",
        }
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "pytest", "-p", "hydrasmoke", "--color=yes", *arguments],
            cwd=folder,
            env={
                **os.environ,
                "COLUMNS": str(WIDTH),
                # Other plugins would have their say.
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                **{f"HYDRA_SMOKE_{name}": value for name, value in settings.items()},
            },
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        return done.stdout.replace(router.url, "https://router.example").replace(folder, "agent")


def terminal(output: str, command: str) -> str:
    """Return an SVG of a terminal in which a command has printed this."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text(f"$ {command}", style="bold"))
    console.print(Text.from_ansi(output.strip("\n")))
    # The fonts that it names lie on other servers: a reader's own will do.
    drawing = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title=""), flags=re.DOTALL)
    return "\n".join(line.rstrip() for line in drawing.splitlines()) + "\n"


def main() -> None:
    """Make the picture again."""
    IMAGES.mkdir(exist_ok=True)
    arguments = ["--hydra-smoke", "test_agent.py"]
    output = run(arguments, Scenario(statuses=BOOT, llm_events_lag=0.3, event_pause=0.1))
    # Versions and folders are this machine's.
    output = re.sub(r"^(platform|cachedir|rootdir|plugins).*\n", "", output, flags=re.MULTILINE)
    drawing = terminal(output, f"pytest {' '.join(arguments)}")
    (IMAGES / "terminal.svg").write_text(drawing, "utf-8")


if __name__ == "__main__":
    main()
