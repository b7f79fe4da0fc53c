"""Run the benchmark: `python benchmarks [P1 ... P12] [--check]`, from the checkout."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from bench_machine import machine, missing, versions

ROWS = {
    "P1": "p1_start",
    "P2": "p2_decode",
    "P3": "p3_chat",
    "P4": "p4_calls",
    "P5": "p5_ready",
    "P6": "p6_many",
    "P7": "p7_fake",
    "P9": "p9_tools",
    "P10": "p10_rule",
    "P11": "p11_history",
    "P12": "p12_recordings",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python benchmarks", description=__doc__)
    rows = ", ".join(ROWS)
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", type=str.upper, help=f"any of {rows}; without one, all"
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 if a bar is broken")
    given = parser.parse_args()
    unknown = set(given.rows) - ROWS.keys()
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))} (there are {rows})")
    if absent := ", ".join(missing()):
        print(f"not installed, and so not compared: {absent}", file=sys.stderr)
    broken: list[str] = []
    for name in dict.fromkeys(given.rows or ROWS):
        result = import_module(ROWS[name]).run()
        print(f"{name}\n\n{result}\n\n*{machine()}*\n", flush=True)
        broken += [
            f"{name} {bar.what}: {bar.value:.4g} {bar.unit}, at most {bar.limit:g}"
            for bar in result.bars
            if not bar.kept
        ]
    print(versions())
    for bar in broken:
        print(f"broken: {bar}", file=sys.stderr)
    return 1 if broken and given.check else 0


if __name__ == "__main__":
    sys.exit(main())
