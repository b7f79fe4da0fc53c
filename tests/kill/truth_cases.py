"""Routers whose answers are not yet true, or look as if they were not, and what runs do there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from truth import Manner

# `middle` marks where a run is to be signalled, and `WAITS` has it wait there, if it is.
ONE = """
def test_a(smoke_instance):
    smoke_instance.chat("hello")
    middle()
"""
IN_BOOT = """
def test_a(smoke_instance): ...
"""
REFUSED = """
def test_a(smoke_instance_factory):
    with pytest.raises(HydraSmokeError):
        smoke_instance_factory()
    middle()
"""
STRANGERS = """
def test_a(smoke_instance_factory, smoke_client):
    for number in range(2):
        with smoke_instance_factory.own(f"mine_{number}") as key:
            with smoke_client.with_token("not-the-right-one") as stranger:
                with pytest.raises(UnauthorizedError):
                    stranger.provision(InstanceSpec(**SPEC), key)
    middle()
"""
INVALID = """
def test_a(smoke_instance_factory, smoke_client):
    for number in range(NUMBER):
        with smoke_instance_factory.own(f"mine_{number}") as key:
            with pytest.raises(RejectedError):
                smoke_client.provision(InstanceSpec(**{**SPEC, "tier_id": "x" * 81}), key)
    middle()
"""
EARLY = """
def test_a(smoke_instance):
    smoke_instance.chat("hello")

def test_b():
    time.sleep(6)
    middle()
"""
SEVERAL = """
def test_a(smoke_instance_factory):
    smoke_instance_factory.many(NUMBER)
    middle()
"""
BEGINNING = """
import os, pathlib, time
import pytest
from pytest_hydrasmoke import *

SPEC = {name: f"kill-{name}" for name in ("manifest_id", "region_id", "tier_id")}

def middle():
    pathlib.Path("middle").touch()
    time.sleep(float(os.environ["WAITS"]))
"""
CHECKS = ("--pyargs", "pytest_hydrasmoke.checks")
TO_ITS_END = "to its end"
WAYS = (TO_ITS_END, "killed", "killed, its ledger lost", "TERM")


@dataclass(frozen=True)
class Case:
    """A router, and a run at it."""

    name: str
    manner: Manner
    text: str = ONE
    """What its tests do."""
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    in_boot: bool = False
    """Whether a run is signalled during a boot, not in its test."""
    right: bool = False
    """Whether the router is right: no run at it is red, or takes much longer."""
    curable: bool = True
    """Whether a sweep with the ledger can end all machines once the trouble is over."""
    key_suffices: bool = True
    """Whether a sweep without the ledger can find them: by keys that it can guess, of rows."""
    mended: bool = False
    """Whether the trouble is over before the run is, so that its end can end them."""
    ways: tuple[str, ...] = WAYS

    def __str__(self) -> str:
        return self.name


SOON_UP = {"HYDRA_SMOKE_READY_TIMEOUT": "1"}
MANY = {"HYDRA_SMOKE_MAX_INSTANCES": "64"}
LAGS = (0.5, 3.0, 8.0)
TWO, FIFTY = (INVALID.replace("NUMBER", "2"), SEVERAL.replace("NUMBER", "50"))


def refusing(code: int) -> list[Case]:
    """Return the routers that refuse with a code, and do what they have refused."""
    short = {"HYDRA_SMOKE_READY_TIMEOUT": "2"} if code == 429 else {}
    cases = [Case(f"{code}, and made", Manner(refuses=code), REFUSED, env=short)]
    if code in (401, 403):
        manner = Manner(refuses=code, whom="strangers")
        cases += [
            Case(f"{code} to strangers, and made", manner, STRANGERS, key_suffices=False),
            Case(
                f"{code} to the checks' strangers, and made",
                manner,
                arguments=CHECKS,
                ways=(TO_ITS_END,),
            ),
        ]
    if code == 422:
        manner = Manner(refuses=code, whom="invalid")
        cases += [
            Case("422 to what is invalid, and made", manner, TWO, key_suffices=False),
            Case(
                "422 to what the checks send, and made",
                manner,
                arguments=CHECKS,
                ways=(TO_ITS_END,),
            ),
        ]
    return cases


WRONG = [
    *(Case(f"looks {lag:g} s behind", Manner(lag=lag)) for lag in LAGS),
    *(
        Case(
            f"looks and DELETE {lag:g} s behind",
            Manner(lag=lag, deletes_behind=True),
            IN_BOOT,
            in_boot=True,
        )
        for lag in LAGS
    ),
    *(Case(f"not found for {lag:g} s, by DELETE neither", Manner(blind=lag)) for lag in LAGS),
    Case("deleting once, then running", Manner(deaf=math.inf, flaps=1), curable=False),
    Case("deleting three times, then running", Manner(deaf=math.inf, flaps=3), curable=False),
    Case(
        "not found for 1 s, its key says running", Manner(deaf=math.inf, hidden=1.0), curable=False
    ),
    Case("not found for 1 s, a second DELETE counts", Manner(deaf=1, hidden=1.0)),
    Case("a row back after 1 s", Manner(deaf=1, hidden=1.0, hides_key=True)),
    Case(
        "a row back after 1 s, for ever",
        Manner(deaf=math.inf, hidden=1.0, hides_key=True),
        curable=False,
    ),
    *(
        Case(f"a DELETE that is lost, then looks {lag:g} s behind", Manner(deaf=1, stale=lag))
        for lag in LAGS
    ),
    *(
        Case(
            f"a boot of {boot:g} s that ends after the DELETE",
            Manner(boot=boot, finishes=True),
            IN_BOOT,
            env=SOON_UP,
            in_boot=True,
            key_suffices=False,
        )
        for boot in (2.0, 5.0)
    ),
    *(case for code in (401, 403, 422, 429) for case in refusing(code)),
    Case(
        "an outage of 5 s early on",
        Manner(outage=5.0),
        EARLY,
        env={"HYDRA_SMOKE_DELETE_TIMEOUT": "2", "HYDRA_SMOKE_SCOPE": "function"},
        mended=True,
    ),
    Case("a key that is lost", Manner(loses_key=0.3), key_suffices=False),
    Case(
        "a key that is lost, a first DELETE too", Manner(loses_key=0.3, deaf=1), key_suffices=False
    ),
]
RIGHT = [
    Case("plain", Manner(), right=True),
    *(
        Case(
            f"a row that stays as running, DELETE again is {code}",
            Manner(keeps_row=True, second_delete=code),
            right=True,
        )
        for code in (200, 404, 409, 410)
    ),
    Case("deleting for two minutes", Manner(deleting=120.0), right=True),
    Case("no word under the key", Manner(key_words=False), right=True),
    Case("a row that stays without a word", Manner(keeps_row=True, key_word=None), right=True),
    Case("2 s a call", Manner(takes=2.0), right=True),
    Case("429 now and then", Manner(busy_every=5), right=True),
    Case("50 instances", Manner(), FIFTY, env=MANY, right=True),
    # Their 250 requests alone take 32 s, 16 at a time: the default time for a deletion, then.
    Case(
        "50 instances, 2 s a call",
        Manner(takes=2.0),
        FIFTY,
        env={**MANY, "HYDRA_SMOKE_DELETE_TIMEOUT": "60"},
        right=True,
    ),
    Case("2,000 refused keys", Manner(), INVALID.replace("NUMBER", "2_000"), right=True),
]
