"""What is told as deleted is gone: what a run and a sweep may believe, and what a sweep is told."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from lies import NOT_FOUND, WEAK, Lie, on
from net_tools import AT_ONCE
from owner_tools import ONLY, age
from run_tools import Runs
from sweeping import Bench
from truth import Manner, Truth
from truth_app import TrueRouter

from pytest_hydrasmoke import ConfigError, HydraSmokeError
from pytest_hydrasmoke._journal.states import CLOSED, State
from pytest_hydrasmoke._report.build import report_of
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke.fake.server import mount, unmount

NAMED = ("--run-id", "weak")
TROUBLE_AT_THE_END = "def test_a(smoke_instance, request): request.config.trouble()"


class Weak(Bench):
    """Runs `weak` at a router that may lie, and sweeps of them."""

    pytester: pytest.Pytester
    liar: TrueRouter

    def run(self, text: str, during: Callable[[], object] = lambda: None) -> pytest.RunResult:
        """Run one test, in a run of pytest; `during` is what it can do to its router."""

        class Switch:
            def pytest_configure(self, config: Any) -> None:
                config.trouble = during

        (self.folder / "test_it.py").write_text(text)
        given = (*ONLY, "--hydra-smoke", "test_it.py", f"--hydra-smoke-output={self.output}")
        return self.pytester.runpytest_inprocess(*given, plugins=[Switch()])

    @property
    def truth(self) -> Truth:
        return self.liar.truth

    @property
    def alive(self) -> list[str]:
        return [it.key for it in self.truth.alive()]

    def rename(self, new: str) -> None:
        """Let what was made last have another id: the old one is not found any more."""
        self.truth.machines[-1].id = new

    def asked(self, call: str) -> list[str]:
        """Return what a call was about, each time."""
        return [it.about for it in self.truth.requests if it.call == call]

    @property
    def told(self) -> dict[str, Any]:
        """What the report has of the one instance."""
        [told] = json.loads((self.output / "report.json").read_text("utf-8"))["instances"]
        return dict(told)

    def provisioned(self) -> Run:
        """Begin a run, and provision, which may fail."""
        run = self.begun(run_id="weak", **self.limits)
        try:
            run.provision(run.config.spec)
        except HydraSmokeError:
            self.failed = True
        return run

    failed = False
    limits: dict[str, Any]


def outcome_of(run: Run) -> tuple[str, str]:
    """End a run as pytest does; gives what is told of its instance, and the leak."""
    run.close()
    run.look_back()
    run.ledger.mark_ended()
    run.ledger.end()
    run._io.close()
    [instance] = run.instances
    return report_of("it", instance, 0.0).outcome, instance.leak or ""


At = Callable[..., Weak]


@pytest.fixture
def at(
    pytester: pytest.Pytester,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[At]:
    """Give `at(row_after, **limits)`: runs and sweeps at such a router, with short deadlines."""
    with ExitStack() as stack:

        def make(row_after: float = 0.0, **limits: Any) -> Weak:
            liar = TrueRouter(Truth(Manner(row_after=row_after, boot=0.0)))
            place = mount(liar)
            stack.callback(unmount, place)
            liar.url = place.url
            given = {"delete_timeout": 0.7, "ready_timeout": 3, **limits}
            runs = Weak(liar, tmp_path, monkeypatch, capsys, run_id="weak", usage_settle=0, **given)
            runs.pytester, runs.liar, runs.limits = pytester, liar, given
            runs.few_slots()
            return runs

        yield make


@pytest.mark.parametrize("case", WEAK)
def test_neither_a_run_nor_a_sweep_takes_weak_evidence_for_a_deletion(case: str, at: At) -> None:
    runs = at()
    run = runs.provisioned()
    runs.liar.lie(WEAK[case])
    outcome, leak = outcome_of(run)
    assert (runs.alive, outcome, runs.open) == (["weak-0"], "leaked", ["weak-0"])
    assert leak
    code, told = runs.sweep(*(NAMED if [*WEAK].index(case) % 2 else ()))
    assert (code, "deleted " in told) == (1, False), told
    assert (runs.alive, runs.open) == (["weak-0"], ["weak-0"])
    runs.liar.lie([])
    code, told = runs.sweep()
    assert (code, runs.alive, runs.open) == (0, [], []), told


def test_a_sweep_believes_the_ledger_before_what_it_learns_in_the_midst_of_trouble(at: At) -> None:
    runs = at()
    runs.killed(run_id="weak", **runs.limits)
    # Its own first poll of an unknown key is a lie, too.
    runs.liar.lie([Lie(404, {"detail": "Instance not found"}, on("poll", "status", "delete"))])
    for by in ((), NAMED):
        code, told = runs.sweep(*by)
        assert (code, runs.alive) == (1, ["weak-0"]), told
    assert "an unknown key was answered otherwise when the run began" in told


def test_an_instance_that_its_router_has_renamed_is_deleted_by_its_new_name(at: At) -> None:
    runs, new = at(delete_timeout=5), str(uuid.uuid4())
    ended = runs.run(TROUBLE_AT_THE_END, lambda: runs.rename(new))
    assert (ended.ret, runs.alive, runs.told["outcome"]) == (0, [], "deleted")
    [note] = runs.told["notes"]
    assert new in note
    for run_id, by in (("all", ()), ("one", ("--run-id", "one"))):
        [instance] = runs.killed(run_id=run_id, **runs.limits)
        runs.write(f"{run_id}-0", State.DELETING, run_id, id=instance)
        runs.rename(str(uuid.uuid4()))
        code, told = runs.sweep(*by)
        assert (code, runs.alive, runs.open) == (0, [], []), told


# What a provision's answer proves


REFUSED = {
    "422": Lie(422, {"detail": [{"loc": ["body"], "msg": "no", "type": "x"}]}, on("provision")),
    "403": Lie(403, {"detail": "Quota exceeded"}, on("provision")),
    "400": Lie(400, {"detail": {"code": 7}}, on("provision")),
}
UNKNOWN = {
    "a page of 403": Lie(403, "<h1>WAF</h1>", on("provision"), "text/html", carried_out=True),
    "a gateway's own 400": Lie(400, {"message": "no"}, on("provision"), carried_out=True),
    "a redirect": Lie(307, "", on("provision"), carried_out=True),
    "a teapot": Lie(418, {"detail": "I'm a Teapot"}, on("provision"), carried_out=True),
    "a page": Lie(200, "<html>", on("provision"), "text/html", carried_out=True),
    "429": Lie(429, {"detail": "slow down"}, on("provision"), carried_out=True),
    "204": Lie(204, "", on("provision"), carried_out=True),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_was_refused_in_the_routers_own_form_is_asked_for_at_the_end_and_by_one_sweep(
    case: str, at: At
) -> None:
    runs = at()
    runs.liar.lie([REFUSED[case]])
    outcome_of(runs.provisioned())
    assert (runs.failed, runs.alive, runs.open) == (True, [], ["weak-0"])
    # An unknown key at the start, the own one before it is used, and at the end.
    assert len(runs.asked("poll")) == 3
    code, told = runs.sweep()
    assert (code, runs.open, len(told.splitlines())) == (0, [], 1), told


def test_what_was_refused_and_made_all_the_same_is_deleted_and_the_run_is_red(at: At) -> None:
    runs = at(max_instances=2)
    runs.liar.lie([dataclasses.replace(REFUSED["403"], carried_out=True)])
    ended = runs.run(
        "import contextlib\n"
        "def test_a(smoke_instance_factory):\n"
        "    with contextlib.suppress(Exception):\n"
        "        smoke_instance_factory()\n"
    )
    assert (ended.ret, runs.alive, runs.told["outcome"]) == (1, [], "deleted")
    ended.stdout.fnmatch_lines(["*the router refused to provision it, and did it all the same*"])
    # Its boot may still go on: a sweep sees it gone later than that.
    for seconds, left in ((0, ["weak-0"]), (61, [])):
        age(runs.output, seconds)
        code, told = runs.sweep()
        assert (code, runs.alive, runs.open) == (0, [], left), told
        assert ("(key weak-0): was booting, deleted; sweep again in " in told) is bool(left)


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_any_other_answer_to_a_provision_has_made_is_deleted(case: str, at: At) -> None:
    runs = at(delete_timeout=5, ready_timeout=1)
    runs.liar.lie([UNKNOWN[case]])
    assert outcome_of(runs.provisioned()) == ("deleted", "")
    # A later answer about its key may have shown it.
    assert (runs.failed, runs.alive, len(runs.truth.machines)) == (True, [], 1)


@pytest.mark.parametrize("case", ["accepted", "unknown"])
def test_what_never_gets_a_row_is_a_leak_until_a_sweep_may_call_it_absent(
    case: str, at: At
) -> None:
    runs = at(row_after=999.0, ready_timeout=1)
    if case == "unknown":
        runs.liar.lie([Lie(502, "", on("provision"), carried_out=True)])
    outcome, leak = outcome_of(runs.provisioned())
    unknown = "the request was answered with 502, and the router may have carried it out"
    named = [it.id for it in runs.truth.machines]
    words = f"the router accepted the request with {named[0]}, which may be another run's and is "
    words = f"{words}left alone" if case == "accepted" else unknown
    assert (outcome, f"{words}, but shows no instance for its key" in leak) == (
        *("leaked" if case == "accepted" else "unsure", True),
    )
    code, told = runs.sweep(*(NAMED if case == "unknown" else ()))
    assert (code, runs.open) == (1, ["weak-0"])
    [line] = [line for line in told.splitlines() if line.startswith("unsure   ")]
    assert "(key weak-0): no row yet, one may come; sweep again in 3" in line
    runs.set(row_settle=0.01)
    code, told = runs.sweep()
    assert (code, runs.open) == (0, [])
    assert told.startswith("nothing  weak-0\nnothing is left of 1 run with a ledger in ")


# Routers that can and can't prove


def test_a_router_that_knows_nothing_by_404_alone_can_be_believed(a_run: Runs) -> None:
    fake, run = a_run(dataclasses.replace(AT_ONCE, poll_before_row="404"))
    run.provision(run.config.spec)
    assert outcome_of(run) == ("deleted", "")
    assert fake.instances[0].deleted


def test_a_router_that_can_prove_nothing_is_named_before_anything_is_provisioned(at: At) -> None:
    runs = at()
    runs.liar.lie(WRONG["a router that proves nothing"])
    with pytest.raises(ConfigError, match="look like those of a path that does not exist"):
        runs.provisioned()
    assert runs.truth.machines == []


# What a sweep believes


@pytest.fixture
def bench(at: At) -> Weak:
    return at(ready_timeout=2)


WRONG = {
    "a wrong prefix": [Lie(404, NOT_FOUND)],
    "an ingress": [Lie(404, "default backend - 404")],
    "a page": [Lie(200, "<html>", kind="text/html")],
    "a wrong token": [Lie(401, {"detail": "Invalid or missing token"}, on("poll", "status"))],
    "a router that proves nothing": [Lie(404, NOT_FOUND, on("poll", "malformed", "other"))],
    "a path of keys that is another's": [Lie(404, NOT_FOUND, on("poll"))],
    "a router that is down": [Lie(503, "")],
}


def test_what_is_no_smoke_router_is_no_reason_to_say_that_nothing_is_left(
    bench: Weak,
) -> None:
    bench.killed()
    ways = ((), ("--run-id", "owner"), ("--dry-run",))
    for number, lies in enumerate(WRONG.values()):
        bench.liar.lie(lies)
        code, told = bench.sweep(*ways[number % 3], wait=0.0)
        assert code == 1
        assert told.startswith(f"UNKNOWN  what is left: {bench.liar.url} does not show it: ")
        assert "nothing is left" not in told
        assert (bench.open, bench.asked("delete")) == (["owner-0"], [])


def test_nothing_but_keys_is_taken_from_a_ledger(bench: Weak) -> None:
    [living] = bench.killed()
    ledger = bench.of("owner") / "ledger.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines() if line]
    lines[0] |= {"gone_statuses": ["running"], "max_instances": 900, "ca_file": "/x"}
    lines[0] |= {"allow_http": True, "trust_env": True}
    # It is the same router, however its URL is spelled.
    lines[0]["url"] = f"HTTP{bench.liar.url.removeprefix('http')}/"
    ledger.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    bench.liar.lie([Lie(409, {"detail": "already"}, on("delete"))])
    code, told = bench.sweep()
    assert (code, bench.alive) == (1, ["owner-0"])
    assert f"LEFT     {living} (key owner-0)" in told


def test_an_id_in_a_ledger_is_deleted_only_if_its_key_named_it(
    bench: Weak,
) -> None:
    elsewhere = bench.folder / "elsewhere"
    others = [it for it in State if it not in {State.CLAIMED, State.CREATED, *CLOSED}]
    for slot, state in enumerate([*others, State.CREATED]):
        [instance] = bench.killed(output=elsewhere, run_id=f"elsewhere{slot}")
        bench.claim(f"owner-{slot}")
        bench.write(f"owner-{slot}", state, id=instance)
    bench.sweep(wait=0.0)
    assert bench.alive == [f"elsewhere{slot}-0" for slot in range(len(others))]
    assert {*bench.asked("delete")} == {it.id for it in bench.truth.machines if it.deleted_at}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b'"is": "Claimed"', b'"is": "Xlaimed"', 1),
        lambda text: text + b'\n{"at": 1.0, "of": "owner-1", "i',
        lambda text: text.replace(b'"schema": 4', b'"schema": 2', 1),
    ],
    ids=["a word", "half a line", "another release"],
)
def test_a_ledger_that_can_not_all_be_read_stays_and_its_slots_are_asked_for(
    damage: Callable[[bytes], bytes], bench: Weak
) -> None:
    bench.killed(2)
    ahead = bench.few_slots()
    ledger = bench.of("owner") / "ledger.jsonl"
    ledger.write_bytes(damage(ledger.read_bytes()))
    for by in ((), ("--run-id", "owner")):
        asked = len(bench.asked("poll"))
        code, told = bench.sweep(*by, wait=0.0)
        assert (code, bench.alive, ledger.exists()) == (1, [], True), told
        assert f"delete {ledger.parent}" in told
        assert "nothing is left" not in told
        assert f"owner-{ahead - 1}" in bench.asked("poll")[asked:]


def test_what_a_sweep_prints_is_harmless(bench: Weak) -> None:
    hostile = "owner-0\n::error::gone\n##[error]\x1b[31m\u202enothing is left\r"
    bench.claim(hostile, run_id="owner")
    bench.claim("owner-1", "https://router.example/\n::stop-commands::x")
    bench.write("owner-1", State.CREATED, id="\x1b]0;x\x07")
    commands = "::set-output name=x::\n::add-mask::y\x1b[2J"
    bench.liar.lie([Lie(404, {"detail": commands}, on("delete"))])
    _, told = bench.sweep()
    assert not any(line.lstrip().startswith("::") for line in told.splitlines())
    assert all(char == "\n" or char.isprintable() for char in told)
    assert "##[" not in told
    assert "nothing is left" not in told.splitlines()
