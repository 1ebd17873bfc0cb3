"""`seamripper faults sweep` and `shrink`: what they count, what they find, and how they end."""

from __future__ import annotations

import io
import json
import signal

import pytest

from faults.plan import FaultPlan
from faults.verdict import Verdict
from harness.commands.host import CommandError
from harness.commands.searching import Search
from harness.commands.staged import CommandLine
from harness.stories import story_of
from harness.trials import run_of
from harness.world import FakeWorld

SWEEP = ("faults", "sweep")
BLIND = "faulty_stories:BLIND"
STUTTERING = "faulty_stories:STUTTERING"
CLUTTERED = 'send_text=exit(1, "?");list_window_ids=3*pass->2*timeout(7);kill_window=1*delay(2)'


class Terminal(io.StringIO):
    """A standard error that somebody looks at."""

    def isatty(self) -> bool:
        """Somebody does."""
        return True


@pytest.fixture
def seamripper() -> CommandLine:
    """The command line of a simulated host."""
    return CommandLine(FakeWorld())


def test_a_sweep_in_which_everything_holds_counts_and_says_so(seamripper: CommandLine) -> None:
    """Exit code 0; as text one line, as JSON the same counts."""
    answer = seamripper(*SWEEP, "completes", "--layer", "clock", "--calls", "first")
    document = seamripper(*SWEEP, "completes", "--layer", "clock", "--calls", "first", "--json").document

    assert (answer.code, answer.stderr) == (0, "")
    assert answer.stdout.startswith(f"{document['plans']} plans at 1 points: {document['fired']} fired")
    assert (document["fired"], document["complete"], document["failed"]) == (6, True, [])


@pytest.mark.parametrize("words", [("sweep", "completes"), ("points", "completes", "--json")])
def test_a_layer_that_a_world_does_not_have_is_refused_rather_than_found_empty(
    seamripper: CommandLine, words: tuple[str, ...]
) -> None:
    """Nothing to try is no success: one line names the world to choose, exit code 2."""
    answer = seamripper("faults", *words, "--layer", "mux", "--layer", "transport")

    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr == "error: --layer: fake has no transport; add `--mux simulated-tmux`\n"


def test_a_sweep_says_of_each_failing_plan_what_does_not_hold_and_how_to_repeat_it(seamripper: CommandLine) -> None:
    """Exit code 1, the problem, and a line that fails in the same way; the first failing plan is saved."""
    answer = seamripper(*SWEEP, STUTTERING, "--layer", "agent", "--calls", "1", "--save", "x.json")
    assert answer.code == 1
    assert "✖ agent.half_result=occur: FINISHED" in answer.stdout
    assert "  single-agent: " in answer.stdout
    replay = next(line for line in answer.stdout.splitlines() if line.startswith("  replay  "))
    assert replay.startswith(
        f"  replay  seamripper faults replay {STUTTERING} --plan 'agent.half_result=occur' --seed 0"
    )

    assert "saved " in answer.stdout
    again = seamripper("faults", "replay", "x.json")
    assert again.code == 1
    assert replay.strip().partition("seamripper")[2] in again.stdout


def test_a_sweep_stops_at_the_first_failure_when_it_is_asked_to(seamripper: CommandLine) -> None:
    """It says after how many plans, and that it is not complete."""
    words = (*SWEEP, STUTTERING, "--layer", "agent", "--calls", "1", "--fail-fast")
    answer, document = seamripper(*words), seamripper(*words, "--json").document

    assert answer.code == 1
    assert f"{document['plans']} plans, stopped at the first that failed" in answer.stdout
    assert (len(document["failed"]), document["complete"]) == (1, False)
    assert document["plans"] == 1 + 2 + 1 + 2 + 1 + 2
    assert answer.stdout.count("replay  ") == 1


def test_a_sweep_of_a_story_that_fails_without_faults_says_that_and_tries_nothing_else(seamripper: CommandLine) -> None:
    """What fails anyway says nothing about faults."""
    answer = seamripper(*SWEEP, "faulty_stories:MESSY")

    assert answer.code == 1
    assert "✖ without faults: FINISHED" in answer.stdout
    assert "no-leftovers: " in answer.stdout


def test_progress_is_shown_on_a_terminal_and_nowhere_else(seamripper: CommandLine) -> None:
    """How many of how many, on standard error, wiped at the end; none of it where nobody looks."""
    clock = seamripper.world.clock
    run = run_of(story_of("completes"))
    shown, hidden = Terminal(), io.StringIO()
    for stderr in (shown, hidden):
        search = Search(seamripper.host(stderr=stderr), run)
        search.expects(1, 50)
        with search.going_on():
            for _ in range(2):
                clock.sleep(1)
                search(story_plan(""))

    assert "\r2 of about 50 plans, 0 failed" in shown.getvalue()
    assert shown.getvalue().endswith(" \r")
    assert hidden.getvalue() == ""


def story_plan(text: str) -> FaultPlan:
    """A plan for a story."""
    return FaultPlan.parse(text)


def test_a_signal_ends_a_search_between_two_runs(seamripper: CommandLine) -> None:
    """The run at hand is not taken for a failure of the story: the command says how far it has come."""
    run = run_of(story_of("completes"), handle_signals=False)

    def interrupted(plan: FaultPlan) -> Verdict:
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)  # type: ignore[operator, misc]  # the handler at hand
        return run(plan)

    search = Search(seamripper.host(), interrupted)
    with pytest.raises(CommandError, match="stopped by SIGTERM after 0 plans") as stopped, search.going_on():
        search(story_plan(""))
    assert stopped.value.code == 128 + signal.SIGTERM
    assert search.failed == []


def test_a_failing_plan_is_shrunk_to_what_matters(seamripper: CommandLine) -> None:
    """One rule is left, it is said to be minimal, and the file that is saved fails in the same way."""
    words = ("faults", "shrink", BLIND, "--plan", CLUTTERED)
    answer, document = seamripper(*words, "--save", "x.json"), seamripper(*words, "--json").document

    assert answer.code == 0
    assert answer.stdout.startswith("`mux.list_window_ids=")
    assert "minimal: nothing simpler fails; fails 3 times of 3" in answer.stdout
    assert (document["minimal"], document["failing"], ";" in document["plan"]) == (True, True, False)
    assert document["plan"] in json.loads(seamripper.world.disk.read("/sim/project/x.json"))["plan"]
    assert seamripper("faults", "replay", "x.json").code == 1
    assert seamripper("faults", "shrink", "x.json").code == 0


def test_a_search_that_runs_out_of_runs_says_that_there_may_be_less(seamripper: CommandLine) -> None:
    """The best plan so far is told, and not called minimal."""
    answer = seamripper("faults", "shrink", BLIND, "--plan", CLUTTERED, "--runs", "6")

    assert answer.code == 0
    assert "the smallest that was found; more --runs may find less" in answer.stdout


def test_a_plan_that_does_not_fail_is_not_shrunk(seamripper: CommandLine) -> None:
    """Exit code 1, one sentence, and no file."""
    answer = seamripper("faults", "shrink", "completes", "--plan", "new_window=1*timeout", "--save", "x.json")

    assert answer.code == 1
    assert answer.stdout == "`new_window=1*timeout` does not fail: there is nothing to shrink\n"
    assert seamripper.world.disk.info("/sim/project/x.json") is None
