"""What is wrong with a story: apart from the stories, so that whoever tells people of it need not load those."""

from __future__ import annotations

__all__ = ["StoryError"]


class StoryError(ValueError):
    """A story that cannot be told as it is written; the message names the story and says what is wrong with it."""

    def __init__(self, story: str, problem: str) -> None:
        super().__init__(f"story {story!r:.80}: {problem}")
