"""Folders of an author that are called as our packages: which one is meant, and which of theirs is hidden."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamripper import HOME, claim, claimed

__all__ = ["look_here", "pytest_load_initial_conftests", "pytest_report_header"]

_STORIES = "scenarios"
_SHOWN = 3


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Where `--pyargs` names our scenarios, make them the ones that are found; otherwise an author's are left alone.

    It is before any `conftest.py`, which puts its own directory first on the path. One in a folder `scenarios` of the author's
    has nothing to do with ours: pytest would take the name for that folder.
    """
    known = early_config.known_args_namespace
    if known.pyargs and any(_is_ours(word) for word in known.file_or_dir):
        claim(_STORIES)
        here = str(early_config.invocation_params.dir)
        known.file_or_dir = [here if _is_ours(word) else word for word in known.file_or_dir]


def _is_ours(word: str) -> bool:
    return word.partition("::")[0].partition(".")[0] == _STORIES


def look_here(config: pytest.Config) -> None:
    """Where an option names somebody's module, have it looked for in the directory of the call as well, after all others."""
    options = (config.getoption(option) for option in ("--mux", "--mux-error", "--mux-sweep", "--sut"))
    texts = [text for given in options for text in ([given] if isinstance(given, str) else given or ())]
    here = str(config.invocation_params.dir)
    if here not in sys.path and any(":" in text for text in texts):
        sys.path.append(here)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which modules of the author's cannot be imported, because ours have their names."""
    places = dict.fromkeys((config.rootpath, config.invocation_params.dir))
    names = sorted({name for place in places for name in _hidden(place)})
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [
        f"seamripper: {', '.join(names[:_SHOWN])}{more} cannot be imported here, seamripper's are: rename yours,"
        " or have an `__init__.py` beside them and test what needs them with `-p no:harness.plugin`"
    ]


def _hidden(place: Path) -> Iterator[str]:
    """What an `import` would find in `place`, if ours were not found first."""
    for package in claimed():
        theirs, ours = place / package, Path(HOME, package)
        if not theirs.is_dir() or theirs.samefile(ours):
            continue
        init = theirs / "__init__.py"
        if init.is_file() and init.stat().st_size:
            yield f"{package}/__init__.py"
        for module in pkgutil.iter_modules([str(ours)]):
            if (theirs / f"{module.name}.py").is_file():
                yield f"{package}/{module.name}.py"
            elif (theirs / module.name / "__init__.py").is_file():
                yield f"{package}/{module.name}/"
