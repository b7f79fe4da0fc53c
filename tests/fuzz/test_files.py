"""Whatever a run is called and whatever lies in its output folder: nobody else's file changes.

Each try builds a project with an output folder that other runs, its user and links have had a part
in, lets one run or one sweep at it, and compares every file that was there before.
"""

from __future__ import annotations

import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from inner import only
from sizes import examples

# A run in this process forgets every module that it was the first to import.
from pytest_hydrasmoke._cli.main import main
from pytest_hydrasmoke._journal.codec import SCHEMA
from pytest_hydrasmoke._run.locks import Lock
from pytest_hydrasmoke.fake import FakeRouter, Scenario

SPEC = {"manifest_id": "m", "region_id": "r", "tier_id": "t"}
# Read once: pytest remembers a test file by its name.
TEST = "import os\n\ndef test_it(smoke_instance):\n    assert os.environ['PASSES'] == 'True'\n"

# What other runs have left, and what is open of it.
STATES = ("live", "open", "closed", "of the fake", "cut", "buried", "empty")
OTHERS = ("one", "two", "Three.3", "smoke-4_d")
# The plugin's own names, each in every place where it could be somebody else's.
REPORTS = ("report.json", "report.html")
TOP = (".gitignore", *REPORTS, "used", "runs", ".report.json.x")
FILES = """
    ledger.jsonl over slots.lock recorded.jsonl live/main.lock live/gw0.lock live/main.seen
    held/a.lock turns.jsonl notes.txt live/notes.txt deep/er/notes.txt
"""
# In the folder of a run nobody could tell the others from the run's own.
BESIDE = ("notes.txt", "live/notes.txt", "held/notes.txt", "turns/notes", "slots.lock", "x/over")
FOLDERS = ("", "live", "held", "turns")
# Folders of other tools and of people, with names of the plugin's own among theirs: what they hold.
LOOKS = """
    recorded.jsonl meta.yaml logs/debug.log run-x.wandb events.out.tfevents.1.host turns.jsonl
    turns/0001.json live/notes.txt held/notes.txt
"""
SWEPT = re.compile(r"runs/([^/]+)/swept-[0-9a-f]{16}\.jsonl")
EMPTY = ("over", "slots.lock", "live/main.lock", "live/gw0.seen", "held/a.lock", "ledger.jsonl")
OF_A_RUN = ("live/main.lock", "live/gw0.lock", "live/gw0.seen", "slots.lock", "held/a.lock")

odd_names = st.sampled_from(
    ["..", ".", "", "../..", "a/..", "./one", "one/", "../outside", "/etc", "nul", "COM1.x", "a."]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
good_names = st.sampled_from(OTHERS) | st.from_regex(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True
)
names = st.sampled_from(OTHERS) | good_names | odd_names
places = (
    st.sampled_from(TOP)
    | st.builds("used/{}".format, good_names)
    | st.builds("runs/{}/{}".format, good_names, st.sampled_from(FILES.split()))
)
folders = st.sampled_from(["runs", "used"]) | st.builds(
    "runs/{}/{}".format, good_names, st.sampled_from(FOLDERS)
)
beside = st.builds("runs/{}/{}".format, st.sampled_from(OTHERS), st.sampled_from(BESIDE))
looks = st.sets(st.sampled_from(LOOKS.split()), min_size=1, max_size=3)
targets = st.sampled_from(["folder", "file", "nothing", "runs/one", "runs/two/ledger.jsonl"])


@dataclass(frozen=True)
class World:
    """What there is before a run or a sweep."""

    output: str = "."
    others: dict[str, str] = field(default_factory=dict[str, str])
    files: list[str] = field(default_factory=list[str])
    folders: list[str] = field(default_factory=list[str])
    links: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    alike: list[tuple[str, set[str], set[str]]] = field(default_factory=list[Any])
    """The user's folders that look like a run's: a name, what is in it, and what is empty."""


worlds = st.builds(
    World,
    output=st.sampled_from([".", ".", "out", "deep/out", "link", "../outside", "full"]),
    others=st.dictionaries(st.sampled_from(OTHERS), st.sampled_from(STATES), max_size=3),
    files=st.lists(places | beside, max_size=5),
    folders=st.lists(folders, max_size=2),
    links=st.lists(st.tuples(places | folders, targets), max_size=2),
    alike=st.lists(
        st.tuples(good_names, looks, st.sets(st.sampled_from(EMPTY), max_size=4)), max_size=2
    ),
)


def line(key: str, kind: str, **facts: Any) -> str:
    return json.dumps({"at": 100.0, "of": key, "is": kind, **facts, "schema": SCHEMA})


def ledger(state: str, run_id: str, url: str) -> str:
    """Return the ledger of a run that was killed."""
    key = f"{run_id}-0"
    lines = [line(key, "Claimed", spec=SPEC, url=url, fake=state == "of the fake")]
    if state == "closed":
        lines.append(line(key, "Became", state="deleted", id="i"))
    if state == "cut":
        lines.append(lines[0][:30])
    return "\n".join(lines)


def aged(path: Path) -> None:
    """Make it so old that no sweep takes it for a run that is about to begin."""
    os.utime(path, (1_000_000_000, 1_000_000_000))


class Built:
    """A world on the disk: whose each file is, and what a run or a sweep may do to it."""

    def __init__(self, root: Path, world: World, url: str, held: ExitStack) -> None:
        self.root = root
        self.project, self.outside = root / "project", root / "outside"
        self.own: dict[Path, str] = {}
        """Files of other runs, with the run's id."""
        for folder in (self.project / "real", self.project / "full", self.outside / "folder"):
            folder.mkdir(parents=True)
        (self.project / "link").symlink_to(self.project / "real")
        self._write(self.project / "src" / "module.py")
        self._write(self.project / "full" / "notes.txt")
        for name in ("file", "folder/ledger.jsonl", "folder/over", "folder/turns.jsonl"):
            self._write(self.outside / name)
        for name in ("a.lock", "folder/a.lock", "folder/live/main.lock"):
            self._write(self.outside / name, "")
        self.output = (self.project / world.output).resolve()
        self.states = world.others
        for run_id, state in world.others.items():
            self._run(run_id, state, url, held)
        for place in world.files:
            if self._free(place) or place.endswith(BESIDE):
                self._write(self.output / place)
        for run_id, looks, empty in world.alike:
            if self._free(f"runs/{run_id}"):
                self._look_alike(self.output / "runs" / run_id, looks, empty)
        for place in world.folders:
            if self._has_room(self.output / place):
                (self.output / place).mkdir(parents=True)
        for place, target in world.links:
            self._link(place, target)
        self.was_empty = not self.output.exists() or not any(self.output.iterdir())

    def _write(self, path: Path, text: str = "mine") -> None:
        """Write a file of the user's, unless something is in its place."""
        if self._has_room(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            aged(path)

    def _look_alike(self, folder: Path, looks: set[str], empty: set[str]) -> None:
        for name in looks:
            self._write(folder / name)
        for name in empty:
            self._write(folder / name, "")
        if folder.is_dir():
            aged(folder)

    def _has_room(self, path: Path) -> bool:
        blocked = any(it.is_symlink() or it.is_file() for it in path.parents)
        return not blocked and not os.path.lexists(path)

    def _run(self, run_id: str, state: str, url: str, held: ExitStack) -> None:
        folder = self.output / "runs" / run_id
        written = dict.fromkeys(OF_A_RUN, "")
        written |= {"turns.jsonl": '\n{"at": 1', "ledger.jsonl": ledger(state, run_id, url)}
        if state == "buried":
            written = {"over": ""}
        elif state == "empty":
            written = {}
        folder.mkdir(parents=True)
        for name, text in written.items():
            self._write(folder / name, text)
            self.own[folder / name] = run_id
        if state == "live":
            assert held.enter_context(Lock(folder / "live" / "main.lock")).acquire()
        else:
            aged(folder)

    def _free(self, place: str) -> bool:
        # A file of the run's own, for all that anybody can know, is none of the user's.
        parts = Path(place).parts
        return not (parts[0] == "runs" and len(parts) > 1 and parts[1] in self.states)

    def _link(self, place: str, target: str) -> None:
        path = self.output / place
        if self._has_room(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            inside = target.startswith("runs/")
            path.symlink_to((self.output if inside else self.outside) / target)

    def seen(self) -> dict[Path, tuple[object, ...]]:
        """Return every file: what it holds, its mode and when it was written; links as such."""
        found: dict[Path, tuple[object, ...]] = {}
        for folder, folders, files in os.walk(self.root):
            for path in (Path(folder, name) for name in (*folders, *files)):
                if path.is_symlink():
                    found[path] = (path.readlink(),)
                elif path.is_file():
                    status = path.stat()
                    found[path] = (path.read_bytes(), status.st_mode, status.st_mtime_ns)
        return found

    def check(self, before: dict[Path, tuple[object, ...]], swept: set[str], run_id: str) -> None:
        """Compare: what has changed is of the runs `swept`, what is new is the plugin's."""
        after = self.seen()
        for path, was in before.items():
            run = self.own.get(path)
            replaced = path.name in REPORTS and path.parent == self.output and len(was) == 1
            if run in swept or replaced:
                continue  # A link in a report's place is replaced; what it leads to stays.
            now = after.get(path)
            assert now is not None, f"{path} is gone"
            assert now == was, f"{path} was changed"
        for path in after.keys() - before.keys():
            assert path.is_relative_to(self.output), f"{path} was written outside"
            name = str(path.relative_to(self.output))
            learned = SWEPT.fullmatch(name)
            if learned is not None and learned[1] in swept:
                continue  # What a sweep has learned of a run that goes on by itself.
            assert name in self._may_write(run_id), f"{name} was written"

    def _may_write(self, run_id: str) -> Iterator[str]:
        yield from (*REPORTS, f"used/{run_id}")
        own = ("ledger.jsonl", "over", "slots.lock", "live/main.lock", "live/main.seen")
        yield from (f"runs/{run_id}/{name}" for name in own)
        if self.was_empty:
            yield ".gitignore"


@pytest.fixture(scope="module")
def router() -> Iterator[FakeRouter]:
    with FakeRouter(Scenario(row_after=0, statuses=((0, "running"),))) as fake:
        yield fake


@pytest.fixture(autouse=True)
def environment(router: FakeRouter, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"url": router.url, "token": router.token, **SPEC}.items():
        monkeypatch.setenv(f"HYDRA_SMOKE_{name.upper()}", value)
    monkeypatch.setenv("PASSES", "")
    monkeypatch.setattr("sys.dont_write_bytecode", True)


@contextmanager
def at(root: str) -> Iterator[None]:
    """Work in a folder, and show nothing of it."""
    with chdir(root), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


UNHEALTHY = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
PROJECT = World(others={"two": "open"}, files=[".gitignore", "report.json", "runs/x/turns.jsonl"])
EXPERIMENT = World(
    others={"two": "open"},
    alike=[("exp1", {"turns.jsonl", "turns/0001.json"}, {"over", "live/main.lock"})],
)


@settings(examples(2, 2_500), suppress_health_check=UNHEALTHY)
@example(world=PROJECT, run_id="one", passes=True)
@example(world=PROJECT, run_id="two", passes=False)
@example(world=EXPERIMENT, run_id="exp1", passes=True)
@given(world=worlds, run_id=names, passes=st.booleans())
def test_a_run(router: FakeRouter, world: World, run_id: str, passes: bool) -> None:
    router.reset()
    with tempfile.TemporaryDirectory() as root, ExitStack() as held, at(root):
        built = Built(Path(root).resolve(), world, router.url, held)
        (built.project / "test_of_a_try.py").write_text(TEST, "utf-8")
        os.environ["PASSES"] = str(passes)
        before = built.seen()
        os.chdir(built.project)
        options = ("-p", "no:cacheprovider", "-p", "no:terminal", "--import-mode=importlib")
        given = (f"--hydra-smoke-run-id={run_id}", f"--hydra-smoke-output={world.output}")
        code = pytest.main([*only(), *options, "--hydra-smoke", *given, "test_of_a_try.py"])
        built.check(before, set(), run_id)
    assert code in ((0, 4) if passes else (1, 4))
    assert all(instance.deleted for instance in router.instances)


@settings(examples(5, 7_500), suppress_health_check=UNHEALTHY)
@example(world=EXPERIMENT, run_id=None, dry=False)
@example(world=EXPERIMENT, run_id="exp1", dry=False)
@example(world=World(others={"one": "live"}), run_id="one", dry=False)
@given(world=worlds, run_id=st.none() | names, dry=st.booleans())
def test_a_sweep(router: FakeRouter, world: World, run_id: str | None, dry: bool) -> None:
    with tempfile.TemporaryDirectory() as root, ExitStack() as held, at(root):
        built = Built(Path(root).resolve(), world, router.url, held)
        before = built.seen()
        os.chdir(built.project)
        named = [] if run_id is None else [f"--run-id={run_id}"]
        code = main(["sweep", "--wait=0", f"--output={world.output}", *named, *["--dry-run"] * dry])
        over = {run for run, state in world.others.items() if state != "live"}
        swept = over if run_id is None else {run_id}
        built.check(before, set() if dry else swept, run_id or "")
    assert code in (0, 1, 4)
