"""What the tmux family decides by a single look: whose record counts, who was found, and what may be concluded from it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from canned_tmux import SOCKET, Answer, canned, completed, failing, healthy, outcome, spoken, verbs

from backends.errors import CommandRejected, TransportUnavailable
from backends.fake_transport import FakeTransport
from backends.operations import OPERATIONS, WindowExit
from backends.processes import Completed, Liveness
from backends.simulation import FakeServer
from backends.tmux import TmuxMultiplexer

STRANGER = {"pid": "5151", "start_time": "1767225609"}
RECORD_FILE = f"{os.path.dirname(SOCKET)}/server.json"


def with_another(listing: bytes, there: bytes, other: bytes) -> bytes:
    """A listing of one row and who wrote it, with one more row for something else."""
    row, said = listing.splitlines(keepends=True)
    return row + row.replace(there, other) + said


def test_a_record_that_cannot_be_written_is_remembered_and_written_with_the_next_answer() -> None:
    """A full disk keeps nobody from proving that the server is gone, and holds the file back only for as long."""
    mux, _ = canned(record=None)
    in_the_way = f"{RECORD_FILE}.{mux._processes.me().pid}"
    mux._disk.mkdir(f"{in_the_way}/in/the/way")
    assert mux.has_session("run-1")
    mux._disk.remove_tree(in_the_way)
    assert mux.has_session("run-1")
    assert b"4242" in mux._disk.read(RECORD_FILE)


def test_a_server_whose_record_could_not_be_written_is_proven_gone_all_the_same() -> None:
    """By whoever has met it."""
    mux, transport = canned(record=None)
    mux._disk.mkdir(f"{RECORD_FILE}.{mux._processes.me().pid}/in/the/way")
    assert mux.has_session("run-1")

    mux._processes.server = Liveness.DEAD  # type: ignore[attr-defined]  # the canned table has it
    transport.reply = lambda argv, stdin: completed(1, b"", f"no server running on {SOCKET}\n".encode())
    assert mux.has_session("run-1") is False


def test_a_session_is_made_beside_no_server_that_somebody_else_has_started_meanwhile() -> None:
    """Ours is dead and its successor cannot be reached: only the file knows of that one, and a third would be its double."""
    server = FakeServer()
    transport = FakeTransport(server)
    first, second = (
        TmuxMultiplexer(
            Path("/sim/socket"),
            transport=transport,
            clock=server.clock,
            processes=server.processes,
            disk=server.disk,
            environment={},
            prepare=server.disk.mkdir,
        )
        for _ in range(2)
    )
    first.new_session("run-1", "/")
    server.kill()
    second.new_session("run-2", "/")
    server.socket_unlinked = True

    with pytest.raises(TransportUnavailable, match="told to make its socket anew"):
        first.new_session("run-1", "/")
    assert transport.orphans == []


@pytest.mark.parametrize("name", ["kill_session", "new_window", "new_parked_window"])
def test_a_session_that_answers_by_another_name_is_not_addressed_by_its_id(name: str) -> None:
    """The server may tell of another session where the one that was meant is gone."""
    mux, transport = canned(lambda argv, stdin: healthy(argv, stdin, session_name="run-10"))

    outcome(mux, name, OPERATIONS[name].sample)
    words = [word for argv, stdin, _ in transport.calls for word in spoken(argv, stdin)]
    assert "=run-1:" in words
    assert "$0:" not in words


def test_of_two_windows_of_one_name_none_is_meant() -> None:
    """Whichever was taken, it might be the wrong one."""

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        answer = healthy(argv, stdin).stdout
        return completed(stdout=with_another(answer, b"@1", b"@2") if "list-windows" in argv else answer)

    mux, transport = canned(reply)
    came = outcome(mux, "kill_window", {"target": "=run-1:agent"})

    assert type(came.degraded) is CommandRejected
    assert "kill-window" not in {verb for argv, stdin, _ in transport.calls for verb in verbs(argv[1:], stdin)}


def test_a_window_that_another_server_has_opened_is_not_ours() -> None:
    """It has taken the place of the one that had answered before; its ids mean nothing here."""

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        return healthy(argv, stdin, **STRANGER) if stdin else healthy(argv, stdin)

    came = outcome(canned(reply)[0], "new_window", OPERATIONS["new_window"].sample)

    assert type(came.error) is TransportUnavailable
    assert "5151" in str(came.error)


def test_a_dead_window_whose_exit_is_not_known_is_asked_for_again() -> None:
    """The server may leave its process unreaped until another child of it ends, so it is given one."""
    reaped = False

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        nonlocal reaped
        reaped = reaped or "run-shell" in argv
        return healthy(argv, stdin, pane_dead="1", pane_dead_status="3" if reaped else "")

    assert canned(reply)[0].window_exit("@1") == WindowExit(code=3)


def test_a_client_of_control_mode_is_nobodys_terminal() -> None:
    """It may be a program's, or our own."""
    mux, transport = canned(lambda argv, stdin: healthy(argv, stdin, client_control_mode="1"))

    assert mux.switch_client("=run-1") is False
    assert "switch-client" not in {verb for argv, stdin, _ in transport.calls for verb in verbs(argv[1:], stdin)}


def test_a_client_of_another_server_is_left_where_it_is() -> None:
    """Not even who is attached there is asked."""
    mux, transport = canned(lambda argv, stdin: healthy(argv, stdin, **STRANGER), environment={})

    assert type(outcome(mux, "switch_client", {"target": "=run-1"}).degraded) is TransportUnavailable
    assert {verb for argv, stdin, _ in transport.calls for verb in verbs(argv[1:], stdin)} == {"display-message"}


def test_the_keeper_of_a_control_client_is_no_session_of_anybody() -> None:
    """It is there as long as its client, and nobody made it."""

    def reply(argv: tuple[str, ...], stdin: bytes) -> Answer:
        return completed(stdout=with_another(healthy(argv, stdin).stdout, b"run-1", b"_seamripper-4243-1"))

    assert canned(reply)[0].list_sessions() == ["run-1"]


@pytest.mark.parametrize("name", ["has_session", "window_alive", "list_window_ids"])
def test_a_line_that_proves_absence_proves_nothing_to_a_client_of_another_version(name: str) -> None:
    """What it says may be its own misunderstanding."""

    def reply(argv: tuple[str, ...], stdin: bytes) -> Completed:
        absent = completed(1, b"", b"can't find session: run-1\n")
        return absent if "list-windows" in argv else healthy(argv, stdin, client="3.6b", session_name="")

    came = outcome(canned(reply)[0], name, OPERATIONS[name].sample)

    assert type(came.error) is TransportUnavailable
    assert "client 3.6b" in str(came.error)


def test_of_a_session_that_is_there_no_window_is_listed() -> None:
    """What that costs does not grow with them; of one that is not there, only a listing is believed."""
    there, asked = canned()
    absent, also = canned(failing("list-windows", completed(1, b"", b"can't find session: run-1\n")))

    assert (there.has_session("run-1"), absent.has_session("run-1")) == (True, False)
    assert [verbs(argv[1:]) for argv, _, _ in asked.calls] == [["display-message"]]
    assert "list-windows" in {verb for argv, _, _ in also.calls for verb in verbs(argv[1:])}


def test_no_field_of_a_listing_is_asked_for_twice() -> None:
    """Each is work of the server for every window; they come back in the order in which the caller wants them."""
    mux, transport = canned()
    rows = mux.list_windows("run-1", ("window_name", "window_id", "window_name"))

    assert rows == [("agent", "@1", "agent")]
    assert "row\t#{window_id}\t#{window_name}" in transport.said
