"""The shell of simulated windows."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass

import pytest

from backends.clock import VirtualClock
from backends.fake import FakeMultiplexer
from backends.operations import WindowExit
from backends.simulated_shell import ShellSyntaxError, read_tokens, redirected_to


@dataclass(frozen=True)
class Ran:
    """A script in a window, after a minute."""

    mux: FakeMultiplexer
    window: str

    @property
    def how(self) -> WindowExit | None:
        """How it ended, if it did."""
        return self.mux.window_exit(self.window)

    @property
    def output(self) -> str:
        """What it printed."""
        disk = self.mux.server.disk
        return "" if disk.info("/log") is None else disk.read("/log").decode()

    def type(self, text: str) -> None:
        """Type a line, and give it time."""
        self.mux.send_text(self.window, text)
        self.mux.clock.sleep(60)


def run(script: str | None, **env: str) -> Ran:
    """`sh -c script`, or an interactive shell."""
    mux = FakeMultiplexer(clock=VirtualClock())
    mux.new_session("run-1", "/")
    command = "sh" if script is None else f"sh -c {shlex.quote(script)}"
    window = mux.new_window("run-1", "w", "/sim/work", env, command)
    mux.pipe_pane(window, "/log")
    mux.server.missing_dirs.add("/missing")
    mux.clock.sleep(60)
    return Ran(mux, window)


SCRIPTS = {
    "words": 'echo "$A" $A \'$A\' "a;b" a\\;b "q\\"q" ${A}x',
    "a list": "echo one; echo two\necho three # not this",
    "conditions": "false || echo or; true && echo and; false && echo never; true || echo never",
    "status": "false; echo $?; sh -c 'exit 7'; echo $?; sh -c 'kill -TERM $$'; echo $?",
    "substitution": 'x=$(echo q; echo r); echo "$x"; echo "<$(printf \'a\\n\\n\')>"',
    "if": 'if [ -n "$A" ]; then echo set; else echo unset; fi; if [ -z "$A" ]; then echo unset; else echo set; fi',
    "tests": "[ a = a ] && echo eq; [ a != a ] || echo ne; [ x ] && echo x; test -n '' || echo none",
    "variables": "B=6; echo $B; sh -c 'echo \"<$B>\"'; export C=7; sh -c 'echo $C'; D=8 sh -c 'echo $D'",
    "printf": "printf '%s-%s\\n' a b c; printf '%d%%\\t|\\n' 5; printf plain",
    "exit": "echo before; exit 3; echo never",
    "exec": "exec sh -c 'echo other; exit 4'; echo never",
    "no such program": "no-such-program-here 2>/dev/null; echo $?",
    "colon": ": ignored; echo $?",
    "nested": "sh -c 'sh -c \"exit 5\"'",
    "comment": "# nothing",
}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a real sh to compare with")
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_does_what_a_real_shell_makes_of_it(name: str) -> None:
    """The same output and the same end."""
    real = subprocess.run(
        ["sh", "-c", SCRIPTS[name]],
        env={"PATH": "/usr/bin:/bin", "A": "v v"},
        capture_output=True,
        text=True,
        timeout=20,
    )

    simulated = run(SCRIPTS[name], A="v v")

    assert simulated.how == WindowExit(code=real.returncode)
    printed = simulated.output.replace("no-such-program-here: not found\n", "")
    assert printed == real.stdout


def test_a_directory_is_entered_or_the_way_out_is_taken() -> None:
    """The line that every launched window begins with."""
    assert run("cd -- /missing || exit 126; exec sleep 60").how == WindowExit(code=126)
    entered = run("cd -- /other || exit 126; pwd; exec sleep 600")
    assert entered.output == "/other\n"
    assert not entered.how


def test_output_goes_to_a_file_where_it_is_sent() -> None:
    """`>` makes it anew, `>>` appends, `/dev/null` keeps nothing."""
    ran = run("echo one > /f; echo two > /f; echo three >> /f; echo x > /dev/null; echo y > /no/such")

    assert ran.mux.server.disk.read("/f") == b"two\nthree\n"
    assert ran.output == "sh: cannot create /no/such: No such file or directory\n"


def test_nothing_is_done_after_the_end() -> None:
    """Neither after an exit nor after a signal."""
    for end in ("exit 3", "kill -KILL $$"):
        assert run(f"{end}; echo never > /f").mux.server.disk.info("/f") is None


def test_a_child_takes_its_time() -> None:
    """The shell goes on when it has ended, whatever is typed meanwhile goes to the child."""
    ran = run("sleep 90; echo slept; cat")
    assert ran.output == ""
    ran.type("lost")
    assert ran.output == "slept\n"
    ran.type("heard")
    assert ran.output == "slept\nheard\n"


def test_a_shell_can_wait_for_a_key() -> None:
    """One line of any kind is one."""
    ran = run("echo waiting; dd bs=1 count=1 >/dev/null 2>&1; exit 9")
    assert ran.output == "waiting\n"
    assert not ran.how

    ran.type("")

    assert ran.how == WindowExit(code=9)


def test_an_ignored_hangup_is_inherited() -> None:
    """Both outlive their window."""
    ran = run("trap '' HUP; sleep 600")
    before = len(ran.mux.server.processes.running())

    ran.mux.kill_window(ran.window)

    assert len(ran.mux.server.processes.running()) == before
    ran.mux.clock.sleep(600)
    assert len(ran.mux.server.processes.running()) == before - 2


def test_a_hangup_ends_the_shell_and_what_it_runs() -> None:
    """Nothing of it remains."""
    ran = run("sh -c 'sleep 600'; echo never")
    before = len(ran.mux.server.processes.running())

    ran.mux.kill_window(ran.window)

    assert len(ran.mux.server.processes.running()) == before - 3


def test_an_interactive_shell_reads_line_after_line() -> None:
    """Also what is typed while it is busy."""
    ran = run(None)
    for line in ("A=1", "echo $A", "echo 'open", "false", "exit"):
        ran.type(line)

    assert ran.output == "1\nsh: unterminated quoted string\n"
    assert ran.how == WindowExit(code=1)


@pytest.mark.parametrize(
    "line", ["echo 'open", 'echo "open', "echo $(open", "if true; then echo", "echo | cat", "echo >"]
)
def test_what_it_cannot_read_it_refuses(line: str) -> None:
    """With the status of a syntax error, before anything was run."""
    ran = run(line)

    assert ran.how == WindowExit(code=2)
    assert ran.output.startswith("sh: ")


def test_the_file_of_a_redirection_is_found() -> None:
    """Of the first one, if it is named literally."""
    assert redirected_to("umask 077; exec cat >> '/a log'") == "/a log"
    assert redirected_to("cat > $HOME/x") is None
    assert redirected_to("cat") is None
    with pytest.raises(ShellSyntaxError):
        read_tokens("'")
