"""Whatever becomes of the process that made a live fault happen, the fault is undone, and nothing of its world is left."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backends.clock import SystemClock
from backends.last_will import LastWill
from backends.processes import SystemProcessTable
from harness.guardian import LEDGER, ledger_of
from harness.waiting import eventually
from harness.world import LiveTmuxWorld

PATIENCE_S = 60.0

WORLD = """
import os, signal
from harness.world import LiveTmuxWorld

world = LiveTmuxWorld()
mux = world.multiplexer()
mux.new_session("a", world.project)
mux.new_window("a", "w", world.project, {}, "sleep 1000")
world.live.prepare(EVENT)
world.live.happen(EVENT, 3600)
print(world.project.parent, flush=True)
"""

ENDS = {
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "raises": "raise RuntimeError('no')",
    "forgets": "",
    "leaves at once": "os._exit(0)",
}


def left_of(base: Path) -> list[int]:
    """The processes of the world whose directory is `base`."""
    return [one.pid for one in SystemProcessTable().carrying(LEDGER, str(ledger_of(base)))]


def ended(event: str, how: str) -> Path:
    """The directory of a world in which `event` happened for good, when its process has ended that way."""
    text = WORLD.replace("EVENT", repr(event)) + ENDS[how]
    done = subprocess.run([sys.executable, "-c", text], stdout=subprocess.PIPE, check=False, timeout=PATIENCE_S)
    assert (done.returncode == -signal.SIGKILL) is (how == "killed")
    return Path(done.stdout.decode().strip())


@pytest.mark.live
@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("event", "how"), [*[("freeze_server", how) for how in ENDS], ("no_descriptors", "killed"), ("disk_full", "killed")]
)
def test_a_world_whose_process_ended_is_ended_by_its_guardian(event: str, how: str) -> None:
    """A server that is stopped, its windows, what holds its disk and its directory are gone soon after."""
    if event not in LiveTmuxWorld.live_events():
        pytest.skip(f"live.{event} cannot be made to happen on this host")
    base = ended(event, how)

    assert base.name.startswith("sm-")
    eventually(lambda: not base.exists() and not left_of(base), SystemClock(), PATIENCE_S)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    """A file that a last will makes."""
    return tmp_path / "note"


def test_a_last_will_that_was_called_off_is_not_carried_out(note: Path) -> None:
    """Not when it is called off, and not twice."""
    will = LastWill(["touch", str(note)], {"PATH": "/usr/bin:/bin"})
    will.call_off()
    will.call_off()

    assert not note.exists()


@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), 9)", "os._exit(3)", ""])
def test_a_last_will_is_carried_out_when_its_process_is_gone(note: Path, ending: str) -> None:
    """By whatever it ended, and also where a child of it lives on."""
    text = (
        "import os, subprocess\nfrom backends.last_will import LastWill\n"
        f"will = LastWill(['touch', {str(note)!r}], {{'PATH': '/usr/bin:/bin'}})\n"
        f"child = subprocess.Popen(['sleep', '1000'], stdout=subprocess.DEVNULL)\nprint(child.pid, flush=True)\n{ending}"
    )
    done = subprocess.run([sys.executable, "-c", text], stdout=subprocess.PIPE, check=False, timeout=PATIENCE_S)
    try:
        eventually(note.exists, SystemClock(), PATIENCE_S)
    finally:
        child = SystemProcessTable().identify(int(done.stdout))
        assert child is not None
        SystemProcessTable().signal(child, signal.SIGKILL)
