"""One pytest run in rounds: which tests a round is given depends on what came of those before.

xdist deals tests out once. Here the controller keeps them, gives each worker its next one when that
is needed, and asks for another round when one is through. So the workers keep what costs them most:
torch, the programs that they captured, the mutants that they planted. A test goes to the worker
that ran it in the round before, and what is left at the end to whoever has nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

Costs = Mapping[str, float]
"""The tests of a round, each with the seconds that it will take as far as that is known."""


class Pause(pytest.Item):
    """What stands between two rounds.

    A worker runs a test only once it knows which comes next. This is what comes next when nobody
    knows that yet; it runs, and does nothing, when the next round has begun.
    """

    def runtest(self) -> None:
        """Nothing."""


class Rounds:
    """A scheduler of xdist. ``next_round`` gives a round by the ids of all tests, or None."""

    def __init__(self, workers: int, next_round: Callable[[Sequence[str]], Costs | None]) -> None:
        self.workers, self.next_round = workers, next_round
        self.tests_finished = False
        self._tests: list[str] = []  # the last is the pause
        self._given: dict[Any, list[int]] = {}  # sent to a worker and not done, in order
        self._queues: dict[Any, list[int]] = {}  # to be sent to it, once it has told its tests
        self._ran: dict[int, Any] = {}
        self._costs: dict[int, float] = {}
        self._left: list[int] = []  # by workers that died, when there was no other

    # -- what xdist calls -----------------------------------------------------------------------

    @property
    def nodes(self) -> list[Any]:
        """The workers."""
        return list(self._given)

    @property
    def collection_is_completed(self) -> bool:
        """Whether all workers have told their tests."""
        return len(self._queues) >= self.workers

    @property
    def has_pending(self) -> bool:
        """Whether anything was given out that is not done."""
        return any(self._given.values())

    def add_node(self, node: Any) -> None:
        """A worker has started."""
        self._given[node] = []

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """It has told its tests, which are those of the others in the same order."""
        self._tests = self._tests or list(collection)
        if list(collection) != self._tests:
            raise RuntimeError("the workers of the matrix do not have the same tests")
        self._queues[node] = []
        left, self._left = self._left, []
        self._deal({index: self._costs[index] for index in left})

    def schedule(self) -> None:
        """All workers are there, at the beginning or again."""
        self._give()

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """A test is done."""
        self._given[node].remove(item_index)
        self._give()

    def remove_node(self, node: Any) -> str | None:
        """A worker has ended; the test in which it died, if it did. Others get what it had."""
        given = [each for each in self._given.pop(node) if each != self._pause]
        left = given[1:] + self._queues.pop(node, [])
        self._ran = {index: by for index, by in self._ran.items() if by is not node}
        # Nothing is given out yet: whoever makes the rounds has not been told of the death.
        if self._queues:
            self._deal({index: self._costs[index] for index in left})
        else:
            self._left += left
        return self._tests[given[0]] if given else None

    def mark_test_pending(self, item: str) -> None:
        """No plugin of ours asks for a test again."""
        raise NotImplementedError

    def remove_pending_tests_from_node(self, node: Any, indices: Sequence[int]) -> None:
        """A worker has at most one test more than it runs: nothing is taken from it."""
        raise NotImplementedError

    # -- how tests are given out ----------------------------------------------------------------

    @property
    def _pause(self) -> int:
        return len(self._tests) - 1

    def _give(self) -> None:
        """Give each worker what it lacks; begin the next round when all pause."""
        while not self.tests_finished:
            for node in self._queues:
                while len(self._given[node]) < 2 and (index := self._taken_for(node)) is not None:
                    if not self._given[node]:
                        self._send(node, self._pause)  # so that it learns of the round
                    self._send(node, index)
            if any(self._queues.values()):
                return
            for node in self._queues:
                if self._given[node] and self._given[node][-1] != self._pause:
                    self._send(node, self._pause)
            if any(given not in ([], [self._pause]) for given in self._given.values()):
                return
            costs = self.next_round(self._tests[:-1])
            if costs is None:
                self.tests_finished = True
            else:
                place = {name: index for index, name in enumerate(self._tests)}
                self._deal({place[name]: cost for name, cost in costs.items()})

    def _send(self, node: Any, index: int) -> None:
        self._given[node].append(index)
        self._ran[index] = node
        node.send_runtest_some([index])

    def _taken_for(self, node: Any) -> int | None:
        """The next of its own, or else the last of whoever has most left."""
        if own := self._queues[node]:
            return own.pop(0)
        most = max(self._queues.values(), key=self._seconds)
        return most.pop() if most else None

    def _seconds(self, queue: Sequence[int]) -> tuple[float, int]:
        return sum(self._costs[each] for each in queue), len(queue)

    def _deal(self, costs: Mapping[int, float]) -> None:
        """Put tests into the queues: where they ran, or in runs of neighbours of one length."""
        self._costs.update(costs)
        fresh = [index for index in costs if self._ran.get(index) not in self._queues]
        for number, (node, queue) in enumerate(self._queues.items()):
            own = [index for index in costs if self._ran.get(index) is node]
            count = len(self._queues)
            own += fresh[len(fresh) * number // count : len(fresh) * (number + 1) // count]
            # what takes long comes first, so that in the end there is little to wait for
            queue += sorted(own, key=lambda index: -costs[index])
