"""The command `seamripper`, also as `python -m seamripper`."""

from __future__ import annotations

from harness.__main__ import start

__all__ = ["start"]

if __name__ == "__main__":
    start()
