"""Launches a command line tool as its profile says: argv, environment, the files of one launch, hooks.

Nothing that the user or the repository configures is touched: whatever the tool has to be told is in its argv, or in files
of this launch below the run's directory. A hook's command is the relay by its absolute path; tools run it through a shell,
so it is quoted for one. Secrets reach the tool only through its environment.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from string import Template
from typing import Any

from backends.disk import Disk
from harness import relay
from harness.agent_data import Hook, ProfileData
from harness.engine.launching import put_file
from harness.engine.profiles import Launch, LaunchContext, nudge_text, wake_text
from harness.engine.transcripts import TranscriptRule

__all__ = ["COMMAND_LIMIT", "RELAY", "CommandProfile", "relay_argv"]

RELAY = str(Path(relay.__file__).resolve())
"""The hook relay; run by its path, in whatever directory."""

COMMAND_LIMIT = 64_000
"""Bytes of the command of a window; Linux hands a shell at most 131,072 in one word, and a window's command is one word."""


def relay_argv(event: str, python: str = sys.executable, program: str = RELAY) -> tuple[str, ...]:
    """Runs the relay for one event, whatever lies in the directory that it is run in, and whatever Python is told there."""
    return (python, "-E", "-P", "-S", program, event)


@dataclass(frozen=True)
class CommandProfile:
    """The tool that `data` describes; variables that it is to inherit are taken from `environment`.

    `python` and `program` are what runs the relay: a simulated host, where nothing is run, may have any.
    """

    name: str
    data: ProfileData
    disk: Disk = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    python: str = sys.executable
    program: str = RELAY

    @property
    def stops_need_transcript(self) -> bool:
        """See `AgentProfile`."""
        return self.data.stops_need_transcript

    @property
    def transcript_rules(self) -> tuple[TranscriptRule, ...]:
        """See `AgentProfile`."""
        return self.data.transcript

    @property
    def enter_again_s(self) -> float:
        """See `AgentProfile`."""
        return self.data.enter_again_s

    def launch(self, context: LaunchContext) -> Launch:
        """See `AgentProfile`; a prompt too long for a command is left in its file, and the agent told to read it."""
        prompt = self.disk.read(context.prompt_file).decode("utf-8", "replace").replace("\0", " ")
        words = {
            "binary": self.data.binary,
            "model": self.data.model,
            "cwd": str(context.cwd),
            "cwd_toml": toml_inline(str(context.cwd)),
            "dir": str(context.scripts_dir / f"launch-{context.attempt}"),
        }
        self._write_files(words)
        argv = tuple(self._argv({**words, "prompt": prompt}))
        if len(shlex.join(argv).encode("utf-8", "surrogateescape")) > COMMAND_LIMIT:
            prompt = f"Read the file {context.prompt_file} and carry out what it says."
            argv = tuple(self._argv({**words, "prompt": prompt}))
        passed = {name: self.environment[name] for name in self.data.pass_env if name in self.environment}
        return Launch(argv, {**passed, **{name: _filled(text, words) for name, text in self.data.env.items()}})

    def nudge_text(self, context: LaunchContext) -> str:
        """See `AgentProfile`."""
        return nudge_text(context)

    def wake_text(self, context: LaunchContext) -> str:
        """See `AgentProfile`."""
        return wake_text(context)

    def _argv(self, words: Mapping[str, str]) -> Iterator[str]:
        for word in self.data.argv:
            match word:
                case "${args}":
                    yield from self.data.args
                case "${model_args}":
                    yield from [_filled(text, words) for text in self.data.model_args if self.data.model]
                case "${hook_args}":
                    yield from self._hook_args(words)
                case _:
                    yield _filled(word, words)

    def _hook_args(self, words: Mapping[str, str]) -> Iterator[str]:
        for hook, entries in self._hooks().items():
            about = {**words, "hook": hook, "entries_toml": toml_inline(entries)}
            yield from [_filled(text, about) for text in self.data.hook_args]

    def _hooks(self) -> dict[str, list[Any]]:
        """What registers the hooks, by the tool's names of its events."""
        hooks: dict[str, list[Any]] = {}
        for hook in self.data.hooks:
            hooks.setdefault(hook.on, []).append(self._entry(hook))
        return hooks

    def _entry(self, hook: Hook) -> Any:
        command = shlex.join(relay_argv(hook.event, self.python, self.program))
        return _filled_tree({**self.data.hook_entry, **hook.entry}, {"command": command})

    def _write_files(self, words: Mapping[str, str]) -> None:
        for name, content in self.data.files.items():
            path = PurePath(words["dir"], name)
            self.disk.mkdir(path.parent, private=True)
            document = _filled_tree(content, words, self._hooks())
            put_file(self.disk, path, json.dumps(document, indent=1).encode("ascii") + b"\n")


def _filled(text: str, words: Mapping[str, str]) -> str:
    return Template(text).substitute(words)


def _filled_tree(value: Any, words: Mapping[str, str], hooks: Mapping[str, Any] | None = None) -> Any:
    """`value` with every text filled in; a text that is `${hooks}` becomes the hooks themselves."""
    if isinstance(value, str):
        return hooks if hooks is not None and value == "${hooks}" else _filled(value, words)
    if isinstance(value, Mapping):
        return {key: _filled_tree(inner, words, hooks) for key, inner in value.items()}
    return [_filled_tree(inner, words, hooks) for inner in value] if isinstance(value, list) else value


def toml_inline(value: Any) -> str:
    """`value` as TOML on one line, as a command line option takes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml_inline(str(key))} = {toml_inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml_inline(inner) for inner in value) + "]"
    return (
        json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        if isinstance(value, str)
        else json.dumps(value)
    )
