"""Cut a release of what is committed in a scratch clone, and look at it as who installs it would.

`python tests/release/release_check.py FOLDER [ARGUMENT ...]`; arguments are pytest's, for the run
of the tests from the unpacked sdist. It ends at the first thing that is wrong, with what it is.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2]
MADE = frozenset({"PKG-INFO"})
"""What an sdist has that no checkout has."""
HOME = "https://code.example/team/pytest-hydrasmoke"
LINK = re.compile(r"\[[^]]*\]\(([^)]+)\)")


def main(folder: Path, arguments: list[str]) -> None:
    """Check all of it; raises `SystemExit` in words."""
    dist = folder / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    _say("build")
    clone = cut(folder / "clone")
    env = {**os.environ, "PROJECT_HOME": HOME}
    _run(sys.executable, "-m", "build", "--outdir", dist, clone, env=env)
    [wheel], [sdist] = dist.glob("*.whl"), dist.glob("*.tar.gz")
    _run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
    _run(sys.executable, "-m", "check_wheel_contents", wheel, cwd=clone)
    with tarfile.open(sdist) as packed:
        names = [member.name for member in packed.getmembers() if member.isfile()]
        packed.extractall(folder, filter="data")
    _demand("the sdist", differences(names, _run("git", "ls-files", cwd=clone).splitlines()))
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    with zipfile.ZipFile(wheel) as packed:
        _demand("the wheel", disagreements(packed, unpacked))
        [described] = [it for it in packed.namelist() if it.endswith(".dist-info/METADATA")]
        _demand("its description", strays(packed.read(described).decode(), clone))
    for version, python in pythons():
        for installer, by in INSTALLERS.items():
            _say(f"the README on Python {version}, by {installer}")
            first_use(folder / f"{installer}{version}", python, by, wheel)
    _audit(folder / "audit", wheel)
    _say("the tests of the sdist")
    _tests_of(unpacked, folder / "tests", arguments)
    _say("all of it is as it must be")


def cut(clone: Path) -> Path:
    """Clone what is committed, give the changelog's first section a date, and tag that."""
    _run("git", "clone", "--quiet", PROJECT, clone)
    changes = clone / "CHANGELOG.md"
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    changes.write_text(changes.read_text("utf-8").replace("unreleased", today, 1), "utf-8")
    by = ("-c", "user.name=release", "-c", "user.email=release@code.example")
    _run("git", *by, "commit", "--quiet", "--all", "--message", "Release", cwd=clone)
    project = tomllib.loads((clone / "pyproject.toml").read_text("utf-8"))["project"]
    _run("git", "tag", f"v{project['version']}", cwd=clone)
    return clone


def disagreements(wheel: zipfile.ZipFile, sdist: Path) -> Iterator[str]:
    """Yield which of a wheel's modules the sdist has not, or otherwise."""
    for name in wheel.namelist():
        file = sdist / name
        if ".dist-info/" not in name and not (
            file.is_file() and file.read_bytes() == wheel.read(name)
        ):
            yield f"{name} is not that of the sdist"


def strays(description: str, clone: Path) -> Iterator[str]:
    """Yield the links of a description that lead nowhere from a page of an index."""
    for link in LINK.findall(description):
        _, at_home, path = link.partition(f"{HOME}/")
        if at_home and not (clone / path.split("/", 2)[2]).exists():
            yield f"{link}: there is no such file"
        elif not at_home and not link.startswith("https://"):
            yield f"{link} is relative"


def differences(packed: Iterable[str], tracked: Iterable[str]) -> Iterator[str]:
    """Yield how an sdist differs from what is tracked; its names begin with its own folder."""
    there = {name.partition("/")[2] for name in packed} - MADE
    yield from (f"it has the stray file {name}" for name in sorted(there - {*tracked}))
    yield from (f"it lacks {name}" for name in sorted({*tracked} - there))


def pythons() -> Iterator[tuple[str, str]]:
    """Yield each Python that the classifiers name and that is at hand, on PATH or of pyenv."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    for classifier in project["classifiers"]:
        version = classifier.rpartition(" :: ")[2]
        if re.fullmatch(r"3\.\d+", version):
            found = _python(version)
            if found is None:
                _say(f"Python {version} is not at hand: left out")
            else:
                yield version, found


def _python(version: str) -> str | None:
    # A shim of pyenv's answers for the versions that this variable names.
    names = _output("pyenv", "versions", "--bare").split()
    chosen = ":".join(name for name in names if name.startswith(f"{version}."))
    env = {**os.environ, **({"PYENV_VERSION": chosen} if chosen else {})}
    return _output(f"python{version}", "-c", "import sys; print(sys.executable)", env=env) or None


def _by_pip(folder: Path, python: str, wheel: Path) -> None:
    _run(python, "-m", "venv", ".venv", cwd=folder)
    _run(".venv/bin/python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    _run(".venv/bin/python", "-m", "pip", "check", cwd=folder)


def _by_uv(folder: Path, python: str, wheel: Path) -> None:
    uv = (sys.executable, "-m", "uv")
    once = (*uv, "tool", "run", "--python", python, "--with", wheel, "pytest", "--hydra-smoke-fake")
    _run(*once, cwd=folder)
    _run(*uv, "venv", "--quiet", "--python", python, ".venv", cwd=folder)
    _run(*uv, "pip", "install", "--quiet", "--python", ".venv/bin/python", wheel, cwd=folder)


INSTALLERS = {"pip": _by_pip, "uv": _by_uv}


def first_use(
    folder: Path, python: str, install: Callable[[Path, str, Path], None], wheel: Path
) -> None:
    """Do what the README tells a newcomer, with the wheel in the place of the checkout."""
    folder.mkdir()
    install(folder, python, wheel)
    _run(".venv/bin/pytest", "--hydra-smoke-fake", cwd=folder)
    text = (PROJECT / "README.md").read_text("utf-8")
    first = re.search(r"^```python\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    assert first is not None
    (folder / "test_agent.py").write_text(first[1], "utf-8")
    told = _run(".venv/bin/pytest", "--hydra-smoke-fake", "test_agent.py", cwd=folder)
    _demand(f"on {python}", [] if "1 passed" in told else [told])
    told = _run(".venv/bin/pytest", cwd=folder)
    _demand(f"on {python}", [] if "1 skipped" in told else [told])
    _run(".venv/bin/hydra-smoke", "--help", cwd=folder)


def _audit(folder: Path, wheel: Path) -> None:
    _say("audit")
    folder.mkdir()
    _run(sys.executable, "-m", "venv", folder / "clean")
    clean = folder / "clean" / "bin" / "python"
    _run(clean, "-m", "pip", "install", "--quiet", wheel)
    frozen = folder / "frozen.txt"
    told = _run(clean, "-m", "pip", "freeze", "--exclude", "pytest-hydrasmoke")
    frozen.write_text(told, "utf-8")
    asked = ("--requirement", frozen, "--no-deps", "--disable-pip", "--format", "json")
    found = _output(sys.executable, "-m", "pip_audit", *asked)
    skipped, vulnerable = audited(found)
    _demand("the audit", vulnerable)
    for words in skipped:
        _say(f"NOT AUDITED: {words}")


def audited(found: str) -> tuple[list[str], list[str]]:
    """Return what an audit has not looked at, and what it has found; `found` is its JSON."""
    try:
        packages = json.loads(found)["dependencies"]
    except ValueError:
        return ["the data of known vulnerabilities can't be had here"], []
    # pip-audit itself ends with 0 where it knew nothing of anything.
    skipped = [it["skip_reason"] for it in packages if "skip_reason" in it]
    return skipped, [f"{it['name']}: {it['vulns']}" for it in packages if it.get("vulns")]


def _tests_of(unpacked: Path, folder: Path, arguments: list[str]) -> None:
    _run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    _run(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip")
    # What is built of the sdist, and its own table of groups.
    _run(python, "-m", "pip", "install", "--quiet", ".", "--group", "test", cwd=unpacked)
    env = {**os.environ, "PYTHONSAFEPATH": "1"}
    command = (python, "-m", "pytest", "-n", "2", "--dist", "worksteal", *arguments)
    print(_run(*command, cwd=unpacked, env=env).strip().splitlines()[-1], flush=True)


def _demand(what: str, problems: Iterable[str]) -> None:
    listed = list(problems)
    if listed:
        raise SystemExit("\n  ".join([f"{what} is not as it must be:", *listed]))


def _run(*command: str | Path, **how: object) -> str:
    done = _done(command, how)
    if done.returncode:
        shown = " ".join(map(str, command))
        raise SystemExit(f"{shown} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _output(*command: str | Path, **how: object) -> str:
    """Return what a command says; nothing where it can't be run, or ends without a word."""
    try:
        return _done(command, how).stdout.strip()
    except OSError:
        return ""


def _done(
    command: tuple[str | Path, ...], how: dict[str, object]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, **how)  # type: ignore[call-overload]


def _say(what: str) -> None:
    print(what, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
