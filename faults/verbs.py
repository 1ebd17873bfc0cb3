"""The command verbs of the multiplexers, which are the points of the `transport` layer."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["ASKING_VERBS", "TRANSPORT_VERBS", "verb_of"]

TRANSPORT_VERBS = tuple(
    re.findall(
        r"\S+",
        """
        attach-session bind-key break-pane capture-pane choose-buffer choose-client choose-tree clear-history
        clear-prompt-history clock-mode command-prompt confirm-before copy-mode customize-mode delete-buffer detach-client
        display-menu display-message display-panes display-popup find-window has-session if-shell join-pane kill-pane
        kill-server kill-session kill-window last-pane last-window link-window list-buffers list-clients list-commands
        list-keys list-panes list-sessions list-windows load-buffer lock-client lock-server lock-session move-pane
        move-window new-session new-window next-layout next-window paste-buffer pipe-pane previous-layout previous-window
        refresh-client rename-session rename-window resize-pane resize-window respawn-pane respawn-window rotate-window
        run-shell save-buffer select-layout select-pane select-window send-keys send-prefix server-access set-buffer
        set-environment set-hook set-option set-window-option show-buffer show-environment show-hooks show-messages
        show-options show-prompt-history show-window-options source-file split-window start-server suspend-client swap-pane
        swap-window switch-client unbind-key unlink-window version wait-for
        """,
    )
)
"""Command verbs of tmux 3.3a (`tmux list-commands`), and `version` for `tmux -V`."""

ASKING_VERBS = ("list-", "has-", "display-", "show-", "capture-", "version")
"""What the verbs that change nothing begin with."""

_CONDITIONAL = re.compile(r'if-shell -F \S+ "([a-z-]+)"')

_FLAGS_WITH_VALUE = frozenset("cfLSTt")
"""Global flags that take a value, either in the same word or in the next; `-t` is one of psmux alone."""


def verb_of(argv: Sequence[str]) -> tuple[str, int]:
    """The first command verb in a client's argv, and the index of the word after the global flags.

    `-V` counts as the verb `version`; without a verb a client means `new-session`. A command behind a condition, as the tmux
    backend gives its changes, counts as itself.
    """
    at = 1
    while at < len(argv):
        word = argv[at]
        if not word.startswith("-") or word in ("-", "--"):
            behind = _CONDITIONAL.match(" ".join(argv[at : at + 4])) if word == "if-shell" else None
            return word if behind is None else behind[1], at
        value_at = next((i for i, letter in enumerate(word[1:], 1) if letter in _FLAGS_WITH_VALUE), None)
        if "V" in (word[1:] if value_at is None else word[1:value_at]):
            return "version", at
        at += 2 if value_at == len(word) - 1 else 1
    return "new-session", len(argv)
