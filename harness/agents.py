"""Agents and plans for stories: `task("1-1", agent=works(10).then_completes())`.

A `ScriptedAgent` is a list of steps (see `harness.scripted.STEPS`) that reads like a sentence. It says nothing about who
plays it: a real process in a real window, or a simulated one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backends.disk import Disk
from harness import scripted
from harness.agent_data import KINDS, ProfileData, built_in, profile_data, secrets_in, user_file, user_tables
from harness.command_profile import CommandProfile
from harness.engine.events import EventKind
from harness.engine.launching import put_file
from harness.engine.plan import PlanError, RunPlan, TaskPlan
from harness.engine.profiles import AgentProfile, Launch, LaunchContext, nudge_text, wake_text
from harness.engine.transcripts import TranscriptRule
from harness.scripted import Step, check_script

__all__ = [
    "DRIVEN_KINDS",
    "ScriptedAgent",
    "ScriptedProfile",
    "TaskStory",
    "completes",
    "dies",
    "exits",
    "plan_of",
    "profiles_for",
    "stalls",
    "stops",
    "task",
    "works",
    "writes_result",
]


DRIVEN_KINDS = ("scripted", *KINDS)
"""Kinds of agents that have a profile."""

TRANSCRIPT_RULES = (
    TranscriptRule(EventKind.TURN_FAILED, {"type": "turn_failed"}, error="error"),
    TranscriptRule(EventKind.INTERRUPTED, {"type": "turn_aborted"}),
)
"""What the lines of a scripted agent's transcript mean."""

PROGRAM = str(Path(scripted.__file__).resolve())
"""The interpreter of scripts; run by its path, in whatever directory."""


@dataclass(frozen=True)
class ScriptedAgent:
    """What an agent does, step by step; every method answers a longer story.

    `later` are the scripts of the second attempt, the third, and so on; the last script serves every attempt after it.
    """

    steps: tuple[Step, ...] = ()
    later: tuple[tuple[Step, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no interpreter could play; raises `ValueError`."""
        for script in self.scripts:
            check_script(script)

    @property
    def scripts(self) -> tuple[tuple[Step, ...], ...]:
        """The scripts of the first, second, ... attempt."""
        return (self.steps, *self.later)

    @staticmethod
    def attempts(*agents: ScriptedAgent) -> ScriptedAgent:
        """Attempt n is played by the nth of `agents`, every further one by the last."""
        scripts = [script for agent in agents for script in agent.scripts]
        return ScriptedAgent(scripts[0], tuple(scripts[1:]))

    def then(self, do: str, **parameters: object) -> ScriptedAgent:
        """Any step by its name; parameters that are `None` are left out."""
        step = {"do": do, **{name: value for name, value in parameters.items() if value is not None}}
        return replace(self, steps=(*self.steps, step), later=tuple((*script, step) for script in self.later))

    def then_works(self, seconds: float, *, silent: bool | None = None, every_s: float | None = None) -> ScriptedAgent:
        """Work for that long, printing progress unless `silent`."""
        return self.then("work", seconds=seconds, silent=silent, every_s=every_s)

    def then_says(self, text: str) -> ScriptedAgent:
        """Print exactly that."""
        return self.then("say", text=text)

    def then_floods(self, size: int, *, line: int | None = None) -> ScriptedAgent:
        """Print `size` bytes in lines of `line` bytes."""
        return self.then("flood", bytes=size, line=line)

    def then_emits(self, kind: str, **payload: object) -> ScriptedAgent:
        """Report an event."""
        return self.then("event", kind=kind, payload=payload or None)

    def then_notes_in_transcript(self, **line: object) -> ScriptedAgent:
        """Add a line to the transcript, where no hook tells it: `type` is `turn_failed` or `turn_aborted`, or means nothing."""
        return self.then("transcript", line=line)

    def then_stops(self, *, background: bool | None = None) -> ScriptedAgent:
        """End the turn, perhaps with work left running in the background."""
        return self.then("stop", background=background)

    def then_fails_turn(self, **payload: object) -> ScriptedAgent:
        """Report that the turn failed."""
        return self.then_emits("TurnFailed", **payload)

    def then_writes_result(
        self,
        status: str = "done",
        summary: str | None = None,
        *,
        half: bool | None = None,
        token: str | None = None,
    ) -> ScriptedAgent:
        """Write the result: whole, or the first half of it; with its own token, or with another."""
        return self.then("result", status=status, summary=summary, half=half, token=token)

    def then_idles(self) -> ScriptedAgent:
        """Stay, and answer whatever is typed with another turn that comes to nothing, or as `on_nudge` says."""
        return self.then("idle")

    def then_completes(self, summary: str = "done") -> ScriptedAgent:
        """Write a good result, end the turn, and stay until told to go, as real agents do."""
        return self.then_writes_result(summary=summary).then_stops().then_idles()

    def then_stalls(self) -> ScriptedAgent:
        """Do nothing for ever, and hear nothing but what `on_nudge` answers."""
        return self.then("stall")

    def then_waits_for_prompt(self) -> ScriptedAgent:
        """Go on when a line was typed; it is taken as a prompt."""
        return self.then("wait_prompt")

    def then_waits(self, asks: str, answered_after_s: float | None = None) -> ScriptedAgent:
        """Ask a person for that and go on when it is answered: by a typed line, or by itself after so many seconds."""
        asking = self.then_emits("Waiting", message=asks)
        waiting = (
            asking.then("listen") if answered_after_s is None else asking.then_works(answered_after_s, silent=True)
        )
        return waiting.then_emits("Working")

    def then_exits(self, code: int | None = None) -> ScriptedAgent:
        """Say `SessionEnd` and exit."""
        return self.then("exit", code=code)

    def then_dies(self, *, code: int | None = None, signal: str | None = None) -> ScriptedAgent:
        """End without a word: with an exit code (1), or by a signal such as `"SIGKILL"`."""
        return self.then("die", code=code) if signal is None else self.then("signal", name=signal)

    def then_leaves_child(
        self,
        seconds: float,
        *,
        setsid: bool | None = None,
        ignore: Sequence[str] | None = None,
        orphan: bool | None = None,
    ) -> ScriptedAgent:
        """Start a process that may outlive it; an `orphan` is forked twice, so that it is nobody's child."""
        ignored = None if ignore is None else list(ignore)
        return self.then("child", seconds=seconds, setsid=setsid, ignore=ignored, orphan=orphan)

    def then_repeats(self, agent: ScriptedAgent, times: int | None = None) -> ScriptedAgent:
        """Do all of that again and again."""
        return self.then("loop", steps=list(agent.steps), times=times)

    def on_nudge(self, agent: ScriptedAgent) -> ScriptedAgent:
        """Answer the next line that it hears that way; the answer that was given last serves all later lines."""
        return self._at_first({"do": "on_nudge", "steps": list(agent.steps)})

    def ignoring_nudges(self) -> ScriptedAgent:
        """Hear nothing that is typed."""
        return self._at_first({"do": "ignore_nudges"})

    def ignoring_signals(self, *names: str) -> ScriptedAgent:
        """Pay no attention to those signals."""
        return self._at_first({"do": "ignore_signals", "names": list(names)})

    def _at_first(self, step: Step) -> ScriptedAgent:
        """Before the first step that takes time, and after others of this kind."""

        def put(script: tuple[Step, ...]) -> tuple[Step, ...]:
            at = next((i for i, old in enumerate(script) if old["do"] not in _AT_FIRST), len(script))
            return (*script[:at], step, *script[at:])

        return replace(self, steps=put(self.steps), later=tuple(put(script) for script in self.later))


_AT_FIRST = frozenset({"on_nudge", "ignore_nudges", "ignore_signals"})


def works(seconds: float, *, silent: bool | None = None, every_s: float | None = None) -> ScriptedAgent:
    """An agent that works for that long."""
    return ScriptedAgent().then_works(seconds, silent=silent, every_s=every_s)


def completes(summary: str = "done") -> ScriptedAgent:
    """An agent that has its result at once."""
    return ScriptedAgent().then_completes(summary)


def writes_result(status: str = "done", summary: str | None = None) -> ScriptedAgent:
    """An agent that writes a result and has said nothing else yet."""
    return ScriptedAgent().then_writes_result(status, summary)


def stops(*, background: bool | None = None) -> ScriptedAgent:
    """An agent whose turn ends at once."""
    return ScriptedAgent().then_stops(background=background)


def stalls() -> ScriptedAgent:
    """An agent that does nothing at all."""
    return ScriptedAgent().then_stalls()


def exits(code: int | None = None) -> ScriptedAgent:
    """An agent that leaves at once, politely."""
    return ScriptedAgent().then_exits(code)


def dies(*, code: int | None = None, signal: str | None = None) -> ScriptedAgent:
    """An agent that dies at once."""
    return ScriptedAgent().then_dies(code=code, signal=signal)


DEFAULT_AGENT = works(1).then_completes()
"""What the built-in agent `scripted` does when no script is given."""


@dataclass(frozen=True)
class TaskStory:
    """A task of a plan, and who plays its agent: a script, a name, or (`None`) the agent of the run."""

    plan: TaskPlan
    agent: ScriptedAgent | str | None = None


def task(
    key: str,
    agent: ScriptedAgent | str | None = None,
    prompt: str = "Do the task.",
    *,
    verify: Sequence[str] = (),
    needs: Sequence[str] = (),
    gate: str | None = None,
    cwd: str | None = None,
) -> TaskStory:
    """A task for `plan_of`."""
    return TaskStory(TaskPlan(key, prompt, tuple(verify), tuple(needs), gate, None, cwd), agent)


def plan_of(*tasks: TaskStory | TaskPlan, agent: ScriptedAgent | str = "scripted", **settings: Any) -> RunPlan:
    """A plan of these tasks; `settings` are the other fields of `RunPlan`. Each script becomes an agent `script-N`."""
    agents: dict[str, Mapping[str, Any]] = dict(settings.pop("agents", {}))
    names: dict[str, str] = {}

    def name_of(player: ScriptedAgent | str) -> str:
        if isinstance(player, str):
            return player
        table = _table_of(player)
        written = json.dumps(table, sort_keys=True)
        if written not in names:
            names[written] = f"script-{len(names) + 1}"
            agents[names[written]] = table
        return names[written]

    run_agent = name_of(agent)
    plans = []
    for each in tasks:
        story = each if isinstance(each, TaskStory) else TaskStory(each, each.agent)
        plans.append(story.plan if story.agent is None else replace(story.plan, agent=name_of(story.agent)))
    return RunPlan(tuple(plans), agent=run_agent, agents=agents, **settings)


def _table_of(agent: ScriptedAgent) -> dict[str, Any]:
    scripts = [[dict(step) for step in script] for script in agent.scripts]
    return (
        {"kind": "scripted", "script": scripts[0]} if len(scripts) == 1 else {"kind": "scripted", "attempts": scripts}
    )


@dataclass(frozen=True)
class ScriptedProfile:
    """Launches the scripted agent; `scale` divides every duration of its script.

    `python` and `program` are what stands in the argv: a simulated host, where nothing is run, may have any.
    """

    name: str
    agent: ScriptedAgent
    disk: Disk = field(repr=False)
    python: str = sys.executable
    scale: float = 1.0
    program: str = PROGRAM

    @property
    def stops_need_transcript(self) -> bool:
        """See `AgentProfile`."""
        return False

    @property
    def transcript_rules(self) -> tuple[TranscriptRule, ...]:
        """See `AgentProfile`."""
        return TRANSCRIPT_RULES

    @property
    def enter_again_s(self) -> float:
        """See `AgentProfile`."""
        return 0.0

    def launch(self, context: LaunchContext) -> Launch:
        """See `AgentProfile`; the script of the attempt is a file, so that the argv stays short."""
        scripts = self.agent.scripts
        steps = scripts[min(max(context.attempt, 1), len(scripts)) - 1]
        path = context.scripts_dir / f"{context.task_key}-{context.attempt}.json"
        self.disk.mkdir(context.scripts_dir)
        put_file(self.disk, path, json.dumps(steps).encode("ascii"))
        argv = (self.python, "-P", "-S", self.program, "--script", str(path), "--scale", f"{self.scale:g}")
        return Launch(argv, {"SEAMRIPPER_ATTEMPT": str(context.attempt)})

    def nudge_text(self, context: LaunchContext) -> str:
        """See `AgentProfile`."""
        return nudge_text(context)

    def wake_text(self, context: LaunchContext) -> str:
        """See `AgentProfile`."""
        return wake_text(context)


def profiles_for(
    plan: RunPlan,
    disk: Disk,
    python: str = sys.executable,
    scale: float = 1.0,
    program: str = PROGRAM,
    environment: Mapping[str, str] | None = None,
) -> Mapping[str, AgentProfile]:
    """The profile of every agent that the plan's tasks are given to; raises `PlanError` where there is none.

    From `environment` (default: an empty one) agents inherit what their profiles name; it also says where the user's own
    configuration lies.
    """
    makers = _Makers(disk, python, scale, program, environment or {})
    profiles: dict[str, AgentProfile] = {}
    problems: list[str] = []
    for name in dict.fromkeys(plan.agent_of(each) for each in plan.tasks):
        try:
            profiles[name] = makers.make(name, plan.agents.get(name, {"kind": name}))
        except ValueError as exc:
            problems.append(f"agents {name}: {exc}")
    if problems:
        raise PlanError(problems)
    return profiles


@dataclass(frozen=True)
class _Makers:
    """Makes profiles of the tables of a plan; raises `ValueError` for a table that describes none."""

    disk: Disk
    python: str
    scale: float
    program: str
    environment: Mapping[str, str]

    def make(self, name: str, table: Mapping[str, Any]) -> AgentProfile:
        """The profile of the agent called `name`."""
        if table["kind"] == "scripted":
            return ScriptedProfile(name, _agent_of(table), self.disk, self.python, self.scale, self.program)
        if table["kind"] in KINDS:
            return CommandProfile(name, self._data(table), self.disk, self.environment, self.python)
        raise ValueError(f"there is no profile of kind {table['kind']!r:.80}; known: {', '.join(DRIVEN_KINDS)}")

    def _data(self, table: Mapping[str, Any]) -> ProfileData:
        for variable in secrets_in(table):
            raise ValueError(
                f"env.{variable:.80}: a plan is kept with the run's record, so it holds no secret; "
                "set the variable where you start the run and name it in `pass_env`"
            )
        kind = table["kind"]
        own = user_tables(self.disk, user_file(self.environment)).get(kind, {})
        return profile_data(built_in(kind), own, {key: value for key, value in table.items() if key != "kind"})


def _agent_of(table: Mapping[str, Any]) -> ScriptedAgent:
    """The agent that a table of a plan describes; `ValueError` where it describes none."""
    for key in [key for key in table if key not in ("kind", "script", "attempts")]:
        raise ValueError(f"unknown key {key!r:.80}; a scripted agent has `script` or `attempts`")
    if "script" in table and "attempts" in table:
        raise ValueError("either `script` or `attempts`, not both")
    if "script" not in table and "attempts" not in table:
        return DEFAULT_AGENT
    scripts = table.get("attempts", [table.get("script")])
    if not isinstance(scripts, list) or not scripts or not all(isinstance(script, list) for script in scripts):
        raise ValueError("`script` is a list of steps, `attempts` a list of such lists")
    return ScriptedAgent(tuple(scripts[0]), tuple(tuple(script) for script in scripts[1:]))
