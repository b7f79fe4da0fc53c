"""`hydra-smoke history`: its options, and its steps."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.text import aside, safe_line
from pytest_hydrasmoke._history.findings import CONDITIONS, Demand
from pytest_hydrasmoke._options import variable

if TYPE_CHECKING:
    from pytest_hydrasmoke._history.reports import Found

VIEWS = {"html": "a page", "json": "data", "markdown": "a short summary"}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", type=_path, metavar="PATH", help="reports, or folders that have some"
    )
    for name, what in VIEWS.items():
        parser.add_argument(
            f"--{name}",
            type=_path,
            metavar="FILE",
            help=f"write it as {what}; - is standard output",
        )
    parser.add_argument(
        "--last", type=_number, default=1_000, metavar="N", help="only the newest N groups (1000)"
    )
    parser.add_argument(
        "--group",
        type=_name,
        metavar="NAME",
        help="judge this group, ignore newer ones (the newest; with --expect the pipeline's)",
    )
    parser.add_argument(
        "--expect", type=_number, metavar="N", help="fail if the group has fewer runs"
    )
    parser.add_argument(
        "--include-fake", action="store_true", help="show runs of the fake router too, separately"
    )
    parser.add_argument(
        "--fail-on",
        type=_conditions,
        default=frozenset(),
        metavar="WHAT",
        help=f"exit with 1 if any of these is found: {','.join(CONDITIONS)}",
    )


def _name(text: str) -> str:
    if text.strip():
        return text
    raise argparse.ArgumentTypeError("is empty")


def _path(text: str) -> Path:
    return Path(_name(text))


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text[:10]) > 0:
        return int(text[:10])
    raise argparse.ArgumentTypeError("must be a number, 1 or more")


def _conditions(text: str) -> frozenset[str]:
    words = frozenset(word.strip() for word in text.split(","))
    if unknown := words - set(CONDITIONS):
        raise argparse.ArgumentTypeError(
            f"has {', '.join(map(repr, sorted(unknown)))}: give any of {','.join(CONDITIONS)}"
        )
    return words


def run(options: argparse.Namespace, say: Callable[[str], None]) -> bool:
    """Show the history; return whether it meets the demanded conditions."""
    from pytest_hydrasmoke._history import reports, summary, views
    from pytest_hydrasmoke._history.figures import history
    from pytest_hydrasmoke._history.findings import no_commit, problems
    from pytest_hydrasmoke._history.regression import BASELINE, ENOUGH
    from pytest_hydrasmoke._report import pipeline

    own = os.environ.get(variable("group")) or pipeline.own_group(os.environ)
    group = options.group or (own if options.expect else None)
    targets: dict[str, Path] = {
        name: path for name in VIEWS if (path := getattr(options, name)) is not None
    }
    views.refuse_reports(targets)
    if "regression" in options.fail_on and options.last <= ENOUGH:
        raise ConfigError(
            f"--last {options.last} leaves no baseline for --fail-on regression, which takes "
            f"{ENOUGH} green groups before the newest one",
            next_step=f"give --last {ENOUGH + 1} or more, better {BASELINE + 1}",
        )
    # A view that is written to standard output must be alone there.
    out = aside if views.STANDARD_OUTPUT in targets.values() else say
    found = reports.read(options.paths)
    now = datetime.now(UTC)
    shown = history(found, last=options.last, group=group, fake=options.include_fake, now=now)
    demand = Demand(options.fail_on, group, options.expect)
    red = problems(shown, demand)
    shown = shown.model_copy(update={"red": tuple(red)})
    for line in summary.lines(shown):
        out(line)
    if shown.overviews:
        views.write(shown, targets, say)
    for line in red:
        out(f"FAILED {safe_line(line, 2_000)}")
    if not shown.overviews:
        raise _nothing(found, include_fake=options.include_fake)
    warning = no_commit(shown, demand)
    if warning is not None:
        out(warning)
    return not red


def _nothing(found: Found, *, include_fake: bool) -> ConfigError:
    """Return why nothing can be shown, and what to do about it."""
    if found.runs and not include_fake and all(run.fake for run in found.runs):
        problem, next_step = "every run that was read used the fake router", "give --include-fake"
    elif found.runs:
        problem = "every group that was read begins in the future"
        next_step = "set the clock of the machine that ran them, or of this one"
    else:
        problem = (
            "no report could be read" if found.unread else "there is no report in these folders"
        )
        next_step = "give the report.json files of runs, or folders that contain them"
    return ConfigError(problem, next_step=next_step)
