"""What the alarm rule finds, and how often it is wrong: steps and drifts put into recorded noise.

Each simulated page has six series of forty figures. The noise of a night is that of one recorded
night, drawn by chance, all its figures, limits and both runs together: what they have in common,
they keep. ``noise.json`` was recorded by ``python -m piecewise_benchmarks noise``.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .alarm import FAR, LEAST, RECENT, THRESHOLD, judge, machine_part, night

NOISE = Path(__file__).parent / "noise.json"
SERIES = 6
WITHIN = 3  # nights

Night = tuple[list[float], list[float]]  # the runs of one figure, and what they add to the history


@dataclass(frozen=True)
class Noise:
    """Recorded nights: for each the runs, and for each of those the figures and the limits."""

    figures: Sequence[Sequence[Sequence[float]]]
    limits: Sequence[Sequence[Sequence[float]]]

    @classmethod
    def load(cls, path: Path = NOISE) -> Noise:
        """The recording in ``path``."""
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(content["figures"], content["limits"])

    def corrected(self) -> list[list[list[float]]]:
        """[night][run][figure], with the machine's part taken off."""
        usual = dict.fromkeys(range(len(self.limits[0][0])), 0.0)
        return [
            [
                [value - machine_part(dict(enumerate(limits)), usual) for value in figures]
                for figures, limits in zip(runs, of_limits, strict=True)
            ]
            for runs, of_limits in zip(self.figures, self.limits, strict=True)
        ]


def drawn(seed: int, deviation: float = 0.01, count: int = 300) -> Noise:
    """Normally distributed noise, on a machine whose speed differs by a fifth between nights."""
    rng = random.Random(seed)
    machine = [rng.gauss(0, 0.2) for _ in range(count)]

    def values(number: int) -> list[list[list[float]]]:
        return [
            [[slow + rng.gauss(0, deviation) for _ in range(number)] for _ in range(2)]
            for slow in machine
        ]

    return Noise(values(40), values(8))


def nights(noise: list[list[list[float]]], rng: random.Random) -> Iterator[list[list[float]]]:
    """Nights of one series without end: [figure][run]."""
    while True:
        chosen = rng.choice(noise)
        yield [list(runs) for runs in zip(*chosen, strict=True)]


def false_alarms(noise: list[list[list[float]]], count: int, seed: int) -> int:
    """How many of ``count`` nights have an alarm anywhere on the page, though nothing changed."""
    rng = random.Random(seed)
    wrong = set()
    for _ in range(SERIES):
        history: list[list[float]] = []
        for number, tonight in enumerate(nights(noise, rng), start=-FAR - RECENT):
            if number == count:
                break
            if number >= 0:
                for figure, runs in enumerate(tonight):
                    before = [each[figure] for each in history]
                    if judge(before, runs, THRESHOLD).state in ("regression", "gain"):
                        wrong.add(number)
                        break
            history.append([night(runs) for runs in tonight])
            del history[: -FAR - RECENT]
    return len(wrong)


def found_after(
    noise: list[list[list[float]]], figure: int, change: float, nights_of_it: int, seed: int
) -> int | None:
    """The night on which a change of one figure is found, from 1; None if it is not in time.

    ``change`` comes at once if ``nights_of_it`` is ``WITHIN``; else it grows by as much a night.
    """
    rng = random.Random(seed)
    source = nights(noise, rng)
    history = [night(next(source)[figure]) for _ in range(FAR + RECENT)]
    for number in range(1, nights_of_it + 1):
        grown = change if nights_of_it == WITHIN else change * number
        runs = [value + math.log1p(grown) for value in next(source)[figure]]
        if judge(history[-FAR - RECENT :], runs, THRESHOLD).state == "regression":
            return number
        history.append(night(runs))
    return None


@dataclass(frozen=True)
class Row:
    """One kind of change: how many trials found it, and after how many nights, by the median."""

    what: str
    trials: int
    found: int
    after: float | None


CHANGES = (
    ("step of 5 %, within 3 nights", 0.05, WITHIN),
    ("step of 10 %, within 3 nights", 0.10, WITHIN),
    ("step of 20 %, within 3 nights", 0.20, WITHIN),
    ("drift of 0.1 % a night, within 90", 0.001, 90),
    ("drift of 0.3 % a night, within 90", 0.003, 90),
)


def detection(noise: list[list[list[float]]], trials: int, seed: int) -> list[Row]:
    """A row for each kind of change, over trials that take the figures in turn."""
    rows = []
    for what, change, during in CHANGES:
        found = [
            found_after(noise, trial % len(noise[0][0]), change, during, seed + trial)
            for trial in range(trials)
        ]
        hits = [each for each in found if each is not None]
        rows.append(Row(what, trials, len(hits), median(hits) if hits else None))
    return rows


def table(what: str, noise: Noise, count: int, trials: int, seed: int) -> list[str]:
    """The lines that ``history simulate`` prints for one noise."""
    corrected = noise.corrected()
    wrong = false_alarms(corrected, count, seed)
    spreads = sorted(_spread(corrected, i) for i in range(len(corrected[0][0])))
    lines = [
        f"{what}: {len(corrected)} nights of {len(spreads)} figures; half the range of a figure "
        f"{spreads[0]:.1%} to {spreads[-1]:.1%}, median {median(spreads):.1%}",
        f"rule: both runs beyond {THRESHOLD:.0%} and twice the noise of {LEAST} to {RECENT} nights",
        "",
        f"{'nothing changed: nights with an alarm':38} {wrong:>5} of {count} "
        f"({SERIES * len(spreads)} figures)",
    ]
    for row in detection(corrected, trials, seed):
        after = f", after {row.after:g} nights (median)" if row.after is not None else ""
        lines.append(f"{row.what:38} {row.found:>5} of {row.trials}{after}")
    return lines


def _spread(noise: list[list[list[float]]], figure: int) -> float:
    values = sorted(night(run[figure] for run in runs) for runs in noise)
    cut = len(values) // 25
    return (values[-1 - cut] - values[cut]) / 2
