"""What is written where the encoding has no place for our signs: a plain one for each, and an escape for anything else."""

from __future__ import annotations

import codecs
from collections.abc import Mapping

__all__ = ["PLAIN", "PLAIN_SIGNS"]

PLAIN = "seamripper.plain"
"""The name of that way to encode, as the `errors` of a stream."""

PLAIN_SIGNS: Mapping[str, str] = {
    "✔": "+",
    "✖": "x",
    "⚠": "!",
    "▶": ">",
    "■": "#",
    "‖": "=",
    "↯": "~",
    "◌": "o",
    "»": ">",
    "·": ".",
    "…": "~",
}
"""One character for one character, so that columns stay columns; the word beside it says what it means."""


def _written(error: UnicodeError) -> tuple[str, int]:
    """See `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN_SIGNS.get(one) or ascii(one)[1:-1] for one in lacking), error.end


codecs.register_error(PLAIN, _written)
