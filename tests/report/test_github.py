"""The job summary: what it says, what it lets nobody else say, and how long it may be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from golden import golden
from markdown_it import MarkdownIt
from report_tools import HOSTILE, a_report, bare, failure, markdown, several

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._report import github
from pytest_hydrasmoke._report.parts import BreachReport


@pytest.mark.parametrize(
    ("name", "report"),
    [
        ("passed", a_report(bare(), bare(1))),
        ("failed", several()),
        ("empty", a_report(fake=True, exit_code=130, seconds=0.0, instances=())),
    ],
)
def test_the_summary_of_a_run(name: str, report: Report) -> None:
    golden(f"github-{name}", markdown(report))


def hostile(words: str) -> Report:
    """Make a report in which whatever a server may have shaped is these words."""
    failed = failure(1.0, words, words, test=words)
    return a_report(
        bare(id=words, outcome="leaked", leak=words, failures=(failed,)),
        bare(1, id=words, outcome="kept", notes=(words,), drift=(words,)),
        url=words,
        breaches=(BreachReport(phase="ready", limit=1, value=2, instance=words),),
    )


def structure(markdown: str) -> list[str]:
    """Return the elements that GitHub would make of a summary, without any text."""
    renderer = MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable("table")
    return re.findall(r"</?[a-zA-Z!][^>]*>", renderer.render(markdown))


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_a_server_change_nothing_but_themselves(words: str) -> None:
    text = markdown(hostile(words))
    # A test or phase without a name is told as "A failure".
    assert structure(text) == structure(markdown(hostile("plain"))) or not words
    assert not any(ord(char) < 32 and char != "\n" for char in text)
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert "##[" not in text
    line = github.annotation(words, words)
    assert line.isprintable()
    properties = line.removeprefix("::error ").partition("::")[0]
    assert properties.startswith("title=")
    assert ":" not in properties
    assert "," not in properties


@pytest.mark.parametrize(
    ("title", "message", "line"),
    [
        ("a::b, c%", "one\ntwo 50%", "::error title=a%3A%3Ab%2C c%25::one%0Atwo 50%25"),
        ("a\n::error::b", "\r\n::error::c", "::error title=a %3A%3Aerror%3A%3Ab::"),
    ],
)
def test_an_annotation_is_one_line(title: str, message: str, line: str) -> None:
    assert github.annotation(title, message).startswith(line)


def test_a_run_of_very_many_failures_keeps_what_matters_most() -> None:
    many = [bare(n, outcome="leaked", leak="x" * 3_000) for n in range(600)]
    text = markdown(a_report(*many))
    assert github.LIMIT - 3_000 < len(text.encode()) <= github.LIMIT
    assert text.startswith("## hydra-smoke: passed\n")
    assert text.endswith("`report.json` has all of it.\n")
    assert structure(text).count("<pre>") == text.count("To delete it:")
    whole = markdown(several())
    for room in (0, 100, 300, 700, 1_500):
        text = markdown(several(), room)
        assert len(text.encode()) <= room
        rest = text.partition("\nThe rest is left out")[0]
        assert whole.startswith(rest)
        assert rest.count("```") % 2 == 0, "no code block is broken off in the middle"


def test_it_is_added_to_what_the_step_has_already(tmp_path: Path) -> None:
    file, environ = tmp_path / "summary", {github.SUMMARY: str(tmp_path / "summary")}
    file.write_text("# Before\n", "utf-8")
    github.append_summary(a_report(), environ)
    assert file.read_text("utf-8") == "# Before\n" + markdown(a_report())
    file.write_text("x" * github.LIMIT, "utf-8")
    with pytest.raises(OSError, match="already reached GitHub's limit"):
        github.append_summary(a_report(), environ)
    assert file.stat().st_size == github.LIMIT
    # Elsewhere than on GitHub there is none.
    github.append_summary(a_report(), {})
    github.append_summary(a_report(), {github.SUMMARY: ""})
