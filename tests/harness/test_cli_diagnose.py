"""A bundle for a bug report: what explains the run is in it, and nothing that must not leave the host."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile
from pathlib import Path

import pytest

from harness.agents import plan_of, task, works
from harness.commands.bundle import LIMIT, LOG_LINES, WHOLE, Member, within
from harness.commands.staged import Answer, CommandLine
from harness.world import FakeWorld

IN_ENVIRONMENT = "correct-horse-battery"
IN_PROMPT = "swordfish4711xyz"
BY_SHAPE = "ghp_" + "a1B2" * 8
PROMPT = f"Log in with {IN_PROMPT} and\nthen delete the staging database, please"
OUTPUT = (
    f"token {IN_ENVIRONMENT}\n> then delete the staging database, please\n$ login {IN_PROMPT} {BY_SHAPE}\nALL-IS-WELL\n"
)
SECRETS = (IN_ENVIRONMENT, IN_PROMPT, BY_SHAPE, "delete the staging database")


@pytest.fixture
def seamripper() -> CommandLine:
    """A simulated host with a crashed run, whose prompt, environment and log have secrets in them."""
    made = CommandLine(
        FakeWorld(), environment={"SEAMRIPPER_ROOT": "/sim/runs", "HOME": "/home/a", "DB_PASS": IN_ENVIRONMENT}
    )
    plan = plan_of(task("1-1", works(1).then_completes(f"used {IN_ENVIRONMENT}")), project=str(made.world.project))
    tasks = tuple(dataclasses.replace(one, prompt=PROMPT) for one in plan.tasks)
    path = made.plan(dataclasses.replace(plan, tasks=tasks))
    made("run", path, "--faults", "engine.settle=1*raise(RuntimeError)")
    log = run_dir(made) / "logs" / "1-1.log"
    if made.world.disk.info(log) is not None:
        made.world.disk.remove(log)
    made.world.disk.write(log, b"old\n" * LOG_LINES + OUTPUT.encode())
    return made


def run_dir(seamripper: CommandLine) -> Path:
    """The directory of the run."""
    return Path(seamripper("list", "--json").document["runs"][0]["run_dir"])


def bundled(seamripper: CommandLine, answer: Answer, name: str = "") -> dict[str, str]:
    """The texts in the bundle by name."""
    assert answer.code == 0, answer
    data = seamripper.world.disk.read(name or answer.document["file"])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert {member.mode for member in archive} == {0o600}
        return {
            member.name.removeprefix("diagnose/"): opened.read().decode()
            for member in archive
            if (opened := archive.extractfile(member)) is not None
        }


def test_what_explains_the_run_is_in_it(seamripper: CommandLine) -> None:
    """State, journal, crash, status, host, versions, log; each of them said."""
    answer = seamripper("diagnose", "2026", "--json")
    texts = bundled(seamripper, answer)

    assert {"status.json", "versions.json", "doctor.json", "plan.toml", "state.json", "journal.jsonl"} <= texts.keys()
    assert {"crash.txt", "logs/1-1.log", "ATTENTION"} <= texts.keys()
    assert any(name.startswith("crash/") for name in texts)
    assert [one["name"] for one in answer.document["contents"]] == [name for name in texts if name != "contents.json"]
    assert json.loads(texts["status.json"])["status"] == "CRASHED"
    assert "RuntimeError" in texts["crash.txt"]
    assert "run-crash" in texts["journal.jsonl"]
    assert "ALL-IS-WELL" in texts["logs/1-1.log"]


def test_no_secret_leaves_the_host(seamripper: CommandLine) -> None:
    """Neither what the environment holds, nor a prompt, nor what looks like one, in any file of the bundle."""
    answer = seamripper("diagnose", "2026", "--json")

    for name, text in bundled(seamripper, answer).items():
        assert [secret for secret in SECRETS if secret in text] == [], name
    assert "withheld" in bundled(seamripper, answer)["plan.toml"]


def test_a_log_is_its_last_lines(seamripper: CommandLine) -> None:
    """Two hundred, and that there were more is said."""
    answer = seamripper("diagnose", "2026", "--json")
    (told,) = [one for one in answer.document["contents"] if one["name"] == "logs/1-1.log"]

    assert len(bundled(seamripper, answer)["logs/1-1.log"].splitlines()) == LOG_LINES
    assert told["note"].startswith(f"the last {LOG_LINES} of ")


def test_for_people_it_is_a_list_and_a_path(seamripper: CommandLine) -> None:
    """In the file that was asked for, and in no other."""
    answer = seamripper("diagnose", "2026", "-o", "report.tar.gz")

    assert "crash.txt" in answer.stdout
    assert "/sim/project/report.tar.gz\n" in answer.stdout
    assert bundled(seamripper, answer, "/sim/project/report.tar.gz")


def test_a_damaged_run_is_bundled_with_what_can_be_read_of_it(seamripper: CommandLine) -> None:
    """Bytes that are no JSON and a plan that is none are what the report is about."""
    disk = seamripper.world.disk
    for name, content in (("state.json", b"\0\xff{"), ("plan.toml", PROMPT.encode()), ("journal.jsonl", b"\n{]\n")):
        disk.remove(run_dir(seamripper) / name)
        disk.write(run_dir(seamripper) / name, content)

    answer = seamripper("diagnose", "2026", "--json")
    texts, notes = bundled(seamripper, answer), {one["name"]: one["note"] for one in answer.document["contents"]}

    assert notes["state.json"] == "not JSON: as text"
    assert "left out" in notes["plan.toml"]
    assert not any("staging" in text for name, text in texts.items() if name != "logs/1-1.log")


def test_a_bundle_has_a_limit() -> None:
    """What does not fit is named and left out; the rest is whole."""
    members = within([Member(f"{number}", "x" * LIMIT) for number in range(WHOLE // LIMIT + 3)])

    assert [len(one.text) for one in members[-4:]] == [LIMIT, 0, 0, 0]
    assert members[-1].note == "left out: the bundle is full"
