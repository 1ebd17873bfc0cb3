"""Anything at all as JSON: a record must be writable whatever ends up in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import msgspec

__all__ = ["encode", "plain", "seconds"]

_DEPTH = 12
_ITEMS = 5000
_TEXT = 1 << 20


def _foreign(value: object) -> Any:
    return plain(value)


_ENCODER = msgspec.json.Encoder(enc_hook=_foreign)


def encode(document: Mapping[str, Any]) -> bytes:
    """`document` as one line of JSON; what JSON or UTF-8 cannot carry is made plain first."""
    try:
        return _ENCODER.encode(document)
    except (UnicodeError, OverflowError, TypeError, ValueError, RecursionError):
        return _ENCODER.encode(plain(document))


_LAST_SECOND = 253_402_300_800
"""The first second of the year 10000, where `datetime` ends."""


def seconds(value: object) -> float:
    """`value` as wall clock seconds, as a record may hold anything there; 0.0 for what can be no time."""
    told = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LAST_SECOND
    return float(value) if told else 0.0  # type: ignore[arg-type]  # a number, or it would not be told


def plain(value: object, text: Callable[[str], str] | None = None) -> Any:
    """`value` as null, booleans, numbers, text, lists and objects, without cycles and of bounded depth and length.

    `text` is applied to every string, keys included; by default it makes them encodable.
    """
    return _plain(value, text or _encodable, _DEPTH)


def _encodable(text: str) -> str:
    return text[:_TEXT].encode(errors="backslashreplace").decode()


def _plain(value: object, text: Callable[[str], str], depth: int) -> Any:
    if type(value) is str:
        return text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else text(hex(value)[:200])
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, str):
        return text(str.__str__(value))
    if depth <= 0:
        return "..."
    if isinstance(value, msgspec.Struct):
        value = _tag(value) | msgspec.structs.asdict(value)
    if isinstance(value, Mapping):
        items = list(value.items())[:_ITEMS]
        return {_key(key, text): _plain(inner, text, depth - 1) for key, inner in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner, text, depth - 1) for inner in list(value)[:_ITEMS]]
    return text(_shown(value))


def _tag(value: msgspec.Struct) -> dict[str, Any]:
    """What tells the member of a union, as msgspec writes it."""
    config = value.__struct_config__
    return {} if config.tag_field is None else {config.tag_field: config.tag}


def _key(key: object, text: Callable[[str], str]) -> str:
    return text(str.__str__(key) if isinstance(key, str) else _shown(key))


def _shown(value: object) -> str:
    """Paths and bytes as text, numbers as keys, anything else by its type alone: its own `__str__` may do anything."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value[:_TEXT]).decode(errors="backslashreplace")
    if isinstance(value, PurePath | int | float) or value is None:
        return str(value)
    return f"<{type(value).__name__}>"
