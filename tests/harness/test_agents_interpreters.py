"""One script, two interpreters: what an agent does on virtual time, it does as a process in a terminal."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from agent_stages import RealStage, Seen, SimulatedStage, Stage

from backends.disk import RealDisk
from backends.processes import Liveness, SystemProcessTable
from harness.agents import ScriptedAgent, completes, dies, plan_of, profiles_for, stalls, stops, task, works

Move = tuple[int, str | int]
"""After so many events, type a line or send a signal."""

STORIES: dict[str, tuple[ScriptedAgent, list[Move]]] = {
    "completes": (works(4).then_completes("fine"), []),
    "is told to go": (works(2).then_completes(), [(3, signal.SIGTERM)]),
    "loses its terminal": (works(2).then_completes(), [(3, signal.SIGHUP)]),
    "is interrupted at work": (works(9000).then_completes(), [(2, signal.SIGINT), (3, signal.SIGINT)]),
    "is interrupted and stays": (works(9000).then_dies(), [(2, signal.SIGINT), (3, "go on")]),
    "is told to go at work": (works(9000).then_completes(), [(2, signal.SIGTERM)]),
    "does not listen": (stops().ignoring_signals("SIGTERM").then_works(40).then_exits(4), [(3, signal.SIGTERM)]),
    "dies with a code": (works(2).then_dies(code=7), []),
    "dies of a signal": (works(2).then_dies(signal="SIGSEGV"), []),
    "is killed": (stalls(), [(2, signal.SIGKILL)]),
    "exits": (works(2).then_writes_result().then_exits(3), []),
    "comes to its end": (works(2).then_stops(background=True), []),
    "writes half a result": (works(1).then_writes_result(half=True).then_stops().then_exits(), []),
    "writes another's result": (works(1).then_writes_result(token="other").then_stops().then_exits(), []),
    "writes a result over half of one": (works(1).then_writes_result(half=True).then_completes("whole"), []),
    "is nudged": (stops().then_idles().on_nudge(works(1).then_completes("nudged")), [(3, "go on")]),
    "is nudged at work": (works(8).then_completes(), [(2, "are you there?")]),
    "answers and answers": (stops().then_idles(), [(3, "one"), (5, "two"), (7, "é 🦊 ;")]),
    "ignores nudges": (stops().then_idles().ignoring_nudges(), [(3, "one")]),
    "hears nothing": (works(1).then_stops().then_stalls(), [(3, "one")]),
    "waits for a prompt": (stops().then_waits_for_prompt().then_fails_turn().then_exits(), [(3, "x" * 9000)]),
    "prints whatever it likes": (ScriptedAgent().then_says("\x1b]52;c;aGk=\x07[/b] \x9b1m é 🦊\n").then_exits(), []),
    "floods": (ScriptedAgent().then_floods(20_000).then_exits(), []),
    "repeats itself": (ScriptedAgent().then_repeats(works(1).then_stops(), 3).then_dies(code=2), []),
    "dies at once": (dies(), []),
    "says what nobody knows": (ScriptedAgent().then_emits("Nonsense").then_exits(), []),
}


def tell(stage: Stage, story: tuple[ScriptedAgent, Sequence[Move]], expected: Seen | None = None) -> Seen:
    """Play the story to its end."""
    agent, moves = story
    stage.launch(agent)
    for count, move in moves:
        stage.until(count)
        if isinstance(move, str):
            stage.type(move)
        else:
            stage.signal(move)
    return stage.seen(expected)


@pytest.mark.live
@pytest.mark.parametrize("story", STORIES)
def test_a_script_is_played_the_same_by_both_interpreters(story: str, tmp_path: Path) -> None:
    """Events, result, ledger, output and exit are the same, so a story proven on the fake is true of the process."""
    simulated = tell(SimulatedStage(), STORIES[story])
    stage = RealStage(tmp_path)
    try:
        real = tell(stage, STORIES[story], simulated)
    finally:
        stage.close()

    assert real == simulated


@pytest.mark.parametrize(
    ("story", "events", "result", "ended"),
    [
        ("completes", ["Stop"], "fine", None),
        ("is told to go", ["Stop", "SessionEnd"], "done", 143),
        ("is interrupted at work", ["Interrupted", "SessionEnd"], None, 0),
        ("is interrupted and stays", ["Interrupted", "Prompt", "Stop"], None, None),
        ("does not listen", ["Stop", "SessionEnd"], None, 4),
        ("dies of a signal", [], None, -11),
        ("is killed", [], None, -9),
        ("writes half a result", ["Stop", "SessionEnd"], None, 0),
        ("writes another's result", ["Stop", "SessionEnd"], None, 0),
        ("is nudged", ["Stop", "Prompt", "Stop"], "nudged", None),
        ("is nudged at work", ["Stop", "Prompt", "Stop"], "done", None),
    ],
)
def test_a_story_leaves_behind_what_it_tells(story: str, events: list[str], result: str | None, ended: int) -> None:
    """The simulated interpreter writes the files that the engine reads."""
    seen = tell(SimulatedStage(), STORIES[story])

    assert (list(seen.events), seen.result, seen.ended) == (["SessionStart", "Prompt", *events], result, ended)


def test_two_agents_at_work_on_one_task_are_noticed() -> None:
    """The ledger says `overlap` where a second one begins while the first one lives, and only there."""
    stage = SimulatedStage()
    stage.launch(completes())
    first = stage.agents.agents[0].process
    window = shlex.join(first.argv)
    stage.mux.new_window("run", "again", "/", first.env, window)
    stage.mux.new_window("run", "other", "/", {**first.env, "SEAMRIPPER_TASK": "b"}, window)
    stage.pass_time()
    for agent in stage.agents.agents:
        agent.process.die(signal.SIGKILL)
    stage.mux.new_window("run", "third", "/", first.env, window)
    stage.pass_time()

    assert [what for what in stage.ledger() if what not in ("prompt", "result")] == [
        "start",
        "start",
        "overlap",
        "start",
        "start",
    ]


@pytest.mark.live
def test_two_processes_at_work_on_one_task_are_noticed(tmp_path: Path) -> None:
    """The second one finds the lock of the first one, and a third one after their death does not."""
    stages = [RealStage(tmp_path) for _ in range(3)]
    try:
        stages[0].launch(stalls())
        stages[0].until(2)
        stages[1].start(stages[0].argv, stages[0].environment)
        stages[0].until(4)
        for stage in stages[:2]:
            stage.signal(signal.SIGKILL)
            stage.end(surely=True)
        stages[2].start(stages[0].argv, stages[0].environment)
        stages[2].until(6)
        told = [what for what in stages[2].ledger() if what != "prompt"]
    finally:
        for stage in stages:
            stage.close()

    assert told == ["start", "start", "overlap", "start"]


@pytest.mark.live
def test_a_child_can_outlive_its_agent(tmp_path: Path) -> None:
    """With a session of its own it survives the terminal; it is found by the token that it inherited."""
    stage = RealStage(tmp_path)
    child = ScriptedAgent().then_leaves_child(4000, setsid=True, ignore=["SIGTERM"])
    try:
        stage.launch(child.then_dies())
        stage.end(surely=True)
        left = stage.table.carrying("SEAMRIPPER_TOKEN", stage.context.token)
    finally:
        stage.close()
    for identity in left:
        stage.table.signal(identity, signal.SIGTERM)

    assert len(left) == 1
    assert stage.table.liveness(left[0]) is Liveness.ALIVE
    stage.table.signal(left[0], signal.SIGKILL)


def test_a_simulated_child_can_outlive_its_agent() -> None:
    """A simulated child is found by the token as well."""
    stage = SimulatedStage()
    stage.launch(ScriptedAgent().then_leaves_child(9).then_leaves_child(9, setsid=True).then_dies())
    stage.pass_time()

    assert len(stage.mux.server.processes.carrying("SEAMRIPPER_TOKEN", stage.context.token)) == 1


def test_a_fault_is_told_whom_it_is_about() -> None:
    """So a fault can be meant for one task, or for one attempt."""
    asked: set[tuple[str, object, object]] = set()

    def fault(event: str, **about: object) -> object | None:
        asked.add((event, about["task"], about["attempt"]))
        return True if event == "die" else None

    stage = SimulatedStage()
    stage.agents.agent_fault = fault
    seen = tell(stage, (completes(), []))

    assert seen.ended == -9
    assert asked == {("die", "a", 1)}


def test_an_agent_that_raises_ends_and_nobody_else_does() -> None:
    """What goes wrong in its program is its own end, with status 1 and a line in its window."""

    def fault(event: str, **about: object) -> object | None:
        raise SystemExit(f"at {event}")

    stage = SimulatedStage()
    stage.agents.agent_fault = fault
    seen = tell(stage, (completes(), []))

    assert seen.ended == 1
    assert "scripted agent: SystemExit" in stage.log()


@pytest.mark.parametrize("script", [b"", b"{", b"[3]", b'[{"do": "x"}]', b"\xff", b"[" * 100_000, None])
def test_a_script_that_cannot_be_read_ends_a_simulated_agent_with_status_2(script: bytes | None) -> None:
    """A broken script is a broken agent, not a broken run."""
    stage = SimulatedStage()
    stage.disk.mkdir("/run/x")
    if script is not None:
        stage.disk.write("/run/x/script.json", script)
    stage.start(["python3", "scripted.py", "--script", "/run/x/script.json"], {})

    assert stage.end() == 2


@pytest.mark.live
@pytest.mark.parametrize("script", [b"{", b'[{"do": "x"}]', b"[" * 100_000, None])
def test_a_script_that_cannot_be_read_ends_a_real_agent_with_status_2(script: bytes | None, tmp_path: Path) -> None:
    """It says why, in one line."""
    path = tmp_path / "script.json"
    if script is not None:
        path.write_bytes(script)
    program = profiles_for(plan_of(task("a")), RealDisk())["scripted"]
    argv = program.launch(RealStage(tmp_path).context).argv
    done = SystemProcessTable().run([*argv[:4], "--script", str(path)], timeout_s=60, env={})

    assert done.status == 2
    assert done.stderr.startswith(b"scripted agent: ")
    assert done.stderr.count(b"\n") == 1


def test_what_cannot_be_written_does_not_end_an_agent() -> None:
    """Like the real one, it says so in its window and goes on."""
    stage = SimulatedStage()
    stage.launch(completes())
    stage.disk.remove_tree("/run/x/events")
    stage.disk.remove_tree("/run/x/tasks")
    stage.type("go on")
    stage.pass_time()

    assert "emit failed: " in stage.log()
    assert stage.end() is None
