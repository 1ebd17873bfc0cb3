"""Agents and plans as stories: what a sentence says is what the plan holds."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from backends.memory_disk import MemoryDisk
from harness.agents import (
    DEFAULT_AGENT,
    ScriptedAgent,
    completes,
    dies,
    plan_of,
    profiles_for,
    stalls,
    task,
    works,
)
from harness.engine.plan import PlanError, RunPlan, TaskPlan, load_plan, parse_plan
from harness.engine.profiles import AgentProfile, LaunchContext, agent_environment, prompt_footer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def context(attempt: int = 1) -> LaunchContext:
    """A launch in a simulated run directory."""
    run = PurePosixPath("/run/x")
    directory = run / "tasks/a"
    prompt, result = directory / "prompt.md", directory / "result.json"
    return LaunchContext(
        "a", attempt, "token", prompt, run / "events", result, run, PurePosixPath("/sim/work"), directory
    )


def script_of(agent: ScriptedAgent, attempt: int) -> Any:
    """What the profile writes for that attempt."""
    disk = MemoryDisk()
    disk.mkdir("/run/x")
    profile = profiles_for(plan_of(task("a", agent)), disk)["script-1"]
    argv = profile.launch(context(attempt)).argv
    return json.loads(disk.read(argv[argv.index("--script") + 1]))


def test_a_story_is_a_list_of_steps() -> None:
    """Each word of the sentence is a step; the agent that it began with stays as it was."""
    begun = works(10)

    assert begun.then_completes("fine").steps == (
        {"do": "work", "seconds": 10},
        {"do": "result", "status": "done", "summary": "fine"},
        {"do": "stop"},
        {"do": "idle"},
    )
    assert begun == works(10)


def test_how_to_answer_is_known_before_anything_happens() -> None:
    """Answers are given in the order in which they were told, wherever in the sentence that was."""
    agent = works(1).on_nudge(stalls()).then_stops().on_nudge(dies()).ignoring_signals("SIGTERM")

    assert [step["do"] for step in agent.steps] == ["on_nudge", "on_nudge", "ignore_signals", "work", "stop"]
    assert agent.steps[1]["steps"][0]["do"] == "die"


def test_each_attempt_has_its_own_script_and_the_last_one_repeats() -> None:
    """What is added later is added to all of them."""
    agent = ScriptedAgent.attempts(works(1), works(2), works(3)).then_dies()

    assert [script_of(agent, attempt)[0]["seconds"] for attempt in (1, 2, 3, 4, 99)] == [1, 2, 3, 3, 3]
    assert all(script_of(agent, attempt)[-1] == {"do": "die"} for attempt in (1, 2, 3))


def test_a_plan_of_stories_survives_being_written() -> None:
    """A resumed run plays the same agents as the one that was interrupted."""
    agent = ScriptedAgent.attempts(dies(), works(1).on_nudge(completes()).then_stalls())
    plan = plan_of(task("a", agent), task("b", agent, needs=["a"]), task("c"), TaskPlan("d", agent="gemini"), nudges=1)

    assert parse_plan(plan.to_toml()) == plan
    assert [plan.agent_of(each) for each in plan.tasks] == ["script-1", "script-1", "scripted", "gemini"]
    assert (plan.nudges, list(plan.agents)) == (1, ["script-1"])


def test_an_agent_of_the_run_may_be_a_story_too() -> None:
    """It serves the tasks that have none of their own."""
    plan = plan_of(task("a"), task("b", completes()), agent=stalls(), agents={"x": {"kind": "scripted"}})

    assert [plan.agent_of(each) for each in plan.tasks] == ["script-1", "script-2"]
    assert list(plan.agents) == ["x", "script-1", "script-2"]


def test_a_launch_is_short_and_the_same_when_asked_again() -> None:
    """A launch whose answer was lost is asked for again."""
    disk = MemoryDisk()
    disk.mkdir("/run/x/tasks/a")
    disk.write("/run/x/tasks/a/a-1.draft", b"left by a launch that was cut off")
    profile = profiles_for(plan_of(task("a", stalls())), disk, "python3", 2.5, "/opt/scripted.py")["script-1"]

    first, again = profile.launch(context()), profile.launch(context())

    script = "/run/x/tasks/a/a-1.json"
    assert first == again
    assert first.argv == ("python3", "-P", "-S", "/opt/scripted.py", "--script", script, "--scale", "2.5")
    assert disk.listdir("/run/x/tasks/a") == ["a-1.json"]


def test_a_profile_is_what_the_engine_expects() -> None:
    """It says one line at a time, because Enter ends it."""
    profile = profiles_for(plan_of(task("a")), MemoryDisk())["scripted"]

    assert isinstance(profile, AgentProfile)
    for text in (profile.nudge_text(context()), profile.wake_text(context())):
        assert "/run/x/tasks/a/result.json" in text
        assert text.isprintable()


def test_every_agent_is_told_where_its_result_belongs() -> None:
    """The footer holds the token and the path, so that an agent can copy both."""
    footer = prompt_footer(context())

    assert str(context().result_file) in footer
    assert '"token": "token"' in footer
    assert agent_environment(context())["SEAMRIPPER_RESULT"] == "/run/x/tasks/a/result.json"


def test_the_built_in_scripted_agent_completes() -> None:
    """A plan needs no script to be tried out."""
    assert works(1).then_completes() == DEFAULT_AGENT
    assert list(profiles_for(RunPlan((TaskPlan("a"),)), MemoryDisk())) == ["scripted"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "claude", "modle": "x"}, "agents x: object contains unknown field modle"),
        ({"kind": "mine"}, "agents x: there is no profile of kind 'mine'; known: scripted"),
        ({"kind": "scripted", "scirpt": []}, "agents x: unknown key 'scirpt'"),
        ({"kind": "scripted", "script": [], "attempts": []}, "agents x: either `script` or `attempts`"),
        ({"kind": "scripted", "script": 3}, "agents x: `script` is a list of steps"),
        ({"kind": "scripted", "attempts": []}, "agents x: `script` is a list of steps"),
        ({"kind": "scripted", "attempts": [3]}, "agents x: `script` is a list of steps"),
        ({"kind": "scripted", "attempts": [[], [{"do": "wrok"}]]}, "agents x: unknown step 'wrok'; did you mean work?"),
    ],
)
def test_an_agent_that_nobody_can_play_is_refused(table: dict[str, Any], said: str) -> None:
    """It is refused before the run begins, in one line."""
    plan = RunPlan((TaskPlan("a"),), agent="x", agents={"x": table})

    with pytest.raises(PlanError) as caught:
        profiles_for(plan, MemoryDisk())

    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_the_examples_are_plans_that_can_be_played(path: Path) -> None:
    """What the documentation shows works."""
    plan = load_plan(path)

    assert profiles_for(plan, MemoryDisk()).keys() == {plan.agent_of(each) for each in plan.tasks}
    assert parse_plan(plan.to_toml()) == plan
