"""What reading or taking a run's record can fail with.

::

    RecordError             the record cannot be read, or says something impossible
    ├── NewerSchema             written by a newer version of this program
    └── RunLocked               somebody else drives the run
"""

from __future__ import annotations

from backends.errors import printable

__all__ = ["NewerSchema", "RecordError", "RunLocked"]


class RecordError(Exception):
    """A run's record cannot be used; the message is one line for people."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, 1000).replace("\n", " "))


class NewerSchema(RecordError):
    """The record was written by a newer version; reading it with this one could lose something."""


class RunLocked(RecordError):
    """Another engine drives the run; the message says which."""
