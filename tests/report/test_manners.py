"""How a router answers, as the processes of a run have seen it."""

from __future__ import annotations

from scripted_io import ID, record

from pytest_hydrasmoke._api.calls import Attempt
from pytest_hydrasmoke._core.sightings import Sightings
from pytest_hydrasmoke._report.manners import all_manners, manners_of
from pytest_hydrasmoke._transport.protocol import Request


def test_manners_are_the_same_in_whatever_order_they_were_seen() -> None:
    one, two = record(id=ID).sightings, Sightings()
    for seen, codes in ((one, (404, 401)), (two, (401, 404, 418))):
        for code in codes:
            request = Request("status", "GET", "/x")
            seen.saw_attempt(Attempt(request, 1, 0.0, 0.1, code))
    frozen = manners_of([one, two])
    assert [it.code for it in frozen.answers] == [401, 404, 418]
    assert all_manners([manners_of([two]), manners_of([one])]) == frozen
