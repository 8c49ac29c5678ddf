"""The OpenAPI document: valid 3.1, every route and every problem in it, and what it says of bodies is what is read."""

import json

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from bot.problems import KINDS
from tests.worlds import samples
from tests.worlds.web import Web


@pytest.fixture
async def document(quick_web: Web) -> dict:
    got = await quick_web.call("GET", "/openapi.json", who=None)
    assert got.headers["Content-Type"] == "application/json"
    return got.json


async def test_it_is_valid(document: dict):
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


async def test_every_route_of_the_router_is_in_it_and_no_other(quick_web: Web, document: dict):
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in quick_web.app.router.routes()
        if route.resource and not route.resource.canonical.startswith("/console") and route.method != "HEAD"
    }
    described = {(method, path) for path, row in document["paths"].items() for method in row}
    assert described == served
    assert ("post", "/v1/requests") in described


async def test_every_problem_is_in_it_and_on_some_route(document: dict):
    assert set(document["components"]["responses"]) == set(KINDS)
    on_routes = set()
    for row in document["paths"].values():
        for operation in row.values():
            for answer in operation["responses"].values():
                if "$ref" in answer:
                    on_routes.add(answer["$ref"].rsplit("/", 1)[1])
                elif problem := answer.get("content", {}).get("application/problem+json"):
                    on_routes |= set(problem["schema"]["allOf"][1]["properties"]["code"]["enum"])
    router_only = {"http", "method_not_allowed", "illegal_transition"}
    chat_only = {"review_first", "unknown_person", "guest", "deactivated", "bot", "external", "unconfirmed"}
    assert set(KINDS) - on_routes == router_only | chat_only


async def test_names_of_operations_are_unique(document: dict):
    names = [operation["operationId"] for row in document["paths"].values() for operation in row.values()]
    assert len(set(names)) == len(names)


async def test_what_is_open_says_so_and_the_rest_names_its_scopes(document: dict):
    for path, row in document["paths"].items():
        for operation in row.values():
            assert (operation.get("security") == []) == (not path.startswith("/v1/")), path
            assert ("x-scopes" in operation) == path.startswith("/v1/")


def validator(document: dict, name: str) -> OAS31Validator:
    return OAS31Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ({}, True), ({"parameters": {"any": ["thing"]}}, True), ({"parameters": "text"}, False), ({"reson": 1}, False),
        ({"ttl_seconds": 0}, False), ({"actor": {}}, False), ({"risk": "huge"}, False), ({"resource": "a b"}, False),
    ],
)  # fmt: skip
async def test_the_schema_of_an_ask_and_the_reader_agree(quick_web: Web, document: dict, changes: dict, good: bool):
    body = {**samples.BODY, **changes}
    assert validator(document, "AskBody").is_valid(body) == good
    assert ((await quick_web.ask(**changes)).status == 202) == good


async def test_answers_fit_their_schemas(quick_web: Web, document: dict):
    asked = (await quick_web.ask()).json
    approved = (await quick_web.review(asked["id"])).json
    for answer in (asked, approved):
        validator(document, "RequestAnswer").validate(answer)
    validator(document, "GrantAnswer").validate(approved["grant"])
    body = {"target": {"kind": "role", "name": "analytics"}, "dry_run": True}
    validator(document, "RevocationBody").validate(body)
    hit = (await quick_web.call("POST", "/v1/revocations", who="user:kim", json=body)).json
    assert len(hit["grants"]) == 1
    validator(document, "RevocationAnswer").validate(hit)
    frozen = (await quick_web.call("POST", "/v1/freeze", who="user:kim", json={"reason": "x"})).json
    validator(document, "FreezeAnswer").validate(frozen)
    validator(document, "RequestList").validate((await quick_web.call("GET", "/v1/requests?mine")).json)
    validator(document, "AuditAnswer").validate((await quick_web.call("GET", f"/v1/audit/{asked['id']}")).json)
    problem = (await quick_web.ask("k2", risk="huge")).json
    validator(document, "ProblemDocument").validate(problem)
    assert "secret" not in json.dumps(problem)
