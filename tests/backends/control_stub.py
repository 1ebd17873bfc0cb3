#!/usr/bin/env python3
"""A program that answers like `tmux -C`, as its plan in $STUB says: a word for each request that it reads, then `answer`.

`answer` says what was asked, `tell` notifies before and after that, `late` says it before the next answer, `murmur` the same
with a notification in it, `garbage` says what is no answer, `early` answers as if it were not attached yet, `end` ends, `leave`
answers and ends, `sip` answers and reads five bytes more, `block` makes reading its standard input block, as tmux does before
it ends, and reads no more.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from itertools import chain, count, repeat

NUMBERS = count(1)


def say(text: str) -> None:
    """Write the reply to one command."""
    number = next(NUMBERS)
    sys.stdout.write(f"%begin 1 {number} 1\n{text}%end 1 {number} 1\n")
    sys.stdout.flush()


def typed() -> Iterator[str]:
    """Each line of standard input, which does not block, like that of tmux."""
    rest = b""
    while select.select([0], [], []) and (data := os.read(0, 65536)):
        *lines, rest = (rest + data).split(b"\n")
        yield from (line.decode() + "\n" for line in lines)


def requests() -> Iterator[tuple[list[str], str]]:
    """Each request's commands but the last, and the nonce that the last one asks for."""
    asked: list[str] = []
    for line in typed():
        if line.startswith("display-message -p "):
            yield asked, line.split('"')[1]
            asked = []
        else:
            asked.append(line)


KEEPER = sys.argv[sys.argv.index("-s") + 1]


def answer_to(line: str) -> str:
    """Which session it is attached to; of everything else, what was asked."""
    return f"{KEEPER}\n" if "#{client_session}" in line else line


owed: list[str] = []
for word, (lines, nonce) in zip(chain(os.environ["STUB"].split(), repeat("answer")), requests(), strict=False):
    replies = [*([] if word == "early" else map(answer_to, lines)), f"{nonce}\n"]
    if word == "early":
        replies.insert(0, "\n")
    if word in ("late", "murmur"):
        owed += [replies[0], *(["%window-close @1\n"] if word == "murmur" else []), *replies[1:]]
    elif word in ("answer", "early", "tell", "leave", "sip"):
        notify = f"%{nonce[:4]}\n" if word == "tell" else ""
        sys.stdout.write(notify)
        for reply in owed + replies:
            if reply.startswith("%"):
                sys.stdout.write(reply)
            else:
                say(reply)
        sys.stdout.write(notify)
        sys.stdout.flush()
        owed = []
        if word == "leave":
            sys.exit(0)
        if word == "sip":
            os.read(0, 5)
            signal.pause()
    elif word == "garbage":
        sys.stdout.write("%begin 1 1 1\nno end\n")
        say(f"{nonce}\n")
    elif word == "block":
        os.set_blocking(0, True)
        signal.pause()
    elif word == "end":
        sys.stdout.write("%exit\n")
        sys.exit(0)
