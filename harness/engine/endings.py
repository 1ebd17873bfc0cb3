"""Capture, then record: however a run ended becomes one value, and each step of recording it stands alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.engine.signals import RunStopped
from harness.record import Crashed, Ending, Stopped, describe

__all__ = ["Captured", "Isolation", "capture", "is_foreign"]


@dataclass(frozen=True, slots=True)
class Captured:
    """How something ended: its `ending`, and the exception behind it if there was one."""

    ending: Ending
    error: BaseException | None = None

    @property
    def foreign(self) -> bool:
        """Whether the exception must go on once it is recorded."""
        return self.error is not None and is_foreign(self.error)


def is_foreign(error: BaseException) -> bool:
    """Whether that is somebody else's control flow: neither a failure nor a request to stop."""
    return not isinstance(error, Exception | RunStopped | KeyboardInterrupt)


def capture(drive: Callable[[], Ending], described: Callable[[BaseException], str] = describe) -> Captured:
    """Run `drive` and turn whatever comes of it into one value; nothing escapes. `described` tells of an exception."""
    try:
        return Captured(drive())
    except RunStopped as stopped:
        return Captured(Stopped(by=stopped.by, signum=stopped.signum), stopped)
    except KeyboardInterrupt as interrupt:
        return Captured(Stopped(by="KeyboardInterrupt", signum=2), interrupt)
    except BaseException as error:
        return Captured(Crashed(error=described(error)), error)


@dataclass(slots=True)
class Isolation:
    """Runs steps that must not prevent one another; what went wrong in them is kept, as `described` tells it."""

    described: Callable[[BaseException], str] = describe
    problems: list[str] = field(default_factory=list)
    first: BaseException | None = None
    foreign: BaseException | None = None
    """The first one that is somebody else's control flow, see `is_foreign`."""

    def step(self, name: str, action: Callable[[], object]) -> bool:
        """Run `action`; whether it went through."""
        try:
            action()
        except BaseException as error:
            self.problems.append(f"{name}: {self.described(error)}")
            self.keep(error)
            return False
        return True

    def keep(self, error: BaseException) -> None:
        """Remember what came up in a step."""
        self.first = self.first or error
        if self.foreign is None and is_foreign(error):
            self.foreign = error
