"""The text form of a plan: what it accepts, and how it says what is wrong and where."""

from __future__ import annotations

import random
import string

import pytest

from faults import (
    Always,
    Die,
    Exit,
    Fault,
    FaultPlan,
    FaultPlanError,
    OsError,
    Pass,
    Percent,
    Raise,
    Term,
    Timeout,
    Times,
)

READ = {
    "list_window_ids=2*pass->1*timeout(30)": Fault(
        "list_window_ids", (Term(Pass(), Times(2)), Term(Timeout(30), Times(1)))
    ),
    "new_window=1*lost:timeout(30)": Fault("new_window", (Term(Timeout(30), Times(1), lost=True),)),
    "*=oserror(EIO)": Fault("*", (Term(OsError("EIO")),)),
    'transport.list-windows=exit(1, "a; b -> c")': Fault("transport.list-windows", (Term(Exit(1, "a; b -> c")),)),
    "mux.list_*=12.5%*lost:die": Fault("mux.list_*", (Term(Die(), Percent(12.5), lost=True),)),
    "engine.boot=raise(OSError)": Fault("engine.boot", (Term(Raise("OSError"), Always()),)),
    'window_alive[session=run-?,window_id="@1,]"]=pass': Fault(
        "window_alive", (Term(Pass()),), {"session": "run-?", "window_id": "@1,]"}
    ),
    "kill_window[target==run-1:*]=pass": Fault("kill_window", (Term(Pass()),), {"target": "=run-1:*"}),
    "disk.write:state=1*oserror(ENOSPC)->1*pass->oserror(EIO)": Fault(
        "disk.write:state", (Term(OsError("ENOSPC"), Times(1)), Term(Pass(), Times(1)), Term(OsError("EIO")))
    ),
}


@pytest.mark.parametrize(("text", "fault"), READ.items(), ids=list(READ))
def test_a_rule_reads_as_the_fault_that_it_says(text: str, fault: Fault) -> None:
    """Text and value are the same thing, both ways."""
    assert FaultPlan.parse(text) == FaultPlan((fault,))
    assert FaultPlan((fault,)).to_text() == text


def test_rules_are_separated_by_semicolons() -> None:
    """Several rules make one plan, in order."""
    assert [fault.point for fault in FaultPlan.parse("has_session=pass;version=pass").faults] == [
        "has_session",
        "version",
    ]


def test_blank_text_is_the_plan_without_faults() -> None:
    """Nothing planned is a plan as well."""
    assert FaultPlan.parse(" \n") == FaultPlan()
    assert FaultPlan().to_text() == ""


def test_white_space_between_the_parts_does_not_matter() -> None:
    """A long plan can be laid out over several lines."""
    spread = ' list_window_ids [ session = run-1 ] = 2 * pass\n -> 1 * lost: exit ( 1 ,"x" ) ;\n version = 5 % * hang '

    assert (
        FaultPlan.parse(spread).to_text()
        == 'list_window_ids[session=run-1]=2*pass->1*lost:exit(1, "x");version=5%*hang'
    )


WRONG = [
    ("list_window_idz=timeout", 0, "list_window_ids"),
    ("has_session=pass; mux.new_windw=hang", 18, "mux.new_window"),
    ("list_window_ids=timout", 16, "timeout"),
    ("window_alive[sesion=x]=pass", 13, "session"),
    ("engine.boot=raise(OsErorr)", 12, "OSError"),
    ("has_session=oserror(ENOSPCC)", 20, "ENOSPC"),
    ("signal.boot=signal(SIGTRM)", 19, "SIGTERM"),
    ("disk.write:stat=die", 0, "disk.write:state"),
    ("transport.list-window=hang", 0, "transport.list-windows"),
    ("agent.dy=occur", 0, "agent.die"),
    ("clock.tik=jump(1)", 0, "clock.tick"),
    ("has_session=1*pass->2*occur", 20, "output"),
    ("list_window_ids=raise(NoSuch)", 16, "leak.list_window_ids"),
    ("list-windws=hang", 0, "transport.list-windows"),
    ("write:stat=die", 0, "disk.write:state"),
]


@pytest.mark.parametrize(("text", "position", "nearest"), WRONG, ids=[text for text, _, _ in WRONG])
def test_a_wrong_name_is_an_error_with_position_and_nearest_name(text: str, position: int, nearest: str) -> None:
    """Whoever mistyped sees where, and what was probably meant."""
    with pytest.raises(FaultPlanError) as refused:
        FaultPlan.parse(text)

    assert (refused.value.position, refused.value.nearest) == (position, nearest)
    assert f"position {position}: " in str(refused.value)
    assert repr(nearest) in str(refused.value)


def test_an_exception_that_is_like_none_is_answered_with_those_there_are() -> None:
    """The nearest of many names that are nothing like it would be a riddle."""
    with pytest.raises(
        FaultPlanError, match=r"'NoSuch'; known are Python's, as ValueError, .* NestedGroup$"
    ) as refused:
        FaultPlan.parse("engine.boot=raise(NoSuch)")

    assert refused.value.nearest is None


@pytest.mark.parametrize("text", ["raise(NoSuch)", "timeout", "has_session=pass; timeout(3)"])
def test_what_happens_without_where_is_told_so(text: str) -> None:
    """The name of an action is no unknown point, and the bracket after it is no mistake."""
    with pytest.raises(FaultPlanError, match="is what happens; say first at which point, as in POINT=") as refused:
        FaultPlan.parse(text)

    assert refused.value.position == max(text.find("timeout"), 0)


MALFORMED = [
    ("has_session", 11),
    ("=pass", 0),
    ("has_session=", 12),
    ("has_session=pass;", 17),
    ("has_session=pass,version=pass", 16),
    ("has_session=timeout(", 20),
    ("has_session=timeout()", 20),
    ("has_session=timeout(x)", 20),
    ("has_session=timeout(-1)", 20),
    ("has_session=timeout(1e999)", 20),
    ("has_session=oserror", 12),
    ("has_session=hang(1)", 17),
    ("has_session=hang()", 17),
    (f"has_session={'9' * 5000}*hang", 12),
    ("has_session=exit(1)", 18),
    ("has_session=exit(1, 'x')", 20),
    ('has_session=exit(1, "x)', 20),
    ("has_session=0*pass", 12),
    ("has_session=1.5*pass", 12),
    ("has_session=0%*hang", 12),
    ("has_session=101%*hang", 12),
    ("has_session[name=x=pass", 23),
    ("has_session[name=a,name=b]=pass", 19),
    ("has_session[=a]=pass", 12),
    ("has_session=lost:pass", 12),
    ("has_session=timeout->1*pass", 21),
    ("has_session=50%*timeout->pass", 25),
]


@pytest.mark.parametrize(("text", "position"), MALFORMED, ids=[text[:40] for text, _ in MALFORMED])
def test_what_the_grammar_does_not_allow_is_an_error_with_its_position(text: str, position: int) -> None:
    """The error points at the first thing that does not fit."""
    with pytest.raises(FaultPlanError) as refused:
        FaultPlan.parse(text)

    assert refused.value.position == position


PIECES = (
    *("has_session", "mux.", "*", "=", "->", "lost:", "timeout", "(", ")", "[", "]", ",", ";", '"', "\\", "%*", "1"),
    *("9" * 5000, "exit(1,", "raise(", "engine.x", "é", "\ud800", "\0", "٣", "-", "e999", "{", *string.printable),
)
"""What garbage is made of: bits of plans, and what never belongs into one."""


def test_garbage_is_a_plan_or_a_plan_error_and_nothing_else() -> None:
    """Whatever somebody types, the reader neither crashes nor hangs."""
    dice = random.Random(20260101)
    for _ in range(500):
        text = "".join(dice.choices(PIECES, k=dice.randint(1, 12)))
        assert _position_of_error(text) in range(len(text) + 1)


def _position_of_error(text: str) -> int | None:
    try:
        FaultPlan.parse(text)
    except FaultPlanError as refused:
        return refused.position
    return 0


@pytest.mark.parametrize(
    ("text", "found"),
    [("new_window=delay(nan)", "'nan'"), ("new_window=2*", "the end"), ("new_window=delay()", "')'")],
)
def test_what_was_found_instead_is_one_word(text: str, found: str) -> None:
    """The brackets around a wrong number are no part of it."""
    with pytest.raises(FaultPlanError) as refused:
        FaultPlan.parse(text)
    assert str(refused.value).endswith(f"found {found}")
