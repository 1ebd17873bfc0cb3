"""What can be said to `seamripper probe`."""

from __future__ import annotations

from backends.later import later
from harness.agents import DRIVEN_KINDS
from harness.commands.wording import Commands, add_command, add_place, seconds
from harness.probe import PROBE_TIMEOUT_S

__all__ = ["add_probe"]

probe = later("harness.commands.probing:probe")


def add_probe(commands: Commands) -> None:
    """Add `probe`."""
    made = add_command(
        commands,
        "probe",
        probe,
        "launch one session of an agent and tell which of its hooks reported",
        "  seamripper probe scripted\n  seamripper probe my-agent --plan plan.toml --timeout 60\n",
    )
    made.add_argument("agent", metavar="AGENT", help=f"{', '.join(DRIVEN_KINDS)}, or an agent of the plan")
    made.add_argument("--plan", metavar="FILE", help="a plan that describes agents of your own, in [agents.NAME]")
    made.add_argument(
        "--timeout",
        metavar="S",
        type=seconds,
        default=PROBE_TIMEOUT_S,
        help=f"seconds that the agent is given (default: {PROBE_TIMEOUT_S:g})",
    )
    add_place(made)
