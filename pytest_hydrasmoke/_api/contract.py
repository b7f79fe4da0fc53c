"""Compare a router's `/openapi.json` with the contract, which is `openapi.json` beside this module.

The contract is broken if one of the six calls is missing, requires more than is sent, accepts less,
or does not promise what is read. A router may offer more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pytest_hydrasmoke._transport.target import PREFIX

Node = Mapping[str, object]


def contract() -> Node:
    """Read the contract."""
    return cast(Node, json.loads(Path(__file__).with_name("openapi.json").read_text("utf-8")))


def breaches(served: Node) -> list[str]:
    """List how a router's OpenAPI document breaks the contract: nothing if it keeps it."""
    found: list[str] = []
    wanted = contract()
    # A router behind a prefix may list its paths with it.
    paths = {path[path.find(PREFIX) :]: item for path, item in _items(served, "paths")}
    for path, item in _items(wanted, "paths"):
        for method in item:
            name, there = f"{method.upper()} {path}", _node(paths.get(path), method)
            if there:
                needs = _Operation(_node(item, method), wanted)
                found += _of_operation(name, _Operation(there, served), needs)
            else:
                found.append(f"{name} is missing")
    return found


@dataclass(frozen=True, slots=True)
class _Operation:
    node: Node
    document: Node

    def body(self) -> Node:
        return self._schema(_node(self.node, "requestBody"))

    def answer(self) -> Node:
        """Return the schema of the first answer whose code means success."""
        codes = sorted(code for code in _node(self.node, "responses") if code.startswith("2"))
        return self._schema(_node(_node(self.node, "responses"), codes[0] if codes else ""))

    def _schema(self, holder: Node) -> Node:
        content = _node(_node(holder, "content"), "application/json")
        return self._resolved(_node(content, "schema"))

    def _resolved(self, schema: Node) -> Node:
        """Follow a reference into the document."""
        reference = schema.get("$ref")
        if isinstance(reference, str):
            schema = self.document
            for part in reference.removeprefix("#/").split("/"):
                schema = _node(schema, part)
        return schema

    def kinds(self, schema: Node, depth: int = 3) -> frozenset[str]:
        """Return the JSON types that a schema allows; empty if it allows all."""
        schema = self._resolved(schema)
        options = _list(schema, "anyOf")
        if options and depth:  # A schema may refer to itself.
            kinds = [self.kinds(option, depth - 1) for option in options]
            return frozenset[str]().union(*kinds) if all(kinds) else frozenset()
        one = schema.get("type")
        named = cast("list[object]", one if isinstance(one, list) else [one])
        return frozenset(kind for kind in named if isinstance(kind, str))


def _of_operation(name: str, there: _Operation, wanted: _Operation) -> Iterator[str]:
    body, sent = there.body(), wanted.body()
    for field, schema in _items(body, "properties"):
        if field in _names(body, "required") and field not in _node(sent, "properties"):
            yield f"{name} now requires {field}: {_either(there.kinds(schema))}"
    parameters = {_parameter(each) for each in _list(wanted.node, "parameters")}
    for each in _list(there.node, "parameters"):
        if each.get("required") is True and _parameter(each) not in parameters:
            yield f"{name} now requires the parameter {each.get('name')}"
    for field, schema in _items(sent, "properties"):
        yield from _of_field(f"{name} takes {field}", there, body, field, wanted.kinds(schema))
    answer, read = there.answer(), wanted.answer()
    for field, schema in _items(read, "properties"):
        if field in _names(read, "required"):
            what = f"{name} answers {field}"
            yield from _of_field(what, there, answer, field, wanted.kinds(schema))


def _of_field(
    what: str, there: _Operation, body: Node, field: str, wanted: frozenset[str]
) -> Iterator[str]:
    properties = _node(body, "properties")
    if field not in properties:
        yield f"{what} no longer"
        return
    now = there.kinds(_node(properties, field))
    # A schema that names no type allows all.
    if now and not now & wanted:
        yield f"{what} as {_either(wanted)} no longer, but as {_either(now)}"


def _either(kinds: frozenset[str]) -> str:
    return " or ".join(sorted(kinds)) or "anything"


def _parameter(parameter: Node) -> tuple[str, str]:
    return str(parameter.get("in")), str(parameter.get("name")).lower()


def _node(node: object, name: str) -> Node:
    # The document may hold anything: what is not an object counts as an empty one.
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
