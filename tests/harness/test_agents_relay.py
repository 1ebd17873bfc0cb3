"""The hook relay: one hook call in, one event file out, and never a failure of its caller."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backends.disk import RealDisk
from backends.processes import Completed, SystemProcessTable
from harness import relay
from harness.command_profile import relay_argv
from harness.engine.events import SIZE_LIMIT, Event, EventKind, EventReader


def environment(directory: Path, **changes: str) -> dict[str, str]:
    """What the window of an agent says."""
    return {"SEAMRIPPER_TOKEN": "t", "SEAMRIPPER_TASK": "a", "SEAMRIPPER_EVENTS": str(directory), **changes}


def call(arguments: list[str], environ: Mapping[str, str], stdin: bytes = b"") -> Completed:
    """Run the relay as a hook does."""
    argv = [*relay_argv("")[:-1], *arguments]
    return SystemProcessTable().run(argv, timeout_s=60, stdin=stdin, env=environ)


def events_in(directory: Path) -> list[Event]:
    """What the engine reads there; nothing may be unreadable."""
    events, notes = EventReader(RealDisk(), directory).poll()
    assert notes == []
    return events


@pytest.mark.live
def test_a_hook_call_becomes_an_event(tmp_path: Path) -> None:
    """Identity comes from the environment, the rest from the payload; the file is nobody else's to read."""
    payload = {"session_id": "s", "transcript_path": "/t.jsonl", "background_tasks": [{"id": 1}], "é": "🦊\ud800"}
    done = call(["Stop"], environment(tmp_path), json.dumps(payload).encode())

    assert (done.status, done.stdout, done.stderr) == (0, b"", b"")
    assert events_in(tmp_path) == [Event(1, EventKind.STOP, "t", "a", "s", "/t.jsonl", payload)]
    assert [path.name for path in tmp_path.iterdir()] == ["00000001.json"]
    assert stat.S_IMODE((tmp_path / "00000001.json").stat().st_mode) == 0o600


@pytest.mark.live
@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONHOME"])
def test_what_a_repository_tells_its_own_interpreter_is_not_for_the_relay(tmp_path: Path, name: str) -> None:
    """Its modules may have the names of those that the relay needs."""
    theirs = tmp_path / "theirs"
    for module in ("json", "re", "select"):
        (theirs / module).mkdir(parents=True)
        (theirs / module / "__init__.py").write_text("raise SystemExit(3)")
    (tmp_path / "events").mkdir()

    done = call(["Stop"], environment(tmp_path / "events", **{name: str(theirs)}))

    assert (done.status, done.stderr) == (0, b"")
    assert [event.kind for event in events_in(tmp_path / "events")] == [EventKind.STOP]


@pytest.mark.live
@pytest.mark.parametrize(
    ("arguments", "changes", "said"),
    [
        ([], {}, b"usage"),
        (["Stopp"], {}, b"unknown event"),
        (["Stop"], {"SEAMRIPPER_TOKEN": ""}, b"SEAMRIPPER_TOKEN is not set"),
        (["Stop"], {"SEAMRIPPER_EVENTS": ""}, b"SEAMRIPPER_EVENTS is not set"),
        (["Stop"], {"SEAMRIPPER_EVENTS": "/nowhere/at/all"}, b"No such file"),
    ],
)
def test_a_call_that_cannot_be_relayed_does_not_fail_its_caller(
    tmp_path: Path, arguments: list[str], changes: dict[str, str], said: bytes
) -> None:
    """The agent's turn must not suffer from us: the status is 0, the reason stands on standard error."""
    done = call(arguments, environment(tmp_path, **changes), b"{}")

    assert done.status == 0
    assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.live
def test_the_relay_ignores_the_packages_of_the_place_it_runs_in(tmp_path: Path) -> None:
    """An agent's own repository may have modules of any name."""
    (tmp_path / "json.py").write_text("raise SystemExit(9)", "utf-8")
    (tmp_path / "events").mkdir()
    argv = [sys.executable, "-P", "-S", str(Path(relay.__file__).resolve()), "Prompt"]
    done = SystemProcessTable().run(argv, timeout_s=60, cwd=tmp_path, env=environment(tmp_path / "events"))

    assert done.status == 0
    assert [event.kind for event in events_in(tmp_path / "events")] == [EventKind.PROMPT]


@pytest.mark.parametrize("garbage", [b"\xff\xfe", b"{", b"[1]", b"null", b"[" * 100_000, b"9" * 9000, b"\0" * 40])
def test_a_payload_that_cannot_be_read_loses_no_event(tmp_path: Path, garbage: bytes) -> None:
    """What happened counts more than what was said about it."""
    file = tmp_path / "stdin"
    file.write_bytes(garbage)
    with file.open("rb") as stdin:
        payload = relay.read_payload(stdin.fileno())

    assert list(payload) == ["unreadable"]


def test_a_payload_without_end_is_cut_off(tmp_path: Path) -> None:
    """A caller that writes for ever is read up to the limit, and no further."""
    file = tmp_path / "stdin"
    file.touch()
    os.truncate(file, 100 * relay.PAYLOAD_LIMIT)
    with file.open("rb") as stdin:
        assert relay.read_payload(stdin.fileno()) == {"unreadable": f"longer than {relay.PAYLOAD_LIMIT} bytes"}
        assert os.lseek(stdin.fileno(), 0, os.SEEK_CUR) < 2 * relay.PAYLOAD_LIMIT


def test_no_payload_is_an_empty_one() -> None:
    """Some hooks say nothing."""
    with Path("/dev/null").open("rb") as nothing:
        assert relay.read_payload(nothing.fileno()) == {}
    assert relay.read_payload(10_000) == {}


@pytest.mark.parametrize(
    "payload",
    [
        {"last_assistant_message": "\x00" * 1_000_000, "background_tasks": ["x" * 100_000], "session_crons": []},
        {f"key-{n}-{'k' * 500}": ["v" * 3000] for n in range(3000)},
        {"session_id": "s" * 100_000, "transcript_path": 7},
    ],
)
def test_an_outsized_payload_is_shortened_until_the_engine_reads_it(tmp_path: Path, payload: dict[str, object]) -> None:
    """Long values go, what decides stays: an empty list stays empty, another does not become one."""
    relay.publish("Stop", environment(tmp_path), payload)
    event = events_in(tmp_path)[0]

    assert (tmp_path / "00000001.json").stat().st_size < SIZE_LIMIT
    assert event.background is bool(payload.get("background_tasks"))


def test_planted_numbers_do_not_stop_the_count(tmp_path: Path) -> None:
    """Whatever lies in the directory, the next event gets a number that is free, and larger than the last one's."""
    for name in ("99999999.json", "00000003.json"):
        (tmp_path / name).mkdir()
    (tmp_path / "x.json").write_bytes(b"")

    assert [relay.publish("Prompt", environment(tmp_path), {}) for _ in range(3)] == [4, 5, 6]


def test_the_count_goes_on_where_events_were_taken_in(tmp_path: Path) -> None:
    """What the engine has moved out of the way has had its number."""
    call(["Stop"], environment(tmp_path))
    call(["Stop"], environment(tmp_path))
    EventReader(RealDisk(), tmp_path, moves=True).poll()

    call(["Prompt"], environment(tmp_path))

    assert [event.seq for event in events_in(tmp_path)] == [3]


def test_relays_at_the_same_time_each_get_a_number(tmp_path: Path) -> None:
    """An event is never overwritten by another one."""
    with ThreadPoolExecutor(8) as pool:
        seqs = list(pool.map(lambda n: relay.publish("Prompt", environment(tmp_path), {"n": n}), range(60)))

    assert sorted(seqs) == list(range(1, 61))
    assert sorted(event.payload["n"] for event in events_in(tmp_path)) == list(range(60))


@pytest.mark.live
def test_that_an_agent_goes_on_is_told_only_after_it_waited(tmp_path: Path) -> None:
    """Every use of a tool calls the relay; a run must not fill up with events that nobody needs."""
    for event in ("Working", "Waiting", "Working", "Working", "Stop"):
        assert call([event], environment(tmp_path)).stderr == b""

    kinds = [event.kind for event in events_in(tmp_path)]
    assert kinds == [EventKind.WAITING, EventKind.WORKING, EventKind.STOP]


@pytest.mark.live
def test_one_agent_s_waiting_is_not_ended_by_another(tmp_path: Path) -> None:
    """Sessions of one run share a directory; a token of any shape stays a name in it."""
    for event, token in (("Waiting", "a"), ("Working", "b"), ("Waiting", "../b"), ("Working", "../b")):
        assert call([event], environment(tmp_path, SEAMRIPPER_TOKEN=token)).stderr == b""

    assert [event.token for event in events_in(tmp_path)] == ["a", "../b", "../b"]
