"""A small orchestrator of agents in terminal windows."""

from __future__ import annotations

from little_orchestrator.orchestrator import Job, Orchestrator, Terminal, TerminalError

__all__ = ["Job", "Orchestrator", "Terminal", "TerminalError"]
