"""Whatever a client may send is bounded: each text, list, number and free-form dictionary of the OpenAPI document."""

from collections.abc import Iterator
from typing import Any

import pytest

from serving.web.api import build_api

DOCUMENT = build_api().openapi()
ENDS_OF_NUMBERS = (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum"))
ENDS_OF_TEXTS = {"maxLength", "enum", "const", "format"}


def unbounded(schema: dict[str, Any], where: str, above: frozenset[str] = frozenset()) -> Iterator[str]:
    """Places in `schema` where a client may send something without end."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        if name not in above:
            yield from unbounded(DOCUMENT["components"]["schemas"][name], f"{where} {name}", above | {name})
        return
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ())):
        yield from unbounded(part, where, above)
    kind = schema.get("type")
    if not kind and not {"anyOf", "allOf", "oneOf", "enum", "const"} & schema.keys():
        yield f"{where}: anything"
    is_file = schema.get("contentMediaType") == "application/octet-stream"  # bounded by max_upload_bytes
    if kind == "string" and not is_file and not ENDS_OF_TEXTS & schema.keys():
        yield f"{where}: text"
    if "contentSchema" in schema:
        yield from unbounded(schema["contentSchema"], f"{where} JSON", above)
    if kind in ("integer", "number") and not all(set(ends) & schema.keys() for ends in ENDS_OF_NUMBERS):
        yield f"{where}: number"
    if kind == "array":
        if "maxItems" not in schema:
            yield f"{where}: list"
        for item in (schema.get("items"), *schema.get("prefixItems", ())):
            if item is not None:
                yield from unbounded(item, f"{where}[]", above)
    if kind == "object":
        for name, part in schema.get("properties", {}).items():
            yield from unbounded(part, f"{where}.{name}", above)
        values = schema.get("additionalProperties", True)
        if values is not False:
            if "maxProperties" not in schema or "maxLength" not in schema.get("propertyNames", {}):
                yield f"{where}: dictionary"
            yield from unbounded(values if isinstance(values, dict) else {}, f"{where}{{}}", above)


def sent() -> Iterator[tuple[str, dict[str, Any]]]:
    """Where a client sends something, and its schema."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                yield f"{method} {path} {parameter['in']} {parameter['name']}", parameter["schema"]
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                yield f"{method} {path} {kind}", content["schema"]


def test_each_text_list_and_number_that_a_client_sends_has_a_greatest_length() -> None:
    places = dict(sent())
    assert len(places) > 15
    assert [found for where, schema in places.items() for found in unbounded(schema, where)] == []


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ({"type": "string"}, ["x: text"]),
        ({"type": "string", "pattern": "^a*$"}, ["x: text"]),
        ({"type": "integer", "minimum": 0}, ["x: number"]),
        ({"type": "array", "items": {"type": "string"}}, ["x: list", "x[]: text"]),
        ({"type": "object", "additionalProperties": {"type": "null"}}, ["x: dictionary"]),
        ({"type": "string", "maxLength": 9, "contentSchema": {"type": "array", "items": {}}}, ["x JSON: list"]),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, ["x: text"]),
        ({}, ["x: anything"]),
    ],
)
def test_the_walk_notices_what_is_unbounded(schema: dict[str, Any], found: list[str]) -> None:
    assert [each for each in unbounded(schema, "x") if "anything" not in each or schema == {}] == found


def test_each_status_that_an_endpoint_can_give_is_declared() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            takes = "requestBody" in operation or any(one["in"] == "query" for one in operation.get("parameters", ()))
            statuses = {"401", "403", "429", "503"}
            statuses |= {"400"} if takes else set()
            statuses |= {"413"} if "requestBody" in operation else set()
            statuses |= {"404"} if "{" in path else set()
            assert statuses <= operation["responses"].keys(), (method, path)
