"""Whether what a router serves as `/openapi.json` still is the contract that this package drives.

`openapi.json` beside this module is that contract. A router may offer more: what counts is that
the six calls are there, take what is sent and nothing more, and promise what is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from ._address import PREFIX

Node = Mapping[str, object]


def contract() -> Node:
    """Read the contract."""
    return cast(Node, json.loads(Path(__file__).with_name("openapi.json").read_text("utf-8")))


def differences(served: Node) -> list[str]:
    """List what breaks the contract in a router's OpenAPI document; empty if nothing does."""
    return list(_differences(served, contract()))


def _differences(served: Node, wanted: Node) -> Iterator[str]:
    # A router behind a prefix may list its paths with it.
    paths = {path[path.find(PREFIX) :]: item for path, item in _items(served, "paths")}
    for path, item in _items(wanted, "paths"):
        for method, operation in item.items():
            name = f"{method.upper()} {path}"
            there = _node(paths.get(path), method)
            if not there:
                yield f"{name} is not there"
                continue
            operation = cast(Node, operation)
            yield from _request_differences(name, _body(there, served), _body(operation, wanted))
            yield from _answer_differences(name, _answer(there, served), _answer(operation, wanted))
            yield from _parameter_differences(name, there, operation)


def _request_differences(name: str, there: Node, wanted: Node) -> Iterator[str]:
    for field, schema in _items(there, "properties"):
        if field in _names(there, "required") and field not in _node(wanted, "properties"):
            yield f"{name} now requires {field}: {_kinds(schema)}"
    for field, schema in _items(wanted, "properties"):
        yield from _field_differences(f"{name} takes {field}", there, field, schema)


def _answer_differences(name: str, there: Node, wanted: Node) -> Iterator[str]:
    for field, schema in _items(wanted, "properties"):
        if field in _names(wanted, "required"):
            yield from _field_differences(f"{name} answers {field}", there, field, schema)


def _parameter_differences(name: str, there: Node, wanted: Node) -> Iterator[str]:
    sent = {_parameter(each) for each in _list(wanted, "parameters")}
    for each in _list(there, "parameters"):
        if each.get("required") is True and _parameter(each) not in sent:
            yield f"{name} now requires the parameter {each.get('name')}"


def _parameter(parameter: Node) -> tuple[object, str]:
    return parameter.get("in"), str(parameter.get("name")).lower()


def _field_differences(what: str, there: Node, field: str, wanted: Node) -> Iterator[str]:
    properties = _node(there, "properties")
    if field not in properties:
        yield f"{what} no more"
    elif not _kinds(wanted) & _kinds(_node(properties, field)):
        now = ", ".join(sorted(_kinds(_node(properties, field)))) or "anything"
        yield f"{what} as {', '.join(sorted(_kinds(wanted)))} no more, but as {now}"


def _kinds(schema: Node) -> frozenset[str]:
    one = schema.get("type")
    kinds = {one} if isinstance(one, str) else set(cast("list[str]", one or []))
    kinds |= {kind for option in _list(schema, "anyOf") for kind in _kinds(option)}
    return frozenset(kinds)


def _body(operation: Node, document: Node) -> Node:
    return _schema(_node(operation, "requestBody"), document)


def _answer(operation: Node, document: Node) -> Node:
    answers = _node(operation, "responses")
    good = next((code for code in sorted(answers) if code.startswith("2")), "200")
    return _schema(_node(answers, good), document)


def _schema(holder: Node, document: Node) -> Node:
    schema = _node(_node(_node(holder, "content"), "application/json"), "schema")
    reference = schema.get("$ref")
    if isinstance(reference, str):
        schema = document
        for part in reference.removeprefix("#/").split("/"):
            schema = _node(schema, part)
    return schema


def _node(node: object, name: str) -> Node:
    # Whatever a stranger's document holds in the place of an object is taken for an empty one.
    child = cast(Node, node).get(name) if isinstance(node, Mapping) else None
    return cast(Node, child) if isinstance(child, Mapping) else {}


def _items(node: Node, name: str) -> list[tuple[str, Node]]:
    children = _node(node, name)
    return [(key, _node(children, key)) for key in children]


def _list(node: Node, name: str) -> list[Node]:
    children = node.get(name)
    items = cast("list[object]", children) if isinstance(children, list) else []
    return [cast(Node, item) for item in items if isinstance(item, Mapping)]


def _names(node: Node, name: str) -> list[object]:
    names = node.get(name)
    return cast("list[object]", names) if isinstance(names, list) else []
