"""A backend as people write their first: plain methods over `subprocess.run`, an error of its own, and the usual mistakes."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence


class TmuxError(Exception):
    """tmux said no."""


class PlainMux:
    """tmux, one client for each question, on the usual server."""

    def _run(self, *args: str) -> str:
        done = subprocess.run(["tmux", *args], capture_output=True, text=True, timeout=self.timeout)
        if done.returncode != 0:
            raise TmuxError(done.stderr.strip())
        return done.stdout

    timeout = 30

    def has_session(self, name: str) -> bool:
        """By prefix, and dead on any failure."""
        try:
            self._run("has-session", "-t", name)
        except TmuxError:
            return False
        return True

    def new_session(self, name: str, cwd: str, cols: int | None = None, lines: int | None = None) -> None:
        """Whatever the name is."""
        self._run("new-session", "-d", "-s", name, "-c", str(cwd))

    def kill_session(self, name: str) -> None:
        """By prefix."""
        try:
            self._run("kill-session", "-t", name)
        except TmuxError:
            return

    def list_sessions(self) -> list[str]:
        """Nobody, if nobody answers; but raw if nobody answers in time."""
        try:
            return self._run("list-sessions", "-F", "#{session_name}").split()
        except TmuxError:
            return []

    def session_options(self, option: str) -> dict[str, str]:
        """Not written yet."""
        return {}

    def set_session_option(self, name: str, option: str, value: str) -> None:
        """By prefix."""
        self._run("set-option", "-t", name, option, value)

    def new_window(self, session: str, name: str, cwd: str, env: Mapping[str, str], command: str) -> str:
        """With the environment for everybody to read."""
        extra = [word for key, value in env.items() for word in ("-e", f"{key}={value}")]
        made = ("new-window", "-d", "-P", "-F", "#{window_id}", "-t", session, "-n", name, "-c", str(cwd))
        return self._run(*made, *extra, command).strip()

    def new_parked_window(self, session: str, name: str, cwd: str, argv: Sequence[str], return_opt: str) -> str:
        """Waits for a line, and forgets the exit status."""
        return self.new_window(session, name, cwd, {}, shlex.join(argv) + "; read x")

    def list_window_ids(self, session: str) -> list[str]:
        """None, if nobody answers."""
        try:
            return self._run("list-windows", "-t", session, "-F", "#{window_id}").split()
        except TmuxError:
            return []

    def list_windows(self, session: str, fields: Sequence[str]) -> list[tuple[str, ...]]:
        """Raises where there is no server."""
        form = "\t".join(f"#{{{field}}}" for field in fields)
        return [tuple(line.split("\t")) for line in self._run("list-windows", "-t", session, "-F", form).splitlines()]

    def window_alive(self, session: str, window_id: str) -> bool:
        """Dead on any failure, whoever's window it is."""
        return window_id in self.list_window_ids(session)

    def kill_window(self, target: str) -> None:
        """Fine if it was gone."""
        try:
            self._run("kill-window", "-t", target)
        except TmuxError:
            return

    def select_window(self, target: str) -> None:
        """Raises where there is no server."""
        self._run("select-window", "-t", target)

    def set_window_option(self, target: str, option: str, value: str) -> None:
        """Raises where there is no server."""
        self._run("set-option", "-w", "-t", target, option, value)

    def unset_window_option(self, target: str, option: str) -> None:
        """Raises where there is no server."""
        self._run("set-option", "-wu", "-t", target, option)

    def show_window_option(self, target: str, option: str) -> str:
        """Raises for one that is not set."""
        return self._run("show-options", "-wv", "-t", target, option).strip()

    def pipe_pane(self, window_id: str, log_file: str) -> None:
        """Into another file, if there is a blank in its name."""
        self._run("pipe-pane", "-t", window_id, f"cat >> {log_file}")

    def send_text(self, window_id: str, text: str) -> None:
        """Without the last `;`."""
        self._run("send-keys", "-t", window_id, "-l", text)
        self._run("send-keys", "-t", window_id, "Enter")

    def attach_target_argv(self, target: str) -> list[str]:
        """Right."""
        return ["tmux", "attach", "-t", target]

    def current_pane_id(self) -> str | None:
        """Right."""
        return os.environ.get("TMUX_PANE")

    def current_window_id(self) -> str | None:
        """Not written yet."""
        return None

    def current_session(self) -> str | None:
        """Not written yet."""
        return None

    def detach_client(self) -> None:
        """Raises where there is no server."""
        self._run("detach-client")

    def switch_client(self, target: str, last_fallback: bool = False) -> bool:
        """Raises where there is no client."""
        self._run("switch-client", "-t", target)
        return True

    def available(self) -> bool:
        """Raises where there is no tmux."""
        return bool(self._run("-V"))

    def version(self) -> str | None:
        """Raises where there is no tmux."""
        return self._run("-V").strip()


class HastyMux(PlainMux):
    """The same in a hurry."""

    timeout = 2
