"""Files of a record as a torn write, a careless copy or a stranger may leave them, and what is then read of the run."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.memory_disk import MemoryDisk
from harness.crash_images import Recording
from harness.dashboard.reader import RunView, read_run, read_runs
from harness.record import Loaded, RunStore

__all__ = ["ODD_DOCUMENTS", "Specimen", "odd_journals", "shortened", "wrong_types"]

Files = Mapping[str, bytes | None]
"""What files of the run directory are exchanged for; `None` takes one away."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """The directory of a run that was told, in which files can be exchanged for damaged ones."""

    recording: Recording

    @property
    def run_dir(self) -> str:
        """Where the run is kept."""
        return self.recording.run_dirs[0]

    def content(self, name: str) -> bytes:
        """What the file held at the end of the story."""
        return self.recording.disk.read(f"{self.run_dir}/{name}")

    def has(self, name: str) -> bool:
        """Whether there was that file at the end of the story."""
        return self.recording.disk.info(f"{self.run_dir}/{name}") is not None

    def view(self, files: Files) -> RunView:
        """The run as it is shown."""
        return read_run(self._store(files))

    def loaded(self, files: Files) -> Loaded:
        """The run as it is loaded for a resume; raises `RecordError` where it cannot be."""
        return self._store(files).load()

    def listed(self, files: Files) -> dict[str, RunView]:
        """The list of runs: this one, between two others that nothing is wrong with."""
        disk = self._disk({})
        for name in ("run-0", "run-2"):
            disk.mkdir(f"{self.recording.root}/{name}")
            for file in ("state.json", "journal.jsonl", "plan.toml"):
                disk.write(f"{self.recording.root}/{name}/{file}", self.content(file))
        self._exchange(disk, files)
        world = self.recording.world
        views = read_runs(
            disk, Path(self.recording.root), clock=world.clock, processes=world.processes, entropy=world.entropy
        )
        return {view.run_id: view for view in views}

    def _store(self, files: Files) -> RunStore:
        world = self.recording.world
        return RunStore(
            self.run_dir,
            disk=self._disk(files),
            clock=world.clock,
            entropy=world.entropy,
            processes=world.processes,
            environment={},
        )

    def _disk(self, files: Files) -> MemoryDisk:
        disk = self.recording.images.make(len(self.recording.disk.mutations))
        self._exchange(disk, files)
        return disk

    def _exchange(self, disk: MemoryDisk, files: Files) -> None:
        for name, data in files.items():
            path = f"{self.run_dir}/{name}"
            if disk.info(path) is not None:
                disk.remove(path)
            if data is not None:
                disk.write(path, data)


def shortened(data: bytes, every: int = 1) -> Iterator[bytes]:
    """Every `every`th beginning of `data`, the empty one first; and those about the end of a line."""
    ends = {number for number in range(len(data)) if data[number : number + 1] == b"\n"}
    near = {number + step for number in ends for step in (-1, 0, 1)}
    yield from (data[:size] for size in range(len(data)) if size % every == 0 or size in near)


_WRONG: tuple[Any, ...] = (None, True, -1, 0, 1.5, 10**30, "", "x", [], [1], ["x"], {}, {"x": 1}, [[]], [{}])


def wrong_types(document: Mapping[str, Any], every: int = 1) -> Iterator[tuple[str, bytes]]:
    """The document with one thing in it after another exchanged for what does not belong there; each with its path.

    Of all that there are it is every `every`th one.
    """
    for path, value in itertools.islice(itertools.product(_paths(document, ()), _WRONG), None, None, every):
        name = ".".join(map(str, path))
        yield f"{name}={value!r}", json.dumps(_with(document, path, value)).encode()


def _paths(value: Any, above: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    inner: Any = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield (*above, key)
        yield from _paths(below, (*above, key))


def _with(document: Mapping[str, Any], path: tuple[str | int, ...], value: object) -> Any:
    changed = copy.deepcopy(document)
    holder: Any = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return changed


ODD_DOCUMENTS: Mapping[str, bytes] = {
    "empty": b"",
    "object": b"{}",
    "list": b"[]",
    "null": b"null",
    "number": b"7",
    "text": b'"state"',
    "zeros": bytes(4096),
    "zeros-before": bytes(16) + b"{}",
    "bom": b"\xef\xbb\xbf{}",
    "latin": b'{"run_id": "\xe9"}',
    "surrogate": b'{"run_id": "\\ud800"}',
    "deep": b"[" * 100_000,
    "huge-number": b'{"epoch": 1' + b"0" * 5000 + b"}",
    "not-a-number": b'{"epoch": NaN}',
    "twice": b'{"run_id": "a"}{"run_id": "b"}',
    "utf-16": '{"run_id": "a"}'.encode("utf-16"),
}
"""Documents that are no state."""


def odd_journals(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The journal `data` with all its lines, and with something that does not belong there; each with what it is."""
    lines = data.splitlines(keepends=True)
    garbage = (b"garbage", b"{}", b"[]", b"\0\0\0\0", b"\xff\xfe", b'{"seq": 3}', b'{"seq":"x","epoch":1,"event":"e"}')
    yield "every line twice", b"".join(line * 2 for line in lines)
    yield "the whole twice", data * 2
    yield "without its last line break", data[:-1]
    yield "CRLF", data.replace(b"\n", b"\r\n")
    yield "empty lines", data.replace(b"\n", b"\n\n \n")
    yield "BOM", b"\xef\xbb\xbf\n" + data
    yield "zeros at the end", data + bytes(512)
    for odd in garbage:
        yield f"{odd!r} after every line", b"".join(line + odd + b"\n" for line in lines)
        yield f"{odd!r} at the end", data + odd
        yield f"{odd!r} without a line break before a line", b"".join(odd + line for line in lines)
