"""What people see of runs: one rendering for lists, the status screen, the dashboard and reports."""

from harness.dashboard.reader import AskSession, RunView, read_run, read_runs
from harness.dashboard.render import (
    header,
    header_text,
    list_lines,
    list_row,
    list_screen,
    literal,
    screen,
    status_line,
    task_table,
)

__all__ = [
    "AskSession",
    "RunView",
    "header",
    "header_text",
    "list_lines",
    "list_row",
    "list_screen",
    "literal",
    "read_run",
    "read_runs",
    "screen",
    "status_line",
    "task_table",
]
