"""Check a router, sweep up after runs, serve the fake router, compare reports: without pytest."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import math
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_hydrasmoke._base.errors import ConfigError
from pytest_hydrasmoke._base.signals import Interrupts
from pytest_hydrasmoke._base.text import aside, cleaner, printable, safe_line
from pytest_hydrasmoke._base.token import scrubbing
from pytest_hydrasmoke._options import ON_WINDOWS, WSL, variable

from . import history


class Output:
    """Standard output, as a function that prints a line."""

    lost = False
    """Whether lines were lost that a reader may need."""

    def __call__(self, line: str) -> None:
        """Print a line, unless an earlier one could not be printed."""
        try:
            # In one call: several threads print.
            sys.stdout.write(printable(f"{line}\n", sys.stdout))
            sys.stdout.flush()
        except OSError as error:
            # Python would try to flush the rest at exit.
            sys.stdout = io.StringIO()
            # A reader that has closed the pipe, such as `head`, has seen enough.
            if not isinstance(error, BrokenPipeError):
                self.lost = True
                aside(f"standard output can't be written: {error.strerror}")


def replace_closed() -> None:
    """Replace standard streams that were closed (`2>&-`): Python has None in their place."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, io.StringIO())


def flush() -> None:
    """Write what is left of a line in which the command was interrupted.

    Python would do so at exit, and change the exit code where that fails.
    """
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except OSError:
            setattr(sys, name, io.StringIO())


OK, WRONG, SETTINGS = 0, 1, 4
"""Exit codes: 4 for settings, as for pytest's own usage errors."""


class _Parser(argparse.ArgumentParser):
    """Does not echo unknown arguments: one may be the token, and many people read a log."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **{**options, "allow_abbrev": False})
        # A command's own parser takes the place of the main one: its usage is what helps.
        self.set_defaults(parser=self)
        # Accepted only to be refused.
        self.add_argument("--token", nargs="?", action=_Refused, help=argparse.SUPPRESS)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse the arguments; exits with a message where that fails."""
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            names = (argument.partition("=")[0] for argument in unknown)
            shown = [name for name in names if re.fullmatch("--[a-z]+(-[a-z]+)*", name)]
            options.parser.error(f"unrecognized arguments: {' '.join(shown) or '(not repeated)'}")
        return options


class _Refused(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *arguments: object) -> None:
        parser.error(
            "--token would show the token to everybody on this machine: "
            f"set {variable('token')} in the environment, or {variable('token_file')}"
        )


def _parser() -> tuple[_Parser, Sequence[str]]:
    """Return the parser, and the names of its commands."""
    parser = _Parser("hydra-smoke", description=__doc__)
    version = importlib.metadata.version("pytest-hydrasmoke")
    parser.add_argument("--version", action="version", version=f"hydra-smoke {version}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check", help="test settings, router and token without provisioning anything"
    )
    check.set_defaults(run=_check)
    sweep = commands.add_parser("sweep", help="delete what earlier runs left behind")
    sweep.add_argument("--run-id", help="sweep this run only, and end it if it is still alive")
    sweep.add_argument("--output", help="folder of the ledger (.hydrasmoke)")
    sweep.add_argument(
        "--wait",
        type=_seconds,
        default=60.0,
        help="seconds to wait for a key that has no row yet (60)",
    )
    sweep.add_argument("--dry-run", action="store_true", help="only show what it would do")
    sweep.set_defaults(run=_sweep)
    fake = commands.add_parser("fake", help="serve the fake router alone, until Ctrl-C")
    _add_fake_options(fake)
    fake.set_defaults(run=_fake)
    compare = commands.add_parser("history", help="compare the reports of many runs")
    history.add_options(compare)
    compare.set_defaults(run=history.run)
    return parser, [*commands.choices]


def _add_fake_options(fake: argparse.ArgumentParser) -> None:
    fake.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    fake.add_argument("--port", type=int, default=8000, help="port to listen on, 0 for any (8000)")
    fake.add_argument(
        "--scenario",
        default="default",
        metavar="NAME|FILE|FOLDER",
        help="how it behaves: a ready-made scenario, a TOML file, or a folder of recordings "
        "(default)",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser, commands = _parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    own_options = ("-h", "--help", "--version", "--token")
    if arguments and arguments[0].partition("=")[0] not in (*commands, *own_options):
        parser.error(f"the first argument must be a command: {', '.join(commands)}")
    options = parser.parse(arguments)
    if ON_WINDOWS:
        return _fail(WSL, SETTINGS)
    return _perform(options, shlex.join(["hydra-smoke", *arguments]))


def _perform(options: argparse.Namespace, command: str) -> int:
    """Carry out a command to its end, or until a signal comes; return its exit code."""
    run: Callable[[argparse.Namespace, Callable[[str], None]], bool] = options.run
    say = Output()
    replace_closed()
    # A second signal must not interrupt what the first one has begun.
    interrupts = Interrupts()
    interrupts.install()
    try:
        all_is_well = run(options, say)
        return WRONG if not all_is_well else SETTINGS if say.lost else OK
    except ConfigError as error:
        code = _fail(str(error), SETTINGS)
    except KeyboardInterrupt:
        problem = f"interrupted: run it again: {safe_line(command, 1_000)}"
        code = _fail(problem, 128 + (interrupts.received or signal.SIGINT))
    finally:
        flush()
        interrupts.end()
    return code


def _fail(problem: str, code: int) -> int:
    aside(cleaner(scrubbing(None))(problem))
    return code


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if 0 <= seconds < math.inf:
            return seconds
    raise argparse.ArgumentTypeError("must be a number of seconds, 0 or more")


# Commands: each returns whether all is well


def _fake(options: argparse.Namespace, say: Callable[[str], None]) -> bool:
    from pytest_hydrasmoke.fake import serve
    from pytest_hydrasmoke.fake.presets import load

    token = os.environ.get(variable("token")) or None
    if not 0 <= options.port <= 65535:
        raise ConfigError(f"there is no port {options.port}", next_step="give 0 to 65535")
    try:
        scenario = load(options.scenario)
    except ValueError as error:
        raise ConfigError(f"the fake router has no such scenario: {error}") from None

    def announce(url: str, random_token: str) -> None:
        print(f"fake router at {url}")
        if scenario.recordings is not None:
            print(scenario.recordings.in_words_with_age(datetime.now(UTC).date()))
        print(f"its token is {variable('token') if token else random_token}")
        print("stop it with Ctrl-C", flush=True)

    try:
        serve(scenario, token, host=options.host, port=options.port, announce=announce)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the fake router can't be served: {error}") from None
    return True


def _sweep(options: argparse.Namespace, say: Callable[[str], None]) -> bool:
    from pytest_hydrasmoke._report.github import annotation
    from pytest_hydrasmoke._run.sweep import USED, Sweep
    from pytest_hydrasmoke._settings.sources import load
    from pytest_hydrasmoke._transport.blocking import SyncIO

    settings = {"output": options.output, "run_id": options.run_id}
    # Without --run-id, a wrong run id in the settings does not matter.
    used = USED if options.run_id is None else (*USED, "run_id")
    loaded = load(settings, Path.cwd(), fake=False, required=("url",), used=used)
    config, clean = loaded.config, cleaner(scrubbing(loaded.config.token))
    for warning in loaded.warnings:
        aside(clean(f"WARNING: {warning}"))
    left: list[str] = []

    def tell(line: str) -> None:
        # One line each, even if the words of a ledger or a router contain line breaks.
        line = clean(" ".join(line.splitlines()))
        left.extend([line] if line.startswith(("LEFT", "UNKNOWN")) else ())
        say(line)

    sweep = Sweep(
        config,
        SyncIO(config.link),
        options.wait,
        options.dry_run,
        say=tell,
        wait_aloud=lambda line: aside(clean(line)),
    )
    try:
        if options.run_id is None:
            sweep.all_runs()
        else:
            sweep.one_run(config.run_id)
    except KeyboardInterrupt:
        sweep.interrupted()
        say("something may be left")
        raise
    say(clean(sweep.conclusion))
    if sweep.left and os.environ.get("GITHUB_ACTIONS") == "true":
        aside(annotation("hydra-smoke sweep", "\n".join([clean(sweep.conclusion), *left])))
    return not sweep.left


def _check(options: argparse.Namespace, say: Callable[[str], None]) -> bool:
    from pytest_hydrasmoke._settings.sources import load

    from .check import findings

    loaded = load({}, Path.cwd(), fake=False)
    config, clean = loaded.config, cleaner(scrubbing(loaded.config.token))
    say(clean(f"ok    settings: {config.url}"))
    for warning in loaded.warnings:
        say(clean(f"note  settings: {warning}"))
    all_is_well = True
    for finding in findings(config, lambda line: aside(clean(line))):
        say(clean(f"{'ok   ' if finding.good else 'WRONG'} {finding.what}: {finding.words}"))
        all_is_well &= finding.good
    return all_is_well
