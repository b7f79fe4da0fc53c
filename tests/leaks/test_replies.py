"""No reply commands a runner, a terminal or a browser, wherever a run shows it.

Each run has each way to fail for each reply.
"""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile_router import EVIL, FIELDS, WORDS, HostileRouter, hostile_router
from leaks_tools import SINKS, Sinks, run, settings

from pytest_hydrasmoke._cli.main import main

TOKEN = "q7XwZt3mLk9vRb2yNd5Hc8Fj4Gs6Pa1T"
CONFIGURATIONS: dict[str, tuple[str, ...]] = {
    "default": (),
    "-l -vv -rA, on a CI": ("-l", "-vv", "-rA"),
    "--tb=short": ("--tb=short",),
    "--tb=native": ("--tb=native",),
    "--tb=line": ("--tb=line",),
    "-n 2 -l": ("-n", "2", "-l"),
}
BOOTS = 8
"""Status words of a full run's boot: the configurations have all of the corpus between them."""
# Wherever anybody sees a line begin, blanks before it or not.
COMMAND = re.compile(r"(?:^|[\r\n\v\f\x1c-\x1e\x85\u2028\u2029])\s*::[A-Za-z]|##[\w.]*\[")

# Unicode's Default_Ignorable_Code_Point, and signs that are blank without it.
BLANK = {
    *(0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x2800, 0x3164, 0xFFA0, 0x16FE4, 0x1D159),
    *(*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xFFF0, 0xFFF9)),
    *range(0xE0000, 0xE1000),
}


def commands(text: str) -> list[str]:
    """Return what a runner would obey."""
    return [text[it.start() : it.start() + 60] for it in COMMAND.finditer(text)]


def controls(text: str) -> set[str]:
    """Return what a terminal would obey, or no reader could see."""
    odd = ("Cc", "Cf", "Cs", "Zl", "Zp")
    seen = set(text) - set("\n\t")
    return {it for it in seen if unicodedata.category(it) in odd or ord(it) in BLANK}


class Live(HTMLParser):
    """Gathers what of a reply a browser would take for markup."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._script = tag in ("script", "style")
        acts = [it for it in attrs if it[0].startswith("on") or it[0] in ("src", "href")]
        if tag == EVIL or any(EVIL in (value or "") for _, value in acts):
            self.found.append(f"<{tag} {attrs}>")

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script and EVIL in data:
            self.found.append(data)


def live_markup(name: str, text: str) -> list[str]:
    """Return what of a page, or of what Markdown makes of a text, is a reply's own markup."""
    if name.endswith(".md"):
        if importlib.util.find_spec("markdown_it") is None:
            return []
        from markdown_it import MarkdownIt

        text = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    elif not name.endswith((".html", ".xml")):
        return []
    parser = Live()
    parser.feed(text)
    parser.close()
    return parser.found


def check(sinks: Sinks) -> None:
    obeyed = {name: commands(text) for name, text in sinks.texts.items()}
    unseen = {name: controls(text) for name, text in sinks.texts.items()}
    markup = {name: live_markup(name, text) for name, text in sinks.texts.items()}
    assert not [(name, it[:3]) for name, it in obeyed.items() if it]
    assert not [(name, sorted(map(ascii, it))) for name, it in unseen.items() if it]
    assert not [(name, it[:3]) for name, it in markup.items() if it]


def hostile_run(folder: Path, router: HostileRouter, name: str, *more: str) -> Sinks:
    env = {
        **settings(router.url, TOKEN, max_instances=9, usage_settle=0.01),
        "HOSTILE_REPLIES": str(len(WORDS)),
    }
    if "CI" in name:
        env["CI"] = "true"
    return run(folder, "hostile", *CONFIGURATIONS[name], *more, "test_hostile.py", env=env)


@pytest.mark.leaks
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_hostile_reply_does_no_harm(name: str, tmp_path: Path) -> None:
    first = list(CONFIGURATIONS).index(name) * BOOTS
    with hostile_router(BOOTS, first) as router:
        sinks = hostile_run(tmp_path / "run", router, name)
        assert sinks.texts.keys() >= SINKS
        assert sinks.code == 1
        # Nothing is shown by tests that never had a reply.
        assert len(router.chats) >= 2 * len(WORDS)
        assert all(row.deleted for row in router.rows)
    check(sinks)


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileRouter]:
    monkeypatch.chdir(tmp_path)
    with hostile_router() as router:
        for name, value in settings(router.url, TOKEN, run_id="run", max_instances=3).items():
            monkeypatch.setenv(name, value)
        yield router


def test_a_sweep_shows_no_harmful_word(
    hostile: HostileRouter, capsys: pytest.CaptureFixture[str]
) -> None:
    left = hostile.make("run-0").id
    main(["sweep", "--run-id", "run", "--wait", "0"])
    told = capsys.readouterr().out
    assert f"booting  {left}" in told
    check(Sinks({"stdout": told}))


def test_a_check_shows_no_harmful_word_of_a_refusal(
    hostile: HostileRouter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ""
    for number in range(len(WORDS)):
        monkeypatch.setenv("HYDRA_SMOKE_RUN_ID", f"refuse-{number}")
        main(["check"])
        told += capsys.readouterr().out
    assert told.count("WRONG token: poll was refused with 400") == len(WORDS)
    assert told.count("boo") > len(WORDS) / 2
    check(Sinks({"stdout": told}))


@pytest.mark.reference
def test_what_finds_harm_finds_it() -> None:
    assert len(CONFIGURATIONS) * BOOTS >= len(FIELDS)
    assert [word for word in WORDS if commands(word)]
    assert len({ascii(char) for word in WORDS for char in controls(word)}) > 20
    markup = next(word for word in WORDS if f"</{EVIL}>" in word)
    assert live_markup("a.html", markup)
    assert live_markup("a.md", markup)


@pytest.mark.leaks
def test_without_the_second_line_there_would_be_harm(tmp_path: Path) -> None:
    with hostile_router() as router:
        sinks = hostile_run(tmp_path / "run", router, "default", "-p", "no:hydra-smoke-scrub")
    harm = {name: len(commands(text)) + len(controls(text)) for name, text in sinks.texts.items()}
    assert harm["stdout"] > 100
