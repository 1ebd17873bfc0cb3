"""`seamripper tui` in a pane of a tmux server of its own, as somebody looks at it and types."""

from __future__ import annotations

import sys

from harness.commands.shells import Shell

__all__ = ["Screen"]


class Screen:
    """A terminal of that size with the dashboard in it; `more` is what its environment says besides."""

    def __init__(self, shell: Shell, columns: int = 80, lines: int = 24, **more: str) -> None:
        self.shell = shell
        self.socket = shell.world.runs.parent / f"v{shell.world.entropy.suffix()}"
        told = [f"{name}={value}" for name, value in {**self._kept(), **more}.items()]
        argv = ("env", *told, sys.executable, "-P", "-m", "harness", "tui")
        self.ask("-f", "/dev/null", "new-session", "-d", "-s", "view", "-x", str(columns), "-y", str(lines), *argv)
        self.ask("set-option", "-g", "remain-on-exit", "on")

    def _kept(self) -> dict[str, str]:
        kept = ("XDG_RUNTIME_DIR", "SEAMRIPPER_ROOT", "TERM")
        return {name: self.shell.environment[name] for name in kept} | {"COLORTERM": ""}

    def ask(self, *words: str) -> str:
        """What the server of the screen answers."""
        argv = ("tmux", "-S", str(self.socket), *words)
        answer = self.shell.world.processes.run(argv, timeout_s=20, env=self.shell.environment)
        return answer.stdout.decode()

    def text(self, *, styled: bool = False) -> str:
        """What is on the screen; `styled` with the escape sequences of its colours."""
        return self.ask("capture-pane", "-p", *["-e"] * styled, "-t", "view")

    def press(self, *keys: str) -> None:
        """Type these keys."""
        self.ask("send-keys", "-t", "view", *keys)

    def shows(self, *words: str) -> str:
        """Wait until all that is on the screen; the screen then."""

        def found() -> str:
            text = self.text()
            return text if all(word in text for word in words) else ""

        try:
            shown: str = self.shell.eventually(found)
        except TimeoutError:
            raise AssertionError(f"{words} not on the screen:\n{self.text()}") from None
        return shown

    def quits(self) -> bool:
        """Type what ends the dashboard, and see whether it has; what is typed while a terminal changes hands is thrown away."""
        self.press("q")
        return self.has_ended()

    def has_ended(self) -> bool:
        """Whether the dashboard has left by itself, with exit code 0."""
        # 3.3a may show the end of a process that it has not reaped, and so no status, until another one ends
        # (docs/decisions/0005).
        self.ask("run-shell", ":")
        return self.ask("display-message", "-p", "-t", "view", "#{pane_dead} #{pane_dead_status}").strip() == "1 0"

    def close(self) -> None:
        """End the server of the screen."""
        self.ask("kill-server")
