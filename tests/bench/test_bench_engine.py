"""The benchmark of the engine measures what it says, and refuses what makes no sense."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from bench_engine import ROOT, Findings, bare, judged, layer_of, main, make_up, pieces, table, traced
from measuring import LayerClock, Measured, measure, positive, whole

from harness.engine.core import STEPS


def clock_of(*times_s: float) -> Callable[[], float]:
    """A clock that reads these times one after the other."""
    left: Iterator[float] = iter(times_s)
    return lambda: next(left)


FOUND = Findings(
    {"bare": Measured((0.002, 0.004, 0.003)), "judged": Measured((0.004, 0.012, 0.006))},
    {"engine": 0.75, "disk": 0.25},
    {"saves": 10, "ticks": 6},
    {"saves": Measured((3e-5,))},
)


def test_the_middle_and_the_quartiles_tell_of_the_rounds() -> None:
    """The median is the cost, the distance of the quartiles its noise, and one wild round changes neither much."""
    one = Measured((1.0, 2.0, 3.0, 4.0, 100.0))

    assert one.median_s == 3.0
    assert one.noise == pytest.approx(2 / 3)
    assert Measured((7.0,)).noise == 0.0


def test_a_ratio_is_taken_within_each_round() -> None:
    """A round in which the host was slow says as much about two things as any other."""
    assert FOUND.runs["judged"].ratio_to(FOUND.runs["bare"]) == 2.0


def test_subjects_take_turns_and_see_every_number_once() -> None:
    """Round after round, each for its time, once at least."""
    calls: list[tuple[str, int]] = []
    subjects: dict[str, Callable[[int], object]] = {
        "a": lambda number: calls.append(("a", number)),
        "b": lambda number: calls.append(("b", number)),
    }

    found = measure(subjects, rounds=2, seconds=2, now=clock_of(0, 1, 3, 10, 14, 20, 22, 30, 31, 36))

    assert calls == [("a", 0), ("a", 1), ("b", 0), ("a", 2), ("b", 1), ("b", 2)]
    assert found == {"a": Measured((1.5, 2.0)), "b": Measured((4.0, 3.0))}


def test_the_clock_is_read_seldom_for_what_costs_little() -> None:
    """After one call, two, four, eight: what reading it costs is nobody's."""
    calls: list[int] = []

    found = measure({"a": calls.append}, rounds=1, seconds=4, now=clock_of(0, 1, 2, 3, 4))

    assert calls == list(range(8))
    assert found == {"a": Measured((0.5,))}


def test_who_has_no_layer_counts_for_the_caller() -> None:
    """Time is added up by the innermost function that has a layer; what is measured in between takes none."""
    readings = iter(range(1000))
    with LayerClock(lambda file: "tests" if file == __file__ else None, lambda: next(readings)) as layers:
        json.dumps({"a": [1]}, indent=1)
        whole("1")

    assert set(layers.spent_s) == {"outside"}
    assert layers.shares() == {"outside": 1.0}


def test_a_function_with_a_layer_takes_its_own_time() -> None:
    """And gives it back when it returns."""
    readings = iter(range(1000))
    with LayerClock(lambda file: "tests" if file == __file__ else None, lambda: next(readings)) as layers:
        clock_of(1.0)
        json.dumps({"a": [1]}, indent=1)

    assert 0 < layers.spent_s["tests"] < layers.spent_s["outside"]
    assert sum(layers.shares().values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("file", "layer"),
    [
        ("backends/guard.py", "seam"),
        ("backends/memory_disk.py", "disk"),
        ("backends/simulation.py", "server"),
        ("harness/record/store.py", "record"),
        ("harness/engine/decide.py", "engine"),
        ("harness/scripted.py", "agents"),
        ("faults/ledger.py", None),
        ("../elsewhere/backends/guard.py", None),
    ],
)
def test_every_source_file_of_a_bare_run_has_a_layer(file: str, layer: str | None) -> None:
    """And files of others have none."""
    assert layer_of(str(ROOT / file)) == layer
    assert layer_of("<string>") is None


def test_all_three_kinds_of_run_finish_the_same_plan() -> None:
    """Bare, traced and judged: three tasks are done, in the same virtual time."""
    report = judged(1)

    assert [one.phase for one in bare(1).tasks] == [one.phase for one in traced(1).tasks] == ["done"] * 3
    assert report.status.name == "FINISHED"


def test_what_a_run_consists_of_is_counted() -> None:
    """Every piece that is measured by itself is one of the things that are counted."""
    counts = make_up()

    assert pieces().keys() <= counts.keys()
    assert all(count > 0 for count in counts.values())
    assert counts["steps"] > len(STEPS)


def test_the_table_tells_rates_ratios_and_pieces() -> None:
    """As people read them."""
    told = table(FOUND).splitlines()

    assert [line.split() for line in told if line.startswith("  bare")] == [["bare", "333", "3.00", "33.3%", "1.00"]]
    assert [line.split() for line in told if line.startswith("  saves")] == [["saves", "10", "30.0", "10.0%"]]
    assert [line.split() for line in told if line.startswith("  ticks")] == [["ticks", "6"]]


def test_json_tells_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """A short run of the whole thing writes one document, and nothing else."""
    assert main(["--rounds", "1", "--seconds", "0.001", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["runs"]["bare engine"]["ratio_to_bare"] == 1.0
    assert sum(document["layers"].values()) == pytest.approx(1.0, abs=0.01)
    assert document["counts"]["ticks"] == make_up()["ticks"]


@pytest.mark.parametrize("garbage", ["0", "-1", "1.5", "", "x", "1e3", "9" * 30, "\u0663"])
def test_a_number_of_rounds_is_whole(garbage: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else ends the benchmark before it begins."""
    with pytest.raises(SystemExit, match="2"):
        main([f"--rounds={garbage}"])

    assert "expected a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("garbage", ["0", "-1", "nan", "inf", "", "x", "1e9"])
def test_seconds_are_a_positive_number(garbage: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else ends the benchmark before it begins."""
    with pytest.raises(SystemExit, match="2"):
        main([f"--seconds={garbage}"])

    assert "expected a number of seconds" in capsys.readouterr().err
    assert positive("0.5") == 0.5
