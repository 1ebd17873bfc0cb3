"""Draws the pictures of the dashboard in docs/images from made-up runs.

python tests/dashboard/screenshots.py docs/images
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from made_up_runs import MadeUpRuns

from harness.dashboard.app import Dashboard
from harness.dashboard.panes import Outcome

__all__ = ["PICTURES", "dashboard", "main", "picture"]

PICTURES = {
    "dashboard": ((120, 28), ("down",)),
    "dashboard-crashed": ((80, 24), ()),
}
"""For each picture the size of its terminal, and the keys that are pressed before it is taken."""

_FOREIGN = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Fonts that a picture would fetch from elsewhere."""


def dashboard(runs: MadeUpRuns) -> Dashboard:
    """The dashboard of those runs; its commands do nothing."""
    nothing = Outcome(True, "")
    return Dashboard(
        runs.observer().look, root=runs.root, launch=lambda verb, view: nothing, attach=lambda view: nothing
    )


async def picture(app: Dashboard, size: tuple[int, int], keys: Sequence[str]) -> str:
    """The screen as SVG, once it has settled after those keys."""
    async with app.run_test(size=size) as pilot:
        for key in ("", *keys):
            await pilot.press(*[key] if key else [])
            await app.workers.wait_for_complete()
            await pilot.pause()
        return _FOREIGN.sub("", app.export_screenshot(title="seamripper tui"))


def main(directory: str) -> None:
    """Draw them all."""
    for name, (size, keys) in PICTURES.items():
        runs = MadeUpRuns("/home/you/.local/state/seamripper")
        runs.one_of_each()
        drawn = asyncio.run(picture(dashboard(runs), size, keys))
        Path(directory, f"{name}.svg").write_text(drawn, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
