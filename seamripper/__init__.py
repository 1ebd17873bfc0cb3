"""The name that nobody else has: it makes sure that `backends`, `faults` and `harness` are the ones that lie beside it.

Our packages are plain words, and people have folders that are called so. With `python -m pytest`, or the directory on
`PYTHONPATH`, theirs would come first and ours would not be found. Once this package is imported, a package that is claimed is
ours wherever it is imported, and a module of theirs is found where ours has none of that name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

__all__ = ["HOME", "claim", "claimed"]

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The directory that our packages lie in."""

_claimed: set[str] = set()


class _Ours:
    """Finds packages that are claimed, before anybody else does."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [HOME]) if name in _claimed else None


class _Theirs:
    """Finds what nobody has found: a module in a folder on the path that is called as a package that is claimed."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, module = name.partition(".")
        if package not in _claimed or not module or "." in module:
            return None
        return PathFinder.find_spec(name, [os.path.join(place, package) for place in sys.path])


def claimed() -> frozenset[str]:
    """The names of the packages that are ours in this process."""
    return frozenset(_claimed)


def claim(*names: str) -> None:
    """Make the packages ours from now on. Where somebody else's was imported already, end the process in one line."""
    for name in names:
        there = sys.modules.get(name)
        if there is not None and HOME not in (os.path.dirname(os.path.abspath(one)) for one in there.__path__):
            sys.stderr.write(
                f"error: `{name}` was imported from {', '.join(there.__path__)}, and seamripper has a package of that name;"
                " rename yours, or leave seamripper out of this run with `-p no:harness.plugin`\n"
            )
            raise SystemExit(2)
        _claimed.add(name)


sys.meta_path.insert(0, _Ours)
sys.meta_path.append(_Theirs)
claim("backends", "faults", "harness")
