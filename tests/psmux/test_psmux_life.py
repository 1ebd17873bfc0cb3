"""The psmux backend on the double: sessions and windows from their making to their end, and what misbehaves in between."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from live_psmux import LiveDouble, eventually_true, live_double

from backends.clock import SystemClock
from backends.errors import TargetMissing, TransportGarbled, TransportTimeout, TransportUnavailable
from backends.guard import Call
from backends.operations import WindowExit
from backends.processes import Liveness, SystemProcessTable
from backends.psmux import PsmuxMultiplexer

pytestmark = [pytest.mark.live, pytest.mark.skipif(shutil.which("tmux") is None, reason="the double needs a real tmux")]

ROOT = Path(__file__).resolve().parents[2]
RECORDER = """
import os, sys, tty
tty.setraw(0)
with open(sys.argv[1], "wb", buffering=0) as out:
    while True:
        out.write(os.read(0, 65536))
"""
"""A program that writes down every byte that is typed into its window."""
TELLER = (
    "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd(), os.environ.get('KEY')]), file=open({!r}, 'w'))"
)
"""A program that writes down what it was started with."""


@pytest.fixture(scope="module")
def double() -> Iterator[LiveDouble]:
    """One double with session `run-1`, for tests that leave it as they found it."""
    with live_double() as live:
        live.mux().new_session("run-1", live.scratch)
        yield live


@pytest.fixture
def mux(double: LiveDouble) -> Iterator[PsmuxMultiplexer]:
    """The backend; whatever the double was told to do is over afterwards."""
    yield double.mux()
    double.be("3.3.8")


def opened(mux: PsmuxMultiplexer, name: str, *argv: str, cwd: str | Path = "/", **env: str) -> str:
    """A new window of `run-1` that runs `argv`."""
    return mux.new_window("run-1", name, cwd, env, shlex.join(argv))


def test_a_session_is_made_listed_and_killed(double: LiveDouble, mux: PsmuxMultiplexer) -> None:
    """Under its own name, whatever its case, and no other."""
    mux.new_session("run-10", "/", 90, 20)
    there = mux.has_session("RUN-10"), mux.has_session("run"), sorted(mux.list_sessions())
    size = mux.list_windows("run-10", ("window_width", "window_height"))
    mux.kill_session("run-10")

    assert there == (True, False, ["run-1", "run-10"])
    assert size == [("90", "20")]
    assert (mux.has_session("run-10"), mux.list_window_ids("run-10")) == (False, [])


def test_a_window_gets_its_words_its_directory_and_its_environment_whole(
    double: LiveDouble, mux: PsmuxMultiplexer
) -> None:
    """Two parsers and a shell stand in between, and change nothing."""
    place = double.scratch / "a 'b' $c"
    place.mkdir()
    words = ["", "a b", "'\"$HOME`x`", "-x", "é;", "#{pid} %H", "\u2019"]
    opened(
        mux, "told", sys.executable, "-c", TELLER.format(str(double.scratch / "told")), *words, cwd=place, KEY="s\n'$x"
    )

    told = eventually_true(lambda: double.lines("told"))
    assert json.loads(told[0]) == [words, str(place), "s\n'$x"]


def test_no_process_shows_the_environment_of_a_window(double: LiveDouble, mux: PsmuxMultiplexer) -> None:
    """Neither in an argv nor in a file that is left behind."""
    window = opened(mux, "secret", "sleep", "600", KEY="s3cret-value")
    eventually_true(lambda: not list((double.data / "seamripper").glob("*.launch")))
    seen = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    mux.kill_window(window)

    assert not any("s3cret-value" in line or "czNjcmV0LXZhbHVl" in line for line in seen)
    assert not list((double.data / "seamripper").glob("*.taken"))


@pytest.mark.parametrize(
    ("argv", "cwd", "code"),
    [
        (("sh", "-c", "exit 3"), "/", 3),
        (("true",), "/", 0),
        (("true",), "/no/such", 126),
        (("no-such-program",), "/", 127),
    ],
)
def test_a_window_that_ended_says_how(mux: PsmuxMultiplexer, argv: tuple[str, ...], cwd: str, code: int) -> None:
    """By the file that it wrote: psmux itself always says 0."""
    window = opened(mux, "ends", *argv, cwd=cwd)
    exits = eventually_true(lambda: not mux.window_alive("run-1", window) and mux.window_exit(window))
    listed = window in mux.list_window_ids("run-1"), window in mux.batch_liveness("run-1")
    mux.kill_window(window)

    assert exits == WindowExit(code=code)
    assert listed == (True, False)
    with pytest.raises(TargetMissing):
        mux.window_exit(window)


@pytest.mark.parametrize("text", ["plain", "-dash;", "a\tb\nc", "é \u2019 $x `y` #{pid}", "x" * 50_000, ""])
def test_text_arrives_byte_for_byte_and_then_enter(double: LiveDouble, mux: PsmuxMultiplexer, text: str) -> None:
    """Whatever is in it, and however long it is."""
    out = double.scratch / f"typed-{len(text)}-{abs(hash(text))}"
    window = opened(mux, "typed", sys.executable, "-c", RECORDER, str(out))
    eventually_true(out.exists)
    mux.send_text(window, text)
    wanted = text.encode() + b"\r"
    eventually_true(lambda: len(out.read_bytes()) >= len(wanted))
    mux.kill_window(window)

    assert out.read_bytes() == wanted


def test_what_a_window_prints_is_appended_to_its_log(double: LiveDouble, mux: PsmuxMultiplexer) -> None:
    """While it is printed, not when the window ends."""
    log = double.scratch / "a log's name"
    window = opened(mux, "printer", "cat")
    mux.pipe_pane(window, log)
    mux.send_text(window, "hello")
    eventually_true(lambda: log.exists() and b"hello" in log.read_bytes())
    mux.kill_window(window)


def test_options_belong_to_one_window_although_psmux_has_none_of_windows(mux: PsmuxMultiplexer) -> None:
    """Set, listed, shown and unset, for each window by itself."""
    one, two = opened(mux, "one", "sleep", "600"), opened(mux, "two", "sleep", "600")
    mux.set_window_option(one, "@token", "-v 'x'")
    rows = {row[0]: row[1] for row in mux.list_windows("run-1", ("window_id", "@token"))}
    shown = mux.show_window_option(one, "@token"), mux.show_window_option(two, "@token")
    mux.unset_window_option(one, "@token")

    assert (rows[one], rows[two]) == ("-v 'x'", "")
    assert shown == ("-v 'x'", "")
    assert mux.show_window_option(one, "@token") == ""


def test_a_session_has_options_of_its_own(mux: PsmuxMultiplexer) -> None:
    """What is set on one is not on the other."""
    mux.new_session("other", "/")
    mux.set_session_option("run-1", "@run", "a b")
    found = mux.session_options("@run")
    mux.kill_session("other")

    assert found == {"run-1": "a b"}


def test_windows_of_two_sessions_with_one_number_are_not_mixed_up(mux: PsmuxMultiplexer) -> None:
    """Both own a window of that number; killing the one leaves the other."""
    mux.new_session("twin", "/")
    kept = opened(mux, "kept", "sleep", "600")
    lost = kept.replace("run-1:", "twin:")
    while lost not in mux.list_window_ids("twin"):
        mux.new_window("twin", "lost", "/", {}, "sleep 600")
    mux.kill_window(lost)
    left = mux.list_window_ids("run-1"), mux.list_window_ids("twin")
    mux.kill_session("twin")

    assert kept in left[0]
    assert lost not in left[1]


def test_a_parked_window_keeps_its_status_until_a_key_is_pressed(mux: PsmuxMultiplexer) -> None:
    """It is alive, says how its command ended, and goes on at the first key."""
    window = mux.new_parked_window("run-1", "parked", "/", ["sh", "-c", "exit 5"], "@return")
    exits = eventually_true(lambda: mux.window_exit(window))
    alive = mux.window_alive("run-1", window)
    mux.send_text(window, "")
    eventually_true(lambda: not mux.window_alive("run-1", window))

    assert (exits, alive) == (WindowExit(code=5), True)


def test_a_process_in_a_window_knows_where_it_is(double: LiveDouble, mux: PsmuxMultiplexer) -> None:
    """By its own pane, not by the window that is active."""
    code = (
        "import sys; from pathlib import Path; from backends.psmux import PsmuxMultiplexer\n"
        "mux = PsmuxMultiplexer(Path(sys.argv[1]))\n"
        "print(mux.current_session(), mux.current_window_id(), mux.current_pane_id(), file=open(sys.argv[2], 'w'))"
    )
    out = double.scratch / "where"
    window = opened(mux, "where", sys.executable, "-c", code, str(double.data), str(out), PYTHONPATH=str(ROOT))

    assert eventually_true(lambda: double.lines("where"))[0].split()[:2] == ["run-1", window]


def test_a_hang_is_unknown_and_costs_no_more_than_its_deadline(double: LiveDouble) -> None:
    """Whoever does not answer is not absent; the next question is answered."""
    mux = double.mux(call_timeout_s=2)
    double.be("3.3.8", {"verb": "list-panes", "does": "hang"})
    with pytest.raises(TransportTimeout):
        mux.has_session("run-1")

    assert double.mux().has_session("run-1")


def test_a_lost_port_file_is_no_death(double: LiveDouble) -> None:
    """`no server running` of a living server is unknown, and over when the file is back."""
    mux = double.mux()
    before = mux.has_session("run-1")
    double.be("3.3.8", {"verb": "list-panes", "does": "no-port", "seconds": 1})
    with pytest.raises(TransportUnavailable, match="alive"):
        mux.has_session("run-1")

    assert before
    eventually_true(lambda: double.run("list-windows", "-t", "run-1").status == 0)


@pytest.mark.parametrize("does", ["empty", "no-id"])
def test_a_window_whose_answer_is_lost_is_found_by_its_name(
    double: LiveDouble, mux: PsmuxMultiplexer, does: str
) -> None:
    """The call is unknown, the window is there, and its agent runs."""
    opened(mux, "settled", "true")
    double.be("3.3.8", {"verb": "new-window", "does": does, "after": does == "empty"})
    with pytest.raises(TransportGarbled):
        opened(mux, f"lost-{does}", "sleep", "600")
    found = [row[0] for row in mux.list_windows("run-1", ("window_id", "window_name")) if row[1] == f"lost-{does}"]

    assert len(found) == 1
    assert mux.window_alive("run-1", found[0])
    mux.kill_window(found[0])


def test_a_session_that_failed_and_came_late_is_there(double: LiveDouble, mux: PsmuxMultiplexer) -> None:
    """The failure is not believed before some seconds are over."""
    double.be("3.3.8", {"verb": "new-session", "does": "late", "seconds": 0.5})
    mux.new_session("late", "/")

    assert mux.has_session("late")
    mux.kill_session("late")


@pytest.mark.parametrize("text", ["Invalid session key", "connection timed out", "the moon is full"])
def test_a_line_that_proves_nothing_is_unknown(double: LiveDouble, mux: PsmuxMultiplexer, text: str) -> None:
    """These windows live."""
    double.be("3.3.8", {"verb": "list-panes", "does": "text", "text": text})

    with pytest.raises(TransportUnavailable):
        mux.list_window_ids("run-1")


def test_a_dead_server_is_proven_gone(double: LiveDouble) -> None:
    """Its process is, so `no server running` is an answer."""
    mux = double.mux()
    mux.new_session("dying", "/")
    psutil.Process(int((double.data / "dying.pid").read_text())).kill()
    eventually_true(lambda: double.run("list-windows", "-t", "dying").status == 1)

    assert mux.has_session("dying") is False


@pytest.mark.parametrize(("profile", "usable"), [("3.3.6", False), ("3.3.8", True), ("master", True)])
def test_a_psmux_below_the_floor_is_not_available(
    double: LiveDouble, mux: PsmuxMultiplexer, profile: str, usable: bool
) -> None:
    """Before 3.3.8 it does too much that nobody asked for."""
    double.be(profile)

    assert mux.available() is usable
    assert str(mux.version()).endswith("(double, not psmux)")


def test_shutdown_leaves_no_process_and_no_file(double: LiveDouble) -> None:
    """Every session of the directory ends, and a directory of a root goes."""
    environment = {**double.environment, "PSMUX_DATA_DIR": str(double.scratch)}
    mux = PsmuxMultiplexer(root=double.scratch / "root", environment=environment)
    mux.new_session("one", "/")
    server = double.processes.identify(int((mux.data_dir / "one.pid").read_text()))
    mux.shutdown()

    assert server is not None
    assert not mux.data_dir.exists()
    assert double.processes.liveness(server) is Liveness.DEAD


def test_a_courtesy_that_nobody_can_confirm_is_seen(mux: PsmuxMultiplexer) -> None:
    """A switch is dispatched, answered by its sentinel, and told to the observer."""
    seen: list[Call] = []
    mux.observe(seen.append)

    assert mux.switch_client("=run-1") is False
    assert "does not tell" in str(seen[-1].error)


PLAN = """
[run]
agent = "quick"
[[task]]
key = "only"
prompt = "Do it."
[agents.quick]
kind = "scripted"
script = [{ do = "work", seconds = 0.2 }, { do = "result", summary = "done" }, { do = "stop" }, { do = "idle" }]
"""


def test_a_plan_is_carried_out_on_psmux_from_the_command_line(double: LiveDouble) -> None:
    """With the double first on PATH, `seamripper run --mux psmux` finishes and leaves no session."""
    place = double.scratch / "p"
    place.mkdir()
    (place / "plan.toml").write_text(PLAN)
    argv = [sys.executable, "-P", "-m", "harness.cli", "run", "plan.toml", "--mux", "psmux", "--root", "r"]
    environment = {**double.environment, "PSMUX_DATA_DIR": str(place), "PYTHONPATH": str(ROOT)}
    done = SystemProcessTable(SystemClock()).run(argv, timeout_s=100, cwd=place, env=environment)

    assert (done.status, b"FINISHED" in done.stdout) == (0, True), done.stdout + done.stderr
    assert list(place.rglob("*.server.json")), "the sessions were in a directory below this one"
    assert not list(place.rglob("*.port"))


def test_the_kit_knows_the_backend_by_its_name(double: LiveDouble) -> None:
    """Two checks of it pass: one with a broken transport, one on living sessions."""
    checks = ("--only", "SEAM-PROBE-003", "--only", "SEAM-KILL-002")
    argv = [sys.executable, "-P", "-m", "harness.cli", "conform", "--mux", "psmux", *checks]
    environment = {**double.environment, "PYTHONPATH": str(ROOT)}
    done = SystemProcessTable(SystemClock()).run(argv, timeout_s=100, cwd=double.scratch, env=environment)

    assert done.status == 0, done.stdout + done.stderr
