"""Whether what a router serves as `/openapi.json` still is the contract that this package drives.

`openapi.json` beside this module is that contract. A router may offer more: what counts is that
the six calls are there, take what is sent and nothing more, and promise what is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
        for method in item:
            name, there = f"{method.upper()} {path}", _node(paths.get(path), method)
            if there:
                yield from _operation_differences(
                    name, _Operation(there, served), _Operation(_node(item, method), wanted)
                )
            else:
                yield f"{name} is not there"


@dataclass(frozen=True, slots=True)
class _Operation:
    node: Node
    document: Node

    def body(self) -> Node:
        return self._schema(_node(self.node, "requestBody"))

    def answer(self) -> Node:
        answers = _node(self.node, "responses")
        good = next((code for code in sorted(answers) if code.startswith("2")), "200")
        return self._schema(_node(answers, good))

    def _schema(self, holder: Node) -> Node:
        content = _node(_node(holder, "content"), "application/json")
        return self.resolved(_node(content, "schema"))

    def resolved(self, schema: Node) -> Node:
        """Follow a reference into the document."""
        reference = schema.get("$ref")
        if isinstance(reference, str):
            schema = self.document
            for part in reference.removeprefix("#/").split("/"):
                schema = _node(schema, part)
        return schema

    def kinds(self, schema: Node, depth: int = 3) -> frozenset[str]:
        """Give the JSON types that a schema lets through; none if it lets every one through."""
        schema = self.resolved(schema)
        options = _list(schema, "anyOf")
        if options and depth:  # A schema may refer to itself.
            kinds = [self.kinds(option, depth - 1) for option in options]
            return frozenset[str]().union(*kinds) if all(kinds) else frozenset()
        one = schema.get("type")
        named = cast("list[object]", one if isinstance(one, list) else [one])
        return frozenset(kind for kind in named if isinstance(kind, str))


def _operation_differences(name: str, there: _Operation, wanted: _Operation) -> Iterator[str]:
    body, sent = there.body(), wanted.body()
    for field, schema in _items(body, "properties"):
        if field in _names(body, "required") and field not in _node(sent, "properties"):
            yield f"{name} now requires {field}: {_told(there.kinds(schema))}"
    parameters = {_parameter(each) for each in _list(wanted.node, "parameters")}
    for each in _list(there.node, "parameters"):
        if each.get("required") is True and _parameter(each) not in parameters:
            yield f"{name} now requires the parameter {each.get('name')}"
    for field, schema in _items(sent, "properties"):
        yield from _field_differences(f"{name} takes {field}", there, body, field, wanted, schema)
    answer, read = there.answer(), wanted.answer()
    for field, schema in _items(read, "properties"):
        if field in _names(read, "required"):
            what = f"{name} answers {field}"
            yield from _field_differences(what, there, answer, field, wanted, schema)


def _field_differences(
    what: str, there: _Operation, body: Node, field: str, wanted: _Operation, schema: Node
) -> Iterator[str]:
    properties = _node(body, "properties")
    if field not in properties:
        yield f"{what} no more"
        return
    now, before = there.kinds(_node(properties, field)), wanted.kinds(schema)
    # A schema that names no type lets every one through.
    if now and not now & before:
        yield f"{what} as {_told(before)} no more, but as {_told(now)}"


def _told(kinds: frozenset[str]) -> str:
    return " or ".join(sorted(kinds)) or "anything"


def _parameter(parameter: Node) -> tuple[str, str]:
    return str(parameter.get("in")), str(parameter.get("name")).lower()


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
