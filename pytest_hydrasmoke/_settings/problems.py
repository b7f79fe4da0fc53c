"""What can be wrong with settings: against each other, and in the files and folders they name."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_hydrasmoke._base.text import safe_line
from pytest_hydrasmoke._base.token import has_token
from pytest_hydrasmoke._options import variable
from pytest_hydrasmoke._transport.certificates import certificates_problem, client_problem
from pytest_hydrasmoke._transport.target import url_problem

from .config import SPEC, HydraSmokeConfig

_STATUSES = ("ready_statuses", "failed_statuses", "gone_statuses")
_SHOWN = ("url", "run_id", "group", *SPEC, "agent_name", "output", "record", "agent_url")
"""Settings that are printed, or written into files."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, how to fix it, and which settings it concerns."""

    words: str
    about: tuple[str, ...] = ()
    """Names of settings; if empty, it concerns every reader of settings."""

    def matters(self, used: Collection[str] | None) -> bool:
        """Return whether it stops a reader of the settings `used`; None means all settings."""
        return used is None or not self.about or any(name in used for name in self.about)


def contradictions(config: HydraSmokeConfig, folder: Path) -> Iterator[Problem]:
    """Yield what is wrong with the settings of a run in `folder`, each valid by itself."""
    problems = [*_urls(config)]
    yield from problems
    if not problems:
        for name in _SHOWN:
            if has_token(str(getattr(config, name)), config.token):
                words = f"{name} contains the token, and is printed and written into files"
                yield Problem(f"{words}: remove the token from it", (name,))
    yield from _statuses(config)
    # httpx prefers SSL_CERT_FILE to SSL_CERT_DIR; a missing folder is no error there.
    trusted = os.environ.get("SSL_CERT_FILE") if config.trust_env else None
    flaw = certificates_problem(Path(trusted)) if trusted else None
    if flaw is not None:
        words = f"trust_env is on, and SSL_CERT_FILE can't be used: {flaw}"
        yield Problem(words, ("trust_env",))
    yield from _client_certificate(config)
    if config.record is not None:
        for words in _record_problems(config, config.record, folder):
            yield Problem(words, ("record",))


def _urls(config: HydraSmokeConfig) -> Iterator[Problem]:
    for name, url in (("url", config.url), ("agent_url", config.agent_url)):
        problem = None if url is None else url_problem(url, allow_http=config.allow_http)
        if url is not None and problem is not None:
            shown = shown_of(url)
            if name == "agent_url" and problem.startswith("must begin"):
                problem = "must begin with http:// or https://, such as http://127.0.0.1:8642"
            yield Problem(f"{name} = {shown!r} {problem}", (name,))


def shown_of(value: object) -> str:
    """Return a value as a message quotes it, without the user and password of a URL."""
    head, _, rest = str(value).partition("//")
    _, user, place = rest.rpartition("@")
    return safe_line(f"{head}//...@{place}" if user else str(value))


def _statuses(config: HydraSmokeConfig) -> Iterator[Problem]:
    for name, other in itertools.combinations(_STATUSES, 2):
        for word in sorted(getattr(config, name) & getattr(config, other)):
            words = f"{name} and {other} both have {word!r}: remove it from one of them"
            yield Problem(words, (name, other))
    if not config.ready_statuses:
        words = "ready_statuses is empty: name at least one status word, or nothing is ever ready"
        yield Problem(words, ("ready_statuses",))


def _client_certificate(config: HydraSmokeConfig) -> Iterator[Problem]:
    if config.client_cert is not None:
        problem = client_problem(config.client_cert, config.client_key)
        if problem is not None:
            yield Problem(f"client_cert: {safe_line(problem, 1000)}", ("client_cert",))
    elif config.client_key is not None:
        yield Problem(
            f"client_key = {safe_line(str(config.client_key))!r} without client_cert: set "
            f"client_cert ({variable('client_cert')}) to the file of the certificate that the key "
            "belongs to, or remove client_key",
            ("client_key",),
        )


def _record_problems(config: HydraSmokeConfig, record: Path, folder: Path) -> Iterator[str]:
    shown = f"record = {safe_line(str(record))!r}"
    if not config.report_replies:
        yield (
            f"{shown} writes agents' replies into files, which "
            "report_replies = false forbids: remove one of the two settings"
        )
    if os.path.lexists(record) and not os.path.isdir(record):
        yield f"{shown} is a file: give a folder"
    place, output = Path(os.path.realpath(record)), Path(os.path.realpath(config.output))
    homes = (os.path.realpath(folder), os.path.realpath(os.path.expanduser("~")))
    if any(Path(home).is_relative_to(place) for home in homes):
        yield (
            f"{shown} is the project's folder, the home folder, or a folder that contains one "
            "of them: give a folder for recordings alone, such as 'recordings'"
        )
    elif place.is_relative_to(output) or output.is_relative_to(place):
        yield (
            f"{shown} and the output folder {safe_line(str(config.output))!r} must not contain "
            "each other: recordings are kept with the tests; give a folder outside of it"
        )
