"""Compile ranges: choose the artifact that serves a batch size.

The user gives endpoints, and the ranges between them partition all possible batch sizes. The user
may also give single sizes, each of which gets its own artifact.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def _positive_int(name: str, value: object) -> int:
    # In Python a bool is an int, but a size of True is a mistake.
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, got {value!r} ({type(value).__name__})")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return value


@dataclass(frozen=True, order=True)
class Range:
    """Batch sizes from ``start`` to ``end``, in tokens, both inclusive; 1 <= start <= end.

    Raises TypeError if an end is not an int (or is a bool), and ValueError for an empty range.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        _positive_int("start of a Range", self.start)
        _positive_int("end of a Range", self.end)
        if self.end < self.start:
            raise ValueError(f"a Range needs start <= end, got ({self.start}, {self.end})")

    def is_single_size(self) -> bool:
        """Whether the range contains exactly one size, so that shapes may be constants."""
        return self.start == self.end

    def __contains__(self, size: int) -> bool:
        return self.start <= size <= self.end

    def __str__(self) -> str:
        return f"({self.start}, {self.end})"


def partition(max_size: int, endpoints: Sequence[int]) -> tuple[Range, ...]:
    """Partition ``[1, max_size]`` at ``endpoints`` into [1, e1], [e1+1, e2], ...

    Raises ValueError if the endpoints do not ascend strictly or exceed ``max_size``.
    """
    _positive_int("the largest batch size", max_size)
    starts = [1]
    for endpoint in endpoints:
        _positive_int("an endpoint of compile_ranges_endpoints", endpoint)
        if endpoint < starts[-1]:
            raise ValueError(
                f"compile_ranges_endpoints must ascend strictly, got {list(endpoints)}: sort them"
            )
        if endpoint > max_size:
            raise ValueError(
                f"compile_ranges_endpoints has {endpoint}, beyond max_num_batched_tokens="
                f"{max_size}: drop it or raise the maximum"
            )
        starts.append(endpoint + 1)
    ends = [*endpoints, max_size]
    # an endpoint equal to the maximum leaves no range after it
    return tuple(Range(start, end) for start, end in zip(starts, ends, strict=True) if start <= end)


class CompileRanges:
    """Find the range that serves a batch size. Single sizes take precedence over ranges."""

    def __init__(self, max_size: int, endpoints: Sequence[int], sizes: Iterable[int]) -> None:
        self.ranges = partition(max_size, endpoints)
        self.single_sizes = {
            size: Range(size, size)
            for size in (_positive_int("an entry of compile_sizes", size) for size in sizes)
        }
        if too_large := [size for size in self.single_sizes if size > max_size]:
            raise ValueError(
                f"compile_sizes has {max(too_large)}, beyond max_num_batched_tokens={max_size}: "
                "drop it or raise the maximum"
            )
        self._ends = [each.end for each in self.ranges]

    def all(self) -> list[Range]:
        """Every range that may be compiled, single sizes first.

        A range that consists only of single sizes is never used and is left out.
        """
        serving = [
            each
            for each in self.ranges
            if any(size not in self.single_sizes for size in range(each.start, each.end + 1))
        ]
        return [*self.single_sizes.values(), *serving]

    def find(self, size: int) -> Range:
        """The range that serves ``size`` tokens; raises ValueError if no range contains it."""
        single = self.single_sizes.get(size)
        if single is not None:
            return single
        position = bisect_left(self._ends, size)
        if size < 1 or position == len(self.ranges):
            raise ValueError(
                f"batch size {size} lies in no compile range (they cover 1 to {self._ends[-1]}): "
                "raise max_num_batched_tokens, or send smaller batches"
            )
        return self.ranges[position]
