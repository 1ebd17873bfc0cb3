"""pidfds: of one process, never of the next one that has its pid, and none left open."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from backends.pidfd import open_pidfd, pidfd_works
from backends.processes import Liveness, ProcessIdentity, SystemProcessTable

pytestmark = pytest.mark.skipif(not pidfd_works(), reason="this kernel gives no pidfds")

TABLE = SystemProcessTable()


@pytest.fixture
def sleeper() -> Iterator[tuple[subprocess.Popen[bytes], ProcessIdentity]]:
    """A process of our own that does nothing for a minute, and who it is."""
    process = subprocess.Popen(["sleep", "60"])
    identity = TABLE.identify(process.pid)
    assert identity is not None
    yield process, identity
    process.kill()
    process.wait()


def pidfd_of(identity: ProcessIdentity) -> int | None:
    """A pidfd of exactly that process."""
    return open_pidfd(identity.pid, lambda: TABLE.liveness(identity) is Liveness.ALIVE)


def readable(fd: int, seconds: float) -> bool:
    """Whether it is, within that time."""
    return bool(select.select([fd], [], [], seconds)[0])


def test_the_descriptor_is_readable_once_the_process_has_ended(
    sleeper: tuple[subprocess.Popen[bytes], ProcessIdentity],
) -> None:
    """And not before; nobody needs to have reaped it."""
    process, identity = sleeper
    fd = pidfd_of(identity)
    assert fd is not None
    try:
        assert not readable(fd, 0)
        process.kill()
        assert readable(fd, 30)
    finally:
        os.close(fd)


def test_there_is_none_of_a_process_that_has_ended_or_that_another_has_the_pid_of(
    sleeper: tuple[subprocess.Popen[bytes], ProcessIdentity],
) -> None:
    """Nor does looking leave a descriptor open."""
    process, identity = sleeper
    before = os.listdir("/proc/self/fd")

    assert pidfd_of(replace(identity, started=identity.started - 1)) is None
    assert pidfd_of(replace(identity, boot_id="another")) is None
    assert pidfd_of(replace(identity, pid=0)) is None
    process.kill()
    process.wait()
    assert pidfd_of(identity) is None
    assert os.listdir("/proc/self/fd") == before
