"""The blocks of a page, and a folder in which they are carried out as a reader would do it.

- A block after `<!-- file: NAME -->` is that file, and so is an example that is shown after it.
- `python` is a module of tests, which pass on the fake.
- `console` holds commands: a line after `$` each, run by one shell from the page's first to its
  last. They reach a served fake wherever the page names https://router.example.
- `toml` is a table of settings, or a file.
- `text` is an output: `<!-- shown: NAME -->` says which, and another test sees that it is real.

Nothing is downloaded: `pip`, `uvx` and `python3 -m venv` are stand-ins, which know what may be
installed and give what is there. So is `hermes`, which does nothing: a stub is the page's agent.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shown import ROOT
from sybil.document import Document
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer
from without_trio import path_with_trio

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_LEXER = FencedCodeBlockLexer(
    language=r"[\w-]+", mapping={"language": "arguments", "source": "source"}
)
_MARK = re.compile(r"<!-- (file|shown): (\S+) -->\n\n$")
_INCLUDED = re.compile(r"<!-- file: (\S+) -->\n\n```{literalinclude} (\S+)\n")
INSTALLABLE = frozenset(
    {
        "pytest-hydrasmoke",
        "pytest-xdist",
        "tox",
        ".",
        "deepeval",
        "opentelemetry-sdk",
        "prometheus-client",
        "pydantic-evals",
    }
)
COMMANDS = ("pytest", "hydra-smoke", "python", "python3")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what marks it, its text."""

    language: str
    mark: str | None
    name: str
    text: str
    line: int

    @property
    def commands(self) -> str:
        """What a reader types, of a console; a line that ends in a backslash goes on."""
        lines = self.text.replace("\\\n", "").splitlines()
        return "\n".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))


def write_files(page: Path, folder: Path) -> None:
    """Write the files that a page shows as a reader would."""
    files = {it.name: it.text for it in blocks(page) if it.mark == "file"}
    for name, path in _INCLUDED.findall(page.read_text("utf-8")):
        files[name] = (page.parent / path).read_text("utf-8")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def blocks(page: Path) -> Iterator[Block]:
    """Read a page's blocks, in their order."""
    text = page.read_text("utf-8")
    for region in _LEXER(Document(text, str(page))):
        mark = _MARK.search(text[: region.start])
        kind, name = mark.groups() if mark else (None, "")
        source = str(region.lexemes["source"].text)
        line = text[: region.start].count("\n") + 1
        yield Block(region.lexemes["arguments"], kind, name, source, line)


PIP = f"""#!/bin/sh
shift
for word in "$@"; do
  case "$word" in
    {"|".join(sorted(INSTALLABLE))}|pip|--upgrade|-e|--group|dev) ;;
    *) echo "not to be installed here: $word" >&2; exit 1 ;;
  esac
done
"""
TOX = f"""#!/bin/sh
if [ "$2" = heavy ]; then grep -q "\\"$4\\": " {ROOT / "tests/shared/heavy.py"}; exit; fi
grep -q "testenv:$2" {ROOT / "tox.ini"} || test "$2" = py
"""
PYTHON = f"""#!/bin/sh
if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3" && ln -s "$STAND_INS" "$3/bin"; exit; fi
exec {sys.executable} "$@"
"""


def stand_ins(folder: Path) -> Path:
    """Make a folder of commands: what is installed here, with `pip` and `tox` that do nothing."""
    folder.mkdir()
    here = Path(sys.executable).parent
    for name in COMMANDS:
        text = PYTHON if "python" in name else f'#!/bin/sh\nexec {here / name} "$@"\n'
        (folder / name).write_text(text, "utf-8")
    (folder / "pip").write_text(PIP, "utf-8")
    (folder / "tox").write_text(TOX, "utf-8")
    (folder / "uvx").write_text('#!/bin/sh\ntest "$1" = --with && shift 2 && exec "$@"\n', "utf-8")
    (folder / "hermes").write_text("#!/bin/sh\n", "utf-8")
    for command in folder.iterdir():
        command.chmod(0o755)
    return folder


_NEXT = "--- the next block ---"


def run_shell(scripts: list[str], folder: Path, commands: Path, env: dict[str, str]) -> list[str]:
    """Run what a page types, to its end; gives each block's output, and raises if one fails."""
    script = f"\necho '{_NEXT}'\n".join(scripts)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HYDRA", "PYTEST", "GITHUB"))}
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [
            "bash",
            "-euo",
            "pipefail",
            "-c",
            f"trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n{script}",
        ],
        cwd=folder,
        env={
            **clean,
            "PATH": path,
            # Hypothesis' plugins are loaded, as for a reader.
            "PYTHONPATH": path_with_trio(),
            "STAND_INS": str(commands),
            "COLUMNS": "80",
            **env,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"exit code {done.returncode} of:\n{script}\n\n{done.stdout}"
    return done.stdout.split(f"{_NEXT}\n")


def aimed(text: str, url: str, token: str, agent: str) -> str:
    """Aim what a page says at a router, and an agent, of this machine."""
    text = text.replace("http://127.0.0.1:8642", agent)
    text = re.sub(r"https://router\.example(?!/)", url, text)
    return re.sub(r"(HYDRA_SMOKE_TOKEN=)\S+", rf"\g<1>{shlex.quote(token)}", text)
