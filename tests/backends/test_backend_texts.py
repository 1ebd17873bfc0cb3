"""Every answer that tmux was ever seen to give, in ten versions, goes through the guard and the parsers."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from canned_tmux import RECORD, SOCKET, Answer, Outcome, canned, completed, failing, outcome, verbs

from backends.errors import TargetMissing, TransportError, TransportUnavailable
from backends.operations import OPERATIONS
from backends.processes import Liveness
from backends.server_record import ServerRecord

TEXTS = json.loads((Path(__file__).parent.parent / "data" / "tmux-texts.json").read_text("utf-8"))

ASKS: Mapping[str, tuple[str, ...]] = {
    "list-windows": ("has_session", "list_window_ids", "list_windows", "window_alive", "batch_liveness"),
    "has-session": ("has_session", "list_window_ids", "window_alive", "batch_liveness"),
    "list-sessions": ("list_sessions", "session_options"),
    "list-panes": ("window_exit", "window_pids", "send_text"),
    "display-message": ("server_identity", "current_session", "current_pane_id", "current_window_id"),
    "new-window": ("new_window", "new_parked_window"),
    "source-file": ("new_window", "new_parked_window"),
    "new-session": ("new_session",),
    "start-server": ("new_session",),
    "kill-session": ("kill_session",),
    "kill-window": ("kill_window",),
    "select-window": ("select_window",),
    "set-option": ("set_session_option", "set_window_option", "unset_window_option"),
    "show-options": ("show_window_option",),
    "pipe-pane": ("pipe_pane",),
    **dict.fromkeys(("send-keys", "load-buffer", "paste-buffer"), ("send_text",)),
    "detach-client": ("detach_client",),
    **dict.fromkeys(("switch-client", "list-clients"), ("switch_client",)),
    "-V": ("version", "available"),
}
"""The operations whose parser reads what a verb answers. Any other verb's answer is given to `has_session`."""

SPOKEN = {
    **{"has_session": "list-windows", "list_window_ids": "list-windows", "list_windows": "list-windows"},
    **{"window_alive": "list-windows", "batch_liveness": "list-windows", "list_sessions": "list-sessions"},
    **{"session_options": "list-sessions", "window_exit": "list-panes", "window_pids": "list-panes"},
    **{"server_identity": "display-message", "current_session": "display-message", "version": "-V"},
    **{"current_pane_id": "display-message", "current_window_id": "display-message", "available": "-V"},
    **{"new_window": "source-file", "new_parked_window": "source-file", "new_session": "new-session"},
    **{"kill_session": "kill-session", "kill_window": "kill-window", "select_window": "select-window"},
    **{"set_session_option": "set-option", "set_window_option": "set-option", "unset_window_option": "set-option"},
    **{"show_window_option": "show-options", "pipe_pane": "pipe-pane", "send_text": "load-buffer"},
    **{"detach_client": "detach-client", "switch_client": "switch-client"},
}
"""The verb by which each operation asks its main question; that question is answered as recorded."""

ABOUT_SESSION = ("can't find session: {}\n", "no such session: ={}:\n")
ABOUT_WINDOW = ("can't find window: {}\n", "no such window: {}\n")
ABOUT_PANE = ("can't find pane: {}\n",)
SILENT_SERVER = (f"no server running on {SOCKET}\n", "no current target\n")
NO_SOCKET = (f"error connecting to {SOCKET} (No such file or directory)\n",)
"""The allow-list of texts once more, written from tmux-versions.md, section 1, independently of the code."""


RUNS = "our server runs"
STATES: Mapping[str, tuple[ServerRecord | None, Liveness, tuple[str, ...]]] = {
    RUNS: (RECORD, Liveness.ALIVE, ()),
    "our server is gone": (RECORD, Liveness.DEAD, SILENT_SERVER + NO_SOCKET),
    "no server was ever started": (None, Liveness.ALIVE, NO_SOCKET),
}
"""What is recorded of the server, what its process does, and which texts prove absence only then."""

YES = ("has_session", "window_alive")
KILLS = ("kill_session", "kill_window")
BY_ID = ("kill_session", "new_window", "new_parked_window")
"""Operations that ask for the session's id first; what is recorded was said of sessions that have none, addressed by name."""


def arguments_for(operation: str, argv: list[str]) -> dict[str, Any]:
    """Arguments about the session and window that the recorded command was about."""
    target = argv[argv.index("-t") + 1] if "-t" in argv[:-1] else ""
    named = re.fullmatch(r"=?([A-Za-z0-9][A-Za-z0-9_-]*):?", target)
    session = named[1] if named else "S"
    window = target if re.fullmatch(r"[@%]\d+", target) else "@999"
    every = {"session": session, "name": session, "window_id": window, "target": window, "option": "@x", "value": "y"}
    every |= {"cwd": "/", "env": {"A": "1"}, "command": "true", "argv": ["true"], "return_opt": "@back", "text": "x"}
    every |= {"fields": ("window_name",), "log_file": "/dev/null"}
    return {name: every[name] for name in OPERATIONS[operation].arguments if name in every}


def answer_of(recorded: Mapping[str, Any]) -> Answer:
    """The recorded end of a client, with the canned server's values for what stands for one."""
    if recorded["rc"] is None:
        return subprocess.TimeoutExpired(["tmux"], 2.0)
    texts = [recorded[stream].replace("{socket}", SOCKET).replace("{pid}", "4242") for stream in ("stdout", "stderr")]
    return completed(recorded["rc"], texts[0].encode(), texts[1].encode())


def may_prove_absence(answer: Answer, operation: str, arguments: Mapping[str, Any], also: tuple[str, ...]) -> bool:
    """Whether the allow-list lets this answer mean that the operation's target does not exist."""
    if isinstance(answer, BaseException) or answer.status != 1 or answer.stdout:
        return False
    session = arguments.get("session") or arguments.get("name")
    target = arguments.get("window_id") or arguments.get("target")
    asked = session if "session" in OPERATIONS[operation].arguments or operation.endswith("session") else target
    if operation == "set_session_option":
        asked = session
    if operation == "send_text":
        asked = "%1"
    forms = ABOUT_PANE if str(asked).startswith("%") else ABOUT_WINDOW if str(asked).startswith("@") else ABOUT_SESSION
    about = [form.format(asked) for form in forms] if asked and operation != "new_session" else []
    return answer.stderr.decode() in {*about, *also}


def claims_absence(operation: str, came: Outcome) -> bool:
    """Whether the caller, or an observer, was told that the target does not exist."""
    if operation in KILLS:
        return came.degraded is None
    if isinstance(came.error, TargetMissing) or isinstance(came.degraded, TargetMissing):
        return True
    if came.error is not None or came.degraded is not None:
        return False
    if operation in ("has_session", "window_alive", "list_window_ids", "batch_liveness"):
        return not came.answer
    return operation == "server_identity" and came.answer is None


def cells(situation: str) -> Iterator[tuple[Answer, str, str, dict[str, Any], str]]:
    """Every answer of the situation, with each version, operation, arguments and state that it is to be tried with."""
    for recorded in TEXTS[situation]:
        verb = next(iter(verbs(recorded["argv"])), "-V")
        for operation in ASKS.get(verb, ("has_session",)):
            arguments = arguments_for(operation, recorded["argv"])
            for version in recorded["versions"].split():
                yield answer_of(recorded), version, operation, arguments, RUNS
            for state in STATES:
                yield answer_of(recorded), version, operation, arguments, state


@pytest.mark.parametrize("situation", TEXTS)
def test_only_allow_listed_texts_are_taken_for_absence(situation: str) -> None:
    """Whatever tmux answered becomes an answer, a sentinel or an error of the tree, and absence only where it is proven."""
    for answer, version, operation, arguments, state in cells(situation):
        record, server, also = STATES[state]
        absent = {"session_id": ""} if operation in BY_ID else {}
        reply = failing(SPOKEN[operation], answer, version=version, **absent)
        came = outcome(canned(reply, record=record, server=server)[0], operation, arguments)

        told = f"{operation} {arguments} of {version}, {state}: {answer} -> {came}"
        proven = may_prove_absence(answer, operation, arguments, also)
        if operation in KILLS and server is Liveness.DEAD:
            continue  # whatever was answered, a process that is gone holds no window
        assert proven or not claims_absence(operation, came), told
        assert claims_absence(operation, came) or not proven or state != RUNS, told
        assert not (operation in YES and came.answer is True), told


def test_the_recorded_answers_are_all_there() -> None:
    """A sweep over no data would pass: the number of situations is the one that was measured."""
    assert len(TEXTS) == 769
    assert sum(len(answers) for answers in TEXTS.values()) == 1399


@pytest.mark.parametrize("text", [*ABOUT_SESSION])
@pytest.mark.parametrize(
    "spoiled",
    [
        lambda line: line.removesuffix("\n"),
        lambda line: line + "one more\n",
        lambda line: line.replace("run-1", "run-10"),
        lambda line: line.replace("run-1", "run-"),
        lambda line: line.replace("run-1", "run-10").removesuffix("\n"),
        lambda line: " " + line,
        lambda line: line.upper(),
    ],
    ids=["cut off", "two lines", "longer name", "shorter name", "longer name cut off", "moved", "shouted"],
)
def test_a_line_that_is_nearly_proof_proves_nothing(text: str, spoiled: Callable[[str], str]) -> None:
    """Only the exact line about the exact target counts."""
    line = spoiled(text.format("run-1")).encode()
    came = outcome(canned(failing("list-windows", completed(1, b"", line)))[0], "has_session", {"name": "run-1"})

    assert isinstance(came.error, TransportError)


@pytest.mark.parametrize(("status", "stdout"), [(0, b""), (2, b""), (127, b""), (-9, b""), (1, b"@0\n")])
def test_the_exact_line_proves_nothing_with_another_ending(status: int, stdout: bytes) -> None:
    """Proof needs status 1 and an empty stdout besides the line."""
    answer = completed(status, stdout, b"can't find session: run-1\n")
    came = outcome(canned(failing("list-windows", answer))[0], "has_session", {"name": "run-1"})

    assert isinstance(came.error, TransportError)


def test_absence_told_by_a_server_of_another_version_is_unknown() -> None:
    """A client does not understand a server of another version, so nothing that passes between them is proof."""
    gone = completed(1, b"", b"can't find session: run-1\n")
    mux, _ = canned(failing("list-windows", gone, version="3.6b", client="3.3a"))
    came = outcome(mux, "has_session", {"name": "run-1"})

    assert type(came.error) is TransportUnavailable
    assert "3.3a" in str(came.error)
    assert "3.6b" in str(came.error)


@pytest.mark.parametrize("line", [*SILENT_SERVER[:1], *NO_SOCKET])
def test_silence_at_another_socket_proves_nothing(line: str) -> None:
    """With our server gone, its own socket must be the one that is silent."""
    answer = completed(1, b"", line.replace(SOCKET, SOCKET + "-2").encode())
    mux, _ = canned(failing("list-windows", answer), server=Liveness.DEAD)

    assert isinstance(outcome(mux, "has_session", {"name": "run-1"}).error, TransportError)
