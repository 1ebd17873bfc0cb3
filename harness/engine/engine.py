"""The engine: carries out a plan, and leaves a truthful record of how that ended.

`Engine.run` captures whatever comes of the run as one value and then records it, step by step, each step standing alone.
It returns a `RunSummary` for every ending. Out of it come only `RecordError` before anything has begun (`RunLocked`:
somebody else drives this run; or there is no run to resume) and, after they were recorded, exceptions that are somebody
else's control flow (`SystemExit`, a test runner's own timeout).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from harness.engine.commands import Commands
from harness.engine.core import LONGEST_OUTAGE, STOP_FILE, Core, SeamWatch, Surroundings
from harness.engine.endings import Captured, Isolation, capture
from harness.engine.events import EventReader
from harness.engine.launching import clear
from harness.engine.nested import absorb_child, child_id, plan_of_deferred
from harness.engine.notices import Notices
from harness.engine.plan import RunPlan
from harness.engine.recovery import recover
from harness.engine.signals import StopSwitch, stop_signals
from harness.engine.states import approve, driver_on, fill_in, fresh_state
from harness.engine.summary import RunSummary, TaskSummary
from harness.engine.supervisor import Supervisor
from harness.engine.teardown import TORN_DOWN, tear_down, tear_down_patiently
from harness.engine.windows import Windows
from harness.record import (
    Attempt,
    CrashContext,
    Crashed,
    CrashFiling,
    CrashRef,
    Ending,
    Finished,
    Loaded,
    Paused,
    RecordError,
    RunLock,
    Stopped,
    TaskPhase,
    TaskState,
    reason_of,
    status_of,
)

__all__ = ["Engine", "Parent"]


@dataclass(frozen=True, slots=True)
class Parent:
    """Who a nested run belongs to: it is stopped with its parent, and hands its failures on."""

    run_id: str
    switch: StopSwitch
    notices: Notices


class Engine:
    """Drives one run. Make one, call `run` once."""

    def __init__(
        self,
        plan: RunPlan,
        run_dir: Path,
        outside: Surroundings,
        *,
        run_id: str | None = None,
        resume: bool = False,
        parent: Parent | None = None,
        handle_signals: bool = True,
    ) -> None:
        """Prepare to carry out `plan` in `run_dir`, or with `resume` to go on with the run that is recorded there.

        With `parent` the run is nested: it records its own ending and then hands the failure or the stop on. With
        `handle_signals` a top-level run on the main thread takes SIGINT, SIGTERM and SIGHUP as requests to stop.
        """
        self.plan = plan
        self.run_dir = run_dir
        self.outside = outside
        self.run_id = run_id or run_dir.name
        self.switch = StopSwitch() if parent is None else parent.switch
        if parent is None:
            self.switch.stop_file = run_dir / STOP_FILE
        self.summary: RunSummary | None = None
        self._resume = resume
        self._parent = parent
        self._handle_signals = handle_signals and parent is None
        self._lock: RunLock | None = None
        self._child: Engine | None = None
        self._begun = False
        self._plan_text = plan.to_toml()
        self.store = outside.store(run_dir)
        self.core = Core(
            plan=plan,
            run_dir=run_dir,
            outside=outside,
            store=self.store,
            state=fresh_state(plan, self._plan_text, self.run_id, outside, None if parent is None else parent.run_id),
            switch=self.switch,
            seam=SeamWatch(),
            events=EventReader(outside.disk, run_dir / "events", moves=True),
        )
        self.commands = Commands(self.core)
        self.notices = Notices(self.core, said=resume) if parent is None else parent.notices
        self.windows = self._windows()

    def request_stop(self, by: str = "request", signum: int | None = None) -> None:
        """Ask the run to stop; may be called from any thread, a second call forces it."""
        self.switch.request(by, signum)

    def run(self) -> RunSummary:
        """Carry out the plan; see the module for what comes out."""
        with stop_signals(self.switch) if self._handle_signals else nullcontext(), self._attached():
            captured = capture(self._drive, self.store.describe)
            if not self._begun and captured.error is not None:
                self._refuse(captured.error)
            recording = Isolation(self.store.describe)
            try:
                self.summary = self._record(captured, recording)
                if self._parent is None:
                    recording.step("notify", self._tell_of_the_end)
            finally:
                self._release(recording)
        error = captured.error
        if error is None and isinstance(self.summary.ending, Crashed):
            # The ending came to nothing because it could not be recorded: that is a failure like any other.
            error = recording.first
        if error is not None and (captured.foreign or self._parent is not None):
            raise error
        if recording.foreign is not None:
            raise recording.foreign
        return self.summary

    def _tell_of_the_end(self) -> None:
        assert self.summary is not None
        self.notices.end(status_of(self.summary.ending), reason_of(self.summary.ending))

    def _refuse(self, error: BaseException) -> None:
        """Raise what came up before this run was ours to record, and leave the record as it is.

        A new run is ours from the start, unless there is one already.
        """
        if not self._resume and not isinstance(error, RecordError):
            return
        self._release(Isolation(self.store.describe))
        if isinstance(error, RecordError) or not isinstance(error, Exception):
            raise error
        raise RecordError(f"{self.run_dir.name} cannot be read: {self.store.describe(error)}") from error

    def nest(self, plan: RunPlan) -> Engine:
        """A run of `plan` that belongs to this one: recorded below it, stopped with it; `run_nested` carries it out."""
        run_id = child_id(self.core)
        return Engine(
            plan,
            self.run_dir / "nested" / run_id,
            self.outside,
            run_id=run_id,
            parent=Parent(self.run_id, self.switch, self.notices),
        )

    def run_nested(self, child: Engine) -> RunSummary:
        """Carry out, within a step of this run, a run that `nest` made; what comes out of it is this run's to record."""
        core = self.core
        core.state.nested.append(child.run_id)
        core.save()
        core.journal("nested-run", run=child.run_id, tasks=[task.key for task in child.plan.tasks])
        self._child = child
        summary = child.run()
        self._child = None
        return summary

    @contextmanager
    def _attached(self) -> Iterator[None]:
        multiplexer = self.outside.multiplexer
        multiplexer.observe(self.core.seam)
        if self._parent is None:
            self.switch.on_stop, self.switch.on_force = self._give_up, multiplexer.abandon
        try:
            yield
        finally:
            multiplexer.unobserve(self.core.seam)
            if self._parent is None:
                self.switch.on_stop = None
                multiplexer.disconnect()

    def _give_up(self) -> None:
        """Wait for no answer any more, but for that to a new session: it may start a server, which must not come up unseen."""
        if not self._makes_session():
            self.outside.multiplexer.abandon()

    def _makes_session(self) -> bool:
        return self.windows.making or (self._child is not None and self._child._makes_session())

    # Driving

    def _drive(self) -> Ending:
        core = self.core
        self._open()
        core.checkpoint("begin")
        supervisor = Supervisor(core, self.windows, self.commands, self.notices)
        if self._resume:
            core.checkpoint("reconcile")
            paused = recover(core, self.windows, supervisor)
            if paused is not None:
                return self._paused(paused)
        paused = supervisor.run()
        if paused is None:
            paused = self._retry_deferred()
        if paused is not None:
            return self._paused(paused)
        return self._complete()

    def _open(self) -> None:
        """Take the lock and make the record, or read it; from here on the run is ours to record."""
        core = self.core
        try:
            self._lock = self.store.lock()
        except OSError as error:
            if self._resume:
                raise RecordError(f"{self.run_dir.name} cannot be locked: {error.strerror or error}") from error
            raise
        if self._resume:
            self._forget_stop_file()
            self._reopen(self.store.load())
        else:
            self.store.create(core.state, self._plan_text)
            self._begun = True
            core.journal("run-started", run=self.run_id, project=self.plan.project, backend=core.state.backend)
        self._lock.set_epoch(core.state.epoch)

    def _reopen(self, loaded: Loaded) -> None:
        core = self.core
        core.state = loaded.state
        fill_in(core.state, self.plan, self.run_id)
        before = core.state.ending
        core.state.rearm(loaded.epoch + 1)
        core.state.driver = driver_on(self.outside.processes)
        self.store.journal.epoch = core.state.epoch
        self._begun = True
        self.windows = self._windows()
        self.windows.claimed = True
        core.journal("run-resumed", source=loaded.source, notes=loaded.notes)
        approve(core.state, before)
        core.save()
        self.notices.say(None)
        core.checkpoint("load")

    def _retry_deferred(self) -> Paused | None:
        core = self.core
        deferred = [task.key for task in core.state.tasks if task.phase is TaskPhase.DEFERRED]
        if not deferred or self.plan.retry_deferred != "end" or self._parent is not None:
            return None
        core.checkpoint("nested")
        child = self.nest(plan_of_deferred(core, deferred))
        summary = self.run_nested(child)
        absorb_child(core, child.core.state)
        ending = summary.ending
        return ending if isinstance(ending, Paused) else None

    def _paused(self, paused: Paused) -> Paused:
        core = self.core
        core.checkpoint("pause")
        core.journal("run-paused", reason=paused.reason, stage=paused.stage, task=paused.task)
        self.notices.say(f"paused: {paused.reason}")
        core.checkpoint("record")
        return paused

    def _complete(self) -> Finished:
        core = self.core
        core.checkpoint("clean-up")
        if self.plan.cleanup_session or self._parent is not None:
            patience_s = self.plan.session_timeout_s * LONGEST_OUTAGE
            core.state.teardown = tear_down_patiently(core, self.windows, self._attempts(), patience_s)
            core.journal("teardown", outcome=core.state.teardown)
        token = next((attempt.token for attempt in reversed(self._attempts())), "")
        for number, command in enumerate(self.plan.post_run, start=1):
            if number > core.state.commands_done:
                core.checkpoint("post-run")
                problem = self.commands.run(command, token).problem
                core.journal("post-run", number=number, command=command, problem=problem)
                core.state.commands_done = number
                core.state.commands_failed += [] if problem is None else [command]
                core.save()
        self.notices.say(None)
        core.checkpoint("complete")
        failed = list(core.state.commands_failed)
        deferred = [task.key for task in core.state.tasks if task.phase is not TaskPhase.DONE]
        core.journal("run-complete", deferred=deferred, failed=failed)
        core.checkpoint("record")
        return Finished(deferred=deferred, failed=failed)

    # Recording

    def _record(self, captured: Captured, recording: Isolation) -> RunSummary:
        """Make the ending durable; a run whose ending cannot be recorded has crashed."""
        ending = captured.ending
        if isinstance(ending, Crashed) and captured.error is not None:
            return self._record_crash(captured.error, recording)
        if isinstance(ending, Stopped):
            recording.step("journal", lambda: self.core.journal("run-stopped", by=ending.by, signum=ending.signum))
        self.core.state.ending = ending
        saved = recording.step("state", self.core.save)
        if isinstance(ending, Stopped):
            recording.step("journal", self._tell_of_lost_server)
            self._tear_down(recording)
            recording.step("attention", lambda: self.notices.say(None))
        elif not saved and recording.first is not None:
            return self._record_crash(recording.first, recording)
        return self._summarize(ending, recording.problems)

    def _tell_of_lost_server(self) -> None:
        """A driver in a window of its own server is stopped by the hangup when that goes: nobody has looked since."""
        tasks = [task.key for task in self.core.state.tasks if _is_at_work(task)]
        if tasks and self.windows.server_has_died(self.outside.processes):
            self.windows.lose()
            self.core.journal("server-lost", tasks=tasks)

    def _record_crash(self, error: BaseException, recording: Isolation) -> RunSummary:
        core = self.core
        child = self._child_record()
        filing = self._file(error, child, recording)
        ending = Crashed(error=filing.error, record=filing.record, child=child)
        core.state.ending = ending
        core.state.crashes.append(filing.ref)
        recording.step("state", core.save)
        self._tear_down(recording)
        recording.step("attention", lambda: self.store.attention(f"crashed: {ending.error}"))
        return self._summarize(ending, recording.problems)

    def _file(self, error: BaseException, child: str | None, recording: Isolation) -> CrashFiling:
        """File the crash record; one that cannot even be made is known by its error alone."""
        state = self.core.state
        told = self.store.describe(error)
        filings = [CrashFiling(told, None, [], [], CrashRef(state.epoch, state.seq, told))]
        context = self._crash_context(recording)
        recording.step("record", lambda: filings.append(self.store.file_crash(error, state, context, child=child)))
        recording.problems.extend(filings[-1].problems)
        if filings[-1].interrupted is not None:
            recording.keep(filings[-1].interrupted)
        return filings[-1]

    def _child_record(self) -> str | None:
        """The crash record of the nested run that this run's failure came out of, or its directory if it left none."""
        child = self._child
        if child is None:
            return None
        record = None if child.summary is None else child.summary.crash_record
        return "/".join(["nested", child.run_id, *([] if record is None else [record])])

    def _crash_context(self, recording: Isolation) -> CrashContext:
        extra: dict[str, object] = {}
        recording.step("crash-context", lambda: extra.update(self.outside.crash_context()))
        server = self.windows.server
        return CrashContext(
            seam_calls=self.core.seam.lines(),
            backend=self.core.state.backend,
            server="" if server is None else f"pid {server.pid}, started {server.started}",
            faults=[*_lines(extra.pop("faults", ())), *_lines(extra.pop("fired", ()))],
            extra=extra,
            secrets=tuple(task.prompt for task in self.plan.tasks if task.prompt),
        )

    def _tear_down(self, recording: Isolation) -> None:
        core = self.core
        core.state.teardown = "failed"

        def take_down() -> None:
            core.state.teardown = tear_down(core, self.windows, self._attempts())

        recording.step("teardown", take_down)
        recording.step("commands", self.commands.end)
        recording.step("journal", lambda: core.journal("teardown", outcome=core.state.teardown))
        recording.step("state", core.save)

    def _summarize(self, ending: Ending, problems: Sequence[str]) -> RunSummary:
        state = self.core.state
        return RunSummary(
            run_id=self.run_id,
            ending=ending,
            tasks=[
                TaskSummary(task.key, task.phase, task.attempts_used, task.reason, task.summary) for task in state.tasks
            ],
            teardown=None if state.teardown == TORN_DOWN and not self.windows.claimed else state.teardown,
            crash_record=ending.record if isinstance(ending, Crashed) else None,
            problems=tuple(problems),
        )

    def _forget_stop_file(self) -> None:
        """A request to stop ends with the life of the run that it was made in."""
        if self._parent is None:
            clear(self.outside.disk, self.run_dir / STOP_FILE)

    def _release(self, recording: Isolation) -> None:
        if self._lock is not None:
            recording.step("stop-file", self._forget_stop_file)
            if self.core.state.teardown == TORN_DOWN:
                recording.step("drafts", self.store.remove_drafts)
            recording.step("release", self._lock.release)

    # Making

    def _windows(self) -> Windows:
        state = self.core.state
        return Windows(self.outside.multiplexer, state.mux_session, state.run_id, self.plan.project)

    def _attempts(self) -> list[Attempt]:
        return [attempt for task in self.core.state.tasks for attempt in task.attempts]


def _is_at_work(task: TaskState) -> bool:
    return bool(task.attempts) and task.attempts[-1].outcome is None


def _lines(told: object) -> list[str]:
    """What a crash context says, a line each."""
    return [told] if isinstance(told, str) else [str(item) for item in told] if isinstance(told, list | tuple) else []
