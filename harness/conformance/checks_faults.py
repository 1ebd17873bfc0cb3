"""L3: the truth while the server is frozen, killed, replaced or out of reach, and when its replies are lost."""

from __future__ import annotations

from collections.abc import Iterator

from backends.operations import OPERATIONS
from backends.posix_signals import SIGUSR1
from backends.processes import Liveness
from harness.conformance.bench import Answer, Bench
from harness.conformance.listing import Listing
from harness.conformance.places import sockets_of
from harness.conformance.results import Level
from harness.conformance.troubles import lost
from harness.world import LiveTmuxWorld

__all__ = ["TRUTH"]

TRUTH = Listing(Level.L3)

CALL_S = 1.0
"""Seconds that a call may take at a frozen server, for backends that can be told."""


def _silence(bench: Bench, answer: Answer) -> str | None:
    """What is wrong with what came of a call that nobody answered; `None` if nothing is."""
    operation = OPERATIONS[answer.operation]
    if answer.late:
        return str(answer)
    if answer.error is not None and not bench.knows_of(answer.error):
        return f"{answer}: raw"
    if operation.raises:
        if answer.error is None:
            return f"{answer}, and nobody answered"
        return None if bench.is_unknown(answer.error) else f"{answer}: a refusal, and nobody answered"
    return None if answer.error is None and answer.value == operation.sentinel() else f"{answer}, and nobody answered"


def _frozen(bench: Bench, *calls: tuple[object, ...]) -> list[Answer]:
    """What comes of the calls while the server is stopped; it goes on afterwards."""
    mux = bench.make(call_timeout_s=CALL_S)
    bench.world.freeze()
    try:
        return bench.attempts(mux, *calls)
    finally:
        bench.world.thaw()


@TRUTH.check(
    "SEAM-FROZEN-001",
    "probes of a frozen server say that they do not know",
    expected="has_session, window_alive and list_window_ids raise an error of the backend within their deadline",
    why="a frozen server is the usual reason why a healthy agent is declared dead",
    source="tmux-facts.md: a stopped server answers nothing for ever",
)
def frozen_probes(bench: Bench) -> Iterator[str]:
    """What probes claim of a frozen server."""
    bench.session()
    window = bench.idle()
    calls = (("has_session", "run-1"), ("window_alive", "run-1", window), ("list_window_ids", "run-1"))
    yield from filter(None, (_silence(bench, answer) for answer in _frozen(bench, *calls)))


@TRUTH.check(
    "SEAM-FROZEN-002",
    "courtesies and best-effort changes at a frozen server answer their sentinels",
    expected="list_sessions, session_options, show_window_option and kill_window answer their sentinels within their deadline",
    why="callers are promised that they need not handle failures",
    source="contract.md, column `when nobody answers`",
)
def frozen_courtesies(bench: Bench) -> Iterator[str]:
    """What courtesies answer at a frozen server."""
    bench.session()
    window = bench.idle()
    calls = (
        ("list_sessions",),
        ("session_options", "@project"),
        ("show_window_option", window, "@token"),
        ("kill_window", window),
    )
    yield from filter(None, (_silence(bench, answer) for answer in _frozen(bench, *calls)))


@TRUTH.check(
    "SEAM-FROZEN-003",
    "changes at a frozen server say that they were not answered, and are made once at most",
    expected="new_window, send_text and set_session_option raise; after the thaw at most one window and one text came",
    why="a timed-out change still happens: whoever makes it again has two agents on one task",
    source="tmux-facts.md: a timed-out change still happens",
)
def frozen_changes(bench: Bench) -> Iterator[str]:
    """What came of changes that a frozen server was asked for."""
    bench.session()
    window, typed = bench.recorder()
    before = bench.windows()
    place = str(bench.world.project)
    calls: tuple[tuple[object, ...], ...] = (
        ("new_window", "run-1", "late", place, {}, "sleep 1000"),
        ("send_text", window, "late"),
        ("set_session_option", "run-1", "@project", "demo"),
    )
    yield from filter(None, (_silence(bench, answer) for answer in _frozen(bench, *calls)))
    bench.do("send_text", window, "end")
    bench.eventually(lambda: typed().endswith(b"end\n"))
    if (more := len(bench.windows()) - len(before)) > 1:
        yield f"{more} windows came when the server went on"
    if typed().count(b"late") > 1:
        yield f"the text came {typed().count(b'late')} times when the server went on"


@TRUTH.check(
    "SEAM-FROZEN-004",
    "after the thaw everything is as before",
    expected="the backend that was not answered is answered again, and nothing was lost",
    why="a silence that ends must leave no trace",
    source="design.md, the fault model",
)
def thawed(bench: Bench) -> Iterator[str]:
    """What is not as it was."""
    bench.session()
    window = bench.idle()
    mux = bench.make(call_timeout_s=CALL_S)
    bench.world.freeze()
    bench.attempt(mux, "has_session", "run-1")
    bench.world.thaw()
    if not bench.do("has_session", "run-1", mux=mux):
        yield "has_session says no after the thaw"
    if not bench.do("window_alive", "run-1", window, mux=mux):
        yield "window_alive says no after the thaw"


def _claims(bench: Bench, window: str) -> Iterator[str]:
    """What is claimed of things that died with their server."""
    calls = (("has_session", "run-1"), ("window_alive", "run-1", window), ("list_window_ids", "run-1"))
    for answer in bench.attempts(bench.mux, *calls):
        if answer.late or (answer.error is not None and not bench.knows_of(answer.error)):
            yield f"{answer}: raw, or without a deadline"
        elif answer.error is None and answer.value:
            yield f"{answer}, and the server is dead"


@TRUTH.check(
    "SEAM-DEAD-001",
    "nothing lives in a dead server",
    expected="after the server was killed, probes say no or that they do not know, and never yes",
    why="a run whose agents are gone must not wait for them",
    source="contract.md, rule 5: while a server dies, has-session can end with 0 and nothing at all",
)
def killed(bench: Bench) -> Iterator[str]:
    """What is claimed of a dead server."""
    bench.session()
    window = bench.idle()
    bench.world.kill_server()
    yield from _claims(bench, window)


@TRUTH.check(
    "SEAM-DEAD-002",
    "after a dead server a new one can be had",
    expected="new_session works again, with the same backend",
    why="a run that was interrupted has to be resumed",
    source="design.md, the fault model",
)
def begun_again(bench: Bench) -> Iterator[str]:
    """What keeps a new session from being made."""
    bench.session()
    bench.world.kill_server()
    place = str(bench.world.project)
    made = bench.eventually(lambda: bench.attempt(bench.mux, "new_session", "run-2", place).error is None)
    if not made or not bench.do("has_session", "run-2"):
        yield "no session could be made after the server was killed"


@TRUTH.check(
    "SEAM-DEAD-003",
    "a server that cannot be reached is not dead",
    expected="while the socket is gone and the server lives, no probe says that a session or window is absent",
    why="the agents go on working: whoever starts others has two on each task",
    source="tmux-facts.md: No such file or directory: never started, or socket unlinked under a living server",
    needs=("host.sockets",),
)
def unlinked(bench: Bench) -> Iterator[str]:
    """What is claimed of a server whose socket is gone."""
    assert isinstance(bench.world, LiveTmuxWorld)
    bench.session()
    window = bench.idle()
    server = bench.world.server()
    for path in sockets_of(bench.world):
        bench.world.disk.remove(path)
    calls = (("has_session", "run-1"), ("window_alive", "run-1", window), ("list_window_ids", "run-1"))
    answers = bench.attempts(bench.mux, *calls)
    bench.world.processes.signal(server, SIGUSR1)
    for answer in answers:
        # A backend that brings the socket back by itself may tell what is there.
        if answer.error is None and not answer.value:
            yield f"{answer}, and the server lives: unknown was reported as absent"
        elif answer.error is not None and not bench.is_unknown(answer.error):
            yield f"{answer}, and the server lives"
    bench.eventually(lambda: isinstance(bench.world, LiveTmuxWorld) and bool(sockets_of(bench.world)))


@TRUTH.check(
    "SEAM-DEAD-004",
    "another server at the same place is another one",
    expected="window_alive does not say yes to an id of the dead server, which the new one gave to something else",
    why="ids restart at 0: somebody else's window would be taken for the agent's",
    source="tmux-facts.md: window ids restart with a new server",
    needs=("host.sockets",),
)
def replaced_server(bench: Bench) -> Iterator[str]:
    """What is claimed of windows of a server that was replaced."""
    assert isinstance(bench.world, LiveTmuxWorld)
    bench.session()
    (window,) = bench.windows()
    server = bench.world.server()
    (path,) = sockets_of(bench.world)
    bench.world.kill_server()
    bench.eventually(lambda: bench.world.processes.liveness(server) is Liveness.DEAD)
    client = (bench.spec.binary or "tmux", "-S", str(path), "-f", "/dev/null")
    bench.world.processes.run((*client, "new-session", "-d", "-s", "run-1", "sleep 1000"), timeout_s=10)
    answer = bench.attempt(bench.mux, "window_alive", "run-1", window)
    bench.world.processes.run((*client, "kill-server"), timeout_s=10)
    if answer.late or (answer.error is not None and not bench.knows_of(answer.error)):
        yield f"{answer}: raw, or without a deadline"
    elif answer.value:
        yield f"{answer} for {window}, which is another server's"


@TRUTH.check(
    "SEAM-LOST-001",
    "a window whose answer was lost is reported as unknown, and made once",
    expected="new_window raises, and exactly one window came",
    why="a second window is a second agent on the same task",
    source="design.md, the fault model: a change timed out",
)
def lost_window(bench: Bench) -> Iterator[str]:
    """What came of a window whose answer was lost."""
    bench.session()
    before = bench.windows()
    place = str(bench.world.project)
    answer = lost(bench, "new_window", "run-1", "agent", place, {}, "sleep 1000")
    if (wrong := _silence(bench, answer)) is not None:
        yield wrong
    if (more := len(bench.windows()) - len(before)) > 1:
        yield f"{more} windows came"


@TRUTH.check(
    "SEAM-LOST-002",
    "a text whose answer was lost is reported as unknown, and typed once",
    expected="send_text raises, and the text came once at most",
    why="a prompt that is typed twice is carried out twice",
    source="design.md, the fault model: a change timed out",
)
def lost_text(bench: Bench) -> Iterator[str]:
    """What came of a text whose answer was lost."""
    bench.session()
    window, typed = bench.recorder()
    answer = lost(bench, "send_text", window, "prompt")
    if (wrong := _silence(bench, answer)) is not None:
        yield wrong
    bench.do("send_text", window, "end")
    bench.eventually(lambda: typed().endswith(b"end\n"))
    if (times := typed().count(b"prompt")) > 1:
        yield f"the text came {times} times"
