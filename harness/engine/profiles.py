"""What the engine asks of a kind of agent: how to launch it, and what to say to it.

A profile maps one command line tool (or a script that plays one) onto the engine's events. It never talks to the
multiplexer: it answers an argv, and an environment in addition to the one that every agent is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Protocol, runtime_checkable

from harness.engine.transcripts import TranscriptRule

__all__ = [
    "AgentProfile",
    "Launch",
    "LaunchContext",
    "agent_environment",
    "nudge_text",
    "prompt_footer",
    "wake_text",
]


@dataclass(frozen=True, slots=True)
class LaunchContext:
    """One launch of one agent.

    `attempt` counts from 1; `token` is the launch token that its events and its result must carry. `scripts_dir` is a
    directory inside the run directory for files that a profile writes for the launch.
    """

    task_key: str
    attempt: int
    token: str
    prompt_file: PurePath
    events_dir: PurePath
    result_file: PurePath
    run_dir: PurePath
    cwd: PurePath
    scripts_dir: PurePath


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run in the window: `argv`, and variables on top of `agent_environment`."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class AgentProfile(Protocol):
    """One kind of agent."""

    @property
    def name(self) -> str:
        """What the plan calls it."""

    @property
    def stops_need_transcript(self) -> bool:
        """Whether a `Stop` without a transcript path is a sub-agent's, and to be dropped."""

    @property
    def transcript_rules(self) -> tuple[TranscriptRule, ...]:
        """What lines of the agent's transcript tell of turns whose end no hook reports; none where hooks report all."""

    @property
    def enter_again_s(self) -> float:
        """Seconds after which Enter is pressed once more, unless a prompt was heard of by then; 0 for never.

        Some tools take an Enter that follows text at once for a part of it.
        """

    def launch(self, context: LaunchContext) -> Launch:
        """Write what the launch needs and answer how to start it; may raise `OSError`.

        Called again for the same context it answers the same.
        """

    def nudge_text(self, context: LaunchContext) -> str:
        """One line that asks for the result that is missing after a turn."""

    def wake_text(self, context: LaunchContext) -> str:
        """One line for an agent that has been silent for long."""


def agent_environment(context: LaunchContext) -> dict[str, str]:
    """What the window of every agent is given: who it is, where its prompt lies, where events and result belong."""
    return {
        "SEAMRIPPER_TOKEN": context.token,
        "SEAMRIPPER_TASK": context.task_key,
        "SEAMRIPPER_EVENTS": str(context.events_dir),
        "SEAMRIPPER_RESULT": str(context.result_file),
        "SEAMRIPPER_PROMPT": str(context.prompt_file),
        "SEAMRIPPER_RUN": str(context.run_dir),
    }


def prompt_footer(context: LaunchContext) -> str:
    """What is added to every prompt: where the result belongs and how it is written."""
    example = json.dumps({"token": context.token, "status": "done", "summary": "one or two sentences"})
    return (
        "\n\n---\n"
        "When you are finished, report your result as one JSON object, exactly once, in this file:\n\n"
        f"    {context.result_file}\n\n"
        f"    {example}\n\n"
        '"status" is "done" if the task is complete, "failed" if you could not complete it, and "escalate" if a person\n'
        'has to decide something first; say why in "summary". Keep "token" as it is. Write the object to another file\n'
        "in the same directory first and rename that file, so that the result is never seen half-written.\n"
    )


def nudge_text(context: LaunchContext) -> str:
    """One line that asks for the result that is missing after a turn."""
    return f"Your turn has ended, but there is no result. Write it to {context.result_file} as your prompt says."


def wake_text(context: LaunchContext) -> str:
    """One line for an agent that has been silent for long."""
    return f"Nothing has been heard from you. Go on, and write your result to {context.result_file} when you are done."
