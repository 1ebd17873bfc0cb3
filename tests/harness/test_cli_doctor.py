"""What a host may lack, as `doctor` finds it: every finding on its own line, with what to do about it."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from backends.processes import Completed
from backends.tmux import TmuxMultiplexer
from backends.transport import SubprocessTransport
from harness.cli import main
from harness.commands.host import Host, this_host
from harness.record.files import make_directory


def program(place: Path, name: str, says: str) -> None:
    """A program that says that, whatever it is asked."""
    path = place / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n", "utf-8")
    path.chmod(0o755)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with nothing on the path but what is put there, and a runtime directory of its own."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "r"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("SEAMRIPPER_MUX", raising=False)
    for name in ("bin", "r", "root"):
        (tmp_path / name).mkdir(mode=0o700)
    program(tmp_path / "bin", "tmux", "tmux 3.4")
    return tmp_path


def examined(place: Path, *words: str, **changes: Any) -> tuple[int, dict[str, tuple[str, str, str]]]:
    """The exit code, and each finding by what it is about: level, what was found, remedy."""
    host: Host = dataclasses.replace(this_host(), stdout=io.StringIO(), stderr=io.StringIO(), **changes)
    code = main(["doctor", "--root", str(place / "root"), "--json", *words], host)
    assert isinstance(host.stdout, io.StringIO)
    document = json.loads(host.stdout.getvalue())
    assert document["schema"] == 1
    return code, {one["about"]: (one["level"], one["found"], one["remedy"]) for one in document["findings"]}


def test_a_host_that_has_what_it_takes_is_told_so_and_left_as_it_was(place: Path) -> None:
    """Exit code 0; no directory, socket or file of the examination stays."""
    before = sorted(place.rglob("*"))

    code, found = examined(place)

    assert code == 0
    assert {about for about, (level, _, _) in found.items() if level == "fail"} == set()
    assert {"python", "tmux", "socket", "psmux", "root", "locale", "hook relay", "claude", "codex"} <= found.keys()
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("says", "level", "words"),
    [
        ("tmux 3.1c", "fail", "install tmux 3.2a or newer"),
        ("tmux 3.2a", "ok", ""),
        ("tmux 3.7c", "ok", ""),
        ("tmux next-3.8", "ok", ""),
        ("tmux 4.0", "warn", "conform"),
        ("hello", "fail", "install tmux"),
    ],
)
def test_a_version_of_tmux_is_judged_by_what_was_measured(place: Path, says: str, level: str, words: str) -> None:
    """Too old cannot be driven; newer than all that were measured may say things that nobody knows."""
    program(place / "bin", "tmux", says)

    code, found = examined(place)

    assert found["tmux"][0] == level
    assert words in found["tmux"][2]
    assert code == (1 if level == "fail" else 0)


def test_no_tmux_at_all_fails_with_what_to_install(place: Path) -> None:
    """Nothing is asked of a server that nobody can reach."""
    (place / "bin" / "tmux").unlink()

    code, found = examined(place)

    assert (code, found["tmux"][0]) == (1, "fail")
    assert "socket" not in found


def test_a_runtime_directory_that_is_too_deep_for_a_socket_is_said(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes about a hundred bytes."""
    deep = place / ("d" * 100)
    make_directory(this_host().disk, str(deep))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))

    code, found = examined(place)

    assert (code, found["socket"][0]) == (1, "fail")
    assert "longer than 100" in found["socket"][1]
    assert "XDG_RUNTIME_DIR" in found["socket"][2]


def test_a_server_that_hangs_carries_out_no_plan(place: Path) -> None:
    """It runs, and would keep every run of this root waiting."""

    class Hanging(SubprocessTransport):
        def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
            if argv[-1] != "-V":
                raise subprocess.TimeoutExpired(argv, timeout_s)
            return super().run(argv, stdin=stdin, timeout_s=timeout_s)

    made = TmuxMultiplexer(place / "r", transport=Hanging())
    code, found = examined(place, multiplexer=lambda *given, **options: made)

    assert (code, found["socket"][0]) == (1, "fail")
    assert "does not answer" in found["socket"][1]
    assert "SIGCONT" in found["socket"][2]


def test_a_root_that_is_a_file_cannot_record_runs(place: Path) -> None:
    """Nor can one below a file."""
    (place / "root").rmdir()
    (place / "root").write_text("", "utf-8")

    code, found = examined(place)

    assert (code, found["root"][0]) == (1, "fail")
    assert "--root" in found["root"][2]


def test_an_agent_is_told_with_its_version_and_whether_that_was_measured(place: Path) -> None:
    """A version that no profile was measured with is a warning, no failure."""
    program(place / "bin", "claude", "0.0.1 (Claude Code)")

    code, found = examined(place)

    assert code == 0
    assert found["claude"][0] == "warn"
    assert "0.0.1" in found["claude"][1]
    assert "seamripper probe claude" in found["claude"][2]
    assert found["codex"][1] == "codex is not on the PATH"


@pytest.mark.parametrize(("told", "level"), [("de_DE.ISO-8859-1", "warn"), ("C", "warn"), ("en_US.utf8", "ok")])
def test_a_locale_without_unicode_is_a_warning(
    place: Path, monkeypatch: pytest.MonkeyPatch, told: str, level: str
) -> None:
    """What agents show may hold any character."""
    monkeypatch.setenv("LC_ALL", told)

    assert examined(place)[1]["locale"][0] == level


def test_a_relay_that_does_not_answer_fails(place: Path) -> None:
    """No agent could report anything."""
    host = this_host()
    real = host.processes.run

    class NoRelay(type(host.processes)):  # type: ignore[misc]  # its base is whatever this host has
        def run(self, argv: Any, **options: Any) -> Any:
            if any("relay" in str(word) for word in argv):
                raise FileNotFoundError(2, "No such file or directory", argv[0])
            return real(argv, **options)

    code, found = examined(place, processes=NoRelay())

    assert (code, found["hook relay"][0]) == (1, "fail")


@pytest.mark.parametrize(
    ("chosen", "setpriv", "level", "words"),
    [
        ("", "exit 0", "ok", "one control-mode client for all questions, once there are several"),
        ("control", "exit 0", "ok", "from the first one on, as SEAMRIPPER_TMUX_TRANSPORT says"),
        ("", "exit 3", "warn", "fails: exit 3"),
        ("", "echo not permitted >&2; exit 1", "warn", "fails: not permitted"),
        ("", None, "warn", "a process for each question, because setpriv (util-linux) is missing"),
        ("process", None, "ok", "a process for each question, as SEAMRIPPER_TMUX_TRANSPORT says"),
        ("pigeon", "exit 0", "fail", "SEAMRIPPER_TMUX_TRANSPORT is 'pigeon', and has to be auto, process, control"),
    ],
)
def test_how_tmux_would_be_asked_is_said_and_why_not_otherwise(
    place: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, setpriv: str | None, level: str, words: str
) -> None:
    """What is missing for a persistent client costs time and nothing else; what is no way to ask fails."""
    monkeypatch.setenv("SEAMRIPPER_TMUX_TRANSPORT", chosen)
    if setpriv is not None:
        (place / "bin" / "setpriv").write_text(f"#!/bin/sh\n{setpriv}\n", "utf-8")
        (place / "bin" / "setpriv").chmod(0o755)

    code, found = examined(place)

    assert found["transport"][0] == level
    assert words in found["transport"][1]
    assert code == (1 if level == "fail" else 0)
