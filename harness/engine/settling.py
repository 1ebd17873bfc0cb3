"""What becomes of a task when an attempt at it is over: verify it, try again, or give it up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from harness.engine.commands import Commands, RunningCommand
from harness.engine.core import Core
from harness.engine.events import Result
from harness.engine.plan import TaskPlan
from harness.engine.tasks import counted, tally
from harness.record import Paused, SessionOutcome, TaskPhase, TaskState

__all__ = ["Settling", "Verification"]


@dataclass(slots=True)
class Verification:
    """A task whose commands have still to pass; `since` is when the one that runs was started, in monotonic seconds."""

    state: TaskState
    commands: deque[str]
    running: RunningCommand | None = None
    since: float = 0.0


class Settling:
    """Judges finished attempts by their outcome, their result and the plan's `verify` commands.

    `verifications` are those whose commands have not ended yet; `advance` goes on with them.
    """

    def __init__(self, core: Core, commands: Commands) -> None:
        self.core = core
        self.commands = commands
        self.verifications: list[Verification] = []

    def settle(self, task: TaskPlan, state: TaskState, result: Result | None) -> Paused | None:
        """Move the task on from its newest attempt; an escalation is the reason to pause the run."""
        core = self.core
        core.checkpoint("settle")
        attempt = state.attempts[-1]
        paused = None
        if attempt.outcome is not SessionOutcome.COMPLETED:
            self._retry(state, attempt.reason)
        elif result is not None and result.status == "escalate":
            state.phase = TaskPhase.ESCALATED
            state.reason = result.summary
            paused = Paused(reason=f"{task.key} needs a person: {result.summary}", stage="escalated", task=task.key)
            core.journal("task-escalated", task=task.key)
        elif result is not None and result.status == "failed":
            self._retry(state, f"the agent gave up: {result.summary}")
        else:
            state.phase = TaskPhase.VERIFYING
            core.save()
            self.verifications.append(Verification(state, deque(task.verify)))
            self.advance()
        core.save()
        return paused

    def advance(self) -> None:
        """Go on with every verification, as far as that takes no waiting."""
        for one in list(self.verifications):
            if self._advance(one):
                self.verifications.remove(one)
                self.core.save()

    def _advance(self, one: Verification) -> bool:
        """Start and judge the commands of a task one after the other; whether that is over."""
        core, state = self.core, one.state
        while one.commands:
            if one.running is None:
                core.checkpoint("verify")
                one.running = self.commands.start(one.commands[0], state.attempts[-1].token)
                one.since = core.now
            outcome = one.running.poll()
            if outcome is None:
                return False
            self.commands.over(one.running)
            one.running = None
            command, problem = one.commands.popleft(), outcome.problem
            core.journal("verified", task=state.key, command=command, problem=problem)
            if problem is not None:
                self._retry(state, f"`{command}` failed: {problem}")
                return True
        state.phase = TaskPhase.DONE
        state.reason = ""
        core.journal("task-done", task=state.key)
        return True

    def _retry(self, state: TaskState, reason: str) -> None:
        state.feedback = reason
        if counted(state) >= self.core.plan.max_attempts:
            self.defer(state, tally(state.attempts) if reason == state.attempts[-1].reason else reason)
        else:
            state.phase = TaskPhase.PENDING
            self.core.journal("task-retry", task=state.key, reason=reason.splitlines()[0] if reason else "")

    def defer(self, state: TaskState, reason: str) -> None:
        """Give the task up for this run, and say why."""
        state.phase = TaskPhase.DEFERRED
        state.reason = reason
        self.core.journal("task-deferred", task=state.key, reason=reason.splitlines()[0] if reason else "")
        self.core.save()
