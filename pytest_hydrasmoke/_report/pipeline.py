"""The pipeline run that a smoke run is part of, by the variables of GitHub, GitLab and Jenkins.

The author of a pull request chooses some of their values: they are bounded, cleaned, and only ever
used as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pytest_hydrasmoke._base.text import safe_line

from .model import PipelineReport

LONGEST = 200
"""The most characters of a name."""
_LONGEST_URL = 1_000
_LARGEST = 2**53
"""The highest number that every JSON reader understands."""

Environ = Mapping[str, str]


def pipeline_of(environ: Environ, group: str | None, run_id: str) -> PipelineReport:
    """Return what is known of the pipeline; without `group`, the run belongs to the pipeline's.

    Without a pipeline either, it is a group of its own.
    """
    names = _names(environ)
    return PipelineReport(
        group=group or own_group(environ) or run_id,
        job=_name(names.get("job")),
        attempt=_number(names.get("attempt")),
        commit=_name(names.get("commit")),
        branch=_name(names.get("branch")),
        url=web_address(names.get("url")),
    )


def own_group(environ: Environ) -> str | None:
    """Return the group of runs in this pipeline; None outside of one."""
    return _name(_names(environ).get("group"))


def web_address(url: str | None) -> str | None:
    """Return an address that a page may link to; None for anything else."""
    if not url or len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    # No password may be in a report.
    good = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    return url if good and " " not in url else None


def _names(environ: Environ) -> dict[str, str | None]:
    get = environ.get
    if get("GITHUB_ACTIONS"):
        server, repository, run = (
            get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
        )
        return {
            "group": run,
            "job": get("GITHUB_JOB"),
            "attempt": get("GITHUB_RUN_ATTEMPT"),
            "commit": get("GITHUB_SHA"),
            "branch": get("GITHUB_HEAD_REF") or get("GITHUB_REF_NAME"),
            "url": f"{server}/{repository}/actions/runs/{run}",
        }
    if get("GITLAB_CI"):
        return {
            "group": get("CI_PIPELINE_ID"),
            "job": get("CI_JOB_NAME"),
            # A job that is run again has a higher number.
            "attempt": get("CI_JOB_ID"),
            "commit": get("CI_COMMIT_SHA"),
            "branch": get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME") or get("CI_COMMIT_REF_NAME"),
            "url": get("CI_PIPELINE_URL"),
        }
    # Its address is not set unless the controller knows it.
    if get("JENKINS_URL") or get("JENKINS_HOME"):
        # Jenkins has no second attempt: a build that is run again has a new number.
        return {
            "group": get("BUILD_TAG"),
            "commit": get("GIT_COMMIT"),
            "branch": get("CHANGE_BRANCH") or get("BRANCH_NAME") or get("GIT_BRANCH"),
            "url": get("BUILD_URL"),
        }
    return {}


def _name(value: str | None) -> str | None:
    return safe_line(value[:LONGEST]) or None if value else None


def _number(value: str | None) -> int | None:
    if value is None or not (value.isascii() and value.isdigit()) or len(value) > 16:
        return None
    number = int(value)
    return number if number <= _LARGEST else None
