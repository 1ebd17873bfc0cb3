"""The tmux that stands for the user's own: it notices whoever contacts it, and leaves nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psutil
import pytest

from backends.processes import SystemProcessTable
from harness.users_tmux import UsersTmux

pytestmark = pytest.mark.live


@pytest.fixture
def users() -> Iterator[UsersTmux]:
    """A server."""
    server = UsersTmux()
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("variables", [("TMUX",), ("TMUX_TMPDIR",)])
def test_a_contact_is_counted_however_it_came_about(users: UsersTmux, variables: tuple[str, ...]) -> None:
    """By what a program inside of it is told, or by the directory that every tmux looks into; also one that is refused."""
    environment = {"PATH": os.environ["PATH"], **{name: users.environment[name] for name in variables}}
    before = users.contacts()
    for words in (("list-sessions",), ("has-session", "-t", "nobody")):
        SystemProcessTable().run(("tmux", *words), timeout_s=60, env=environment)

    assert before == users.contacts() - 2 == 0


def test_a_server_that_was_changed_is_noticed(users: UsersTmux) -> None:
    """A window that somebody opened in it fails whoever looks."""
    environment = {"PATH": os.environ["PATH"], **users.environment}
    SystemProcessTable().run(("tmux", "new-window", "-d", "cat"), timeout_s=60, env=environment)

    with pytest.raises(AssertionError, match="not as it was"):
        users.contacts()


def test_nothing_of_it_stays(users: UsersTmux) -> None:
    """Neither its process nor its directory."""
    pid = int(users.environment["TMUX"].split(",")[1])
    users.close()

    assert not os.path.exists(users.environment["TMUX_TMPDIR"])
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
