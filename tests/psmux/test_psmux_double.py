"""The double is what the catalogue says: each divergence that it imitates is there in its profiles, and in no other."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest
from live_psmux import LiveDouble, eventually_true, live_double

from backends.psmux_catalogue import psmux_catalogue
from backends.psmux_dialect import powershell, sink_script
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


def windows(double: LiveDouble, session: str) -> list[str]:
    """The names of a session's windows."""
    return double.says("list-windows", "-t", session, "-F", "#{window_name}").split()


def fresh(double: LiveDouble, name: str, *command: str) -> str:
    """A new window of `a`; its id."""
    command = command or ("sleep 600",)
    return double.says("new-window", "-d", "-P", "-F", "#{window_id}", "-t", "a", "-n", name, *command).strip()


def servers(double: LiveDouble) -> bool:
    """Each session has a server of its own."""
    pids = {double.says("display-message", "-p", "-t", session, "#{pid}") for session in "ab"}
    return len(pids) == 2


def state_files(double: LiveDouble) -> bool:
    """The files are there, and a relative directory is a panic."""
    there = all((double.data / f"a.{suffix}").exists() for suffix in ("port", "key", "sid", "pid"))
    return there and double.run("-V", PSMUX_DATA_DIR="relative").status == 101


def version_lines(double: LiveDouble) -> bool:
    """The second line names psmux, and says that it is not."""
    lines = double.says("-V").splitlines()
    assert lines[0].startswith("tmux ")
    assert lines[0].endswith("(double, not psmux)")
    return len(lines) == 2 and lines[1].endswith("(double, not psmux)")


def bare_id_goes_astray(double: LiveDouble) -> bool:
    """`@1` of `a` is that of `b`, which came later."""
    done = double.run("display-message", "-p", "-t", "@1", "#{session_name}")
    return (done.status, done.stdout) == (0, b"b\n")


def bare_id_is_ambiguous(double: LiveDouble) -> bool:
    """`@1` is refused."""
    done = double.run("display-message", "-p", "-t", "@1", "#{session_name}")
    return done.status == 1 and b"ambiguous window id @1" in done.stderr


def exact_match(double: LiveDouble) -> bool:
    """Upper case finds lower case, a prefix finds nothing."""
    folded = double.says("display-message", "-p", "-t", "=A", "#{session_name}") == "a\n"
    double.says("new-session", "-d", "-s", "longer", "sleep 600")
    prefix = double.run("display-message", "-p", "-t", "long", "x")
    double.says("kill-session", "-t", "longer")
    return folded and prefix.status == 1


def equals_kill(double: LiveDouble) -> bool:
    """What was to be killed with `=` stays."""
    double.says("new-session", "-d", "-s", "k", "sleep 600")
    double.says("kill-session", "-t", "=k")
    stays = double.run("display-message", "-p", "-t", "k", "x").status == 0
    double.run("kill-session", "-t", "k")
    return stays


def pane_target(double: LiveDouble) -> bool:
    """A pane stands behind its session."""
    return double.says("display-message", "-p", "-t", "=a:%1", "#{pane_id}") == "%1\n"


def options_per_server(double: LiveDouble) -> bool:
    """Every row has the value that one window was given."""
    fresh(double, "o")
    double.says("set-option", "-w", "-t", "a:o", "@x", "1")
    rows = double.says("list-windows", "-t", "a", "-F", "#{@x}").split()
    assert len(rows) > 1
    return set(rows) == {"1"} and double.says("show-options", "-w", "-v", "-t", "a:o", "@x") == ""


def option_leading_dash(double: LiveDouble) -> bool:
    """The key is gone."""
    double.says("set-option", "-t", "a", "@d", "kept")
    double.says("set-option", "-t", "a", "@d", "-v")
    return double.says("show-options", "-q", "-v", "-t", "a", "@d") == ""


def nested_session(double: LiveDouble) -> bool:
    """Nothing is made, and all seems well."""
    done = double.run("new-session", "-d", "-s", "inner", "sleep 600", PSMUX_SESSION="a")
    assert b"nested with care" in done.stderr
    return done.status == 0 and double.run("display-message", "-p", "-t", "inner", "x").status == 1


def late_session(double: LiveDouble) -> bool:
    """It failed, and it comes."""
    double.be(profile_of(double), {"verb": "new-session", "does": "late", "seconds": 0.3})
    done = double.run("new-session", "-d", "-s", "late", "sleep 600")
    assert b"failed to create session 'late'" in done.stderr
    eventually_true(lambda: double.run("display-message", "-p", "-t", "late", "x").status == 0)
    double.says("kill-session", "-t", "late")
    return done.status == 1


def new_window_environment(double: LiveDouble) -> bool:
    """The variable does not arrive."""
    out = double.scratch / "environment"
    script = double.scratch / "script"
    script.write_text(f'#!/bin/sh\necho "[$K]" > {out}.new; mv {out}.new {out}\n')
    script.chmod(0o700)
    double.says("new-window", "-d", "-t", "a", "-e", "K=v", str(script))
    return eventually_true(lambda: double.lines("environment")) == ["[]"]


def unresolvable_target(double: LiveDouble) -> bool:
    """Something was selected."""
    return double.run("select-window", "-t", "a:@99").status == 0


def error_on_stdout(double: LiveDouble) -> bool:
    """A refusal looks like an answer."""
    done = double.run("display-message", "-p", "-t", "@99", "x")
    return (done.status, done.stdout) == (0, b"ERROR: can't find window: @99\n")


def parsed_twice(double: LiveDouble) -> bool:
    """What was quoted once has come apart."""
    out = double.scratch / "twice"
    fresh(double, "q", f"sh -c 'touch {out}.a; touch {out}.b'")
    eventually_true(lambda: "q" not in windows(double, "a"))
    return not (double.scratch / "twice.a").exists()


def piped(double: LiveDouble, name: str, sink: str) -> bool:
    """Whether what a window prints reaches the file."""
    window = fresh(double, name, "cat")
    double.says("pipe-pane", "-t", f"a:{window}", sink)
    double.says("send-keys", "-t", f"a:{window}", "-l", "hello")
    double.says("send-keys", "-t", f"a:{window}", "Enter")
    shown = double.scratch / name
    return bool(sink.startswith("cat") or eventually_true(lambda: shown.exists() and b"hello" in shown.read_bytes()))


def pipe_pane_stub(double: LiveDouble) -> bool:
    """The pane has no pipe."""
    window = fresh(double, "p", "cat")
    double.says("pipe-pane", "-t", f"a:{window}", "sleep 600")
    panes = double.says("list-panes", "-s", "-t", "a", "-F", "#{window_id}#{pane_pipe}").split()
    return f"{window}0" in panes


def pipe_pane_cat(double: LiveDouble) -> bool:
    """`cat` writes nothing, while PowerShell does."""
    sink = double.scratch / "sink"
    written = double.scratch / "cat"
    assert piped(double, "cat", f"cat >> {written}")
    if profile_of(double) != "3.3.6":
        assert piped(double, "sink", " ".join(powershell(sink_script(str(sink)))))
    if profile_of(double) == "master":
        eventually_true(written.exists)
    return not written.exists()


def exit_status(double: LiveDouble) -> bool:
    """A window that failed shows 0."""
    double.says("set-option", "-t", "a", "remain-on-exit", "on")
    fresh(double, "e", "false")
    form = "#{window_name}#{pane_dead}#{pane_dead_status}"
    eventually_true(lambda: "e10" in double.says("list-panes", "-s", "-t", "a", "-F", form).split())
    double.says("set-option", "-t", "a", "remain-on-exit", "off")
    return True


def client_operations(double: LiveDouble) -> bool:
    """Nobody is attached, and all seems well."""
    return double.run("switch-client", "-t", "a").status == double.run("detach-client", "-s", "a").status == 0


def self_probe(double: LiveDouble) -> bool:
    """The answer is about the active window."""
    return double.says("display-message", "-p", "#{pane_id}", TMUX_PANE="%7") == "%1\n"


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


def encoding(double: LiveDouble) -> bool:
    """Greek arrives as Greek."""
    fresh(double, "λόγος")
    return "λόγος" in windows(double, "a")


def stall(double: LiveDouble) -> bool:
    """A hang looks like an empty answer."""
    double.be(profile_of(double), {"verb": "list-panes", "does": "hang"})
    try:
        done = double.run("list-panes", "-s", "-t", "a", timeout_s=1)
    except subprocess.TimeoutExpired:
        return False
    return (done.status, done.stdout) == (0, b"")


def buffers(double: LiveDouble) -> bool:
    """What is loaded for one session is not in another."""
    double.run("-t", "a", "load-buffer", "-b", "one", "-", stdin=b"x")
    return (
        double.run("paste-buffer", "-b", "one", "-t", "b").status == 1
        and double.run("paste-buffer", "-b", "one", "-t", "a:shell").status == 0
    )


def profile_of(double: LiveDouble) -> str:
    """The profile that a double of this module has."""
    lines = double.says("-V").splitlines()
    version = lines[0].split()[1]
    return "master" if version == "3.3.9" else version


SHOWN: dict[str, Callable[[LiveDouble], bool]] = {
    "server-per-session": servers,
    "state-files": state_files,
    "version-lines": version_lines,
    "binary": lambda double: shutil.which("psmux", path=double.environment["PATH"]) == str(BIN / "psmux"),
    "ids-per-session": bare_id_goes_astray,
    "ambiguous-id": bare_id_is_ambiguous,
    "exact-match": exact_match,
    "equals-kill": equals_kill,
    "pane-target": pane_target,
    "options-per-server": options_per_server,
    "option-leading-dash": option_leading_dash,
    "nested-session": nested_session,
    "late-session": late_session,
    "new-window-environment": new_window_environment,
    "unresolvable-target": unresolvable_target,
    "error-on-stdout": error_on_stdout,
    "shell": parsed_twice,
    "pipe-pane-stub": pipe_pane_stub,
    "pipe-pane-cat": pipe_pane_cat,
    "exit-status": exit_status,
    "client-operations": client_operations,
    "self-probe": self_probe,
    "has-session-deletes": has_session_deletes,
    "kill-server": kill_server,
    "encoding": encoding,
    "stall": stall,
    "buffers": buffers,
}
"""For each divergence, whether a double shows it."""

CASES = [
    pytest.param(name, profile, id=f"{name}-{profile}")
    for name in SHOWN
    for profile in (CATALOGUE.profiles if len(CATALOGUE.divergences[name].profiles) < 3 else ["3.3.8"])
]


def test_every_divergence_that_is_imitated_is_looked_for() -> None:
    """Nobody adds an entry to the catalogue without showing it."""
    assert SHOWN.keys() == {one.id for one in CATALOGUE.divergences.values() if one.imitated and one.profiles}


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
        done = double.run(verb, *words, timeout_s=1)
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
