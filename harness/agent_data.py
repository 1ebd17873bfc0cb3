"""What is known of each agent's command line tool, as data: `profiles/NAME.toml`, and what overrides it.

A table of the user's own configuration changes a built-in profile for all of his runs, `[agents.NAME]` of a plan changes it
for that plan. `args` and `pass_env` are added to what is there, tables are merged, every other key is replaced. What comes
of it is checked as a whole, so that a profile which loads can be launched.
"""

from __future__ import annotations

import pkgutil
import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from string import Template
from typing import Annotated, Any

import msgspec

from backends.disk import Disk
from backends.errors import printable
from harness.engine.events import EventKind
from harness.engine.transcripts import TranscriptRule

__all__ = ["KINDS", "Hook", "ProfileData", "built_in", "profile_data", "secrets_in", "user_file", "user_tables"]

KINDS = ("claude", "codex", "gemini", "copilot")
"""The command line tools that have a profile."""

CONFIGURATION_LIMIT = 1 << 20
"""Bytes; a longer configuration file is refused."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SECRET = re.compile(r"(?i)key|token|secret|passw|credential|auth")
_ADDED = ("args", "pass_env")
_WORDS = ("binary", "model", "prompt", "cwd", "cwd_toml", "dir")
_SPLICED = ("args", "model_args", "hook_args")


class Hook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One hook of the tool: the event that it calls `on` is ours called `event`; `entry` is added to what registers it."""

    on: str
    event: EventKind
    entry: dict[str, Any] = {}


class ProfileData(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one tool is launched, and what its hooks and its transcript mean. `docs/agents.md` describes every key.

    Texts may hold `${binary}`, `${model}`, `${prompt}`, `${cwd}`, `${cwd_toml}` (as a TOML text) and `${dir}` (of the files
    of this launch). A word of `argv` that is `${args}`, `${model_args}` or `${hook_args}` stands for all words of that list;
    `model_args` only where a model is set, `hook_args` once for every hook, with `${hook}` and `${entries_toml}`.
    """

    binary: str
    argv: tuple[str, ...]
    measured: tuple[str, ...] = ()
    model: str = ""
    model_args: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    pass_env: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()
    hook_entry: dict[str, Any] = {}
    hook_args: tuple[str, ...] = ()
    files: dict[str, dict[str, Any]] = {}
    transcript: tuple[TranscriptRule, ...] = ()
    stops_need_transcript: bool = False
    enter_again_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0


def built_in(kind: str) -> dict[str, Any]:
    """The table of a built-in profile, as it is shipped."""
    return tomllib.loads(_shipped(kind))


@lru_cache(maxsize=8)
def _shipped(kind: str) -> str:
    data = pkgutil.get_data("harness", f"profiles/{kind}.toml")
    assert data is not None
    return data.decode("utf-8")


def profile_data(*layers: Mapping[str, Any]) -> ProfileData:
    """The layers, each over the one before it, as one profile; `ValueError` says which key is wrong."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            merged[key] = _over(key, merged.get(key), value)
    try:
        data = msgspec.convert(merged, ProfileData)
    except msgspec.ValidationError as exc:
        raise ValueError(_said(exc)) from None
    _check(data)
    return data


def _over(key: str, old: Any, new: Any) -> Any:
    if key in _ADDED and isinstance(old, list) and isinstance(new, list):
        return [*old, *new]
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {**old, **{inner: _over("", old.get(inner), value) for inner, value in new.items()}}
    return new


def _said(exc: msgspec.ValidationError) -> str:
    """`Expected `str`, got `int` - at `$.model`` as `model: expected str, got int`."""
    text, _, place = str(exc).partition(" - at ")
    plain = (text[:1].lower() + text[1:]).replace("`", "")
    where = place.strip("`").removeprefix("$").removeprefix(".")
    return f"{where}: {plain}" if where else plain


def _check(data: ProfileData) -> None:
    """Refuse what could not be launched; raises `ValueError`."""
    for name in (*data.env, *data.pass_env):
        if not _VARIABLE.match(name):
            raise ValueError(f"{name!r:.80} is no name of a variable")
        if name.startswith("SEAMRIPPER_"):
            raise ValueError(f"{name:.80} is ours to set")
    for name in data.files:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.suffix:
            raise ValueError(f"files: {name!r:.80} is no relative path of a file with a suffix")
    if not data.binary or not data.argv:
        raise ValueError("`binary` and `argv` must not be empty")
    plain = (data.binary, data.model, *data.args)
    templates = [*data.argv, *data.model_args, *data.env.values(), *_texts(data.files)]
    _check_templates("argv, model_args, env and files", templates, (*_WORDS, *_SPLICED, "hooks"))
    _check_templates("hook_args", data.hook_args, (*_WORDS, "hook", "entries_toml"))
    _check_templates("hook_entry", [*_texts(data.hook_entry), *_texts([h.entry for h in data.hooks])], ("command",))
    for text in (*plain, *templates, *data.hook_args):
        if "\0" in text:
            raise ValueError("a text contains a NUL character")


def _check_templates(where: str, templates: Any, known: tuple[str, ...]) -> None:
    for text in templates:
        try:
            Template(text).substitute(dict.fromkeys(known, ""))
        except KeyError as exc:
            raise ValueError(f"{where}: {text!r:.80}: there is no ${{{exc.args[0]}}}") from None
        except ValueError:
            raise ValueError(f"{where}: {text!r:.80}: a $ that is meant as itself is written $$") from None


def _texts(value: Any) -> list[str]:
    """Every text in there, but for keys."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for each in inner for text in _texts(each)]


def secrets_in(table: Mapping[str, Any]) -> list[str]:
    """The variables that a plan gives a value although their names sound secret: a plan is written into the run's record."""
    env = table.get("env")
    return [name for name in env if isinstance(name, str) and _SECRET.search(name)] if isinstance(env, Mapping) else []


def user_file(environment: Mapping[str, str]) -> Path | None:
    """Where the user's own configuration of agents belongs; `None` where there is no home."""
    base, home = environment.get("XDG_CONFIG_HOME", ""), environment.get("HOME", "")
    if base.startswith("/"):
        return Path(base, "seamripper", "agents.toml")
    return Path(home, ".config", "seamripper", "agents.toml") if home.startswith("/") else None


def user_tables(disk: Disk, path: Path | None) -> dict[str, dict[str, Any]]:
    """The tables `[agents.KIND]` of that file, none where there is no file.

    `ValueError` names the file, and as far as it is known the line, of what is wrong.
    """
    if path is None:
        return {}
    try:
        text = disk.read(path, limit=CONFIGURATION_LIMIT).decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not UTF-8") from None
    except OSError as exc:
        raise ValueError(f"{path}: cannot be read: {exc.strerror or type(exc).__name__}") from None
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{path}: not TOML: {printable(str(exc), 200)}") from None
    tables = document.get("agents", {})
    for name in document.keys() - {"agents"}:
        raise ValueError(f"{path}: unknown key {name!r:.80}, expected tables [agents.KIND]")
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise ValueError(f"{path}: agents: expected tables [agents.KIND]")
    for name in tables.keys() - set(KINDS):
        raise ValueError(f"{path}: agents.{name:.80}: there is no such profile; known: {', '.join(KINDS)}")
    return tables
