"""Looking at runs: one bad run hides no other, and a hanging multiplexer delays little."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_drivers import Driver, killed_run

from harness.agents import plan_of, task, works
from harness.commands.staged import CommandLine
from harness.record import RunStatus, TaskPhase
from harness.world import FakeWorld


@pytest.fixture
def seamripper() -> CommandLine:
    """A simulated host with a finished run and a paused one, whose session is kept."""
    made = CommandLine(FakeWorld())
    project = str(made.world.project)
    story = works(1).then_completes("done well")
    done = plan_of(task("1-1", story), project=project)
    paused = plan_of(task("1-1", story), task("1-2", story, gate="a word"), project=project)
    for name, plan in (("done.toml", done), ("paused.toml", paused)):
        made("run", made.plan(plan, name))
        made.world.clock.sleep(60)
    return made


def run_dirs(seamripper: CommandLine) -> list[str]:
    """The run directories, oldest first."""
    return [run["run_dir"] for run in seamripper("list", "--json").document["runs"]]


def damage(seamripper: CommandLine, run_dir: str, *names: str, content: bytes = b"\0\0\0") -> None:
    """Overwrite files of a run."""
    disk = seamripper.world.disk
    for name in names:
        if disk.info(f"{run_dir}/{name}") is not None:
            disk.remove(f"{run_dir}/{name}")
        disk.write(f"{run_dir}/{name}", content)


def test_the_list_shows_each_run_in_one_line(seamripper: CommandLine) -> None:
    """Glyph and word, id, progress, reason; the oldest first."""
    first, second = seamripper("list").stdout.splitlines()

    assert first.startswith("✔ FINISHED")
    assert "1/1 done" in first
    assert second.startswith("‖ PAUSED")
    assert "a word is needed before 1-2" in second


def test_a_run_whose_directory_was_renamed_or_copied_is_called_as_it_is_found(seamripper: CommandLine) -> None:
    """The name that a listing tells is one that every command takes; whose record it is stands in the status."""
    disk, first = seamripper.world.disk, Path(run_dirs(seamripper)[0])
    disk.mkdir(first.with_name("kept"))
    for name in ("state.json", "journal.jsonl"):
        disk.write(first.with_name("kept") / name, disk.read(first / name))

    assert [one["run_id"] for one in seamripper("list", "--json").document["runs"]].count("kept") == 1
    assert [line.split()[2] for line in seamripper("list").stdout.splitlines()].count("kept") == 1
    shown = seamripper("status", "kept").stdout.splitlines()
    assert shown[0].startswith("kept ")
    assert f"  recorded as run {first.name}" in shown


def test_the_status_of_the_newest_run_says_what_can_be_done(seamripper: CommandLine) -> None:
    """The header, the tasks, the last events, and commands to copy; no keys of a dashboard that is not there."""
    shown = seamripper("status").stdout

    assert "‖ paused\n" in shown
    assert "press" not in shown
    assert "1-1   ✔ done" in shown
    assert "run-paused" in shown
    run_id = run_dirs(seamripper)[1].rpartition("/")[2]
    assert f"resume  seamripper resume {run_id}\n" in shown
    assert "attach  " in shown


def test_an_attach_is_offered_only_while_the_session_is_proven_alive(seamripper: CommandLine) -> None:
    """Once the server is gone, the resume is left."""
    assert "attach" in seamripper("status", "--json").document["run"]["next"]

    seamripper.world.kill_server()

    assert seamripper("status", "--json").document["run"]["next"].keys() == {"resume"}


REFUSED = {
    "gone": (None, "the run's plan is gone: "),
    "not a plan": (b"[run\n", "plan.toml:1: not TOML"),
    "another plan": (b'[run]\nproject = "/sim/project"\n[[task]]\nkey = "x"\n', "without the task 'x'"),
    "another project": (b'[run]\nproject = "/nowhere"\n[[task]]\nkey = "1-1"\n', "project directory is gone: /nowhere"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_resume_that_would_be_refused_is_not_offered(seamripper: CommandLine, case: str) -> None:
    """And why not is said, as the resume itself says it."""
    content, why = REFUSED[case]
    run_dir = run_dirs(seamripper)[1]
    seamripper.world.disk.remove(f"{run_dir}/plan.toml")
    if content is not None:
        seamripper.world.disk.write(f"{run_dir}/plan.toml", content)

    shown, run = seamripper("status").stdout, seamripper("status", "--json").document["run"]
    assert "seamripper resume" not in shown
    assert why in next(line for line in shown.splitlines() if line.startswith("  note: it cannot be resumed: "))
    assert ("resume" in run["hints"], "resume" in run["next"]) == (False, False)
    assert why in seamripper("resume", Path(run_dir).name).stderr


def test_a_stop_is_addressed_to_whoever_holds_the_lock(seamripper: CommandLine) -> None:
    """A resume that has just begun: the state still names the driver before it, whose number may be anybody's by now."""
    world = seamripper.world
    seamripper("run", str(world.project / "done.toml"), "--faults", "engine.decide=die")
    world.driver_died()
    run_dir = run_dirs(seamripper)[-1]
    host = seamripper.host()

    with host.store(Path(run_dir)).lock():
        now = seamripper("status", "--json").document["run"]
        damage(seamripper, run_dir, "run.lock")
        unsaid = seamripper("status", "--json").document["run"]

    assert now["next"]["stop"] == f"seamripper stop {now['run_id']}"
    assert (now["status"], unsaid["status"]) == (RunStatus.RUNNING, RunStatus.RUNNING)
    assert "stop" not in unsaid["next"]


def test_a_run_that_waits_for_a_limit_to_be_lifted_says_until_when(seamripper: CommandLine) -> None:
    """It may be days, in which nothing else can be seen of it."""
    run_dir = killed_run(seamripper)
    store = seamripper.host().store(run_dir)
    state = store.load().state
    state.tasks[0].phase = TaskPhase.PENDING
    state.tasks[0].not_before = seamripper.world.clock.wall() + 3 * 86400
    store.save(state)
    Driver(seamripper, run_dir)

    assert "  1-1 waits until 2026-01-04 00:0" in seamripper("list").stdout.splitlines()[-1]
    assert "  1-1 waits until 2026-01-04 00:0" in seamripper("status", run_dir.name).stdout
    run = seamripper("status", run_dir.name, "--json").document["run"]
    assert run["reason"].startswith("1-1 waits until")
    assert [one["not_before"] for one in run["state"]["tasks"]] == [state.tasks[0].not_before]


def test_a_frozen_multiplexer_delays_list_and_status_little(seamripper: CommandLine) -> None:
    """What is not answered within two seconds is unknown, for all runs together."""
    world = seamripper.world
    world.freeze()
    for words in (("list",), ("status",)):
        began = world.clock.monotonic()
        answer = seamripper(*words)

        assert answer.code == 0
        assert "PAUSED" in answer.stdout.upper()
        assert "attach" not in answer.stdout
        assert world.clock.monotonic() - began <= 2


def test_a_damaged_run_is_listed_and_hides_no_other(seamripper: CommandLine) -> None:
    """UNKNOWN with the reason in the list, explained by `status` with exit code 1, not touched by `resume`."""
    bad, good = run_dirs(seamripper)
    damage(seamripper, bad, "state.json", "state.json.bak", "journal.jsonl")

    listed = {run["run_dir"]: run for run in seamripper("list", "--json").document["runs"]}
    explained = seamripper("status", bad)
    resumed = seamripper("resume", bad)

    assert (listed[bad]["status"], listed[good]["status"]) == (RunStatus.UNKNOWN, RunStatus.PAUSED)
    assert explained.code == 1
    assert "state.json cannot be read: not JSON" in explained.stdout
    assert resumed.code == 1
    assert resumed.stderr.count("\n") == 1
    assert seamripper.world.disk.read(f"{bad}/state.json") == b"\0\0\0"


def test_a_damaged_snapshot_costs_nothing_that_the_journal_knows(seamripper: CommandLine) -> None:
    """The backup and the journal tell the rest; that one file is damaged is said."""
    _, paused = run_dirs(seamripper)
    damage(seamripper, paused, "state.json")

    run = seamripper("status", "--json").document["run"]

    assert run["status"] == RunStatus.PAUSED
    assert any("state.json cannot be read" in note for note in run["notes"])
    assert seamripper("resume", paused).code == 0


def test_a_run_of_a_newer_version_is_left_alone(seamripper: CommandLine) -> None:
    """It could lose something that this version does not know: one line, and not a byte is changed."""
    _, paused = run_dirs(seamripper)
    newer = b'{"schema": 99, "run_id": "x"}'
    damage(seamripper, paused, "state.json", content=newer)

    answer = seamripper("resume", paused)

    assert answer.code == 1
    assert "newer version" in answer.stderr
    assert seamripper.world.disk.read(f"{paused}/state.json") == newer
    assert seamripper("list").stdout.splitlines()[1].startswith("? UNKNOWN")


def test_a_run_of_another_host_is_not_resumed_from_here(seamripper: CommandLine) -> None:
    """Its engine may be alive where nobody here can see it."""
    _, paused = run_dirs(seamripper)
    state = seamripper.world.disk.read(f"{paused}/state.json").replace(b'"simhost"', b'"elsewhere"')
    state = state.replace(b'"ending":{', b'"ending":null,"was":{').replace(b'"paused_reason":"', b'"was_reason":"')
    damage(seamripper, paused, "state.json", content=state)
    damage(seamripper, paused, "state.json.bak", "journal.jsonl", content=b"")

    answer = seamripper("resume", paused)

    assert answer.code == 1
    assert "resume it on its own host" in answer.stderr


def test_an_empty_root_is_no_error(seamripper: CommandLine) -> None:
    """Before the first run there is nothing, and that is said."""
    assert seamripper("list", "--root", "/sim/empty").stdout == "no runs in /sim/empty\n"
    assert seamripper("list", "--root", "/sim/empty", "--json").document["runs"] == []


def test_hostile_text_is_shown_literally(seamripper: CommandLine) -> None:
    """Whatever an agent said: no control character, no markup that is carried out."""
    story = works(1).then_writes_result("escalate", "\x1b]52;c;aGk=\x07[bold red]\u202e")
    plan = plan_of(task("1-1", story.then_stops().then_idles()), project=str(seamripper.world.project))
    answers = [seamripper("run", seamripper.plan(plan, "hostile.toml")), seamripper("list"), seamripper("status")]

    for answer in answers:
        assert "[bold red]" in answer.stdout
        assert not [c for c in answer.stdout if not c.isprintable() and c != "\n"]
