"""A `tmux` on PATH that goes wrong as planned: every action, whoever calls, and nothing else is changed."""

from __future__ import annotations

import shlex
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import psutil
import pytest
from shim_stage import PATIENCE_S, Stage, stage

from faults import FaultPlanError
from faults.shim import Shim, ShimCall, shim_plan
from faults.spellings import verbs_in

ODD = (b"-S", b"/tmp/a b", b"has-session", b"", b"new\nline", b"foo\\;", b"\xff\xc3\xa9", b"$(touch x)", b"'\"*")
"""Words that something between a caller and a program might change."""

WAYS = {
    "not concerned": ("transport.new-window=1*empty", False),
    "concerned": ("transport.has-session=pass", False),
    "recorded": ("", True),
}
"""How a call can come to be passed on: a plan, and whether all calls are recorded."""


@pytest.fixture
def play() -> Iterator[Stage]:
    """A program, and shims before it."""
    with stage() as made:
        yield made


@pytest.mark.parametrize("env", [{}, {"LC_CTYPE": "C"}, {"LC_ALL": "C.UTF-8"}], ids=["C", "LC_CTYPE", "LC_ALL"])
@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_is_passed_on_is_the_real_one(play: Stage, way: str, env: dict[str, str]) -> None:
    """The same process: argv, environment, ignored signals, standard input, outputs and exit code are untouched."""
    plan, recorded = WAYS[way]
    bare = play.call(play.real, *ODD, stdin=b"typed\0", env=env)

    with play.shim(plan, recorded=recorded) as shim:
        assert play.call(shim, *ODD, stdin=b"typed\0", env=env) == bare
    assert b"pid of its own" in bare[1]


@pytest.mark.parametrize("way", WAYS)
def test_a_signal_that_ends_the_real_program_is_seen(play: Stage, way: str) -> None:
    """Its caller is told of the signal, not of an exit code."""
    plan, recorded = WAYS[way]
    with play.shim(plan, recorded=recorded) as shim:
        assert play.call(shim, "die")[0] == -signal.SIGKILL


@pytest.mark.parametrize(
    ("action", "status", "out", "err"),
    [
        ('exit(3, "no")', 3, b"", b"no\n"),
        ('exit(-15, "")', -15, b"", b""),
        ('exit(-9, "bye")', -9, b"", b"bye\n"),
        ('output("@9")', 0, b"@9\n", b""),
        ("empty", 0, b"", b""),
        ("undecodable", 0, b"\xff\xfe\x00@1\xc3\n", b""),
        ("timeout(0.1)", 1, b"", b"server exited unexpectedly\n"),
        ("oserror(ENOENT)", 127, b"", b"tmux: No such file or directory\n"),
        ("oserror(EACCES)", 126, b"", b"tmux: Permission denied\n"),
    ],
)
@pytest.mark.parametrize("lost", ["", "lost:"])
def test_what_happens_instead_of_an_answer(
    play: Stage, lost: str, action: str, status: int, out: bytes, err: bytes
) -> None:
    """The caller gets just this; with `lost:` the real program has done it all, and nobody hears."""
    with play.shim(f"transport.has-session=1*{lost}{action}") as shim:
        answer = play.call(shim, "has-session")

    assert answer == (status, out, err)
    assert play.calls == bool(lost)
    assert shim.unfired() == []


@pytest.mark.parametrize("action", ["truncate(5)", "lost:truncate(5)"])
def test_an_answer_is_cut_off_and_nothing_else(play: Stage, action: str) -> None:
    """Status and standard error are those of the real program."""
    with play.shim(f"transport.has-session=1*{action}") as shim:
        assert play.call(shim, "has") == (4, b"<has>", b"complained\n")


@pytest.mark.parametrize("action", ["delay(0.3)", "lost:delay(0.3)"])
def test_an_answer_is_late_and_whole(play: Stage, action: str) -> None:
    """It is the real one."""
    with play.shim(f"transport.has-session=1*{action}", recorded=True) as shim:
        status, out, err = play.call(shim, "has", stdin=b"typed")
        play.eventually(lambda: play.heard)

    (call,) = play.heard
    assert (status, err) == (4, b"complained\n")
    assert (out[:5], out[-5:]) == (b"<has>", b"typed")
    assert call.outcome == ("passed on" if action[0] == "d" else f"exit 4, {len(out)} and {len(err)} bytes")


def waiting(play: Stage, shim: Shim) -> subprocess.Popen[bytes]:
    """A call that was told to wait."""
    process = play.start(shim.directory / "tmux", "has-session", stdin=subprocess.DEVNULL)
    play.eventually(lambda: shim.injections)
    return process


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_hanging_call_ends_as_a_client_of_a_stopped_server(play: Stage, ending: signal.Signals) -> None:
    """Ctrl-C does not end it, and being told to end is no answer."""
    with play.shim("transport.has-session=hang", recorded=True) as shim:
        process = waiting(play, shim)
        for ignored in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
            process.send_signal(ignored)
        process.send_signal(ending)

        assert process.communicate(timeout=PATIENCE_S) == (b"", b"")
    assert process.returncode == (-9 if ending is signal.SIGKILL else 0)
    assert (play.calls, shim.unfired()) == (0, [])
    assert [call.outcome for call in play.heard] == ["given up"]


def test_a_call_that_is_given_up_takes_the_real_program_along(play: Stage) -> None:
    """Nobody waits for an answer any more, as nobody does when a client itself is told to end."""
    with play.shim("transport.has-session=lost:hang") as shim:
        process = play.start(shim.directory / "tmux", "has-session")
        play.eventually(lambda: play.calls)
        (real,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        gone, _ = psutil.wait_procs([real], timeout=PATIENCE_S)
        process.communicate(timeout=PATIENCE_S)

    assert (gone, process.returncode) == ([real], 0)


def test_a_hanging_call_ends_with_the_shim(play: Stage) -> None:
    """Nothing of it is left, and it has no effect after all."""
    with play.shim("transport.has-session=hang") as shim:
        process = waiting(play, shim)

    assert process.communicate(timeout=PATIENCE_S) == (b"", b"")
    assert (process.returncode, play.calls) == (1, 0)


def test_a_call_that_comes_when_the_shim_is_over_is_the_real_one(play: Stage) -> None:
    """A launcher that has begun before finds nobody to ask."""
    with play.shim("transport.has-session=1*empty") as shim:
        (shim.directory / "call.pyc").unlink()

        assert play.call(shim, "has-session")[0] == 4
    assert play.calls == 1


@pytest.mark.parametrize(("taken", "status"), [("shim/call.pyc", 7), ("shim", 4)])
def test_a_call_that_has_begun_to_ask_when_the_shim_goes_is_not_lost(play: Stage, taken: str, status: int) -> None:
    """It does what it is told, or is the real one where nobody is there any more."""
    slow = play.directory / "python"
    slow.write_text(f'#!/bin/sh\nrm -r {taken}\nexec {shlex.quote(sys.executable)} "$@"\n', "utf-8")
    slow.chmod(0o700)
    with play.shim('transport.has-session=1*exit(7, "")', interpreter=str(slow)) as shim:
        assert play.call(shim, "has-session")[0] == status


def test_the_program_dies_at_a_call(play: Stage) -> None:
    """Whoever runs it is told to end it, once the effect has happened."""
    with play.shim("transport.has-session=1*lost:die") as shim:
        process = waiting(play, shim)
        play.eventually(lambda: play.deaths)

        assert play.calls == 1
    process.communicate(timeout=PATIENCE_S)
    assert shim.unfired() == []


def test_calls_of_many_processes_at_once_are_counted_exactly(play: Stage) -> None:
    """Each call is one of forty, whoever makes it."""
    answers: list[int] = []
    with play.shim('transport.has-session=20*pass->10*exit(7, "")->9*pass->1*exit(8, "")') as shim:

        def caller() -> None:
            answers.extend(play.call(shim, "has-session")[0] for _ in range(5))

        threads = [threading.Thread(target=caller) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert Counter(answers) == {4: 29, 7: 10, 8: 1}
    assert shim.reached == {"transport.has-session": 40}
    assert [one.call_number for one in shim.injections] == [*range(21, 31), 40]


def test_only_arguments_that_fit_are_concerned(play: Stage) -> None:
    """The words from the verb on, as the in-process transport has them."""
    with play.shim('transport.new-window[argv="*-n two*"]=1*exit(9, "")') as shim:
        statuses = [play.call(shim, "-u", "neww", "-n", name)[0] for name in ("one", "two", "two")]

    assert statuses == [4, 9, 4]


def test_the_verbs_of_a_sequence_are_counted_up_to_the_one_that_fails(play: Stage) -> None:
    """What happens to one of them happens to the whole client."""
    with play.shim('transport.new-window=1*pass->1*exit(9, "")') as shim:
        statuses = [play.call(shim, "start;", "neww", ";", "lsw")[0] for _ in range(2)]

    assert statuses == [4, 9]
    assert shim.reached == {
        "transport.start-server": 2,
        "transport.new-window": 2,
        "transport.list-windows": 1,
    }
    assert play.calls == 1


ARGVS = [
    *(
        [],
        ["-V"],
        ["-uV"],
        ["-SV", "ls"],
        ["-S", "-V", "ls"],
        ["-2u", "-fx", "-L", "a", "has"],
        ["--", "ls"],
        ["--", "-V"],
        ["-"],
    ),
    *(["ls;", "has"], ["ls", ";", ";", "has"], [";"], [";", "ls"], ["send", "a\\;", "has"], ["send", "a;", "has"]),
    *(
        ["new-w"],
        ["new"],
        ["list"],
        ["version"],
        ["VERSION"],
        ["1"],
        [""],
        ["ls", ""],
        ["split-pane"],
        ["-C", "attach"],
    ),
    *(["*"], ["ls;", "*"], ["set", "-g", "@a", "b c"], ["a b"], ["-f"], ["Ls"], ["-T256", "-t", "x", "info"]),
]


def test_a_launcher_reads_a_command_line_as_the_shim_does(play: Stage) -> None:
    """What is counted in a shell is what would have been counted by who is asked."""
    due = Counter(f"transport.{verb}" for argv in ARGVS for verb, _ in verbs_in(["tmux", *argv]))
    with play.shim("transport.bind-key=1*empty") as shim:
        for argv in ARGVS:
            play.call(shim, *argv)

    assert shim.reached == due
    assert play.calls == len(ARGVS)


@pytest.mark.parametrize(
    "argv", [["-V"], ["version"], ["unbind"], ["nonsense"], ["link"], ["linkw"], ["ls;", "link-w"]]
)
@pytest.mark.parametrize("point", ["version", "link-window", "unknown", "unlink-window", "un*", "*-key", "*"])
def test_a_launcher_asks_whenever_a_rule_may_be_meant(play: Stage, point: str, argv: list[str]) -> None:
    """And a rule acts on the same calls, whether or not others are asked about."""
    statuses, fired = [], []
    for recorded in (False, True):
        with play.shim(f'transport.{point}=exit(9, "")', recorded=recorded, name=f"s{recorded}") as shim:
            statuses.append(play.call(shim, *argv)[0])
        fired.append(len(shim.injections))

    assert statuses[0] == statuses[1] == (9 if fired[0] else 4)
    assert fired[0] == fired[1]


def test_a_rule_that_never_fired_is_told_with_what_was_reached(play: Stage) -> None:
    """No vacuous success."""
    with play.shim("transport.kill-window=1*empty;transport.has-session=2*pass->1*empty") as shim:
        play.call(shim, "ls")
        play.call(shim, "has")

    assert [fault.point for fault in shim.unfired()] == ["transport.kill-window", "transport.has-session"]
    assert shim.reached == {"transport.list-sessions": 1, "transport.has-session": 1}


def test_a_shim_inside_of_a_shim_stands_before_it(play: Stage) -> None:
    """Each does what its own plan says, to what the inner one lets through."""
    with play.shim('transport.has-session=1*pass->exit(7, "")', name="outer") as outer:
        outer_tmux = outer.directory / "tmux"
        with play.shim('transport.has-session=1*exit(8, "")', name="inner", real=outer_tmux) as inner:
            statuses = [play.call(inner, "has")[0] for _ in range(3)]

    assert statuses == [8, 4, 7]
    assert (inner.reached, outer.reached) == ({"transport.has-session": 3}, {"transport.has-session": 2})


def test_signals_are_left_to_the_main_thread(play: Stage) -> None:
    """One that another thread has got would not be handed on before the main thread wakes."""
    masks: list[set[signal.Signals]] = []

    def heard(call: ShimCall) -> None:
        masks.append({*signal.Signals} & signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    ours = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with play.shim("", heard=heard) as shim:
        play.call(shim, "ls")

    assert {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCONT} <= masks[0]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == ours


def test_its_directory_is_private_and_goes(play: Stage) -> None:
    """Nobody else can see what is called, and nothing is left."""
    with play.shim("") as shim:
        play.call(shim, "ls")
        assert stat.S_IMODE(shim.directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((shim.directory / "tmux").stat().st_mode) == 0o700

    assert not shim.directory.exists()


def test_what_is_recorded_holds_no_payload(play: Stage) -> None:
    """The verb as it is called, where it goes, and how much there was."""
    with play.shim("", recorded=True) as shim:
        play.call(shim, "-S", "/tmp/s", "neww", "-e", "TOKEN=secret", "-t", "=a:", "sh -c secret", stdin=b"secret")
    (call,) = play.heard

    assert call.argv == "tmux -S /tmp/s new-window -e <12 chars> -t =a: <12 chars>"
    assert (call.number, call.points, call.outcome) == (1, ("transport.new-window",), "passed on")


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ("mux.new_window=timeout", "no mux. points"),
        ("new_window=timeout", "no mux. points"),
        ("transport.neww=timeout", "nearest valid name"),
        ("transport.ls=1*raise(RuntimeError)", "unknown point"),
        ("transport.list-keys=1*raise(RuntimeError)", "cannot happen at"),
        ('transport.list-keys=exit(256, "")', "0 to 255"),
        ('transport.list-keys=exit(-65, "")', "0 to 255"),
    ],
)
def test_what_cannot_happen_to_a_process_is_refused(plan: str, why: str) -> None:
    """When the plan is read."""
    with pytest.raises(FaultPlanError, match=why):
        shim_plan(plan)


@pytest.mark.parametrize(
    ("word", "verb"), [("ls", "list-sessions"), ("neww", "new-window"), ("has", "has-session"), ("new-w", "new-window")]
)
def test_a_plan_that_names_an_alias_is_told_the_verb(word: str, verb: str) -> None:
    """Not the name that happens to look most like it."""
    with pytest.raises(
        FaultPlanError, match=f"position 23: unknown point .*; the nearest valid name is 'transport.{verb}'"
    ):
        shim_plan(f"transport.*=1*pass;    transport.{word}=1*empty")
