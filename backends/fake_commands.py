"""The commands of tmux that a backend of its family uses, carried out on a simulated server.

Statuses and texts are those of tmux 3.3a. A command that is not here does not exist.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from backends.fake_options import OptionScope, put_option, scope_of
from backends.fake_targets import current_session, find_pane, find_session, find_window
from backends.fake_words import Flags, Refused, read_flags, read_script
from backends.simulated_shell import redirected_to
from backends.simulation import FakeServer, FakeSession, FakeWindow
from backends.simulation_formats import Place, expand

__all__ = ["COMMANDS", "STARTING", "ClientGone", "Exchange", "run_commands"]


class ClientGone(Exception):
    """The client that was to hand over its stdin is no longer there."""


@dataclass(slots=True)
class Exchange:
    """One client's conversation with the server: what it brought, what it gets, whether it still waits."""

    place: Place
    stdin: bytes = b""
    present: bool = True
    out: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def server(self) -> FakeServer:
        """The server that is asked."""
        return self.place.server

    def say(self, form: str, session: FakeSession | None = None, window: FakeWindow | None = None) -> None:
        """Write one line on the client's stdout: `form`, expanded there."""
        self.out.append(expand(form, self.place.at(session, window)) + "\n")

    def take_stdin(self) -> bytes:
        """What the client has on stdin; the server asks for it when it gets to the command."""
        if not self.present:
            raise ClientGone
        return self.stdin


def run_commands(exchange: Exchange, commands: Sequence[Sequence[str]]) -> None:
    """Run commands in order, up to the first that is refused; raises `Refused`.

    An unknown command or flag anywhere means that nothing is run.
    """
    read = [_read(words) for words in commands]
    for flags in read:
        COMMANDS[flags.verb].run(exchange, flags)


def _read(words: Sequence[str]) -> Flags:
    known = COMMANDS.get(words[0])
    if known is None:
        raise Refused(f"unknown command: {words[0]}")
    return known.read(words)


def _has_session(exchange: Exchange, flags: Flags) -> None:
    find_session(exchange.server, flags.value("t"))


def _list_sessions(exchange: Exchange, flags: Flags) -> None:
    form = flags.value("F") or "#{session_name}: #{session_windows} windows"
    for _, session in sorted(exchange.server.sessions.items()):
        exchange.say(form, session)


def _list_windows(exchange: Exchange, flags: Flags) -> None:
    form = flags.value("F")
    if form is None:
        form = "#{window_index}: #{window_name}#{window_flags} (#{window_panes} panes) #{window_id}"
    _list(exchange, form, _listed_sessions(exchange, flags))


def _list_panes(exchange: Exchange, flags: Flags) -> None:
    form = flags.value("F")
    if form is None:
        form = "#{pane_index}: [#{pane_width}x#{pane_height}] #{pane_id}#{?pane_dead, (dead),}"
    if "a" in flags or "s" in flags:
        _list(exchange, form, _listed_sessions(exchange, flags))
    else:
        window = find_window(exchange.server, flags.value("t"))
        exchange.say(form, window.session, window)


def _listed_sessions(exchange: Exchange, flags: Flags) -> list[FakeSession]:
    here = current_session(exchange.server)
    if "a" in flags:
        return [session for _, session in sorted(exchange.server.sessions.items())]
    target = flags.value("t")
    if target and flags.verb == "list-panes":
        return [find_window(exchange.server, target).session]
    return [find_session(exchange.server, target) if target else here]


def _list(exchange: Exchange, form: str, sessions: Sequence[FakeSession]) -> None:
    for session in sessions:
        for window in session.windows():
            exchange.say(form, session, window)


def _list_clients(exchange: Exchange, flags: Flags) -> None:
    find_session(exchange.server, flags.value("t"))


def _new_session(exchange: Exchange, flags: Flags) -> None:
    server = exchange.server
    given = flags.value("s")
    form = str(len(server.sessions)) if given is None else given
    name = expand(form, exchange.place).replace(".", "_").replace(":", "_")
    if not name:
        raise Refused("invalid session: ")
    if name in server.sessions:
        raise Refused(f"duplicate session: {name}")
    if "d" not in flags:
        raise Refused("open terminal failed: not a terminal")
    cwd = expand(flags.value("c") or "/", exchange.place)
    columns, lines = _size(flags, "x"), _size(flags, "y")
    _take_pty(server)
    session = server.make_session(name, cwd, columns, lines)
    window = _make_window(exchange, flags, session, cwd, select=True)
    if "P" in flags:
        exchange.say(flags.value("F") or "#{session_name}:", session, window)


def _size(flags: Flags, flag: str) -> int | None:
    text = flags.value(flag)
    what = "width" if flag == "x" else "height"
    if text is not None and not text.isdecimal():
        raise Refused(f"{what} invalid")
    if text is not None and int(text) < 1:
        raise Refused(f"{what} too small")
    return None if text is None else int(text)


def _new_window(exchange: Exchange, flags: Flags) -> None:
    target = flags.value("t")
    session = find_session(exchange.server, target)
    cwd = expand(flags.value("c") or "/", exchange.place.at(session))
    _take_pty(exchange.server)
    window = _make_window(exchange, flags, session, cwd, select="d" not in flags)
    if "P" in flags:
        exchange.say(flags.value("F") or "#{session_name}:#{window_index}.#{pane_index}", session, window)


def _take_pty(server: FakeServer) -> None:
    if not server.has_ptys:
        raise Refused("create window failed: fork failed: Too many open files")


def _make_window(exchange: Exchange, flags: Flags, session: FakeSession, cwd: str, *, select: bool) -> FakeWindow:
    argv = _program(flags.rest)
    name = flags.value("n")
    shown = argv[0].rpartition("/")[2] if name is None else expand(name, exchange.place.at(session))
    # A directory that is not there is no reason to fail: the program runs somewhere else.
    where = "/" if cwd in exchange.server.missing_dirs else cwd
    window = exchange.server.make_window(session, shown, where, _environment(flags), argv, select=select)
    window.cwd = cwd
    window.command = f'"{flags.rest[0]}"' if len(flags.rest) == 1 else " ".join(flags.rest)
    return window


def _program(rest: Sequence[str]) -> list[str]:
    """What runs: one word is a line for the shell, several are an argv, none is a shell."""
    if not rest:
        return ["sh"]
    return ["sh", "-c", rest[0]] if len(rest) == 1 else list(rest)


def _environment(flags: Flags) -> dict[str, str]:
    pairs = (word.partition("=") for word in flags.values("e"))
    return {name: value for name, equals, value in pairs if equals}


def _kill_session(exchange: Exchange, flags: Flags) -> None:
    exchange.server.end_session(find_session(exchange.server, flags.value("t")))


def _kill_window(exchange: Exchange, flags: Flags) -> None:
    exchange.server.close_window(find_window(exchange.server, flags.value("t")))


def _kill_server(exchange: Exchange, flags: Flags) -> None:
    exchange.server.kill()


def _start_server(exchange: Exchange, flags: Flags) -> None:
    """The server runs already when it gets to a command."""


def _select_window(exchange: Exchange, flags: Flags) -> None:
    window = find_window(exchange.server, flags.value("t"))
    window.session.select(window)


def _rename_window(exchange: Exchange, flags: Flags) -> None:
    window = find_window(exchange.server, flags.value("t"))
    window.name = expand(flags.rest[0], exchange.place.at(window.session, window))


def _respawn(exchange: Exchange, flags: Flags) -> None:
    window = find_window(exchange.server, flags.value("t"))
    what = flags.verb.removeprefix("respawn-")
    if not window.dead and "k" not in flags:
        pane = ".0" if what == "pane" else ""
        raise Refused(f"respawn {what} failed: {what} {window.session.name}:{window.index}{pane} still active")
    argv = _program(flags.rest) if flags.rest or window.process is None else window.process.argv
    exchange.server.run_in(window, _environment(flags), argv, expand(flags.value("c") or window.cwd, exchange.place))


def _set_option(exchange: Exchange, flags: Flags) -> None:
    option = flags.rest[0]
    options = _options(exchange, flags, option)
    if options is None:
        return
    if "u" in flags or "U" in flags:
        options.pop(option, None)
        return
    if len(flags.rest) < 2:
        raise Refused("empty value")
    value = expand(flags.rest[1], exchange.place) if "F" in flags else flags.rest[1]
    put_option(options, option, options.get(option, "") + value if "a" in flags else value)
    if option == "exit-empty":
        exchange.server.exit_empty = options[option] == "on"


def _show_options(exchange: Exchange, flags: Flags) -> None:
    option = flags.rest[0] if flags.rest else None
    options = _options(exchange, flags, option)
    if options is None:
        return
    if option is not None and option not in options:
        if option.startswith("@") and "q" not in flags:
            raise Refused(f"invalid option: {option}")
        return
    for name in [option] if option is not None else sorted(options):
        exchange.out.append(options[name] + "\n" if "v" in flags else f"{name} {options[name]}\n")


def _options(exchange: Exchange, flags: Flags, option: str | None) -> dict[str, str] | None:
    """The table that the flags and the option's name choose; `None` where `-q` has nothing to say."""
    server, target = exchange.server, flags.value("t")
    try:
        scope = scope_of(option, server="s" in flags, window="w" in flags or "p" in flags)
        if scope is OptionScope.SERVER:
            return server.options
        if "g" in flags:
            return server.window_defaults if scope is OptionScope.WINDOW else server.session_defaults
        return _local_options(server, scope, target)
    except Refused:
        if "q" in flags:
            return None
        raise


def _local_options(server: FakeServer, scope: OptionScope, target: str | None) -> dict[str, str]:
    what = "window" if scope is OptionScope.WINDOW else "session"
    try:
        if scope is OptionScope.WINDOW:
            return find_pane(server, target).options
        return find_pane(server, target).session.options
    except Refused as missing:
        raise Refused(f"no such {what}: {target}" if target else str(missing)) from None


def _display_message(exchange: Exchange, flags: Flags) -> None:
    form = flags.value("F") or (flags.rest[0] if flags.rest else "[#{session_name}] #{window_index}:#{window_name}")
    if "p" not in flags:
        return
    try:
        window = find_pane(exchange.server, flags.value("t"))
    except Refused:
        exchange.say(form)
    else:
        exchange.say(form, window.session, window)


def _load_buffer(exchange: Exchange, flags: Flags) -> None:
    path = flags.rest[0]
    try:
        data = exchange.take_stdin() if path == "-" else exchange.server.disk.read(path)
    except OSError as failure:
        raise Refused(f"{path}: {failure.strerror}") from None
    exchange.server.buffers[flags.value("b") or "buffer0"] = data


def _paste_buffer(exchange: Exchange, flags: Flags) -> None:
    window = find_pane(exchange.server, flags.value("t"))
    name = flags.value("b") or "buffer0"
    data = exchange.server.buffers.get(name)
    if data is None:
        raise Refused(f"no buffer {name}")
    window.typing.append(data.decode("utf-8", "surrogateescape"))
    if "d" in flags:
        del exchange.server.buffers[name]


def _delete_buffer(exchange: Exchange, flags: Flags) -> None:
    name = flags.value("b") or "buffer0"
    if exchange.server.buffers.pop(name, None) is None:
        raise Refused(f"unknown buffer: {name}")


def _send_keys(exchange: Exchange, flags: Flags) -> None:
    window = find_pane(exchange.server, flags.value("t"))
    for key in flags.rest:
        if "l" in flags or key not in _KEYS:
            window.typing.append(key)
        else:
            _KEYS[key](window)


def _enter(window: FakeWindow) -> None:
    text = "".join(window.typing)
    window.typing.clear()
    window.type(text)


def _interrupt(window: FakeWindow) -> None:
    window.typing.clear()
    process = window.process
    if process is not None:
        window.clock.call_later(0.0, lambda: process.signal_group(signal.SIGINT))


_KEYS: Mapping[str, Callable[[FakeWindow], None]] = {
    "Enter": _enter,
    "C-m": _enter,
    "C-c": _interrupt,
    "C-u": lambda window: window.typing.clear(),
    "Space": lambda window: window.typing.append(" "),
    "Tab": lambda window: window.typing.append("\t"),
    "Escape": lambda window: None,
}


def _copy_mode(exchange: Exchange, flags: Flags) -> None:
    find_pane(exchange.server, flags.value("t"))


def _pipe_pane(exchange: Exchange, flags: Flags) -> None:
    window = find_pane(exchange.server, flags.value("t"))
    if window.dead:
        raise Refused("target pane has exited")
    if not flags.rest:
        window.log = None
        return
    line = expand(flags.rest[0], exchange.place.at(window.session, window)).replace("%%", "%")
    window.log = redirected_to(line)


def _source_file(exchange: Exchange, flags: Flags) -> None:
    path = flags.rest[0]
    try:
        data = exchange.take_stdin() if path == "-" else exchange.server.disk.read(path)
    except OSError as failure:
        raise Refused(f"{path}: {failure.strerror}") from None
    lines = read_script(data.decode("utf-8", "surrogateescape"))
    for number, commands in lines:
        for words in commands:
            _check(exchange, f"{path}:{number}", words)
    for _, commands in lines:
        try:
            run_commands(exchange, commands)
        except Refused as refusal:
            exchange.complaints.append(str(refusal))


def _check(exchange: Exchange, where: str, words: Sequence[str]) -> None:
    """Refuse a whole script for a command that does not exist; the complaint goes to stdout."""
    try:
        _read(words)
    except Refused as refusal:
        exchange.out.append(f"{where}: {refusal}\n")
        raise Refused("") from None


def _if_shell(exchange: Exchange, flags: Flags) -> None:
    if "F" not in flags:
        raise Refused("if-shell runs no shell here: only -F")
    place = exchange.place.at(None)
    with contextlib.suppress(Refused):
        # What is not there makes formats empty, and refuses nothing.
        window = find_window(exchange.server, flags.value("t"))
        place = exchange.place.at(window.session, window)
    chosen = 1 if expand(flags.rest[0], place) not in ("", "0") else 2
    if chosen < len(flags.rest):
        lines = read_script(flags.rest[chosen])
        run_commands(exchange, [words for _, commands in lines for words in commands])


def _switch_client(exchange: Exchange, flags: Flags) -> None:
    client = flags.value("c")
    raise Refused("no current client" if client is None else f"can't find client: {client}")


def _detach_client(exchange: Exchange, flags: Flags) -> None:
    client = flags.value("t")
    raise Refused("no current client" if client is None else f"can't find client: {client}")


def _attach_session(exchange: Exchange, flags: Flags) -> None:
    find_session(exchange.server, flags.value("t"))
    raise Refused("open terminal failed: not a terminal")


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its flags as `getopt` writes them, how many arguments it takes (`None`: any number), and what it does."""

    flags: str
    least: int
    most: int | None
    run: Callable[[Exchange, Flags], None]

    def read(self, words: Sequence[str]) -> Flags:
        """The command that `words` are; raises `Refused` for a flag or a number of arguments that it does not take."""
        flags = read_flags(words, self.flags)
        if len(flags.rest) < self.least:
            raise Refused(f"command {flags.verb}: too few arguments (need at least {self.least})")
        if self.most is not None and len(flags.rest) > self.most:
            raise Refused(f"command {flags.verb}: too many arguments (need at most {self.most})")
        return flags


COMMANDS: Mapping[str, Command] = {
    "attach-session": Command("c:dEf:rt:x", 0, 0, _attach_session),
    "copy-mode": Command("eHMs:t:uq", 0, 0, _copy_mode),
    "delete-buffer": Command("b:", 0, 0, _delete_buffer),
    "detach-client": Command("aE:s:t:P", 0, 0, _detach_client),
    "display-message": Command("ac:d:INpt:F:v", 0, 1, _display_message),
    "has-session": Command("t:", 0, 0, _has_session),
    "if-shell": Command("bFt:", 2, 3, _if_shell),
    "kill-pane": Command("at:", 0, 0, _kill_window),
    "kill-server": Command("", 0, 0, _kill_server),
    "kill-session": Command("aCt:", 0, 0, _kill_session),
    "kill-window": Command("at:", 0, 0, _kill_window),
    "list-clients": Command("F:t:", 0, 0, _list_clients),
    "list-panes": Command("asF:f:t:", 0, 0, _list_panes),
    "list-sessions": Command("F:f:", 0, 0, _list_sessions),
    "list-windows": Command("F:f:at:", 0, 0, _list_windows),
    "load-buffer": Command("b:t:w", 1, 1, _load_buffer),
    "new-session": Command("Ac:dDe:EF:f:n:Ps:t:x:Xy:", 0, None, _new_session),
    "new-window": Command("abc:de:F:kn:PSt:", 0, None, _new_window),
    "paste-buffer": Command("db:prs:t:", 0, 0, _paste_buffer),
    "pipe-pane": Command("IOot:", 0, 1, _pipe_pane),
    "rename-window": Command("t:", 1, 1, _rename_window),
    "respawn-pane": Command("c:e:kt:", 0, None, _respawn),
    "respawn-window": Command("c:e:kt:", 0, None, _respawn),
    "select-window": Command("lnpTt:", 0, 0, _select_window),
    "send-keys": Command("FHlMN:Rt:X", 0, None, _send_keys),
    "set-option": Command("aFgopqst:uUw", 1, 2, _set_option),
    "show-options": Command("AgHpqst:vw", 0, 1, _show_options),
    "source-file": Command("Fnqv", 1, None, _source_file),
    "start-server": Command("", 0, 0, _start_server),
    "switch-client": Command("lc:EFnpt:rT:Z", 0, 0, _switch_client),
}
"""Every command that there is."""

STARTING = frozenset({"attach-session", "new-session", "start-server"})
"""Commands whose client starts a server where none answers."""
