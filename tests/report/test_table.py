"""The end of a run on a terminal: the table of its instances, and what was odd."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from golden import golden

from pytest_hydrasmoke import InstanceSpec, Report
from pytest_hydrasmoke._base.commands import PLAIN
from pytest_hydrasmoke._base.width import width_of
from pytest_hydrasmoke._report.build import with_commands
from pytest_hydrasmoke._report.model import InstanceReport, TokensReport
from pytest_hydrasmoke._report.parts import BreachReport, CaseReport, Manners
from pytest_hydrasmoke._report.table import verdict
from pytest_hydrasmoke._report.terminal import show, summary, table

SPEC = InstanceSpec(manifest_id="m", region_id="r", tier_id="t")
IDS = "0b6f3f1e-8d47-4c0a-9a51-7e2b90d4c6{:02}"
BOOT = {"provision": 0.21, "row": 1.04, "ready": 45.2, "delete": 2.5}
CHATS = {**BOOT, "first_event": 0.9, "turn": 7.31, "llm_events": 1.0}


def instance(number: int, **facts: Any) -> InstanceReport:
    """Make an instance up: deleted, and nothing odd, but for these facts."""
    plain: dict[str, Any] = {
        "id": IDS.format(number),
        "idempotency_key": f"nightly-7-{number}",
        "hostname": None,
        "spec": SPEC,
        "outcome": "deleted",
        "leak": None,
        "failed": False,
        "began": None,
        "phases": BOOT,
        "chats": 0,
        "requests": {"provision": 1, "poll": 3, "status": 12, "delete": 1},
        "retries": 0,
    }
    empty = ("notes", "drift", "statuses", "spans", "exchanges", "turns", "usage", "failures")
    return InstanceReport(**{**plain, **dict.fromkeys(empty, ()), **facts})


def report(*instances: InstanceReport, **facts: Any) -> Report:
    plain: dict[str, Any] = {
        "run_id": "nightly-7",
        "fake": False,
        "url": "https://router.example",
        "began": datetime(2026, 1, 2, tzinfo=UTC),
        "seconds": 61.0,
        "exit_code": 1,
        "instances": tuple(with_commands(instances, PLAIN)),
    }
    return Report(**{**plain, **facts})


SEVERAL = report(
    instance(0, phases=CHATS, chats=3, retries=2, notes=("a chat's stream ended early",)),
    instance(1, phases={**BOOT, "ready": 612.4, "row": 20.0}),
    instance(2, outcome="kept", failed=True),
    instance(
        3,
        outcome="leaked",
        leak="it may still run",
        phases={**BOOT, "delete": 125.0},
        drift=("unknown in the answer to poll: " + ", ".join(f"new_field_{n}" for n in range(9)),),
    ),
    instance(4, id=None, outcome="refused", phases={"provision": 0.0}),
    instance(5, idempotency_key=None, outcome="attached", phases={}),
    breaches=(
        BreachReport(
            phase="ready", limit=300.0, value=612.4, instance=f"{IDS.format(1)} (key nightly-7-1)"
        ),
    ),
    manners=Manners(drift=("delete answered with 418, which its contract does not know",)),
)


@pytest.mark.parametrize(
    ("chats", "words"),
    [
        ([], "1 passed"),
        ([(1, 0, 1)], "1 passed; in the report: 1 chat"),
        ([(1, 1234, 0)], "1 passed; in the report: 1 chat, 1234 tokens"),
        ([(1, 1234, 0), (2, 6, 0)], "1 passed; in the report: 3 chats, 1240 tokens"),
        # A chat that told no tokens may have used some.
        ([(2, 1234, 0), (1, 0, 1)], "1 passed; in the report: 3 chats, at least 1234 tokens"),
    ],
)
def test_chats_and_tokens_are_those_of_all_instances(
    chats: list[tuple[int, int, int]], words: str
) -> None:
    made = [
        instance(
            n, chats=many, untold=untold, tokens=TokensReport(input_tokens=sent, output_tokens=0)
        )
        for n, (many, sent, untold) in enumerate(chats)
    ]
    passed = CaseReport(id="t.py::test_a", outcome="passed", seconds=0.0)
    lines = summary(report(*made, tests=(passed,)))
    assert lines[1] == [(f"smoke tests: {words}", "")]


def test_a_green_run_has_six_lines_below_its_title() -> None:
    passed = CaseReport(id="t.py::test_a", outcome="passed", seconds=0.0)
    lines = shown(report(instance(0, phases=CHATS, chats=2), tests=(passed,)), 80, colour=False)
    assert len(lines.splitlines()) == 6


def test_a_phase_that_took_no_time_has_no_column() -> None:
    quick = {"provision": 0.04, "row": 0.0, "ready": 0.06}
    head, *_ = table(report(instance(0, phases=quick), instance(1, phases={})), 80, colour=False)
    assert [text for text, _ in head if text.strip()] == ["instance", "outcome", "ready"]
    assert table(report(instance(0, phases={"provision": 0.04})), 80, colour=False) == []


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1)])
def test_wide_characters_take_two_columns(text: str, width: int) -> None:
    assert width_of(text) == width


def shown(it: Report, width: int, *, colour: bool) -> str:
    """Return what a terminal gets; sequences as `<1>`, so that a file of it can be read."""
    lines = summary(it, width, colour=colour)
    if not colour:
        return "\n".join("".join(text for text, _ in line) for line in lines)
    codes = {"bold": 1, "red": 31, "yellow": 33}
    return "\n".join(
        "".join(
            "".join(f"<{codes[word]}>" for word in style.split()) + text + ("<0>" if style else "")
            for text, style in line
        )
        for line in lines
    )


@pytest.mark.parametrize("colour", [False, True], ids=["plain", "colour"])
@pytest.mark.parametrize("width", [80, 120])
def test_several_instances(width: int, colour: bool) -> None:
    golden(
        f"summary-{width}{'-colour' if colour else ''}",
        shown(SEVERAL, width, colour=colour),
    )


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("colour", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, colour: bool) -> None:
    for line in summary(SEVERAL, width, colour=colour):
        text = "".join(text for text, _ in line)
        assert text == text.rstrip()
        # But for what is to be copied: names and commands.
        named = text.startswith(("live", "deleted ", "kept ", "leaked ", "refused ", "attached "))
        whole = named or "attach: " in text or "delete: hydra" in text
        assert whole or width_of(text) <= width, text


@pytest.mark.parametrize("width", [80, 120])
def test_very_many_instances(width: int) -> None:
    calm = [instance(n, phases={**BOOT, "ready": 40.0 + n}) for n in range(20)]
    odd = [instance(20, outcome="leaked"), instance(21, failed=True), instance(22, retries=1)]
    golden(f"summary-many-{width}", shown(report(*calm, *odd), width, colour=False))


def test_very_many_of_which_there_is_nothing_to_tell() -> None:
    text = shown(report(*(instance(n) for n in range(13))), 80, colour=False)
    assert "13 more were deleted without problems: see report.json" in text


def test_an_instance_whose_test_was_interrupted_is_not_ok() -> None:
    cut_short = CaseReport(id="t.py::test_b", outcome="interrupted", seconds=0.0)
    used = instance(0, tests=("t.py::test_a", "t.py::test_b"))
    failed = instance(2, tests=("t.py::test_b",), failed=True)
    it = report(used, instance(1, tests=("t.py::test_a",)), failed, tests=(cut_short,))
    assert [verdict(one, it) for one in it.instances] == ["interrupted", "ok", "failed"]


def test_a_boot_that_was_interrupted_is_not_ok() -> None:
    text = shown(report(instance(0, interrupted="ready")), 80, colour=False)
    assert "interrupted" in text
    assert " ok" not in text


def test_a_run_without_an_instance() -> None:
    assert summary(report(fake=True)) == [
        [("fake router, run nightly-7: provisioned 0, deleted 0, kept 0, leaked 0", "")]
    ]


def test_of_very_many_notes_some_are_told() -> None:
    it = instance(0, notes=tuple(f"note {n}" for n in range(13)))
    text = shown(report(it), 80, colour=False)
    assert "note: note 9\n         note: 3 more, see report.json" in text
    assert "note 10" not in text


def test_an_unknown_instance_has_a_row() -> None:
    text = shown(report(instance(0, id=None, idempotency_key=None)), 80, colour=False)
    assert "\n-         deleted " in text


def test_long_keys_are_cut_and_told_in_full_below() -> None:
    # A worker elsewhere is a run of its own.
    long = instance(0, idempotency_key="a-run-id-of-somebody-else-gw0-0")
    text = shown(report(long), 80, colour=False)
    assert "\n...gw0-0  deleted" in text
    assert "(key a-run-id-of-somebody-else-gw0-0)" in text


def test_what_stands_out_is_written_so(pytestconfig: pytest.Config) -> None:
    file = io.StringIO()
    reporter = pytest.TerminalReporter(pytestconfig, file)
    writer = reporter._tw
    writer.hasmarkup = True
    show(reporter, [[("slot", "bold"), ("  ", ""), ("leaked", "red bold")], []])
    assert file.getvalue() == "\x1b[1mslot\x1b[0m  \x1b[31m\x1b[1mleaked\x1b[0m\n\n"


def test_a_failure_outranks_a_budget() -> None:
    late = instance(0, failed=True)
    breach = BreachReport(phase="row", limit=1.0, value=2.0, instance=late.name)
    lines = summary(report(late, breaches=(breach,)))
    told = "\n".join("".join(text for text, _ in line) for line in lines)
    assert "failed" in told
    assert "over budget" not in told
