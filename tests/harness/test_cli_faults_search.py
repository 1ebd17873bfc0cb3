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
    assert answer.stdout.startswith(f"{document['plans']} plans at 1 point: {document['fired']} fired")
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


def test_progress_stays_in_one_place_on_a_terminal_and_is_a_line_now_and_then_elsewhere(
    seamripper: CommandLine,
) -> None:
    """How many of how many, on standard error: wiped at the end where somebody looks, every half minute where nobody does."""
    clock = seamripper.world.clock
    run = run_of(story_of("completes"))
    shown, logged = Terminal(), io.StringIO()
    for stderr in (shown, logged):
        search = Search(seamripper.host(stderr=stderr), run)
        search.expects(1, 50)
        with search.going_on():
            for _ in range(3):
                clock.sleep(16)
                search(story_plan(""))

    assert "\r2 of about 50 plans, 0 failed" in shown.getvalue()
    assert shown.getvalue().endswith(" \r")
    assert logged.getvalue() == "2 of about 50 plans, 0 failed\n"


def test_progress_is_never_wider_than_the_terminal(seamripper: CommandLine) -> None:
    """What would go on in the next line could not be wiped there."""
    shown = Terminal()
    search = Search(seamripper.host(stderr=shown, environment={"COLUMNS": "20"}), run_of(story_of("completes")))
    search.expects(1, 5000)
    with search.going_on():
        seamripper.world.clock.sleep(1)
        search(story_plan(""))

    assert shown.getvalue().split("\r")[1] == "1 of about 5000 pla"


def test_a_sweep_stops_at_a_fault_that_was_due_and_did_not_happen_when_it_is_asked_to(seamripper: CommandLine) -> None:
    """A fault that does not happen is a failure like any other: `--fail-fast` ends there."""
    words = (*SWEEP, "faulty_stories:FORGETFUL", "--layer", "clock", "--json")
    document = seamripper(*words, "--fail-fast").document

    assert (document["plans"], document["complete"], len(document["failed"])) == (2, False, 1)
    assert document["failed"][0]["problems"][-1].startswith("fired: clock.tick=")


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_sweep_that_is_stopped_tells_what_it_has_found_so_far(
    seamripper: CommandLine, words: tuple[str, ...]
) -> None:
    """The failures before the signal are shown, the first is saved, and the exit code names the signal."""
    told = ("faulty_stories:STOPPED_LATER", "--layer", "agent", "--calls", "1", "--save", "x.json", *words)
    answer = seamripper(*SWEEP, *told)

    assert answer.code == 128 + signal.SIGTERM
    assert "agent.half_result=occur" in str(seamripper.world.disk.read("/sim/project/x.json"))
    if words:
        document = answer.document
        assert (document["complete"], document["stopped_by"]) == (False, "SIGTERM")
        assert document["plans"] < document["about"]
        assert document["failed"][0]["plan"] == "agent.half_result=occur"
    else:
        assert "✖ agent.half_result=occur: FINISHED" in answer.stdout
        assert "stopped by SIGTERM after 11 of about" in answer.stdout


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
