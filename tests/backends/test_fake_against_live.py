"""Whatever is asked, in whatever order: the fake, the simulation and live tmux answer, refuse and look alike."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import pytest
from any_calls import MAKING, OPTIONS, TEXTS, Asked, any_call
from fake_differences import DIFFERENCES, Difference
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from side_by_side import FROZEN_S, NOWHERE_DIR, VERSION, File, Lost, Said, Trio, Window, eventually, frozen, trio

from backends.errors import TargetMissing
from backends.fake import FakeMultiplexer
from backends.tmux import TmuxMultiplexer

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        TmuxMultiplexer(Path("/tmp/sm-none")).version() != f"tmux {VERSION}", reason=f"the fake is as tmux {VERSION} is"
    ),
]

STEPS = int(os.environ.get("SEAMRIPPER_SIDE_BY_SIDE", "150"))
"""How many operations are tried; every night 10,000."""

STEPS_AT_ONCE = 50
"""After so many, everything begins anew with other servers."""


class SideBySide(RuleBasedStateMachine):
    """The three, and somebody who asks them for anything, and does anything to them."""

    tried = 0

    def __init__(self) -> None:
        super().__init__()
        self.opened = trio()
        self.three: Trio = self.opened.__enter__()
        self.steps = 0

    def teardown(self) -> None:
        """End the live server."""
        self.opened.__exit__(None, None, None)

    @initialize()
    def begin(self) -> None:
        """There is a session to begin with."""
        self.ask("new_session", {"name": "run-1", "cwd": "/", "cols": None, "lines": None})

    @rule(number=st.integers(0, 2**32))
    def step(self, number: int) -> None:
        """Anything; what it is follows from the number and from how many steps were taken."""
        SideBySide.tried += 1
        self.steps += 1
        chance = Random(f"{self.steps} {number}")
        crowd = len(self.three.fake.present)
        weights = {
            self.make: 30 if crowd < 8 else 3,
            self.operate: 50,
            self.write: 3 if crowd and crowd < 8 else 0,
            self.inspect: 1,
            self.die: 4 if crowd > 1 else 0,
            self.lose: 4,
            self.freeze: 2 if crowd else 0,
            self.unlink: 2 if crowd else 0,
            self.kill_server: 1 if crowd > 5 else 0,
        }
        take: Callable[[Random], None] = chance.choices([*weights], [*weights.values()])[0]
        take(chance)

    def make(self, chance: Random) -> None:
        """A session or a window."""
        self.ask(*any_call(chance, *MAKING))

    def operate(self, chance: Random) -> None:
        """Any operation."""
        self.ask(*any_call(chance))

    def ask(self, operation: str, arguments: Mapping[str, object]) -> None:
        """The same of all three; they must come to the same."""
        call, came = (operation, arguments), self.three.ask(operation, arguments)
        complaints = dict(self.three.complaints)
        self.settle()
        self.compare(call, self.three.said(came))
        if self.three.sessions:
            # While a server ends, what its clients are told is a matter of chance.
            assert complaints["simulated tmux"] == complaints["live tmux"], call

    def inspect(self, chance: Random) -> None:
        """Every option of everything."""
        for option in OPTIONS:
            self.ask("session_options", {"option": option})
            for number in range(len(self.three.fake.present)):
                self.ask("show_window_option", {"target": Window(number), "option": option})

    def die(self, chance: Random) -> None:
        """The process that a window was made with gets a signal from outside."""
        window = Window(chance.randrange(1000))
        signum = chance.choice((signal.SIGKILL, signal.SIGHUP) if self.three.is_shell(window) else DEADLY)
        self.three.signal_window(window, signum)
        self.settle()

    def kill_server(self, chance: Random) -> None:
        """All servers die."""
        for subject in self.three.all:
            subject.kill_server()
        self.settle()

    def freeze(self, chance: Random) -> None:
        """The servers are stopped while they are asked; what the fake does when it goes on, the others are asked for again."""
        three, call = self.three, any_call(chance)
        with frozen(three):
            came = three.ask(*call, within_s=FROZEN_S)
        three.fake.settle()
        three.ask(*call, three.simulated, three.live)
        self.settle()
        self.compare(call, three.said(came))

    def lose(self, chance: Random) -> None:
        """The answer is lost, or the question is; nobody knows which."""
        three, call, lost = self.three, any_call(chance), Lost(question=chance.random() < 0.5)
        for subject in three.all:
            subject.mux.hook = lost
        came = three.ask(*call)
        for subject in three.all:
            subject.mux.hook = None
        self.settle()
        self.compare(call, three.said(came))

    def unlink(self, chance: Random) -> None:
        """The sockets are taken away while the servers are asked; the fake has none, and is not asked."""
        three, call = self.three, any_call(chance)
        asked = (three.simulated, three.live)
        for subject in asked:
            subject.server()
            subject.unlink()
        came = three.ask(*call, *asked)
        for subject in asked:
            subject.signal_server(signal.SIGUSR1)
        eventually(Path(three.live.directory, "tmux").exists)
        self.settle()
        self.compare(call, three.said(came))

    def settle(self) -> None:
        """All have come to the same; where that is nothing, there is no server any more."""
        self.three.settle()
        if not self.three.sessions:
            self.three.forget()

    def compare(self, call: Asked, said: dict[str, Said]) -> None:
        """What the three said must be the same."""
        live = said["live tmux"]
        for name, other in said.items():
            known = name == "fake" and call[0] in ANSWERED_OTHERWISE and other.error == live.error
            assert other == live or known, f"{call}\n  {name}: {other}\n  live tmux: {live}"

    def write(self, chance: Random) -> None:
        """A window that repeats what is typed into it is piped to a file of its own."""
        log = f"log {self.steps}#(date)%H'"
        self.ask("new_window", CAT | {"session": self.three.sessions[0]})
        made = len(self.three.fake.ids) - 1
        self.ask("pipe_pane", {"window_id": Window(made, ever=True), "log_file": File(log)})
        self.three.logs.add(log)
        for _ in range(3):
            self.ask("send_text", {"window_id": Window(made, ever=True), "text": chance.choice(TEXTS)})


CAT = {"session": "run-1", "name": "agent", "cwd": "/", "env": {}, "command": "cat"}
DEADLY = (signal.SIGKILL, signal.SIGHUP, signal.SIGTERM)
ANSWERED_OTHERWISE = {difference.operation for difference in DIFFERENCES}


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.name)
def test_what_is_not_imitated_is_still_so(difference: Difference) -> None:
    """Every known difference can be shown, else it is none any more."""
    with trio() as three:
        three.ask("new_session", {"name": "run-1", "cwd": "/"})
        difference.shown(three)


def parked(*argv: str, cwd: str = "/") -> Asked:
    """A parked window in `run-1`."""
    return "new_parked_window", {"session": "run-1", "name": "p", "cwd": cwd, "argv": list(argv), "return_opt": "@b"}


ONCE_OTHERWISE: dict[str, tuple[Asked | int, ...]] = {
    "the session's id names its window": (
        ("new_window", CAT),
        ("select_window", {"target": "$0"}),
        ("kill_window", {"target": "$0"}),
    ),
    "kept when it failed": (
        ("new_window", CAT | {"command": "sh -c 'read line; exit 4'"}),
        ("set_window_option", {"target": Window(1), "option": "remain-on-exit", "value": "failed"}),
        ("send_text", {"window_id": Window(1), "text": "go on"}),
    ),
    "parked where there is nothing": (parked("true", cwd=NOWHERE_DIR),),
    "a parked shell that is killed": (parked("sleep", "100000"), signal.SIGKILL),
    "a parked shell that is killed while it is piped": (
        parked("sleep", "100000"),
        ("pipe_pane", {"window_id": Window(1), "log_file": "/dev/null"}),
        signal.SIGKILL,
    ),
    "a parked shell that is killed when its program has ended": (
        parked("sh", "-c", "exit 9"),
        signal.SIGKILL,
        ("list_windows", {"session": "run-1", "fields": ("pane_dead_status", "pane_dead_signal")}),
    ),
    "the window that was current before": (
        *[("new_window", CAT)] * 3,
        *[("select_window", {"target": Window(number)}) for number in (2, 1, 3)],
        *[("kill_window", {"target": Window(number)}) for number in (3, 1)],
    ),
    "a switch": (
        *[
            ("set_session_option", {"name": "run-1", "option": "mouse", "value": value})
            for value in ("yes", "maybe", "a\nb")
        ],
        ("session_options", {"option": "mouse"}),
    ),
    "an option of the other kind": (
        ("set_window_option", {"target": "=run-1", "option": "status", "value": "off"}),
        ("session_options", {"option": "status"}),
        ("set_window_option", {"target": "@999", "option": "status", "value": "off"}),
    ),
}
"""Calls, and signals to the process of the newest window, to which the three once came differently."""


@pytest.mark.parametrize("steps", ONCE_OTHERWISE.values(), ids=ONCE_OTHERWISE)
def test_what_once_differed_is_alike(steps: tuple[Asked | int, ...]) -> None:
    """Found side by side, and mended."""
    machine = SideBySide()
    try:
        machine.begin()
        for step in steps:
            if isinstance(step, int):
                machine.three.signal_window(Window(-1), step)
                machine.settle()
            else:
                machine.ask(*step)
    finally:
        machine.teardown()


class ByPrefix(FakeMultiplexer):
    """Finds `run-10` where `run-1` is asked for."""

    def has_session(self, name: str) -> bool:
        """See `TerminalMultiplexer.has_session`."""
        return any(known.startswith(name) for known in self.server.sessions)


class Immortal(FakeMultiplexer):
    """Kills no window."""

    def kill_window(self, target: str) -> None:
        """See `TerminalMultiplexer.kill_window`."""


class Curt(FakeMultiplexer):
    """Refuses without saying what for."""

    def select_window(self, target: str) -> None:
        """See `TerminalMultiplexer.select_window`."""
        raise TargetMissing("no", status=1, stderr="no")


OTHER: Asked = ("new_session", {"name": "run-10", "cwd": "/"})
WRONG: tuple[tuple[type[FakeMultiplexer], tuple[Asked, ...]], ...] = (
    (ByPrefix, (OTHER, ("kill_session", {"name": "run-1"}), ("has_session", {"name": "run-1"}))),
    (Immortal, (("new_window", CAT), ("kill_window", {"target": Window(1)}))),
    (Curt, (("select_window", {"target": "@999"}),)),
)


@pytest.mark.parametrize(("wrong", "calls"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_a_fake_that_is_wrong_is_found_out(wrong: type[FakeMultiplexer], calls: tuple[Asked, ...]) -> None:
    """By what it answers, by what can be seen after that, and by what it says."""
    machine = SideBySide()
    try:
        machine.begin()
        machine.three.fake.mux = wrong(machine.three.fake.fake_server)
        for call in calls[:-1]:
            machine.ask(*call)
        with pytest.raises(AssertionError, match="fake: "):
            machine.ask(*calls[-1])
    finally:
        machine.teardown()


@pytest.mark.timeout(0 if STEPS > 1000 else 300)
def test_side_by_side(pytestconfig: pytest.Config) -> None:
    """Nobody who asks could tell which of the three answers."""
    number = pytestconfig.getoption("mux_seed")
    chosen = settings(
        # Hypothesis leaves some of them early.
        max_examples=-(-STEPS * 12 // (STEPS_AT_ONCE * 10)),
        stateful_step_count=STEPS_AT_ONCE + 1,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    SideBySide.tried = 0
    try:
        run_state_machine_as_test(seed(number)(SideBySide), settings=chosen)
    finally:
        sys.stdout.write(f"{SideBySide.tried} operations were tried side by side, --mux-seed {number}\n")
    assert SideBySide.tried >= STEPS
