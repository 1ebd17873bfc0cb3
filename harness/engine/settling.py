"""What becomes of a task when an attempt at it is over: verify it, try again, or give it up."""

from __future__ import annotations

import subprocess

from harness.engine.core import Core
from harness.engine.events import Result
from harness.engine.plan import TaskPlan, command_argv
from harness.engine.tasks import counted, tally
from harness.record import Paused, SessionOutcome, TaskPhase, TaskState

__all__ = ["Settling"]

OUTPUT_LIMIT = 2000
"""Characters of a failed command's output that are kept, the newest."""


class Settling:
    """Judges finished attempts by their outcome, their result and the plan's `verify` commands."""

    def __init__(self, core: Core) -> None:
        self.core = core

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
            self._verify(task, state)
        core.save()
        return paused

    def _verify(self, task: TaskPlan, state: TaskState) -> None:
        core = self.core
        state.phase = TaskPhase.VERIFYING
        core.save()
        for command in task.verify:
            core.checkpoint("verify")
            problem = self.run_command(command)
            core.journal("verified", task=task.key, command=command, problem=problem)
            if problem is not None:
                self._retry(state, f"`{command}` failed: {problem}")
                return
        state.phase = TaskPhase.DONE
        state.reason = ""
        core.journal("task-done", task=task.key)

    def run_command(self, command: str) -> str | None:
        """Run a command of the plan in the project; what went wrong, `None` if nothing did."""
        core = self.core
        try:
            done = core.outside.processes.run(
                command_argv(command),
                timeout_s=core.plan.session_timeout_s,
                cwd=core.plan.project or None,
                waker=core.switch.waker,
                newest=4 * OUTPUT_LIMIT,
            )
        except InterruptedError:
            core.switch.check()
            return "it was interrupted"
        except subprocess.TimeoutExpired:
            return f"it did not end within {core.plan.session_timeout_s:g} s"
        except (OSError, ValueError) as error:
            return f"it could not be run: {error}"
        if done.status == 0:
            return None
        output = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
        # Cleaned before it is cut: half of a secret would not be known for one.
        tail = core.store.clean(output, len(output)).strip()[-OUTPUT_LIMIT:]
        return f"exit {done.status}" + (f"\n{tail}" if tail else "")

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
