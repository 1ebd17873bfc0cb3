"""The snapshot of a run, in this version's shape and in the older one."""

import itertools

import msgspec
import pytest

from harness.record import (
    Attempt,
    Crashed,
    CrashRef,
    Driver,
    Ending,
    Finished,
    NewerSchema,
    Paused,
    ProcessRef,
    RecordError,
    RunState,
    SessionOutcome,
    Stopped,
    TaskPhase,
    TaskState,
)
from harness.record.state import decode_state, encode_state

ENDINGS: list[Ending | None] = [
    None,
    Finished(deferred=["b"], failed=["make site"]),
    Paused("a needs a person", "escalated", "a"),
    Stopped("SIGTERM", 15),
    Crashed("ValueError: no", "crash/2-9.json", "nested/c"),
]


def full_state(ending: Ending | None = None) -> RunState:
    """A state in which every field is set."""
    attempt = Attempt(
        *(1, "f" * 32, "@3", 10.5, 20.5, SessionOutcome.TIMED_OUT, "late", 1, 9, False, 2, [ProcessRef(1000, 9.5)])
    )
    tasks = [TaskState("a", TaskPhase.DEFERRED, [attempt], "late", "do better", 99.5, "half"), TaskState("b")]
    driver = Driver(1000, 9.5, "boot-1", "simhost")
    crashes = [CrashRef(1, 4, "ValueError: no", "crash/1-4.json")]
    where = ("r-1", "/p", "fake", "sr-1", 1.5, 2.5, 2, 17, 1)
    return RunState(*where, driver, ending, tasks, "torn-down", crashes, ["a"], 3.5, ["r-2"], "r-0", "00")


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: type(ending).__name__)
def test_a_state_comes_back_equal(ending: Ending | None) -> None:
    """Document and JSON both give the state back, whatever its ending."""
    state = full_state(ending)

    assert RunState.from_dict(state.to_dict()) == state
    assert decode_state(encode_state(state)) == state


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: type(ending).__name__)
def test_the_json_is_the_document(ending: Ending | None) -> None:
    """`encode_state` is only a faster way to write `to_dict`."""
    state = full_state(ending)

    assert msgspec.json.decode(encode_state(state)) == state.to_dict()


def test_crashed_and_its_error_are_read_from_the_ending() -> None:
    """A state is crashed exactly where its ending is a crash."""
    assert [full_state(ending).crashed for ending in ENDINGS] == [False, False, False, False, True]
    assert [full_state(ending).crash_error for ending in ENDINGS][-1] == "ValueError: no"
    with pytest.raises(AttributeError):
        full_state().crashed = True  # type: ignore[misc]  # that it cannot be set is what is tested


@pytest.mark.parametrize("flags", list(itertools.product([False, True], repeat=4)))
def test_older_flags_that_contradict_each_other_have_a_winner(flags: tuple[bool, ...]) -> None:
    """Without `ending`, CRASHED beats STOPPED beats PAUSED beats FINISHED."""
    crashed, stopped, paused, finished = flags
    older = {"run_id": "r", "crashed": crashed, "crash_error": "X: y" if crashed else None, "stopped": stopped}
    older |= {"paused_reason": "why" if paused else None, "finished": finished}

    found = type(RunState.from_dict(older).ending)

    order = [(crashed, Crashed), (stopped, Stopped), (paused, Paused), (finished, Finished), (True, type(None))]
    assert found is next(kind for holds, kind in order if holds)


@pytest.mark.parametrize(
    ("older", "ending"),
    [
        ({"crashed": True}, Crashed("unknown error")),
        ({"crash_error": "X: y"}, Crashed("X: y")),
        ({"crashed": True, "crash_error": "X: y"}, Crashed("X: y")),
        ({"stopped": True}, Stopped("unknown")),
        ({"paused_reason": "why"}, Paused("why")),
        ({"paused_reason": "why", "paused_stage": "gate", "paused_task": "a"}, Paused("why", "gate", "a")),
        ({"finished": True}, Finished()),
        ({"finished": None, "stopped": None, "crashed": None, "crash_error": "", "paused_reason": ""}, None),
        ({"finished": True, "ending": {"kind": "stopped", "by": "x"}}, Stopped("x")),
        ({"finished": True, "ending": None}, None),
    ],
)
def test_an_older_document_tells_its_ending(older: dict[str, object], ending: Ending | None) -> None:
    """By its flags, unless it has an ending of its own."""
    assert RunState.from_dict({"run_id": "r", **older}).ending == ending


@pytest.mark.parametrize("flag", ["crashed", "stopped", "finished"])
def test_an_older_flag_that_is_none_is_refused(flag: str) -> None:
    """Whatever it may have meant."""
    with pytest.raises(RecordError) as raised:
        RunState.from_dict({"run_id": "r", flag: "no"})

    assert str(raised.value) == f"not a run's state: `{flag}` is neither true nor false"


@pytest.mark.parametrize("tasks", [{"a": 3}, {"a": {"key": 3}}, 7])
def test_older_tasks_that_make_no_sense_are_refused(tasks: object) -> None:
    """With an error of the record."""
    with pytest.raises(RecordError, match="not a run's state"):
        RunState.from_dict({"run_id": "r", "tasks": tasks})


def test_a_document_from_before_the_crash_keys_loads() -> None:
    """The oldest documents know no crash at all, and have their tasks as an object."""
    state = RunState.from_dict({"run_id": "r", "finished": True, "tasks": {"a": {"phase": "done"}}})

    assert (state.ending, state.schema) == (Finished(), 0)
    assert state.task("a").phase is TaskPhase.DONE


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: type(ending).__name__)
def test_older_keys_are_ignored_beside_an_ending(ending: Ending | None) -> None:
    """Where `ending` is there, even as null, the derived keys are not believed."""
    document = full_state(ending).to_dict() | {"crashed": True, "crash_error": "X", "finished": True, "stopped": True}

    assert RunState.from_dict(document).ending == ending


def test_derived_keys_tell_the_ending_to_older_readers() -> None:
    """Each ending sets its own older key and no other."""
    keys = ("crashed", "finished", "stopped", "paused_reason")

    told = [[bool(full_state(ending).to_dict()[key]) for key in keys] for ending in ENDINGS]

    assert [sum(row) for row in told] == [0, 1, 1, 1, 1]
    assert [full_state(ending).to_dict()["crash_error"] for ending in ENDINGS] == [None] * 4 + ["ValueError: no"]
    assert len({tuple(row) for row in told}) == len(ENDINGS)


@pytest.mark.parametrize("field", RunState.__struct_fields__)
@pytest.mark.parametrize("wrong", [object, 3.5, [[]], {"x": 1}, "text", True, -1, None], ids=repr)
def test_a_value_of_the_wrong_type_is_refused_or_valid(field: str, wrong: object) -> None:
    """Every field with every kind of value loads, or is refused with an error of the record; nothing else comes out."""
    document = full_state().to_dict() | {field: wrong}
    try:
        state = RunState.from_dict(document)
    except RecordError:
        return
    assert RunState.from_dict(state.to_dict()) == state


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"[]", b"\0" * 300, b"\xff\xfe", b"[" * 5000, b'{"run_id": 1}'])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    """Empty, NUL-filled, undecodable and foreign documents are one kind of error."""
    with pytest.raises(RecordError):
        decode_state(data)


def test_a_newer_schema_is_refused_and_named() -> None:
    """A document of a newer version is not half understood."""
    with pytest.raises(NewerSchema, match="schema 2"):
        RunState.from_dict(full_state().to_dict() | {"schema": 2})


def test_two_tasks_of_one_key_are_refused() -> None:
    """Keys name tasks, so they cannot repeat."""
    with pytest.raises(RecordError, match="same key"):
        RunState.from_dict({"run_id": "r", "tasks": [{"key": "a"}, {"key": "a"}]})


def test_rearming_clears_the_ending_and_keeps_the_crashes() -> None:
    """A new epoch has no ending, and the history of crashes."""
    state = full_state(Crashed("X"))

    state.rearm(3)

    assert (state.epoch, state.ending, state.teardown, state.crashed) == (3, None, None, False)
    assert [crash.seq for crash in state.crashes] == [4]
    with pytest.raises(ValueError, match="does not come after"):
        state.rearm(3)


def test_an_error_of_the_record_is_one_line_of_a_thousand_characters() -> None:
    """Whatever it says."""
    assert str(RecordError("a\nb\x1b")) == "a b\\x1b"
    assert str(RecordError("x" * 1000)) == "x" * 1000
    assert str(RecordError("x" * 1001)) == "x" * 1000 + "... (1 more characters)"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"[]", "a state is an object, not list"),
        (b'{"run_id":"r","tasks":[{"key":"a"},{"key":"a"}]}', "not a run's state: two tasks have the same key"),
        (b"", "not JSON: Input data was truncated"),
    ],
)
def test_what_is_wrong_with_a_document_is_told(data: bytes, told: str) -> None:
    """In one line."""
    with pytest.raises(RecordError) as raised:
        decode_state(data)

    assert str(raised.value) == told


@pytest.mark.parametrize("document", [[], 3, None])
def test_a_state_is_made_of_an_object_only(document: object) -> None:
    """Nothing else is looked into."""
    with pytest.raises(RecordError) as raised:
        RunState.from_dict(document)  # type: ignore[arg-type]  # hostile on purpose

    assert str(raised.value) == f"a state is an object, not {type(document).__name__}"


@pytest.mark.parametrize("left_out", [{"schema"}, {"ending"}, {"schema", "ending"}, set()])
def test_a_document_of_any_age_is_read_as_what_it_is(left_out: set[str]) -> None:
    """Without a schema it is of the older shape; its flags count only where it has no ending."""
    document = full_state(Stopped("x")).to_dict() | {"finished": True, "stopped": False}
    state = RunState.from_dict({key: value for key, value in document.items() if key not in left_out})

    assert state.schema == (0 if "schema" in left_out else 1)
    assert state.ending == (Finished() if "ending" in left_out else Stopped("x"))


def test_text_that_utf8_cannot_carry_is_escaped() -> None:
    """A lone surrogate in a reason is written visibly."""
    state = full_state(Crashed("X: \ud800"))

    assert decode_state(encode_state(state)).crash_error == "X: \\ud800"


def test_two_states_share_no_lists() -> None:
    """Defaults are made anew for each state."""
    one, other = RunState("a"), RunState("b")

    one.tasks.append(TaskState("t"))
    one.task("t").attempts.append(Attempt(1, "x"))

    assert (other.tasks, TaskState("t").attempts) == ([], [])
    with pytest.raises(KeyError, match="'t'"):
        other.task("t")


def test_a_task_is_found_wherever_it_stands_now() -> None:
    """Where it was found last is only where it is looked for first."""
    state = RunState("run-1", tasks=[TaskState("a"), TaskState("b")])
    assert state.task("b") is state.tasks[1]

    state.tasks.insert(0, TaskState("c"))
    assert [state.task(key).key for key in "abc"] == ["a", "b", "c"]
    del state.tasks[1:]
    with pytest.raises(KeyError):
        state.task("b")
    assert state == RunState("run-1", tasks=[TaskState("c")])
