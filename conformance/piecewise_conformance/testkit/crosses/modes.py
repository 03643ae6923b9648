"""The modes in which a model can be compiled and called, and a plan that combines them.

Most tests of the suite change one mode and leave the others plain. Faults also lie where two modes
meet, such as a function made again from bytes whose weights are exchanged. There are far too many
combinations to run, so the plan holds a few, chosen such that every two values of two modes (or
every three of three) occur together in at least one of them.
"""

from __future__ import annotations

import itertools
from dataclasses import astuple, dataclass

MODES: dict[str, tuple[str, ...]] = {
    "compiler": ("eager", "spy", "inductor", "compile-fx"),
    "origin": ("fresh", "loaded", "deserialized", "alongside"),
    "partition": ("fx", "in-inductor"),
    "graphs": ("none", "piecewise", "full"),
    "first": ("cold", "warm", "in-capture"),
    "inputs": ("in-place", "copied"),
    "threads": ("one", "two"),
    "weights": ("fixed", "exchanged"),
    "shapes": ("BACKED", "UNBACKED", "BACKED_SIZE_OBLIVIOUS"),
}


@dataclass(frozen=True)
class Cross:
    """One value for each mode.

    ``origin`` is where the compiled model comes from: a first start, a second one on the cache of
    the first (``loaded``), bytes (``deserialized``), or a process in which an equal model already
    runs (``alongside``). ``first`` tells what the first batch is: one that computes, one after a
    warm-up of every size, or one that is captured.
    """

    compiler: str
    origin: str
    partition: str
    graphs: str
    first: str
    inputs: str
    threads: str
    weights: str
    shapes: str

    @property
    def uses_inductor(self) -> bool:
        """Whether Inductor compiles the pieces."""
        return self.compiler in ("inductor", "compile-fx")

    def __str__(self) -> str:
        """The values that are not the plain ones, which come first in MODES."""
        told = [self.compiler, self.origin]
        for mode, values in list(MODES.items())[2:]:
            value = getattr(self, mode)
            told += [f"{mode}-{value}" if value == "two" else value] if value != values[0] else []
        return "-".join(told)


def _possible(cross: Cross) -> bool:
    """Whether the values can occur together."""
    if cross.compiler == "eager" and cross.origin == "loaded":
        return False  # nothing is compiled that a cache could hold
    if cross.partition == "in-inductor" and not cross.uses_inductor:
        return False
    if cross.graphs == "none":
        return cross.first != "in-capture"
    # The emulator sees operators, not the machine code that Inductor makes for a CPU; and threads
    # that capture at once would need a stream and a pool each.
    return not cross.uses_inductor and cross.threads == "one"


def plan(strength: int) -> list[Cross]:
    """Combinations in which every ``strength`` values of different modes that can occur together
    do so at least once.

    Greedy: each is the combination that shows most that no earlier one has shown, the first of
    them in the order of MODES, so that nothing is drawn.
    """
    possible = [each for each in map(Cross, *_columns()) if _possible(each)]
    shows = {
        cross: set(itertools.combinations(enumerate(astuple(cross)), strength))
        for cross in possible
    }
    left = set().union(*shows.values())
    chosen = []
    while left:
        best = max(possible, key=lambda cross: len(shows[cross] & left))
        chosen.append(best)
        left -= shows[best]
    return chosen


def _columns() -> list[tuple[str, ...]]:
    """All combinations of MODES, mode by mode."""
    return list(zip(*itertools.product(*MODES.values()), strict=True))
