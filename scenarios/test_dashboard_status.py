"""What people see of a run: every status on screen, with the hints that apply and no other."""

from __future__ import annotations

import json
import signal

import pytest

from backends.processes import Liveness
from harness.agents import task, works
from harness.dashboard import header_text, list_row, read_run
from harness.record import RunStatus
from harness.runner import Stage

AGENT = works(10).then_completes()


def screen(stage: Stage, session: Liveness = Liveness.UNKNOWN) -> str:
    """The list's row and the header of the newest run, as a person reads them."""
    view = read_run(stage.store(), lambda state: session)
    return f"{list_row(view.status, view.state).plain}\n{header_text(view.status, view.state)}"


def end_as(stage: Stage, name: RunStatus) -> None:
    """A run that comes to show that status."""
    if name is RunStatus.STOPPED:
        stage.stop_at(5, signal.SIGTERM)
    faults = {RunStatus.CRASHED: "engine.decide=3*pass->1*raise(ValueError)"}.get(name, "")
    stage(task("1-1", agent=AGENT, gate="approval" if name is RunStatus.PAUSED else None), faults=faults)


@pytest.mark.parametrize("name", [RunStatus.FINISHED, RunStatus.STOPPED, RunStatus.PAUSED, RunStatus.CRASHED])
def test_dashboard_status_of_every_ending_is_on_screen(mux_run: Stage, name: RunStatus) -> None:
    """However a run ended, list and header say so in a word, and offer to resume what can be resumed."""
    end_as(mux_run, name)

    assert name.value in screen(mux_run).splitlines()[0]
    assert ("press e to resume" in screen(mux_run)) == (name is not RunStatus.FINISHED)


def test_dashboard_status_of_a_crash_tells_what_and_where(mux_run: Stage) -> None:
    """A crashed run reads as one: the fixed line, the error below it, and no hint to attach to a session that is gone."""
    end_as(mux_run, RunStatus.CRASHED)

    assert "✖ engine crashed - see crash.txt - press e to resume" in screen(mux_run)
    assert "ValueError: injected by" in screen(mux_run)
    assert "attach" not in screen(mux_run, Liveness.ALIVE)


def test_dashboard_status_of_a_driven_run_is_running(mux_run: Stage) -> None:
    """While the engine drives it, a run is RUNNING, and may be attached to where its session is proven alive."""
    seen: list[str] = []

    def look(step: str) -> None:
        if step == "decide" and not seen:
            seen.extend((screen(mux_run, Liveness.ALIVE), screen(mux_run)))

    mux_run(task("1-1", agent=AGENT), checkpoint=look)

    assert RunStatus.RUNNING.value in seen[0]
    assert "press a to attach" in seen[0]
    assert "attach" not in seen[1]


@pytest.mark.simulated("on a live host the process that plays the engine would have to die")
def test_dashboard_status_of_a_killed_driver_is_interrupted(mux_run: Stage) -> None:
    """A run whose driver is proven gone without an ending is INTERRUPTED: resume, but do not attach."""
    mux_run(task("1-1", agent=AGENT), faults="engine.decide=3*pass->1*die")

    assert RunStatus.INTERRUPTED.value in screen(mux_run)
    assert "press e to resume" in screen(mux_run)
    assert "attach" not in screen(mux_run, Liveness.ALIVE)


def test_dashboard_status_of_an_unreadable_run_is_unknown(mux_run: Stage) -> None:
    """A run of which nothing can be read is UNKNOWN, and says why."""
    end_as(mux_run, RunStatus.FINISHED)
    for name in ("state.json", "state.json.bak", "journal.jsonl"):
        mux_run.world.disk.remove(mux_run.run_dir / name)
        mux_run.world.disk.write(mux_run.run_dir / name, b"\0\0\0")

    assert RunStatus.UNKNOWN.value in screen(mux_run)


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"finished": True, "crashed": True, "crash_error": "ValueError: old"}, RunStatus.CRASHED),
        ({"finished": True, "stopped": True}, RunStatus.STOPPED),
        ({"finished": True, "paused_reason": "gate"}, RunStatus.PAUSED),
        ({"finished": True}, RunStatus.FINISHED),
    ],
)
def test_dashboard_status_of_documents_of_the_older_shape(
    mux_run: Stage, keys: dict[str, object], name: RunStatus
) -> None:
    """Documents from before the ending was one value are read, and the worse of two contradicting flags counts."""
    end_as(mux_run, RunStatus.FINISHED)
    disk, path = mux_run.world.disk, mux_run.run_dir / "state.json"
    document = json.loads(disk.read(path))
    for key in ("ending", "crashed", "crash_error", "finished", "stopped", "paused_reason"):
        document.pop(key, None)
    for stale in ("state.json", "state.json.bak", "journal.jsonl"):
        disk.remove(mux_run.run_dir / stale)
    disk.write(path, json.dumps({**document, **keys}).encode())

    assert name.value in screen(mux_run).splitlines()[0]
