"""Which flags each command of tmux takes, and which of them a value: where a command line's payload begins.

As `tmux list-commands` of 3.3a tells them. A command that is not here, and a flag that a command has not, begin the payload.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CLIENT_FLAGS", "VERB_FLAGS", "verbs_that_begin"]

CLIENT_FLAGS = "2CDdlNquUvVc:f:L:S:T:t:"
"""The flags before a command, as for `getopt`; `-t` is one of psmux alone."""

VERB_FLAGS: Mapping[str, str] = MappingProxyType(
    dict(
        re.findall(
            r"(\S+)=(\S*)",
            """
            attach-session=dErxc:f:t: bind-key=nrN:T: break-pane=abdPF:n:s:t: capture-pane=aCeJNPpqb:E:S:t:
            choose-buffer=NrZF:f:K:O:t: choose-client=NrZF:f:K:O:t: choose-tree=GNrswZF:f:K:O:t: clear-history=t:
            clear-prompt-history=T: clock-mode=t: command-prompt=1bFikNI:p:T:t: confirm-before=bp:t: copy-mode=eHMqus:t:
            customize-mode=NZF:f:t: delete-buffer=b: detach-client=aPE:s:t: display-menu=Oc:T:t:x:y:
            display-message=aINpvc:d:F:t: display-popup=BCEb:c:d:e:h:S:s:T:t:w:x:y: display-panes=bNd:t:
            find-window=CiNrTZt: has-session=t: if-shell=bFt: join-pane=bdfhvl:s:t: kill-pane=at: kill-server=
            kill-session=aCt: kill-window=at: last-pane=deZt: last-window=t: link-window=abdks:t: list-buffers=F:f:
            list-clients=F:t: list-commands=F: list-keys=1aNP:T: list-panes=asF:f:t: list-sessions=F:f: list-windows=aF:f:t:
            load-buffer=b:t: lock-client=t: lock-server= lock-session=t: move-pane=bdfhvl:s:t: move-window=abdkrs:t:
            new-session=ADdEPXc:e:F:f:n:s:t:x:y: new-window=abdkPSc:e:F:n:t: next-layout=t: next-window=at:
            paste-buffer=dprb:s:t: pipe-pane=IOot: previous-layout=t: previous-window=at: refresh-client=cDLlRSUA:B:C:f:t:
            rename-session=t: rename-window=t: resize-pane=DLMRTUZt:x:y: resize-window=AaDLRUt:x:y: respawn-pane=kc:e:t:
            respawn-window=kc:e:t: rotate-window=DUZt: run-shell=bCd:t: save-buffer=ab: select-layout=Enopt:
            select-pane=DdeLlMmRUZT:t: select-window=lnpTt: send-keys=FHlMRXN:t: send-prefix=2t: server-access=adlrwt:
            set-buffer=awb:n:t: set-environment=Fghrut: set-hook=agpRuwt: set-option=aFgopqsUuwt: set-window-option=aFgoqut:
            show-buffer=b: show-environment=ghst: show-hooks=gpwt: show-messages=JTt: show-options=AgHpqsvwt:
            show-prompt-history=T: show-window-options=gvt: source-file=Fnqv split-window=bdefhIPvZc:e:F:l:t: start-server=
            suspend-client=t: swap-pane=DdUZs:t: swap-window=ds:t: switch-client=ElnprZc:T:t: unbind-key=anqT:
            unlink-window=kt: wait-for=LSU
            """,
        )
    )
)
"""The flags of each command, as for `getopt`: a colon behind those that take a value."""


def verbs_that_begin(word: str) -> list[str]:
    """The names of commands that begin with `word`; that name alone if it is one."""
    return [word] if word in VERB_FLAGS else [name for name in VERB_FLAGS if name.startswith(word)]
