"""`hydra-smoke`: what works where pytest does not, since it loads no conftest."""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ._errors import ConfigError, HydraSmokeError, NotFoundError

OK, WRONG, SETTINGS = 0, 1, 4
"""Exit codes: settings are 4, as pytest's own usage errors are."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and give its exit code."""
    parser = argparse.ArgumentParser("hydra-smoke", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check", help="test settings, router and token without provisioning anything"
    )
    check.set_defaults(run=lambda options: _check())
    fake = commands.add_parser("fake", help="serve the fake router alone, until Ctrl-C")
    fake.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    fake.add_argument("--port", type=int, default=8000, help="port to listen on, 0 for any (8000)")
    fake.set_defaults(run=_fake)
    options = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return SETTINGS


def _fake(options: argparse.Namespace) -> int:
    from .fake import serve

    def announce(url: str, token: str) -> None:
        print(f"fake router at {url}")
        if os.environ.get("HYDRA_SMOKE_TOKEN") != token:
            print(f"token {token}")
        print("stop it with Ctrl-C", flush=True)

    try:
        serve(
            token=os.environ.get("HYDRA_SMOKE_TOKEN") or None,
            host=options.host,
            port=options.port,
            announce=announce,
        )
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(f"the fake router can't be served: {error}") from None
    return OK


def _check() -> int:
    from ._load import load

    config = load({}, Path.cwd(), fake=False).config
    print(f"ok    settings: {config.url}, run id {config.run_id}")
    code = OK
    for name, check in _checks(config):
        try:
            print(f"ok    {name}: {check()}")
        except HydraSmokeError as error:
            print(f"WRONG {name}: {error}")
            code = WRONG
            if name == "router":
                break  # What is not reached can't be checked further.
    return code
