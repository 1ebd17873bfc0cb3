"""What is written of a check can be read again, and what is no certificate is refused in one line."""

from __future__ import annotations

import pytest

from harness.conformance.results import (
    Certificate,
    CertificateError,
    Host,
    Level,
    Outcome,
    Result,
    Subject,
    level_reached,
)


def result(level: Level, outcome: Outcome) -> Result:
    """One of a check of that level."""
    return Result("SEAM-PROBE-001", "a title", level, outcome, "this", "that", 0.5, "seamripper conform --mux fake")


CERTIFICATE = Certificate(
    kit="0.1.0",
    contract="0.1",
    backend=Subject("mine", "tmux 3.3a", "/usr/bin/tmux", "a note"),
    host=Host("Linux", "6.1", "3.11.2"),
    capabilities={"window_exit": "unsupported: it has no such thing"},
    level=Level.L1,
    results=(result(Level.L0, Outcome.PASSED), result(Level.L1, Outcome.STALE_WAIVER)),
)


def test_certificates_survive_their_text() -> None:
    """A certificate that was written is the same when it is read."""
    assert Certificate.from_json(CERTIFICATE.to_json()) == CERTIFICATE


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"check_id"', '"chek_id"', "did you mean check_id?"),
        ('"binary"', '"binaries"', "did you mean binary?"),
        ('"version": 1', '"version": 2', "no certificate of version 1"),
        ('"passed"', '"perfect"', "perfect"),
        ("{", "[", "no JSON"),
    ],
)
def test_certificates_that_are_none_are_refused(old: str, new: str, says: str) -> None:
    """Unknown keys, other versions, other values and no JSON at all are one line that names the place."""
    with pytest.raises(CertificateError, match=says.replace("?", r"\?")) as refused:
        Certificate.from_json(CERTIFICATE.to_json().replace(old, new, 1))

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("outcomes", "reached"),
    [
        ((), None),
        ((Outcome.PASSED,), Level.L0),
        ((Outcome.FAILED, Outcome.PASSED), None),
        ((Outcome.PASSED, Outcome.WAIVED), Level.L0),
        ((Outcome.PASSED, Outcome.UNSUPPORTED, Outcome.PASSED), Level.L0),
        ((Outcome.PASSED, Outcome.STALE_WAIVER, Outcome.PASSED), Level.L0),
        ((Outcome.PASSED, Outcome.NOT_RUN), Level.L0),
        ((Outcome.PASSED, Outcome.ERROR), Level.L0),
    ],
)
def test_certificates_tell_the_highest_whole_level(outcomes: tuple[Outcome, ...], reached: Level | None) -> None:
    """A level counts only if everything in it and below it was kept."""
    assert level_reached(result(level, outcome) for level, outcome in zip(Level, outcomes, strict=False)) is reached


@pytest.mark.parametrize("outcome", [Outcome.WAIVED, Outcome.UNSUPPORTED])
def test_a_level_is_whole_only_if_something_in_it_was_seen(outcome: Outcome) -> None:
    """What is excused breaks no level, and makes none."""
    assert level_reached([result(Level.L0, outcome), result(Level.L0, Outcome.PASSED)]) is Level.L0
    assert level_reached([result(Level.L0, outcome), result(Level.L0, outcome)]) is None
