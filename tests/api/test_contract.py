"""What a router serves as its OpenAPI document, against the contract."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke._api.contract import breaches, contract

Document = dict[str, Any]

PREFIX = "/internal/v1/smoke"
PROVISION = f"{PREFIX}/provision"
INSTANCE = f"{PREFIX}/instances/{{instance_id}}"
EVENTS = f"{INSTANCE}/llm-events"


def served() -> Document:
    return copy.deepcopy(dict(contract()))


def schema(document: Document, name: str) -> Document:
    found: Document = document["components"]["schemas"][name]
    return found


def test_the_contract_does_not_differ_from_itself() -> None:
    assert breaches(contract()) == []


def drop_path(document: Document) -> None:
    del document["paths"][EVENTS]


def drop_method(document: Document) -> None:
    del document["paths"][INSTANCE]["delete"]


def drop_answered_field(document: Document) -> None:
    del schema(document, "SmokeStatusResponse")["properties"]["status"]


def drop_optional_answered_field(document: Document) -> None:
    del schema(document, "SmokeStatusResponse")["properties"]["hostname"]


def drop_taken_field(document: Document) -> None:
    del schema(document, "SmokeProvisionRequest")["properties"]["agent_name"]


def require_field(document: Document) -> None:
    request = schema(document, "SmokeProvisionRequest")
    request["properties"]["zone"] = {"type": "string"}
    request["required"].append("zone")


def offer_field(document: Document) -> None:
    schema(document, "SmokeProvisionRequest")["properties"]["zone"] = {"type": "string"}
    schema(document, "SmokePollResponse")["properties"]["zone"] = {"type": "string"}
    schema(document, "SmokePollResponse")["required"].append("zone")


def require_known_field(document: Document) -> None:
    schema(document, "SmokeProvisionRequest")["required"].append("agent_name")


def retype_answer(document: Document) -> None:
    schema(document, "SmokeLlmEventsResponse")["properties"]["count"] = {"type": "string"}


def untype_answer(document: Document) -> None:
    schema(document, "SmokeLlmEventsResponse")["properties"]["count"] = {}


def untype_request(document: Document) -> None:
    schema(document, "SmokeChatRequest")["properties"]["message"] = {"maxLength": 4000}


def widen_answer(document: Document) -> None:
    properties = schema(document, "SmokeLlmEventsResponse")["properties"]
    properties["count"] = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    properties["window_seconds"] = {"type": ["integer", "null"]}


def retype_request(document: Document) -> None:
    kinds = {"anyOf": [{"type": "integer"}, {"type": "boolean"}]}
    schema(document, "SmokeChatRequest")["properties"]["message"] = kinds


def require_header(document: Document) -> None:
    parameters = document["paths"][EVENTS]["get"]["parameters"]
    parameters.append({"name": "X-Tenant", "in": "header", "required": True})


def require_known_header(document: Document) -> None:
    for each in document["paths"][EVENTS]["get"]["parameters"]:
        each["required"] = True
        each["name"] = each["name"].title() if each["in"] == "header" else each["name"]


def offer_header(document: Document) -> None:
    parameters = document["paths"][EVENTS]["get"]["parameters"]
    parameters.append({"name": "X-Tenant", "in": "header", "required": False})
    parameters.append({"name": "X-Other", "in": "header"})


def prefix_paths(document: Document) -> None:
    document["paths"] = {f"/api{path}": item for path, item in document["paths"].items()}


def offer_paths(document: Document) -> None:
    document["paths"] |= {"/health": {"get": {}}, "": {}, f"{PREFIX}/list": {"get": {}}}


def answer_201(document: Document) -> None:
    answers = document["paths"][PROVISION]["post"]["responses"]
    answers["201"] = answers.pop("200")


def answer_nothing(document: Document) -> None:
    document["paths"][PROVISION]["post"]["responses"] = {"default": {}}


def inline(document: Document) -> None:
    body = document["paths"][PROVISION]["post"]["requestBody"]
    body["content"]["application/json"]["schema"] = schema(document, "SmokeProvisionRequest")


def shorten(document: Document) -> None:
    schema(document, "SmokeChatRequest")["properties"]["message"]["maxLength"] = 500


def name_a_kind(document: Document) -> None:
    document["components"]["schemas"]["Status"] = {"type": "string", "enum": ["running"]}
    properties = schema(document, "SmokeStatusResponse")["properties"]
    properties["status"] = {"$ref": "#/components/schemas/Status"}


CHANGES: dict[Callable[[Document], None], list[str]] = {
    drop_path: [f"GET {EVENTS} is missing"],
    drop_method: [f"DELETE {INSTANCE} is missing"],
    drop_answered_field: [f"GET {INSTANCE} answers status no longer"],
    drop_optional_answered_field: [],
    drop_taken_field: [f"POST {PROVISION} takes agent_name no longer"],
    offer_field: [],
    require_known_field: [],
    retype_answer: [f"GET {EVENTS} answers count as integer no longer, but as string"],
    untype_answer: [],
    untype_request: [],
    widen_answer: [],
    retype_request: [
        f"POST {INSTANCE}/chat takes message as string no longer, but as boolean or integer"
    ],
    require_header: [f"GET {EVENTS} now requires the parameter X-Tenant"],
    require_known_header: [],
    offer_header: [],
    prefix_paths: [],
    offer_paths: [],
    answer_201: [],
    answer_nothing: [
        f"POST {PROVISION} answers idempotency_key no longer",
        f"POST {PROVISION} answers task_id no longer",
    ],
    inline: [],
    name_a_kind: [],
    shorten: [],
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_only_what_breaks_the_contract_is_told(change: Callable[[Document], None]) -> None:
    document = served()
    change(document)
    assert breaches(document) == CHANGES[change]


def test_a_field_that_is_required_now_is_told_with_its_kind() -> None:
    document = served()
    require_field(document)
    assert breaches(document) == [f"POST {PROVISION} now requires zone: string"]


def test_a_kind_that_is_defined_elsewhere_is_looked_up() -> None:
    document = served()
    name_a_kind(document)
    assert breaches(document) == []
    document["components"]["schemas"]["Status"]["type"] = "integer"
    [line] = breaches(document)
    assert line == f"GET {INSTANCE} answers status as string no longer, but as integer"


def test_a_choice_of_kinds_that_are_defined_elsewhere_is_looked_up() -> None:
    document = served()
    document["components"]["schemas"]["Code"] = {"type": "integer"}
    properties = schema(document, "SmokeStatusResponse")["properties"]
    properties["status"] = {"anyOf": [{"$ref": "#/components/schemas/Code"}, {"type": "null"}]}
    [line] = breaches(document)
    assert line == f"GET {INSTANCE} answers status as string no longer, but as integer or null"


@pytest.mark.parametrize(
    "reference", ["#/components/schemas/Nowhere", "elsewhere.json#/Status", "", 5]
)
def test_a_kind_that_is_defined_nowhere_may_be_any(reference: object) -> None:
    document = served()
    properties = schema(document, "SmokeStatusResponse")["properties"]
    properties["status"] = {"$ref": reference}
    assert breaches(document) == []


def test_a_schema_that_is_a_choice_of_itself_has_no_kind_of_its_own() -> None:
    document = served()
    itself = {"$ref": "#/components/schemas/Tree"}
    document["components"]["schemas"]["Tree"] = {"anyOf": [itself]}
    schema(document, "SmokeStatusResponse")["properties"]["status"] = itself
    assert breaches(document) == []


@pytest.mark.parametrize(
    "options",
    [
        [{}, {"type": "null"}],
        [{"type": ["string", "null"]}, {"type": "integer"}],
    ],
    ids=["any type", "a list of types"],
)
def test_a_choice_lets_through_what_any_of_its_options_does(options: list[Document]) -> None:
    document = served()
    schema(document, "SmokeStatusResponse")["properties"]["status"] = {"anyOf": options}
    assert breaches(document) == []


def test_a_field_of_any_kind_that_is_required_now_is_told() -> None:
    document = served()
    request = schema(document, "SmokeProvisionRequest")
    request["properties"] |= {"zone": {}, "size": {"type": ["string", "integer"]}}
    request["required"] += ["zone", "size"]
    assert breaches(document) == [
        f"POST {PROVISION} now requires zone: anything",
        f"POST {PROVISION} now requires size: integer or string",
    ]


def test_nothing_at_all_is_everything_missing() -> None:
    lines = breaches({})
    assert len(lines) == 6
    assert all(line.endswith(" is missing") for line in lines)


STRANGE = [None, 5, "x", [], {}, [5], [[]], {"type": None}, True]


def places(document: Document) -> list[tuple[str | int, ...]]:
    """List every place in a document."""
    found: list[tuple[str | int, ...]] = []

    def visit(node: Any, path: tuple[str | int, ...]) -> None:
        children = node.items() if isinstance(node, dict) else enumerate(node)
        for key, child in children:
            found.append((*path, key))
            if isinstance(child, (dict, list)):
                visit(child, (*path, key))

    visit(document, ())
    return found


PLACES = places(served())
LISTED_KINDS = [place for place in PLACES if place[-1] == "type"]
SENT_IN = [place for place in PLACES if place[-1] == "in"]


def put(place: tuple[str | int, ...], value: object) -> Document:
    document: Any = served()
    node = document
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    return document  # type: ignore[no-any-return]


@pytest.mark.parametrize("value", STRANGE, ids=repr)
def test_whatever_stands_in_the_place_of_an_object_is_read_as_an_empty_one(value: object) -> None:
    for place in PLACES:
        if place not in LISTED_KINDS + SENT_IN:
            assert isinstance(breaches(put(place, value)), list), place


@pytest.mark.parametrize("value", [5, [[]], True, [{}]], ids=repr)
def test_a_kind_that_is_no_word_is_no_kind(value: object) -> None:
    for place in LISTED_KINDS:
        assert isinstance(breaches(put(place, value)), list), place


@pytest.mark.parametrize("value", [[], {}, [5]], ids=repr)
def test_a_parameters_place_that_is_no_word_is_no_place(value: object) -> None:
    for place in SENT_IN:
        document = put(place, value)
        put_required = document
        for key in place[:-1]:
            put_required = put_required[key]
        put_required["required"] = True
        assert isinstance(breaches(document), list), place


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    )
)
def test_any_document_is_compared(value: object) -> None:
    assert breaches({"paths": value, "components": value})
