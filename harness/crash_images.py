"""Where a story can be cut off: a kill after any change of its disk, and a power cut there.

`record` tells a story once on a disk in memory that remembers every change. `cuts` are the ways in which it can be cut off;
a power cut takes with it any of what was not synced, or the end of a write. `harness.crash_verdicts` says what comes of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from backends.entropy import Entropy, SeededEntropy
from backends.memory_disk import CrashImages, Loss, MemoryDisk, Part
from faults.plan import FaultPlan
from harness.promises import OpenStore, Promise, Promises
from harness.record import RunStore
from harness.report import Report
from harness.runner import Stage
from harness.stories import Story
from harness.world import FakeWorld

__all__ = ["Cut", "Recording", "cuts", "kills", "record"]

EXHAUSTIVE = 8
"""Up to so many things that a power cut may lose, every subset of them is tried."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a story is cut off: after the first `changes` changes of the disk, without what is `lost`.

    `torn` names the writes of which only so many bytes arrived.
    """

    changes: int
    lost: frozenset[Loss] = frozenset()
    torn: tuple[tuple[int, int], ...] = ()

    @property
    def is_kill(self) -> bool:
        """Whether the process was killed between two changes, and the host went on."""
        return not self.lost and not self.torn

    def __str__(self) -> str:
        told = [f"{loss.number}:{loss.part.value}" for loss in sorted(self.lost, key=lambda loss: loss.number)]
        told += [f"{number}:{size} bytes" for number, size in self.torn]
        return f"after {self.changes} changes" + (f" without {', '.join(told)}" if told else "")


@dataclass(frozen=True, slots=True)
class Recording:
    """A story that was told once: its world, the report of its last run, and what was promised in all of them.

    What was on the disk before, `begun` changes, was there for long and is not lost.
    """

    story: Story
    world: FakeWorld
    report: Report
    promises: tuple[Promise, ...]
    begun: int
    root: str
    images: CrashImages

    @property
    def disk(self) -> MemoryDisk:
        """The disk that all of it was recorded on."""
        return self.world.disk

    @property
    def run_dirs(self) -> list[str]:
        """Every run that was recorded, the outer ones first."""
        return list(dict.fromkeys(promise.run_dir for promise in self.promises))

    def image(self, cut: Cut) -> MemoryDisk:
        """The disk as the next process finds it."""
        return self.images.make(cut.changes, cut.lost, dict(cut.torn))


def record(story: Story, faults: str = "", *, open_store: OpenStore = RunStore.on, seed: int = 0) -> Recording:
    """Tell `story` under `faults`, its record kept by the store that `open_store` opens; the engine's process is dead then."""
    world = FakeWorld(seed)
    promises = Promises(world.disk, open_store)
    begun = len(world.disk.mutations)
    stage = Stage(world, seed=seed)
    plan = FaultPlan.parse(faults, seed)
    report = story.tell(stage, plan, verify=False, strict=False, make=promises.engine)
    world.driver_died()
    made = sorted(promises.made, key=lambda promise: promise.begun)
    return Recording(story, world, report, tuple(made), begun, str(world.runs), CrashImages(world.disk))


def kills(recording: Recording) -> Iterator[Cut]:
    """After every change."""
    return (Cut(changes) for changes in range(recording.begun, len(recording.disk.mutations) + 1))


def cuts(recording: Recording, *, every: int = 1, seed: int = 0, thorough: bool = False) -> Iterator[Cut]:
    """Every way to cut the story off that is tried, each once: kills, at every `every`th moment, and power cuts there.

    Of what the record itself has not synced every subset is lost where there are at most `EXHAUSTIVE` things; everything is,
    and everything that others wrote. If `thorough`, single things, all but one, the oldest, the newest and random subsets of
    all there is as well. The last bytes of the newest write that was not synced may be missing.
    """
    dice = SeededEntropy(seed)
    for kill in itertools.islice(kills(recording), every // 2, None, every):
        yield kill
        losses = [loss for loss in recording.disk.unsynced(kill.changes) if loss.number >= recording.begun]
        subsets = set(_subsets(recording, losses, dice, thorough)) - {frozenset()}
        yield from (Cut(kill.changes, lost) for lost in sorted(subsets, key=_in_order))
        yield from _torn(recording, kill.changes, losses)


def _in_order(lost: Iterable[Loss]) -> list[tuple[int, str]]:
    return sorted((loss.number, loss.part.value) for loss in lost)


def _subsets(recording: Recording, losses: list[Loss], dice: Entropy, thorough: bool) -> Iterator[frozenset[Loss]]:
    own = [loss for loss in losses if _is_of_the_record(recording, loss)]
    others = frozenset(losses) - frozenset(own)
    if len(own) <= EXHAUSTIVE:
        yield from _all_subsets(own)
        yield others
        yield others | frozenset(own)
    else:
        yield from _some_subsets(own, dice)
    if thorough:
        yield from _all_subsets(losses) if len(losses) <= EXHAUSTIVE else _some_subsets(losses, dice)


def _all_subsets(losses: list[Loss]) -> Iterator[frozenset[Loss]]:
    for size in range(len(losses) + 1):
        yield from map(frozenset, itertools.combinations(losses, size))


def _some_subsets(losses: list[Loss], dice: Entropy) -> Iterator[frozenset[Loss]]:
    everything = frozenset(losses)
    for number, loss in enumerate(losses):
        yield frozenset((loss,))
        yield everything - {loss}
        yield frozenset(losses[:number])
        yield frozenset(losses[number:])
    for _ in range(8):
        bits = int(dice.token(), 16)
        yield frozenset(loss for number, loss in enumerate(losses) if bits >> number & 1)


_OF_OTHERS = ("/events/", "/tasks/", "/logs/")
"""Where agents write, and the engine writes to agents: nothing of it is part of what a status is judged by."""


def _is_of_the_record(recording: Recording, loss: Loss) -> bool:
    path = recording.disk.mutations[loss.number].path
    return path.startswith(recording.root) and not any(part in path for part in _OF_OTHERS)


def _torn(recording: Recording, changes: int, losses: list[Loss]) -> Iterator[Cut]:
    """The newest write of the record that was not synced, cut off at its beginning, on the way, and just before its end."""
    for number, part in reversed(losses):
        size = recording.disk.mutations[number].size
        if part is Part.DATA and size and _is_of_the_record(recording, Loss(number, part)):
            kept = (0, 1, 512, 4096, size // 2, size * 3 // 4, size - 2, size - 1)
            yield from (Cut(changes, torn=((number, bytes_),)) for bytes_ in sorted({n for n in kept if 0 <= n < size}))
            return
