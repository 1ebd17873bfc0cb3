"""Launches whose answer is lost, late or wrong: never two agents, never none, never for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from engine_setting import RUN, answers_when_asked, foreign_session, fresh_stage, launches_of, prompts_of

from backends.base import StrPath
from backends.errors import CommandRejected, TransportTimeout
from backends.fake import FakeMultiplexer
from backends.processes import Completed
from harness.agents import ScriptedAgent, exits, task, works
from harness.engine.windows import RUN_OPTION
from harness.record import Paused, RunStatus

DONE = works(5).then_completes()


class Closed(FakeMultiplexer):
    """Says no whoever asks for a session, up to so often."""

    noes = 1000

    def has_session(self, name: str) -> bool:
        """See `TerminalMultiplexer.has_session`."""
        self.noes -= 1
        if self.noes >= 0:
            raise CommandRejected("its directory can be entered by others (chmod 700 it)")
        return super().has_session(name)


class Refusing(FakeMultiplexer):
    """Never opens a window."""

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`."""
        raise CommandRejected("no space for a new pane")


@pytest.mark.parametrize("hangs", [1, 2, 5])
def test_a_ghost_window_is_adopted(hangs: int) -> None:
    """The window was opened although nobody said so: it is found, and there is exactly one agent."""
    report = fresh_stage()(task("a", agent=DONE), faults=f"new_window={hangs}*lost:timeout", strict=False)

    assert len(launches_of(report, "a")) == 1
    assert len(report.events("launch-adopted")) == 1
    assert report.task("a").outcomes == ["completed"]


@pytest.mark.parametrize("hangs", [1, 2, 5])
def test_a_launch_that_came_to_nothing_is_made_again_after_two_looks(hangs: int) -> None:
    """Absence is proven twice, a poll apart; it is the same attempt."""
    report = fresh_stage()(task("a", agent=DONE), faults=f"new_window={hangs}*timeout")

    unanswered, absent = report.events("launch-unanswered"), report.events("launch-absent")
    assert len(absent) == hangs
    assert all(seen["at"] - asked["at"] >= 2 for asked, seen in zip(unanswered, absent, strict=True))
    assert report.reached["mux.new_window"] == hangs + 1
    assert report.task("a").outcomes == ["completed"]


def test_names_that_cannot_be_read_prove_nothing_about_a_launch() -> None:
    """While the windows' names are unknown there is no second launch."""
    faults = "new_window=1*lost:timeout;list_windows=6*truncate(1)"
    report = fresh_stage()(task("a", agent=DONE), faults=faults)

    assert len(launches_of(report, "a")) == 1
    assert not report.events("launch-absent")


@pytest.mark.parametrize("action", ["timeout", "oserror(ENOENT)", "empty"])
def test_launches_that_never_succeed_pause_the_run(action: str) -> None:
    """After one session timeout, however often another try was possible; the task keeps its attempts."""
    report = fresh_stage()(task("a", agent=DONE), faults=f"new_window={action}", session_timeout_s=60)

    assert isinstance(report.ending, Paused)
    assert report.ending.stage == "multiplexer-unreachable"
    assert report.elapsed_s <= 60 + 30 + 3
    assert (report.task("a").phase, report.task("a").attempts) == ("pending", 0)


def test_a_stop_that_comes_before_the_window_is_adopted_is_heard() -> None:
    """The agent runs while nobody answers for its window: its events are as good as any."""
    report = fresh_stage()(task("a", agent=answers_when_asked()), faults="new_window=1*lost:timeout")

    assert report.task("a").outcomes == ["completed"]
    assert report.task("a").nudges == 1
    assert prompts_of(report, "a") == 2


@pytest.mark.parametrize(
    ("agent", "outcomes"),
    [(works(1).then_writes_result().then_exits(), ["completed"]), (exits(), ["crashed", "crashed"])],
)
def test_an_agent_that_came_and_went_unseen_is_not_launched_twice(agent: ScriptedAgent, outcomes: list[str]) -> None:
    """It was heard, and its window is gone: that is the end of the attempt, not of the launch."""
    stage = fresh_stage()
    for at_s in (20, 60):
        stage.at(at_s, stage.world.kill_server)
    report = stage(task("a", agent=agent), faults="new_window=lost:timeout", retry_deferred="never")

    assert report.task("a").outcomes == outcomes
    assert len(launches_of(report, "a")) == len(outcomes)


def test_a_look_that_failed_is_no_look_without_the_window() -> None:
    """Absence is proven by two looks in a row: what came between them may have been the window."""
    faults = "new_window=1*timeout;list_windows=1*pass->1*empty"
    report = fresh_stage()(task("a", agent=DONE), faults=faults)

    (unanswered,), (absent,) = report.events("launch-unanswered"), report.events("launch-absent")
    assert absent["at"] - unanswered["at"] >= 4
    assert report.task("a").outcomes == ["completed"]


class Tardy(FakeMultiplexer):
    """Says that a window is late, and opens it when it was looked for twice."""

    _late: tuple[str, str, StrPath, Mapping[str, str], str] | None = None
    _looks = 0

    def new_window(self, session: str, name: str, cwd: StrPath, env: Mapping[str, str], command: str) -> str:
        """See `TerminalMultiplexer.new_window`."""
        if self._late is None:
            self._late = session, name, cwd, env, command
            raise TransportTimeout("late")
        return super().new_window(session, name, cwd, env, command)

    def list_windows(self, session: str, fields: Sequence[str]) -> list[tuple[str, ...]]:
        """See `TerminalMultiplexer.list_windows`."""
        rows = super().list_windows(session, fields)
        self._looks += self._late is not None
        if self._late is not None and self._looks == 2:
            super().new_window(*self._late)
        return rows


def test_a_launch_that_was_taken_for_absent_and_is_heard_of_is_not_made_again() -> None:
    """Its window has come after the second look: it is found by whoever heard of its agent."""
    stage = fresh_stage()
    report = stage(task("a", agent=DONE), wrap=lambda inner: Tardy(stage.world.server))

    assert report.events("launch-absent")
    assert report.events("launch-adopted")
    assert len(launches_of(report, "a")) == 1
    assert report.task("a").outcomes == ["completed"]


def test_a_session_that_vanishes_between_two_tasks_is_made_again() -> None:
    """It costs the next task nothing, not even where it has one attempt only."""
    stage = fresh_stage()

    def lose_session(argv: Sequence[str]) -> Completed:
        stage.world.kill_server()
        return Completed(tuple(argv), 0, b"", b"")

    stage.world.processes.commands["lose-session"] = lose_session
    report = stage(task("a", agent=DONE, verify=["lose-session"]), task("b", agent=DONE), max_attempts=1)

    assert report.task("b").outcomes == ["completed"]


def test_a_name_that_is_taken_is_left_to_whoever_has_it() -> None:
    """The run goes by another name; the foreign session is not touched, not even by the clean-up."""
    stage = fresh_stage()
    multiplexer = stage.world.multiplexer()
    foreign_session(multiplexer, RUN, "somebody")
    report = stage(task("a", agent=DONE))

    assert report.status is RunStatus.FINISHED
    assert report.events("session-renamed")
    assert multiplexer.session_options(RUN_OPTION) == {RUN: "somebody"}
    assert multiplexer.list_sessions() == [RUN]


def test_a_multiplexer_that_refuses_every_launch_defers_the_task() -> None:
    """Refused is answered: nothing is waited for, no attempt is used up, and the reason is the multiplexer's own."""
    stage = fresh_stage()
    report = stage(task("a", agent=DONE), wrap=lambda inner: Refusing(stage.world.server), retry_deferred="never")

    assert report.task("a").phase == "deferred"
    assert report.task("a").attempts == 0
    assert report.task("a").reason == "could not be started: no space for a new pane"
    assert report.elapsed_s < 10


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_multiplexer_that_refuses_the_session_pauses_the_run_and_says_why(parallel: int) -> None:
    """It would say no to every task alike: none is given up, no attempt is used up, and a resume goes on once it is mended."""
    stage = fresh_stage()
    stories = [task(key, agent=DONE) for key in ("a", "b")]
    paused = stage(*stories, max_parallel=parallel, wrap=lambda inner: Closed(stage.world.server))
    report = stage.resume()

    assert isinstance(paused.ending, Paused)
    assert (paused.ending.stage, paused.ending.task) == ("multiplexer-unreachable", "a")
    refusal = "has_session is refused: its directory can be entered by others (chmod 700 it)"
    advice = "; `seamripper doctor` shows what to mend, then resume"
    assert paused.ending.reason == f"a could not be started: {refusal}{advice}"
    assert [paused.task(key).attempts for key in ("a", "b")] == [0, 0]
    assert not paused.events("task-deferred")
    assert not paused.events("nested-run")
    assert paused.elapsed_s < 10
    assert report.status is RunStatus.FINISHED
    assert [report.task(key).phase for key in ("a", "b")] == ["done", "done"]


def test_a_refusal_that_passes_pauses_nothing() -> None:
    """One no to the session is no reason to bother a person: the launch is tried again."""
    stage = fresh_stage()

    class Once(Closed):
        noes = 1

    report = stage(task("a", agent=DONE), wrap=lambda inner: Once(stage.world.server))

    assert report.status is RunStatus.FINISHED
    assert report.task("a").outcomes == ["unreachable", "completed"]


def test_directories_where_files_of_the_next_launch_belong_are_no_obstacle() -> None:
    """An agent writes there, too; what it leaves is taken away before the next one is launched."""
    stage = fresh_stage()

    def plant() -> None:
        for name in ("prompt.md", "result.json", "a-2.json", "a-2.draft"):
            path = stage.run_dir / "tasks" / "a" / name
            if stage.world.disk.info(path) is not None:
                stage.world.disk.remove(path)
            stage.world.disk.mkdir(path / "inside")

    stage.at(2.5, plant)
    report = stage(task("a", agent=ScriptedAgent.attempts(works(4).then_dies(code=1), DONE)))

    assert report.task("a").outcomes == ["crashed", "completed"]
