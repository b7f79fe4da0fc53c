"""The job summary: what it says, what it lets nobody else say, and how long it may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from github_tools import HOSTILE, check_golden, failing, hostile, instance, report, structure

from pytest_hydrasmoke._report import github


def test_a_run_that_passed() -> None:
    check_golden("github-passed.md", github.markdown(report(instance(), instance(1))))


def test_a_run_in_which_everything_went_wrong() -> None:
    check_golden("github-failed.md", github.markdown(failing()))


def test_a_run_on_the_fake_without_an_instance() -> None:
    text = github.markdown(report(fake=True, exit_code=130, seconds=0.0))
    check_golden("github-empty.md", text)


@pytest.mark.parametrize("words", HOSTILE)
def test_words_of_a_server_change_nothing_but_themselves(words: str) -> None:
    text = github.markdown(hostile(words))
    whole = structure(github.markdown(hostile("plain")))
    found = structure(text)
    # A test or phase without a name is told as "A failure".
    assert found == whole or not words
    assert not any(ord(char) < 32 and char != "\n" for char in text)
    assert not any(line.lstrip().startswith("::") for line in text.splitlines())
    assert "##[" not in text


def test_a_run_of_very_many_failures_keeps_what_matters_most() -> None:
    many = [instance(n, outcome="leaked", leak="x" * 3_000) for n in range(600)]
    text = github.markdown(report(*many))
    assert len(text.encode()) <= github.LIMIT
    assert len(text.encode()) > github.LIMIT - 3_000
    assert text.startswith("## hydra-smoke: passed\n")
    assert text.endswith("`report.json` has all of it.\n")
    assert structure(text).count("<pre>") == text.count("To delete it:")


@pytest.mark.parametrize("room", [0, 100, 300, 700, 1_500])
def test_a_part_that_does_not_fit_is_left_out_with_all_that_follows(room: int) -> None:
    whole, text = github.markdown(failing()), github.markdown(failing(), room)
    assert len(text.encode()) <= room
    rest = text.partition("\nThe rest is left out")[0]
    assert whole.startswith(rest)
    # No table or code block is broken off in the middle.
    assert rest.count("```") % 2 == 0


def test_it_is_added_to_what_the_step_has_already(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    file.write_text("# Before\n", "utf-8")
    github.append_summary(report(), {github.SUMMARY: str(file)})
    assert file.read_text("utf-8") == "# Before\n" + github.markdown(report())


def test_a_step_whose_summary_is_full_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    file.write_text("x" * github.LIMIT, "utf-8")
    with pytest.raises(OSError, match="already reached GitHub's limit"):
        github.append_summary(report(), {github.SUMMARY: str(file)})
    assert file.stat().st_size == github.LIMIT


@pytest.mark.parametrize("environ", [{}, {github.SUMMARY: ""}])
def test_elsewhere_than_on_github_there_is_none(environ: dict[str, str]) -> None:
    github.append_summary(report(), environ)


@pytest.mark.parametrize(
    ("title", "message", "line"),
    [
        ("leak of x", "why", "::error title=leak of x::why"),
        ("a::b, c%", "one\ntwo 50%", "::error title=a%3A%3Ab%2C c%25::one%0Atwo 50%25"),
        ("a\n::error::b", "\r\n::error::c", "::error title=a %3A%3Aerror%3A%3Ab::"),
    ],
)
def test_an_annotation_is_one_line(title: str, message: str, line: str) -> None:
    assert github.annotation(title, message).startswith(line)


@pytest.mark.parametrize("words", HOSTILE)
def test_an_annotation_says_one_thing_whatever_its_words(words: str) -> None:
    line = github.annotation(words, words)
    assert line.isprintable()
    properties = line.removeprefix("::error ").partition("::")[0]
    assert properties.startswith("title=")
    assert ":" not in properties
    assert "," not in properties
