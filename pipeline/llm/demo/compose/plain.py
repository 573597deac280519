"""Chats that are none of the pipeline's agents: a short honest text, or an instance of a schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.llm.demo.compose.reading import Task
from pipeline.llm.demo.compose.research import called
from pipeline.llm.demo.wire import CalledTool, JsonResponse, NamedTool, SchemaResponse
from pipeline.models import DEMO_LABEL

MAX_DEPTH = 12
TEXT = "Offline demo"


def answer(task: Task) -> str:
    wanted = task.request.response_format
    if isinstance(wanted, SchemaResponse):
        return json.dumps(instance(wanted.json_schema.json_schema), ensure_ascii=False)
    if isinstance(wanted, JsonResponse):
        return json.dumps({"note": DEMO_LABEL, "topic": task.brief.topic.title}, ensure_ascii=False)
    return (
        f"{DEMO_LABEL}. It can read that this is about {task.brief.topic.about}, but it knows "
        "nothing about it: it only puts together what the pipeline's agents hand to it. For real "
        "answers, configure an endpoint."
    )


def tool_calls(task: Task) -> tuple[CalledTool, ...]:
    """Only a caller that insists on a tool gets a call, with arguments that fit its schema."""
    choice, tools = task.request.tool_choice, task.request.tools
    if choice == "required" and not task.results:
        wanted = tools[:1]
    elif isinstance(choice, NamedTool):
        wanted = [tool for tool in tools if tool.function.name == choice.function.name]
    else:
        return ()
    if not wanted:
        return ()
    chosen = wanted[0]
    arguments = instance(chosen.function.parameters or {"type": "object"})
    return (
        called(task, 0, chosen.function.name, arguments if isinstance(arguments, dict) else {}),
    )


def instance(schema: Mapping[str, Any]) -> Any:
    """The smallest plain value that fits a JSON schema of the usual kinds.

    Knows types, enum, const, required, bounds of length and number, anyOf/oneOf/allOf and local
    references; patterns and formats are beyond it.
    """
    return _instance(schema, schema, MAX_DEPTH)


def _instance(schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth <= 0:
        return None
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    if isinstance(schema.get("$ref"), str):
        return _instance(_resolve(schema["$ref"], root), root, depth - 1)
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return _instance(schema[key][0], root, depth - 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object" or "properties" in schema:
        return _object(schema, root, depth)
    if kind == "array":
        count = _whole(schema.get("minItems"), 0)
        return [_instance(schema.get("items", {}), root, depth - 1) for _ in range(min(count, 50))]
    return _scalar(kind, schema)


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    required = schema.get("required")
    names = required if isinstance(required, list) else []
    return {
        name: _instance(properties.get(name, {}), root, depth - 1)
        for name in names
        if isinstance(name, str)
    }


def _scalar(kind: object, schema: Mapping[str, Any]) -> Any:
    if kind == "string":
        low, high = _whole(schema.get("minLength"), 0), _whole(schema.get("maxLength"), 10_000)
        return TEXT.ljust(min(low, 10_000), ".")[:high]
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if isinstance(low, int | float):
            return int(low // 1) + 1 if "minimum" not in schema or low % 1 else low
        return min(0, int(high // 1) - 1) if isinstance(high, int | float) else 0
    return {"boolean": False, "null": None}.get(str(kind))


def _resolve(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if part:
            found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default
