"""Scripts as effects: what each step leads to, without time and without files."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from harness.agents import ScriptedAgent, completes, dies, exits, stalls, stops, works, writes_result
from harness.scripted import (
    STEPS,
    Deliver,
    Effect,
    Emit,
    End,
    Listen,
    Note,
    Pause,
    Say,
    Script,
    Signalled,
    check_script,
    no_fault,
)

ENVIRONMENT = {"SEAMRIPPER_TOKEN": "token", "SEAMRIPPER_TASK": "a"}


def play(
    agent: ScriptedAgent,
    lines: Iterable[str | Signalled] = (),
    fault: Callable[[str], object | None] = no_fault,
) -> list[Effect]:
    """The effects up to the end, or to the first `Listen` after the last of `lines`."""
    flow = Script(agent.steps, ENVIRONMENT, "do it", fault).run()
    inputs = iter(lines)
    effects = [next(flow)]
    while not isinstance(effects[-1], End):
        reply: str | Signalled | None = None
        if isinstance(effects[-1], Listen):
            reply = next(inputs, None)
            if reply is None:
                break
        effects.append(flow.throw(reply) if isinstance(reply, Signalled) else flow.send(reply))
    return effects


def told(effects: Iterable[Effect]) -> list[str]:
    """The events, results and the end among the effects, in short."""
    short = []
    for effect in effects:
        match effect:
            case Emit(event, _):
                short.append(event)
            case Deliver(_, whole):
                short.append("result" if whole else "half a result")
            case End(code, signum):
                short.append(f"exit {code}" if signum is None else f"signal {signum}")
    return short


def test_every_step_that_can_be_named_can_be_carried_out() -> None:
    """The table of steps equals the code."""
    carried_out = {name.removeprefix("_do_") for name in vars(Script) if name.startswith("_do_")}

    assert carried_out == set(STEPS)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (works(3), ["SessionEnd", "exit 0"]),
        (completes(), ["result", "Stop"]),
        (exits(3), ["SessionEnd", "exit 3"]),
        (dies(), ["exit 1"]),
        (dies(code=137), ["exit 137"]),
        (dies(signal="SIGSEGV"), ["signal 11"]),
        (stalls(), []),
        (
            stops().then_works(1).then_writes_result(half=True).then_fails_turn(),
            ["Stop", "half a result", "TurnFailed"],
        ),
        (works(1).then_emits("Interrupted").then_dies(), ["Interrupted", "exit 1"]),
        (ScriptedAgent().then_repeats(works(1).then_stops(), 2).then_dies(), ["Stop", "Stop", "exit 1"]),
        (ScriptedAgent().then_repeats(stalls()), []),
    ],
)
def test_a_story_leads_to_its_events(agent: ScriptedAgent, expected: list[str]) -> None:
    """Every agent says that it begins, and what its script says."""
    found = told(play(agent))

    assert found[: len(expected) + 2] == ["SessionStart", "Prompt", *expected]


@pytest.mark.parametrize(
    ("agent", "pauses", "lines"),
    [
        (works(2.5), [1, 1, 0.5], 3),
        (works(0.25), [0.25], 1),
        (works(0), [], 0),
        (works(3, silent=True), [1, 1, 1], 0),
        (works(3600), [60] * 60, 60),
        (works(3, every_s=1.5), [1.5, 1.5], 2),
    ],
)
def test_work_takes_its_time_and_shows_it(agent: ScriptedAgent, pauses: list[float], lines: int) -> None:
    """Long work is not chattier than short work."""
    effects = play(agent)

    assert [effect.seconds for effect in effects if isinstance(effect, Pause)] == pauses
    assert sum(1 for e in effects if isinstance(e, Say) and e.data.startswith(b"working")) == lines


def test_a_result_carries_the_token_unless_told_otherwise() -> None:
    """An agent of this launch can play one of another."""
    agent = writes_result("failed", "no").then_writes_result(token="other")
    documents = [json.loads(effect.data) for effect in play(agent) if isinstance(effect, Deliver)]

    assert documents[0] == {"token": "token", "status": "failed", "summary": "no"}
    assert documents[1]["token"] == "other"


def test_a_flood_has_the_size_that_was_asked_for() -> None:
    """Fifty megabytes are fifty megabytes, in lines of the length asked for."""
    said = b"".join(
        effect.data for effect in play(ScriptedAgent().then_floods(300_001, line=7)) if isinstance(effect, Say)
    )
    flood = said.partition(b"\n")[2]

    assert len(flood) == 300_001
    assert flood.startswith(b"xxxxxx\nxxxxxx\n")


def test_text_that_is_no_text_is_printed_all_the_same() -> None:
    """Raw bytes and lone surrogates are what a hostile agent prints."""
    effects = play(ScriptedAgent().then_says("\udcff\x1b]0;x\x07").then_says("\ud800"))

    assert [effect.data for effect in effects if isinstance(effect, Say)][1:] == [b"\xff\x1b]0;x\x07", b"\xed\xa0\x80"]


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (completes(), ["result", "Stop", "Prompt", "Stop", "Prompt", "Stop"]),
        (stalls(), []),
        (completes().ignoring_nudges(), ["result", "Stop"]),
        (stalls().on_nudge(works(1).then_completes()), ["Prompt", "result", "Stop", "Prompt", "result", "Stop"]),
        (stops().then_idles().on_nudge(stops()).on_nudge(dies()), ["Stop", "Prompt", "Stop", "Prompt", "exit 1"]),
        (stops().then_waits_for_prompt().then_dies(code=4), ["Stop", "Prompt", "exit 4"]),
        (stalls().on_nudge(exits()), ["Prompt", "SessionEnd", "exit 0"]),
        (stalls().on_nudge(ScriptedAgent().then_repeats(stalls())), ["Prompt", "Prompt"]),
    ],
)
def test_an_agent_answers_what_is_typed_as_its_script_says(agent: ScriptedAgent, expected: list[str]) -> None:
    """The nth answer is for the nth line, the last one for all later lines."""
    assert told(play(agent, ["one", "two"]))[2:] == expected


def test_a_thousand_nudges_do_not_pile_up() -> None:
    """An answer that ends in waiting goes back to where the agent waited."""
    found = Counter(told(play(stalls().on_nudge(works(1).then_stops().then_idles()), ["again"] * 3000)))

    assert (found["Prompt"], found["Stop"]) == (3001, 3000)


@pytest.mark.parametrize(
    ("agent", "signals", "expected"),
    [
        (completes(), [signal.SIGTERM], ["result", "Stop", "SessionEnd", "exit 143"]),
        (completes(), [signal.SIGHUP], ["result", "Stop", "SessionEnd", "exit 129"]),
        (completes(), [signal.SIGINT], ["result", "Stop", "SessionEnd", "exit 0"]),
        (stalls(), [signal.SIGINT], ["Interrupted"]),
        (stalls(), [signal.SIGINT, signal.SIGINT], ["Interrupted", "SessionEnd", "exit 0"]),
        (stalls(), [signal.SIGTERM], ["SessionEnd", "exit 143"]),
    ],
)
def test_a_signal_ends_a_turn_or_an_agent(agent: ScriptedAgent, signals: list[int], expected: list[str]) -> None:
    """SIGINT ends the turn, or an idle agent; SIGTERM and SIGHUP end the agent, which says so."""
    assert told(play(agent, [Signalled(signum) for signum in signals]))[2:] == expected


def test_every_prompt_is_noted_with_what_it_said() -> None:
    """The ledger can prove that a text was taken as a prompt once."""
    notes = [effect for effect in play(completes(), ["x", "y", "x"]) if isinstance(effect, Note)]

    assert [note.what for note in notes] == ["start", "prompt", "result", "prompt", "prompt", "prompt"]
    assert notes[3].digest == notes[5].digest != notes[4].digest


@pytest.mark.parametrize(
    ("event", "agent", "expected"),
    [
        ("die", works(1).then_stops(), ["signal 9"]),
        ("stall", works(1).then_stops(), []),
        ("half_result", completes(), ["half a result", "Stop", "Prompt", "Stop"]),
        ("ignore_nudge", completes(), ["result", "Stop"]),
        ("flood", completes(), ["result", "Stop", "Prompt", "Stop"]),
    ],
)
def test_a_fault_makes_an_agent_misbehave(event: str, agent: ScriptedAgent, expected: list[str]) -> None:
    """Each of the agent's faults does what its name says."""
    effects = play(agent, ["go on"], lambda asked: True if asked == event else None)

    assert told(effects)[2:] == expected
    assert (sum(len(e.data) for e in effects if isinstance(e, Say)) > 1 << 20) is (event == "flood")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("work", "a list of steps"),
        (["work"], "unknown step None"),
        ([{"do": "wrok"}], "unknown step 'wrok'; did you mean work?"),
        ([{"do": ["work"]}], "unknown step ['work']"),
        ([{"do": "work"}], "step work: needs seconds"),
        ([{"do": "work", "secs": 1}], "step work: unknown parameter 'secs'"),
        ([{"do": "work", "seconds": "1"}], "step work: seconds is no float"),
        ([{"do": "work", "seconds": True}], "step work: seconds is no float"),
        ([{"do": "work", "seconds": float("nan")}], "step work: seconds is no float"),
        ([{"do": "work", "seconds": -1}], "step work: seconds is no float"),
        ([{"do": "exit", "code": 1.5}], "step exit: code is no int"),
        ([{"do": "flood", "bytes": 9, "line": 0}], "at least one byte"),
        ([{"do": "signal", "name": "SIGNAL"}], "'SIGNAL' is no signal for that"),
        ([{"do": "signal", "name": "SIGSTOP"}], "'SIGSTOP' is no signal for that"),
        ([{"do": "ignore_signals", "names": ["SIGKILL"]}], "'SIGKILL' is no signal for that"),
        ([{"do": "ignore_signals", "names": [[]]}], "[] is no signal for that"),
        ([{"do": "loop", "steps": [{"do": "stop"}]}], "step loop: takes no time"),
        ([{"do": "loop", "steps": [{"do": "work", "seconds": 0}]}], "step loop: takes no time"),
        ([{"do": "on_nudge", "steps": [{"do": "x"}]}], "unknown step 'x'"),
    ],
)
def test_a_script_that_makes_no_sense_is_refused(script: Any, said: str) -> None:
    """It is refused where it is written, not in a window that nobody sees."""
    with pytest.raises(ValueError, match=r".") as caught:
        check_script(script)

    assert said in str(caught.value)


def test_a_script_is_not_nested_without_end() -> None:
    """A hostile script cannot exhaust the stack."""
    script: list[Any] = []
    for _ in range(2000):
        script = [{"do": "on_nudge", "steps": script}]

    with pytest.raises(ValueError, match="nested"):
        check_script(script)
