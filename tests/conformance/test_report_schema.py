"""The schema that is shipped says what certificates are: those that are written fit, those that are refused do not."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from sample_certificates import GOOD, HOSTILE, MIXED

from harness.conformance.report_schema import SCHEMA_FILE, certificate_schema
from harness.conformance.results import Certificate, CertificateError

SCHEMA: dict[str, Any] = json.loads((files("harness.conformance") / SCHEMA_FILE).read_text("utf-8"))
TYPES: dict[str, Any] = {
    "string": str,
    "object": dict,
    "array": list,
    "number": (int, float),
    "integer": int,
    "null": type(None),
}
KEYWORDS = {
    *("$schema", "title", "description", "default", "$ref", "$defs", "type", "properties", "required", "items"),
    *("additionalProperties", "anyOf", "enum", "const", "pattern"),
}


def wrong(value: Any, schema: dict[str, Any], where: str = "") -> list[str]:
    """Where `value` is not as `schema` says; knows the keywords that the schema uses, and no other."""
    assert schema.keys() <= KEYWORDS
    found: list[str] = []
    if "$ref" in schema:
        found += wrong(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], where)
    if "anyOf" in schema and all(wrong(value, one) for one in schema["anyOf"]):
        found.append(where)
    kind = TYPES.get(schema.get("type", ""), object)
    if not isinstance(value, kind) or value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return [*found, where]
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append(where)
    for index, item in enumerate(value if isinstance(value, list) else ()):
        found += wrong(item, schema["items"], f"{where}[{index}]")
    if isinstance(value, dict) and "type" in schema:
        known, rest = schema.get("properties", {}), schema["additionalProperties"]
        found += [f"{where}.{key} missing" for key in schema.get("required", ()) if key not in value]
        for key, item in value.items():
            inner = known.get(key, rest)
            found += [f"{where}.{key} unknown"] if inner is False else wrong(item, inner, f"{where}.{key}")
    return found


def test_the_schema_that_is_shipped_is_the_one_of_the_code() -> None:
    """To write it anew: `json.dumps(certificate_schema(), indent=2)` and a newline."""
    assert certificate_schema() == SCHEMA


@pytest.mark.parametrize("certificate", [GOOD, MIXED, HOSTILE], ids=["good", "mixed", "hostile"])
def test_certificates_that_are_written_fit_the_schema(certificate: Certificate) -> None:
    """Whatever is in them."""
    assert wrong(json.loads(certificate.to_json()), SCHEMA) == []


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('"check_id"', '"chek_id"', ".results[0].chek_id unknown"),
        ('"binary"', '"binaries"', ".backend.binary missing"),
        ('"version": 1', '"version": 2', ".version"),
        ('"passed"', '"perfect"', ".results[0].outcome"),
        ('"level": 1,\n', '"level": 7,\n', ".level"),
        ('"seconds": 0.25', '"seconds": "0.25"', ".results[0].seconds"),
    ],
)
def test_what_is_refused_does_not_fit_the_schema(old: str, new: str, where: str) -> None:
    """The schema and the code refuse the same, at the same place."""
    text = GOOD.to_json().replace(old, new, 1)

    assert where in wrong(json.loads(text), SCHEMA)
    with pytest.raises(CertificateError):
        Certificate.from_json(text)


def test_a_capability_without_a_reason_does_not_fit_the_schema() -> None:
    """`unsupported` says why, and a known bug where it is reported."""
    document = json.loads(MIXED.to_json())
    document["capabilities"]["x"] = "unsupported"

    assert wrong(document, SCHEMA) == [".capabilities.x"]
