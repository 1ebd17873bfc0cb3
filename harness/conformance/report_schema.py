"""The form of a certificate as JSON Schema, for programs in other languages; `certificate.schema.json` holds it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import msgspec

from harness.conformance.results import VERSION, Certificate

__all__ = ["SCHEMA_FILE", "certificate_schema"]

SCHEMA_FILE = "certificate.schema.json"
"""Its name, beside this module."""

_CAPABILITY = r"^(supported$|unsupported: |known_bug: )"


def certificate_schema() -> dict[str, Any]:
    """The schema of what `Certificate.to_json` writes; unknown keys and other versions are no part of it."""
    (reference,), parts = msgspec.json.schema_components([Certificate], ref_template="#/$defs/{name}")
    for part in parts.values():
        part["description"] = inspect.cleandoc(part["description"])
    for part in _objects(parts):
        part["additionalProperties"] = False
        part["required"] = list(part["properties"])
    certificate = parts["Certificate"]["properties"]
    certificate["version"] = {"const": VERSION}
    certificate["capabilities"] = {
        "type": "object",
        "additionalProperties": {"type": "string", "pattern": _CAPABILITY},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A certificate of the conformance kit of seamripper",
        **reference,
        "$defs": parts,
    }


def _objects(parts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (part for part in parts.values() if "properties" in part)
