"""Certificates to draw reports from: a good one, one with every outcome, and one whose every text is hostile."""

from __future__ import annotations

import dataclasses

from harness.conformance.report_columns import Column, Unread
from harness.conformance.results import Certificate, Host, Level, Outcome, Result, Subject

EVIL = (
    "</td><script>alert(1)</script><img src=http://evil onerror=x> \" onmouseover='x' &amp; | a | ` ** [x](http://evil) "
    "\n::error::owned %41%0A\r\n## title\n\x1b[31m\x00\u202e{{x}} ${{ secrets.X }} ]]> \x85 \u2028::set-output"
)
"""What HTML, Markdown, a terminal, a log and GitHub might each take for something else than text."""


def result(check: str, level: int, outcome: Outcome, **texts: str) -> Result:
    """One that says what it was about."""
    told = {"expected": "TransportError", "observed": "[]", "replay": f"seamripper conform --only {check}", **texts}
    return Result(check, f"title of {check}", Level(level), outcome, seconds=0.25, **told)


def certificate(*results: Result, name: str = "tmux", version: str | None = "tmux 3.3a", note: str = "") -> Certificate:
    """A certificate with these results, which claims no level."""
    subject = Subject(name, version, "/usr/bin/tmux", note)
    return Certificate("0.1.0", "0.1", subject, Host("Linux", "6.1", "3.11.2"), {"a": "supported"}, None, results)


GOOD = dataclasses.replace(
    certificate(result("SEAM-SHAPE-001", 0, Outcome.PASSED), result("SEAM-PROBE-001", 1, Outcome.PASSED)),
    level=Level.L1,
)

MIXED = dataclasses.replace(
    certificate(
        result("SEAM-SHAPE-001", 0, Outcome.PASSED),
        *(result(f"SEAM-MIX-00{i}", 1, outcome) for i, outcome in enumerate(Outcome)),
        name="mine",
        version=None,
        note="double, not psmux",
    ),
    capabilities={"window_exit": "unsupported: no such thing", "text.long": "known_bug: mine#1"},
)

HOSTILE = dataclasses.replace(
    certificate(
        Result(EVIL, EVIL, Level.L1, Outcome.FAILED, EVIL, EVIL, 1.0, EVIL), name=EVIL, version=EVIL, note=EVIL
    ),
    host=Host(EVIL, EVIL, EVIL),
    capabilities={EVIL: "unsupported: " + EVIL},
)

COLUMNS = (
    Column("good.json", GOOD),
    Column("mixed.json", MIXED),
    Column("lost.json", Unread("cannot be read: No such file or directory")),
)
HOSTILE_COLUMNS = (Column(EVIL, HOSTILE), Column(EVIL, Unread(EVIL)))
