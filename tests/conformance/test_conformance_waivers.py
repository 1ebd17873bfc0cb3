"""What may fail is said beforehand: with a reason, for a time, and never about honesty."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import pytest
from broken_backends import LeaksTimeouts, LosesTheEnvironment, world_with

from backends.base import TerminalMultiplexer, Unsupported
from backends.clock import SystemClock
from backends.errors import CommandRejected
from backends.fake import FakeMultiplexer
from backends.operations import WindowExit
from harness.conformance.checks import CHECKS
from harness.conformance.kit import Kit, chosen
from harness.conformance.results import Outcome, Result
from harness.conformance.spec import BackendSpec, Capability, KnownBug
from harness.conformance.waivers import Waiver, WaiverError, waivers_of

TODAY = datetime.date(2026, 11, 22)
ENV = "SEAM-ENV-001"
WAIVER = f'[[waiver]]\ncheck = "{ENV}"\nreason = "not yet"\nreference = "mymux#7"\n'


def result_of(
    kind: type[FakeMultiplexer],
    check_id: str,
    *,
    capabilities: Mapping[str, Capability] | None = None,
    waivers: Mapping[str, Waiver] | None = None,
) -> Result:
    """What the kit says of one check."""
    spec = BackendSpec(kind, capabilities=capabilities or {}, name="it", binary=None, world=lambda: world_with(kind)(0))
    (found,) = Kit(spec, SystemClock(), waivers or {}, "0.1.0").run(chosen(only=[check_id])).results
    return found


def read(text: str) -> Mapping[str, Waiver]:
    """The waivers of a file."""
    return waivers_of(text, [item.check for item in CHECKS], TODAY)


@pytest.mark.parametrize(
    ("kind", "outcome"), [(LosesTheEnvironment, Outcome.WAIVED), (FakeMultiplexer, Outcome.STALE_WAIVER)]
)
def test_waivers_excuse_what_fails_and_nothing_else(kind: type[FakeMultiplexer], outcome: Outcome) -> None:
    """A waived failure is told with its reference; a waiver of what passes has to go."""
    found = result_of(kind, ENV, waivers=read(WAIVER))

    assert found.outcome is outcome
    assert "mymux#7" in found.observed


@pytest.mark.parametrize(
    ("operation", "check_id"),
    [("window_exit", "SEAM-LIFE-008"), ("window_pids", "SEAM-LIFE-010"), ("server_identity", "SEAM-LIFE-011")],
)
def test_what_is_inherited_and_tells_nothing_is_not_there(operation: str, check_id: str) -> None:
    """Who inherits from our class need not declare what it never overrode; who overrides it is checked."""
    heir = type("Heir", (FakeMultiplexer,), {operation: getattr(TerminalMultiplexer, operation)})

    assert result_of(heir, check_id).outcome is Outcome.UNSUPPORTED
    assert result_of(FakeMultiplexer, check_id).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("kind", "versions", "outcome"),
    [
        (LosesTheEnvironment, (), Outcome.WAIVED),
        (LosesTheEnvironment, ("fake 1*",), Outcome.WAIVED),
        (LosesTheEnvironment, ("fake 2*",), Outcome.FAILED),
        (FakeMultiplexer, (), Outcome.STALE_WAIVER),
        (FakeMultiplexer, ("fake 2*",), Outcome.PASSED),
    ],
)
def test_known_bugs_are_those_of_their_versions(
    kind: type[FakeMultiplexer], versions: tuple[str, ...], outcome: Outcome
) -> None:
    """A bug that is known excuses its versions, and has to go when it is gone."""
    assert result_of(kind, ENV, capabilities={ENV: KnownBug("mymux#7", versions)}).outcome is outcome


def test_known_bugs_never_excuse_dishonesty() -> None:
    """What is raw stays raw, whatever is declared about it."""
    declared = {"SEAM-PROBE-001": KnownBug("mymux#7")}

    assert result_of(LeaksTimeouts, "SEAM-PROBE-001", capabilities=declared).outcome is Outcome.FAILED


class RefusesExits(FakeMultiplexer):
    """Cannot tell how a window ended, and says so."""

    def window_exit(self, target: str) -> None:
        """See `TerminalMultiplexer.window_exit`."""
        raise CommandRejected("it keeps no exit status")


class InventsExits(FakeMultiplexer):
    """Cannot tell how a window ended, and answers something."""

    def window_exit(self, target: str) -> WindowExit | None:
        """See `TerminalMultiplexer.window_exit`."""
        return WindowExit(code=0)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (RefusesExits, Outcome.UNSUPPORTED),
        (InventsExits, Outcome.FAILED),
        (FakeMultiplexer, Outcome.STALE_WAIVER),
    ],
)
def test_what_is_unsupported_must_be_refused(kind: type[FakeMultiplexer], outcome: Outcome) -> None:
    """What is declared as not to be had refuses; it neither pretends nor works."""
    declared = {"window_exit": Unsupported("it keeps no exit status")}

    assert result_of(kind, "SEAM-LIFE-008", capabilities=declared).outcome is outcome


BAD = {
    WAIVER.replace("ENV-001", "ENV-009"): "did you mean SEAM-ENV-00",
    WAIVER.replace("ENV-001", "PROBE-001"): "cannot be waived",
    WAIVER.replace("reason", "raison"): "did you mean reason?",
    WAIVER.replace('"not yet"', '" "'): "lacks `reason`",
    WAIVER.replace("[[waiver]]", "[[waver]]"): "did you mean waiver?",
    WAIVER.replace("[[waiver]]", "[waiver]"): "double brackets",
    WAIVER + WAIVER: "waived twice",
    WAIVER + "expires = 2026-11-21\n": "ended on 2026-11-21",
    WAIVER + 'expires = "soon"\n': "is a day",
    "[[waiver": "no TOML",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_waivers_that_cannot_be_are_refused(text: str) -> None:
    """Unknown checks and keys, honesty, missing reasons and days that are over are one line each."""
    with pytest.raises(WaiverError) as refused:
        read(text)

    assert BAD[text] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_waivers_count_until_their_last_day() -> None:
    """The day that is named is the last one."""
    assert read(WAIVER + "expires = 2026-11-22\n")[ENV].expires == TODAY
