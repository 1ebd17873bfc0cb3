"""What stands on PATH instead of the binary that a backend runs: whoever cannot be broken from the inside is broken so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.conformance.bench import Bench, CannotCheck
from harness.conformance.places import ForeignWorld, on_path

__all__ = ["ending", "real_binary", "replaced", "starts"]


@contextmanager
def replaced(
    world: ForeignWorld,
    binary: str,
    script: Callable[[Path], bytes | None],
    *,
    runs: bool = True,
    alone: bool = False,
) -> Iterator[Path]:
    """Within, what `script` makes of the path of a log is first on PATH as `binary`; answers that path.

    `runs` is whether it may be executed, `alone` whether nothing else is on PATH then.
    """
    place = world.base / f"bin{len(world.disk.listdir(world.base))}"
    world.disk.mkdir(place)
    log, path = place / "log", os.environ.get("PATH", os.defpath)
    text = script(log)
    if text is not None:
        world.disk.write(place / binary, text)
        if runs:
            world.processes.run(("chmod", "700", str(place / binary)), timeout_s=10)
    os.environ["PATH"] = str(place) if alone else f"{place}{os.pathsep}{path}"
    try:
        yield log
    finally:
        os.environ["PATH"] = path


def ending(log: Path, status: int, stdout: bytes = b"", stderr: bytes = b"") -> bytes:
    """A script that writes its pid down in the log, prints that, and ends with that status."""
    lines = (
        "#!/bin/sh",
        f"echo $$ >> '{log}'",
        f"printf '{_octal(stdout)}'",
        f"printf '{_octal(stderr)}' >&2",
        f"exit {status}",
    )
    return "\n".join(lines).encode() + b"\n"


def _octal(data: bytes) -> str:
    return "".join(f"\\{byte:03o}" for byte in data)


def starts(world: ForeignWorld, log: Path) -> int:
    """How often the script was started that keeps this log."""
    return world.disk.read(log).count(b"\n") if world.disk.info(log) is not None else 0


def real_binary(bench: Bench) -> str:
    """Where the binary is that a backend of this bench runs. Raises `CannotCheck` where it cannot be found."""
    found = on_path(str(bench.spec.binary))
    if found is None:
        raise CannotCheck(f"{bench.spec.binary} is not on PATH")
    return found
