"""P11: reading the reports of many runs, beside `json.loads` on all of them.

The reports are a run of the bundled checks against the fake, told as if it had been thousands.
Each reading is a process of its own, which tells its time of CPU and its memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench_result import Bar, Result

PLAIN = """
import json, sys
from pathlib import Path
for path in Path(sys.argv[1]).rglob("report.json"):
    json.loads(path.read_bytes())
"""
OURS = """
import sys
from pytest_hydrasmoke._cli.main import main
main(["history", "--include-fake", *sys.argv[1:]])
"""
WORK = """
import sys, time
from pathlib import Path
sys.argv[1:] = {arguments!r}
{warm}
began = time.process_time()
{code}
seconds = time.process_time() - began
# Not `ru_maxrss`, which a process takes over from the one that has started it.
[peak] = [it for it in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in it]
sys.stderr.write(f"\\n{{seconds}} {{int(peak.split()[1]) / 1024}}")
"""


def _measured(code: str, *arguments: Path | str) -> tuple[float, float]:
    """Return the seconds of CPU, without those of the start, and the memory in MiB."""
    # What is loaded once is no part of what a report costs.
    warm = "import pytest_hydrasmoke._cli.main, pytest_hydrasmoke._history.views"
    script = WORK.format(arguments=[str(it) for it in arguments], code=code, warm=warm)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    seconds, memory = done.stderr.splitlines()[-1].split()
    return float(seconds), float(memory)


def _a_report(folder: Path, checks: Sequence[str]) -> dict[str, Any]:
    env = {name: it for name, it in os.environ.items() if not name.startswith("HYDRA_SMOKE_")}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "hydrasmoke", "--hydra-smoke-fake", *checks],
        cwd=folder,
        env={**env, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        check=True,
    )
    read: dict[str, Any] = json.loads((folder / ".hydrasmoke" / "report.json").read_text("utf-8"))
    return read


def _written(folder: Path, report: dict[str, Any], number: int) -> Path:
    began = datetime(2025, 2, 1, tzinfo=UTC)
    for at in range(number):
        group = {"group": f"g{at * 1_000 // number}", "commit": f"{at:040x}"}
        run = report | {
            "run_id": f"run-{at}",
            "began": (began + timedelta(hours=at)).isoformat(),
            "pipeline": report["pipeline"] | group,
        }
        home = folder / f"{at}"
        home.mkdir(parents=True)
        (home / "report.json").write_text(json.dumps(run, indent=2), "utf-8")
    return folder


def run(few: int = 1_000, many: int = 10_000, times: int = 3, checks: Sequence[str] = ()) -> Result:
    """Read two numbers of reports, each of a run of all bundled checks or of these."""
    result = Result(["reports", "history, s", "json.loads, s", "memory, MiB", "with a page, s"])
    seconds: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as place:
        report = _a_report(Path(place), checks)
        page = Path(place, "page.html")
        for number in (few, many):
            folder = _written(Path(place, f"of-{number}"), report, number)
            ours = min(_measured(OURS, folder) for _ in range(times))
            plain, _ = min(_measured(PLAIN, folder) for _ in range(times))
            paged, _ = min(_measured(OURS, folder, "--html", page) for _ in range(times))
            seconds[number] = ours[0]
            result.add(number, ours[0], plain, ours[1], paged)
            if number == few:
                against = f"{few:,} reports: against json.loads"
                result.bars.append(Bar(against, ours[0] / plain, 3.0))
        size = page.stat().st_size / 1e6
    result.bars += [
        Bar(f"time of {many:,} against {few:,}", seconds[many] / seconds[few], many / few),
        Bar(f"memory of {many:,}", ours[1], 200.0, "MiB"),
        Bar("the page of 1,000 groups", size, 2.0, "MB"),
    ]
    return result
