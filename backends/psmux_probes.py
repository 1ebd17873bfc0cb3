"""What shows a divergence on a living psmux, as data: clients that are run, files that are looked at, and what is expected.

A probe is read from the catalogue. Its words may hold `<scratch>` (a directory of the probe's own), `<data>` (the data
directory), `<python>` (an interpreter) and, in angle brackets, whatever an earlier step has kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

__all__ = ["GIVEN_NAMES", "Look", "Probe", "ProbeError", "Run", "Step", "filled", "parse_probe"]

GIVEN_NAMES = frozenset({"scratch", "data", "python"})
"""What can stand in angle brackets from the first step on."""

_NAME = re.compile(r"<([a-z]+)>")


class ProbeError(ValueError):
    """What was read is no probe; one line says where and why."""


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One client of psmux with the words `run`, `env` added to its environment and `stdin` as its input.

    `program` is the argv of a window, `sink` the file that what a pane prints is appended to: either becomes the last word, in
    the form that the backend gives it. It has to end with `status`, and what it writes has to match the patterns `out`
    and `err` as a whole, without the last line end. `keep` is the name of what it wrote, for the steps behind it. With
    `wait` it is run again until it comes so, for some seconds.
    """

    run: tuple[str, ...]
    env: Mapping[str, str] = {}
    stdin: str = ""
    program: tuple[str, ...] = ()
    sink: str = ""
    status: int = 0
    out: str = ".*"
    err: str = ".*"
    keep: str = ""
    wait: bool = False

    def words(self) -> Iterator[str]:
        """Every text that names may stand in."""
        yield from (*self.run, *self.env.values(), self.stdin, *self.program, self.sink, self.out, self.err)

    def patterns(self) -> Iterator[str]:
        """What is matched."""
        yield from (self.out, self.err)


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file, in which the pattern `holds` is found and `lacks` is not; one that is missing holds nothing.

    With `wait` it is looked at again until it is so, for some seconds.
    """

    file: str
    holds: str = ""
    lacks: str = ""
    wait: bool = False

    def words(self) -> Iterator[str]:
        """Every text that names may stand in."""
        yield from (self.file, *self.patterns())

    def patterns(self) -> Iterator[str]:
        """What is searched for."""
        yield from (self.holds, self.lacks)


Step = Run | Look


class Probe(msgspec.Struct, frozen=True):
    """The steps of `given` hold everywhere, then those of `shown` where the divergence is, or of `absent` where it is not."""

    given: tuple[Step, ...]
    shown: tuple[Step, ...]
    absent: tuple[Step, ...]

    def steps(self, shown: bool) -> tuple[Step, ...]:
        """All that is due where the divergence is expected, or is not."""
        return (*self.given, *(self.shown if shown else self.absent))


def parse_probe(raw: Mapping[str, object]) -> Probe:
    """The probe that a table says. Raises `ProbeError`."""
    for key in raw:
        if key not in Probe.__struct_fields__:
            raise ProbeError(f"has an unknown key {key!r:.40}: known are {', '.join(Probe.__struct_fields__)}")
    probe = Probe(*(_steps(name, raw.get(name, [])) for name in Probe.__struct_fields__))
    for part in ("shown", "absent"):
        _check_names([*(("given", step) for step in probe.given), *((part, step) for step in getattr(probe, part))])
    return probe


def _steps(part: str, raw: object) -> tuple[Step, ...]:
    if not isinstance(raw, list):
        raise ProbeError(f"{part} must be a list of steps")
    return tuple(_step(f"step {number} of {part}", one) for number, one in enumerate(raw, 1))


def _step(where: str, raw: object) -> Step:
    kinds: Mapping[str, type[Run] | type[Look]] = {"run": Run, "file": Look}
    kind = [kinds[key] for key in kinds if isinstance(raw, dict) and key in raw]
    if len(kind) != 1:
        raise ProbeError(f"{where} must be a table with either `run` or `file`")
    try:
        step = msgspec.convert(raw, kind[0])
    except msgspec.ValidationError as wrong:
        raise ProbeError(f"{where}: {wrong}") from None
    if isinstance(step, Look) and not any(step.patterns()):
        raise ProbeError(f"{where} says neither what the file holds nor what it lacks")
    for pattern in step.patterns():
        try:
            re.compile(_NAME.sub("", pattern))
        except re.error as wrong:
            raise ProbeError(f"{where}: {pattern!r:.80} is no pattern: {wrong}") from None
    return step


def _check_names(steps: Sequence[tuple[str, Step]]) -> None:
    known = set(GIVEN_NAMES)
    for part, step in steps:
        for name in (name for word in step.words() for name in _NAME.findall(word)):
            if name not in known:
                raise ProbeError(f"{part}: nothing is called <{name}> there")
        if isinstance(step, Run) and step.keep:
            known.add(step.keep)


def filled(word: str, names: Mapping[str, str]) -> str:
    """`word` with what its names stand for."""
    return _NAME.sub(lambda found: names[found[1]], word)
