"""The kit is right about backends: each broken one is caught by its check, and honest ones pass everything they claim."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from broken_things import BROKEN_BACKENDS, LEFT_TO_CHECKS
from conform_twins import ELSEWHERE, TWINS, spec_of_twin

from backends.clock import SystemClock
from backends.tmux import TmuxMultiplexer
from backends.transport import Transport
from harness.conformance.checks import CHECKS
from harness.conformance.kit import Kit, chosen
from harness.conformance.places import ForeignWorld
from harness.conformance.results import Certificate, Level, Outcome
from harness.conformance.spec import BackendSpec
from harness.conformance.subjects import spec_of
from harness.conformance.troubles import TROUBLES, FailingTransport

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


CAUGHT = {
    "leaks-timeouts": "SEAM-PROBE-001",
    "leaks-os-errors": "SEAM-PROBE-002",
    "leaks-decoding-errors": "SEAM-PROBE-004",
    "leaks-raw-errors": "SEAM-LIFE-001",
    "takes-silence-for-death": "SEAM-FROZEN-001",
    "takes-any-failure-for-death": "SEAM-PROBE-003",
    "matches-prefixes": "SEAM-TARGET-001",
    "loses-the-id": "SEAM-LIFE-002",
    "swallows-failed-kills": "SEAM-CHANGE-007",
    "drops-the-semicolon": "SEAM-CWD-001",
    "types-nothing": "SEAM-TEXT-001",
    "only-says-it-kills": "SEAM-KILL-002",
    "loses-the-environment": "SEAM-ENV-001",
    "answers-nothing": "SEAM-PROBE-005",
    "retries-timed-out-changes": "SEAM-CHANGE-006",
    "opens-twice": "SEAM-LIFE-002",
    "types-twice": "SEAM-TEXT-001",
    "calls-itself-psmux": "SEAM-SELF-001",
}
"""The check that each backend that is wrong on purpose is caught by."""


@pytest.mark.parametrize("name", sorted(CAUGHT))
def test_conformance_catches_every_broken_backend(name: str) -> None:
    """Whatever is wrong on purpose in a backend fails the check that is about it."""
    found = BROKEN_BACKENDS.get(name)
    kind = LEFT_TO_CHECKS[name][0] if found is None else found.backend
    assert kind is not None
    (result,) = certified(spec_of_twin(kind), CAUGHT[name]).results

    assert result.outcome is Outcome.FAILED


def test_conformance_catches_all_that_is_broken_on_purpose() -> None:
    """No backend is wrong on purpose and caught by nothing."""
    assert set(CAUGHT) == {*BROKEN_BACKENDS, *LEFT_TO_CHECKS}


def test_conformance_checks_are_well_known_by_their_ids() -> None:
    """Ids are unique and of one form, ordered by level, and each says why it is there."""
    assert len(set(IDS)) == len(IDS)
    assert all(re.fullmatch(r"SEAM-[A-Z]+-\d{3}", check_id) for check_id in IDS)
    assert [item.check.level for item in CHECKS] == sorted(item.check.level for item in CHECKS)
    assert all(item.check.rationale and item.check.source and item.expected for item in CHECKS)


def test_conformance_breaks_a_backend_around_its_own_transport() -> None:
    """Where a backend can be asked for its transport, that one is wrapped, and not replaced by ours."""
    own = FailingTransport(TROUBLES[0])
    wrapped: list[object] = []

    def factory(socket_dir: Path, transport: Transport | None = None) -> TmuxMultiplexer:
        return TmuxMultiplexer(socket_dir, transport=transport or own)

    def wrap(transport: Transport) -> Transport:
        wrapped.append(transport)
        return transport

    world = ForeignWorld(BackendSpec(factory, transport_of=lambda mux: mux._transport, name="it"))
    world.multiplexer(wrap)
    world.close()

    assert wrapped == [own]
