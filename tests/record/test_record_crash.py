"""A crash record is made of any exception whatever, within bounds."""

import threading
from collections.abc import Callable

import pytest

from harness.record import CrashContext, build_crash_record, crash_text, describe
from harness.record.plain import encode
from harness.record.redact import Redactor

NOTHING_SECRET = Redactor({})


class BadStr(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class WorseStr(Exception):
    """An exception whose text is control flow."""

    def __str__(self) -> str:
        raise SystemExit(3)


class NoStr(Exception):
    """An exception whose text is no text."""

    def __str__(self) -> str:
        return 3  # type: ignore[return-value]  # that it is not a string is what is tested


class EvilText(str):
    """Text that lies about itself."""

    __slots__ = ()

    def __len__(self) -> int:
        raise ValueError("no length")

    def __getitem__(self, key: object) -> str:
        raise ValueError("no part")

    def encode(self, *args: object) -> bytes:
        """Not encodable."""
        raise ValueError("no bytes")


class EvilStr(Exception):
    """An exception whose text is a hostile string."""

    def __str__(self) -> str:
        return EvilText("shown all the same")


class BadNotes(Exception):
    """An exception whose notes cannot be read."""

    @property
    def __notes__(self) -> list[str]:  # type: ignore[override]  # that it cannot be read is what is tested
        raise ValueError("no notes")


def raised_by(function: Callable[[], None]) -> BaseException:
    """What `function` raises."""
    try:
        function()
    except BaseException as exc:  # noqa: BLE001  # an exception of any kind is what is asked for
        return exc
    raise AssertionError("nothing was raised")


def raised(make: Callable[[], BaseException]) -> BaseException:
    """The exception with a traceback, as the engine catches it."""

    def fail() -> None:
        raise make()

    return raised_by(fail)


def cycle() -> BaseException:
    """Two exceptions that caused each other."""
    one, other = ValueError("one"), KeyError("other")
    one.__cause__, other.__cause__ = other, one
    return one


def long_chain() -> BaseException:
    """Three thousand causes."""
    exc: BaseException = ValueError("first")
    for number in range(3000):
        later = ValueError(f"cause {number}")
        later.__cause__ = exc
        exc = later
    return exc


def deep_group() -> BaseException:
    """A group within a group, three hundred deep."""
    group: Exception = ValueError("innermost")
    for number in range(300):
        group = ExceptionGroup(f"group {number}", [group, KeyError(number)])
    return group


def recursion() -> BaseException:
    """What a runaway recursion leaves, with its thousand frames."""

    def deeper() -> None:
        deeper()

    try:
        deeper()
    except RecursionError as exc:
        return exc
    raise AssertionError("it did not recurse")


def noted() -> BaseException:
    """An exception with notes of every kind."""
    exc = ValueError("noted")
    exc.__notes__ = ["a note", 3, "\ud800", None, "x" * 10**6]  # type: ignore[list-item]  # hostile on purpose
    return exc


EXCEPTIONS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "plain": (lambda: ValueError("boom"), "ValueError: boom"),
    "no-message": (ValueError, "ValueError"),
    "unprintable": (BadStr, "BadStr: BadStr"),
    "control-flow-as-text": (WorseStr, "WorseStr: WorseStr"),
    "no-text": (NoStr, "NoStr: NoStr"),
    "hostile-text": (EvilStr, "EvilStr: shown all the same"),
    "bad-notes": (BadNotes, "BadNotes"),
    "surrogates": (lambda: ValueError("a\ud800b"), "ValueError: a\\ud800b"),
    "escapes": (lambda: ValueError("\x1b]52;c;x\x07\u202e\x9b"), "ValueError: \\x1b]52;c;x\\x07\\u202e\\x9b"),
    "lines": (lambda: ValueError("one\ntwo\r\tthree"), "ValueError: one\\ntwo\\r\\tthree"),
    "cycle": (cycle, "ValueError: one"),
    "long-chain": (long_chain, "ValueError: cause 2999"),
    "deep-group": (deep_group, "ExceptionGroup: group 299 (2 sub-exceptions)"),
    "recursion": (recursion, "RecursionError: maximum recursion depth exceeded"),
    "memory": (MemoryError, "MemoryError"),
    "exit": (lambda: SystemExit(3), "SystemExit: 3"),
    "generator-exit": (GeneratorExit, "GeneratorExit"),
    "interrupt": (KeyboardInterrupt, "KeyboardInterrupt"),
    "notes": (noted, "ValueError: noted"),
    "bytes": (lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "UnicodeDecodeError: 'utf-8' codec can't"),
    "strange-name": (type("Bad\x1bName\n", (Exception,), {}), "Bad\\x1bName"),
}


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_any_exception_is_described_and_recorded(name: str) -> None:
    """Type and message in one line, a record that is JSON and a text that is UTF-8, all of bounded size."""
    make, shown = EXCEPTIONS[name]
    exc = raised(make)

    line = describe(exc, NOTHING_SECRET)
    record = build_crash_record(exc, run_id="r", epoch=1, seq=2, redactor=NOTHING_SECRET)

    assert line.startswith(shown)
    assert line.isprintable()
    assert len(line) < 3000
    assert record["error"] == line
    assert record["exceptions"][0]["error"] == line
    assert not [part for part in record.values() if str(part).startswith("not recorded")]
    assert len(encode(record)) <= 1 << 20
    assert len(crash_text(record).encode()) <= 1 << 21


def test_fifty_megabytes_of_message_are_cut() -> None:
    """The beginning of a huge message is kept, and its length."""
    line = describe(ValueError("x" * 50_000_000), NOTHING_SECRET)

    assert line.startswith("ValueError: xxx")
    assert "50000000 characters" in line
    assert len(line) < 3000


def test_causes_contexts_members_and_notes_are_recorded() -> None:
    """What an exception came from is in the record, each with its relation."""

    def fail() -> None:
        try:
            raise KeyError("context")
        except KeyError:
            group = ExceptionGroup("several", [OSError("member")])
            group.add_note("look here")
            raise group from ValueError("cause")

    record = build_crash_record(raised_by(fail), redactor=NOTHING_SECRET)

    found = {(item["relation"], item["error"]) for item in record["exceptions"]}
    assert found >= {("raised", "ExceptionGroup: several (1 sub-exception)"), ("cause", "ValueError: cause")}
    assert ("member", "OSError: member") in found
    assert record["exceptions"][0]["notes"] == ["look here"]
    assert "look here" in crash_text(record)


def test_an_exception_while_handling_another_names_it() -> None:
    """Without a cause the context is recorded, unless it was suppressed."""

    def fail() -> None:
        try:
            raise KeyError("context")
        except KeyError:
            raise ValueError("later")  # noqa: B904  # that it has no `from` is what is tested

    record = build_crash_record(raised_by(fail), redactor=NOTHING_SECRET)

    assert [item["relation"] for item in record["exceptions"]] == ["raised", "context"]


def test_frames_name_the_place_and_no_local_variable() -> None:
    """The traceback says where, and never what the variables held."""

    def fail() -> None:
        password = "pass" + "phrase-1234"
        raise ValueError(len(password))

    record = build_crash_record(raised_by(fail), redactor=NOTHING_SECRET)

    frames = record["exceptions"][0]["frames"]
    assert "in test_frames_name_the_place_and_no_local_variable.<locals>.fail: raise ValueError" in frames[-1]
    assert b"passphrase" not in encode(record)


def test_every_thread_is_in_the_record() -> None:
    """A thread that waits somewhere is shown where it waits."""
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait, name="waiting-one")
    thread.start()
    try:
        record = build_crash_record(ValueError(), redactor=NOTHING_SECRET)
    finally:
        leave.set()
        thread.join()

    stacks = {item["name"]: item["frames"] for item in record["threads"]}
    assert "wait" in stacks["waiting-one"][-1]
    assert threading.main_thread().name in stacks


def test_the_last_calls_and_events_are_kept() -> None:
    """Two hundred seam calls and fifty events, the newest of them."""
    calls = [f"call {number}" for number in range(500)]
    events = [{"event": f"event {number}"} for number in range(80)]

    record = build_crash_record(ValueError(), CrashContext(seam_calls=calls), journal=events, redactor=NOTHING_SECRET)

    assert record["seam_calls"] == calls[-200:]
    assert record["journal"] == events[-50:]


def test_a_context_of_hostile_data_is_bounded() -> None:
    """Cycles, foreign objects and megabytes in the context are made plain, and the error survives."""
    loop: list[object] = []
    loop.append(loop)
    much = dict.fromkeys(map(str, range(2000)), "x" * 10**6)
    extra = {"loop": loop, "object": object(), "much": much, 3: BadStr()}

    record = build_crash_record(ValueError("kept"), CrashContext.of(extra), redactor=NOTHING_SECRET)  # type: ignore[arg-type]  # a key that is no name

    assert len(encode(record)) <= 1 << 20
    assert record["error"] == "ValueError: kept"
    assert record["exceptions"][0]["error"] == "ValueError: kept"


def test_each_exception_of_a_cycle_is_recorded_once() -> None:
    """Causes that name each other are two exceptions, not endless ones."""
    record = build_crash_record(cycle(), redactor=NOTHING_SECRET)

    assert [item["error"] for item in record["exceptions"]] == ["ValueError: one", "KeyError: 'other'"]


def test_a_record_that_would_be_too_large_keeps_what_tells_most() -> None:
    """Of forty exceptions with megabytes of notes the first ones stay, and it is said that others went."""
    members = [ValueError(str(number)) for number in range(40)]
    for member in members:
        member.__notes__ = ["n" * 2000] * 20

    record = build_crash_record(ExceptionGroup("many", members), redactor=NOTHING_SECRET)

    assert len(encode(record)) <= 1 << 20
    assert (record["shortened"], record["exceptions"][1]["error"]) == (True, "ValueError: 0")


def test_a_cycle_in_the_context_ends() -> None:
    """What contains itself is followed a few levels, and then no more."""
    loop: dict[str, object] = {"name": "x"}
    loop["again"] = loop

    record = build_crash_record(ValueError(), CrashContext(extra=loop), redactor=NOTHING_SECRET)

    assert record["extra"]["again"]["again"]["name"] == "x"
    assert encode(record).count(b'"again"') < 20


def test_a_mapping_becomes_a_context() -> None:
    """Known keys fill the fields, the others go into `extra`."""
    context = CrashContext.of({"server": "tmux 3.3a", "faults": ["x"], "plan": "a", "extra": {"seed": 1}})

    assert (context.server, context.faults, context.extra) == ("tmux 3.3a", ["x"], {"seed": 1, "plan": "a"})


def test_a_context_of_wrong_types_costs_only_that_part() -> None:
    """What cannot be recorded says so, and the rest is there."""
    context = CrashContext.of({"seam_calls": 3, "versions": 4, "backend": 5})

    record = build_crash_record(ValueError("kept"), context, redactor=NOTHING_SECRET)

    assert record["seam_calls"] == "not recorded: TypeError"
    assert record["error"] == "ValueError: kept"
    assert crash_text(record).startswith("CRASHED: ValueError: kept\n")
