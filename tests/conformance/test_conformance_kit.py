"""The kit is right about backends: each broken one is caught by its check, and honest ones pass everything they claim."""

from __future__ import annotations

import re

import pytest
from broken_things import BROKEN_BACKENDS
from conform_twins import ELSEWHERE, TWINS, spec_of_twin

from backends.clock import SystemClock
from harness.conformance.checks import CHECKS
from harness.conformance.kit import Kit, chosen
from harness.conformance.results import Certificate, Level, Outcome
from harness.conformance.spec import BackendSpec
from harness.conformance.subjects import spec_of

IDS = [item.check.id for item in CHECKS]


def certified(spec: BackendSpec, *only: str) -> Certificate:
    """What the kit says of the backend."""
    return Kit(spec, SystemClock(), {}, "0.1.0").run(chosen(only=only))


@pytest.mark.parametrize("check_id", sorted(TWINS))
def test_conformance_catches_what_a_check_is_for(check_id: str) -> None:
    """The backend that makes the check's mistake fails it, in words, and with a line that repeats it."""
    (result,) = certified(spec_of_twin(TWINS[check_id]), check_id).results

    assert result.outcome is Outcome.FAILED
    assert result.observed
    assert result.replay.endswith(f"--only {check_id}")


@pytest.mark.parametrize("name", ["fake", "simulated-tmux"])
def test_conformance_of_an_honest_backend_is_whole(name: str) -> None:
    """The simulated backends keep every promise, and what they cannot show is said, never passed."""
    found = certified(spec_of(name))

    assert [result.observed for result in found.results if not result.outcome.keeps] == []
    assert found.level is Level.L4
    assert all(result.observed for result in found.results if result.outcome is Outcome.UNSUPPORTED)


def test_conformance_has_no_check_that_nothing_fails() -> None:
    """Each check has a broken twin, or says where it is."""
    assert sorted({*TWINS, *ELSEWHERE}) == sorted(IDS)
    assert not set(TWINS) & set(ELSEWHERE)


@pytest.mark.parametrize("name", sorted(BROKEN_BACKENDS))
def test_conformance_catches_every_broken_backend(name: str) -> None:
    """Whatever is wrong on purpose in a backend costs it a level."""
    kind = BROKEN_BACKENDS[name].backend
    assert kind is not None

    assert certified(spec_of_twin(kind)).level is not Level.L4


def test_conformance_checks_are_well_known_by_their_ids() -> None:
    """Ids are unique and of one form, ordered by level, and each says why it is there."""
    assert len(set(IDS)) == len(IDS)
    assert all(re.fullmatch(r"SEAM-[A-Z]+-\d{3}", check_id) for check_id in IDS)
    assert [item.check.level for item in CHECKS] == sorted(item.check.level for item in CHECKS)
    assert all(item.check.rationale and item.check.source and item.expected for item in CHECKS)
