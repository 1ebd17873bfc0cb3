"""What stands where in a crash record and in its text, to the letter: programs and people read it when nothing else is left."""

from __future__ import annotations

import _thread
import importlib.metadata
import platform
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from harness.record import CrashContext, build_crash_record, crash_text, describe
from harness.record.crash import isolated, redactor_of
from harness.record.plain import encode
from harness.record.redact import Redactor

PLAIN = Redactor({})
EURO = "\u20ac"


def built(exc: BaseException | None = None, context: CrashContext | None = None, **facts: Any) -> dict[str, Any]:
    """The record of an exception, with nothing secret about it."""
    return build_crash_record(exc or ValueError("boom"), context, redactor=PLAIN, **facts)


def cut(length: int, limit: int, letter: str = "x") -> str:
    """How a text of that length is shown."""
    return letter * limit + f"... ({length} characters in all)"


def test_a_record_begins_with_what_it_is_about() -> None:
    """Its shape, the run, the drive, the number, the time, and the nested run's own record."""
    record = built(run_id="r-1", epoch=2, seq=7, at=1.5, child="nested/c", free_bytes=9)

    head = {"schema": 1, "run_id": "r-1", "epoch": 2, "seq": 7, "at": 1.5, "child": "nested/c"}
    assert {key: record[key] for key in head} == head
    assert (record["when"], record["free_bytes"]) == ("1970-01-01T00:00:01.500Z", 9)
    assert "shortened" not in record


def test_a_record_of_an_error_alone_has_every_part() -> None:
    """Empty where nothing is known."""
    record = built()

    nothing = {
        "run_id": "",
        "epoch": 0,
        "seq": 0,
        "at": 0.0,
        "child": None,
        "journal": [],
        "seam_calls": [],
        "faults": [],
    }
    nothing |= {"backend": "", "server": "", "host": {}, "free_bytes": None, "extra": {}}
    assert {key: record[key] for key in nothing} == nothing
    assert len(record["threads"]) == len(sys._current_frames())
    assert threading.main_thread().name in [thread["name"] for thread in record["threads"]]


def test_a_record_names_the_versions_of_what_it_ran_on() -> None:
    """The interpreter, the host, the libraries, and what the context adds."""
    versions = built(context=CrashContext(versions={"tmux": "3.3a"}))["versions"]

    libraries = {name: importlib.metadata.version(name) for name in ("seamripper", "msgspec", "psutil", "rich")}
    assert versions == {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **libraries,
        "tmux": "3.3a",
    }


@pytest.mark.parametrize(
    ("part", "context", "facts", "limit"),
    [
        ("seam_calls", {"seam_calls": ["x" * 9000]}, {}, 500),
        ("faults", {"faults": ["x" * 9000]}, {}, 1000),
        ("backend", {"backend": "x" * 9000}, {}, 4000),
        ("server", {"server": "x" * 9000}, {}, 4000),
        ("extra", {"extra": {"k": "x" * 9000}}, {}, 2000),
        ("journal", {}, {"journal": [{"k": "x" * 9000}]}, 1000),
        ("host", {}, {"host": {"k": "x" * 9000}}, 200),
        ("versions", {"versions": {"k": "x" * 9000}}, {}, 200),
    ],
)
def test_every_text_in_a_record_is_bounded(
    part: str, context: dict[str, Any], facts: dict[str, Any], limit: int
) -> None:
    """Its beginning is shown, and how long it was."""
    found = built(context=CrashContext(**context), **facts)[part]
    if isinstance(found, list):
        found = found[0]
    assert (found["k"] if isinstance(found, dict) else found) == cut(9000, limit)


def test_a_message_and_the_names_are_bounded() -> None:
    """Two thousand characters of a message or a note, two hundred of a name."""
    exc = type("E" * 300, (Exception,), {"__module__": "m" * 300})("x" * 2001)
    exc.add_note("x" * 2001)

    (found,) = built(exc)["exceptions"]

    assert found == {
        "relation": "raised",
        "of": None,
        "error": f"{cut(300, 200, 'E')}: {cut(2001, 2000)}",
        "module": cut(300, 200, "m"),
        "notes": [cut(2001, 2000)],
        "frames": [],
    }


@pytest.mark.parametrize(
    ("exc", "told"),
    [
        (ValueError(), "ValueError"),
        (ValueError(""), "ValueError"),
        (ValueError("one\ntwo\r\tthree"), "ValueError: one\\ntwo\\r\\tthree"),
        (type("Bad\nName", (Exception,), {})("x"), "Bad Name: x"),
    ],
)
def test_an_error_is_told_in_one_line(exc: BaseException, told: str) -> None:
    """By its type, and its message if it has one."""
    assert describe(exc, PLAIN) == told


def test_exceptions_are_told_breadth_first_with_whom_they_belong_to() -> None:
    """A cause hides the context, and so does `from None`."""
    first = ExceptionGroup("g", [KeyError("a"), OSError("b")])
    first.__cause__ = ValueError("cause")
    first.__context__ = TypeError("hidden")
    first.__cause__.__context__ = TypeError("shown")
    first.exceptions[1].__context__, first.exceptions[1].__suppress_context__ = TypeError("suppressed"), True

    found = [(item["relation"], item["of"], item["error"]) for item in built(first)["exceptions"]]

    assert found == [
        ("raised", None, "ExceptionGroup: g (2 sub-exceptions)"),
        ("cause", 0, "ValueError: cause"),
        ("member", 0, "KeyError: 'a'"),
        ("member", 0, "OSError: b"),
        ("context", 1, "TypeError: shown"),
    ]


@pytest.mark.parametrize(("members", "kept", "omitted"), [(39, 40, None), (40, 40, 1), (159, 40, 120), (500, 40, 120)])
def test_more_than_forty_exceptions_are_counted(members: int, kept: int, omitted: int | None) -> None:
    """As far as anybody looked for them."""
    found = built(ExceptionGroup("g", [ValueError(str(number)) for number in range(members)]))["exceptions"]

    told: dict[str, Any] = {
        "relation": "omitted",
        "of": None,
        "error": f"{omitted} more exceptions",
        "notes": [],
        "frames": [],
    }
    assert found[kept:] == ([] if omitted is None else [told])
    assert found[kept - 1]["error"] == f"ValueError: {kept - 2}"


def test_twenty_notes_are_kept() -> None:
    """The first ones; notes that are none, or cannot be read, are told as such."""

    class Unreadable(Exception):
        @property
        def __notes__(self) -> list[str]:  # type: ignore[override]  # that it cannot be read is what is tested
            raise ValueError("no notes")

    noted, odd = ValueError("x"), ValueError("x")
    noted.__notes__ = [str(number) for number in range(25)]
    odd.__notes__ = "text"  # type: ignore[assignment]  # hostile on purpose

    assert built(noted)["exceptions"][0]["notes"] == [str(number) for number in range(20)]
    assert built(odd)["exceptions"][0]["notes"] == built()["exceptions"][0]["notes"] == []
    assert built(Unreadable("x"))["exceptions"][0]["notes"] == ["(notes not readable)"]


def deep(levels: int) -> BaseException:
    """An exception that came through so many frames."""

    def deeper(left: int) -> None:
        if left > 1:
            deeper(left - 1)
        else:
            raise ValueError("deep")

    try:
        deeper(levels - 1)
    except ValueError as exc:
        return exc
    raise AssertionError("nothing was raised")


def test_of_many_frames_the_first_and_the_last_are_kept() -> None:
    """Fifteen where it began and sixty where it ended, each with its place and source."""
    whole, more = (built(deep(levels))["exceptions"][0]["frames"] for levels in (75, 76))

    assert len(whole) == 75
    assert whole[0].startswith(f"{__file__}:")
    assert whole[0].endswith(" in deep: deeper(levels - 1)")
    assert whole[-1].endswith(' in deep.<locals>.deeper: raise ValueError("deep")')
    assert len(more) == 76
    assert (more[14:16], more[16]) == ([whole[14], "... 1 frames left out ..."], whole[15])
    assert more[-1] == whole[-1]
    assert built(deep(300))["exceptions"][0]["frames"][15] == "... 225 frames left out ..."


def test_a_frame_of_no_file_has_a_place_all_the_same() -> None:
    """Also one whose name is hostile, or longer than anybody reads."""
    found = []
    for name in ("<made up>", "two\nlines", "n" * 600):
        try:
            exec(compile("raise ValueError", name, "exec"), {})
        except ValueError as exc:
            found.append(built(exc)["exceptions"][0]["frames"][-1])

    assert found == ["<made up>:1 in <module>: ", "two lines:1 in <module>: ", cut(616, 500, "n")]


class Source:
    """Loads a module that no file holds."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    def get_source(self, name: str) -> str:
        """The text, if there is one."""
        if self.text is None:
            raise ValueError("no source")
        return self.text


@pytest.mark.parametrize(("text", "shown"), [("  raise ValueError", "raise ValueError"), (None, "")])
def test_the_source_of_a_frame_comes_from_whatever_loaded_it(text: str | None, shown: str) -> None:
    """And where that fails, the place is told without it."""
    name = f"made-up-{text is None}.py"
    try:
        exec(compile("raise ValueError", name, "exec"), {"__name__": "made_up", "__loader__": Source(text)})
    except ValueError as exc:
        frame = built(exc)["exceptions"][0]["frames"][-1]

    assert frame == f"{name}:1 in <module>: {shown}"


def test_threads_are_told_from_their_outermost_frame_on() -> None:
    """With their name, and whether they keep the process from ending."""
    leave = threading.Event()
    threads = [threading.Thread(target=leave.wait, name=f"t-{daemon}", daemon=daemon) for daemon in (True, False)]
    threads.append(threading.Thread(target=leave.wait, name="n" * 300))
    for thread in threads:
        thread.start()
    try:
        found = {thread["name"]: thread for thread in built()["threads"]}
    finally:
        leave.set()
        for thread in threads:
            thread.join()

    assert cut(300, 200, "n") in found
    assert [found[f"t-{daemon}"]["daemon"] for daemon in (True, False)] == [True, False]
    assert " in Thread._bootstrap: " in found["t-True"]["frames"][0]
    assert " in Condition.wait: " in found["t-True"]["frames"][-1]


def test_sixty_four_threads_are_told() -> None:
    """Of more than that the rest is left out; one that Python's own module did not start has no name."""
    here, leave, left = threading.Event(), threading.Event(), threading.Event()
    before = [one["name"] for one in built()["threads"]].count("unknown")

    def nameless() -> None:
        here.set()
        leave.wait()
        left.set()

    _thread.start_new_thread(nameless, ())
    here.wait(10)
    threads = [threading.Thread(target=leave.wait) for _ in range(66)]
    found = built()["threads"]
    for thread in threads:
        thread.start()
    try:
        more = built()["threads"]
    finally:
        leave.set()
        for thread in threads:
            thread.join()
        left.wait(10)

    assert [one["daemon"] for one in found if one["name"] == "unknown"] == [False] * (before + 1)
    assert len(more) == 64


class Nameless(type):
    """Makes classes that do not say what they are called."""

    def __getattribute__(cls, name: str) -> Any:
        if name == "__qualname__":
            raise ValueError("no name")
        return super().__getattribute__(name)


def test_an_exception_of_no_name_is_an_exception() -> None:
    """Its message and the rest of the record are there; so is what can be read of one whose relations cannot."""

    class Unrelated(Exception):
        @property
        def __cause__(self) -> BaseException | None:  # type: ignore[override]  # that it cannot be read is what is tested
            raise ValueError("no cause")

    anonymous = Nameless("Anonymous", (Exception,), {})("boom")

    assert describe(anonymous, PLAIN) == "Exception: boom"
    assert [item["error"] for item in built(anonymous)["exceptions"]] == ["Exception: boom"]
    assert built(Unrelated("x"))["exceptions"][0]["error"].endswith("Unrelated: x")


def many(letter: str, count: int, length: int) -> list[str]:
    """So many texts of that length."""
    return [letter * length for _ in range(count)]


def test_a_record_that_is_too_large_loses_its_extras_first() -> None:
    """Exceptions with all their notes stay, and what is gone leaves its size."""
    members = [ValueError(str(number)) for number in range(18)]
    for member in members:
        member.__notes__ = many("n", 20, 2000)
    extra = {str(number): "x" * 2000 for number in range(190)}

    record = built(ExceptionGroup("g", members), CrashContext(extra=extra))

    assert record["shortened"] is True
    assert record["extra"] == f"left out: {len(encode({'': extra}))} bytes"
    assert len(record["exceptions"]) == 19
    assert isinstance(record["threads"][0], dict)


@contextmanager
def waiting(count: int) -> Iterator[None]:
    """Within, so many threads wait."""
    leave = threading.Event()
    threads = [threading.Thread(target=leave.wait) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        leave.set()
        for thread in threads:
            thread.join()


def test_a_record_that_is_far_too_large_keeps_the_newest_of_each_part() -> None:
    """Of the exceptions the first five, of all else the last: four threads, ten events, fifty calls."""
    members = [ValueError(str(number)) for number in range(39)]
    for member in members:
        member.__notes__ = many("n", 20, 2000)
    calls, events = [str(number) for number in range(90)], [{"event": str(number)} for number in range(40)]

    with waiting(6):
        record = built(ExceptionGroup("g", members), CrashContext(seam_calls=calls, faults=calls), journal=events)

    assert len(record["threads"]) == 4
    assert (record["seam_calls"], record["journal"], record["faults"]) == (calls[-50:], events[-10:], calls)
    assert [item["error"] for item in record["exceptions"][1:]] == [f"ValueError: {number}" for number in range(4)]
    assert len(encode(record)) <= 1 << 20


def test_what_is_left_of_a_record_that_nothing_makes_small_is_the_error() -> None:
    """Host and versions go last, and the exceptions stay."""
    much = {str(number): EURO * 200 for number in range(1900)}
    calls, events = [str(number) for number in range(90)], [{"event": str(number)} for number in range(40)]
    context = CrashContext(seam_calls=calls, faults=calls, versions=much, backend="fake", server="pid 1")

    record = built(context=context, journal=events, host=much)

    gone = ("extra", "threads", "journal", "seam_calls", "host", "versions")
    assert [name for name in gone if not str(record[name]).startswith("left out: ")] == []
    assert record["faults"] == calls[-10:]
    assert (record["error"], record["exceptions"][0]["error"]) == ("ValueError: boom", "ValueError: boom")
    assert (record["backend"], record["server"], record["shortened"]) == ("fake", "pid 1", True)


FULL: dict[str, Any] = {
    **{"error": "ValueError: boom", "run_id": "r\n1", "epoch": 2, "seq": 7, "when": "then", "child": "nested/c\n"},
    "exceptions": [
        {"relation": "raised", "of": None, "error": "G: g", "notes": ["look", "here"], "frames": ["a.py:1", "b.py:2"]},
        {"relation": "cause", "of": 0, "error": "E: cause", "notes": [], "frames": []},
        {"relation": "context", "of": 1, "error": "E: context", "notes": [], "frames": ["c.py:3"]},
        {"relation": "member", "of": 2, "error": "E: member", "notes": [], "frames": []},
        {"relation": "omitted", "of": None, "error": "3 more exceptions", "notes": [], "frames": []},
    ],
    "faults": ["one fault"],
    "seam_calls": [f"call {number}" for number in range(31)],
    "journal": [{"event": "x", "text": "two\nlines"}],
    **{"backend": "fake", "server": "pid 1", "host": {"name": "h"}, "free_bytes": 3, "versions": {"a": "1"}},
    "extra": {"k": "v"},
    "threads": [{"name": "t", "daemon": True, "frames": ["d.py:4", "e.py:5"]}, {"name": "u", "frames": []}],
}

TEXT = [
    "CRASHED: ValueError: boom",
    "run r\\n1, epoch 2, seq 7, then",
    "the nested run's own record: nested/c\\n",
    "",
    *("0. G: g", "   note: look", "   note: here", "     a.py:1", "     b.py:2"),
    "1. caused by E: cause",
    *("2. while handling E: context (of 1)", "     c.py:3"),
    "3. with member E: member (of 2)",
    "4. and 3 more exceptions",
    "",
    *("Faults:", "  one fault", ""),
    *("Last seam calls:", *(f"  call {number}" for number in range(1, 31)), ""),
    *("Last journal events:", '  {"event":"x","text":"two\\nlines"}', ""),
    *(
        "backend: fake",
        "server: pid 1",
        'host: {"name":"h"}',
        "free_bytes: 3",
        'versions: {"a":"1"}',
        'extra: {"k":"v"}',
    ),
    "",
    *("thread t:", "     d.py:4", "     e.py:5", "thread u:"),
    "",
]


def test_the_text_of_a_crash_tells_the_whole_record() -> None:
    """What happened, where, what went before; the thirty newest calls and events."""
    assert crash_text(FULL).split("\n") == TEXT


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({}, "CRASHED: None\nrun None, epoch None, seq None, None\n\nNone\n\n\n"),
        (
            {"error": "X", "run_id": "r", "epoch": 1, "seq": 2, "when": "then", "exceptions": "left out: 9 bytes",
             "seam_calls": "left out", "journal": [], "threads": "not recorded: X", "host": "left out: 3 bytes"},
            "CRASHED: X\nrun r, epoch 1, seq 2, then\n\nleft out: 9 bytes\n\nhost: left out: 3 bytes\n\n",
        ),
    ],
)  # fmt: skip
def test_what_is_not_in_a_record_is_not_in_its_text(record: Mapping[str, Any], text: str) -> None:
    """What was left out of it says so there, too."""
    assert crash_text(record) == text


def test_a_line_of_the_text_is_bounded() -> None:
    """A hundred thousand characters."""
    text = crash_text({"faults": ["x" * 100_001]})

    assert f"  {'x' * 100_000}... (1 more characters)\n" in text


def test_an_error_is_described_without_the_secrets_of_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless another redactor is given; what a step raises is told in the same words."""
    name, value = "SEAMRIPPER_TEST_CANARY", "canary-of-the-environment"
    monkeypatch.setenv(name, value)

    shown = [describe(ValueError(value)), describe(ValueError(value), PLAIN)]
    told = isolated(lambda: int(value))
    record = build_crash_record(ValueError(value), CrashContext(secrets=["another secret"], server="another secret"))

    assert shown == [f"ValueError: <env {name}>", f"ValueError: {value}"]
    assert told == f"ValueError: invalid literal for int() with base 10: '<env {name}>'"
    assert (record["error"], record["server"]) == (f"ValueError: <env {name}>", "<secret>")
    own = built(ValueError(value))
    assert own["error"] == own["exceptions"][0]["error"] == f"ValueError: {value}"


@pytest.mark.parametrize("flow", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_control_flow_passes_through_a_step(flow: type[BaseException]) -> None:
    """A step that goes through has nothing to tell."""

    def step() -> None:
        raise flow

    assert isolated(lambda: None) is None
    with pytest.raises(flow):
        isolated(step)


def test_a_redactor_is_made_once_for_the_same_secrets() -> None:
    """What is harmless makes no difference."""
    first = redactor_of({"HOME": "/home/one", "TOKEN": "tttttt"}, ["secret"])

    assert redactor_of({"HOME": "/home/two", "TOKEN": "tttttt"}, iter(["secret"])) is first
    assert redactor_of({"TOKEN": "uuuuuu"}, ["secret"]) is not first


def test_a_context_keeps_its_extras_apart() -> None:
    """Those that have no field go with them, and what is no mapping is none."""
    context = CrashContext.of({"faults": ("a", "b"), "extra": 3, "seed": 1})

    assert built(context=context)["faults"] == ["a", "b"]
    assert built(context=context)["extra"] == {"seed": 1}
