"""Which budgets were not kept."""

from __future__ import annotations

from record_tools import frozen, part
from scripted_io import KEY, record

from pytest_hydrasmoke._journal.chat import Turn
from pytest_hydrasmoke._report.budgets import breaches, untold_tokens
from pytest_hydrasmoke._report.model import InstanceReport, TokensReport


def test_a_budget_is_broken_by_the_slowest_instance() -> None:
    slow, quick = part(id="slow", phases={"ready": 9.0}), part(id="quick", phases={"ready": 1.0})
    [breach] = breaches([quick, slow], {"ready": 5.0, "turn": 1.0, "row": 0.1})
    assert (breach.phase, breach.limit, breach.value) == ("ready", 5.0, 9.0)
    assert breach.instance == f"slow (key {KEY})"
    assert breaches([quick, slow], {"ready": 9.0}) == [], "to take just that long is allowed"
    assert breaches([], {"ready": 9.0, "tokens": 1}) == []


def test_waits_in_chats_and_tokens_have_budgets() -> None:
    def chatted(name: str, gap: float, tokens: int, untold: int = 0) -> InstanceReport:
        told = TokensReport(input_tokens=tokens, output_tokens=1)
        waits = {"first_text": 2 * gap, "gap": gap}
        it = record()
        it.note(Turn(1, "", "test_a", first_text_after=1.0, max_gap=0.5), 1.0)
        it.note(Turn(2, "", "test_b", first_text_after=2 * gap, max_gap=gap), 2.0)
        turns = frozen(it).turns
        return part(id=name, waits=waits, tokens=told, untold=untold, chats=2, turns=turns)

    both = [chatted("one", 3.0, 100, untold=1), chatted("two", 1.0, 900)]
    budgets = {"first_text": 5.0, "gap": 3.0, "tokens": 1001.0}
    first_text, tokens = breaches(both, budgets)
    assert (first_text.phase, first_text.value) == ("first_text", 6.0)
    assert first_text.place == f"one (key {KEY}), in test_b"
    assert (tokens.value, tokens.place) == (1002, f"two (key {KEY})")
    [gap] = breaches(both, {"gap": 2.0})
    assert (gap.value, gap.test) == (3.0, "test_b")
    unkept = both[0].model_copy(update={"turns": ()})
    assert [it.test for it in breaches([unkept], {"gap": 2.0})] == [None]
    assert tokens.words == "the run took 1,002 tokens, the limit is 1,001"
    words = "budgets: tokens of 1 of 4 chats were not reported, and are not counted"
    assert untold_tokens(both, budgets) == words
    assert untold_tokens(both[1:], budgets) is None
    assert untold_tokens(both, {"gap": 3.0}) is None
