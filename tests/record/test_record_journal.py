"""The journal: nothing acknowledged is lost, and nothing damaged takes something else with it."""

import errno
from pathlib import PurePosixPath

import pytest
from record_world import FailingDisk

from backends.clock import VirtualClock
from backends.disk import StrPath
from harness.record import Journal, read_journal
from harness.record.journal import parse_journal

PATH = "/j/journal.jsonl"


@pytest.fixture
def disk() -> FailingDisk:
    """An empty directory."""
    disk = FailingDisk()
    disk.mkdir("/j")
    return disk


def opened(disk: FailingDisk) -> Journal:
    """A journal as a new process has it."""
    return Journal(disk, PATH, VirtualClock())


def names(disk: FailingDisk) -> list[str]:
    """The events that can be read."""
    return [event["event"] for event in read_journal(disk, PATH).events]


def test_a_line_has_number_epoch_time_and_fields(disk: FailingDisk) -> None:
    """Lines are numbered from one, and say who wrote them when."""
    journal = opened(disk)
    journal.epoch = 3

    assert [journal.append("begun", path=PurePosixPath("/x")), journal.append("went-on", text="ä\n")] == [1, 2]
    first, second = read_journal(disk, PATH).events
    assert first == {"seq": 1, "epoch": 3, "at": VirtualClock().wall(), "event": "begun", "path": "/x"}
    assert second["text"] == "ä\n"


def test_numbers_go_on_in_the_next_process(disk: FailingDisk) -> None:
    """A number is never used twice, and never below what the snapshot has."""
    opened(disk).append("one")
    assert opened(disk).append("two") == 2
    journal = opened(disk)
    journal.at_least(7)

    assert journal.append("three") == 8


@pytest.mark.parametrize("name", ["seq", "epoch", "at"])
def test_a_line_keeps_its_own_fields(disk: FailingDisk, name: str) -> None:
    """No field given by the caller can forge the number, epoch or time of a line."""
    with pytest.raises(ValueError, match=rf"a journal line has its own \['{name}'\]\Z"):
        opened(disk).append("forged", other=1, **{name: 9})  # type: ignore[arg-type]  # the names are keyword arguments


def test_appending_is_durable_unless_told_otherwise(disk: FailingDisk) -> None:
    """Each line is synced, the first one with its directory entry."""
    journal = opened(disk)

    journal.append("first")
    journal.append("second")
    assert disk.unsynced() == disk.unsynced(1)
    journal.append("third", durable=False)
    assert len(disk.unsynced()) == len(disk.unsynced(1)) + 1


def test_a_journal_cut_at_every_byte_loses_only_the_last_line(disk: FailingDisk) -> None:
    """Whatever part of the last line is there, what was before it stays, and the next line is not swallowed."""
    journal = opened(disk)
    for name in ("one", "two", "three"):
        journal.append(name, text="\x1b[31m{ß")
    whole = disk.read(PATH)
    for length in range(len(whole) + 1):
        disk.remove(PATH)
        disk.write(PATH, whole[:length])
        opened(disk).append("next")
        found = [name for name in names(disk) if name != "journal-repaired"]
        complete = (whole[: length + 1] + b"\n").count(b"\n") - 1 if length else 0
        assert found == [*("one", "two", "three")[:complete], "next"], length


def test_a_torn_tail_is_closed_off_and_noted(disk: FailingDisk) -> None:
    """The repair is a line of the journal itself, and happens once."""
    opened(disk).append("one")
    disk.append(PATH, b'{"seq":2,"epo')

    opened(disk).append("two")
    opened(disk).append("three")

    assert names(disk) == ["one", "journal-repaired", "two", "three"]


@pytest.mark.parametrize(
    "garbage",
    [b"\0" * 50, b"\xff\xfe", b"[]", b"{}", b'"x"', b'{"seq":"1","epoch":1,"event":"x"}', b'{"seq":true,"epoch":1,"event":"x"}',
     b'{"seq":5,"epoch":1}', b'{"seq":-1,"epoch":1,"event":"x"}', b'{"seq":1,"epoch":1,"event":3}', b"[" * 3000,
     b'{"seq":1,"epoch":1,"event":"\\ud800"}'],
)  # fmt: skip
def test_a_line_that_is_no_event_is_skipped_with_a_note(garbage: bytes) -> None:
    """Garbage between two events is noted, and takes neither of them with it."""
    good = b'{"seq":%d,"epoch":1,"at":0,"event":"good"}'

    reading = parse_journal(good % 1 + b"\n" + garbage + b"\n" + good % 2 + b"\n")

    assert [event["seq"] for event in reading.events] == [1, 2]
    assert len(reading.notes) == 1


def test_an_event_behind_a_torn_one_is_found() -> None:
    """Where a line began in the middle of a torn one, it still counts."""
    reading = parse_journal(b'{"seq":1,"epoch":1,"ev{"seq":2,"epoch":1,"at":0,"event":"good"}\n')

    assert [event["seq"] for event in reading.events] == [2]


def test_an_event_is_found_behind_a_single_byte() -> None:
    """And beyond lines that are empty."""
    good = b'{"seq":%d,"epoch":1,"at":0,"event":"good"}'
    reading = parse_journal(b"x" + good % 1 + b"\n\n  \n" + good % 2 + b"\n")

    assert [event["seq"] for event in reading.events] == [1, 2]
    assert reading.notes == ["journal line 1 is damaged (42 bytes)"]
    assert (reading.torn, reading.damaged) == (False, True)


@pytest.mark.parametrize("number", [-1, 0, 1, 10**18 - 1, 10**18])
def test_a_line_has_possible_numbers(number: int) -> None:
    """Eighteen digits are as many as the name of a crash record has room for."""
    for line in (b'{"seq":%d,"epoch":1,"event":"x"}\n', b'{"seq":1,"epoch":%d,"event":"x"}\n'):
        assert bool(parse_journal(line % number).events) == (0 <= number < 10**18)


def test_a_journal_without_a_line_tells_nothing() -> None:
    """Neither an event nor anything odd."""
    reading = parse_journal(b"")

    assert (reading.events, reading.notes, reading.torn, reading.damaged, reading.last) == (
        [],
        [],
        False,
        False,
        (0, 0),
    )


def test_the_highest_numbers_of_a_journal_need_not_stand_on_one_line() -> None:
    """Nor on the last one."""
    line = b'{"seq":%d,"epoch":%d,"event":"x"}\n'

    assert parse_journal(line % (9, 1) + line % (3, 2) + line % (4, 1)).last == (2, 9)


@pytest.mark.parametrize("taken", [0, 1, 20])
def test_a_short_write_is_finished_or_raised(disk: FailingDisk, taken: int) -> None:
    """A disk that takes part of a line is given the rest; one that takes nothing is an error, and swallows nothing."""

    class Short(FailingDisk):
        def append(self, path: object, data: bytes) -> int:
            assert len(self.done) < 1000, "nobody asks for ever"
            return super().append(PATH, data[:taken])

    short = Short()
    short.mkdir("/j")
    if taken == 0:
        with pytest.raises(OSError, match="no more"):
            opened(short).append("lost")
    else:
        opened(short).append("one", text="x" * 100)
        assert names(short) == ["one"]


def test_after_a_failed_append_the_next_one_is_whole(disk: FailingDisk) -> None:
    """A line that failed half-way is closed off by the next one, which has another number."""
    journal = opened(disk)
    journal.append("one")
    disk.append(PATH, b'{"torn')
    disk.fails = lambda operation, path: errno.ENOSPC if operation == "append" else None
    with pytest.raises(OSError, match="ENOSPC"):
        journal.append("two")
    disk.fails = lambda operation, path: None

    assert journal.append("three") == 3
    assert names(disk) == ["one", "three"]


@pytest.mark.parametrize(
    ("torn", "notes"),
    [
        (b'{"seq":2,"epo', ["journal line 2 lacks its end (13 bytes)"]),
        (b'{"seq":2,"epoch":1,"at":0,"event":"x"}', ["the last line lacked its end"]),
        (b"x\n" * 25 + b"y", [f"journal line {number} is damaged (1 bytes)" for number in range(2, 22)]),
    ],
)
def test_a_repair_says_what_was_odd(disk: FailingDisk, torn: bytes, notes: list[str]) -> None:
    """As far as twenty notes go."""
    opened(disk).append("one")
    disk.append(PATH, torn)
    opened(disk).append("two")

    (repair,) = [event for event in read_journal(disk, PATH).events if event["event"] == "journal-repaired"]
    assert repair["notes"] == notes


def test_every_line_is_scrubbed_before_anybody_sees_it(disk: FailingDisk) -> None:
    """In the file and in the tail."""
    journal = Journal(disk, PATH, VirtualClock(), scrub=lambda line: line.replace(b"secret", b"..."))
    journal.append("one", text="a secret")

    assert [event["text"] for event in (*read_journal(disk, PATH).events, *journal.tail())] == ["a ..."] * 2
    assert journal.tail()[0]["epoch"] == 1


def test_the_directory_is_synced_with_the_first_line_only(disk: FailingDisk) -> None:
    """Its entry is there from then on."""
    for _ in range(2):
        journal = opened(disk)
        for name in ("one", "two"):
            journal.append(name)

    assert disk.done.count(("fsync", "/j")) == 1
    assert disk.done.count(("fsync", PATH)) == 4


def test_a_line_that_was_cut_short_is_closed_off_by_the_next_one() -> None:
    """Also by the same writer."""

    class Filling(FailingDisk):
        room = 10**6

        def append(self, path: StrPath, data: bytes) -> int:
            taken = super().append(path, data[: self.room]) if self.room else 0
            self.room -= taken
            return taken

    disk = Filling()
    disk.mkdir("/j")
    journal = opened(disk)
    journal.append("one")
    disk.room = 5
    with pytest.raises(OSError, match="the journal takes no more") as raised:
        journal.append("lost")
    disk.room = 10**6
    journal.append("two")

    error = raised.value
    assert (error.errno, error.strerror, error.filename) == (errno.ENOSPC, "the journal takes no more", PATH)
    assert names(disk) == ["one", "two"]


def test_the_tail_of_a_journal_that_was_there_is_bounded_too(disk: FailingDisk) -> None:
    """However many are asked for."""
    for count in (40, 30):
        journal = opened(disk)
        for number in range(count):
            journal.append("event", number=number)

    assert len(journal.tail(100)) == 50


def test_the_tail_is_the_newest_fifty(disk: FailingDisk) -> None:
    """The tail is at hand in the writing process, and read from the file in another."""
    journal = opened(disk)
    for number in range(60):
        journal.append("event", number=number)

    for tail in (journal.tail(), opened(disk).tail()):
        assert [event["number"] for event in tail] == list(range(10, 60))
    assert [event["number"] for event in journal.tail(2)] == [58, 59]
    assert journal.tail(0) == []


def test_one_event_of_the_tail_is_the_last(disk: FailingDisk) -> None:
    """However few are asked for."""
    journal = opened(disk)
    for number in range(3):
        journal.append("event", number=number)

    assert [event["number"] for event in journal.tail(1)] == [2]
    assert journal.tail(-1) == []


def test_an_unreadable_journal_has_no_tail(disk: FailingDisk) -> None:
    """A crash record is made even where the journal cannot be read."""
    disk.plant_fifo(PATH)

    assert opened(disk).tail() == []
    with pytest.raises(OSError, match="Invalid argument"):
        opened(disk).append("x")


@pytest.mark.parametrize("value", ["\ud800", 2**70, float("nan"), {1: {2, 3}}, b"\xff", object(), [ValueError("x")]])
def test_any_value_can_be_journaled(disk: FailingDisk, value: object) -> None:
    """What JSON cannot carry is made plain."""
    opened(disk).append("odd", value=value)

    assert names(disk) == ["odd"]


def test_a_torn_tail_that_was_closed_off_is_not_noted_again(disk: FailingDisk) -> None:
    """The line about the repair tells of it; a damaged line that none follows is missed for good."""
    opened(disk).append("one")
    disk.append(PATH, b'{"seq":2,"epo')
    before = read_journal(disk, PATH)
    opened(disk).append("two")
    after = read_journal(disk, PATH)

    assert before.notes == after.events[1]["notes"] == ["journal line 2 lacks its end (13 bytes)"]
    assert (after.notes, after.damaged) == ([], False)
    disk.append(PATH, b"garbage\n")
    opened(disk).append("three")
    assert read_journal(disk, PATH).notes == ["journal line 5 is damaged (7 bytes)"]
    assert read_journal(disk, PATH).damaged


def test_a_line_without_its_end_is_noted_and_is_no_damage() -> None:
    """Nobody was told that it was written; a line that has its end was acknowledged, and is missed."""
    torn, damaged = parse_journal(b'{"seq": 1, "ep'), parse_journal(b'{"seq": 1, "ep\n')

    assert (torn.notes, torn.torn, torn.damaged) == (["journal line 1 lacks its end (14 bytes)"], True, False)
    assert (damaged.notes, damaged.torn, damaged.damaged) == (["journal line 1 is damaged (14 bytes)"], False, True)


@pytest.mark.parametrize(
    "data",
    [b'{"seq":1,\n"epoch":1,"event":"e"}\n', b'{"seq":1,"epoch":1,"event":"e"}{"seq":2,"epoch":1,"event":"f"}\n'],
)
def test_a_line_is_one_event_and_an_event_is_one_line(data: bytes) -> None:
    """What is spread over two lines, or shares one, is damage, also where all of it could be read as a whole."""
    assert parse_journal(data).damaged
