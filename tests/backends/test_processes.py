"""The host's process table: commands with deadlines, and processes named by more than a pid."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends import control_client, running
from backends.clock import SystemClock, Waker
from backends.pidfd import pidfd_works
from backends.posix_signals import SIGCONT, SIGKILL, SIGSTOP
from backends.processes import Completed, Job, Liveness, ProcessIdentity, SystemProcessTable, _PidfdDeaths
from harness.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups and signals of POSIX")


@pytest.fixture(params=[False, True], ids=["pipes", "files"])
def table(request: pytest.FixtureRequest) -> SystemProcessTable:
    """The host's; as it is, or as on Windows: talking to commands by files, and without signals."""
    return SystemProcessTable(by_files=request.param, signals=not request.param)


@pytest.fixture
def sleeper(table: SystemProcessTable) -> Iterator[ProcessIdentity]:
    """A process of our own that does nothing for a minute, with a mark in its environment."""
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, "SEAM_TEST_MARK": "m1"})
    identity = table.identify(process.pid)
    assert identity is not None
    yield identity
    process.kill()
    process.wait()


def gone(table: SystemProcessTable, pid: int) -> bool:
    """Whether the pid names nobody, or a zombie, within a second."""
    clock = SystemClock()
    for _ in range(100):
        identity = table.identify(pid)
        if identity is None or table.liveness(identity) is Liveness.DEAD:
            return True
        clock.sleep(0.01)
    return False


def test_a_command_answers_status_and_both_outputs(table: SystemProcessTable) -> None:
    """As bytes, apart, with the environment and directory that were given."""
    done = table.run(
        ["sh", "-c", 'printf "$WORD:%s" "$PWD"; echo bad >&2; exit 3'],
        timeout_s=10,
        cwd="/",
        env={"PATH": os.environ["PATH"], "WORD": "w"},
    )

    assert (done.status, done.stdout, done.stderr) == (3, b"w:/", b"bad\n")


def test_a_command_that_dies_of_a_signal_has_a_negative_status(table: SystemProcessTable) -> None:
    """The signal's number, as `subprocess` has it."""
    assert table.run(["sh", "-c", "kill -KILL $$"], timeout_s=10).status == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="what unblocks signals for a child is looked for on Linux alone")
def test_a_command_blocks_no_signal_although_its_caller_does(table: SystemProcessTable) -> None:
    """A tmux server would hand that on to its windows: no agent could be ended, and no death were heard of."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        done = table.run(["grep", "SigBlk", "/proc/self/status"], timeout_s=10)
        still = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        with pytest.raises(FileNotFoundError):
            table.run(["/no/such/command"], timeout_s=10)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert done.stdout.split() == [b"SigBlk:", b"0" * 16]
    assert signal.SIGTERM in still


@pytest.mark.skipif(sys.platform != "linux", reason="what unblocks signals for a child is looked for on Linux alone")
def test_a_host_whose_env_knows_of_no_signals_runs_commands_as_it_can(
    table: SystemProcessTable, tmp_path: Path
) -> None:
    """As busybox's does; and so does a program whose name `env` would take for a variable."""
    for name, text in (("env", "exit 1"), ("here", "echo here"), ("a=b", "echo there")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        told = [
            table.run(["here"], timeout_s=10, env={"PATH": str(tmp_path)}).stdout,
            table.run([str(tmp_path / "a=b")], timeout_s=10).stdout,
        ]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert told == [b"here\n", b"there\n"]


@pytest.mark.parametrize(
    ("argv", "error"),
    [(["no-such-binary-of-seamripper"], FileNotFoundError), (["/"], PermissionError), (["true", "a\0b"], ValueError)],
)
def test_what_cannot_be_started_raises(table: SystemProcessTable, argv: list[str], error: type[Exception]) -> None:
    """A missing binary, a directory, an argument with a NUL."""
    with pytest.raises(error):
        table.run(argv, timeout_s=10)


def test_300_kb_go_in_and_come_out_unharmed(table: SystemProcessTable) -> None:
    """More than any pipe holds, in both directions at once."""
    sent = bytes(range(256)) * 1200

    assert table.run(["cat"], timeout_s=20, stdin=sent).stdout == sent


def test_only_the_newest_output_is_kept_where_that_is_enough(table: SystemProcessTable) -> None:
    """Of either output, however much there is."""
    noisy = ["sh", "-c", "head -c 3000000 /dev/zero; echo end; head -c 3000000 /dev/zero >&2; echo END >&2"]

    done = table.run(noisy, timeout_s=60, newest=8)

    assert (done.status, done.stdout, done.stderr) == (0, b"\0\0\0\0end\n", b"\0\0\0\0END\n")
    assert table.run(noisy, timeout_s=60, newest=0).stdout == b""


def test_an_answer_without_end_is_an_error_and_not_the_end_of_the_memory(
    table: SystemProcessTable, tmp_path: Path
) -> None:
    """What writes it is ended."""
    noted = tmp_path / "pid"
    with pytest.raises(OSError, match="bytes of output") as failure:
        table.run(["sh", "-c", f"echo $$ > {noted}; exec yes"], timeout_s=60)

    assert failure.value.errno == errno.EFBIG
    assert gone(table, int(noted.read_text()))


def test_a_command_that_does_not_read_its_input_is_no_error(table: SystemProcessTable) -> None:
    """A closed pipe ends the feeding, not the command."""
    assert table.run(["true"], timeout_s=10, stdin=b"x" * 300_000).status == 0


def test_a_missed_deadline_kills_the_whole_process_group(table: SystemProcessTable, tmp_path: Path) -> None:
    """The child that the command started is gone as well."""
    noted = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {noted}; wait"

    with pytest.raises(subprocess.TimeoutExpired) as missed:
        table.run(["sh", "-c", script], timeout_s=0.5)

    assert missed.value.timeout == 0.5
    assert gone(table, int(noted.read_text()))


def test_a_child_that_holds_the_pipe_open_is_not_waited_for(table: SystemProcessTable, tmp_path: Path) -> None:
    """As a stopped server holds the pipes of its clients: the answer is there when the command has ended."""
    noted = tmp_path / "pid"
    started = SystemClock().monotonic()

    done = table.run(["sh", "-c", f"sleep 60 & echo $! > {noted}; echo answer"], timeout_s=30)

    os.kill(int(noted.read_text()), signal.SIGKILL)
    assert (done.status, done.stdout) == (0, b"answer\n")
    assert SystemClock().monotonic() - started < 20


def test_output_after_the_pipes_were_closed_does_not_end_the_wait(table: SystemProcessTable) -> None:
    """The command's own end counts, not the end of its output."""
    assert table.run(["sh", "-c", "exec >&- 2>&-; sleep 0.2; exit 5"], timeout_s=20).status == 5


def test_a_waker_gives_the_command_up(table: SystemProcessTable, tmp_path: Path) -> None:
    """From another thread, long before the deadline; the process is gone afterwards."""
    noted = tmp_path / "pid"
    waker = Waker()
    setter = threading.Timer(0.2, waker.wake)
    setter.start()

    with pytest.raises(InterruptedError):
        table.run(["sh", "-c", f"echo $$ > {noted}; exec sleep 60"], timeout_s=50, waker=waker)

    setter.join()
    assert not noted.exists() or gone(table, int(noted.read_text()))
    waker.close()


def known() -> threading.Event:
    """That the server has heard who a client is."""
    heard = threading.Event()
    heard.set()
    return heard


@pytest.mark.parametrize(
    "end",
    [running._end_group, lambda process: control_client._end(process, (), known())],
    ids=["group", "client"],
)
def test_what_an_interrupt_has_left_of_a_process_keeps_nobody_waiting(
    end: Callable[[subprocess.Popen[bytes]], None],
) -> None:
    """`Popen.poll` that is interrupted by Ctrl-C may leave its lock taken, and `wait` without an end waits for that."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    process._waitpid_lock.acquire()  # type: ignore[attr-defined]  # as an interrupt leaves it
    ending = threading.Thread(target=end, args=(process,), daemon=True)
    ending.start()
    ending.join(15)
    kept_waiting = ending.is_alive()
    process._waitpid_lock.release()  # type: ignore[attr-defined]  # so that it is reaped

    assert not kept_waiting
    assert process.wait(15) == -signal.SIGKILL


def polled(job: Job) -> Completed:
    """What comes of the job, looked at now and then."""
    for _ in range(1000):
        if (done := job.poll()) is not None:
            return done
        SystemClock().sleep(0.01)
    raise AssertionError("the job never ended")


def test_a_job_is_not_waited_for_and_answers_once_it_has_ended(tmp_path: Path) -> None:
    """With the end of what it wrote, in the directory and with the variables that were given."""
    go = tmp_path / "go"
    script = f'while [ ! -e {go} ]; do sleep 0.01; done; printf "$WORD:%s" "$PWD"; echo bad >&2; exit 3'
    job = SystemProcessTable().start(["sh", "-c", script], timeout_s=60, newest=4, cwd="/", variables={"WORD": "word"})

    assert job.poll() is None
    go.touch()

    done = polled(job)
    assert (done.status, done.stdout, done.stderr) == (3, b"rd:/", b"bad\n")


def test_a_job_that_writes_without_being_read_is_not_held_up() -> None:
    """However much it is, the newest is kept; and nothing where nothing is wanted."""
    loud = [sys.executable, "-c", "print('x' * 1_000_000, end='end')"]

    assert polled(SystemProcessTable().start(loud, timeout_s=60, newest=4)).stdout == b"xend"
    assert polled(SystemProcessTable().start(loud, timeout_s=60, newest=0)).stdout == b""


@pytest.mark.parametrize("how", ["end", "deadline"])
def test_a_job_that_is_ended_or_late_takes_its_children_along(tmp_path: Path, how: str) -> None:
    """Both are gone, and reaped; to end it once more is harmless."""
    noted = tmp_path / "pid"
    table = SystemProcessTable()
    timeout_s = 60 if how == "end" else 1
    job = table.start(["sh", "-c", f"sleep 60 & echo $! > {noted}; wait"], timeout_s=timeout_s, newest=100)
    while not noted.exists() or not noted.read_text():
        SystemClock().sleep(0.01)

    if how == "deadline":
        with pytest.raises(subprocess.TimeoutExpired):
            polled(job)
    job.end()
    job.end()

    assert gone(table, int(noted.read_text()))


def test_a_job_that_ended_in_time_is_not_late_because_nobody_looked() -> None:
    """Its deadline is for the job, not for whoever polls it."""
    job = SystemProcessTable().start(["true"], timeout_s=0.5, newest=0)
    SystemClock().sleep(0.7)

    done = job.poll()

    assert done is not None
    assert done.status == 0


def test_a_process_is_alive_until_it_is_killed_and_dead_as_a_zombie(
    table: SystemProcessTable, sleeper: ProcessIdentity
) -> None:
    """Nobody has reaped it when the second question is asked."""
    assert table.liveness(sleeper) is Liveness.ALIVE
    assert table.signal(sleeper, signal.SIGKILL) is True
    assert gone(table, sleeper.pid)
    assert table.signal(sleeper, signal.SIGTERM) is False


def test_another_start_or_another_boot_is_another_process(table: SystemProcessTable, sleeper: ProcessIdentity) -> None:
    """A pid that was used again is not the process that had it, and is not signalled for it."""
    earlier = ProcessIdentity(sleeper.pid, sleeper.started - 100, sleeper.boot_id)
    elsewhere = ProcessIdentity(sleeper.pid, sleeper.started, "another boot")

    for other in (earlier, elsewhere):
        assert table.liveness(other) is Liveness.DEAD
        assert table.signal(other, signal.SIGKILL) is False
        assert table.tree(other) == []
    assert table.liveness(sleeper) is Liveness.ALIVE


@pytest.mark.skipif(sys.platform != "linux", reason="only there the kernel counts from the boot")
def test_a_start_is_counted_from_the_boot(sleeper: ProcessIdentity) -> None:
    """So that setting the host's clock makes no process another one."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])

    assert -1 < uptime - sleeper.started < 100


def test_a_process_whose_start_is_not_known_is_never_called_dead(
    table: SystemProcessTable, sleeper: ProcessIdentity
) -> None:
    """Unless nobody has its pid at all."""
    nobody = ProcessIdentity(2**22 + 7, -1.0, sleeper.boot_id)

    assert table.liveness(ProcessIdentity(sleeper.pid, -1.0, sleeper.boot_id)) is Liveness.UNKNOWN
    assert table.liveness(nobody) is Liveness.DEAD


HIDING = 'mount -t tmpfs -o size=4k none "/proc/$1" && exec "$2" -c "$3" "$1"'
LOOKING = """
import sys
from backends.processes import ProcessIdentity, SystemProcessTable
table, pid = SystemProcessTable(), int(sys.argv[1])
print(table.liveness(ProcessIdentity(pid, 1.0, table.boot_id())).value, table.identify(pid))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are hidden by what is mounted over them")
def test_a_process_that_is_hidden_from_us_is_not_called_dead(
    table: SystemProcessTable, sleeper: ProcessIdentity
) -> None:
    """Its pid is there, and what the kernel tells of it is not for us: nobody knows who has it."""
    root = Path(__file__).parents[2]
    argv = ("sh", "-c", HIDING, "sh", str(sleeper.pid), sys.executable, LOOKING)
    for namespace in (("unshare", "--user", "--map-root-user", "--mount"), ("unshare", "--mount")):
        done = table.run((*namespace, *argv), timeout_s=60, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
        if done.status == 0:
            assert done.stdout == b"unknown None\n"
            return
    pytest.skip("no namespace in which something can be mounted")


def test_a_process_may_be_called_anything(table: SystemProcessTable, tmp_path: Path) -> None:
    """Also by a name that looks like the end of a name in the kernel's listing."""
    odd = tmp_path / ") Z 1 (x"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([str(odd), "60"]) as process:
        identity = table.identify(process.pid)
        assert identity is not None
        assert table.liveness(identity) is Liveness.ALIVE
        process.kill()


def test_a_tree_is_the_process_and_its_descendants(table: SystemProcessTable, sleeper: ProcessIdentity) -> None:
    """This process is the sleeper's parent."""
    assert sleeper.pid in [process.pid for process in table.tree(table.me())]
    assert table.tree(sleeper) == [sleeper]


def test_a_process_is_found_by_its_environment(table: SystemProcessTable, sleeper: ProcessIdentity) -> None:
    """By the exact value of the variable; one that is just being started has no environment for a moment."""
    marked = ("SEAM_TEST_MARK", "m1")
    eventually(lambda: sleeper.pid in [process.pid for process in table.carrying(*marked)], SystemClock(), 30)
    assert table.carrying("SEAM_TEST_MARK", "m") == []


@pytest.mark.parametrize("pid", [0, -1, 2**70, 2**22 + 7])
def test_a_pid_that_nobody_can_have_identifies_nobody(table: SystemProcessTable, pid: int) -> None:
    """And is never signalled: 0 and -1 would mean whole groups."""
    assert pid == 0 or table.identify(pid) is None
    assert table.signal(ProcessIdentity(pid, 0.0, table.boot_id()), signal.SIGTERM) is False


def test_a_process_is_stopped_and_continued_with_signals_or_without(
    table: SystemProcessTable, sleeper: ProcessIdentity
) -> None:
    """The signal that does nothing does nothing; and whoever is ended is signalled no more."""
    told = []
    for signum, option in ((0, os.WNOHANG), (SIGSTOP, os.WUNTRACED), (SIGCONT, os.WCONTINUED), (SIGKILL, 0)):
        assert table.signal(sleeper, signum)
        told.append(os.waitpid(sleeper.pid, option)[1])

    assert told[0] == 0
    assert os.WIFSTOPPED(told[1])
    assert os.WIFCONTINUED(told[2])
    assert os.WIFSIGNALED(told[3])
    assert table.signal(sleeper, SIGKILL) is False


def test_without_signals_a_process_that_would_not_hear_one_ends() -> None:
    """Whatever it does about a signal, it is not asked."""
    table = SystemProcessTable(signals=False)
    with subprocess.Popen(["sh", "-c", "trap '' TERM; echo; exec sleep 60"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        identity = table.identify(process.pid)
        assert identity is not None
        for one in reversed(table.tree(identity)):
            assert table.signal(one, signal.SIGTERM)

        assert process.wait(10) != 0


def test_the_first_process_is_never_signalled(table: SystemProcessTable) -> None:
    """Not even with the signal that does nothing."""
    first = table.identify(1)

    assert first is not None
    assert table.signal(first, 0) is False


def test_this_process_knows_itself_and_its_host(table: SystemProcessTable) -> None:
    """The same each time it is asked."""
    assert table.me() == table.me()
    assert table.me().pid == os.getpid()
    assert table.liveness(table.me()) is Liveness.ALIVE
    assert table.host()
    assert table.boot_id() == SystemProcessTable().boot_id()


@pytest.mark.skipif(not pidfd_works(), reason="this kernel tells of no process by a descriptor")
def test_the_end_of_a_watched_process_is_told_once(table: SystemProcessTable, sleeper: ProcessIdentity) -> None:
    """A wait ends by it; a zombie has ended, too."""
    deaths = table.deaths()
    assert deaths.watch(sleeper)
    assert deaths.watch(sleeper)
    assert not SystemClock().wait(0, deaths)
    assert deaths.take() == []

    os.kill(sleeper.pid, signal.SIGKILL)

    assert SystemClock().wait(30, deaths)
    assert deaths.take() == [sleeper]
    assert deaths.take() == []
    assert not SystemClock().wait(0, deaths)
    deaths.close()


@pytest.mark.skipif(not pidfd_works(), reason="this kernel tells of no process by a descriptor")
def test_whoever_is_not_watched_any_more_ends_no_wait(table: SystemProcessTable, sleeper: ProcessIdentity) -> None:
    """Dropped twice without harm."""
    deaths = table.deaths()
    deaths.watch(sleeper)
    deaths.drop(sleeper)
    deaths.drop(sleeper)
    os.kill(sleeper.pid, signal.SIGKILL)

    assert gone(table, sleeper.pid)
    assert not SystemClock().wait(0, deaths)
    deaths.close()


def test_a_process_that_has_ended_or_never_was_cannot_be_watched(
    table: SystemProcessTable, sleeper: ProcessIdentity
) -> None:
    """Nobody else who has its pid is watched in its place; and descriptors are given back."""
    deaths = table.deaths()
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    assert not deaths.watch(ProcessIdentity(sleeper.pid, sleeper.started + 5, sleeper.boot_id))
    assert not deaths.watch(ProcessIdentity(sleeper.pid, sleeper.started, "another boot"))
    assert sys.platform != "linux" or len(os.listdir("/proc/self/fd")) == before
    deaths.close()


@pytest.mark.skipif(not pidfd_works(), reason="this kernel tells of no process by a descriptor")
def test_watching_processes_leaves_descriptors_to_everybody_else(sleeper: ProcessIdentity) -> None:
    """Where the process may have few, nobody is watched: commands and files come first."""
    resource = pytest.importorskip("resource")
    table = SystemProcessTable()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    deaths = table.deaths()
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        watched = deaths.watch(sleeper)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        deaths.close()

    assert not watched


WITHOUT_DESCRIPTORS = """
import os, resource
from backends.processes import SystemProcessTable

table = SystemProcessTable()
me, full = table.me(), table.deaths()
taken = os.dup(0)
resource.setrlimit(resource.RLIMIT_NOFILE, (taken, taken))
print(table.deaths().watch(me), full.watch(me))
"""


@pytest.mark.skipif(not pidfd_works(), reason="this kernel tells of no process by a descriptor")
def test_without_a_descriptor_left_nobody_is_watched_and_nothing_is_raised(table: SystemProcessTable) -> None:
    """Whoever asked looks then."""
    done = table.run((sys.executable, "-c", WITHOUT_DESCRIPTORS), timeout_s=60)

    assert (done.status, done.stdout) == (0, b"False False\n"), done.stderr.decode()


@pytest.mark.skipif(not pidfd_works(), reason="this kernel tells of no process by a descriptor")
def test_a_process_that_the_kernel_takes_no_watch_for_is_not_watched(
    table: SystemProcessTable, sleeper: ProcessIdentity
) -> None:
    """There is a limit to their number; the descriptor of the process is given back."""
    deaths = table.deaths()
    assert isinstance(deaths, _PidfdDeaths)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), deaths._epoll.fileno())
    before = len(os.listdir("/proc/self/fd"))

    assert not deaths.watch(sleeper)
    assert len(os.listdir("/proc/self/fd")) == before
    deaths.close()
