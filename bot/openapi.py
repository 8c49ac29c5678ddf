"""Write the OpenAPI 3.1 document from the route table and the models of `bot.wire`."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bot.problems import CONTENT_TYPE, KINDS
from bot.routes import Route
from bot.wire import ProblemDocument

REF = "#/components/schemas/{model}"
_PARAMETER = re.compile(r"{(\w+)}")
_IDS = "An id of the request or its grant (`req_…`, `grt_…`), or the short handle of what is open."
SCHEME = "An API key `cs_…`, or a token of an issuer that the roster names."
DESCRIPTION = (
    "The second signature on what agents and pipelines do. Every error is `application/problem+json` with a stable "
    "`code`; a field or command that is not built yet is refused by name. Keys carry scopes: `request`, `review`, "
    "`operate`, `read`."
)


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Countersign", "version": version, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": SCHEME}},
            "responses": {code: _problem(code) for code in KINDS},
        },
        "security": [{"key": []}],
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "description": (route.called.__doc__ or "").strip(),
        "responses": _responses(route),
    }
    if route.scopes is None:
        operation["security"] = []
    else:
        operation["x-scopes"] = sorted(route.scopes)
        operation["description"] += f" Scope: {' or '.join(sorted(route.scopes))}."
    if parameters := [*_path_parameters(route), *_query(route), *_headers(route)]:
        operation["parameters"] = parameters
    if route.body:
        required = any(info.is_required() for info in route.body.model_fields.values())
        operation["requestBody"] = {"required": required, "content": _json(_reference(route.body))}
    return operation


def _operation_id(route: Route) -> str:
    words = [word for word in re.split(r"[^A-Za-z]+", route.path) if word not in ("", "v", "id", "json")]
    of_one = "_one" if route.path.endswith("{id}") else ""
    return f"{route.method.lower()}_{'_'.join(words)}{of_one}"


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": _IDS, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]


def _query(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "description": meaning, "schema": schema}
        for name, (schema, meaning) in route.query.items()
    ]


def _headers(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": required, "description": meaning, "schema": {"type": "string"}}
        for name, (required, meaning) in route.headers.items()
    ]


def _responses(route: Route) -> dict[str, Any]:
    """Return the good answers, and the problems by status: several codes can share one."""
    responses: dict[str, Any] = {}
    for status, (meaning, model) in route.answers.items():
        content = _json(_reference(model)) if model else {}
        responses[str(status)] = {"description": meaning, **({"content": content} if content else {})}
    for status, codes in sorted(_codes_by_status(route).items()):
        if len(codes) == 1:
            responses[str(status)] = {"$ref": f"#/components/responses/{codes[0]}"}
        else:
            words = "; ".join(f"`{code}`: {KINDS[code].title}" for code in codes)
            responses[str(status)] = {"description": f"{words}.", "content": _problem_content(codes)}
    return responses


def _codes_by_status(route: Route) -> Mapping[int, list[str]]:
    found: dict[int, list[str]] = {}
    for code in route.codes:
        found.setdefault(KINDS[code].status, []).append(code)
    return found


def _problem(code: str) -> dict[str, Any]:
    kind = KINDS[code]
    answer: dict[str, Any] = {"description": f"{kind.title} (`{code}`).", "content": _problem_content([code])}
    if kind.retry_after is not None:
        answer["headers"] = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer"}}}
    return answer


def _problem_content(codes: Sequence[str]) -> dict[str, Any]:
    reference = {"$ref": REF.format(model=ProblemDocument.__name__)}
    narrowed = {"allOf": [reference, {"properties": {"code": {"enum": list(codes)}}}]}
    return {CONTENT_TYPE: {"schema": narrowed}}


def _reference(model: Any) -> dict[str, Any]:
    if members := get_args(model):
        return {"oneOf": [_reference(member) for member in members]}
    return {"$ref": REF.format(model=model.__name__)}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _schemas(routes: Sequence[Route]) -> dict[str, Any]:
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(ProblemDocument, "serialization"): None}
    for route in routes:
        if route.body:
            wanted[route.body, "validation"] = None
        for _, model in route.answers.values():
            for member in get_args(model) or ((model,) if model else ()):
                wanted[member, "serialization"] = None
    return _schemas_of(tuple(wanted))


@functools.cache
def _schemas_of(wanted: tuple[tuple[type[BaseModel], JsonSchemaMode], ...]) -> dict[str, Any]:
    """Take them from the models once per process: for each of several applications anew it is most of building one."""
    _, schemas = models_json_schema(wanted, ref_template=REF)
    found: dict[str, Any] = schemas["$defs"]
    return found
