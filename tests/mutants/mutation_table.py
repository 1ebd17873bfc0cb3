"""What `make mutants` mutates, and what came of it.

::

    python tests/mutants/mutation_table.py names [MODULE ...]   the patterns that mutmut is to run
    python tests/mutants/mutation_table.py table [MODULE ...]   the table of a run that is over, and its new survivors

A module is named in full or by its last part. Exit status: 0 if enough mutants were killed, 1 if not, 2 for an error.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

__all__ = [
    "LEAST",
    "SUBJECTS",
    "Mutant",
    "Outcome",
    "RunError",
    "Subject",
    "changed",
    "listed",
    "main",
    "read",
    "table",
]

LEAST = 0.9
"""The share of all mutants that has to be killed; what timed out or broke down was not."""

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Subject:
    """A module that is mutated: as a whole, or only those of its functions (`Class.method`)."""

    module: str
    functions: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Its file, from the project's directory."""
        return self.module.replace(".", "/") + ".py"

    @property
    def patterns(self) -> tuple[str, ...]:
        """The names of its mutants, as mutmut takes them."""
        names = [f"{_mangled(function)}__mutmut_*" for function in self.functions] or ["*"]
        return tuple(f"{self.module}.{name}" for name in names)

    def has(self, function: str) -> bool:
        """Whether a mutant of that function counts."""
        return not self.functions or function in self.functions


ENDING_PATH = (
    *("Engine._refuse", "Engine._record", "Engine._record_crash", "Engine._file", "Engine._child_record"),
    *("Engine._crash_context", "Engine._tear_down", "Engine._summarize", "Engine._release", "Engine._windows"),
    *("Engine._attempts", "_lines"),
)
RECORD = tuple(sorted(path.stem for path in (ROOT / "harness" / "record").glob("[!_]*.py")))
SUBJECTS = (
    Subject("backends.guard"),
    *(Subject(f"harness.engine.{name}") for name in ("decide", "endings", "states", "summary", "teardown")),
    Subject("harness.engine.engine", ENDING_PATH),
    *(Subject(f"harness.record.{name}") for name in RECORD),
)
"""The guard, the decision, the engine's ending path and the whole record."""


class RunError(Exception):
    """There is nothing to make a table of; the message says what to do."""


class Outcome(StrEnum):
    """What came of a mutant. One that no test ran has survived."""

    KILLED = "killed"
    SURVIVED = "survived"
    TIMED_OUT = "timed out"
    BROKEN = "broken"
    NOT_RUN = "not run"


_OUTCOMES: dict[int | None, Outcome] = {
    **dict.fromkeys((1, 3), Outcome.KILLED),
    **dict.fromkeys((0, 5, 33), Outcome.SURVIVED),
    **dict.fromkeys((-24, 24, 36, 152, 255), Outcome.TIMED_OUT),
    None: Outcome.NOT_RUN,
}
"""By the exit status that mutmut keeps: pytest's own, or that of a process that was ended for taking too long."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change to one function, `Class.method` of a module, and what came of it; `change` is `before => after`."""

    module: str
    function: str
    outcome: Outcome
    change: str

    def __str__(self) -> str:
        return f"{self.module}.{self.function}: {self.change}"


class _Meta(msgspec.Struct):
    exit_code_by_key: dict[str, int | None]


class _Spans(msgspec.Struct):
    spans: dict[str, tuple[int, int]]


def read(subject: Subject, root: Path) -> list[Mutant]:
    """The mutants of that module in the directory that mutmut has left in `root`; `RunError` if they are not there."""
    base = root / "mutants" / subject.path
    try:
        meta = msgspec.json.decode(Path(f"{base}.meta").read_bytes(), type=_Meta)
        spans = msgspec.json.decode(Path(f"{base}.spans").read_bytes(), type=_Spans).spans
        lines = base.read_text("utf-8").splitlines()
    except FileNotFoundError as error:
        raise RunError(f"{subject.module} was not mutated: run `make mutants`") from error
    except (OSError, msgspec.DecodeError, UnicodeError) as error:
        raise RunError(f"what was mutated of {subject.module} cannot be read ({error}): run `make mutants`") from error
    found = []
    for key, status in meta.exit_code_by_key.items():
        name = key.rpartition(".")[2]
        mangled = name.partition("__mutmut_")[0]
        function = _plain(mangled)
        if subject.has(function):
            before, after = (_source(one, spans, lines) for one in (f"{mangled}__mutmut_orig", name))
            outcome = _OUTCOMES.get(status, Outcome.BROKEN)
            found.append(Mutant(subject.module, function, outcome, changed(before, after)))
    return found


def _mangled(function: str) -> str:
    """The name that mutmut gives to the copies of that function."""
    owner, dot, name = function.rpartition(".")
    return f"xǁ{owner}ǁ{name}" if dot else f"x_{name}"


def _plain(mangled: str) -> str:
    return mangled[2:].replace("ǁ", ".") if mangled.startswith(("x_", "xǁ")) else mangled


def _source(name: str, spans: Mapping[str, tuple[int, int]], lines: Sequence[str]) -> list[str]:
    """The lines of one copy of a function, under the name that it had."""
    first, last = spans.get(name, (1, 0))
    return [line.replace(name, "").strip() for line in lines[first - 1 : last]]


def changed(before: Sequence[str], after: Sequence[str]) -> str:
    """The lines that differ, as `before => after`."""
    gone, come = [], []
    for mark, text in ((line[:2], line[2:]) for line in difflib.ndiff(before, after)):
        if mark == "- ":
            gone.append(text)
        elif mark == "+ ":
            come.append(text)
    return f"{' '.join(gone)} => {' '.join(come)}"


def listed(document: str) -> set[str]:
    """The survivors that a document names: the lines of its blocks that are marked `mutants`."""
    blocks = re.findall(r"^```mutants\n(.*?)^```$", document, re.MULTILINE | re.DOTALL)
    return {line.strip() for block in blocks for line in block.splitlines() if line.strip()}


def table(mutants: Iterable[Mutant]) -> str:
    """A row for each module and one for all of them."""
    counts: dict[str, Counter[Outcome]] = {}
    for mutant in mutants:
        counts.setdefault(mutant.module, Counter())[mutant.outcome] += 1
    counts["all"] = sum(counts.values(), Counter())
    rows = [["module", "mutants", *(outcome.value for outcome in Outcome), "ratio"]]
    for module, count in counts.items():
        share = f"{_ratio(count) * 100:.1f} %"
        rows.append([module, str(count.total()), *(str(count[outcome]) for outcome in Outcome), share])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first = widths.pop(0)
    return "\n".join(
        "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], widths, strict=True))])
        for row in rows
    )


def _ratio(count: Counter[Outcome]) -> float:
    return count[Outcome.KILLED] / count.total() if count else 0.0


def report(mutants: Sequence[Mutant], known: set[str]) -> tuple[str, bool]:
    """What there is to say of a run, and whether it was good enough."""
    lines = [table(mutants)]
    count = Counter(mutant.outcome for mutant in mutants)
    survivors = [str(mutant) for mutant in mutants if mutant.outcome is Outcome.SURVIVED]
    new = [survivor for survivor in survivors if survivor not in known]
    if new:
        lines += ["", f"{len(new)} survivors that docs/mutants.md does not name:", *new]
    good = _ratio(count) >= LEAST and not count[Outcome.NOT_RUN]
    if count[Outcome.NOT_RUN]:
        lines += ["", f"FAILED: {count[Outcome.NOT_RUN]} mutants were not run; the run was cut off"]
    elif not good:
        lines += ["", f"FAILED: less than {LEAST:.0%} of the mutants were killed"]
    return "\n".join(lines), good


def chosen(names: Sequence[str]) -> list[Subject]:
    """The subjects of those names, all of them if there are none; `RunError` for one that is not there."""
    for name in names:
        if not any(name in (subject.module, subject.module.rpartition(".")[2]) for subject in SUBJECTS):
            known = [subject.module.rpartition(".")[2] for subject in SUBJECTS]
            near = difflib.get_close_matches(name.rpartition(".")[2], known, 1) or known
            raise RunError(f"nothing that is mutated is called {name!r}: did you mean {' or '.join(near)}?")
    return [
        subject
        for subject in SUBJECTS
        if not names or subject.module in names or subject.module.rpartition(".")[2] in names
    ]


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="mutation_table.py", description="What `make mutants` mutates, and its table."
    )
    parser.add_argument("what", choices=["names", "table"])
    parser.add_argument("module", nargs="*", help="only this one: backends.guard, or guard")
    options = parser.parse_args(arguments)
    try:
        subjects = chosen(options.module)
        if options.what == "names":
            text, good = " ".join(pattern for subject in subjects for pattern in subject.patterns), True
        else:
            document = root / "docs" / "mutants.md"
            known = listed(document.read_text("utf-8")) if document.is_file() else set[str]()
            text, good = report([mutant for subject in subjects for mutant in read(subject, root)], known)
    except RunError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{text}\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
