"""The command line: whatever goes wrong around the engine is said in one line, and recorded where there is a run."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import pytest

from harness.agents import dies, plan_of, stops, task, works
from harness.commands.staged import Answer, CommandLine
from harness.engine.events import EventKind
from harness.engine.plan import RunPlan
from harness.probe import probe_plan, probe_report
from harness.record import RunStatus, SessionOutcome
from harness.runner import Stage
from harness.world import World


def raises(*given: Any, **named: Any) -> NoReturn:
    """Anything that somebody has got wrong."""
    raise RuntimeError("somebody has got this wrong")


class Unprintable(io.StringIO):
    """A standard output that fails once a run's end is to be told."""

    def write(self, text: str) -> int:
        """Refuse the summary."""
        return raises() if "FINISHED" in text else super().write(text)


class Unsettled(dict[str, str]):
    """An environment that cannot be asked which multiplexer is wanted."""

    def get(self, key: str, default: Any = None) -> Any:
        """Answer, or fail."""
        return raises() if key == "SEAMRIPPER_MUX" else super().get(key, default)


AFTER: Mapping[str, Callable[[], dict[str, Any]]] = {
    "rendering": lambda: {"stdout": Unprintable()},
    "notification": lambda: {"notify": raises},
}
BEFORE: Mapping[str, Callable[[], dict[str, Any]]] = {
    "environment": lambda: {"environment": Unsettled(HOME="/home/somebody")},
    "configuration": lambda: {"profiles": raises},
    "construction": lambda: {"multiplexer": raises},
}


def small_plan(world: World) -> RunPlan:
    """A plan with one task that is soon done."""
    return plan_of(task("1-1", works(1).then_completes()), project=str(world.project))


def paused_run(seamripper: CommandLine) -> dict[str, Any]:
    """A run that waits for approval after its first task, its session still there."""
    story = works(1).then_completes()
    tasks = (task("1-1", story), task("1-2", story, gate="a word"))
    assert seamripper("run", seamripper.plan(plan_of(*tasks, project=str(seamripper.world.project)))).code == 75
    found: dict[str, Any] = seamripper("status", "--json").document["run"]
    return found


def assert_one_line(answer: Answer, where: str = "") -> None:
    """One line, and exit code 70."""
    assert answer.code == 70
    assert answer.stderr.startswith("error: RuntimeError: somebody has got this wrong")
    assert answer.stderr.count("\n") == 1
    assert where in answer.stderr


@pytest.mark.parametrize("place", BEFORE)
def test_cli_backstop_before_there_is_a_run(mux_world: World, place: str) -> None:
    """What raises before a run has begun is said in one line, and leaves nothing that looks like a run."""
    seamripper = CommandLine(mux_world)
    plan = seamripper.plan(small_plan(mux_world))

    assert_one_line(seamripper("run", plan, "--root", str(seamripper.root), **BEFORE[place]()))

    assert seamripper("list", "--json").document["runs"] == []


@pytest.mark.parametrize("place", AFTER)
def test_cli_backstop_records_what_raises_after_the_engine(mux_world: World, place: str) -> None:
    """A run whose end could not be told has crashed: recorded, listed, resumable, and nothing is done twice."""
    seamripper = CommandLine(mux_world)
    plan = seamripper.plan(small_plan(mux_world))

    assert_one_line(seamripper("run", plan, **AFTER[place]()), "crash.txt")

    (run,) = seamripper("list", "--json").document["runs"]
    assert run["status"] == RunStatus.CRASHED
    assert run["reason"] == "RuntimeError: somebody has got this wrong"
    assert run["state"]["teardown"] == "torn-down"
    assert seamripper("resume", run["run_id"]).code == 0
    assert seamripper("status", "--json").document["run"]["status"] == RunStatus.FINISHED
    assert len([entry for entry in mux_world.ledger() if entry["what"] == "start"]) == 1


@pytest.mark.parametrize("place", BEFORE)
def test_cli_backstop_records_what_raises_before_a_resumed_engine(mux_world: World, place: str) -> None:
    """A resume that fails outside of the engine leaves a crash record, and takes down the session it can reach."""
    seamripper = CommandLine(mux_world)
    run = paused_run(seamripper)
    assert mux_world.multiplexer().has_session(run["state"]["session"])

    assert_one_line(seamripper("resume", run["run_dir"], **BEFORE[place]()), "crash.txt")

    crashed = seamripper("status", "--json").document["run"]
    assert crashed["status"] == RunStatus.CRASHED
    assert "resume" in crashed["hints"]
    assert "attach" not in crashed["hints"]
    assert json.loads(mux_world.disk.read(f"{run['run_dir']}/state.json"))["crashed"] is True
    reached = place == "configuration"
    assert crashed["state"]["teardown"] == ("torn-down" if reached else "unconfirmed")
    assert mux_world.multiplexer().has_session(run["state"]["session"]) is not reached


def test_cli_backstop_leaves_a_run_alone_that_somebody_else_drives(mux_world: World) -> None:
    """Who does not hold the lock records nothing: the run that goes on is not called crashed."""
    seamripper = CommandLine(mux_world)
    run = paused_run(seamripper)

    with mux_world.disk.lock(f"{run['run_dir']}/run.lock"):
        assert_one_line(seamripper("resume", run["run_id"], profiles=raises))

    assert mux_world.disk.info(f"{run['run_dir']}/crash.txt") is None


def probed(mux_run: Stage, plan: RunPlan, **options: Any) -> tuple[SessionOutcome | None, list[EventKind], str]:
    """What a probe with that plan shows: the outcome, the events that arrived, and its first line."""
    report = mux_run.run(plan, **options)
    assert report.state is not None
    shown = probe_report(plan.agent, mux_run.world.disk, mux_run.run_dir, report.state, report.summary)
    return shown.outcome, list(shown.events), shown.lines()[0]


def plan_of_probe(mux_run: Stage, agent: Any, timeout_s: float = 30.0) -> RunPlan:
    """A probe of that scripted agent."""
    base = plan_of(task("any", agent), project=str(mux_run.world.project))
    limit = mux_run.world.default_call_timeout_s
    return probe_plan(base.agent_of(base.tasks[0]), base, timeout_s, call_timeout_s=limit)


TURN = [EventKind.SESSION_START, EventKind.PROMPT, EventKind.STOP]


def test_agent_probe_retries_a_liveness_probe_that_fails_once(mux_run: Stage) -> None:
    """An unanswered question about the window is asked again: the agent is fine."""
    plan = plan_of_probe(mux_run, works(3).then_stops().then_idles())

    outcome, events, line = probed(mux_run, plan, faults="list_window_ids=1*timeout(1)")

    assert outcome is SessionOutcome.COMPLETED
    assert events[:3] == TURN
    assert line.endswith(": ok - session completed")


def test_agent_probe_times_out_when_no_liveness_probe_is_answered(mux_run: Stage) -> None:
    """Nobody answers and no hook speaks: the session times out, and is not called crashed."""
    silent = works(60, silent=True).then_stops()
    plan = plan_of_probe(mux_run, silent, 5.0)

    outcome, events, line = probed(mux_run, plan, faults="list_window_ids=timeout(1)")

    assert outcome is SessionOutcome.TIMED_OUT
    assert EventKind.STOP not in events
    assert "NOT OK" in line


def test_agent_probe_of_an_agent_that_dies_before_any_hook(mux_run: Stage) -> None:
    """An agent that cannot even start is crashed, with its exit code, and every hook is missing."""
    plan = plan_of_probe(mux_run, dies(code=127))

    outcome, _, line = probed(mux_run, plan)

    assert outcome is SessionOutcome.CRASHED
    assert "exit 127" in line


def test_agent_probe_on_the_command_line_tells_which_hooks_reported(mux_world: World) -> None:
    """The command shows every expected event, exits 0 only if all arrived, and is no run of the list."""
    seamripper = CommandLine(mux_world)
    base = plan_of(task("any", stops().then_idles()), project=str(mux_world.project))
    name = base.agent_of(base.tasks[0])

    answer = seamripper("probe", name, "--plan", seamripper.plan(base), "--timeout", "30")

    assert answer.code == 0, answer.stderr
    shown = [line.split()[:2] for line in answer.stdout.splitlines() if "arrived" in line]
    assert shown[:3] == [["✔", str(kind)] for kind in TURN]
    assert seamripper("list", "--json").document["runs"] == []
