"""What shall be done once this process is gone, however it went: by whatever signal, without a word, at any moment."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence

__all__ = ["LastWill"]


class LastWill:
    """Runs `argv` when this process has ended, unless that was called off before.

    A shell waits for a word through a pipe whose other end only this process has: the kernel closes that with the process. On a
    host without `/bin/sh` nothing is run.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Have the shell wait, out of reach of this process's terminal. Raises `OSError` where it cannot be started."""
        self._shell: subprocess.Popen[bytes] | None = None
        if os.path.exists("/bin/sh"):
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", 'read -r word || exec "$@"', "sh", *argv],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=dict(env),
                start_new_session=True,
            )

    def call_off(self) -> None:
        """Run nothing any more; harmless twice."""
        shell, self._shell = self._shell, None
        if shell is not None:
            with contextlib.suppress(BrokenPipeError):
                shell.communicate(b"over\n")
