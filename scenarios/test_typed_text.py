"""What is written or typed to agents arrives byte for byte, once, or not at all."""

from __future__ import annotations

import pytest

from backends.base import TerminalMultiplexer
from backends.errors import CommandRejected
from harness.agents import task, works, writes_result
from harness.incidents import at_step, at_work, files_of, simulated, when, window_of
from harness.record import RunStatus
from harness.runner import Stage
from harness.scripted import digest_of

TEXTS = {
    "semicolon": "first; second;",
    "dash": "-t @1",
    "long": "0123456789" * 20_000,
    "tabs": "\tone\ttwo\t",
    "emoji": "schön 👩‍🔬 漢字",
    "format": "#{pane_id} #(touch /tmp/x) #[fg=red] %H",
    "quotes": 'it\'s "$HOME" `id` $(id) \\n \\',
    "key-names": "Enter C-c Escape",
}
ANSWER = writes_result().then_stops().then_idles()


@pytest.mark.parametrize("name", [*TEXTS, "lines", "control"])
@pytest.mark.simulated("on a live host the prompt is the same file")
def test_text_fidelity_of_a_prompt(mux_run: Stage, name: str) -> None:
    """An agent reads its prompt exactly as the plan has it, whatever is in it, with the footer behind it."""
    prompt = {**TEXTS, "lines": "one\n\ntwo\r\n", "control": "\x1b[2J\x07\x9b1m\x7f"}[name]
    report = mux_run(task("1-1", agent=works(1).then_completes(), prompt=prompt))

    written = dict(files_of(mux_run.world, mux_run.run_dir))[mux_run.run_dir / "tasks" / "1-1" / "prompt.md"].decode()
    (read,) = [entry["text"] for entry in report.ledger if entry["what"] == "prompt"]
    assert written.startswith(f"{prompt}\n\n---\n")
    assert read == digest_of(written)


@pytest.mark.worlds("fake", "simulated-tmux", "tmux")
def test_text_fidelity_of_what_is_typed(mux_run: Stage, mux: TerminalMultiplexer) -> None:
    """Every line that is typed into a window is read by its program byte for byte, two hundred thousand characters included."""
    agent = works(2).then_stops()
    for _ in TEXTS:
        agent = agent.then_waits_for_prompt()

    def type_all() -> None:
        for text in TEXTS.values():
            mux.send_text(window_of(mux_run, "1-1"), text)

    when(mux_run, at_work(mux_run), type_all)
    report = mux_run(task("1-1", agent=agent.then_completes()))

    read = [entry["text"] for entry in report.ledger if entry["what"] == "prompt"]
    assert report.status is RunStatus.FINISHED
    assert read[1:] == [digest_of(text) for text in TEXTS.values()]


@pytest.mark.worlds("fake", "simulated-tmux", "tmux")
@pytest.mark.parametrize("text", ["\x1b[201~", "ab\x03", "\x04", "a\rb", "nul\0", "\x9b1m"], ids=ascii)
def test_text_fidelity_of_control_bytes_is_a_refusal(mux: TerminalMultiplexer, text: str) -> None:
    """What a terminal would act on instead of showing it is refused before anything is typed."""
    with pytest.raises(CommandRejected) as refused:
        mux.send_text("@1", text)

    assert refused.value.invalid_argument


@pytest.mark.parametrize("fault", ["1*lost:timeout(3)", "1*lost:empty", "2*timeout(3)"])
@pytest.mark.simulated("a live host loses an answer below")
def test_ghost_text_is_executed_once(mux_run: Stage, fault: str) -> None:
    """A nudge of which nobody knows whether it arrived is not repeated while the agent may be at it."""
    agent = works(2).then_stops().then_idles().on_nudge(works(5).then_writes_result().then_stops().then_idles())
    report = mux_run(task("1-1", agent=agent), faults=f"send_text={fault}", result_grace_s=10)

    prompts = [entry["text"] for entry in report.ledger if entry["what"] == "prompt"]
    assert report.task("1-1").outcomes == ["completed"]
    assert len(prompts) == 2
    assert report.task("1-1").nudges == (1 if "lost" in fault else 3)
    assert report.events("nudge")[0]["outcome"] == ("sent" if "empty" in fault else "unconfirmed: TransportTimeout")


@pytest.mark.worlds("tmux")
@pytest.mark.faults("send_text=1*lost:timeout(3)")
def test_ghost_text_on_a_live_host_is_executed_once(mux_run: Stage) -> None:
    """A real agent that got the text whose answer was lost executes it once, and that is enough."""
    report = mux_run(task("1-1", agent=works(1).then_stops().then_idles().on_nudge(ANSWER)), result_grace_s=4)

    assert report.task("1-1").outcomes == ["completed"]
    assert [entry["what"] for entry in report.ledger].count("prompt") == 2


def test_ghost_text_of_a_server_that_goes_on_later_is_executed_once(mux_run: Stage) -> None:
    """A server that is stopped when a nudge is typed, and goes on after the call was given up: no nudge twice."""

    def freeze() -> None:
        mux_run.world.freeze()
        mux_run.at(8, mux_run.world.thaw)

    report = mux_run(
        task("1-1", agent=works(1).then_stops().then_idles().on_nudge(ANSWER)),
        checkpoint=at_step("nudge", freeze),
        call_timeout_s=3,
        result_grace_s=3,
    )

    nudges = report.events("nudge")
    assert report.task("1-1").outcomes == ["completed"]
    assert nudges[0]["outcome"].startswith("unconfirmed")
    assert [entry["what"] for entry in report.ledger].count("prompt") <= 1 + len(nudges)


@pytest.mark.worlds("simulated-tmux")
def test_ghost_text_without_its_enter_does_not_execute_twice(mux_run: Stage) -> None:
    """Text that stands in the window without an Enter is sent off with the next nudge: one execution, one result."""
    world = simulated(mux_run.world)
    mux_run.at(1.5, lambda: world.server.windows[window_of(mux_run, "1-1")].typing.append("Your turn has ended. "))
    report = mux_run(task("1-1", agent=works(1).then_stops().then_idles().on_nudge(ANSWER)), result_grace_s=3)

    assert report.task("1-1").outcomes == ["completed"]
    assert report.task("1-1").nudges == 1
    assert [entry["what"] for entry in report.ledger].count("prompt") == 2


@pytest.mark.worlds("fake", "simulated-tmux")
def test_ghost_text_of_a_second_enter_executes_no_nudge_again(mux_run: Stage) -> None:
    """An Enter too many is an empty line to the agent: the nudge before it is not executed again."""
    world = simulated(mux_run.world)
    agent = works(1).then_stops().then_idles().on_nudge(works(2).then_stops()).on_nudge(ANSWER)
    twice = at_step("listing", lambda: world.server.windows[window_of(mux_run, "1-1")].type(""), nth=6)
    report = mux_run(task("1-1", agent=agent), checkpoint=twice, result_grace_s=3)

    nudges = [entry["text"] for entry in report.ledger if entry["what"] == "prompt" and entry["text"] in report.typed]
    assert report.task("1-1").outcomes == ["completed"]
    assert len(nudges) == len(set(nudges)) == report.task("1-1").nudges
