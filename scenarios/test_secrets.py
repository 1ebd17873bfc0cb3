"""Two hundred canaries: what is secret stands in no file, no log, on no screen and in no process list."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from backends.processes import Completed
from harness.agents import completes, stops, task, works, writes_result
from harness.incidents import at_step, files_of, on_screen, simulated, with_environment
from harness.record import RunStatus
from harness.runner import Stage

SHAPES = ("{0}", "{0} with blanks", 'quo"ted-{0}', "it's-{0}", "{0}/+==", "ünï-{0}", "line\n{0}\nline", "\\back\\{0}")
CANARIES = [SHAPES[number % len(SHAPES)].format(f"canary-{number:03d}-x7Qm") for number in range(200)]
ENVIRONMENT = {f"SERVICE_{number}": canary for number, canary in enumerate(CANARIES)}
ANSWER = writes_result().then_stops().then_idles()


def leaks(stage: Stage, *allowed: str) -> Iterator[str]:
    """Where a canary can be read after the newest run: on screen, in what it said, in files that are not below `allowed`."""
    report = stage.reports[-1]
    summary = "" if report.summary is None else report.summary.render()
    texts = {"screen": on_screen(stage), "summary": summary, "stderr": report.stderr, "trace": report.trace}
    for path, data in files_of(stage.world, stage.run_dir):
        if not set(path.parts) & set(allowed):
            texts[str(path)] = data.decode("utf-8", "replace")
    return (f"{mark} in {where}" for where, text in texts.items() for mark in MARKS if mark in text)


MARKS = [f"canary-{number:03d}" for number in range(200)]


@pytest.mark.simulated("what a process prints on a live host is its own; the environment of a live engine is below")
def test_secrets_of_the_environment_are_in_no_file_whatever_repeats_them(mux_run: Stage) -> None:
    """An error, a check and an agent that repeat the whole environment put none of it into the record or on the screen."""
    everything = "\n".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    table = simulated(mux_run.world).processes
    table.commands["printenv"] = lambda argv: Completed(tuple(argv), 1, everything.encode(), everything.encode())

    def fail() -> None:
        raise RuntimeError(f"cannot go on: {everything}")

    agents = [task("1-1", agent=completes(), verify=["printenv"]), task("1-2", agent=completes(everything))]
    report = mux_run(
        *agents,
        checkpoint=at_step("clean-up", fail),
        make=with_environment(ENVIRONMENT),
        max_attempts=1,
        retry_deferred="never",
    )

    assert report.status is RunStatus.CRASHED
    assert report.task("1-1").phase == "deferred"
    assert list(leaks(mux_run, "plan.toml", "result.json", "1-2-1.json")) == []


@pytest.mark.simulated("a live host types the same words")
@pytest.mark.parametrize("ending", ["crash", "stop", "finish"])
def test_secrets_of_a_prompt_are_where_the_agent_reads_and_repeats_them_alone(mux_run: Stage, ending: str) -> None:
    """The plan, the prompt and what the agent says hold a prompt: the record, the screen and a crash with it do not."""
    prompt = "Use these: " + ", ".join(CANARIES)

    def fail() -> None:
        raise RuntimeError(f"what to do with this: {prompt}")

    if ending == "stop":
        mux_run.stop_at(2, 15)
    mux_run(
        task("1-1", agent=stops().then_idles().on_nudge(ANSWER), prompt=prompt),
        checkpoint=at_step("settle", fail) if ending == "crash" else None,
    )

    assert list(leaks(mux_run))
    assert list(leaks(mux_run, "plan.toml", "prompt.md", "logs", "events")) == []


@pytest.mark.worlds("tmux")
def test_secrets_of_a_live_engine_are_in_no_file_and_no_process_list(
    mux_run: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred variables of the engine's own environment, and the launch token, stand in no argv while it runs."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    seen: list[str] = []

    def look() -> None:
        token = mux_run.store().load().state.task("1-1").attempts[0].token
        words = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
        seen.extend(line for line in words if token in line or "canary-" in line)
        raise RuntimeError(" ".join(CANARIES))

    report = mux_run(task("1-1", agent=works(60).then_dies()), checkpoint=at_step("decide", look, nth=2))

    assert report.status is RunStatus.CRASHED
    assert seen == []
    assert list(leaks(mux_run)) == []
