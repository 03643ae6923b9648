"""The kill matrix in rounds: every test once a round, and no round before the last is through."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from piecewise_conformance.mutation.rounds import Costs, Rounds

PAUSE = "pause"


class Worker:
    """As xdist's: it runs a test once it knows the next one, or that there is none."""

    def __init__(self) -> None:
        self.queue: list[int] = []
        self.ran: list[str] = []

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        """Take tests."""
        self.queue += indices


def begun(workers: Sequence[Worker], tests: Sequence[str], rounds: Sequence[Costs]) -> Rounds:
    """A schedule of ``rounds`` with all workers ready."""
    left = list(rounds)
    found = Rounds(len(workers), lambda tests: left.pop(0) if left else None)
    for worker in workers:
        found.add_node(worker)
        found.add_node_collection(worker, [*tests, PAUSE])
    assert found.collection_is_completed
    found.schedule()
    return found


def step(rounds: Rounds, worker: Worker, tests: Sequence[str]) -> bool:
    """Let ``worker`` run one test, if it can."""
    if len(worker.queue) < 2 and not (rounds.tests_finished and worker.queue):
        return False
    index = worker.queue.pop(0)
    worker.ran.append([*tests, PAUSE][index])
    rounds.mark_test_complete(worker, index)
    return True


def play(rounds: Rounds, workers: Sequence[Worker], tests: Sequence[str]) -> None:
    """Let all run, in turns, until nobody can."""
    while sum([step(rounds, worker, tests) for worker in workers]):  # each has its turn
        pass


def of_round(worker: Worker, number: int) -> list[str]:
    """What ``worker`` ran in a round: pauses stand between them."""
    parts: list[list[str]] = [[]]
    for name in worker.ran:
        parts[-1].append(name) if name != PAUSE else parts.append([])
    return parts[number]


TESTS = [f"t{number}" for number in range(8)]
ALL = dict.fromkeys(TESTS, 1.0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_round_is_run_once(count: int) -> None:
    """Whatever the number of workers, also a round of fewer tests than workers, and one of none."""
    workers = [Worker() for _ in range(count)]
    wanted: list[Costs] = [ALL, {"t3": 1.0}, {}, {"t1": 1.0, "t6": 2.0, "t7": 1.0}]
    rounds = begun(workers, TESTS, wanted)
    play(rounds, workers, TESTS)
    assert rounds.tests_finished
    assert not rounds.has_pending
    ran = sorted(name for worker in workers for name in worker.ran if name != PAUSE)
    assert ran == sorted(name for each in wanted for name in each)


def test_a_round_waits_for_the_one_before() -> None:
    """A worker that has nothing to do is given nothing of the next round, nor told of it."""
    fast, slow = workers = [Worker(), Worker()]
    asked: list[int] = []

    def next_round(tests: Sequence[str]) -> Costs | None:
        asked.append(len(tests))
        return ALL if len(asked) < 3 else None

    rounds = Rounds(2, next_round)
    for worker in workers:
        rounds.add_node(worker)
        rounds.add_node_collection(worker, [*TESTS, PAUSE])
    rounds.schedule()
    while step(rounds, fast, TESTS):
        pass
    # all but the one that the slow one was given
    assert (len(of_round(fast, 1)), asked) == (len(TESTS) - 1, [len(TESTS)])
    play(rounds, workers, TESTS)
    assert asked == [len(TESTS)] * 3
    assert rounds.tests_finished
    assert not slow.queue


def test_a_test_stays_with_its_worker() -> None:
    """Which has captured its program; what takes longest comes first."""
    workers = [Worker(), Worker()]
    costs = {name: float(number) for number, name in enumerate(TESTS)}
    rounds = begun(workers, TESTS, [ALL, costs])
    play(rounds, workers, TESTS)
    first, second = ([of_round(worker, number) for worker in workers] for number in (1, 2))
    assert first == [TESTS[:4], TESTS[4:]]
    assert second == [TESTS[3::-1], TESTS[:3:-1]]


def test_a_worker_dies() -> None:
    """Its test is told; what it had besides is run by others, or by the one in its place."""
    for count in (1, 2):
        workers = [Worker() for _ in range(count)]
        rounds = begun(workers, TESTS, [ALL, ALL])
        dead = workers.pop()
        assert step(rounds, dead, TESTS)  # the pause
        died_in = rounds.remove_node(dead)
        play(rounds, workers, TESTS)
        fresh = Worker()
        rounds.add_node(fresh)
        rounds.add_node_collection(fresh, [*TESTS, PAUSE])
        rounds.schedule()
        workers.append(fresh)
        play(rounds, workers, TESTS)
        assert rounds.tests_finished
        ran = sorted(name for worker in workers for name in worker.ran if name != PAUSE)
        assert died_in in TESTS
        assert sorted([*ran, died_in]) == sorted([*TESTS, *TESTS])


def test_workers_must_have_the_same_tests() -> None:
    """Places of tests are all that is sent."""
    rounds = Rounds(2, lambda tests: None)
    for worker in (first := Worker(), second := Worker()):
        rounds.add_node(worker)
    rounds.add_node_collection(first, ["a", PAUSE])
    with pytest.raises(RuntimeError, match="same tests"):
        rounds.add_node_collection(second, ["b", PAUSE])
