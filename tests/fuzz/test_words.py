"""`safe_text` and `safe_line` over any words."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_hydrasmoke._base.text import safe_line, safe_text

UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
# A runner trims a line before it looks for `::`, and looks for `##[` anywhere.
COMMAND = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)
# Dense in what is dangerous: markers, white space before them, and characters that vanish.
marks = st.sampled_from(
    [*":#[ \n\t\r\0\x1b\x07\x85\u00a0\u2028\u202e\u200b\ufeff\ud800", "::", "##[", "##vso["]
)
words = st.lists(marks | st.characters() | st.text("ab\\xu", max_size=3), max_size=40).map("".join)


@given(text=words, limit=st.integers(0, 50))
@example(text="#" * 50 + "[", limit=50)
@example(text=":" * 50, limit=49)
@example(text="\n \u3000::a", limit=9)
@example(text="#\u200b#[", limit=9)
@example(text="##aaaa[", limit=3)
@example(text="####[a\n\n::", limit=9)
def test_any_words_are_harmless_and_short_and_stay_so(text: str, limit: int) -> None:
    cut, line, whole = safe_text(text, limit), safe_line(text, limit), safe_text(text, 1_000)
    for shown in (cut, line, whole):
        assert not COMMAND.search(shown)
        assert not [c for c in shown if c not in "\n\t" and unicodedata.category(c) in UNSEEN]
        shown.encode()
    assert "\n" not in line
    assert safe_text(whole, 1_000) == whole
    # A character becomes 7 at most, and a marker one more; then how many were cut.
    assert len(cut) <= 8 * limit + 40
    counted = re.search(r"… \((\d+) more characters\)\Z", cut)
    assert (len(text) > limit) == (counted is not None)
    assert counted is None or int(counted[1]) == len(text) - limit
