"""Carries out jobs, one after the other, each by an agent in a terminal window of its own.

It is the kind of program that somebody writes in an afternoon, and that works: as long as the terminal does. Nothing here
knows of seamripper; `under_test.py` beside it does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class TerminalError(Exception):
    """The terminal did not do what it was asked to."""


class Terminal(Protocol):
    """What the orchestrator needs of a terminal multiplexer; everything may raise `TerminalError`."""

    def open_window(self, name: str, command: Sequence[str], env: Mapping[str, str], cwd: str) -> str:
        """Run `command` in a new window and answer the window's id."""

    def is_alive(self, window: str) -> bool:
        """Whether the window is there and its program runs."""

    def close_window(self, window: str) -> None:
        """Close the window, which ends its program."""

    def close(self) -> None:
        """Close all windows."""


class Files(Protocol):
    """A disk."""

    def read(self, path: Path) -> bytes:
        """The content of a file; `OSError` if there is none."""

    def write(self, path: Path, data: bytes) -> None:
        """Write a file."""


class Time(Protocol):
    """A clock."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True)
class Job:
    """What an agent is started with, and where it leaves its answer: a JSON object with a `status`."""

    command: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    result: Path


class Orchestrator:
    """Gives every task to an agent, and to another one if the first fails."""

    def __init__(
        self,
        prepare: Callable[[str, int], Job],
        terminal: Terminal,
        files: Files,
        time: Time,
        state_file: Path,
        *,
        timeout_s: float,
        tries: int,
    ) -> None:
        """`prepare(task, attempt)` is asked for each launch; an agent has `timeout_s` seconds."""
        self._prepare = prepare
        self._terminal = terminal
        self._files = files
        self._time = time
        self._state_file = state_file
        self._timeout_s = timeout_s
        self._tries = tries
        self._tasks: dict[str, dict[str, Any]] = {}
        self._stopped = False

    def stop(self) -> None:
        """Give up at the next opportunity."""
        self._stopped = True

    def run(self, tasks: Sequence[str]) -> None:
        """Carry out `tasks`; the state file says what came of them."""
        self._tasks = {task: {"done": False, "attempts": []} for task in tasks}
        self._save("running")
        for task in tasks:
            self._carry_out(task)
        self._terminal.close()
        self._save("stopped" if self._stopped else "finished")

    def _carry_out(self, task: str) -> None:
        told = self._tasks[task]
        for attempt in range(1, self._tries + 1):
            if self._stopped or told["done"]:
                return
            outcome = self._attempt(task, attempt)
            told["attempts"].append(outcome)
            told["done"] = outcome == "completed"
            self._save("running")

    def _attempt(self, task: str, attempt: int) -> str:
        job = self._prepare(task, attempt)
        window = self._open(f"{task}-{attempt}", job)
        deadline = self._time.monotonic() + self._timeout_s
        while self._time.monotonic() < deadline:
            if self._stopped:
                return "stopped"
            if self._is_done(job):
                self._terminal.close_window(window)
                return "completed"
            if not self._is_alive(window):
                return "crashed"
            self._time.sleep(1)
        self._terminal.close_window(window)
        return "timed_out"

    def _open(self, name: str, job: Job) -> str:
        try:
            return self._terminal.open_window(name, job.command, job.env, job.cwd)
        except TerminalError:
            # It may have been a hiccup.
            return self._terminal.open_window(name, job.command, job.env, job.cwd)

    def _is_alive(self, window: str) -> bool:
        try:
            return self._terminal.is_alive(window)
        except TerminalError:
            return False

    def _is_done(self, job: Job) -> bool:
        try:
            answer = json.loads(self._files.read(job.result))
        except (OSError, ValueError):
            return False
        return isinstance(answer, dict) and answer.get("status") == "done"

    def _save(self, status: str) -> None:
        state = {"status": status, "tasks": self._tasks}
        self._files.write(self._state_file, json.dumps(state).encode("ascii"))
