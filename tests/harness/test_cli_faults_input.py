"""What `seamripper faults` does with input that means nothing: one line, the position, the nearest valid name, exit code 2."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from backends.disk import RealDisk
from harness.commands.staged import Answer, CommandLine
from harness.world import FakeWorld

REPLAY = ("faults", "replay")


@pytest.fixture
def seamripper() -> CommandLine:
    """The command line of a simulated host."""
    return CommandLine(FakeWorld())


def assert_refused(answer: Answer, *words: str, code: int = 2) -> None:
    """One line on standard error that has these words and is no traceback, and nothing else."""
    assert (answer.code, answer.stdout) == (code, "")
    assert answer.stderr.startswith("error: ")
    assert (answer.stderr.count("\n"), answer.stderr[-1]) == (1, "\n")
    assert len(answer.stderr) < 2500
    assert [word for word in words if word not in answer.stderr] == []


BAD_PLANS = {
    "list_window_ids=;": ("--plan: position 16: expected an action",),
    "send_text=timeout;mux.new_windw=timeout": (
        "--plan: position 18: unknown point 'mux.new_windw'; the nearest valid name is 'mux.new_window'\n",
    ),
    "engine.verfy=raise(OSError)": ("position 0", "nearest valid name is 'engine.verify'"),
    "new_window=timout": ("position 11: unknown action 'timout'; the nearest valid name is 'timeout'\n",),
    "engine.decide=timeout": ("position 14: 'timeout' cannot happen at engine.decide",),
    "engine.decide=raise(Rumtime)": ("position 14", "unknown exception 'Rumtime'"),
    "transport.new-window=timeout": ("this backend has no transport. points", "seamripper faults points"),
    "live.no_ptys=occur": ("position 0: live.no_ptys cannot be made to happen here, only live.freeze_server",),
    "[/bold]\x1b[31m\ud800=x": ("position 0",),
}


@pytest.mark.parametrize("plan", BAD_PLANS, ids=ascii)
@pytest.mark.parametrize("command", ["replay", "shrink"])
def test_a_wrong_plan_is_refused_with_position_and_nearest_name(
    seamripper: CommandLine, command: str, plan: str
) -> None:
    """Whatever is wrong with it, by every command that takes one."""
    answer = seamripper("faults", command, "completes", "--plan", plan)

    assert_refused(answer, *BAD_PLANS[plan])
    assert "\x1b" not in answer.stderr


@pytest.mark.parametrize(
    "words", [("points",), ("replay", "--plan", ""), ("sweep",), ("shrink", "--plan", "")], ids=" ".join
)
def test_an_unknown_scenario_is_refused_with_the_nearest(seamripper: CommandLine, words: tuple[str, ...]) -> None:
    """By every command; what cannot be imported is named with the reason."""
    command, *rest = words
    for name, told in (
        ("nudgd", ("unknown scenario 'nudgd'", "nearest valid name is 'nudged'", "seamripper faults scenarios")),
        ("", ("unknown scenario ''",)),
        ("a\x1b[31m\nb", ("unknown scenario 'a\\x1b[31m\\nb'",)),
        ("no_such_module:story", ("'no_such_module:story' cannot be imported", "No module named 'no_such_module'")),
        ("faulty_stories:NO_STORY", ("is no Story but int",)),
        (":", ("cannot be imported",)),
    ):
        assert_refused(seamripper("faults", command, name, *rest), *told)


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('[/bad]\\x1b[31m\\nsecond line')",
        "import sys; sys.exit(3)",
        "def",
        "raise SystemExit",
        "1 / 0",
    ],
)
def test_a_module_that_fails_when_it_is_imported_is_somebody_elses_mistake(
    seamripper: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """One line and exit code 2: nothing of ours has crashed."""
    name = f"raising_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    answer = seamripper("faults", "points", f"{name}:STORY")
    assert_refused(answer, f"'{name}:STORY' cannot be imported: ")
    assert "\x1b" not in answer.stderr


@pytest.mark.parametrize("words", [("points",), ("replay", "--plan", "")], ids=" ".join)
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("MISSPELT", "settings: unknown name 'sesion_timeout_s'; the nearest valid name is 'session_timeout_s'"),
        ("NEGATIVE", "session_timeout_s: expected a number of seconds above 0; got -3"),
        ("RAISING", "its meanwhile raised ZeroDivisionError: by nothing"),
        ("EARLIER", "earlier: position 0: unknown point 'new_windw'; the nearest valid name is 'new_window'"),
        ("TASKLESS", "[[task]]: expected at least one task; there is none"),
    ],
)
def test_a_story_that_cannot_be_told_is_named_with_what_to_correct(
    seamripper: CommandLine, words: tuple[str, ...], name: str, told: str
) -> None:
    """One line and exit code 2: the mistake is in the story, neither in a plan file nor in us."""
    command, *rest = words
    answer = seamripper("faults", command, f"untellable_stories:{name}", *rest)

    assert_refused(answer, f"error: story 'mine': {told}; correct the story\n")


def test_the_nearest_name_is_told_however_long_the_wrong_one_is(seamripper: CommandLine) -> None:
    """What is shortened is the mistake, not the way out of it."""
    answer = seamripper("faults", "replay", "completes", "--plan", f"new_windo{'w' * 100_000}=1*timeout")

    assert_refused(answer, "unknown point 'new_windowww", "the nearest valid name is 'new_window'")
    assert len(answer.stderr) < 300


BAD_WORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "no command": ((), "COMMAND"),
    "unknown command": (("swep",), "swep"),
    "no scenario": (("points",), "SCENARIO"),
    "no plan": (("replay", "completes"), "--plan is missing"),
    "no number": (("replay", "completes", "--plan", "", "--seed", "nan"), "from 0 to 9223372036854775807, got 'nan'"),
    "negative": (("replay", "completes", "--plan", "", "--seed=-1"), "got '-1'"),
    "large": (("sweep", "completes", "--seed", str(2**63)), "got '9223372036854775808'"),
    "very large": (("sweep", "completes", "--seed", "9" * 9999), "expected a whole number"),
    "other digits": (("sweep", "completes", "--seed", "٣"), "expected a whole number"),
    "unknown world": (("points", "completes", "--mux", "fak"), "unknown world 'fak'; the nearest valid name is 'fake'"),
    "live world": (("points", "completes", "--mux", "tmux"), "the nearest valid name is 'simulated-tmux'"),
    "unknown layer": (
        ("sweep", "completes", "--layer", "dsk"),
        "unknown layer 'dsk'; the nearest valid name is 'disk'",
    ),
    "unknown calls": (("sweep", "completes", "--calls", "eveery"), "the nearest valid name is 'every'"),
    "no calls": (("sweep", "completes", "--calls", "0"), "neither which calls nor how many"),
    "no runs": (("shrink", "completes", "--plan", "", "--runs", "0"), "expected 1 or more"),
    "no name": (("replay", "completes", "--plan", "", "--save", ""), "expected the name of a file"),
    "shrunk test": (("shrink", "t.py::test_x", "--plan", ""), "a test cannot be shrunk"),
    "drawn test": (("replay", "t.py::test_x", "--timeline", "x"), "`pytest --mux-timeline DIR` draws a test"),
}


@pytest.mark.parametrize("case", BAD_WORDS)
def test_fault_words_that_mean_nothing_are_refused(seamripper: CommandLine, case: str) -> None:
    """One line that says what was expected."""
    words, told = BAD_WORDS[case]

    assert_refused(seamripper("faults", *words), told)


GOOD: dict[str, Any] = {"version": 1, "scenario": "completes", "plan": "engine.decide=1*raise(OSError)", "seed": 3}
RULE = {"point": "engine.decide", "terms": [{"action": "die"}]}
BAD_FILES: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "list": ("[null, true]", ("expected a JSON object, not [null, true]",)),
    "no scenario": (json.dumps({**GOOD, "scenario": None}), ("scenario must be the name of one, not null",)),
    "empty": (b"", ("position 0: not JSON",)),
    "not JSON": ('{"version": 1,}', ("position 14: not JSON",)),
    "cut off": (json.dumps(GOOD)[:40], ("not JSON",)),
    "not UTF-8": (b'{"version\xff": 1}', ("position 9: not UTF-8: byte 0xff",)),
    "no object": ("[1]", ("expected a JSON object, not [1]",)),
    "nested": ("[" * 100_000, ("not JSON",)),
    "endless number": ('{"seed": ' + "9" * 9999 + "}", ("not JSON", "too long")),
    "twice": ('{"version": 1, "version": 1}', ("it says 'version' twice",)),
    "nothing": ("{}", ("it lacks its version and scenario and plan",)),
    "unknown key": (json.dumps({**GOOD, "sed": 1}), ("unknown key 'sed'; the nearest valid name is 'seed'",)),
    "other version": (json.dumps({**GOOD, "version": 2}), ("version 2 cannot be read here, only 1",)),
    "no version": (json.dumps({**GOOD, "version": True}), ("version true",)),
    "no name": (json.dumps({**GOOD, "scenario": 7}), ("scenario must be the name of one, not 7",)),
    "unknown world": (json.dumps({**GOOD, "mux": "fak"}), ("the nearest valid name is 'fake'",)),
    "wrong world": (json.dumps({**GOOD, "mux": ["fake"]}), ("mux: unknown world ['fake']",)),
    "seed NaN": (
        '{"version":1,"scenario":"completes","plan":"","seed":NaN}',
        ("seed must be a whole number", "not NaN"),
    ),
    "seed text": (json.dumps({**GOOD, "seed": "3"}), ("seed must be a whole number", 'not "3"')),
    "seed truth": (json.dumps({**GOOD, "seed": True}), ("seed must be a whole number", "not true")),
    "seed negative": (json.dumps({**GOOD, "seed": -1}), ("seed must be a whole number from 0",)),
    "seed large": (json.dumps({**GOOD, "seed": 2**63}), ("seed must be a whole number from 0 to",)),
    "plan number": (json.dumps({**GOOD, "plan": 3}), ("plan must be text or a JSON object, not 3",)),
    "plan wrong": (json.dumps({**GOOD, "plan": "a=timeout"}), ("plan: position 0: unknown point 'a'", "nearest")),
    "plan rule": (json.dumps({**GOOD, "plan": {"faults": [{**RULE, "point": "x.y"}]}}), ("unknown point 'x.y'",)),
    "plan key": (json.dumps({**GOOD, "plan": {"fault": []}}), ("plan: the plan has no key 'fault'", "'faults'")),
    "two seeds": (json.dumps({**GOOD, "plan": {"seed": 4, "faults": [RULE]}}), ("its seed is 4, that of the file 3",)),
    "story": (json.dumps({**GOOD, "scenario": "complets"}), ("unknown scenario 'complets'", "'completes'")),
    "markup": (json.dumps({**GOOD, "[/bad]\x1b[31m\ud800": 1}), ("unknown key '[/bad]\\x1b[31m\\ud800'",)),
}


@pytest.mark.parametrize("case", BAD_FILES)
@pytest.mark.parametrize("command", ["replay", "shrink"])
def test_a_corrupt_replay_file_is_refused(seamripper: CommandLine, command: str, case: str) -> None:
    """What is wrong where, and the nearest valid name; never a traceback."""
    content, words = BAD_FILES[case]
    seamripper.plan(content, "x.json")
    answer = seamripper("faults", command, "x.json")

    assert_refused(answer, *words)
    assert "\x1b" not in answer.stderr


@pytest.mark.parametrize(("option", "value"), [("--plan", ""), ("--seed", "1"), ("--mux", "fake")])
def test_a_replay_file_is_not_contradicted_by_options(seamripper: CommandLine, option: str, value: str) -> None:
    """Whoever gives both is told to decide."""
    seamripper.plan(json.dumps(GOOD), "x.json")

    assert_refused(seamripper(*REPLAY, "x.json", option, value), f"{option}: the replay file says that itself")


def test_what_is_no_replay_file_at_all_is_named(seamripper: CommandLine, tmp_path: Path) -> None:
    """A missing file, a directory, a pipe, a device and 100 MB: each in one line, none of them read to its end."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "directory.json").mkdir()
    (tmp_path / "loop.json").symlink_to("loop.json")
    with (tmp_path / "large.json").open("wb") as large:
        large.truncate(100 * 1024 * 1024)
    for name, told in (
        ("gone.json", "No such file"),
        ("pipe.json", "not a regular file"),
        ("directory.json", "not a regular file"),
        ("loop.json", "symbolic links"),
        ("large.json", "longer than 1048576 bytes"),
        ("/dev/null", "not a regular file"),
    ):
        answer = seamripper(*REPLAY, name, disk=RealDisk(), cwd=tmp_path)
        assert_refused(answer, f"{name}: cannot be read: ", told, "name a replay file")


def test_a_link_to_a_replay_file_is_followed(seamripper: CommandLine, tmp_path: Path) -> None:
    """Like a link to a plan."""
    (tmp_path / "real.json").write_text(json.dumps(GOOD), "utf-8")
    (tmp_path / "link.json").symlink_to("real.json")

    assert seamripper(*REPLAY, "link.json", disk=RealDisk(), cwd=tmp_path).code == 0


@pytest.mark.parametrize("option", ["--save", "--timeline"])
def test_a_file_that_cannot_be_written_is_named_after_the_verdict(
    seamripper: CommandLine, tmp_path: Path, option: str
) -> None:
    """Who asked for it is told; the verdict has been said by then, and nothing half written is left."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("/dev/null")
    for name, told, code in (
        ("gone/x", "gone/x cannot be written: No such file or directory", 1),
        ("directory", "directory is no regular file", 2),
        ("link", "link is no regular file", 2),
        ("/dev/null", "/dev/null is no regular file", 2),
        ("x" * 300, "File name too long", 1),
    ):
        answer = seamripper(*REPLAY, "completes", "--plan", "", option, name, disk=RealDisk(), cwd=tmp_path)
        assert (answer.code, answer.stderr.count("\n")) == (code, 1)
        assert answer.stderr.startswith(f"error: {option}: ")
        assert told in answer.stderr
        assert "every oracle holds" in answer.stdout
    assert sorted(os.listdir(tmp_path)) == ["directory", "link"]


def test_files_are_written_for_nobody_else(seamripper: CommandLine, tmp_path: Path) -> None:
    """Mode 0600, whatever is in them, over an older file as well."""
    (tmp_path / "old.json").write_text("old", "utf-8")
    words = ("--save", "old.json", "--timeline", "new.html")

    assert seamripper(*REPLAY, "completes", "--plan", "", *words, disk=RealDisk(), cwd=tmp_path).code == 0
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in os.listdir(tmp_path)}
    assert modes == {"old.json": 0o600, "new.html": 0o600}
