"""The scripted agent on virtual time: performs the effects of `harness.scripted.Script` in a simulated process.

`Agents` is what a simulated multiplexer is given as its `programs`. Events and results are the same files, written through
the simulation's disk; the ledger is kept in memory.
"""

from __future__ import annotations

import json
import posixpath
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from backends.posix_signals import SIGHUP
from backends.simulated_programs import FakeProcess
from harness.relay import TAKEN, event_bytes, first_free
from harness.scripted import (
    Deliver,
    Effect,
    Emit,
    End,
    Flow,
    Ignore,
    Listen,
    Note,
    Pause,
    Record,
    Say,
    Script,
    Signalled,
    Spawn,
    ledger_record,
    no_fault,
    transcript_of,
)

__all__ = ["Agents", "SimulatedAgent"]

STARTUP_S = 0.05
"""Simulated seconds from the start of the process to its first event: about what an interpreter takes to start."""


class AgentRaised(BaseException):
    """The agent's program raised, which ends its process and nobody else's."""


class Agents:
    """Recognises the scripted agent among the programs of a simulated host, and remembers what its agents did.

    `agent_fault` is asked as `Script` says, with the `task` and the `attempt` that it is about, and makes an agent misbehave
    where the script does not.
    """

    def __init__(self, agent_fault: Callable[..., object | None] = no_fault) -> None:
        self.agent_fault = agent_fault
        self.ledger: list[dict[str, Any]] = []
        self.agents: list[SimulatedAgent] = []
        self._of_task: dict[str | None, list[SimulatedAgent]] = {}

    def __call__(self, process: FakeProcess) -> SimulatedAgent | None:
        """The program for `process` if it is a scripted agent."""
        if not any(posixpath.basename(word) == "scripted.py" for word in process.argv):
            return None
        agent = SimulatedAgent(process, self)
        self.agents.append(agent)
        self._of_task.setdefault(agent.task, []).append(agent)
        return agent

    def enter(self, agent: SimulatedAgent, note: Note) -> None:
        """Write to the ledger; at the start, find out whether another agent is at work on the same task."""
        process = agent.process
        notes = [note]
        if note.what == "start" and any(
            other is not agent and other.process.alive for other in self._of_task[agent.task]
        ):
            notes.append(Note("overlap"))
        wall = process.clock.wall()
        self.ledger += [ledger_record(n, process.env, at=wall, pid=process.pid) for n in notes]


class SimulatedAgent:
    """One scripted agent in one simulated process."""

    def __init__(self, process: FakeProcess, agents: Agents) -> None:
        self.process = process
        self._agents = agents
        self._flow: Flow | None = None
        self._scale = 1.0
        self._listening = False
        self._lines: list[str] = []
        self._ignored: set[int] = set()
        self._turns = 0
        self._held = False
        self._unsaid: Say | None = None
        self._caught: list[int] = []

    @property
    def at_work(self) -> bool:
        """Whether it has begun, and lives."""
        return self.process.alive and self._flow is not None

    def hold(self) -> None:
        """Its terminal takes no output, as after Ctrl-S: what it prints next keeps it waiting."""
        self._held = True

    def let_go(self) -> None:
        """Its terminal takes output again; signals that came while it waited are heard then."""
        self._held = False
        said, self._unsaid = self._unsaid, None
        caught, self._caught = self._caught, []
        if said is None:
            return
        self._perform(said)
        self._advance(next if not caught else lambda flow: flow.throw(Signalled(caught[0])))

    @property
    def task(self) -> str | None:
        """The task that it was started for."""
        return self.process.env.get("SEAMRIPPER_TASK")

    def start(self) -> None:
        """See `Program`."""
        self.process.clock.call_later(STARTUP_S, self._begin)

    def typed(self, text: str) -> None:
        """See `Program`."""
        self._lines += text.replace("\r", "\n").split("\n")
        if self._listening and self._flow is not None:
            self._listening = False
            self._advance(lambda flow: flow.send(self._lines.pop(0)))

    def signalled(self, signum: int) -> bool:
        """See `Program`."""
        if signum in self._ignored:
            return True
        if self._flow is None or signum not in (signal.SIGINT, signal.SIGTERM, SIGHUP):
            return False
        if self._unsaid is not None and signum != SIGHUP:
            self._caught.append(signum)
            return True
        # A hangup ends the terminal, and with it whatever the terminal has kept waiting.
        self._held, self._unsaid = False, None
        self._listening = False
        self._turns += 1
        self._advance(lambda flow: flow.throw(Signalled(signum)))
        return True

    def _begin(self) -> None:
        process = self.process
        if not process.alive:
            return
        options = dict(zip(process.argv, process.argv[1:], strict=False))
        try:
            self._scale = float(options.get("--scale", "1"))
            steps = json.loads(process.disk.read(options.get("--script", "")))
            prompt_file = process.env.get("SEAMRIPPER_PROMPT")
            prompt = process.disk.read(prompt_file).decode("utf-8", "backslashreplace") if prompt_file else ""
            script = Script(steps, process.env, prompt, self._fault)
        except (OSError, ValueError, RecursionError) as exc:
            process.print(f"scripted agent: {exc}\n")
            process.exit(2)
            return
        self._flow = script.run()
        self._advance(next)

    def _fault(self, event: str) -> object | None:
        env = self.process.env
        attempt = env.get("SEAMRIPPER_ATTEMPT", "")
        about = {"task": env.get("SEAMRIPPER_TASK", ""), "attempt": int(attempt) if attempt.isdecimal() else 0}
        try:
            return self._agents.agent_fault(event, **about)
        except BaseException as error:
            raise AgentRaised(type(error).__name__) from error

    def _advance(self, go_on: Callable[[Flow], Effect]) -> None:
        """Perform effects until one takes time."""
        while self.process.alive and self._flow is not None:
            try:
                effect = go_on(self._flow)
            except AgentRaised as raised:
                self.process.print(f"scripted agent: {raised}\n")
                self.process.exit(1)
                return
            if isinstance(effect, Pause):
                self._turns += 1
                self.process.clock.call_later(effect.seconds / self._scale, partial(self._resume, self._turns))
                return
            if self._held and isinstance(effect, Say):
                self._unsaid = effect
                return
            reply: str | None = None
            if isinstance(effect, Listen):
                if not self._lines:
                    self._listening = True
                    return
                reply = self._lines.pop(0)
            else:
                reply = self._perform(effect)
            go_on = _sending(reply)

    def _resume(self, turn: int) -> None:
        # A pause that a signal has ended must not go on when its time comes.
        if turn == self._turns:
            self._advance(next)

    def _perform(self, effect: Effect) -> str | None:
        process = self.process
        match effect:
            case Say(data):
                process.print(data)
            case Note():
                self._agents.enter(self, effect)
            case Spawn(_, setsid, ignore, orphan):
                ignored = {signal.Signals[name] for name in ignore}
                process.spawn_child(detached=setsid, ignored=ignored, orphan=orphan)
            case Ignore(names):
                self._ignored |= {signal.Signals[name] for name in names}
            case End(code, signum):
                if signum is None:
                    process.exit(code)
                else:
                    process.die(signum)
            case Emit() | Deliver() | Record():
                try:
                    self._put(effect)
                except (OSError, ValueError) as exc:
                    failure = f"{type(effect).__name__.lower()} failed: {exc}\n"
                    process.print(failure)
                    return failure
        return None

    def _put(self, effect: Emit | Deliver | Record) -> None:
        disk, env = self.process.disk, self.process.env
        if isinstance(effect, Record):
            disk.append(transcript_of(env), effect.data)
            return
        if isinstance(effect, Deliver):
            target, data, whole = env.get("SEAMRIPPER_RESULT", ""), effect.data, effect.whole
        else:
            directory = env.get("SEAMRIPPER_EVENTS", "")
            names = disk.listdir(directory)
            taken = posixpath.join(directory, TAKEN)
            seq = first_free([*names, *(disk.listdir(taken) if disk.info(taken) is not None else ())])
            while f"{seq:08d}.json" in names:
                seq += 1
            target, whole = posixpath.join(directory, f"{seq:08d}.json"), True
            data = event_bytes(seq, effect.event, env, effect.payload)
        draft = posixpath.join(posixpath.dirname(target), f".{self.process.pid}-0.draft") if whole else target
        if disk.info(draft) is not None:
            disk.remove(draft)
        try:
            disk.write(draft, data)
        except OSError:
            if whole:
                disk.remove(draft)
            raise
        if whole:
            disk.replace(draft, target)


def _sending(reply: str | None) -> Callable[[Flow], Effect]:
    return lambda flow: flow.send(reply)
