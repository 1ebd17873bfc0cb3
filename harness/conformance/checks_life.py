"""L2: a whole life on the real binary: sessions, windows, options, logs and ends, each of them what it says it is."""

from __future__ import annotations

from collections.abc import Iterator

from backends.operations import WindowExit
from harness.conformance.bench import Bench
from harness.conformance.listing import Listing
from harness.conformance.results import Level

__all__ = ["LIFE"]

LIFE = Listing(Level.L2)

_CONTRACT = "contract.md, table of operations"


@LIFE.check(
    "SEAM-LIFE-001",
    "a session that was made exists",
    expected="has_session says yes, list_sessions names it, it has one window, and a second one of its name is refused",
    why="everything else is built on it",
    source=_CONTRACT,
)
def session_exists(bench: Bench) -> Iterator[str]:
    """What is wrong with a new session."""
    bench.session()
    if not bench.do("has_session", "run-1"):
        yield "has_session says no to a session that was just made"
    if (listed := bench.do("list_sessions")) != ["run-1"]:
        yield f"list_sessions answered {listed!r:.80}"
    if len(windows := bench.windows()) != 1:
        yield f"it has {len(windows)} windows instead of one"
    again = bench.attempt(bench.mux, "new_session", "run-1", str(bench.world.project))
    if not bench.knows_of(again.error):
        yield f"{again} for a name that is taken"


@LIFE.check(
    "SEAM-LIFE-002",
    "a window that was made exists, once, under the id that was answered",
    expected="exactly one more window is listed, under that id and that name, and it is alive",
    why="an id that is lost, or a second window, is an agent that nobody watches",
    source=_CONTRACT,
)
def window_exists(bench: Bench) -> Iterator[str]:
    """What is wrong with a new window."""
    bench.session()
    before = bench.windows()
    made = bench.idle("agent")
    after = bench.windows()
    if sorted(after) != sorted([*before, made]):
        yield f"new_window answered {made!r}; {len(after) - len(before)} windows came: {after!r:.80}"
    if not bench.do("window_alive", "run-1", made):
        yield "window_alive says no to a window that was just made"
    rows = bench.do("list_windows", "run-1", ("window_id", "window_name"))
    if (made, "agent") not in rows:
        yield f"list_windows does not have ({made!r}, 'agent'): {rows!r:.120}"


@LIFE.check(
    "SEAM-LIFE-003",
    "what is not there is told as absent by a healthy server",
    expected="has_session and window_alive say no, list_window_ids answers []",
    why="who never says absent never finds out that an agent died",
    source="contract.md, rules 4 and 5",
)
def absent(bench: Bench) -> Iterator[str]:
    """What is claimed of things that are not there."""
    bench.session()
    if bench.do("has_session", "other"):
        yield "has_session says yes to a session that was never made"
    if found := bench.do("list_window_ids", "other"):
        yield f"list_window_ids answered {found!r:.80} for a session that was never made"
    if bench.do("window_alive", "run-1", "@99999"):
        yield "window_alive says yes to an id that was never answered"


@LIFE.check(
    "SEAM-LIFE-004",
    "options hold any text, of exactly what they were set on",
    expected="session and window options are read as they were written, and read as unset once they were unset",
    why="runs find their own sessions and windows by them",
    source=_CONTRACT,
)
def options(bench: Bench) -> Iterator[str]:
    """What became of options."""
    bench.session()
    window = bench.idle()
    for text in ("demo", "two words", 'q"$HOME#{pid};', "größer"):
        bench.do("set_session_option", "run-1", "@project", text)
        if (found := bench.do("session_options", "@project")) != {"run-1": text}:
            yield f"session option {text!r} is read as {found!r:.80}"
        bench.do("set_window_option", window, "@token", text)
        if (read := bench.do("show_window_option", window, "@token")) != text:
            yield f"window option {text!r} is read as {read!r:.80}"
    bench.do("unset_window_option", window, "@token")
    if read := bench.do("show_window_option", window, "@token"):
        yield f"an option that was unset is read as {read!r:.80}"


@LIFE.check(
    "SEAM-LIFE-005",
    "what a window prints is appended to its log",
    expected="the file has what was there before, then what the window printed",
    why="after a crash the log is all that is left of an agent",
    source=_CONTRACT,
)
def logs(bench: Bench) -> Iterator[str]:
    """What is wrong with a log."""
    bench.session()
    log = bench.world.project / "a log"
    bench.world.disk.write(log, b"before\n")
    window = bench.window("cat")
    bench.do("pipe_pane", window, str(log))
    bench.do("send_text", window, "printed")
    if not bench.eventually(lambda: b"printed" in bench.read(log)):
        yield "what the window printed did not arrive in the file"
    if not bench.read(log).startswith(b"before\n"):
        yield "what stood in the file before is gone"


@LIFE.check(
    "SEAM-LIFE-006",
    "a window that was selected is the current one",
    expected="window_active is 1 for it and for no other",
    why="people are shown the window that they asked for",
    source=_CONTRACT,
)
def selecting(bench: Bench) -> Iterator[str]:
    """Which window is current after one was selected."""
    bench.session()
    made = bench.idle()
    other = bench.idle()
    for wanted in (made, other):
        bench.do("select_window", wanted)
        rows = bench.do("list_windows", "run-1", ("window_id", "window_active"))
        if [row[0] for row in rows if row[1] == "1"] != [wanted]:
            yield f"{wanted} was selected, and the windows are {rows!r:.120}"


@LIFE.check(
    "SEAM-LIFE-007",
    "a window whose command has ended is not alive",
    expected="window_alive says no soon after the command ended",
    why="a dead agent has to be noticed within two polls",
    source="contract.md, rule 5",
)
def ended(bench: Bench) -> Iterator[str]:
    """What is claimed of a window whose command has ended."""
    bench.session()
    made = bench.window("sh", "-c", "exit 3")
    if not bench.eventually(lambda: not bench.do("window_alive", "run-1", made)):
        yield "window_alive still says yes"


@LIFE.check(
    "SEAM-LIFE-008",
    "a dead window tells how it died",
    expected="window_exit answers exit 3 for a command that ended with status 3",
    why="the difference between a crash and an end is its exit status",
    source="contract.md, rule 5: remain-on-exit",
    needs=("window_exit",),
)
def exit_status(bench: Bench) -> Iterator[str]:
    """What is told of how a window died."""
    bench.session()
    made = bench.window("sh", "-c", "exit 3")
    bench.eventually(lambda: not bench.do("window_alive", "run-1", made))
    if (found := bench.do("window_exit", made)) != WindowExit(code=3):
        yield f"window_exit answered {found!r:.80}"


@LIFE.check(
    "SEAM-LIFE-009",
    "a parked window stays when its command has ended, with its exit status",
    expected="the window is still listed, and window_exit answers exit 7",
    why="who comes back hours later still has to see how it ended",
    source="contract.md, new_parked_window",
    needs=("window_exit",),
)
def parked(bench: Bench) -> Iterator[str]:
    """What is wrong with a parked window."""
    bench.session()
    made = bench.do("new_parked_window", "run-1", "parked", str(bench.world.project), ["sh", "-c", "exit 7"], "@return")
    if not bench.eventually(lambda: bench.do("window_exit", made) is not None):
        yield "window_exit never told how its command ended"
    elif (found := bench.do("window_exit", made)) != WindowExit(code=7):
        yield f"window_exit answered {found!r:.80}"
    if made not in bench.windows():
        yield "the window is gone"


@LIFE.check(
    "SEAM-LIFE-010",
    "the pids of a window are those of its processes",
    expected="window_pids answers one pid, of a living process, and another one for another window",
    why="leftovers are found, and signals sent, by them",
    source="contract.md, optional operations",
    needs=("window_pids",),
)
def pids(bench: Bench) -> Iterator[str]:
    """What is wrong with the pids of windows."""
    bench.session()
    found = [bench.do("window_pids", bench.idle()) for _ in range(2)]
    for pids_of_one in found:
        if len(pids_of_one) != 1 or bench.world.processes.identify(pids_of_one[0]) is None:
            yield f"window_pids answered {pids_of_one!r:.80}, no one living process"
    if found[0] == found[1]:
        yield f"two windows have the same pids: {found[0]!r:.80}"


@LIFE.check(
    "SEAM-LIFE-011",
    "the identity of the server stays the same while it lives",
    expected="server_identity answers one identity twice, with the pid of a living process",
    why="window ids mean something only together with it",
    source="tmux-facts.md: ids restart at 0 with a new server",
    needs=("server_identity",),
)
def identity(bench: Bench) -> Iterator[str]:
    """What is wrong with the identity of the server."""
    bench.session()
    first, second = bench.do("server_identity"), bench.do("server_identity", mux=bench.make())
    if first is None or first != second:
        yield f"server_identity answered {first!r}, then {second!r}"
    elif bench.world.processes.identify(first.pid) is None:
        yield f"no process {first.pid} lives"


@LIFE.check(
    "SEAM-LIFE-012",
    "one question about many windows says what a question about each says",
    expected="batch_liveness answers the ids of exactly the windows that are alive",
    why="a thousand windows cannot be asked about one by one",
    source="tmux-facts.md, cost",
    needs=("batch_liveness",),
)
def batch(bench: Bench) -> Iterator[str]:
    """Where the one answer differs from the many."""
    bench.session()
    alive, dead = bench.idle(), bench.window("true")
    bench.eventually(lambda: not bench.do("window_alive", "run-1", dead))
    wanted = {window for window in bench.windows() if bench.do("window_alive", "run-1", window)}
    found = bench.do("batch_liveness", "run-1")
    if found != wanted or alive not in found:
        yield f"batch_liveness answered {sorted(found)}, window_alive says yes to {sorted(wanted)}"


@LIFE.check(
    "SEAM-SELF-001",
    "the backend says what it runs",
    expected="version answers the first line that its binary prints for -V",
    why="what is known of a multiplexer is known of a version of it",
    source="tmux-versions.md",
    needs=("host.binary",),
)
def says_what_it_runs(bench: Bench) -> Iterator[str]:
    """Where the backend calls itself something else."""
    said, printed = bench.do("version"), bench.version_line()
    if said != printed:
        yield f"version answered {said!r:.80}, its binary prints {printed!r:.80}"


@LIFE.check(
    "SEAM-KILL-001",
    "a window that was killed is gone, and no other",
    expected="the window is gone for everybody who looks, the others stay, and killing it again is fine",
    why="a window that is left is an agent that goes on working",
    source="contract.md, best-effort changes",
)
def kill_window(bench: Bench) -> Iterator[str]:
    """What is left after a window was killed, and what is not."""
    bench.session()
    doomed, kept = bench.idle(), bench.idle()
    bench.do("kill_window", doomed)
    left = bench.windows(mux=bench.make())
    if doomed in left:
        yield "the window is still listed"
    if kept not in left:
        yield "another window is gone with it"
    bench.do("kill_window", doomed)


@LIFE.check(
    "SEAM-KILL-002",
    "a session that was killed is gone, and no other",
    expected="the session is gone for everybody who looks, the others stay, and killing it again is fine",
    why="whoever says that it was killed is believed, and the run is torn down",
    source="contract.md, best-effort changes",
)
def kill_session(bench: Bench) -> Iterator[str]:
    """What is left after a session was killed, and what is not."""
    bench.session()
    bench.session("kept")
    bench.do("kill_session", "run-1")
    left = bench.do("list_sessions", mux=bench.make())
    if left != ["kept"]:
        yield f"the sessions that are left are {left!r:.80}"
    if bench.do("has_session", "run-1"):
        yield "has_session still says yes"
    bench.do("kill_session", "run-1")
