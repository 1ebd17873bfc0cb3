"""A double of psmux for hosts without Windows: a `psmux` and a `pwsh` to put first on PATH. They need a real tmux.

It imitates the catalogue of divergences in a profile (a version of psmux), and misbehaves on demand. What it says of its
version ends with `(double, not psmux)`: a report made with it proves the backend against what is believed of psmux, and
nothing about psmux itself.

A file `double.json` in PSMUX_DATA_DIR says what it is like: `{"profile": "3.3.8", "faults": [...]}`; without the file the
variable PSMUX_DOUBLE names the profile. A fault is `{"verb": "new-window", "does": "hang"}`, with `skip` and `times` (calls),
`text`, `seconds`, and `after` (the effect happens, the answer is lost). `FAULTS` lists what one can do. The variable
PSMUX_DOUBLE_LACKS names divergences that it does not show, so that whoever looks for them can be seen to miss them.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["BIN", "CONTROL", "FAULTS", "PROFILE_VARIABLE"]

BIN = Path(__file__).resolve().parent / "bin"
"""The directory to put first on PATH."""

CONTROL = "double.json"
"""The file in PSMUX_DATA_DIR that says what the double is like."""

PROFILE_VARIABLE = "PSMUX_DOUBLE"

FAULTS = {
    "hang": "never ends; in a profile that stalls, ends with 0 and says nothing",
    "empty": "ends with 0 and says nothing",
    "text": "ends with 1 and `text` on stderr",
    "late": "new-session: says that it failed, and the session comes after `seconds`",
    "no-id": "new-window: makes it, and answers an empty line",
    "no-port": "the session's port file is gone for `seconds` (5); the command itself finds none",
    "no-connect": "the connection times out; has-session takes the port file away for `seconds` (5)",
}
"""What a fault can do, by the word in `does`."""
