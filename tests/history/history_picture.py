"""Make the pictures of the history for the documentation, and tell how long a long one opens.

    PYTHONPATH=tests/report python tests/history/history_picture.py

It needs a Chromium. The runs never were: chance has made them, always the same.
"""

from __future__ import annotations

import random
import tempfile
from datetime import timedelta
from pathlib import Path

from chromium import Tab
from history_tools import TEST, booted, failure, history_of, report_of
from report_tools import NOON, SPEC

from pytest_hydrasmoke import Report
from pytest_hydrasmoke._history.views import render
from pytest_hydrasmoke._report.model import InstanceReport
from pytest_hydrasmoke._report.parts import SpanReport, TokensReport

PICTURES = Path(__file__).parent.parent.parent / "docs" / "images"
REGIONS = {"eu-central": 41.0, "us-west": 47.0}


def boots(chance: random.Random, number: int, groups: int) -> list[InstanceReport]:
    """Make a group's instances; from a tenth before the end on, those in one region are slower."""
    its: list[InstanceReport] = []
    for slot, (region, usual) in enumerate(REGIONS.items()):
        late = region == "us-west" and number >= groups - max(groups // 10, 1)
        ready = chance.gauss(usual, usual / 20) * (1.9 if late else 1)
        turn, gone = chance.gauss(6.0, 0.8), chance.gauss(3.0, 0.2)
        spans = [
            SpanReport(at=0.0, phase="provision", seconds=chance.gauss(0.4, 0.02)),
            SpanReport(at=1.0, phase="ready", seconds=ready),
            *(
                SpanReport(at=80.0, phase="turn", seconds=turn * chance.uniform(0.7, 1.4))
                for _ in "abc"
            ),
            SpanReport(at=120.0, phase="delete", seconds=gone),
        ]
        tokens = TokensReport(input_tokens=chance.randint(400, 600), output_tokens=90)
        lost = number % 17 == 9 and region == "us-west"
        changes = {"outcome": "leaked", "leak": "not confirmed"} if lost else {}
        its.append(
            booted(
                ready,
                slot,
                idempotency_key=f"run-{number}-{slot}",
                spec=SPEC.model_copy(update={"region_id": region}),
                spans=tuple(spans),
                tokens=tokens,
                **changes,
            )
        )
    return its


def a_group(chance: random.Random, number: int, groups: int) -> Report:
    its = boots(chance, number, groups)
    red = number % 13 == 6
    if red:
        words = failure(70.0, "AssertionError: 'ready' is not in the reply", test=TEST)
        its[0] = its[0].model_copy(update={"failures": (words,)})
    return report_of(
        number,
        *its,
        outcomes={TEST: "failed" if red else "passed", "tests/test_agent.py::test_tools": "passed"},
        exit_code=int(red or any(it.outcome == "leaked" for it in its)),
        began=NOON + timedelta(hours=6 * number),
        pipeline={
            "group": str(4100 + number),
            "commit": f"{random.Random(number // 2).getrandbits(160):040x}",
            "branch": "main",
            "url": f"https://ci.example/pipelines/{4100 + number}",
        },
    )


def page_of(groups: int) -> str:
    chance = random.Random(18)
    return render(history_of(a_group(chance, number, groups) for number in range(groups)))


def main() -> None:
    with Tab() as tab, tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "history.html")
        page.write_text(page_of(40), "utf-8")
        for name, width, height, dark in (
            ("history.png", 1280, 1500, False),
            ("history-dark.png", 1280, 1500, True),
            ("history-phone.png", 390, 1500, False),
            ("history-phone-dark.png", 390, 1500, True),
        ):
            tab.open(page, width=width, height=height, dark=dark)
            tab.picture(PICTURES / name)
            print(f"{name}: {(PICTURES / name).stat().st_size / 1024:.0f} KiB")
        page.write_text(page_of(1_000), "utf-8")
        size = page.stat().st_size / 1e6
        print(f"a page of 1,000 groups, {size:.2f} MB: {tab.opening(page)}")


if __name__ == "__main__":
    main()
