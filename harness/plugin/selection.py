"""What `--mux-sweep` selects: stories, and layers of them, as text and as a value."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from faults.catalog import LAYERS
from faults.errors import FaultPlanError
from faults.matrix import SWEPT, Calls, calls_of
from harness.stories import STORIES, UnknownStory, story_of

__all__ = ["DEFAULT", "DEFAULT_CALLS", "OFF", "Selected", "SelectionError", "calls_from", "selected"]

Selected = Mapping[str, tuple[str, ...]]
"""The layers to sweep of each story, by the name that the story was selected by."""

OFF = "off"
"""Selects nothing."""

DEFAULT = (f"completes:{','.join(layer for layer in SWEPT if layer != 'transport')}",)
"""What is swept where nothing is selected: little enough to be a part of every run of the scenarios.

A trial at `transport` costs twice as much as one anywhere else.
"""
DEFAULT_CALLS = "first"
"""The calls that are swept where nothing is selected."""

_CALLS = ("first", *(one.value for one in Calls))


class SelectionError(ValueError):
    """What selects nothing that could be swept; the message is one line that says why, and what to do."""


def selected(texts: Sequence[str]) -> Selected:
    """What these texts select together, each `STORY[:LAYER[,LAYER]]` with globs, or `off`.

    A story is one of `STORIES`, or `module:NAME` of somebody's own. Raises `SelectionError`.
    """
    if OFF in texts:
        if len(texts) > 1:
            raise SelectionError(f"{OFF!r} goes alone: it selects nothing")
        return {}
    found: dict[str, set[str]] = {}
    for text in texts:
        stories, layers = _stories_and_layers(text)
        if layers == "":
            raise SelectionError(f"{text!r:.80} names no layer after its last colon; leave that out for all layers")
        chosen = _layers(layers)
        for story in stories:
            found.setdefault(story, set()).update(chosen)
    return {story: tuple(layer for layer in LAYERS if layer in layers) for story, layers in found.items()}


def calls_from(text: str) -> Calls | int:
    """What `--mux-sweep-calls` says: `first`, `ends`, `every`, or how many from the first on. Raises `SelectionError`."""
    try:
        return 1 if text == "first" else calls_of(text)
    except FaultPlanError as error:
        raise SelectionError(f"{error.message}; {_instead(text, _CALLS)}, or a number") from error


def _stories_and_layers(text: str) -> tuple[Sequence[str], str | None]:
    """The names of the stories that `text` selects, and what it says of layers; `None` if it says nothing of them."""
    name, colon, layers = text.partition(":")
    matching = [story for story in STORIES if fnmatchcase(story, name)]
    if matching:
        return matching, layers if colon else None
    attribute, colon, rest = layers.partition(":")
    if not name or not attribute or set(layers.split(",")) <= set(SWEPT):
        raise SelectionError(f"unknown story {name!r:.80}; {_instead(name, STORIES)}")
    own = f"{name}:{attribute}"
    try:
        story_of(own)
    except UnknownStory as error:
        missing = isinstance(error.__cause__, ModuleNotFoundError)
        hint = "; `PYTHONPATH=.` lets a module of this directory be found" if missing else ""
        raise SelectionError(f"{error}{hint}") from error
    return [own], rest if colon else None


def _layers(text: str | None) -> Iterable[str]:
    found = set[str]()
    for name in text.split(",") if text else ("*",):
        matching = [layer for layer in SWEPT if fnmatchcase(layer, name)]
        if not matching:
            raise SelectionError(f"unknown layer {name!r:.80}; {_instead(name, SWEPT)}")
        found.update(matching)
    return found


def _instead(wrong: str, valid: Collection[str]) -> str:
    """What to say instead: the valid name that `wrong` is near to, all there are where it is near to none."""
    near = get_close_matches(wrong, sorted(valid), n=1)
    return f"the nearest valid name is {near[0]!r}" if near else f"there are {', '.join(valid)}"
