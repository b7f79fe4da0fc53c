"""The results' file, and the tables of the page about performance that are made from it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bench_machine import machine, versions
from bench_result import Result, short

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "explanation" / "performance.md"

Results = dict[str, Result]


def load(path: Path = RESULTS) -> tuple[Results, dict[str, str], str]:
    """Read the results: by row, with the machine of each row, and the versions."""
    if not path.exists():
        return {}, {}, ""
    found = json.loads(path.read_text("utf-8"))
    rows = {name: Result.from_json(row) for name, row in found["rows"].items()}
    return rows, found["machines"], found["versions"]


def save(new: Results, path: Path = RESULTS) -> None:
    """Put new rows in the place of old ones."""
    rows, machines, _ = load(path)
    rows |= new
    machines |= {name: machine() for name in new}
    content = {
        "versions": versions(),
        "machines": dict(sorted(machines.items())),
        "rows": {name: rows[name].to_json() for name in sorted(rows)},
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def table(result: Result) -> str:
    """Write a result's table."""
    lines = [list(result.columns), ["---"] * len(result.columns), *result.lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bars(result: Result) -> str:
    """Write a result's bars, broken ones marked."""
    lines = ["| bar | found | at most |", "| --- | --- | --- |"]
    for bar in result.bars:
        # One more digit for a broken one: it may be so by a hair.
        found = short(bar.value) if bar.kept else f"**{bar.value:.4g}**"
        lines.append(f"| {bar.what} | {found} {bar.unit} | {short(bar.limit)} {bar.unit} |")
    return "\n".join(lines)


def section(result: Result, where: str) -> str:
    """Write all that is shown of a row."""
    parts = [table(result), bars(result), *result.remarks, f"*{where}*"]
    return "\n\n".join(parts)


def refreshed(page: str, rows: Results, machines: dict[str, str], versions: str) -> str:
    """Return the page with its tables made anew: each stands between two comments with its name."""
    parts = {name: section(result, machines[name]) for name, result in rows.items()}
    if rows:
        parts["versions"] = versions
    for name, text in parts.items():
        comment = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        page = comment.sub(lambda it, text=text: f"{it[1]}\n{text}\n\n{it[2]}", page)
    return page


def refresh() -> None:
    """Make the page's tables anew from the results' file."""
    PAGE.write_text(refreshed(PAGE.read_text("utf-8"), *load()), "utf-8")
