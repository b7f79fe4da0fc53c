"""How a router answers, as the processes of a run have seen it."""

from __future__ import annotations

from record_tools import Written
from scripted_io import ID, record

from pytest_hydrasmoke._api.observer import Tried
from pytest_hydrasmoke._journal.stories import fold
from pytest_hydrasmoke._report.build import manners_of
from pytest_hydrasmoke._transport.protocol import Request


def test_manners_are_the_same_in_whatever_order_they_were_seen() -> None:
    files = {"main": Written(), "gw0": Written()}
    for file, codes in zip(files.values(), ((404, 401), (401, 404, 418)), strict=True):
        it = record(id=ID)
        it.keeper = file
        for code in codes:
            it.saw_attempt(Tried(Request("status", "GET", "/x"), 1, 0.0, 0.1, code))
    seen = [
        manners_of(fold({name: files[name].entries for name in names}).forms)
        for names in (("main", "gw0"), ("gw0", "main"))
    ]
    assert seen[0] == seen[1]
    assert [it.code for it in seen[0].answers] == [401, 404, 418]
