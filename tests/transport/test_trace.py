"""Every request can be found: its trace, its run and its client, told to the one origin."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke._transport.trace import Trace, trace_of

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{ID}-{SPAN}-01"
FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01")


def test_a_request_is_a_span_of_the_pipeline_s_trace() -> None:
    trace = trace_of("run", environ={"TRACEPARENT": PARENT, "TRACESTATE": "vendor=1"})
    one, other = trace.headers(), trace.headers()
    assert one["traceparent"].startswith(f"00-{ID}-")
    assert one["traceparent"] != other["traceparent"]
    assert SPAN not in one["traceparent"]
    assert one["tracestate"] == "vendor=1"


def test_else_it_is_one_of_the_run_s_own_in_all_of_its_processes() -> None:
    assert trace_of("run", environ={}) == trace_of("run", environ={})
    assert trace_of("run", environ={}).id != trace_of("other", environ={}).id
    assert trace_of(None, environ={}).id != trace_of(None, environ={}).id
    assert trace_of("run", environ={}).headers().keys() == {"traceparent"}


@pytest.mark.parametrize(
    "parent",
    [
        *("", "00", ID, f"00-{ID}-{SPAN}", f"00-{ID}-{SPAN}-01-", f" {PARENT}", PARENT.upper()),
        *(f"ff-{ID}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{ID}-{'0' * 16}-01"),
    ],
)
def test_what_is_no_trace_is_left_out(parent: str) -> None:
    environ = {"TRACEPARENT": parent, "TRACESTATE": "vendor=1"}
    assert trace_of("run", environ=environ) == trace_of("run", environ={})


@given(st.text(), st.text(), st.text())
def test_its_headers_are_safe_whatever_the_environment(name: str, parent: str, state: str) -> None:
    for environ in ({"TRACEPARENT": parent}, {"TRACEPARENT": PARENT, "TRACESTATE": state}):
        for key, value in trace_of(name, environ=environ).headers().items():
            assert value.isascii()
            assert value.isprintable()
            assert key != "traceparent" or FORM.fullmatch(value)


def test_it_is_shown_as_a_link_where_there_is_one() -> None:
    assert Trace(ID).shown == ID
    assert Trace(ID, url="https://traces.example/t/{trace_id}?a=1").shown.endswith(f"/t/{ID}?a=1")
