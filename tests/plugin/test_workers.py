"""A live run on two workers of xdist is one run, whatever it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from plugin_tools import QUICK, Project, nothing_left
from recorder_tools import RECORD, WIDE, asked, recorded, told

from pytest_hydrasmoke.fake import FakeRouter, Scenario

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TIERS = ["tier-1", "tier-2", "tier-3", "tier-4"]
SUITE = """
    import pytest

    @pytest.mark.parametrize("smoke_instance", [{"tier_id": it} for it in TIERS], indirect=True)
    def test_tier(smoke_instance):
        assert smoke_instance.spec.tier_id in TIERS

    @pytest.mark.parametrize("number", range(4))
    def test_shared(smoke_instance, number):
        smoke_instance.chat("Who am I?").expect_llm_events(exactly=1)
        smoke_instance.chat(f"I am {number}.")

    @pytest.mark.hydra_smoke_continues
    def test_goes_on(smoke_instance):
        smoke_instance.chat("Still there?")

    @pytest.mark.parametrize("language", ["de", "en"])
    def test_wide(wide, language):
        wide.chat(f"Hello in {language}")

    def test_fails(wide):
        wide.chat("What is it?")
        raise AssertionError
"""
CONFTEST = f"""{WIDE}
    def pytest_hydra_smoke_instance_ready(instance):
        if instance.spec.tier_id in ("tier-3", "tier-4"):
            instance.chat("In the hook")

    def pytest_hydra_smoke_report(report):
        with open("reports.txt", "a") as file:
            print(report.run_id, report.provisioned, file=file)
"""


def test_two_workers_are_one_run(
    project: Project,
    routing: Callable[[Scenario], FakeRouter],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    router = routing(replace(QUICK, statuses=((0, "booting"), (0.3, "running"))))
    router.fail("status", status=503)
    project.at(router, run_id="run", max_instances=9, bundled_checks="false")
    project.set(new_conversation="/new").pytester.makeconftest(CONFTEST)
    project.pytester.makepyfile(test_it=SUITE.replace("TIERS", repr(TIERS)))
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-00f067aa0ba902b7-01")
    result = project.live("-p", "xdist", "-n2", *RECORD, passed=11, failed=1)
    assert nothing_left(router)
    # The main process tells of it, once.
    assert (project.path / "reports.txt").read_text("utf-8") == f"run {len(router.instances)}\n"

    # What is shared boots side by side, once.
    requests = router.requests
    shared = [it.tier_id for it in router.instances][: len(TIERS)]
    assert sorted(shared) == TIERS
    begun = [at for at, it in enumerate(requests) if it.route == "provision"]
    assert begun[len(TIERS) - 1] < min(
        at for at, it in enumerate(requests) if it.route in ("chat", "delete")
    )

    # Each request says whose it is, and is a span of its own.
    headers = [it.headers for it in requests]
    assert {it["x-smoke-run-id"] for it in headers} == {"run"}
    assert len({it["user-agent"] for it in headers}) == 1
    assert {it["traceparent"][3:35] for it in headers} == {TRACE}
    assert len({it["traceparent"] for it in headers}) == len(headers)

    # A conversation is begun before another test's first chat, and only there.
    messages = [it.body["message"] for it in requests if it.route == "chat"]
    kept = ("/new", "Who am I?", "Still there?", *(f"I am {number}." for number in range(4)))
    of_shared = [it for it in messages if it in kept]
    resets = [at for at, it in enumerate(of_shared) if it == "/new"]
    assert of_shared[0] != "/new"
    assert 3 <= len(resets) <= 4
    assert {of_shared[at + 1] for at in resets} == {"Who am I?"}
    turns = [turn for it in project.report()["instances"] for turn in it["turns"]]
    assert {it["test"] for it in turns if it["message"] == "/new"} == {None}
    result.stdout.no_fnmatch_line("*share one agent's memory*")

    # Each records what it asked, and none of that is there twice.
    assert told(result)[0] == "9 new, 1 not recorded"
    wide = asked(recorded(project)["fixture ::wide"])
    assert wide == [(1, 0, "In a fixture", "closed"), (1, 0, "At its end", "closed")]
    assert len(recorded(project)["hook pytest_hydra_smoke_instance_ready"]) == 2
    assert not (project.path / "recordings/.hydra-smoke.lock").exists()
