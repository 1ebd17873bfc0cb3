"""Tidying up: exactly what is proven to be of a run that is over, never a living run, never somebody else's session."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path
from typing import Any, cast

import pytest
from cli_drivers import Driver, killed_run

from backends.base import TerminalMultiplexer
from backends.disk import Disk, LockHandle
from backends.errors import CommandRejected
from backends.guard import Call
from backends.memory_disk import MemoryDisk
from harness.agents import plan_of, task, works
from harness.commands.server import CONTROL
from harness.commands.staged import CommandLine
from harness.engine.windows import RUN_OPTION
from harness.world import FakeWorld, SimulatedTmuxWorld

DAY_S = 86400.0


@pytest.fixture(params=[FakeWorld, SimulatedTmuxWorld], ids=lambda world: world.name)
def seamripper(request: pytest.FixtureRequest) -> CommandLine:
    """The command line of a simulated host."""
    return CommandLine(request.param())


@pytest.fixture
def tmux() -> CommandLine:
    """The same on the real tmux backend, whose servers are the roots' own."""
    return CommandLine(SimulatedTmuxWorld())


def multiplexer_of(seamripper: CommandLine) -> TerminalMultiplexer:
    """The backend of that host."""
    return seamripper.world.multiplexer()


def found(seamripper: CommandLine, *words: str) -> list[tuple[str, str, str]]:
    """What `cleanup` says that it has found: kind, name, outcome."""
    document = seamripper("cleanup", *words, "--json").document
    return [(one["kind"], one["name"], one["outcome"]) for one in document["found"]]


def finished(seamripper: CommandLine, name: str = "done.toml", gate: str | None = None) -> Path:
    """A run that has finished, or waits for that word."""
    plan = plan_of(task("1-1", works(1).then_completes(), gate=gate), project=str(seamripper.world.project))
    seamripper("run", seamripper.plan(plan, name))
    return Path(seamripper("list", "--json").document["runs"][-1]["run_dir"])


def ended_detached(seamripper: CommandLine, name: str, *argv: str) -> str:
    """The window of a detached run, as `run --detach` opens it; its id."""
    multiplexer = multiplexer_of(seamripper)
    shells: list[str] = []
    with contextlib.suppress(CommandRejected):
        multiplexer.new_session(CONTROL, "/")
        shells = multiplexer.list_window_ids(CONTROL)
    window = multiplexer.new_parked_window(CONTROL, name, "/", argv or ["true"], "@back")
    for shell in shells:
        multiplexer.kill_window(shell)
    seamripper.world.clock.sleep(1)
    return window


def test_an_interrupted_run_s_session_is_ended_and_nothing_else(seamripper: CommandLine) -> None:
    """Canaries on the same server, one without a tag and one of another run's, go on."""
    run_id = killed_run(seamripper).name
    multiplexer = multiplexer_of(seamripper)
    for canary in ("canary", f"{run_id}-canary"):
        multiplexer.new_session(canary, "/")
    multiplexer.set_session_option("canary", RUN_OPTION, "another")

    answer = seamripper("cleanup", run_id)

    assert (answer.code, answer.stdout) == (0, f"ended  session {run_id} of run {run_id}\n")
    assert multiplexer.list_sessions() == [f"{run_id}-canary", "canary"]
    assert found(seamripper, run_id) == []


def without_tag(seamripper: CommandLine, tag: str = "") -> str:
    """A killed run whose session has none, or that of another run; the name of both."""
    run_id = killed_run(seamripper).name
    multiplexer = multiplexer_of(seamripper)
    multiplexer.kill_session(run_id)
    multiplexer.new_session(run_id, "/")
    if tag:
        multiplexer.set_session_option(run_id, RUN_OPTION, tag)
    return run_id


def test_a_session_whose_driver_was_killed_before_it_was_tagged_is_known_by_its_name(tmux: CommandLine) -> None:
    """On a server that is the root's own, where nobody else makes one of that name."""
    run_id = without_tag(tmux)
    multiplexer_of(tmux).new_session("canary", "/")

    assert ("session", run_id, "ended") in found(tmux, run_id)
    assert multiplexer_of(tmux).list_sessions() == ["canary"]


@pytest.mark.parametrize(("world", "tag"), [(FakeWorld, ""), (SimulatedTmuxWorld, "another")])
def test_a_name_is_no_tag_where_others_may_have_given_it(world: type[FakeWorld], tag: str) -> None:
    """A session without a tag on a server that may be shared, and one with another run's, stay."""
    seamripper = CommandLine(world())
    run_id = without_tag(seamripper, tag)

    assert ("session", run_id, "ended") not in found(seamripper, run_id)
    assert multiplexer_of(seamripper).has_session(run_id)


def test_a_dry_run_says_exactly_what_would_be_done_and_does_nothing(seamripper: CommandLine) -> None:
    """The same list, not a byte written, nothing ended."""
    run_id = killed_run(seamripper).name
    ended_detached(seamripper, run_id)
    disk = seamripper.world.disk
    assert isinstance(disk, MemoryDisk)
    before = len(disk.mutations)

    planned = found(seamripper, "--all", "--dry-run")

    assert len(disk.mutations) == before
    assert multiplexer_of(seamripper).has_session(run_id)
    assert planned
    assert {outcome for _, _, outcome in planned} == {"would end"}
    assert found(seamripper, "--all") == [(kind, name, "ended") for kind, name, _ in planned]


def test_a_process_that_has_left_its_window_is_found_by_its_token(seamripper: CommandLine) -> None:
    """And ended; one with another token is somebody else's."""
    world = seamripper.world
    assert isinstance(world, FakeWorld)
    run_dir = killed_run(seamripper)
    token = world.ledger()[0]["token"]
    stray, other = (world.processes.spawn({"SEAMRIPPER_TOKEN": one}) for one in (token, "other"))

    assert ("process", f"pid {stray.pid}", "ended") in found(seamripper, run_dir.name)
    assert world.processes.identify(stray.pid) is None
    assert world.processes.identify(other.pid) == other


@pytest.mark.parametrize("trace", ["kept", "removed"])
def test_a_process_that_has_outlived_its_server_is_found_by_its_token(seamripper: CommandLine, trace: str) -> None:
    """Driver and server are gone, and so are the server's files or not: it is ended, and then nothing is left."""
    world = seamripper.world
    assert isinstance(world, FakeWorld)
    run_dir = killed_run(seamripper)
    stray = world.processes.spawn({"SEAMRIPPER_TOKEN": world.ledger()[0]["token"]})
    world.kill_server()
    if trace == "removed" and isinstance(world, SimulatedTmuxWorld):
        world.disk.remove_tree(Path("/sim/socket"))

    assert ("process", f"pid {stray.pid}", "ended") in found(seamripper, run_dir.name)
    assert world.processes.identify(stray.pid) is None
    assert "nothing to clean up" in seamripper("cleanup", run_dir.name).stdout


def test_a_running_run_is_left_alone(seamripper: CommandLine) -> None:
    """By name it is one line and exit code 1; with `--all` it is said why."""
    run_dir = killed_run(seamripper)
    driver = Driver(seamripper, run_dir)

    answer = seamripper("cleanup", run_dir.name)
    document = seamripper("cleanup", "--all", "--json").document

    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr == f"error: run {run_dir.name} is left alone: it is running; nothing was changed\n"
    assert document["found"] == []
    assert document["left"] == [{"run_id": run_dir.name, "why": "it is running"}]
    assert multiplexer_of(seamripper).has_session(run_dir.name)
    assert driver.signals == []


def waiting(seamripper: CommandLine) -> str:
    """The name of a run that waits for a word, with its session and the window that it was detached into."""
    agent = works(1).then_completes()
    stories = [task("1-1", agent), task("1-2", agent, gate="a word")]
    seamripper("run", seamripper.plan(plan_of(*stories, project=str(seamripper.world.project))))
    (run,) = seamripper("list", "--json").document["runs"]
    ended_detached(seamripper, run["run_id"])
    return str(run["run_id"])


@pytest.mark.parametrize("all_of_them", [True, False])
def test_a_run_that_waits_for_a_person_is_left_as_it_is(seamripper: CommandLine, all_of_them: bool) -> None:
    """It is driven by nobody, and still not over; by name, what can be done is told in one line."""
    name = waiting(seamripper)
    root = str(seamripper.root)
    answer = seamripper("cleanup", "--all" if all_of_them else name, "--root", root)

    why = f"run {name}{'' if all_of_them else ' is left alone'}: it is PAUSED: a word is needed before 1-2, and its session"
    assert why in (answer.stdout if all_of_them else answer.stderr)
    assert answer.code == (0 if all_of_them else 1)
    assert (
        all_of_them or f"`seamripper resume {name} --root {root}` goes on, --paused ends its session" in answer.stderr
    )
    assert answer.stderr.count("\n") == (0 if all_of_them else 1)
    assert multiplexer_of(seamripper).has_session(name)
    assert multiplexer_of(seamripper).list_window_ids(CONTROL)


@pytest.mark.parametrize("all_of_them", [True, False])
def test_the_session_of_a_paused_run_is_ended_where_that_is_asked_for(
    seamripper: CommandLine, all_of_them: bool
) -> None:
    """And nothing else of it: its record stays, and it still waits."""
    name = waiting(seamripper)

    ended = [(kind, outcome) for kind, _, outcome in found(seamripper, "--all" if all_of_them else name, "--paused")]
    assert ended[:2] == [("session", "ended"), ("window", "ended")]
    assert [kind for kind, _, _ in found(seamripper, "--all", "--paused", "--remove")] == []
    assert seamripper("list", "--json").document["runs"][0]["status"] == "PAUSED"


def test_a_paused_run_whose_session_was_ended_is_resumed_with_a_new_one() -> None:
    """Nothing that was done is lost with it."""
    seamripper = CommandLine(FakeWorld())
    name = waiting(seamripper)

    assert seamripper("cleanup", name, "--paused").code == 0
    assert seamripper("resume", name).code == 0
    (run,) = seamripper("list", "--json").document["runs"]
    assert [len(one["outcomes"]) for one in run["state"]["tasks"]] == [1, 1]


def test_a_run_of_somebody_else_keeps_nobody_from_tidying_up(tmux: CommandLine) -> None:
    """It is left alone, and so are sessions and the server that may be its own."""
    gone = killed_run(tmux)
    theirs, mine = finished(tmux, "theirs.toml", gate="a word"), finished(tmux, "mine.toml")
    ended_detached(tmux, mine.name)
    tmux.world.disk.remove_tree(gone)
    disk = cast(Disk, Unreadable(tmux.world.disk, str(theirs)))

    answer = tmux("cleanup", "--all", "--json", disk=disk)

    assert [(one["kind"], one["run_id"]) for one in answer.document["found"]] == [("window", mine.name)]
    assert [one["run_id"] for one in answer.document["left"]] == [theirs.name]
    assert multiplexer_of(tmux).has_session(gone.name)


class Unreadable:
    """A disk on which nothing at or below `place` can be looked at."""

    def __init__(self, base: Disk, place: str) -> None:
        self._base = base
        self._place = place

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._base, name)

        def refused(path: Any, *rest: Any, **options: Any) -> Any:
            if f"{path}/".startswith(f"{self._place}/") and str(path) != self._place:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return call(path, *rest, **options)

        return refused


def test_the_windows_of_detached_runs_that_have_ended_go(seamripper: CommandLine) -> None:
    """Of that run, or with `--all` of every one; a command that goes on keeps its window."""
    run_id = finished(seamripper).name
    mine, other, busy = (
        ended_detached(seamripper, run_id),
        ended_detached(seamripper, "other"),
        ended_detached(seamripper, "busy", "sleep", "1000"),
    )

    assert found(seamripper, run_id) == [("window", mine, "ended")]
    assert found(seamripper, "--all") == [("window", other, "ended")]
    assert multiplexer_of(seamripper).list_window_ids(CONTROL) == [busy]


def test_a_session_of_a_run_whose_directory_is_gone_is_ended(tmux: CommandLine) -> None:
    """Its tag says whose it was, on a server that is the root's own."""
    run_dir = killed_run(tmux)
    tmux.world.disk.remove_tree(run_dir)

    assert ("session", run_dir.name, "ended") in found(tmux, "--all")


def test_on_a_server_that_may_be_shared_no_unknown_run_is_ended() -> None:
    """There the tag may be that of a run of another root."""
    fake = CommandLine(FakeWorld())
    run_dir = killed_run(fake)
    fake.world.disk.remove_tree(run_dir)

    assert found(fake, "--all") == []
    assert multiplexer_of(fake).has_session(run_dir.name)


def test_the_last_thing_to_go_is_the_server_with_its_socket(tmux: CommandLine) -> None:
    """Nothing of it is left; where a canary sits, it stays."""
    run_id = killed_run(tmux).name
    ended_detached(tmux, run_id)
    multiplexer_of(tmux).new_session("canary", "/")
    assert [kind for kind, _, _ in found(tmux, "--all")] == ["session", "window"]

    multiplexer_of(tmux).kill_session("canary")
    ended_detached(tmux, run_id)
    assert [kind for kind, _, _ in found(tmux, "--all")] == ["window", "server"]
    assert tmux.world.disk.listdir("/sim/socket") == []
    assert found(tmux, "--all") == []


@pytest.mark.parametrize("last", ["", "server_identity", "session_options"])
def test_a_server_that_does_not_answer_is_not_taken_for_empty(seamripper: CommandLine, last: str) -> None:
    """Whenever it falls silent, for one question after that `last` answer: one line, exit code 1, nothing is ended."""
    run_id = killed_run(seamripper).name
    multiplexer = multiplexer_of(seamripper)

    def fall_silent(call: Call) -> None:
        if call.operation.name == last:
            seamripper.world.freeze()
        elif last:
            seamripper.world.thaw()

    multiplexer.observe(fall_silent)
    if not last:
        seamripper.world.freeze()
    answer = seamripper("cleanup", run_id, "--dry-run", multiplexer=lambda name, root, **options: multiplexer)
    seamripper.world.thaw()

    assert (answer.code, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)
    assert "did not answer" in answer.stderr
    assert "is not answered within " in answer.stderr
    assert "TimeoutExpired" not in answer.stderr


REMOVING: dict[tuple[str, ...], bool] = {
    ("RUN",): False,
    ("RUN", "--remove", "--dry-run"): False,
    ("RUN", "--remove"): True,
    ("RUN", "--remove", "--older-than", "3d"): False,
    ("--all",): False,
    ("--all", "--remove"): False,
    ("--all", "--remove", "--older-than", "1d"): True,
}


@pytest.mark.parametrize("words", REMOVING, ids=" ".join)
def test_a_directory_is_removed_only_where_that_is_asked_for(seamripper: CommandLine, words: tuple[str, ...]) -> None:
    """A finished run of two days ago: at once by name, with `--all` after thirty days unless told otherwise."""
    run_dir = finished(seamripper)
    seamripper.world.clock.sleep(2 * DAY_S)

    seamripper("cleanup", *(run_dir.name if word == "RUN" else word for word in words))

    assert (seamripper.world.disk.info(run_dir) is None) is REMOVING[words]


def test_what_can_still_be_resumed_is_not_removed(seamripper: CommandLine) -> None:
    """An interrupted run and a paused one, however old."""
    kept: list[Any] = [killed_run(seamripper), finished(seamripper, gate="a word")]

    seamripper("cleanup", "--all", "--remove", "--older-than", "0d")

    assert [seamripper.world.disk.info(run_dir) is None for run_dir in kept] == [False, False]


class FewLocks:
    """A disk on which two locks can be held at once, as on a host that has hardly any file descriptors left."""

    def __init__(self, base: Disk) -> None:
        self.base = base
        self.held: set[LockHandle] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.base, name)

    def lock(self, path: str) -> LockHandle:
        """Hold it."""
        if len(self.held) == 2:
            raise OSError(errno.EMFILE, "Too many open files")
        inner, held = self.base.lock(path), self.held

        class Held(LockHandle):
            def release(self) -> None:
                held.discard(self)
                inner.release()

        handle = Held()
        held.add(handle)
        return handle


def test_many_runs_are_tidied_up_one_after_the_other() -> None:
    """A root may hold thousands; nothing is held open for each of them."""
    seamripper = CommandLine(FakeWorld())
    for number in range(4):
        finished(seamripper, f"{number}.toml")

    words = ("cleanup", "--all", "--remove", "--older-than", "0d", "--json")
    answer = seamripper(*words, disk=cast(Disk, FewLocks(seamripper.world.disk)))

    assert [(one["kind"], one["outcome"]) for one in answer.document["found"]] == [("directory", "ended")] * 4


def test_a_run_that_is_resumed_meanwhile_is_left(seamripper: CommandLine) -> None:
    """It was over when it was looked at, and somebody drives it when its turn comes."""
    run_dir = killed_run(seamripper)
    multiplexer = multiplexer_of(seamripper)

    def resume(call: Call) -> None:
        if call.operation.name == "session_options" and not seamripper.world.disk.locked(run_dir / "run.lock"):
            seamripper.world.disk.lock(run_dir / "run.lock")

    multiplexer.observe(resume)
    answer = seamripper("cleanup", run_dir.name, "--json", multiplexer=lambda name, root, **options: multiplexer)

    assert answer.code == 1
    assert [one["outcome"] for one in answer.document["found"]] == ["left: somebody drives the run"]
    assert multiplexer.has_session(run_dir.name)


def test_which_runs_are_meant_has_to_be_said(seamripper: CommandLine) -> None:
    """Neither and both are usage errors; an age without its unit is one as well."""
    run_id = finished(seamripper).name

    for words in ((), (run_id, "--all"), ("--all", "--older-than", "30")):
        answer = seamripper("cleanup", *words)
        assert (answer.code, answer.stderr.count("\n")) == (2, 1)
