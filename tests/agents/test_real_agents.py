"""The real command line agents, driven by their profiles; `make agents` installs and runs them."""

from __future__ import annotations

import signal

import pytest
from agents_stage import INSTALLED, agents_stage

from harness.agent_data import KINDS, built_in

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not INSTALLED, reason="real agents are run by `make agents`, which installs them"),
]

TURN = ["SessionStart", "Prompt", "Stop"]
PROMPT = '-- It\'s "quoted",\nhas two lines, costs $HOME, and begins with a dash.'


@pytest.mark.parametrize("kind", KINDS)
def test_two_tasks_are_carried_out(kind: str) -> None:
    """No dialog stands in the way, the prompt arrives as it is, the result comes back, and nothing is left behind."""
    with agents_stage(kind, "finish") as stage:
        outcome = stage.run(PROMPT, "The second one.", result_grace_s=10)

        assert (outcome.code, outcome.sessions()) == (0, ["completed", "completed"])
        assert outcome.events()[:2] == TURN[:2]
        assert PROMPT in stage.model.prompts[0]
        assert not list((stage.base / "a project").iterdir())
        assert stage.carriers() == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_that_forgets_its_result_is_asked_for_it(kind: str) -> None:
    """The nudge arrives as a prompt of its own, and the turn that follows counts."""
    with agents_stage(kind, "talk") as stage:
        outcome = stage.run(PROMPT, nudges=1, result_grace_s=10)

        assert outcome.events() == [*TURN, *TURN[1:]]
        assert outcome.sessions() == ["stalled"]


@pytest.mark.parametrize("behaviour", ["status:500", "die", "hang"])
@pytest.mark.parametrize(("kind", "told"), [("claude", "TurnFailed"), ("codex", "TurnFailed*")])
def test_a_model_that_fails_ends_the_turn(kind: str, told: str, behaviour: str) -> None:
    """Claude Code says so by a hook, Codex only in its transcript; a hang that Codex waits out ends at the deadline."""
    with agents_stage(kind, behaviour) as stage:
        hangs = (kind, behaviour) == ("codex", "hang")
        outcome = stage.run(PROMPT, session_timeout_s=15 if hangs else 120)

        assert outcome.events() == [*TURN[:2], *([] if hangs else [told])]
        assert outcome.sessions() == ["timed_out" if hangs else "stalled"]


def test_copilot_tells_of_every_try_that_failed() -> None:
    """The last of them ends the turn: there is no event of its own for that."""
    with agents_stage("copilot", "status:500") as stage:
        outcome = stage.run(PROMPT, result_grace_s=15)

        assert outcome.events() == [*TURN[:2], *["TurnFailed"] * 6]
        assert outcome.sessions() == ["stalled"]


def test_gemini_tries_for_so_long_that_the_deadline_ends_it() -> None:
    """Nothing is told of a model that refuses, neither by a hook nor in the transcript."""
    with agents_stage("gemini", "status:500") as stage:
        outcome = stage.run(PROMPT, session_timeout_s=20)

        assert outcome.events() == TURN[:2]
        assert outcome.sessions() == ["timed_out"]


def test_an_agent_that_waits_for_a_person_says_so_and_when_it_goes_on() -> None:
    """Claude Code without its bypass asks before it runs a command; Enter says yes."""
    with agents_stage("claude", "shell:touch made") as stage:
        stage.changes["argv"] = [word for word in built_in("claude")["argv"] if "permissions" not in word]
        with stage.begun(PROMPT, result_grace_s=5) as ended:
            stage.wait_until(lambda: stage.heard("Waiting"))
            assert not (stage.base / "a project" / "made").exists()
            stage.press_enter()
            outcome = ended()

        assert outcome.events() == [*TURN[:2], "Waiting", "Working", "Stop"]
        assert (stage.base / "a project" / "made").exists()


@pytest.mark.parametrize("how", ["window", "SIGKILL"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_agent_that_is_killed_during_a_tool_leaves_no_process_behind(kind: str, how: str) -> None:
    """The tool runs in a session of its own and survives its agent: it is found by its environment, and ended."""
    with agents_stage(kind, "shell:exec sleep 987") as stage, stage.begun(PROMPT, stop_grace_s=2) as ended:
        stage.wait_until(lambda: stage.sleepers())
        tree = stage.carriers()
        if how == "window":
            stage.kill_window()
        else:
            for identity in tree:
                if identity not in stage.sleepers():
                    stage.processes.signal(identity, signal.SIGKILL)
        outcome = ended()

        assert outcome.sessions() == ["crashed"]
        assert [one for one in tree if stage.processes.liveness(one).value != "dead"] == []
        assert (stage.carriers(), stage.sleepers()) == ([], [])


@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_is_written_down(kind: str) -> None:
    """Neither in the run's record nor in any file of a launch."""
    with agents_stage(kind, "talk") as stage:
        outcome = stage.run(PROMPT)

        secret = b"no-secret-of-anybody"
        files = [path for path in outcome.run_dir.rglob("*") if path.is_file()]
        assert [path for path in files if secret in path.read_bytes()] == []
        assert [oct(path.stat().st_mode) for path in files if path.stat().st_mode & 0o077] == []
