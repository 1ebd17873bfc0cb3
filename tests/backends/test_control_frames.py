"""What a control-mode client writes, read without believing what stands in it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.control_frames import Frame, Framing, Unreadable

NONCE = b"5d41402abc4b2a76b9719d911017c592"
ENDS = [b"%end 1795399550 7 1", b"%error 1795399550 7 1"]


def reply(number: int, text: bytes = b"", end: bytes = b"end") -> bytes:
    """What tmux writes for one command; `text` is whole lines."""
    name = b"1795399550 %d 1" % number
    return b"%begin " + name + b"\n" + text + b"%" + end + b" " + name + b"\n"


def framing(*data: bytes, limit: int = 1 << 20) -> Framing:
    """One that was fed with those pieces."""
    made = Framing(limit)
    for piece in data:
        made.feed(piece)
    return made


LINES = st.lists(
    st.sampled_from([b"", b"text", b"%exit", b"%begin 1795399550 7 1", b"%end 1795399550 6 1", *ENDS]), max_size=6
).map(lambda lines: b"".join(line + b"\n" for line in lines))


@given(text=LINES, cuts=st.lists(st.integers(0, 400), max_size=5), done=st.booleans())
def test_a_reply_is_what_the_command_wrote_however_it_looks_and_arrives(
    text: bytes, cuts: list[int], done: bool
) -> None:
    """Lines that look like its end, or the client's, are text; so is everything up to the last end before the nonce."""
    data = b"%window-add @1\n" + reply(7, text, b"end" if done else b"error") + reply(8, NONCE + b"\n") + b"%after\n"
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    read = framing(*(data[one:two] for one, two in pairwise(places)))

    # What ends otherwise than it really did was forged behind the true end's kind, and the last line is the true one.
    assert read.answered(NONCE) == [Frame(done, text)]
    assert read.notices() == [b"%window-add @1", b"%after"]
    assert read.exited is None


def test_the_commands_of_a_line_are_told_apart() -> None:
    """One frame for each that was tried; notifications may come between them."""
    read = framing(reply(7, b"one\n"), b"%sessions-changed\n", reply(8, b"no\n", b"error"), reply(9, NONCE + b"\n"))

    assert read.answered(NONCE) == [Frame(True, b"one\n"), Frame(False, b"no\n")]
    assert read.notices() == [b"%sessions-changed"]


def test_a_reply_that_never_ends_is_no_empty_one() -> None:
    """What it would have said is not known, and that it said nothing would be an answer."""
    read = framing(b"%begin 1795399550 7 1\n", reply(8, NONCE + b"\n"))

    with pytest.raises(Unreadable, match="without its end"):
        read.answered(NONCE)


@pytest.mark.parametrize("notice", [b"", b"%window-add @1\n"])
def test_what_is_dropped_with_a_reply_that_nobody_waits_for_is_told(notice: bytes) -> None:
    """Whoever relies on notifications has to know that some are gone."""
    read = framing(reply(7, b"one\n"), notice, reply(8, NONCE + b"\n"))
    forgotten = read.forget(NONCE)

    assert (forgotten, read.flooded, read.noticed) == (True, notice != b"", notice != b"")


@pytest.mark.parametrize("beginning", [b"", b"%begin 1795399550 8 1\nforged\n"], ids=["", "and its own beginning"])
@pytest.mark.parametrize("ending", ENDS)
def test_a_reply_that_forges_the_end_of_another_is_unreadable(ending: bytes, beginning: bytes) -> None:
    """Where the second command's text names the first one, it cannot be told what belongs to which."""
    read = framing(reply(7, b"one\n"), reply(8, ending + b"\n" + beginning), reply(9, NONCE + b"\n"))

    with pytest.raises(Unreadable):
        read.answered(NONCE)


@pytest.mark.parametrize(
    "data",
    [
        b"text\n",
        b"%end 1 2 1\n",
        reply(7) + b"text\n" + reply(8, NONCE + b"\n"),
        b"%begin 1 7 1\ntext\n" + reply(8, NONCE + b"\n"),
        reply(7) + b"%begin 1 8 1\n" + NONCE + b"\n%error 1 8 1\n",
        reply(7) + b"%begin 1 8 1\n" + NONCE + b"\n%end 1 9 1\n",
        b"\xff\x00\n" + reply(8, NONCE + b"\n"),
    ],
    ids=["text", "end", "text-between", "no-end", "nonce-in-error", "nonce-with-other-end", "bytes"],
)
def test_what_is_neither_reply_nor_notification_is_unreadable(data: bytes) -> None:
    """It is never skipped in the hope that the rest is sound."""
    with pytest.raises(Unreadable):
        framing(data).answered(NONCE)


def test_more_than_the_limit_is_unreadable() -> None:
    """Whether it is one endless line or many."""
    with pytest.raises(Unreadable):
        framing(b"%begin 1 7 1\n" + b"x" * 200, limit=100)
    with pytest.raises(Unreadable):
        framing(b"%begin 1 7 1\n" + b"x\n" * 100, limit=100)


def test_a_reply_that_is_not_whole_is_waited_for() -> None:
    """Up to the last byte of the line behind the nonce."""
    data = reply(7, b"one\n") + reply(8, NONCE + b"\n")
    read = framing()
    early = []
    for byte in data:
        early.append(read.answered(NONCE))
        read.feed(bytes([byte]))

    assert set(map(str, early)) == {"None"}
    assert read.answered(NONCE) == [Frame(True, b"one\n")]


def test_a_late_reply_is_dropped_with_its_nonce() -> None:
    """And is not taken for the answer to what was asked afterwards."""
    late = b"0" * 32
    read = framing(reply(7, b"late\n"), reply(8, late + b"\n"), reply(9, b"now\n"), reply(10, NONCE + b"\n"))

    assert not framing(reply(7, b"late\n")).forget(late)
    assert read.forget(late)
    assert read.answered(NONCE) == [Frame(True, b"now\n")]


def test_a_client_that_ends_says_why() -> None:
    """With a reason or without one."""
    assert framing(b"%exit\n").exited == b""
    assert framing(b"%exit server exited unexpectedly\n").exited == b"server exited unexpectedly"
    assert framing(b"%exited\n").exited is None
