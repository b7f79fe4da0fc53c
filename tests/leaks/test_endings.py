"""Runs that end otherwise than at their end: what is said of it holds no part of the token."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from leaks_tools import run, settings, windows
from plugin_tools import TOKEN

from pytest_hydrasmoke.fake import FakeRouter

pytestmark = pytest.mark.leaks

INTERNAL_ERROR = """
import os

def pytest_runtest_logfinish():
    token = os.environ["HYDRA_SMOKE_TOKEN"]
    raise RuntimeError(f"a plugin with {token}\\n::error::boo")
"""
EXIT = """
import os
import pytest

def pytest_runtest_teardown():
    token = os.environ["HYDRA_SMOKE_TOKEN"]
    pytest.exit(f"enough of {token}", returncode=7)
"""
INTERRUPT = """
import os
import signal
import pytest

@pytest.fixture(autouse=True)
def token():
    return os.environ["HYDRA_SMOKE_TOKEN"]

def below(token, **more):
    try:
        raise LookupError(f"first of all {token}")
    except LookupError:
        signal.raise_signal(signal.SIGINT)

@pytest.fixture(autouse=True)
def interrupted(token, smoke_instance):
    below(token, header=f"Bearer {token}")
"""
# A router that has told the token back is killed with the run that heard it: what is left is the
# ledger, and what workers have told.
KILLED = """
import os
import signal

def pytest_runtest_logfinish():
    if "PYTEST_XDIST_WORKER" not in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
"""
NOT_VALID: dict[str, Any] = {"status": 403, "body": {"detail": f"{TOKEN} is not valid"}}


@dataclass(frozen=True)
class End:
    """How a run ends, and what is said of it."""

    code: int
    words: tuple[str, ...]
    conftest: str = ""
    arguments: tuple[str, ...] = ("test_plain.py",)
    fails: dict[str, Any] = field(default_factory=dict)
    unsaid: str | None = None


TRACED = ("more = {'header': 'Bearer ********'}", "LookupError: first of all ********")
ENDS = {
    "an internal error": End(
        3,
        ("RuntimeError: a plugin with ********",),
        INTERNAL_ERROR,
        ("-l", "test_plain.py"),
    ),
    "no start": End(
        4,
        ("poll was refused with 403: ******** is not valid",),
        arguments=(),
        fails={"route": "poll", **NOT_VALID},
    ),
    "an exit and a leak that no summary tells": End(
        7,
        ("enough of ********", "LEAK: ", "******** is not valid"),
        EXIT,
        fails={"route": "delete", **NOT_VALID},
    ),
    "an interrupt": End(130, ("(to show a full traceback",), INTERRUPT, unsaid="LookupError"),
    **{
        f"an interrupt, {' '.join(more)}": End(130, TRACED, INTERRUPT, (*more, "test_plain.py"))
        for more in (("--full-trace",), ("--full-trace", "-l"))
    },
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_is_told_without_the_token(name: str, router: FakeRouter, tmp_path: Path) -> None:
    row = ENDS[name]
    if row.fails:
        router.fail(**row.fails, times=99)
    env = settings(router.url, TOKEN, run_id="named")
    sinks = run(tmp_path / "run", "plain", *row.arguments, env=env, conftest=row.conftest)
    assert sinks.code == row.code
    told = sinks.texts["stdout"] + sinks.texts["stderr"]
    assert not [words for words in row.words if words not in told]
    assert row.unsaid is None or row.unsaid not in told
    assert not sinks.holding(windows(TOKEN))
    if row.fails.get("route") == "delete":
        assert [name for name in sinks.texts if name.endswith("ledger.jsonl")]
    else:
        assert all(it.deleted for it in router.instances)


ECHOES: dict[str, dict[str, Any]] = {
    "headers of a refusal": {"route": "provision", "status": 403, "body": {"detail": TOKEN}},
    "headers of a gateway": {
        "route": "provision",
        "status": 400,
        "body": f"<pre>POST /provision\nAuthorization: Bearer {TOKEN}\n</pre>",
    },
    "an id": {"route": "provision", "status": 202, "body": {"instance_id": TOKEN, "task_id": ""}},
    "a key": {"route": "poll", "status": 200, "body": {"found": TOKEN}},
    "a status word": {"route": "status", "status": 200, "body": {"status": f"failed {TOKEN}"}},
    "a line for a field": {
        "route": "provision",
        "status": 422,
        "body": {"detail": [{"loc": [TOKEN], "msg": f"{TOKEN} is not", "type": TOKEN}]},
    },
}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=" ".join)
@pytest.mark.parametrize("echo", ECHOES)
def test_what_a_killed_run_leaves_has_no_token_that_was_told_back(
    echo: str, workers: tuple[str, ...], router: FakeRouter, tmp_path: Path
) -> None:
    # After what is asked before the run.
    after = {"poll": 2, "status": 2}.get(ECHOES[echo]["route"], 0)
    router.fail(**ECHOES[echo], times=999, after=after)
    env = settings(router.url, TOKEN, ready_timeout=2, delete_timeout=1)
    sinks = run(tmp_path / "run", "plain", *workers, "test_plain.py", env=env, conftest=KILLED)
    assert sinks.code == -signal.SIGKILL
    ledgers = [text for name, text in sinks.texts.items() if name.endswith("ledger.jsonl")]
    assert 'is": "Refuted"' in "".join(ledgers)
    assert [name for name in sinks.texts if "/journal/" in name]
    assert not sinks.holding(windows(TOKEN))


@pytest.mark.parametrize("replies", ["true", "false"])
def test_what_a_killed_run_leaves_is_its_owners_and_has_replies_only_where_reports_may(
    replies: str, router: FakeRouter, tmp_path: Path
) -> None:
    router.reply("", f"walrus {TOKEN} walrus")
    env = settings(router.url, TOKEN, report_replies=replies)
    # The first test chats about a walrus, too.
    sinks = run(tmp_path / "run", "kept_out", "test_kept_out.py", env=env, conftest=KILLED)
    assert sinks.code == -signal.SIGKILL
    left = {name: text for name, text in sinks.texts.items() if "/runs/" in name}
    told = {Path(name).parent.name for name, text in left.items() if "walrus" in text}
    assert told == ({"journal"} if replies == "true" else set())
    assert not sinks.holding(windows(TOKEN))
    modes = {(tmp_path / "run" / name).stat().st_mode & 0o777 for name in left}
    assert modes == {0o600}
