"""The command line under every kind of fault: what comes out of it is an exit code that tells the truth, never a traceback."""

from __future__ import annotations

import pytest

from faults.catalog import LAYERS
from faults.matrix import Cell, coarse_cells
from faults.plan import FaultPlan
from harness.agents import completes, plan_of, task
from harness.commands.staged import Answer, CommandLine
from harness.runner import catalog_of
from harness.stories import STORIES
from harness.trials import run_of
from harness.world import WORLDS, FakeWorld

REACHED = run_of(STORIES["completes"])(FaultPlan()).reached
"""What a faultless run of one task reaches."""
KILLED = 137
CODES = {"FINISHED": (0, 1), "CRASHED": (70,), "PAUSED": (75,), "STOPPED": (129, 130, 143)}
"""The exit codes that go with each ending; who is killed ends with `KILLED`, before it or after it."""
LAYERS_OF_A_HOST = [layer for layer in LAYERS if layer in WORLDS["fake"].layers - {"agent"}]
"""What the command line can be told to let go wrong."""


def tried(cell: Cell) -> tuple[Answer, str]:
    """What `seamripper run` answers under that fault, and the status of the run afterwards; empty if there is none."""
    seamripper = CommandLine(FakeWorld())
    plan = seamripper.plan(plan_of(task("1-1", agent=completes()), project=str(seamripper.world.project)))
    answer = seamripper("run", plan, "--run-id", "run-1", "--faults", str(cell.fault))
    if answer.code == KILLED:
        seamripper.world.driver_died()
    found = seamripper("status", "run-1", "--json")
    return answer, found.document["run"]["status"] if found.code == 0 else ""


@pytest.mark.parametrize("layer", LAYERS_OF_A_HOST)
def test_whatever_goes_wrong_the_command_line_ends_with_the_code_of_its_status(layer: str) -> None:
    """Standard error has complaints of one line each, and `status` says what the exit code said."""
    for cell in coarse_cells(REACHED, catalog_of(WORLDS["fake"]), {layer}):
        answer, status = tried(cell)

        assert "Traceback" not in answer.stdout + answer.stderr, cell.label
        assert answer.code in (KILLED, *CODES.get(status, (1, 70))), (cell.label, answer)
        assert answer.code != KILLED or "die" in cell.label, (cell.label, answer)
