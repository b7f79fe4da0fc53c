"""P8: the project's normal tests, as `tox -e py` runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence

from bench_page import ROOT
from bench_result import Bar, Result


def run(arguments: Sequence[str] = ("-n", "4", "--dist", "worksteal")) -> Result:
    result = Result(["tests", "outcome", "minutes"])
    # Nor does tox know this variable: without bytecode, every process compiles all that it imports.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    minutes = (time.monotonic() - start) / 60
    *lines, last = done.stdout.strip().splitlines()
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            print(line, file=sys.stderr)
    passed = re.search(r"(\d+) passed", last)
    result.add(int(passed[1]) if passed else 0, "passed" if done.returncode == 0 else last, minutes)
    result.bars = [
        Bar("minutes", minutes, 2.5, "min"),
        Bar("exit code of pytest", float(done.returncode), 0, ""),
    ]
    return result
