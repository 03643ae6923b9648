"""A year of nights that nobody ran, for the tests of the history."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from piecewise_conformance.history.entry import Entry, Figure

WAYS = (
    "limit: eager",
    "piecewise Inductor",
    "piecewise CUDA graphs",
    "piecewise CUDA graphs of Inductor",
    "full CUDA graph",
)
SIZES = (1, 8, 64, 512)
LAST = date(2026, 11, 28)


def benchmarks(
    day: date,
    *,
    subject: str = "reference",
    torch: str = "2.13.0",
    job: str = "",
    slower: float = 1.0,
) -> Entry:
    """The forty figures of one run: four times each way and size, and as much memory."""
    rng = random.Random(f"{day} {subject} {torch} {job} {slower}")
    figures = []
    for number, way in enumerate(WAYS):
        for size in SIZES:
            usual = 0.013 / (1 + number) * (1 + size / 1000)
            factor = slower if way == "piecewise Inductor" and size == 8 else 1.0
            value = usual * factor * rng.gauss(1, 0.005)
            figures.append(Figure("GPU latency", way, size, "s", value, usual * 0.02))
            pool = 36 * 2**20 if "CUDA" in way else 2**20
            figures.append(Figure("pool memory", way, size, "B", pool))
    return Entry(
        kind="benchmarks",
        started=f"{day}T03:00:00+00:00",
        subject=subject,
        torch=torch,
        torch_git=f"{rng.getrandbits(160):040x}",
        device="cuda",
        machine="NVIDIA H200",
        job=job,
        link=f"https://example.org/runs/{day}/{subject}",
        figures=tuple(figures),
    )


def report(day: date, *, torch: str = "2.13.0", failing: tuple[str, ...] = ()) -> Entry:
    """A verdict of one run."""
    return Entry(
        kind="report",
        started=f"{day}T02:00:00+00:00",
        subject="reference",
        torch=torch,
        torch_git="0" * 40,
        device="cuda",
        level="full",
        link=f"https://example.org/reports/{day}",
        verdict="not conformant" if failing else "conformant",
        exit_status=1 if failing else 0,
        totals={"pass": 100, "fail": len(failing)},
        failing=failing,
    )


def days(count: int) -> Iterator[date]:
    """So many days up to the last one."""
    return (LAST - timedelta(days=back) for back in reversed(range(count)))


def year() -> list[Entry]:
    """365 days of six series with forty figures each, and two series of verdicts."""
    entries = []
    for number, day in enumerate(days(365)):
        for subject in ("reference", "vllm", "sglang"):
            for torch in ("2.13.0", f"2.14.0.dev{day:%Y%m%d}"):
                slow = 1.1 if subject == "vllm" and number >= 200 else 1.0
                entries.append(benchmarks(day, subject=subject, torch=torch, slower=slow))
        bad = ("GRAPH-004", "NUM-001") if 100 <= number < 104 else ()
        both = ("CACHE-009",) if 300 <= number < 310 else ()
        entries.append(report(day, failing=both))
        entries.append(report(day, torch=f"2.14.0.dev{day:%Y%m%d}", failing=bad + both))
    return entries


@pytest.fixture
def synthetic() -> SimpleNamespace:
    """The functions of this file."""
    return SimpleNamespace(benchmarks=benchmarks, report=report, days=days, year=year, last=LAST)
