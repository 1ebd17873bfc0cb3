"""The command `seamripper` as it is started: a Ctrl-C is quiet from the first moment, also while modules are loaded."""

from __future__ import annotations

import gc
import sys

EXIT_INTERRUPTED = 130

try:
    from harness.cli import main
except KeyboardInterrupt:
    sys.exit(EXIT_INTERRUPTED)


def collect_seldom() -> None:
    """Look for garbage only after tens of thousands of new objects, and never in what is loaded by now, which stays.

    What a command reads of a thousand runs has no cycles: to look through it every 700 objects takes a fifth of its time.
    """
    gc.freeze()
    gc.set_threshold(50_000)


def start() -> None:
    """Carry out this process's command line and end with its exit code."""
    collect_seldom()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    start()
