"""Hostile exceptions: the shapes that break those who record them."""

from __future__ import annotations

import pytest

from faults.exceptions import EXCEPTIONS, HOSTILE


def test_bad_str_raises_when_it_is_shown() -> None:
    """Neither `str` nor `repr` of it works."""
    bad = HOSTILE["BadStr"]("message")

    for show in (str, repr):
        with pytest.raises(RuntimeError):
            show(bad)


def test_a_huge_message_has_fifty_megabytes() -> None:
    """Recording it whole would fill the disk."""
    assert len(str(HOSTILE["HugeMessage"]("message"))) == 50_000_000


def test_lone_surrogates_cannot_be_encoded() -> None:
    """Writing the message as UTF-8 fails."""
    with pytest.raises(UnicodeEncodeError):
        str(HOSTILE["LoneSurrogates"]("message")).encode("utf-8")


def test_a_cyclic_cause_comes_back_to_itself() -> None:
    """Who follows the causes never arrives."""
    error = HOSTILE["CyclicCause"]("message")

    assert error.__cause__ is not None
    assert error.__cause__.__cause__ is error


def test_the_built_in_exceptions_are_known_and_warnings_are_not() -> None:
    """Control flow and exhaustion included."""
    known = {"KeyboardInterrupt", "SystemExit", "GeneratorExit", "MemoryError", "RecursionError", "TransportTimeout"}

    assert known <= EXCEPTIONS.keys()
    assert "UserWarning" not in EXCEPTIONS
