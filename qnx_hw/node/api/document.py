"""The OpenAPI document and the reference page, both written from the operations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from qnx_hw import __version__
from qnx_hw.api.schema import VIEWS, Event, Problem
from qnx_hw.node.api.operation import PREFIX, Operation

_REF = "#/components/schemas/{name}"


def openapi(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of operations."""
    types = [each.answers for each in operations if each.answers is not None]
    types += [each.takes for each in operations if each.method == "POST"]
    types += [Problem, Event, *VIEWS.values()]
    _, components = msgspec.json.schema_components(types, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(PREFIX + each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Quantum Nexus",
            "version": __version__,
            "description": "State, history and commands of a node. No answer holds a key bit.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-qnx"},
            },
        },
        "security": [{}, {"token": []}, {"session": []}],
    }


def reference(operations: Iterable[Operation]) -> str:
    """Return the reference page of operations."""
    lines = [
        "# HTTP API",
        "",
        "Written from the operations themselves; `GET /api/v1/openapi.json` gives the same as an",
        "OpenAPI 3.1 document with every field. A command is a POST with a JSON object, the header",
        "`X-QNX-Client`, and, where the node has users, `Authorization: Bearer TOKEN` or a",
        'browser\'s session. A refusal is `{"error": "one sentence", "field": "where"}`.',
        "",
    ]
    subject = ""
    for each in sorted(operations, key=lambda one: (one.subject, one.path, one.method)):
        if each.subject != subject:
            subject = each.subject
            lines += [f"## {subject}", ""]
            lines += ["| request | right | takes | answers | |", "|---|---|---|---|---|"]
        takes = each.takes if each.method == "POST" else each.query
        right = "none" if each.is_public else each.needs.value
        cells = [
            f"`{each.method} {PREFIX}{each.path}`",
            right,
            _fields(takes),
            _name(each.answers) or each.media_type,
            each.summary,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return _spaced(lines)


def _spaced(lines: list[str]) -> str:
    text = "\n".join(lines) + "\n"
    return re.sub(r"(\|\n)(## )", r"\1\n\2", text)


def _fields(type_: type[msgspec.Struct]) -> str:
    fields = msgspec.structs.fields(type_)
    return ", ".join(f"`{each.encode_name}`" + ("" if each.required else "?") for each in fields)


def _name(type_: Any) -> str:
    if type_ is None:
        return ""
    inner = getattr(type_, "__args__", None)
    return f"list of {_name(inner[0])}" if inner else f"`{type_.__name__}`"


def _operation(each: Operation) -> dict[str, Any]:
    words: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{each.method.lower()}{each.path}").strip("_"),
        "summary": each.summary,
        "tags": [each.subject],
        "parameters": _parameters(each),
        "responses": {"200": _answer(each), "default": _content("A refusal.", Problem)},
        "x-right": each.needs.value,
    }
    if each.is_public:
        words["security"] = [{}]
    if each.method == "POST":
        words["requestBody"] = {"required": True, "content": _json(each.takes)}
    return words


def _parameters(each: Operation) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)", each.path)
    ]
    fields = msgspec.structs.fields(each.query)
    in_query = [
        {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            "schema": msgspec.json.schema(field.type),
        }
        for field in fields
    ]
    if each.media_type == "text/event-stream":
        schema = {"type": "string"}
        in_query.append(
            {"name": "Last-Event-ID", "in": "header", "required": False, "schema": schema}
        )
    return in_path + in_query


def _answer(each: Operation) -> dict[str, Any]:
    if each.answers is None:
        return {"description": "The answer.", "content": {each.media_type: {}}}
    return _content("The answer.", each.answers)


def _content(words: str, type_: Any) -> dict[str, Any]:
    return {"description": words, "content": _json(type_)}


def _json(type_: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([type_], ref_template=_REF)
    return {"application/json": {"schema": schema}}
