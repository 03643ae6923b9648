"""The alarm rule: what it must find, what it must not, and how often it does."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from piecewise_conformance.cli.main import main
from piecewise_conformance.history.alarm import correctness, judge, judge_night
from piecewise_conformance.history.entry import Entry
from piecewise_conformance.history.judging import findings
from piecewise_conformance.history.simulation import Noise, detection, drawn, false_alarms

CALM = [0.001 * (-1) ** n for n in range(28)]
NOISY = [0.06 * (-1) ** n for n in range(28)]


@pytest.mark.parametrize(
    ("history", "runs", "state"),
    [
        (CALM, [0.05, 0.06], "regression"),
        (CALM, [-0.05, -0.06], "gain"),
        (CALM, [0.05, 0.01], "same"),
        (CALM, [0.05, -0.05], "same"),
        (CALM, [0.02, 0.02], "same"),
        (NOISY, [0.2, 0.2], "same"),
        (NOISY, [0.3, 0.3], "regression"),
        (CALM[:9], [1.0, 1.0], "unknown"),
        (CALM, [0.05], "regression"),
    ],
    ids=[
        "worse",
        "better",
        "one-run",
        "disagree",
        "below-threshold",
        "within-noise",
        "beyond-noise",
        "short",
        "to-run-again",
    ],
)
def test_the_rule(history: list[float], runs: list[float], state: str) -> None:
    """Beyond the threshold and twice the noise, in both runs, in one direction."""
    assert judge(history, runs, 0.03).state == state


def test_a_slow_drift() -> None:
    """A drift that no two neighbouring nights show is found against the nights of weeks ago."""
    history = [0.0008 * n + value for n, value in enumerate(CALM * 3)]
    runs = [0.0008 * 84] * 2
    assert judge(history[-28:], runs, 0.03).state == "same"
    assert judge(history, runs, 0.03).state == "regression"


def slowed(entry: Entry, factor: float) -> Entry:
    """``entry`` as a machine measures it that is slower in all, limits included."""
    figures = tuple(
        dataclasses.replace(f, value=f.value * factor) if f.unit == "s" else f
        for f in entry.figures
    )
    return dataclasses.replace(entry, figures=figures)


def test_a_slower_machine_is_no_regression(synthetic: SimpleNamespace) -> None:
    """What the limits changed by is taken off; a figure that changed alone is found."""
    nights = [[synthetic.benchmarks(day)] for day in synthetic.days(30)]
    slow = [slowed(synthetic.benchmarks(synthetic.last), 1.5)] * 2
    found = judge_night([*nights[:-1], slow])
    assert {each.state for each in found.values()} == {"same"}
    alone = [synthetic.benchmarks(synthetic.last, slower=1.1)] * 2
    found = judge_night([*nights[:-1], [slowed(each, 1.5) for each in alone]])
    assert [key[1:3] for key, each in found.items() if each.state == "regression"] == [
        ("piecewise Inductor", 8)
    ]


def test_a_change_is_reported_once(synthetic: SimpleNamespace) -> None:
    """The first night has to be run again, then it is confirmed; the next one is silent."""
    days = list(synthetic.days(31))
    history = [synthetic.benchmarks(day) for day in days[:-2]]
    first = [synthetic.benchmarks(days[-2], slower=slower) for slower in (1.2, 1.21)]
    then = [synthetic.benchmarks(days[-1], slower=slower) for slower in (1.2, 1.21)]
    assert [each.confirmed for each in findings([*history, first[0]])] == [False]
    assert [each.confirmed for each in findings([*history, *first])] == [True]
    assert findings([*history, *first, *then]) == []


def test_another_machine_is_another_series(synthetic: SimpleNamespace) -> None:
    """The figures of another device have no baseline in those of this one."""
    entries = [synthetic.benchmarks(day) for day in synthetic.days(30)]
    entries[-1] = dataclasses.replace(slowed(entries[-1], 3), machine="NVIDIA A100")
    assert findings(entries) == []


def test_correctness(synthetic: SimpleNamespace) -> None:
    """A failure is an alarm, unless its twin on a released torch fails the same."""
    day = synthetic.last
    nightly = "2.14.0.dev20261128"
    bad = synthetic.report(day, torch=nightly, failing=("NUM-001",))
    more = synthetic.report(day, torch=nightly, failing=("NUM-001", "NUM-002"))
    twin = synthetic.report(day, failing=("NUM-001",))
    assert correctness(synthetic.report(day), None) == "fine"
    assert correctness(bad, None) == "alarm"
    assert correctness(bad, synthetic.report(day)) == "alarm"
    assert correctness(bad, twin) == "ours"
    assert correctness(more, twin) == "alarm"
    assert correctness(dataclasses.replace(bad, exit_status=3), twin) == "alarm"
    assert {each.state for each in findings([bad, twin])} == {"alarm", "ours"}


def test_on_recorded_noise() -> None:
    """At most one night in a hundred has a false alarm, on a machine that others kept busy."""
    assert false_alarms(Noise.load().corrected(), 100, seed=21) <= 1


def test_on_drawn_noise() -> None:
    """With a deviation of one percent, a step of 10 % is found within three nights as well."""
    noise = drawn(21).corrected()
    assert false_alarms(noise, 100, seed=21) <= 1
    _, ten, twenty, *_ = detection(noise, 80, seed=21)
    assert ten.found >= 0.95 * ten.trials
    assert twenty.found == twenty.trials


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """``history simulate`` prints a row for each kind of change."""
    assert main(["history", "simulate", "--nights", "2", "--trials", "2"]) == 0
    told = capsys.readouterr().out
    assert "nothing changed" in told
    assert told.count("step of") == 2 * 3
    assert told.count("drift of") == 2 * 2
