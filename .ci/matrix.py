#!/usr/bin/env python3
"""The matrix of multiplexers: what it runs over, how a release is fetched, and one cell of it on this machine.

    .ci/matrix.py plan                                 the axes, as outputs of a job of GitHub Actions
    .ci/matrix.py build-tmux 3.4 DIR                   fetch that release, prove its checksum, install it below DIR
    .ci/matrix.py fetch-psmux DIR                      the same for psmux, whose releases are programs
    .ci/matrix.py run --out DIR /opt/tmux-3.4/bin/tmux /usr/bin/tmux
                                                       certify each of these, and merge: the Linux part of the matrix
    .ci/matrix.py require FILE --backend psmux         fail if the certificate is of a double, or a check was not run
    .ci/matrix.py agree DOUBLE REAL                    fail if two certificates, or what came of two probings of psmux, differ

Needs the standard library only. `run` needs an environment with seamripper in it: --python, or the one that runs this.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

DATA: dict[str, Any] = json.loads((Path(__file__).parent / "multiplexers.json").read_text("utf-8"))

FOREIGN = ("TMUX", "TMUX_PANE", "TMUX_TMPDIR", "PSMUX_SESSION")
"""Variables that name a multiplexer which no check may touch."""

ARCHIVE_LIMIT = 64 * 1024 * 1024
FETCH_TIMEOUT_S = 120
CELL_TIMEOUT_S = 1200


Found = TypeVar("Found")


class Refused(Exception):
    """Something is not as it has to be; one line says what."""


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out the command; 1 with one line where that cannot be done or must not pass."""
    arguments = _arguments(argv)
    try:
        code: int = arguments.carry_out(arguments)
    except (Refused, OSError, subprocess.SubprocessError, zipfile.BadZipFile, tarfile.TarError) as error:
        sys.stderr.write(f"matrix: {error}\n")
        return 1
    return code


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("plan").set_defaults(carry_out=plan)
    build = commands.add_parser("build-tmux")
    build.add_argument("version", choices=sorted(DATA["tmux"]["sha256"]))
    build.add_argument("directory", type=Path)
    build.set_defaults(carry_out=build_tmux)
    fetch = commands.add_parser("fetch-psmux")
    fetch.add_argument("directory", type=Path)
    fetch.set_defaults(carry_out=fetch_psmux)
    run = commands.add_parser("run")
    run.add_argument("binaries", nargs="+", type=Path, metavar="TMUX")
    run.add_argument("--out", type=Path, required=True, help="where certificates and the page go")
    run.add_argument("--python", type=Path, default=Path(sys.executable), help="has seamripper installed")
    run.set_defaults(carry_out=run_cells)
    whole = commands.add_parser("require")
    whole.add_argument("certificate", type=Path)
    whole.add_argument("--backend", required=True)
    whole.set_defaults(carry_out=require)
    compared = commands.add_parser("agree")
    compared.add_argument("double", type=Path)
    compared.add_argument("real", type=Path)
    compared.add_argument("--up-to", type=int, default=4, metavar="LEVEL", help="leave out checks of a higher level")
    compared.set_defaults(carry_out=agree)
    return top.parse_args(argv)


def plan(arguments: argparse.Namespace) -> int:
    """Write the axes to standard output, one `name=JSON` a line."""
    axes = {"tmux": list(DATA["tmux"]["sha256"]), "python": DATA["python"], "psmux": list(DATA["psmux"]["sha256"])}
    sys.stdout.write("".join(f"{name}={json.dumps(values)}\n" for name, values in axes.items()))
    return 0


def build_tmux(arguments: argparse.Namespace) -> int:
    """Build that release and install it as DIR/bin/tmux; nothing is done where it is there already."""
    target = arguments.directory.absolute()
    if (target / "bin" / "tmux").exists():
        return 0
    archive = _fetched("tmux", arguments.version)
    with tempfile.TemporaryDirectory(prefix="tmux-build-") as scratch:
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(scratch, filter="data")
        source = Path(scratch) / f"tmux-{arguments.version}"
        for argv in (
            ["./configure", f"--prefix={target}"],
            ["make", f"-j{os.cpu_count() or 1}"],
            ["make", "install"],
        ):
            subprocess.run(argv, cwd=source, check=True, stdin=subprocess.DEVNULL)
    return 0


def fetch_psmux(arguments: argparse.Namespace) -> int:
    """Unpack the newest release that is pinned into DIR."""
    version = list(DATA["psmux"]["sha256"])[-1]
    with zipfile.ZipFile(io.BytesIO(_fetched("psmux", version))) as packed:
        packed.extractall(arguments.directory)
    programs = sorted(arguments.directory.rglob("psmux.exe"))
    if not programs:
        raise Refused(f"psmux {version}: no psmux.exe in the archive")
    sys.stdout.write(f"{programs[0].parent.absolute()}\n")
    return 0


def _fetched(name: str, version: str) -> bytes:
    """The archive of that release, once its checksum is proven."""
    url = DATA[name]["url"].format(version=version)
    with urllib.request.urlopen(url, timeout=FETCH_TIMEOUT_S) as answer:
        data: bytes = answer.read(ARCHIVE_LIMIT)
    return proven(f"{name} {version}", data, DATA[name]["sha256"][version])


def proven(what: str, data: bytes, sha256: str) -> bytes:
    """`data`, if that is its checksum. Raises `Refused`."""
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise Refused(f"{what} has SHA-256 {found}, and {sha256} was expected: nothing of it was used")
    return data


def run_cells(arguments: argparse.Namespace) -> int:
    """Certify each binary, one after the other, and merge; 1 if one does not keep its promises or gave no certificate."""
    out: Path = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    written = [certified(binary.absolute(), arguments.python, out) for binary in _distinct(arguments.binaries)]
    certificates = [str(path) for path, _ in written]
    merged = _seamripper(arguments.python, ["report", "merge", *certificates, "-o", str(out / "matrix.html")])
    return 0 if merged == 0 and all(code == 0 for _, code in written) else 1


def _distinct(binaries: Iterable[Path]) -> list[Path]:
    """Each binary once; raises `Refused` for what cannot be run."""
    found = list(dict.fromkeys(binaries))
    for binary in found:
        if not os.access(binary, os.X_OK) or binary.is_dir():
            raise Refused(f"{binary} is no program")
    return found


def certified(binary: Path, python: Path, out: Path) -> tuple[Path, int]:
    """Where the certificate of that tmux is, and the exit code of making it."""
    said = subprocess.run([binary, "-V"], capture_output=True, text=True, check=True, timeout=30, env=environment({}))
    target = out / f"{_slug(said.stdout)}-{hashlib.sha256(os.fsencode(binary)).hexdigest()[:6]}.json"
    target.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="matrix-") as first:
        (Path(first) / "tmux").symlink_to(binary)
        path = f"{first}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        sys.stdout.write(f"== {said.stdout.strip()} ({binary})\n")
        sys.stdout.flush()
        code = _seamripper(python, ["conform", "--mux", "tmux", "--json", str(target)], {"PATH": path})
    return target, code


def _slug(text: str) -> str:
    """A name for a file, of a line such as `tmux 3.3a`."""
    return re.sub(r"[^a-z0-9.]+", "-", text.strip().lower()).strip("-.")[:60] or "tmux"


def _seamripper(python: Path, words: Sequence[str], changes: Mapping[str, str] | None = None) -> int:
    argv = [str(python), "-P", "-m", "harness.cli", *words]
    try:
        return subprocess.run(argv, env=environment(changes or {}), timeout=CELL_TIMEOUT_S, check=False).returncode
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"matrix: not done after {CELL_TIMEOUT_S} s: {' '.join(words)}\n")
        return 1


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """This process's without what names a multiplexer, and with `changes`."""
    return {**{name: value for name, value in os.environ.items() if name not in FOREIGN}, **changes}


def require(arguments: argparse.Namespace) -> int:
    """0 if the certificate is of that backend itself and every one of its checks was made."""
    problems = _read_from(arguments.certificate, lambda found: list(_lacking(found, arguments.backend)))
    for problem in problems:
        sys.stderr.write(f"matrix: {arguments.certificate.name}: {problem}\n")
    return 1 if problems else 0


def agree(arguments: argparse.Namespace) -> int:
    """0 if everything came to the same with the double as with what it stands for: else the double is wrong."""
    reading = functools.partial(_outcomes, highest=arguments.up_to)
    double, real = (_read_from(path, reading) for path in (arguments.double, arguments.real))
    differing = [name for name in sorted(double.keys() | real.keys()) if double.get(name) != real.get(name)]
    for name in differing:
        there, here = real.get(name, "not checked"), double.get(name, "not checked")
        sys.stderr.write(f"matrix: {name}: {there!a:.40} on the real one, {here!a:.40} on the double\n")
    return 1 if differing else 0


def _outcomes(certificate: Mapping[str, Any], highest: int) -> dict[str, str]:
    """What came of each check up to that level, or of each divergence and the profile that all were held against."""
    results = [result for result in certificate["results"] if result.get("level", 0) <= highest]
    found = {str(result["check_id"]): str(result["outcome"]) for result in results}
    if not found:
        raise ValueError("no results")
    return found | ({"the profile": str(certificate["profile"])} if "profile" in certificate else {})


def _read_from(path: Path, reading: Callable[[Any], Found]) -> Found:
    """What `reading` finds in that certificate. Raises `Refused` for what is none."""
    try:
        return reading(json.loads(path.read_text("utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{path} is no certificate: {type(error).__name__}") from error


def _lacking(certificate: Mapping[str, Any], backend: str) -> Iterable[str]:
    subject = certificate["backend"]
    if subject["name"] != backend:
        yield f"it is about {subject['name']!a:.80}, not about {backend}"
    said = f"{subject['version']} {subject['note']}"
    if "double" in said.lower():
        yield f"it is about a stand-in: {said!a:.200}"
    results = certificate["results"]
    if not any(result["level"] >= 2 for result in results):
        yield "it has no check that needs the real program"
    yield from (f"{result['check_id']} was not run" for result in results if result["outcome"] == "not run")


if __name__ == "__main__":
    sys.exit(main())
