"""The three forms of a plan say exactly the same."""

from __future__ import annotations

import copy
import json
import pickle
import random

import pytest

from faults import (
    ACTIONS,
    Always,
    Exit,
    Fault,
    FaultPlan,
    FaultPlanError,
    Output,
    Percent,
    PointCatalog,
    Term,
    Timeout,
    Times,
    Trigger,
)
from faults.actions import Action, Form, form_of, parameters
from faults.catalog import LAYERS, LOSING_LAYERS

STRINGS = [
    "",
    "plain",
    'quo"ted',
    "back\\slash",
    "a;b->c=d,e]",
    "é日本🙂",
    "\ud800\udcff",
    "\0\n\t\x1b[0m",
    "\u2028",
    "%*",
]
GLOBS = ["*", "run-?", "=run-1:*", "@1", "a,b", "x]y", '"', "", " pad ", "é*", "\udcff", "\ud800\udcff", "->;="]
NUMBERS = [0, 1, 30, 0.1, 1e-9, 12.345678901234567, 2.0**53, 1e22, 1.7976931348623157e308, 5e-324]
CATALOG = PointCatalog(("boot",), supports=LAYERS)


def _value(form: Form, dice: random.Random) -> object:
    if form.is_seconds:
        return dice.choice(NUMBERS) * (-1 if form is Form.STEP and dice.random() < 0.5 else 1)
    choices: dict[Form, list[object]] = {
        Form.SIZE: [0, 1, 10**20],
        Form.STATUS: [0, 1, -9, 255],
        Form.TEXT: list(STRINGS),
        Form.ERRNO: ["EIO", "ENOSPC", "EWOULDBLOCK"],
        Form.SIGNAL: ["SIGTERM", "SIGHUP"],
        Form.EXCEPTION: ["OSError", "BadStr", "TransportTimeout"],
    }
    return dice.choice(choices[form])


def _action(kind: type[Action], dice: random.Random) -> Action:
    given = [one for one in parameters(kind) if one.default is not None or dice.random() < 0.7]
    return kind(**{one.name: _value(form_of(one), dice) for one in given})


def _plan(seed: int) -> FaultPlan:
    dice = random.Random(seed)
    faults = []
    for layer in dice.choices(["mux", "leak", "transport", "disk", "clock", "agent"], k=dice.randint(1, 4)):
        point = dice.choice([point for point in CATALOG.points() if point.startswith(layer)])
        kinds = sorted(CATALOG.actions_at(point), key=lambda kind: kind.keyword)
        where = {name: dice.choice(GLOBS) for name in sorted(CATALOG.arguments_at(point)) if dice.random() < 0.5}
        counted = [Times(dice.randint(1, 10**9)) for _ in range(dice.randint(0, 3))]
        last: Trigger = dice.choice([Always(), Times(1), Percent(dice.choice([100, 12.5, 1e-9, 0.1]))])
        terms = []
        for trigger in [*counted, last]:
            action = _action(dice.choice(kinds), dice)
            losable = action.losable and layer in LOSING_LAYERS
            terms.append(Term(action, trigger, losable and dice.random() < 0.5))
        faults.append(Fault(point.removeprefix("mux.") if dice.random() < 0.5 else point, tuple(terms), where))
    return FaultPlan(tuple(faults), dice.randint(-(10**12), 10**12))


@pytest.mark.parametrize("seed", range(60))
def test_the_three_forms_round_trip_exactly(seed: int) -> None:
    """Value to text to value, value to JSON to value, and the texts are fixed points."""
    plan = _plan(seed)

    from_text = FaultPlan.parse(plan.to_text(), plan.seed, CATALOG)
    from_json = FaultPlan.from_json(plan.to_json(), CATALOG)

    assert from_text == plan == from_json
    assert repr(from_text) == repr(plan) == repr(from_json)
    assert (from_text.to_text(), from_json.to_json()) == (plan.to_text(), plan.to_json())


def test_the_random_plans_use_every_action() -> None:
    """The round trip is tested with all that there is, on some seed."""
    used = {term.action.keyword for seed in range(200) for fault in _plan(seed).faults for term in fault.terms}

    # The random plans have no signal points: the next test has them.
    assert used >= set(ACTIONS) - {"signal"}


@pytest.mark.parametrize("text", ["engine.boot=1*raise(BadStr)->die", "signal.boot=2*pass->1*signal(SIGINT)"])
def test_checkpoint_rules_round_trip_as_well(text: str) -> None:
    """Points without arguments have the same three forms."""
    plan = FaultPlan.parse(text, 7)

    assert plan.to_text() == text
    assert FaultPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("text", STRINGS)
def test_the_text_form_is_one_printable_line(text: str) -> None:
    """A plan can be pasted into a bug report whatever its strings hold."""
    written = FaultPlan((Fault("transport.new-window", (Term(Exit(1, text)),), {"argv": text}),)).to_text()

    assert written.isprintable()
    assert written.encode("utf-8")


def test_json_is_plain_and_says_the_seed() -> None:
    """The JSON form is readable by other programs."""
    plan = FaultPlan((Fault("new_window", (Term(Timeout(30), Times(2), lost=True),), {"name": "a*"}),), seed=5)

    assert json.loads(plan.to_json()) == {
        "seed": 5,
        "faults": [
            {
                "point": "new_window",
                "where": {"name": "a*"},
                "terms": [{"action": "timeout", "seconds": 30.0, "times": 2, "lost": True}],
            }
        ],
    }


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "null",
        '{"seed": 1}',
        '{"faults": {}}',
        '{"faults": [], "sed": 1}',
        '{"faults": [], "seed": "1"}',
        '{"faults": [], "faults": []}',
        '{"faults": [{"point": "has_session"}]}',
        '{"faults": [{"point": "has_session", "terms": []}]}',
        '{"faults": [{"point": "has_sesion", "terms": [{"action": "hang"}]}]}',
        '{"faults": [{"point": 7, "terms": [{"action": "hang"}]}]}',
        '{"faults": [{"point": "has_session", "terms": [{"action": "hung"}]}]}',
        '{"faults": [{"point": "has_session", "terms": [{"action": "hang", "seconds": 1}]}]}',
        '{"faults": [{"point": "has_session", "terms": [{"action": "delay", "seconds": "1"}]}]}',
        '{"faults": [{"point": "has_session", "terms": [{"action": "delay", "seconds": NaN}]}]}',
        '{"faults": [{"point": "has_session", "terms": [{"action": "hang", "times": 1, "percent": 1}]}]}',
        '{"faults": [{"point": "has_session", "terms": [{"action": "hang"}, {"action": "hang"}]}]}',
        '{"faults": [{"point": "has_session", "where": {"name": 1}, "terms": [{"action": "hang"}]}]}',
        b"\xff",
        "[" * 100_000,
    ],
)
def test_a_wrong_document_is_a_plan_error(document: str | bytes) -> None:
    """Nothing but a plan comes out of JSON, and nothing but a plan error otherwise."""
    with pytest.raises(FaultPlanError):
        FaultPlan.from_json(document)


def test_a_plan_can_be_copied_and_sent() -> None:
    """Workers of a sweep get their plan as a value."""
    plan = _plan(3)

    assert pickle.loads(pickle.dumps(plan)) == plan == copy.deepcopy(plan)
    assert hash(plan) == hash(copy.deepcopy(plan))


def test_a_term_that_can_never_be_reached_is_refused_as_a_value_too() -> None:
    """The rule holds in every form."""
    with pytest.raises(FaultPlanError, match="never be reached"):
        Fault("has_session", (Term(Timeout()), Term(Output("x"), Times(1))))
