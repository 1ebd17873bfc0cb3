"""The double is what the catalogue says: each divergence that it imitates is there in its profiles, and in no other."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest
from live_psmux import LiveDouble, eventually_true, live_double

from backends.psmux_catalogue import psmux_catalogue
from backends.psmux_double import BIN, FAULTS

pytestmark = [pytest.mark.live, pytest.mark.skipif(shutil.which("tmux") is None, reason="the double needs a real tmux")]

CATALOGUE = psmux_catalogue()


@pytest.fixture(scope="module")
def doubles() -> Iterator[dict[str, LiveDouble]]:
    """One double for each profile, with the sessions `a` and then `b`."""
    with (
        live_double("3.3.6", ("a", "b")) as old,
        live_double("3.3.8", ("a", "b")) as new,
        live_double("master", ("a", "b")) as newest,
    ):
        yield {"3.3.6": old, "3.3.8": new, "master": newest}


def late_session(double: LiveDouble) -> bool:
    """It failed, and it comes."""
    double.be(profile_of(double), {"verb": "new-session", "does": "late", "seconds": 0.3})
    done = double.run("new-session", "-d", "-s", "late", "sleep 600")
    assert b"failed to create session 'late'" in done.stderr
    eventually_true(lambda: double.run("display-message", "-p", "-t", "late", "x").status == 0)
    double.says("kill-session", "-t", "late")
    return done.status == 1


def has_session_deletes(double: LiveDouble) -> bool:
    """The port file is gone, and comes back."""
    double.be(profile_of(double), {"verb": "has-session", "does": "no-connect", "seconds": 0.5})
    assert double.run("has-session", "-t", "a").status == 1
    lost = double.run("display-message", "-p", "-t", "a", "x").status == 1
    eventually_true(lambda: double.run("display-message", "-p", "-t", "a", "x").status == 0)
    return lost


def kill_server(double: LiveDouble) -> bool:
    """Nothing is left in any namespace."""
    with live_double(profile_of(double), ("ns__c", "d")) as other:
        other.says("kill-server")
        return other.says("list-sessions") == ""


def stall(double: LiveDouble) -> bool:
    """A hang looks like an empty answer."""
    double.be(profile_of(double), {"verb": "list-panes", "does": "hang"})
    try:
        done = double.run("list-panes", "-s", "-t", "a", timeout_s=1)
    except subprocess.TimeoutExpired:
        return False
    return (done.status, done.stdout) == (0, b"")


def profile_of(double: LiveDouble) -> str:
    """The profile that a double of this module has."""
    lines = double.says("-V").splitlines()
    version = lines[0].split()[1]
    return "master" if version == "3.3.9" else version


SHOWN: dict[str, Callable[[LiveDouble], bool]] = {
    "binary": lambda double: shutil.which("psmux", path=double.environment["PATH"]) == str(BIN / "psmux"),
    "late-session": late_session,
    "has-session-deletes": has_session_deletes,
    "kill-server": kill_server,
    "stall": stall,
}
"""For each divergence that no probe shows, whether a double does."""

CASES = [
    pytest.param(name, profile, id=f"{name}-{profile}")
    for name in SHOWN
    for profile in (CATALOGUE.profiles if len(CATALOGUE.divergences[name].profiles) < 3 else ["3.3.8"])
]


def test_every_divergence_that_is_imitated_is_looked_for() -> None:
    """Nobody adds an entry to the catalogue without showing it: by a probe, or here."""
    entries = CATALOGUE.divergences.values()

    assert SHOWN.keys() == {one.id for one in entries if one.profiles and isinstance(one.probe, str)}


@pytest.mark.parametrize(("name", "profile"), CASES)
def test_a_divergence_is_shown_in_its_profiles_and_in_no_other(
    doubles: dict[str, LiveDouble], name: str, profile: str
) -> None:
    """The double of a version has the habits of that version."""
    double = doubles[profile]
    try:
        shown = SHOWN[name](double)
    finally:
        double.be(profile)

    assert shown == (name in CATALOGUE.shown_by(profile))


@pytest.mark.parametrize("does", FAULTS)
def test_every_fault_can_be_asked_for(doubles: dict[str, LiveDouble], does: str) -> None:
    """A fault happens once, as it says, and the next call is well again."""
    double = doubles["3.3.8"]
    verb = {"late": "new-session", "no-id": "new-window"}.get(does, "list-windows")
    words = {"new-session": ("-d", "-s", "z", "sleep 1"), "new-window": ("-t", "a", "-P")}.get(verb, ("-t", "a"))
    double.be("3.3.8", {"verb": verb, "does": does, "text": "told", "seconds": 0})
    try:
        done = double.run(verb, *words, timeout_s=1 if does == "hang" else 60)
        came = (done.status, done.stdout.strip() + done.stderr.strip())
    except subprocess.TimeoutExpired:
        came = (-1, b"")
    wanted = {"hang": -1, "empty": 0, "no-id": 0}.get(does, 1)

    assert (came[0], bool(came[1])) == (wanted, wanted == 1)
    assert double.run("list-windows", "-t", "a").status == 0


def test_an_unknown_profile_or_verb_is_refused() -> None:
    """The double invents nothing."""
    with live_double() as double:
        unknown = double.run("break-pane")
        double.be("4.0")
        assert double.run("list-sessions").status == 2
        assert b"unknown command: break-pane" in unknown.stderr
