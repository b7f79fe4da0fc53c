"""What the leak suite shares: a run of pytest with every sink there is, and all that came of it."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from inner import only

SUITES = Path(__file__).parent.parent / "suites"
WINDOW = 8
SINKS = {
    "stdout",
    "out/junit.xml",
    "out/summary.md",
    ".hydrasmoke/report.json",
    ".hydrasmoke/report.html",
}
"""What every run leaves at least."""


def windows(token: str) -> frozenset[str]:
    """Return every part of a token that is long enough to be one."""
    return frozenset(token[at : at + WINDOW] for at in range(len(token) - WINDOW + 1))


def spellings(token: str) -> frozenset[str]:
    """Return every part of a token in base64 and in hexadecimal digits, and with escapes."""
    raw = token.encode()
    ways = [raw.hex(), raw.hex().upper(), "".join(f"\\u{ord(it):04x}" for it in token)]
    for before in range(3):
        # Without what has bits of something else beside the token.
        ways.append(base64.b64encode(bytes(before) + raw).decode()[4 if before else 0 : -4])
    # Eight decimal digits may be those of a time.
    return frozenset(it for it in frozenset[str]().union(*map(windows, ways)) if not it.isdigit())


def hits(text: str, parts: frozenset[str]) -> set[str]:
    """Return the parts that a text holds."""
    return parts.intersection(text[at : at + WINDOW] for at in range(len(text) - WINDOW + 1))


@dataclass
class Sinks:
    """All that a run left: each sink's name, and its text."""

    texts: dict[str, str] = field(default_factory=dict[str, str])
    arguments: set[str] = field(default_factory=set[str])
    code: int = 0

    def holding(self, parts: frozenset[str]) -> dict[str, set[str]]:
        """Return the parts that each sink holds, where there are any."""
        found = {name: hits(text, parts) for name, text in self._all().items()}
        return {name: seen for name, seen in found.items() if seen}

    def _all(self) -> Mapping[str, str]:
        return {**self.texts, "process arguments": "\n".join(sorted(self.arguments))}


def run(
    folder: Path,
    suite: str,
    *arguments: str,
    env: Mapping[str, str],
    conftest: str = "",
    switch: str = "--hydra-smoke",
) -> Sinks:
    """Run pytest on a suite in a folder of its own, with every sink that there is."""
    shutil.copytree(SUITES / suite, folder, ignore=shutil.ignore_patterns("__pycache__"))
    if conftest:
        (folder / "conftest.py").write_text(conftest, "utf-8")
    out = folder / "out"
    out.mkdir()
    html, log = out / "pytest.html", out / "report.jsonl"
    given = [
        *("-m", "pytest", *only(*(["xdist"] if "-n" in arguments else []))),
        *with_plugin("pytest_metadata.plugin", "pytest_html.plugin", option=f"--html={html}"),
        *with_plugin("pytest_reportlog.plugin", option=f"--report-log={log}"),
        switch,
        "--hydra-smoke-report=always",
        "--continue-on-collection-errors",
        f"--junit-xml={out / 'junit.xml'}",
        *("-o", "junit_logging=all", "-o", "junit_family=xunit1"),
        *arguments,
    ]
    return execute(given, folder, env)


def with_plugin(*modules: str, option: str) -> list[str]:
    """Return what loads a plugin of somebody else's and makes it write, if it is there."""
    if not all(importlib.util.find_spec(it.partition(".")[0]) for it in modules):
        return []
    return [*(word for it in modules for word in ("-p", it)), option]


def execute(arguments: list[str], folder: Path, env: Mapping[str, str]) -> Sinks:
    """Run Python in a folder, and gather what it wrote there and said."""
    ours = {it.relative_to(folder) for it in folder.rglob("*")}
    summary = folder / "out" / "summary.md"
    outside = {name: it for name, it in os.environ.items() if not name.startswith(("GITHUB", "CI"))}
    sinks = Sinks()
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            env={**outside, "GITHUB_STEP_SUMMARY": str(summary), **env},
            stdout=out,
            stderr=err,
        )
        try:
            while process.poll() is None:
                sinks.arguments |= set(command_lines(process.pid))
                try:
                    process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            process.kill()
            process.wait()
    sinks.code = process.returncode
    # The workers of a killed run live a little longer, and take away what they need no more.
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    for path in sorted(found):
        name = path.relative_to(folder)
        if path.is_file() and name not in ours and path.suffix != ".pyc":
            with (
                contextlib.suppress(FileNotFoundError),
                path.open(encoding="utf-8", errors="replace", newline="") as file,
            ):
                sinks.texts[name.as_posix()] = file.read()
    return sinks


def command_lines(pid: int) -> Iterator[str]:
    """Yield the command lines of a process and of all below it, where /proc tells them."""
    try:
        yield Path(f"/proc/{pid}/cmdline").read_text("utf-8").replace("\0", " ")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("utf-8").split()
    except OSError:
        return
    for child in children:
        yield from command_lines(int(child))


def settings(url: str, token: str, **more: object) -> dict[str, str]:
    """Return the environment of a live run."""
    given = {
        "url": url,
        "token": token,
        "manifest_id": "made-up",
        "region_id": "nowhere",
        "tier_id": "tier-1",
        "ready_timeout": 10,
        "llm_events_timeout": 5,
        "delete_timeout": 5,
        "usage_settle": 0.3,
        **more,
    }
    return {f"HYDRA_SMOKE_{name.upper()}": str(value) for name, value in given.items()}
