"""What a window runs, and how text is typed into it: all that others choose, so none of it may stand in an argv."""

import os
import shlex
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

Words = tuple[str, ...]


def launcher(directory: Path, cwd: str | os.PathLike[str], env: Mapping[str, str], line: str) -> Words:
    """The argv of a new window that runs the shell line in `cwd`, or ends with status 126.

    It runs a script that only we can read and that removes itself. Whoever is not told whether the window came removes it
    too (`dropped`): a window that comes late runs nothing.
    """
    exports = [f"export {name}={shlex.quote(value)}\n" for name, value in env.items()]
    enter = f"cd -- {shlex.quote(os.path.abspath(cwd))} || exit 126\n"
    descriptor, path = tempfile.mkstemp(prefix="launch-", dir=directory)
    with open(descriptor, "w", encoding="utf-8") as script:
        script.write(f'rm -f -- "$0"\n{"".join(exports)}{enter}{line}\n')
    return ("/bin/sh", path)


def dropped(words: Words) -> None:
    """Let a window that may still come with that argv run nothing."""
    Path(words[-1]).unlink(missing_ok=True)


def typing(pane: str, text: str) -> tuple[tuple[Words, ...], bytes]:
    """The commands that type `text` and Enter into `pane`, and what they read from stdin."""
    buffer = f"template-{os.getpid()}-{threading.get_ident()}"
    paste = (("load-buffer", "-b", buffer, "-"), ("paste-buffer", "-p", "-r", "-d", "-b", buffer, "-t", pane))
    enter = (("copy-mode", "-q", "-t", pane), *(paste if text else ()), ("send-keys", "-t", pane, "Enter"))
    return enter, text.encode()
