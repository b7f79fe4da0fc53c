"""What is wrong with settings whose values are valid one by one, and how to put it right.

They contradict each other, or what is on this machine.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import has_token
from pytest_hydrasmoke._transport.certificates import certificates_problem, client_problem
from pytest_hydrasmoke._transport.target import url_problem

from .model import SPEC, HydraSmokeConfig


def contradictions(config: HydraSmokeConfig, folder: Path) -> list[str]:
    """Return what is wrong with the settings of a run in `folder`, each problem with its remedy."""
    problems: list[str] = []
    if config.url is not None:
        problem = url_problem(config.url, allow_http=config.allow_http)
        if problem is not None:
            shown = re.sub(r"//[^/]*@", "//...@", safe_line(config.url))
            problems.append(f"url = {shown!r} {problem}")
    if not problems:
        problems += [
            f"{name} has the token in it, and is written down and printed: remove the token from it"
            for name in ("url", "run_id", "group", *SPEC, "agent_name", "output", "record")
            if has_token(str(getattr(config, name)), config.token)
        ]
    words = (
        ("ready_statuses", config.ready_statuses),
        ("failed_statuses", config.failed_statuses),
        ("gone_statuses", config.gone_statuses),
    )
    for (name, these), (other, those) in itertools.combinations(words, 2):
        for word in sorted(these & those):
            problems.append(f"{name} and {other} both have {word!r}: remove it from one of them")
    # httpx's own order; a folder that is not there is only an empty one.
    trusted = os.environ.get("SSL_CERT_FILE") if config.trust_env else None
    problem = certificates_problem(Path(trusted)) if trusted else None
    if problem is not None:
        problems.append(f"trust_env is on, and SSL_CERT_FILE can't be used: {problem}")
    problems += _client_certificate(config)
    if not config.ready_statuses:
        problems.append(
            "ready_statuses is empty: name at least one status word, or nothing is ever ready"
        )
    if config.record is not None:
        problems += _no_place_to_record(config, config.record, folder)
    return problems


def _client_certificate(config: HydraSmokeConfig) -> Iterator[str]:
    if config.client_cert is not None:
        problem = client_problem(config.client_cert, config.client_key)
        if problem is not None:
            yield f"client_cert: {safe_line(problem, 1000)}"
    elif config.client_key is not None:
        yield (
            f"client_key = {safe_line(str(config.client_key))!r} without client_cert: give the "
            "file of the certificate that it belongs to"
        )


def _no_place_to_record(config: HydraSmokeConfig, record: Path, folder: Path) -> Iterator[str]:
    shown = f"record = {safe_line(str(record))!r}"
    if not config.report_replies:
        yield (
            f"{shown} writes agents' replies into files, which "
            "report_replies = false forbids: remove one of the two settings"
        )
    if os.path.lexists(record) and not os.path.isdir(record):
        yield f"{shown} is a file: give a folder"
    here, output = Path(os.path.realpath(record)), Path(os.path.realpath(config.output))
    homes = (os.path.realpath(folder), os.path.realpath(os.path.expanduser("~")))
    if any(Path(home).is_relative_to(here) for home in homes):
        yield (
            f"{shown} is the project's own folder, the home folder, or one that they lie in: "
            "give a folder for recordings alone, such as 'recordings'"
        )
    elif here.is_relative_to(output) or output.is_relative_to(here):
        yield (
            f"{shown} and the output folder {safe_line(str(config.output))!r} are one inside the "
            "other: recordings are to be kept with the tests; give a folder outside of it"
        )
