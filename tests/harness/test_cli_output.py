"""How commands speak: to a terminal, into a pipe, to nobody."""

from __future__ import annotations

import ast
import errno
import io
from pathlib import Path

import pytest

import harness
from harness.agents import plan_of, task, works
from harness.commands.host import Host, forgiving
from harness.commands.output import Output, OutputGone
from harness.commands.signs import PLAIN_SIGNS
from harness.commands.staged import CommandLine
from harness.dashboard.render import GLYPHS, PHASE_GLYPHS
from harness.engine.core import STOP_FILE
from harness.record import RunStatus
from harness.world import FakeWorld

MODULES = Path(harness.__file__).parent


class Terminal(io.StringIO):
    """A standard output that somebody looks at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class Broken(io.StringIO):
    """A standard output that takes nothing any more once it was written to `patience` times."""

    def __init__(self, code: int, patience: int = 0) -> None:
        super().__init__()
        self.code = code
        self.patience = patience

    def write(self, text: str) -> int:
        """Take it, or fail."""
        self.patience -= 1
        if self.patience < 0:
            raise OSError(self.code, "it is gone")
        return super().write(text)


@pytest.fixture
def seamripper() -> CommandLine:
    """A simulated host with one plan."""
    made = CommandLine(FakeWorld())
    made.plan(plan_of(task("1-1", works(3).then_completes()), project=str(made.world.project)))
    return made


def host(seamripper: CommandLine, stdout: io.StringIO, **environment: str) -> Host:
    """The host with that standard output."""
    return seamripper.host(stdout=stdout, environment={"TERM": "xterm-256color", **environment})


def test_a_pipe_gets_plain_lines(seamripper: CommandLine) -> None:
    """No escape sequence, no padding, no line broken at a width."""
    out = io.StringIO()
    Output(host(seamripper, out, FORCE_COLOR="1")).say("x" * 300 + "  ", "bold red")

    assert out.getvalue() == "x" * 300 + "\n"


def test_a_terminal_gets_colours_unless_it_asked_for_none(seamripper: CommandLine) -> None:
    """NO_COLOR takes the colours away, a dumb terminal all of it."""
    shown = {}
    for name, environment in {"plain": {}, "none": {"NO_COLOR": "1"}, "dumb": {"TERM": "dumb"}}.items():
        out = Terminal()
        Output(host(seamripper, out, **environment)).say("red", "red")
        shown[name] = out.getvalue()

    assert shown["plain"] == "\x1b[31mred\x1b[0m\n"
    assert "\x1b[31m" not in shown["none"]
    assert shown["dumb"] == "red\n"


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_a_run_on_a_terminal_shows_its_tasks_while_it_goes_on(
    seamripper: CommandLine, environment: dict[str, str]
) -> None:
    """The table is there with every phase it went through, the cursor is given back, and the end is told."""
    out = Terminal()
    known = {"SEAMRIPPER_ROOT": str(seamripper.root), "TERM": "xterm-256color", **environment}
    answer = seamripper("run", "plan.toml", stdout=out, environment=known)

    assert answer.code == 0
    for word in ("▶ running", "✔ done", "0/1 done", "1/1 done", "session-started", "Ctrl-C stops it", "FINISHED"):
        assert word in answer.stdout
    assert answer.stdout.rindex("\x1b[?25h") > answer.stdout.rindex("\x1b[?25l")
    assert ("\x1b[36m" in answer.stdout) is not bool(environment)


def test_a_run_that_is_to_stop_gracefully_says_so_on_its_terminal(seamripper: CommandLine) -> None:
    """Whoever watches it learns why nothing new begins."""
    disk = seamripper.world.disk
    known = {"SEAMRIPPER_ROOT": str(seamripper.root), "TERM": "xterm-256color"}
    seamripper.world.at(1, lambda: disk.write(seamripper.root / "watched" / STOP_FILE, b""))

    answer = seamripper("run", "plan.toml", "--run-id", "watched", stdout=Terminal(), environment=known)

    assert "stops when its sessions have ended" in answer.stdout


def test_a_dumb_terminal_gets_a_line_an_event(seamripper: CommandLine) -> None:
    """What cannot be drawn over is not drawn: no escape sequence, and nothing is missing."""
    known = {"SEAMRIPPER_ROOT": str(seamripper.root), "TERM": "dumb"}
    answer = seamripper("run", "plan.toml", stdout=Terminal(), environment=known)

    assert "session-started task=1-1" in answer.stdout
    assert "\x1b" not in answer.stdout


@pytest.mark.parametrize("patience", [0, 1, 5])
@pytest.mark.parametrize("code", [errno.EPIPE, errno.EIO])
def test_a_run_outlives_its_terminal(seamripper: CommandLine, code: int, patience: int) -> None:
    """Whoever watched has gone: the run goes on, and ends as it would have."""
    answer = seamripper("run", "plan.toml", stdout=Broken(code, patience))

    assert (answer.code, answer.stderr) == (0, "")
    assert seamripper("status", "--json").document["run"]["status"] == RunStatus.FINISHED


def test_a_reader_that_has_seen_enough_is_no_error(seamripper: CommandLine) -> None:
    """As in `seamripper list | head -0`: quiet, with the exit code of a broken pipe."""
    seamripper("run", "plan.toml")

    answer = seamripper("list", stdout=Broken(errno.EPIPE))

    assert (answer.code, answer.stderr) == (141, "")


def test_output_that_cannot_be_written_is_one_line(seamripper: CommandLine) -> None:
    """A full disk behind the redirection is said, not hidden."""
    answer = seamripper("backends", stdout=Broken(errno.ENOSPC))

    assert answer.code == 1
    assert answer.stderr == "error: standard output cannot be written: it is gone; nothing else was done\n"


def test_a_dry_run_that_cannot_be_written_is_not_taken_for_a_check_that_passed(seamripper: CommandLine) -> None:
    """Nothing was to be done but to say something, and nobody has read it."""
    answer = seamripper("run", "plan.toml", "--dry-run", stdout=Broken(errno.ENOSPC))

    assert (answer.code, "cannot be written" in answer.stderr) == (1, True)


def test_what_is_gone_is_closed_and_not_tried_again(seamripper: CommandLine) -> None:
    """Otherwise the interpreter would complain about it on its way out."""
    out = Broken(errno.EPIPE)
    lasting = Output(host(seamripper, out), lasting=True)
    lasting.say("a")
    lasting.say("b")

    assert out.closed
    with pytest.raises(OutputGone):
        Output(host(seamripper, Broken(errno.EPIPE))).say("a")


def test_a_standard_error_that_is_gone_changes_no_exit_code(seamripper: CommandLine) -> None:
    """The complaint is lost, what it is about is not."""
    assert seamripper("resume", "nope", stderr=Broken(errno.EPIPE)).code == 2
    assert seamripper("run", "plan.toml", "--json", stderr=Broken(errno.EPIPE)).code == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_where_there_is_no_unicode_signs_are_plain_and_columns_stay(seamripper: CommandLine, encoding: str) -> None:
    """One sign for one sign; what is not ours is escaped, and nothing fails."""
    seamripper("run", "plan.toml")
    raw = io.BytesIO()
    out = forgiving(io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    for words in (("list",), ("status",)):
        assert seamripper(*words, stdout=out).code == 0
    Output(seamripper.host(stdout=out)).say("✖ \u4e2d")

    told, usual = raw.getvalue().decode(encoding), seamripper("list").stdout + seamripper("status").stdout
    plain = "".join(PLAIN_SIGNS.get(one, one) if not encodable(one, encoding) else one for one in usual)
    assert told == f"{plain}x \\u4e2d\n"
    assert told.startswith("+ FINISHED")


def encodable(text: str, encoding: str) -> bool:
    """Whether that encoding has it."""
    return text.encode(encoding, "ignore") != b""


def test_every_sign_that_a_command_may_show_has_a_plain_one() -> None:
    """Whatever stands in a text of ours that is printed; pages and the dashboard are no lines."""
    printed = [*MODULES.glob("commands/*.py"), *MODULES.glob("conformance/report_*.py"), MODULES / "probe.py"]
    printed += [MODULES / "dashboard" / "render.py", MODULES / "engine" / "summary.py"]
    nodes = [node for path in printed for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    signs = {one for text in texts for one in text if not one.isascii()}

    assert signs - {*PLAIN_SIGNS} == set()
    assert {*GLYPHS.values(), *PHASE_GLYPHS.values()} - {*PLAIN_SIGNS} == {"?", "!"}
