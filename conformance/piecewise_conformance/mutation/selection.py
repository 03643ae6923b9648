"""Which tests each mutant is run on.

Tests have three levels: tests of one part, tests of the whole backend, and slow tests (with
Inductor, or in fresh processes), which take seconds and are not traced. A fault is looked for at
the lowest level that reaches it. There a requirement that the mutant declares is judged by all its
tests. Of the other requirements a sample is run: one test of each requirement in the declared
families, and one test of every other family. ``thorough`` runs all of them.

Above that level only declared requirements are judged, and by slow tests only where no other test
judges them.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .catalogue import Mutant
from .instrument import statements_of

_PART, _WHOLE, _SLOW = range(3)
_CASES = 4  # of one test function, on a mutant that declares nothing


@dataclass(frozen=True)
class SuiteTest:
    """A test of the suite, and what it did on the instrumented reference."""

    node: str  # pytest's ID
    requirement: str
    slow: bool
    reached: tuple[str, ...]  # statements, as keys of core.coverage
    seconds: float = 0.0

    @property
    def family(self) -> str:
        """The family of the requirement."""
        return self.requirement.partition("-")[0]

    @property
    def level(self) -> int:
        """One part, the whole backend, or slow."""
        if self.slow:
            return _SLOW
        return _WHOLE if any(key.startswith("backend.py:") for key in self.reached) else _PART


def declaring_here(
    mutants: dict[str, Mutant], asked: set[str], *, on_gpu: bool
) -> dict[str, Mutant]:
    """The mutants as a run can judge them that asks the requirements ``asked`` only.

    Each declares what it must fail of those; a mutant that must fail none of them is left out.
    """
    found = {}
    for name, mutant in mutants.items():
        fails = mutant.fails | (mutant.fails_on_gpu if on_gpu else frozenset())
        if mutant.is_variant or fails & asked:
            found[name] = dataclasses.replace(mutant, fails=fails & asked)
    return found


def covering(mutants: dict[str, Mutant]) -> dict[str, Mutant]:
    """A few of the mutants, by which each requirement that any of them declares is failed.

    Greedy: next comes the one that declares most requirements that none before it does, quick
    ones first.
    """
    left = set().union(*(mutant.fails for mutant in mutants.values()))
    found = {}
    while left:
        best = max(mutants.values(), key=lambda each: (len(each.fails & left), not each.slow))
        found[best.name] = best
        left -= best.fails
    return found


class Selection:
    """Selects, for one mutant after another, among the tests of one run on the reference."""

    def __init__(self, tests: Iterable[SuiteTest], *, thorough: bool = False) -> None:
        self.thorough = thorough
        self.tests = sorted(tests, key=lambda test: test.node)  # the same sample each time
        self.slow = [test for test in self.tests if test.slow]
        self._reaching: dict[str, set[int]] = defaultdict(set)  # by statement, and by file
        for at, test in enumerate(self.tests):
            for key in test.reached:
                self._reaching[key].add(at)
                self._reaching[key.partition(":")[0]].add(at)

    def tests_of(self, mutant: Mutant) -> list[SuiteTest]:
        """The tests that ``mutant`` is run on."""
        reaching: dict[int, list[SuiteTest]] = defaultdict(list)
        places = [self._reaching[key] for key in statements_of(mutant) if key in self._reaching]
        for at in sorted(set().union(*places)):
            reaching[self.tests[at].level].append(self.tests[at])
        reaching[_SLOW] = self.slow
        level = _SLOW if mutant.slow else min(reaching)
        chosen = self._sampled(reaching[level], mutant.fails)
        for above in range(level + 1, _SLOW + 1):
            judged = {test.requirement for test in chosen} if above == _SLOW else set()
            chosen += [t for t in reaching[above] if t.requirement in mutant.fails - judged]
        return chosen

    def _sampled(self, tests: Sequence[SuiteTest], declared: frozenset[str]) -> list[SuiteTest]:
        """All tests of the requirements ``declared``, and a sample of the others.

        For a variant, which declares none, the sample has one test of each requirement. Of slow
        tests there is no sample; ``thorough`` takes one of each test function.
        """
        families = {requirement.partition("-")[0] for requirement in declared}
        kept: dict[tuple[str, str], SuiteTest] = {}
        for test in tests:
            near = not declared or test.family in families
            if test.requirement in declared or (self.thorough and not test.slow):
                kept[test.requirement, test.node] = test
            elif not test.slow:
                kept.setdefault((test.requirement if near else test.family, ""), test)
            elif self.thorough:
                kept.setdefault((test.requirement, test.node.partition("[")[0]), test)
        return list(kept.values())


class UntilKilled(Selection):
    """Selects for mutants that declare nothing, each of which is killed by its first failure.

    A mutant is run on the tests that reach what it changes, on a few cases of each test function;
    ``thorough`` runs all cases. Slow tests must have been traced.
    """

    def reached(self, mutant: Mutant) -> bool:
        """Whether any test reaches ``mutant``."""
        return any(key in self._reaching for key in statements_of(mutant))

    def tests_of(self, mutant: Mutant) -> list[SuiteTest]:
        """The tests that ``mutant`` is run on; one of each family if none reaches it."""
        places = [self._reaching[key] for key in statements_of(mutant) if key in self._reaching]
        cases: dict[str, list[SuiteTest]] = defaultdict(list)
        for at in sorted(set().union(*places)):
            cases[self.tests[at].node.partition("[")[0]].append(self.tests[at])
        if not cases:
            return list({t.family: t for t in reversed(self.tests) if not t.slow}.values())
        few = len(self.tests) if self.thorough else _CASES
        return [test for tests in cases.values() for test in tests[:: -(-len(tests) // few)]]
