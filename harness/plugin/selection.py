"""What `--mux-sweep` selects: stories, and layers of them, as text and as a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from faults.catalog import LAYERS
from faults.errors import FaultPlanError, nearest_name
from faults.matrix import SWEPT, Calls, calls_of
from harness.record import describe
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


class SelectionError(ValueError):
    """Text that selects nothing; the message says why, and the nearest valid name."""


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
        chosen = _layers(layers)
        for story in stories:
            found.setdefault(story, set()).update(chosen)
    return {story: tuple(layer for layer in LAYERS if layer in layers) for story, layers in found.items()}


def calls_from(text: str) -> Calls | int:
    """What `--mux-sweep-calls` says: `first`, `ends`, `every`, or how many from the first on. Raises `SelectionError`."""
    try:
        return 1 if text == "first" else calls_of(text)
    except FaultPlanError as error:
        raise SelectionError(str(error)) from error


def _stories_and_layers(text: str) -> tuple[Sequence[str], str]:
    """The names of the stories that `text` selects, and what it says of layers."""
    name, _, layers = text.partition(":")
    matching = [story for story in STORIES if fnmatchcase(story, name)]
    if matching:
        return matching, layers
    attribute, _, rest = layers.partition(":")
    if not attribute or set(layers.split(",")) <= set(SWEPT):
        raise SelectionError(f"unknown story {name!r:.80}; the nearest valid name is {nearest_name(name, STORIES)!r}")
    own = f"{name}:{attribute}"
    try:
        story_of(own)
    except UnknownStory as error:
        raise SelectionError(str(error)) from error
    except (Exception, SystemExit) as error:
        raise SelectionError(f"{own!r:.80} cannot be imported: {describe(error)}") from error
    return [own], rest


def _layers(text: str) -> Iterable[str]:
    found = set[str]()
    for name in text.split(",") if text else ("*",):
        matching = [layer for layer in SWEPT if fnmatchcase(layer, name)]
        if not matching:
            raise SelectionError(f"unknown layer {name!r:.80}; the nearest valid name is {nearest_name(name, SWEPT)!r}")
        found.update(matching)
    return found
