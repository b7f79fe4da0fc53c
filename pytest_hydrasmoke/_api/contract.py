"""Compare a router's `/openapi.json` with the contract, which is `openapi.json` beside this module.

The contract is broken if one of the six calls is missing, requires more than is sent, accepts less,
or does not promise what is read. A router may offer more: that is reported, and breaks nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

from pytest_hydrasmoke._transport.target import PREFIX

Node = Mapping[str, object]
_METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})


def contract() -> Node:
    """Read the contract."""
    return cast(Node, json.loads(Path(__file__).with_name("openapi.json").read_text("utf-8")))


class Difference(NamedTuple):
    """One difference from the contract."""

    words: str
    breaks: bool
    """Whether the six calls, as this package makes them, no longer work because of it."""


def differences(served: Node) -> list[Difference]:
    """List how a router's OpenAPI document differs from the contract, what breaks it first."""
    return sorted(_differences(served, contract()), key=lambda difference: not difference.breaks)


def _broken(words: str) -> Difference:
    return Difference(words, breaks=True)


def _harmless(words: str) -> Difference:
    return Difference(words, breaks=False)


def _differences(served: Node, wanted: Node) -> Iterator[Difference]:
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
                yield _broken(f"{name} is missing")
    for path in sorted(paths):
        if path.startswith(PREFIX):
            known = _node(_node(wanted, "paths"), path)
            for method in sorted(_METHODS & _node(paths, path).keys() - known.keys()):
                yield _harmless(f"{method.upper()} {path} is new")


@dataclass(frozen=True, slots=True)
class _Operation:
    node: Node
    document: Node

    def body(self) -> Node:
        return self._schema(_node(self.node, "requestBody"))

    def answer(self) -> Node:
        return self._schema(_node(_node(self.node, "responses"), self.code()))

    def code(self) -> str:
        """Return the first of the codes that mean success."""
        codes = sorted(map(str, _node(self.node, "responses")))
        return next((code for code in codes if code.startswith("2")), "200")

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
        """Return the JSON types that a schema allows; empty if it allows all."""
        schema = self.resolved(schema)
        options = _list(schema, "anyOf")
        if options and depth:  # A schema may refer to itself.
            kinds = [self.kinds(option, depth - 1) for option in options]
            return frozenset[str]().union(*kinds) if all(kinds) else frozenset()
        one = schema.get("type")
        named = cast("list[object]", one if isinstance(one, list) else [one])
        return frozenset(kind for kind in named if isinstance(kind, str))


def _operation_differences(
    name: str, there: _Operation, wanted: _Operation
) -> Iterator[Difference]:
    body, sent = there.body(), wanted.body()
    for field, schema in _items(body, "properties"):
        if field not in _node(sent, "properties"):
            if field in _names(body, "required"):
                yield _broken(f"{name} now requires {field}: {_either(there.kinds(schema))}")
            else:
                yield _harmless(f"{name} takes {field} as well")
    parameters = {_parameter(each) for each in _list(wanted.node, "parameters")}
    for each in _list(there.node, "parameters"):
        if _parameter(each) not in parameters:
            if each.get("required") is True:
                yield _broken(f"{name} now requires the parameter {each.get('name')}")
            else:
                yield _harmless(f"{name} takes the parameter {each.get('name')} as well")
    for field, schema in _items(sent, "properties"):
        yield from _field_differences(f"{name} takes {field}", there, body, field, wanted, schema)
    yield from _answer_differences(name, there, wanted)


def _answer_differences(name: str, there: _Operation, wanted: _Operation) -> Iterator[Difference]:
    answer, read = there.answer(), wanted.answer()
    for field, schema in _items(read, "properties"):
        what = f"{name} answers {field}"
        if field in _names(read, "required"):
            yield from _field_differences(what, there, answer, field, wanted, schema)
        elif field not in _node(answer, "properties"):
            yield _harmless(f"{what} no longer, which is optional")
    for field, _ in _items(answer, "properties"):
        if field not in _node(read, "properties"):
            yield _harmless(f"{name} answers {field} as well")
    if there.code() != wanted.code():
        yield _harmless(f"{name} answers with {there.code()}, not {wanted.code()}")


def _field_differences(
    what: str, there: _Operation, body: Node, field: str, wanted: _Operation, schema: Node
) -> Iterator[Difference]:
    properties = _node(body, "properties")
    if field not in properties:
        yield _broken(f"{what} no longer")
        return
    it = there.resolved(_node(properties, field))
    now, before = there.kinds(it), wanted.kinds(schema)
    # A schema that names no type allows all.
    if now and not now & before:
        yield _broken(f"{what} as {_either(before)} no longer, but as {_either(now)}")
    elif now != before:
        yield _harmless(f"{what} as {_either(now)}, not {_either(before)}")
    longest, known = it.get("maxLength"), schema.get("maxLength")
    if longest != known:
        yield _harmless(f"{what} up to a length of {longest}, not {known}")


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
