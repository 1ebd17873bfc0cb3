"""The trace: everything that happened, the same for the same plan and seed, and nothing that must not be shown."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from faulty_setting import SESSION, planned

from backends.errors import CommandRejected, TransportTimeout
from backends.processes import SystemProcessTable

PLAN = "list_window_ids=1*pass->1*timeout(30);new_window=50%*lost:hang;disk.append:*=20%*oserror(EIO);version=1*empty"

STORY = f"""
import contextlib, sys
from backends.errors import MultiplexerError
from faulty_setting import planned
setting = planned({PLAN!r}, seed=11)
disk = setting.injector.disk(setting.disk)
disk.mkdir("/r")
for number in range(20):
    with contextlib.suppress(MultiplexerError, OSError):
        setting.mux.new_window("run-1", f"w{{number}}", "/", {{"A": "s3cr3t"}}, "sleep 5")
    with contextlib.suppress(MultiplexerError, OSError):
        setting.mux.list_window_ids("run-1")
    with contextlib.suppress(MultiplexerError, OSError):
        disk.append("/r/journal.jsonl", b"x" * number)
setting.mux.version()
sys.stdout.write(setting.injector.trace_text())
"""


def _told(hash_seed: str) -> bytes:
    here = Path(__file__).parent
    environment = {"PATH": os.defpath, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{here}:{here.parents[1]}"}
    table = SystemProcessTable()
    told = table.run([sys.executable, "-c", STORY], timeout_s=60, env=environment)
    assert (told.status, told.stderr) == (0, b"")
    return told.stdout


def test_the_same_plan_and_seed_give_the_same_trace_in_fresh_processes() -> None:
    """Byte for byte, whatever the hash seed of the interpreter."""
    first, second = _told("1"), _told("4242")

    assert first == second
    assert first.count(b"\n") > 60
    assert b"s3cr3t" not in first


def test_every_call_of_the_seam_is_in_the_trace_with_its_outcome() -> None:
    """Answered, swallowed, raised, or refused before it was asked."""
    setting = planned("version=1*hang;list_window_ids=1*timeout(2)")
    mux = setting.mux
    mux.has_session(SESSION)
    mux.version()
    with pytest.raises(TransportTimeout):
        mux.list_window_ids(SESSION)
    with pytest.raises(CommandRejected):
        mux.has_session("no name")

    assert [(entry.number, entry.at_s, entry.point, entry.outcome) for entry in setting.injector.trace] == [
        (1, 0.0, "mux.has_session", "answered yes"),
        (2, 0.0, "mux.version", "swallowed TransportTimeout"),
        (3, 5.0, "mux.list_window_ids", "raised TransportTimeout"),
        (4, 7.0, "mux.has_session", "not asked, raised CommandRejected"),
    ]


def test_an_entry_of_the_trace_names_the_injection_and_its_rule() -> None:
    """The line explains itself."""
    setting = planned("version=1*hang")
    setting.mux.version()

    assert setting.injector.trace_text() == (
        "    1       0.000 mux.version                  version() -> swallowed TransportTimeout"
        "  !! hang (injection 1, rule version=1*hang)\n"
    )
    assert setting.injector.trace[0].layer == "mux"
    assert setting.injector.trace[0].injection is setting.injector.injections[0]


def test_an_unfinished_call_is_shown_as_such() -> None:
    """A story that broke off says where."""
    setting = planned("")
    seen: list[str] = []
    setting.clock.call_later(0, lambda: seen.append(setting.injector.trace[0].outcome))

    setting.injector.clock(setting.clock).sleep(1)

    assert [*seen, setting.injector.trace[0].outcome] == ["unfinished", "passed"]


def test_the_trace_shows_no_payload_no_path_and_no_address() -> None:
    """What a window is told to run, and where, stays out of it."""
    setting = planned("")
    setting.mux.new_window(SESSION, "w", "/home/me/project", {"TOKEN": "s3cr3t"}, "sleep 99887766")
    setting.mux.send_text("@1", "a prompt")
    with pytest.raises(CommandRejected):
        setting.mux.has_session(object())  # type: ignore[arg-type]  # the wrong type is the point
    setting.injector.disk(setting.disk).mkdir("/home/me/project")
    setting.injector.agent("die", task="/home/me/task")

    text = setting.injector.trace_text()

    assert "answered @2" in text
    for hidden in ("/home", "s3cr3t", "TOKEN", "99887766", "prompt", " at 0x"):
        assert hidden not in text


def test_entries_are_numbered_on_from_where_somebody_looked_before() -> None:
    """A trace that is looked at while it grows is numbered as one that is looked at in the end."""
    setting = planned("version=1*pass")
    setting.mux.version()
    assert [entry.number for entry in setting.injector.trace] == [1]
    setting.mux.version()
    setting.mux.has_session(SESSION)

    assert [entry.number for entry in setting.injector.trace] == [1, 2, 3]
    assert list(setting.injector.reached.items()) == [("mux.version", 2), ("mux.has_session", 1)]
