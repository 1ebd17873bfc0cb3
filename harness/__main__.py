"""The command `seamripper` as it is started: a Ctrl-C is quiet from the first moment, also while modules are loaded."""

from __future__ import annotations

import gc
import sys

EXIT_INTERRUPTED = 130

try:
    from harness.cli import main
except KeyboardInterrupt:
    sys.exit(EXIT_INTERRUPTED)


def start() -> None:
    """Carry out this process's command line and end with its exit code."""
    # What is loaded by now stays to the end: to look through it for garbage, again and again, is for nothing.
    gc.freeze()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    start()
