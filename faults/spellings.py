"""Which verbs a command line of tmux means: names, aliases, prefixes of either's kind that fit one name only, and sequences.

Aliases and names are those of tmux 3.3a (`tmux list-commands`); `command-alias` is its default. A newer tmux may find a
prefix ambiguous that means something here, and then refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from faults.verbs import TRANSPORT_VERBS

__all__ = ["ALIASES", "UNKNOWN", "VALUE_FLAGS", "meant", "spellings", "verbs_in"]

VALUE_FLAGS = "cfLSTt"
"""Global flags that take a value, in the same word or in the next; `-t` is one of psmux alone."""

UNKNOWN = "unknown"
"""Stands for a word that is no verb, or an ambiguous one."""

ALIASES: Mapping[str, str] = MappingProxyType(
    dict(
        re.findall(
            r"([a-z-]+)=([a-z-]+)",
            """
                attach=attach-session bind=bind-key breakp=break-pane capturep=capture-pane clearhist=clear-history
                clearphist=clear-prompt-history confirm=confirm-before deleteb=delete-buffer detach=detach-client
                menu=display-menu display=display-message popup=display-popup displayp=display-panes findw=find-window
                has=has-session if=if-shell joinp=join-pane killp=kill-pane killw=kill-window lastp=last-pane
                last=last-window linkw=link-window lsb=list-buffers lsc=list-clients lscm=list-commands lsk=list-keys
                lsp=list-panes ls=list-sessions lsw=list-windows loadb=load-buffer lockc=lock-client lock=lock-server
                locks=lock-session movep=move-pane movew=move-window new=new-session neww=new-window nextl=next-layout
                next=next-window pasteb=paste-buffer pipep=pipe-pane prevl=previous-layout prev=previous-window
                refresh=refresh-client rename=rename-session renamew=rename-window resizep=resize-pane
                resizew=resize-window respawnp=respawn-pane respawnw=respawn-window rotatew=rotate-window run=run-shell
                saveb=save-buffer selectl=select-layout selectp=select-pane selectw=select-window send=send-keys
                setb=set-buffer setenv=set-environment set=set-option setw=set-window-option showb=show-buffer
                showenv=show-environment showmsgs=show-messages show=show-options showphist=show-prompt-history
                showw=show-window-options source=source-file splitw=split-window start=start-server
                suspendc=suspend-client swapp=swap-pane swapw=swap-window switchc=switch-client unbind=unbind-key
                unlinkw=unlink-window wait=wait-for
                split-pane=split-window splitp=split-window server-info=show-messages info=show-messages
                choose-window=choose-tree choose-session=choose-tree
                """,
        )
    )
)
"""The verb that each alias stands for; the last two lines are the option `command-alias`."""

_NAMES = frozenset(TRANSPORT_VERBS) - {"version"}


def meant(word: str) -> str:
    """The verb that `word` means to tmux: that of an alias, a name, or the only name that begins so; else `UNKNOWN`."""
    if word in ALIASES:
        return ALIASES[word]
    if word in _NAMES:
        return word
    fitting = [name for name in _NAMES if name.startswith(word)]
    return fitting[0] if len(fitting) == 1 else UNKNOWN


def spellings(verb: str) -> list[str]:
    """Every word that means `verb`."""
    words = {verb[:end] for end in range(1, len(verb) + 1)} | {short for short, name in ALIASES.items() if name == verb}
    return sorted(word for word in words if meant(word) == verb)


def verbs_in(argv: Sequence[str]) -> list[tuple[str, int]]:
    """The verbs of a client's argv in order, each with the index of its word.

    Commands are separated by a word that is or ends in `;` without a backslash before it. `-V` is the verb `version`; without
    any command a client means `new-session`.
    """
    at = 1
    while at < len(argv) and argv[at].startswith("-") and len(argv[at]) > 1:
        flags = argv[at][1:]
        at += 1
        if flags == "-":
            break
        value_at = next((i for i, letter in enumerate(flags) if letter in VALUE_FLAGS), None)
        if "V" in flags[:value_at]:
            return [("version", at - 1)]
        at += value_at == len(flags) - 1
    found = []
    begins = True
    for index in range(at, len(argv)):
        word = argv[index]
        ends = word.endswith(";") and not word.endswith("\\;")
        word = word[:-1] if ends else word
        if begins and (word or not ends):
            found.append((meant(word), index))
            begins = False
        begins = begins or ends
    return found or [("new-session", len(argv))]
