"""What nobody expected, outside of the engine: one line, exit code 70, and where there is a run a record in it."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from backends.processes import Liveness
from backends.simulated_processes import SimulatedProcessTable
from harness.agents import plan_of, task, works
from harness.commands.staged import Answer, CommandLine
from harness.engine.notices import NOTIFY_TIMEOUT_S
from harness.engine.windows import RUN_OPTION
from harness.record import Attempt, RunState, RunStatus, TaskState
from harness.world import FakeWorld, SimulatedTmuxWorld


@pytest.fixture
def seamripper() -> CommandLine:
    """A simulated host with a plan, and a run that waits for a word."""
    made = CommandLine(FakeWorld())
    agent = works(1).then_completes()
    project = str(made.world.project)
    made.plan(plan_of(task("1-1", agent), project=project))
    made("run", made.plan(plan_of(task("1-1", agent, gate="a word"), project=project), "paused.toml"))
    return made


def fails(*given: object, **options: object) -> Any:
    """What nobody expected."""
    raise RuntimeError("nobody expected\nthis")


class BadTerminal(io.StringIO):
    """Fails when the end of a run is shown on it, and not by an error of the system."""

    def write(self, text: str) -> int:
        """Take it, or fail."""
        if "FINISHED" in text:
            raise RuntimeError("nobody expected\nthis")
        return super().write(text)


def assert_told(answer: Answer) -> None:
    """Exit code 70 and one line."""
    assert (answer.code, answer.stderr.count("\n")) == (70, 1)
    assert answer.stderr.startswith("error: RuntimeError: nobody expected\\nthis")


@pytest.mark.parametrize("words", [("status",), ("resume", "2026"), ("cleanup", "--all"), ("stop", "2026")])
def test_a_host_that_cannot_be_asked_is_told_in_one_line(seamripper: CommandLine, words: tuple[str, ...]) -> None:
    """Whatever part of it fails first; nothing is said as if it were an answer."""
    world = seamripper.world

    class NoTable:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.processes, name) if name == "me" else fails

    assert_told(seamripper(*words, processes=NoTable(), multiplexer=fails))


def test_before_there_is_a_run_nothing_is_recorded(seamripper: CommandLine) -> None:
    """The backend cannot even be made."""
    before = seamripper.world.disk.listdir(seamripper.root)

    assert_told(seamripper("run", "plan.toml", multiplexer=fails))
    assert seamripper.world.disk.listdir(seamripper.root) == before


@pytest.mark.parametrize("broken", [{"multiplexer": fails}, {"profiles": fails}], ids=lambda broken: next(iter(broken)))
def test_a_run_that_is_there_is_crashed_with_its_record(seamripper: CommandLine, broken: dict[str, Any]) -> None:
    """It would otherwise seem to wait, although nobody can go on with it as it was tried."""
    answer = seamripper("resume", "2026", **broken)

    assert_told(answer)
    assert "crash.txt" in answer.stderr
    run = seamripper("status", "--json").document["run"]
    assert (run["status"], run["reason"]) == (RunStatus.CRASHED, "RuntimeError: nobody expected\\nthis")
    assert "attach" not in run["hints"]
    assert [seamripper("resume", "2026").code for _ in range(2)] == [75, 0], "the word is asked for again"


@pytest.mark.parametrize("world", [FakeWorld, SimulatedTmuxWorld], ids=lambda world: world.name)
def test_a_session_without_a_tag_is_torn_down_or_not_said_to_be(world: type[FakeWorld]) -> None:
    """By its name on a server that is the root's own; on one that may be shared it stays, and nobody claims that it went."""
    made = CommandLine(world())
    plan = plan_of(task("1-1", works(1).then_completes(), gate="a word"), project=str(made.world.project))
    made("run", made.plan(plan))
    (run_id,) = [run["run_id"] for run in made("list", "--json").document["runs"]]
    multiplexer = made.world.multiplexer()
    multiplexer.kill_session(run_id)
    multiplexer.new_session(run_id, "/")

    assert_told(made("resume", run_id, profiles=fails))
    run = made("status", "--json").document["run"]
    assert multiplexer.has_session(run_id) is (world is FakeWorld)
    assert run["state"]["teardown"] == ("unconfirmed" if world is FakeWorld else "torn-down")


@pytest.mark.parametrize(("stubborn", "teardown"), [(False, "torn-down"), (True, "failed")])
def test_what_an_agent_has_left_goes_with_the_session(seamripper: CommandLine, stubborn: bool, teardown: str) -> None:
    """A child that outlived its window is ended as well, and nothing is said to be torn down beside one that was not."""
    project, gated = str(seamripper.world.project), works(1).then_completes()
    plan = plan_of(task("1-1", works(1).then_completes()), task("1-2", gated, gate="a word"), project=project)
    seamripper("run", seamripper.plan(plan, "left.toml"), "--run-id", "left")
    token = seamripper.host().store(seamripper.root / "left").load().state.task("1-1").attempts[0].token
    table = seamripper.world.processes
    assert isinstance(table, SimulatedProcessTable)
    child = table.spawn({"SEAMRIPPER_TOKEN": token}, on_signal=(lambda signum: None) if stubborn else None)
    stranger = table.spawn({"SEAMRIPPER_TOKEN": "0" * 32})

    assert_told(seamripper("resume", "left", profiles=fails))
    assert seamripper("status", "left", "--json").document["run"]["state"]["teardown"] == teardown
    assert (table.liveness(child) is Liveness.ALIVE) is stubborn
    assert stranger.pid not in {pid for pid, _ in table.sent}


@pytest.mark.parametrize("readable", [True, False])
def test_what_the_agents_of_a_nested_run_have_left_goes_as_well(seamripper: CommandLine, readable: bool) -> None:
    """Its session, and the processes of its launches; where those are not known nothing is said to be torn down."""
    run_dir = seamripper.root / seamripper("status", "--json").document["run"]["run_id"]
    inner = f"{run_dir.name}-n1-1"
    attempt = Attempt(1, token="1" * 32)
    state = RunState(inner, mux_session=inner, tasks=[TaskState("1-1", attempts=[attempt])])
    seamripper.host().store(run_dir / "nested" / inner).create(state, "")
    if not readable:
        for name in ("state.json", "journal.jsonl"):
            seamripper.world.disk.remove(run_dir / "nested" / inner / name)
            seamripper.world.disk.write(run_dir / "nested" / inner / name, b"{")
    multiplexer = seamripper.world.multiplexer()
    multiplexer.new_session(inner, "/")
    multiplexer.set_session_option(inner, RUN_OPTION, inner)
    table = seamripper.world.processes
    assert isinstance(table, SimulatedProcessTable)
    child = table.spawn({"SEAMRIPPER_TOKEN": attempt.token})

    assert_told(seamripper("resume", run_dir.name, profiles=fails))
    run = seamripper("status", "--json").document["run"]
    assert run["state"]["teardown"] == ("torn-down" if readable else "unconfirmed")
    assert (table.liveness(child) is Liveness.DEAD) is readable
    assert not multiplexer.has_session(inner)


@pytest.mark.parametrize(
    "broken", [{"stdout": BadTerminal()}, {"notify": fails}], ids=lambda broken: next(iter(broken))
)
def test_a_run_whose_end_cannot_be_told_is_crashed_as_well(seamripper: CommandLine, broken: dict[str, Any]) -> None:
    """Rendering and notification are part of the command: its exit code and the status say the same."""
    answer = seamripper("run", "plan.toml", "--run-id", "told", **broken)

    assert_told(answer)
    assert seamripper("status", "told", "--json").document["run"]["status"] == RunStatus.CRASHED


def crashing_with(
    seamripper: CommandLine, *notify: str, lasting_s: float = 0.0
) -> tuple[Answer, SimulatedProcessTable, list[dict[str, Any]]]:
    """What is told of a run with that command whose end cannot be shown, who was started, and which events there are."""
    table = seamripper.world.processes
    assert isinstance(table, SimulatedProcessTable)
    table.lasting[notify[0]] = lasting_s
    plan = plan_of(task("1-1", works(1).then_completes()), project=str(seamripper.world.project), notify=notify)
    answer = seamripper("run", seamripper.plan(plan, "telling.toml"), "--run-id", "told", stdout=BadTerminal())
    events = seamripper.world.disk.read(seamripper.root / "told" / "journal.jsonl").splitlines()
    return answer, table, [json.loads(line) for line in events]


def test_people_are_told_of_a_crash_outside_of_the_engine_as_of_one_inside(seamripper: CommandLine) -> None:
    """The plan's own command learns the run, its status and the reason, although it was told of the end before."""
    answer, table, _ = crashing_with(seamripper, "true", "somebody")

    assert_told(answer)
    told = [(argv, about["SEAMRIPPER_STATUS"]) for argv, about in table.started if argv[0] == "true"]
    assert told == [(("true", "somebody"), "FINISHED"), (("true", "somebody"), "CRASHED")]
    assert table.started[-1][1] == {
        "SEAMRIPPER_RUN": str(seamripper.root / "told"),
        "SEAMRIPPER_STATUS": "CRASHED",
        "SEAMRIPPER_REASON": "RuntimeError: nobody expected\\nthis",
    }


@pytest.mark.parametrize(
    ("notify", "lasting_s", "problem"),
    [("false", 0.0, "exit 1"), ("nobody", 0.0, "No such file"), ("true", 1000.0, "TimeoutExpired")],
)
def test_people_that_cannot_be_told_of_a_crash_change_nothing_about_it(
    seamripper: CommandLine, notify: str, lasting_s: float, problem: str
) -> None:
    """It is journaled, and nobody waits for it longer than the engine would."""
    began = seamripper.world.clock.monotonic()
    answer, _, events = crashing_with(seamripper, notify, lasting_s=lasting_s)

    assert_told(answer)
    assert "crash.txt" in answer.stderr
    _, problems = [event["problem"] for event in events if event["event"] == "notify-failed"]
    assert problem in problems, "the engine has failed to tell of its own end before"
    assert seamripper.world.clock.monotonic() - began < 2 * NOTIFY_TIMEOUT_S + 10
    assert seamripper("status", "told", "--json").document["run"]["status"] == RunStatus.CRASHED
    seamripper.host().store(seamripper.root / "told").lock().release()
