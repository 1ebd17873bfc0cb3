"""What the record of a run has acknowledged, and when: what every later image of the disk has to hold.

The engine is given a record that notes, for each call that makes something durable, after how many changes of the disk it
began and after how many it returned. From then on the promise stands; in between it may or may not be kept already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from backends.memory_disk import MemoryDisk
from harness.engine.core import Surroundings
from harness.engine.engine import Engine
from harness.engine.plan import RunPlan
from harness.record import (
    CrashContext,
    Crashed,
    CrashFiling,
    Ending,
    Event,
    Journal,
    JournalReading,
    RunLock,
    RunState,
    RunStore,
)
from harness.record.plain import encode
from harness.record.replay import ending_of
from harness.record.state import decode_state, encode_state

__all__ = ["OpenStore", "Promise", "Promises"]

_T = TypeVar("_T")

OpenStore = Callable[..., RunStore]
"""Opens the record in a run directory, as `RunStore.on` does."""


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that the record in `run_dir` was asked to keep.

    `content` is the line, the state, or what became of the crash record; `None` for the lock. `begun` and `given` count the
    changes of the disk before the call and when it returned; `given` is `None` where it never did.
    """

    run_dir: str
    content: Event | RunState | CrashFiling | None
    epoch: int
    begun: int
    given: int | None
    ending: Ending | None = None

    def stands(self, changes: int) -> bool:
        """Whether it was acknowledged within the first `changes` changes of the disk."""
        return self.given is not None and self.given <= changes

    def is_open(self, changes: int) -> bool:
        """Whether it was begun by then and not acknowledged: it may be kept, and need not be."""
        return self.begun < changes and not self.stands(changes)


class Promises:
    """Everything that was promised on `disk`, in the order in which the calls were over."""

    def __init__(self, disk: MemoryDisk, open_store: OpenStore = RunStore.on) -> None:
        self._disk = disk
        self._open_store = open_store
        self.made: list[Promise] = []

    def engine(self, plan: RunPlan, run_dir: Path, outside: Surroundings, **options: Any) -> Engine:
        """An engine whose record is watched; for `make` of `Stage.run`."""
        given = {field.name: getattr(outside, field.name) for field in fields(Surroundings)}
        return Engine(plan, run_dir, _Watched(**given, open_store=self._open, promises=self), **options)

    def _open(self, outside: Surroundings, run_dir: Path) -> RunStore:
        return self._open_store(outside, run_dir, stderr=outside.stderr, environment=outside.environment)

    def watch(self, act: Callable[[], _T], tell: Callable[[int, int | None], Promise]) -> _T:
        """What `act` answers; `tell` makes the promise out of when it began and when it returned."""
        begun, given = len(self._disk.mutations), None
        try:
            answer = act()
            given = len(self._disk.mutations)
            return answer
        finally:
            self.made.append(tell(begun, given))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watched(Surroundings):
    """Surroundings whose records are watched."""

    open_store: Callable[[Surroundings, Path], RunStore]
    promises: Promises

    def store(self, run_dir: Path) -> RunStore:
        """See `Surroundings.store`."""
        inner = self.open_store(self, run_dir)
        inner.journal = _WatchedJournal(inner.journal, str(run_dir), self.promises)
        return cast(RunStore, _WatchedStore(inner, str(run_dir), self.promises))


class _WatchedStore:
    """A store that notes what it was asked to keep; everything else goes straight through."""

    def __init__(self, inner: RunStore, run_dir: str, promises: Promises) -> None:
        self._inner = inner
        self._run_dir = run_dir
        self._promises = promises

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create(self, state: RunState, plan_text: str) -> None:
        """See `RunStore.create`."""
        self._promises.watch(lambda: self._inner.create(state, plan_text), lambda *when: self._of_state(state, *when))

    def save(self, state: RunState) -> None:
        """See `RunStore.save`."""
        self._promises.watch(lambda: self._inner.save(state), lambda *when: self._of_state(state, *when))

    def _of_state(self, state: RunState, begun: int, given: int | None) -> Promise:
        kept = decode_state(encode_state(state))
        return Promise(self._run_dir, kept, kept.epoch, begun, given, kept.ending)

    def lock(self, epoch: int = 0) -> RunLock:
        """See `RunStore.lock`."""
        return self._promises.watch(
            lambda: self._inner.lock(epoch), lambda begun, given: Promise(self._run_dir, None, epoch, begun, given)
        )

    def file_crash(
        self,
        exc: BaseException,
        state: RunState | None,
        context: CrashContext | Mapping[str, Any] | None = None,
        child: str | None = None,
    ) -> CrashFiling:
        """See `RunStore.file_crash`."""
        filed: list[CrashFiling] = []

        def file() -> CrashFiling:
            filed.append(self._inner.file_crash(exc, state, context, child))
            return filed[0]

        def tell(begun: int, given: int | None) -> Promise:
            epoch = self._inner.journal.epoch if state is None else state.epoch
            filing = filed[0] if filed else None
            ending = Crashed(self._inner.describe(exc) if filing is None else filing.error)
            landed = filing is not None and bool({"json", "text", "journal"} & set(filing.landed))
            return Promise(self._run_dir, filing, epoch, begun, given if landed else None, ending)

        return self._promises.watch(file, tell)


class _WatchedJournal(Journal):
    """A journal that notes each line that it was given."""

    def __init__(self, inner: Journal, run_dir: str, promises: Promises) -> None:
        self._inner = inner
        self._run_dir = run_dir
        self._promises = promises

    @property
    def epoch(self) -> int:
        """See `Journal`."""
        return self._inner.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._inner.epoch = epoch

    @property
    def path(self) -> str:
        """See `Journal.path`."""
        return self._inner.path

    @property
    def seq(self) -> int:
        """See `Journal.seq`."""
        return self._inner.seq

    def at_least(self, seq: int) -> None:
        """See `Journal.at_least`."""
        self._inner.at_least(seq)

    def open(self) -> JournalReading | None:
        """See `Journal.open`."""
        return self._inner.open()

    def append(self, event: str, /, *, durable: bool = True, **fields: object) -> int:
        """See `Journal.append`."""

        def tell(begun: int, given: int | None) -> Promise:
            line: Event = msgspec.json.decode(encode({"event": event, **fields}))
            line |= {"seq": self.seq, "epoch": self.epoch}
            return Promise(self._run_dir, line, self.epoch, begun, given if durable else None, ending_of(line))

        return self._promises.watch(lambda: self._inner.append(event, durable=durable, **fields), tell)

    def tail(self, count: int = 50) -> list[Event]:
        """See `Journal.tail`."""
        return self._inner.tail(count)
