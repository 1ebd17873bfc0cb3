"""Whatever ends up in a record can be written, and says what it was."""

from __future__ import annotations

import enum
from collections import UserDict
from collections.abc import Mapping
from pathlib import PurePosixPath

import msgspec
import pytest

from harness.record.plain import encode, plain, seconds


class Tagged(msgspec.Struct, tag_field="kind", tag="tagged"):
    """A member of a union."""

    text: str = "x"


class Untagged(msgspec.Struct):
    """A document of its own."""

    text: str = "x"


class Text(str):
    """Text that says something else of itself."""

    __slots__ = ()

    def __str__(self) -> str:
        return "another"


class Number(enum.IntEnum):
    """Numbers by name."""

    ONE = 1


class Hostile:
    """Says nothing of itself."""

    def __str__(self) -> str:
        raise SystemExit(3)


def mapped(depth: int) -> object:
    """An object in an object, so deep."""
    return {"k": mapped(depth - 1)} if depth else "core"


def nested(depth: int) -> object:
    """A list in a list, so deep."""
    return [nested(depth - 1)] if depth else "core"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (0, 0),
        (2**64 - 1, 2**64 - 1),
        (2**64, hex(2**64)),
        (-(2**63), -(2**63)),
        (-(2**63) - 1, hex(-(2**63) - 1)),
        (2**2000, hex(2**2000)[:200]),
        (Number.ONE, 1),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("ä\ud800", "ä\\ud800"),
        (Text("own"), "own"),
        (b"a\xff", "a\\xff"),
        (bytearray(b"ab"), "ab"),
        (memoryview(b"ab"), "ab"),
        (PurePosixPath("/x"), "/x"),
        (Hostile(), "<Hostile>"),
        (Tagged(), {"kind": "tagged", "text": "x"}),
        (Untagged(), {"text": "x"}),
        (UserDict({"a": 1}), {"a": 1}),
        ({1: "a", None: "b", 2.5: "c", b"d": "d", Text("e"): "e", Tagged: "f"},
         {"1": "a", "None": "b", "2.5": "c", "d": "d", "e": "e", "<StructMeta>": "f"}),
        ((1, [2, {3}], frozenset({4})), [1, [2, [3]], [4]]),
    ],
)  # fmt: skip
def test_any_value_has_a_plain_form(value: object, shown: object) -> None:
    """Numbers and text as they are where JSON can carry them, anything else as text that tells most of it."""
    found = plain(value)

    assert (found, type(found)) == (shown, type(shown))
    assert encode({"value": value}).startswith(b'{"value":')


def test_depth_and_length_are_bounded() -> None:
    """Twelve levels, five thousand members, a megabyte of text."""
    assert [plain(made(12)) for made in (nested, mapped)] == [nested(12), mapped(12)]
    assert str(plain(mapped(13))).count("{") == 12
    assert str(plain(nested(13))).count("[") == 12
    assert "'...'" in str(plain(nested(13)))
    assert [len(plain(many)) for many in ([0] * 5000, [0] * 5001, dict.fromkeys(range(5001)))] == [5000, 5000, 5000]
    assert [len(plain(long)) for long in ("x" * (1 << 20), "x" * ((1 << 20) + 1), b"x" * ((1 << 20) + 1))] == [
        1 << 20
    ] * 3


def test_every_text_goes_through_the_given_function() -> None:
    """Keys, members and what stands for foreign objects."""
    document: Mapping[object, object] = {"key": ["a", b"b", Hostile(), 2**64, PurePosixPath("c")], 7: Text("d")}

    assert plain(document, str.upper) == {
        "KEY": ["A", "B", "<HOSTILE>", "0X10000000000000000", "C"],
        "7": "D",
    }


def test_what_json_cannot_carry_is_made_plain_and_the_rest_is_left() -> None:
    """A document that can be written is written as it is."""
    assert encode({"a": "ä", "path": PurePosixPath("/x")}) == '{"a":"ä","path":"/x"}'.encode()
    assert encode({"a": "\ud800", "b": 2**70, "c": [object()]}) == (
        b'{"a":"\\\\ud800","b":"%s","c":["<object>"]}' % hex(2**70).encode()
    )


@pytest.mark.parametrize(
    ("told", "read"),
    [(1.5, 1.5), (0.5, 0.5), (7, 7.0), (0, 0.0), (253_402_300_799, 253_402_300_799.0), (253_402_300_800, 0.0), (-1, 0.0),
     (True, 0.0), ("1", 0.0), (None, 0.0), (float("nan"), 0.0), (float("inf"), 0.0)],
)  # fmt: skip
def test_what_can_be_no_time_is_none(told: object, read: float) -> None:
    """A record may hold anything where wall clock seconds are due."""
    found = seconds(told)

    assert (found, type(found)) == (read, float)
