"""The frame of a page that needs nothing but itself: no network, no script, even if somebody's markup got into it."""

from __future__ import annotations

import html
from collections.abc import Iterable

from harness.dashboard import literal

__all__ = ["escaped", "page"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def escaped(text: object, limit: int = 300) -> str:
    """`text` for a page: one line, nothing in it taken as markup, every control and surrogate shown as an escape."""
    return html.escape(literal(text, limit))


def page(title: str, style: str, body: Iterable[str]) -> str:
    """The page as HTML; `style` and `body` are markup already, `title` is text."""
    head = (
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escaped(title)}</title>",
        f"<style>{style}</style>",
    )
    return "\n".join(
        ("<!DOCTYPE html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", *body, "</body>", "</html>", "")
    )
