"""What is wrong with a plan: apart from the plan itself, so that whoever tells people of it need not load that."""

from __future__ import annotations

from collections.abc import Sequence

from backends.errors import printable

__all__ = ["PlanError"]


class PlanError(ValueError):
    """A plan that cannot be carried out; `problems` holds one line for each thing that is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(printable(problem, 500).replace("\n", "\\n") for problem in problems)
        more = len(self.problems) - 1
        super().__init__(self.problems[0] + (f" (and {more} more)" if more else ""))
