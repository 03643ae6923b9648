"""The search among nightlies."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest
from piecewise_conformance.releases.nightlies import SearchError, Tried, search

DATES = [f"202609{day:02}" for day in range(1, 31)]


def judge_of(
    first_bad: str, skipped: Collection[str] = ()
) -> tuple[Callable[[str], Tried], list[str]]:
    """A judge for which everything fails from ``first_bad`` on, and the dates that it saw."""
    seen: list[str] = []

    def judge(date: str) -> Tried:
        seen.append(date)
        if date in skipped:
            return Tried(None, why="no wheel")
        return Tried(date >= first_bad, f"commit-{date}")

    return judge, seen


@pytest.mark.parametrize("first_bad", DATES[1:])
def test_the_first_bad_nightly_is_found(first_bad: str) -> None:
    """In a number of steps that grows with the logarithm."""
    judge, seen = judge_of(first_bad)
    found = search(DATES, judge)
    assert found.bad == first_bad
    assert found.good == DATES[DATES.index(first_bad) - 1]
    assert found.skipped == []
    assert len(seen) <= 2 + 5
    assert f"commits commit-{found.good}..commit-{found.bad}" in str(found)


def test_nightlies_that_cannot_be_judged_are_passed_over() -> None:
    """They stay in the range, with the reason."""
    judge, seen = judge_of("20260916", skipped=DATES[13:17])
    found = search(DATES, judge)
    assert (found.good, found.bad) == ("20260913", "20260918")
    assert found.skipped == DATES[13:17]
    assert "skipped 20260915: no wheel" in str(found)
    assert len(seen) == len(set(seen))


def test_ends_that_are_not_as_given_are_an_error() -> None:
    """A good end that fails, a bad end that holds, an end without a verdict, and too few dates."""
    with pytest.raises(SearchError, match="20260901 fails, but was given as good"):
        search(DATES, judge_of("20260801")[0])
    with pytest.raises(SearchError, match="20260930 holds, but was given as bad"):
        search(DATES, judge_of("20261001")[0])
    with pytest.raises(SearchError, match="20260930 cannot be judged: no wheel"):
        search(DATES, judge_of("20260916", skipped=["20260930"])[0])
    with pytest.raises(SearchError, match="there are 1 nightlies"):
        search(DATES[:1], judge_of("20260916")[0])
