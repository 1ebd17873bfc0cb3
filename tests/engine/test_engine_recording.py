"""What is recorded of an ending stays true when the recording itself goes wrong."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest

from backends.guard import Call
from backends.processes import Completed
from faults.errors import SimulatedDeath
from harness.agents import task, works
from harness.engine.signals import RunStopped
from harness.engine.summary import RunSummary, TaskSummary
from harness.record import Crashed, Driver, Finished, RecordError, RunState, RunStatus, Stopped, TaskPhase
from harness.record.state import decode_state
from harness.report import Report
from harness.runner import Stage
from harness.world import FakeWorld

AGENT = works(3).then_completes()


class Raising:
    """A step of a disk or a multiplexer that raises once, the nth time it is taken."""

    def __init__(self, error: BaseException, nth: int = 1) -> None:
        self.error = error
        self.left = nth

    def __call__(self) -> None:
        """Take the step."""
        self.left -= 1
        if self.left == 0:
            raise self.error


class Interposed:
    """A disk whose operation `name` on a path that ends in `suffix` takes a step first."""

    def __init__(self, inner: Any, name: str, suffix: str, step: Raising) -> None:
        self._inner, self._name, self._suffix, self._step = inner, name, suffix, step

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._inner, name)

        def interposed(path: Any, *args: Any, **kwargs: Any) -> Any:
            if name == self._name and self._suffix in str(path):
                self._step()
            return operation(path, *args, **kwargs)

        return interposed if callable(operation) else operation


def paused(stage: Stage) -> None:
    """A run with one finished task that waits for an approval."""
    stage(task("a", agent=AGENT), task("b", agent=AGENT, gate="approval", needs=["a"]))


@pytest.mark.parametrize(
    "error", [MemoryError("no room"), OverflowError("too large"), KeyboardInterrupt(), SystemExit(3)]
)
def test_a_resume_that_cannot_read_the_record_leaves_it_alone(error: BaseException) -> None:
    """Whatever reading raises, state and backup are those of before, and the next resume repeats nothing."""
    stage = Stage(FakeWorld())
    paused(stage)
    disk = stage.world.disk
    stage.world.disk = Interposed(disk, "read", "journal.jsonl", Raising(error))  # type: ignore[assignment]  # stands in

    report = stage.resume(verify=False)

    assert isinstance(report.raised, RecordError if isinstance(error, Exception) else type(error))
    stage.world.disk = disk
    state = stage.store().load().state
    assert (state.epoch, state.task("a").phase) == (1, TaskPhase.DONE)
    assert stage.resume().events("attempt")[-1]["task"] == "b"


@pytest.mark.parametrize("error", [SystemExit(9), GeneratorExit(), SimulatedDeath("x")])
def test_control_flow_while_a_crash_is_filed_goes_on_after_everything_is_recorded(error: BaseException) -> None:
    """The other sinks hold the record, the session is gone, and only then does it come out of the engine."""
    stage = Stage(FakeWorld())
    disk = stage.world.disk
    stage.world.disk = Interposed(disk, "write", "crash/", Raising(error))  # type: ignore[assignment]  # stands in

    report = stage(task("a", agent=AGENT), faults="engine.decide=1*raise(ValueError)", verify=False)

    assert report.raised is error
    assert report.status is RunStatus.CRASHED
    assert report.teardown == "torn-down"
    assert report.summary is not None


def test_control_flow_out_of_a_teardown_goes_on() -> None:
    """What raises `SystemExit` while a stop is recorded is not swallowed."""
    stage = Stage(FakeWorld())

    class Exiting:
        def around(self, call: Call, proceed: Any) -> object:
            if call.operation.name == "kill_session":
                raise SystemExit(9)
            return proceed()

    def wrap(multiplexer: Any) -> Any:
        multiplexer.hook = Exiting()
        return multiplexer

    report = stage(task("a", agent=AGENT), faults="", wrap=wrap, checkpoint=Stopping(), verify=False)

    assert isinstance(report.raised, SystemExit)
    assert report.status is RunStatus.STOPPED


class Stopping:
    """A checkpoint that asks for a stop once the first session lives."""

    def __call__(self, step: str) -> None:
        """Pass a step of the engine."""
        if step == "decide":
            raise RunStopped("a test", 15)


class Full:
    """A disk that takes nothing more for files of these names, once it is `full`; a checkpoint that fills it and raises."""

    def __init__(self, inner: Any, error: BaseException, *names: str) -> None:
        self._inner, self._error, self._names, self.full = inner, error, names, False

    def __call__(self, step: str) -> None:
        """Pass a step of the engine."""
        if step == "decide":
            self.full = True
            raise self._error

    def __getattr__(self, name: str) -> Any:
        operation = getattr(self._inner, name)

        def bounded(path: Any, *args: Any, **kwargs: Any) -> Any:
            if self.full and name in ("write", "append") and any(part in str(path) for part in self._names):
                raise OSError(28, "full")
            return operation(path, *args, **kwargs)

        return bounded if callable(operation) else operation


def filled(error: BaseException, *names: str, **options: Any) -> Report:
    """A run that ends with `error` at its first decision, when nothing more can be written into files of these names."""
    stage = Stage(FakeWorld())
    disk = stage.world.disk
    stage.world.disk = full = Full(disk, error, *names)  # type: ignore[assignment]  # stands in
    report = stage(task("a", agent=AGENT), faults="", checkpoint=full, verify=False, **options)
    full.full = False
    return report


def test_each_step_of_recording_a_stop_stands_alone() -> None:
    """Where neither journal nor state can be written, every step says so, and the session is gone all the same."""
    report = filled(RunStopped("SIGTERM", 15), "journal", "state")

    assert report.summary is not None
    assert report.summary.ending == Stopped("SIGTERM", 15)
    full = "OSError: [Errno 28] full"
    assert report.summary.problems == (f"journal: {full}", f"state: {full}", f"journal: {full}", f"state: {full}")
    assert (report.summary.teardown, report.leftovers) == ("torn-down", [])


def test_each_step_of_recording_a_crash_stands_alone() -> None:
    """Where nothing can be written, the summary and standard error tell all of it."""
    stderr = io.StringIO()
    report = filled(ValueError("boom"), "", stderr=stderr, crash_context=lambda: {"x": 1 // 0})

    assert report.summary is not None
    assert report.summary.ending == Crashed("ValueError: boom")
    told = ["crash-context: ZeroDivisionError: integer division or modulo by zero"]
    steps = ("json", "text", "journal", "state", "journal", "state", "attention")
    assert list(report.summary.problems) == [*told, *(f"{step}: OSError: [Errno 28] full" for step in steps)]
    assert (report.summary.crash_record, report.leftovers) == (None, [])
    assert stderr.getvalue().startswith("CRASHED: ValueError: boom\n")


def test_a_run_that_cannot_record_its_ending_has_crashed() -> None:
    """With what kept it from being recorded as the error, and that in its state as soon as there is room."""
    stage = Stage(FakeWorld())
    disk = stage.world.disk
    armed = Full(disk, ValueError(), "state")

    def arm(step: str) -> None:
        armed.full = armed.full or step == "record"

    stage.world.disk = armed  # type: ignore[assignment]  # stands in
    report = stage(task("a", agent=AGENT), faults="", checkpoint=arm, verify=False)

    assert report.summary is not None
    assert report.summary.crash_error == "OSError: [Errno 28] full"
    assert report.summary.crash_record is not None
    assert [problem.partition(":")[0] for problem in report.summary.problems] == ["state", "state", "state"]
    armed.full = False
    assert stage.store().load().state.ending == Crashed("OSError: [Errno 28] full", report.summary.crash_record)
    assert stage.store().read_attention() == "crashed: OSError: [Errno 28] full\n"


def test_a_teardown_that_raises_has_failed() -> None:
    """It is told why, and the ending stands."""

    class Raw:
        def around(self, call: Call, proceed: Any) -> object:
            if call.operation.name == "kill_session":
                raise KeyError("bug")
            return proceed()

    def wrap(multiplexer: Any) -> Any:
        multiplexer.hook = Raw()
        return multiplexer

    stage = Stage(FakeWorld())
    report = stage(task("a", agent=AGENT), faults="", wrap=wrap, checkpoint=Stopping(), verify=False)

    assert report.summary is not None
    assert (report.summary.ending, report.summary.teardown) == (Stopped("a test", 15), "failed")
    assert report.summary.problems == ("teardown: KeyError: 'bug'",)
    assert report.events("run-stopped")[-1] | {"by": "a test", "signum": 15} == report.events("run-stopped")[-1]
    assert report.events("teardown")[-1]["outcome"] == stage.store().load().state.teardown == "failed"


def test_a_finished_run_is_summed_up() -> None:
    """Each task with its attempts, and nothing that went wrong."""
    stage = Stage(FakeWorld())
    report = stage(task("a", agent=AGENT), task("b", agent=works(1).then_exits()))

    written = decode_state(stage.world.disk.read(stage.run_dir / "state.json"))
    failed = written.task("b")
    assert written.ending == Finished(["b"])
    assert failed.attempts_used > 1
    assert report.summary == RunSummary(
        run_id=stage.run_dir.name,
        ending=Finished(["b"]),
        tasks=[
            TaskSummary("a", TaskPhase.DONE, 1, "", report.task("a").summary),
            TaskSummary("b", TaskPhase.DEFERRED, failed.attempts_used, failed.reason),
        ],
        teardown="torn-down",
    )


def test_a_crashed_run_is_summed_up() -> None:
    """With where its record is; the state has the same ending and the crash in its history."""
    stage = Stage(FakeWorld())
    report = stage(task("a", agent=AGENT), faults="engine.decide=1*raise(ValueError)")

    state = stage.store().load().state
    assert report.summary is not None
    assert isinstance(state.ending, Crashed)
    assert report.summary.ending == state.ending
    assert report.summary.crash_record == state.ending.record == state.crashes[-1].record
    assert (report.summary.teardown, report.summary.problems) == ("torn-down", ())
    assert stage.store().read_attention() == f"crashed: {state.ending.error}\n"


def test_a_crash_in_a_nested_run_names_its_record() -> None:
    """In the ending, in the state as it is written, and in the crash record."""
    stage = Stage(FakeWorld())
    report = stage(
        task("a", agent=works(1).then_exits()),
        retry_deferred="end",
        faults="engine.begin=1*pass->1*raise(ValueError)",
    )

    state = decode_state(stage.world.disk.read(stage.run_dir / "state.json"))
    assert isinstance(state.ending, Crashed)
    nested = stage.store("nested", state.nested[0]).load().state
    inner = nested.ending
    assert isinstance(inner, Crashed)
    assert nested.parent == stage.run_dir.name
    assert state.ending.child == f"nested/{state.nested[0]}/{inner.record}"
    assert report.summary is not None
    assert report.summary.ending == state.ending
    assert report.crash is not None
    assert report.crash["child"] == state.ending.child


def test_a_nested_run_that_left_no_record_is_named_by_its_directory() -> None:
    """It could not even be made."""
    stage = Stage(FakeWorld())

    def occupy(step: str) -> None:
        if step == "nested":
            place = stage.run_dir / "nested" / f"{stage.run_dir.name}-n1-1"
            stage.world.disk.mkdir(place)
            stage.world.disk.write(place / "state.json", b"{}")

    agent = works(1).then_exits()
    report = stage(task("a", agent=agent), retry_deferred="end", faults="", checkpoint=occupy, verify=False)

    assert report.summary is not None
    assert isinstance(report.summary.ending, Crashed)
    assert report.summary.ending.error.startswith("RecordError: there is a run already in ")
    assert report.summary.ending.child == f"nested/{stage.run_dir.name}-n1-1"
    assert stage.world.disk.read(stage.run_dir / report.summary.ending.child / "state.json") == b"{}"


def test_a_new_run_whose_record_cannot_be_made_has_crashed() -> None:
    """Nobody else has a record there that would have to be left alone."""
    stage = Stage(FakeWorld())
    disk = stage.world.disk
    stage.world.disk = Interposed(disk, "write", "plan.toml", Raising(OSError(28, "full")))  # type: ignore[assignment]  # stands in
    report = stage(task("a", agent=AGENT), faults="", verify=False)

    assert report.raised is None
    assert report.summary is not None
    assert report.summary.crash_error == "OSError: [Errno 28] full"
    assert not disk.locked(stage.run_dir / "run.lock")


def test_a_crash_whose_record_cannot_even_be_made_is_recorded_by_its_error() -> None:
    """In the state and the summary, which says what kept the record from being made."""
    stage = Stage(FakeWorld())
    disk = stage.world.disk
    broken = Interposed(disk, "info", "crash/", Raising(ValueError("no look")))
    stage.world.disk = broken  # type: ignore[assignment]  # stands in
    report = stage(task("a", agent=AGENT), faults="", checkpoint=Full(None, KeyError("boom")), verify=False)
    stage.world.disk = disk

    assert report.summary is not None
    assert report.summary.ending == Crashed("KeyError: 'boom'")
    assert report.summary.problems == ("record: ValueError: no look",)
    state = decode_state(disk.read(stage.run_dir / "state.json"))
    assert state.ending == report.summary.ending
    (crash,) = state.crashes
    assert (crash.epoch, crash.error, crash.record) == (1, "KeyError: 'boom'", None)
    assert 0 < crash.seq <= state.seq


def test_a_state_tells_who_began_the_run_with_which_plan() -> None:
    """From its first line on."""
    stage = Stage(FakeWorld())
    began = stage.world.clock.wall()
    report = stage(task("a", agent=AGENT), task("b", agent=AGENT))

    state = RunState.from_dict(report.events("run-created")[0]["state"])
    me = stage.world.processes.me()
    name = stage.run_dir.name
    assert (state.run_id, state.mux_session, state.parent) == (name, name[:64], None)
    assert (state.project, state.backend) == (str(stage.world.project), stage.world.multiplexer().backend_name)
    assert (state.created_at, state.updated_at) == (began, began)
    assert state.driver == Driver(me.pid, me.started, me.boot_id, stage.world.processes.host())
    assert [key.key for key in state.tasks] == ["a", "b"]
    plan = stage.world.disk.read(stage.run_dir / "plan.toml")
    assert state.plan_sha256 == hashlib.sha256(plan).hexdigest()


def test_a_crash_record_tells_what_the_caller_knows_of_the_moment() -> None:
    """Faults as lines, of whatever type they are; the rest as extras; the server, the last calls, and no prompt."""
    stage = Stage(FakeWorld())
    context = {"faults": "one plan", "fired": ("a", 2), "seed": 7}
    secret = "do this in secret, and do it well"
    report = stage(
        task("a", agent=AGENT, prompt=secret),
        faults="",
        checkpoint=Full(None, ValueError(f"no: {secret}")),
        crash_context=lambda: context,
        verify=False,
    )

    assert report.crash is not None
    assert (report.crash["faults"], report.crash["extra"]) == (["one plan", "a", "2"], {"seed": 7})
    assert report.crash["backend"] == stage.world.multiplexer().backend_name
    server = stage.world.multiplexer().server_identity()
    assert server is not None
    assert report.crash["server"] == f"pid {server.pid}, started {server.started}"
    assert any("new_session(" in line for line in report.crash["seam_calls"])
    assert report.crash["error"] == "ValueError: no: <secret>"


def test_a_crash_before_anything_was_asked_names_no_server() -> None:
    """Nor any fault, where the caller knows of none."""
    report = Stage(FakeWorld())(
        task("a", agent=AGENT),
        faults="engine.begin=1*raise(ValueError)",
        crash_context=lambda: {"faults": 3, "fired": None},
    )

    assert report.crash is not None
    assert (report.crash["server"], report.crash["faults"], report.crash["extra"]) == ("", [], {})


@pytest.mark.parametrize("error", [OverflowError("too large"), MemoryError()])
def test_a_record_that_cannot_be_read_is_told_with_its_run(error: Exception) -> None:
    """In one line, with what came up."""
    stage = Stage(FakeWorld())
    paused(stage)
    disk = stage.world.disk
    stage.world.disk = Interposed(disk, "read", "journal.jsonl", Raising(error))  # type: ignore[assignment]  # stands in

    report = stage.resume(verify=False)

    told = f"{type(error).__name__}: {error}".removesuffix(": ")
    assert str(report.raised) == f"{stage.run_dir.name} cannot be read: {told}"
    assert not disk.locked(stage.run_dir / "run.lock")


def test_commands_after_the_last_task_run_once() -> None:
    """A resume goes on with the first command that was not run."""
    stage = Stage(FakeWorld())
    ran: list[str] = []

    def run(argv: Any) -> Completed:
        ran.append(argv[0])
        return Completed(tuple(argv), 0, b"", b"")

    stage.world.processes.commands |= {"build": run, "deploy": run}  # type: ignore[attr-defined]  # a simulated table
    settings = {"post_run": ["build", "deploy"]}
    stage(task("a", agent=AGENT), faults="engine.post-run=1*pass->1*raise(ValueError)", **settings)
    report = stage.resume()

    assert ran == ["build", "deploy"]
    assert report.status is RunStatus.FINISHED


def test_a_crash_record_names_the_server_and_the_faults() -> None:
    """Who answered, what was planned and what fired stand in the record."""
    stage = Stage(FakeWorld())
    report = stage(task("a", agent=AGENT), faults="engine.decide=1*raise(ValueError)")

    assert report.crash is not None
    assert report.crash["server"].startswith("pid ")
    assert "engine.decide=1*raise(ValueError)" in report.crash["faults"]
    assert any("call 1 of engine.decide" in line for line in report.crash["faults"])
