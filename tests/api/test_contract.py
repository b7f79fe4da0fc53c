"""What a router serves as its OpenAPI document, against the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sizes import examples

from pytest_hydrasmoke._api.contract import breaches, contract

Document = dict[str, Any]
PREFIX = "/internal/v1/smoke"
PROVISION = f"{PREFIX}/provision"
INSTANCE = f"{PREFIX}/instances/{{instance_id}}"
EVENTS = f"{INSTANCE}/llm-events"
CHAT = f"{INSTANCE}/chat"


def served() -> Document:
    return dict(contract())


GONE = object()


def of(name: str, *more: str) -> tuple[str, ...]:
    """Return the place of a schema, or in it."""
    return ("components", "schemas", name, *more)


def plus(*more: object) -> Callable[[list[Any]], list[Any]]:
    return lambda there: [*there, *more]


REQUEST = of("SmokeProvisionRequest", "properties")
STATUS = of("SmokeStatusResponse", "properties", "status")
COUNT = of("SmokeLlmEventsResponse", "properties", "count")
WINDOW = of("SmokeLlmEventsResponse", "properties", "window_seconds")
MESSAGE = of("SmokeChatRequest", "properties", "message")
PARAMETERS = ("paths", EVENTS, "get", "parameters")
ANSWERS = ("paths", PROVISION, "post", "responses")
BODY = ("paths", PROVISION, "post", "requestBody", "content", "application/json", "schema")
TEXT, INTEGER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "null"}


def to(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def required(parameters: list[Document]) -> list[Document]:
    """Require them all, those of headers in another case."""
    spelled = {True: str.title, False: str}
    return [
        {**each, "required": True, "name": spelled["header" in each["in"]](each["name"])}
        for each in parameters
    ]


Change = dict[tuple[Any, ...], Any]
CHANGES: dict[str, tuple[Change, list[str]]] = {
    # What stands in which places of the document, or is made of what stands there.
    "nothing": ({}, []),
    "a path is gone": ({("paths", EVENTS): GONE}, [f"GET {EVENTS} is missing"]),
    "a method is gone": ({("paths", INSTANCE, "delete"): GONE}, [f"DELETE {INSTANCE} is missing"]),
    "a field is gone": ({STATUS: GONE}, [f"GET {INSTANCE} answers status no longer"]),
    "a field that may be": ({of("SmokeStatusResponse", "properties", "hostname"): GONE}, []),
    "a field that is sent": (
        {(*REQUEST, "agent_name"): GONE},
        [f"POST {PROVISION} takes agent_name no longer"],
    ),
    "more fields": (
        {
            (*REQUEST, "zone"): TEXT,
            of("SmokePollResponse", "properties", "zone"): TEXT,
            of("SmokePollResponse", "required"): plus("zone"),
        },
        [],
    ),
    "more fields that are required": (
        {
            (*REQUEST, "zone"): TEXT,
            (*REQUEST, "any"): {},
            (*REQUEST, "size"): {"type": ["string", "integer"]},
            of("SmokeProvisionRequest", "required"): plus("zone", "any", "size"),
        },
        [
            f"POST {PROVISION} now requires zone: string",
            f"POST {PROVISION} now requires any: anything",
            f"POST {PROVISION} now requires size: integer or string",
        ],
    ),
    "a known field is required": (
        {of("SmokeProvisionRequest", "required"): plus("agent_name")},
        [],
    ),
    "another kind": (
        {COUNT: TEXT},
        [f"GET {EVENTS} answers count as integer no longer, but as string"],
    ),
    "no kind": ({COUNT: {}, MESSAGE: {"maxLength": 4000}}, []),
    "more kinds": ({COUNT: {"anyOf": [INTEGER, NULL]}, WINDOW: {"type": ["integer", "null"]}}, []),
    "other kinds": (
        {MESSAGE: {"anyOf": [INTEGER, {"type": "boolean"}]}},
        [f"POST {CHAT} takes message as string no longer, but as boolean or integer"],
    ),
    "a header that is required": (
        {PARAMETERS: plus({"name": "X-Tenant", "in": "header", "required": True})},
        [f"GET {EVENTS} now requires the parameter X-Tenant"],
    ),
    "known parameters are required": ({PARAMETERS: required}, []),
    "more headers": (
        {
            PARAMETERS: plus(
                {"name": "X-Tenant", "in": "header", "required": False},
                {"name": "X-Other", "in": "header"},
            )
        },
        [],
    ),
    "a prefix": ({("paths",): lambda paths: {f"/api{it}": paths[it] for it in paths}}, []),
    "more paths": (
        {("paths",): lambda paths: paths | {"/health": {"get": {}}, "": {}, f"{PREFIX}/list": {}}},
        [],
    ),
    "201": ({ANSWERS: lambda answers: {"201": answers["200"]}}, []),
    "no success": (
        {ANSWERS: {"default": {}}},
        [
            f"POST {PROVISION} answers idempotency_key no longer",
            f"POST {PROVISION} answers task_id no longer",
        ],
    ),
    "a schema in its place": ({BODY: contract()["components"]["schemas"][REQUEST[2]]}, []),  # type: ignore[index]
    "a shorter message": ({(*MESSAGE, "maxLength"): 500}, []),
    # What is defined elsewhere is looked up.
    "a kind elsewhere": ({of("Status"): {**TEXT, "enum": ["running"]}, STATUS: to("Status")}, []),
    "another kind elsewhere": (
        {of("Status"): INTEGER, STATUS: to("Status")},
        [f"GET {INSTANCE} answers status as string no longer, but as integer"],
    ),
    "a choice of kinds elsewhere": (
        {of("Code"): INTEGER, STATUS: {"anyOf": [to("Code"), NULL]}},
        [f"GET {INSTANCE} answers status as string no longer, but as integer or null"],
    ),
    "a choice in a choice": (
        {STATUS: {"anyOf": [{"anyOf": [INTEGER, NULL]}, NULL]}},
        [f"GET {INSTANCE} answers status as string no longer, but as integer or null"],
    ),
    "a kind defined nowhere": ({STATUS: to("Nowhere")}, []),
    "a kind in another file": ({STATUS: {"$ref": "elsewhere.json#/Status"}}, []),
    "a kind without a name": ({STATUS: {"$ref": ""}}, []),
    "a kind by number": ({STATUS: {"$ref": 5}}, []),
    "a choice of itself": ({of("Tree"): {"anyOf": [to("Tree")]}, STATUS: to("Tree")}, []),
    "any kind, or null": ({STATUS: {"anyOf": [{}, NULL]}}, []),
    "a list of kinds, or one": ({STATUS: {"anyOf": [{"type": ["string", "null"]}, INTEGER]}}, []),
}


def changed(changes: Change) -> Document:
    document: Any = served()
    for place, value in changes.items():
        node = document
        for key in place[:-1]:
            node = node[key]
        if value is GONE:
            del node[place[-1]]
        else:
            node[place[-1]] = value(node[place[-1]]) if callable(value) else value
    return document  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", CHANGES)
def test_only_what_breaks_the_contract_is_told(name: str) -> None:
    changes, lines = CHANGES[name]
    assert breaches(changed(changes)) == lines


def test_nothing_at_all_is_everything_missing() -> None:
    lines = breaches({})
    assert len(lines) == 6
    assert all(line.endswith(" is missing") for line in lines)


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every place in a document."""
    for key, child in node.items() if isinstance(node, dict) else enumerate(node):
        yield (*path, key)
        if isinstance(child, (dict, list)):
            yield from places(child, (*path, key))


VALUES: list[Any] = [None, 5, "x", [[]], {"type": None}, [], {}, True, [{}]]


def test_whatever_stands_in_any_place_of_a_document_it_is_compared() -> None:
    for number, place in enumerate(places(served())):
        # Each value stands in places of each kind, which come again for each call.
        for value in (VALUES[number % 9], VALUES[number % 7]):
            change = {place: value}
            if place[-1] == "in":
                change[*place[:-1], "required"] = True
            assert isinstance(breaches(changed(change)), list), place


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    )
)
@examples(20, 2_000)
def test_any_document_is_compared(value: object) -> None:
    assert breaches({"paths": value, "components": value})
