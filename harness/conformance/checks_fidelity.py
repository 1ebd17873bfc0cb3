"""L2: what is given arrives where it was meant to: exact targets, typed text, environment, directories, names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from harness.conformance.bench import Bench, CannotCheck
from harness.conformance.listing import Listing
from harness.conformance.results import Level
from harness.conformance.troubles import shown_argv

__all__ = ["FIDELITY"]

FIDELITY = Listing(Level.L2)

_RULE_6 = "contract.md, rule 6; tmux-facts.md: has-session -t run-1 succeeds when only run-10 exists"


@FIDELITY.check(
    "SEAM-TARGET-001",
    "no question about a session reaches another one whose name begins alike",
    expected="while only run-10 exists, has_session('run-1') says no and list_window_ids('run-1') is []",
    why="run-1 would be taken for alive because of run-10",
    source=_RULE_6,
)
def prefix_asked(bench: Bench) -> Iterator[str]:
    """What is told of a session by another one's name."""
    bench.session("run-10")
    if bench.do("has_session", "run-1"):
        yield "has_session('run-1') says yes, and only run-10 exists"
    if found := bench.do("list_window_ids", "run-1"):
        yield f"list_window_ids('run-1') answered {found!r:.80}, and only run-10 exists"


@FIDELITY.check(
    "SEAM-TARGET-002",
    "no change of a session reaches another one whose name begins alike",
    expected="while only run-10 exists, killing run-1 leaves it, and options and windows of run-1 are refused",
    why="the teardown of one run would end another one",
    source=_RULE_6,
)
def prefix_changed(bench: Bench) -> Iterator[str]:
    """What became of a session when another one was meant."""
    bench.session("run-10")
    before = bench.windows("run-10")
    place = str(bench.world.project)
    calls: tuple[tuple[Any, ...], ...] = (
        ("set_session_option", "run-1", "@project", "demo"),
        ("new_window", "run-1", "agent", place, {}, "sleep 1000"),
    )
    for call in calls:
        answer = bench.attempt(bench.mux, *call)
        if not bench.knows_of(answer.error):
            yield f"{answer} for run-1, and only run-10 exists"
    if bench.do("session_options", "@project"):
        yield "an option of run-1 was set on run-10"
    if bench.windows("run-10") != before:
        yield "a window of run-1 was made in run-10"
    bench.do("kill_session", "run-1")
    if "run-10" not in bench.do("list_sessions", mux=bench.make()):
        yield "kill_session('run-1') killed run-10"


@FIDELITY.check(
    "SEAM-TARGET-003",
    "a window is addressed exactly by its name",
    expected="target('run-1', 'agent') reaches the window agent and never agent-2",
    why="text for one agent would be typed to another one",
    source=_RULE_6,
    needs=("target",),
)
def windows_by_name(bench: Bench) -> Iterator[str]:
    """What became of a window when another one was meant."""
    bench.session()
    other = bench.idle("agent-2")
    target = bench.do("target", "run-1", "agent")
    bench.do("kill_window", target)
    if other not in bench.windows():
        yield f"kill_window({target!r}) killed agent-2, and there is no agent"
    made = bench.idle("agent")
    bench.do("set_window_option", target, "@token", "x")
    found = [bench.do("show_window_option", one, "@token") for one in (made, other)]
    if found != ["x", ""]:
        yield f"an option of {target!r} is read of agent and agent-2 as {found}"


_HOSTILE = ("", "..", "a/b", "a\nb", "-x", ".hidden", "#(true)", "a:b", "=a", "@1", "x" * 300, "a b", "a.b", "$1")


@FIDELITY.check(
    "SEAM-NAME-001",
    "a session gets exactly the name that was asked for, or none",
    expected="names that the multiplexer would change, expand or take for something else are refused, or are there literally",
    why="a session under another name is one that nobody finds again",
    source="contract.md, rule 6; tmux-facts.md: `.` and `:` are rewritten to `_`, names are expanded as formats",
)
def hostile_names(bench: Bench) -> Iterator[str]:
    """Names that became other ones."""
    bench.session("witness")
    for name in _HOSTILE:
        answer = bench.attempt(bench.mux, "new_session", name, str(bench.world.project))
        there = bench.do("list_sessions")
        others = [one for one in there if one not in (name, "witness")]
        refused = bench.knows_of(answer.error)
        if answer.late or (answer.error is not None and not refused):
            yield f"{answer} for {name!a:.40}"
        elif others or (refused and name in there) or (not refused and name not in there):
            yield f"{answer} for {name!a:.40}, and the sessions are {there!a:.120}"
        for one in there:
            if one != "witness":
                bench.attempt(bench.mux, "kill_session", one)


def _arrives(text: str, bench: Bench) -> Iterator[str]:
    bench.session()
    window, typed = bench.recorder()
    wanted = text.encode() + b"\n"
    bench.do("send_text", window, text)
    bench.eventually(lambda: len(typed()) >= len(wanted))
    # Enter of a second text shows what came late, or twice.
    bench.do("send_text", window, "end")
    bench.eventually(lambda: typed().endswith(b"end\n"))
    found = typed()
    if found != wanted + b"end\n":
        lost = next(
            (at for at, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), min(len(found), len(wanted))
        )
        yield (
            f"{len(wanted)} bytes with Enter were due before the next text, {len(found) - 4} came; they differ from byte"
            f" {lost} on: {found[lost : lost + 30]!r}"
        )


_TEXTS: tuple[tuple[str, str, str], ...] = (
    ("plain text", "hello agent", "it is what everything else is made of"),
    ("a `;` at the end", "first; second;", "tmux takes a final `;` for the end of a command, and drops it"),
    ("a `-` at the beginning", "-t @1", "it would be taken for an option"),
    ("newlines and tabs", "one\n\ttwo\n\nthree\t", "a prompt has several lines"),
    ("what is no ASCII", "schön 👩‍🔬 漢字", "a C locale turns it into `_`"),
    ("10,000 characters", "0123456789" * 1000, "what is typed as an argument of a command has a limit"),
    (
        "what looks like formats, quotes and keys",
        "#{pid} #(true) %H 'it' \"$HOME\" `id` \\n Enter C-c",
        "nothing is expanded",
    ),
)

for _number, (_what, _text, _reason) in enumerate(_TEXTS, 1):
    FIDELITY.add(
        f"SEAM-TEXT-{_number:03d}",
        f"typed text arrives byte for byte: {_what}",
        partial(_arrives, _text),
        expected="the program in the window reads exactly what was sent, then one Enter",
        why=_reason,
        source="contract.md, rule 7; tmux-facts.md, send-keys",
        needs=("text.long",) if "10,000" in _what else (),
    )


@FIDELITY.check(
    "SEAM-TEXT-008",
    "control bytes are refused before anything is typed",
    expected="escape, Ctrl-C, return, delete and NUL are refused with the backend's own error, and nothing arrives",
    why="a Ctrl-C in a prompt kills the agent",
    source="contract.md, rule 7; tmux-facts.md: a raw \\x03 typed with -l kills the target",
)
def control_bytes(bench: Bench) -> Iterator[str]:
    """Control bytes that were typed."""
    bench.session()
    window, typed = bench.recorder()
    for text in ("a\x03b", "a\x1b[Ab", "a\rb", "a\x7fb", "a\0b"):
        answer = bench.attempt(bench.mux, "send_text", window, text)
        if not bench.knows_of(answer.error):
            yield f"{answer} for {text!a}, where it had to be refused"
    bench.do("send_text", window, "end")
    bench.eventually(lambda: typed().endswith(b"end\n"))
    if typed() != b"end\n":
        yield f"what was refused arrived: {typed()!r:.80}"


def _arrived(bench: Bench, script: str, *, cwd: str | None = None, **env: str) -> str | None:
    """What a window with that shell line wrote to `$OUT`; `None` if it never wrote."""
    out = bench.world.project / f"out{len(bench.kept)}"
    bench.kept[out] = True
    bench.window("sh", "-c", f'{script} > "$OUT"; sleep 1000', cwd=cwd, env={**env, "OUT": str(out)})
    bench.eventually(lambda: bench.world.disk.info(out) is not None and bool(bench.read(out)))
    return bench.read(out).decode("utf-8", "backslashreplace") or None


@FIDELITY.check(
    "SEAM-ENV-001",
    "the environment of a window reaches its command",
    expected="variables are set in the command, with exactly the values that were given",
    why="an agent finds its task, its token and its keys there",
    source="contract.md, rule 8",
)
def environment(bench: Bench) -> Iterator[str]:
    """Variables that came as something else."""
    bench.session()
    for value in ("plain", "two words", 'it\'s "$HOME" `id` \\n;', "#{pid} #(true)", "größer", "one\ntwo"):
        found = _arrived(bench, 'printf %s "$TOKEN"', TOKEN=value)
        if found != value:
            yield f"{value!r} arrived as {found!r:.80}"


@FIDELITY.check(
    "SEAM-ENV-002",
    "the environment of a window stands in no command line",
    expected="no client that is run for new_window has the value among its arguments",
    why="secrets in an argv can be read by everybody on the host",
    source="contract.md, rule 8; tmux-facts.md: -e K=V stays readable for the server's whole life",
    needs=("clients",),
)
def environment_unseen(bench: Bench) -> Iterator[str]:
    """Command lines that show the environment."""
    bench.session()
    secret = "s3cret-of-the-kit-in-the-environment"
    place = str(bench.world.project)
    answer, shown = shown_argv(bench, "new_window", "run-1", "agent", place, {"TOKEN": secret}, "sleep 1000")
    if not shown:
        raise CannotCheck("no client was seen at all: run every one by the `transport` that its factory is given")
    if answer.error is not None:
        yield f"{answer}"
    if secret in shown:
        yield "a client of new_window has the environment among its arguments"


_PLACES: tuple[str, ...] = ("plain", "a b", "ends in ;", "it's #(touch sprung) %H $HOME")


@FIDELITY.check(
    "SEAM-CWD-001",
    "a window starts in exactly its directory",
    expected="the command runs in the directory that was given, whatever its name looks like, and nothing in it is executed",
    why="an agent that works in another directory changes somebody else's files",
    source="tmux-facts.md: -c is expanded as a format, a final `;` is dropped",
)
def directory(bench: Bench) -> Iterator[str]:
    """Windows that started somewhere else."""
    bench.session()
    for name in _PLACES:
        place = bench.world.project / name
        bench.world.disk.mkdir(place)
        found = _arrived(bench, "pwd", cwd=str(place))
        if found != f"{place}\n":
            yield f"{name!r} was asked for, and it ran in {found!r:.120}"
    if any(bench.world.disk.info(where / "sprung") is not None for where in _around(bench)):
        yield "a command in the name of a directory was executed"


def _around(bench: Bench) -> Iterator[Path]:
    yield bench.world.project
    for name in _PLACES:
        yield bench.world.project / name


@FIDELITY.check(
    "SEAM-CWD-002",
    "in a directory that is missing nothing runs",
    expected="the command does not run somewhere else; the window says so by its end, or new_window by an error",
    why="tmux runs it in another directory, with status 0",
    source="contract.md, rule 5: `cd -- DIR || exit 126`",
)
def missing_directory(bench: Bench) -> Iterator[str]:
    """Commands that ran where they must not."""
    bench.session()
    out = bench.world.project / "elsewhere"
    missing = bench.world.project / "missing"
    _lose(bench, str(missing))
    line = f"sh -c 'pwd > {out}; sleep 1000'"
    answer = bench.attempt(bench.mux, "new_window", "run-1", "agent", str(missing), {}, line)
    if answer.error is not None and bench.knows_of(answer.error):
        return
    dead = str(answer.value)
    bench.eventually(lambda: bool(bench.read(out)) or not bench.do("window_alive", "run-1", dead))
    if bench.read(out):
        yield f"it ran in {bench.read(out).decode().strip()!r:.80}"


def _lose(bench: Bench, path: str) -> None:
    """Let a simulated host, on which every directory exists, know of one that does not."""
    server = getattr(bench.world, "server", None)
    missing = getattr(server, "missing_dirs", None)
    if isinstance(missing, set):
        missing.add(path)
