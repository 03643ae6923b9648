"""CACHE: one folder, many processes, one of them killed."""

from __future__ import annotations

from pathlib import Path

from piecewise_conformance.core.marks import requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.caches import concurrent_writers

EACH = 20
KILLED_FIRST, KILLED_SAVES = 1_000, 12


@requirement("CACHE-017")
@slow
def test_writers_and_a_kill(subject: Subject, tmp_path: Path) -> None:
    """Two processes save twenty entries each, a third is killed while it saves, and this one reads.

    Every load sees a sound cache, and at the end every entry of a save that had finished is there;
    so also when the one begins its last save in the midst of the other's.
    """
    subject.get("CompilerManager")
    first = concurrent_writers.start(subject, tmp_path, 0, EACH)
    second = concurrent_writers.start(subject, tmp_path, EACH, EACH)
    victim = concurrent_writers.start(subject, tmp_path, KILLED_FIRST, 1_000_000)
    everything = range(2 * EACH)
    try:
        for saves in range(0, KILLED_SAVES, 3):
            concurrent_writers.saved_until(victim, KILLED_FIRST + saves)
            concurrent_writers.served(subject, tmp_path, everything)
        concurrent_writers.saved_until(victim, KILLED_FIRST + KILLED_SAVES - 1)
        victim.end()
        concurrent_writers.overlap(first, second, (EACH - 1, 2 * EACH - 1))
    finally:
        for process in (first, second, victim):
            process.end()
    promised = [*everything, *range(KILLED_FIRST, KILLED_FIRST + KILLED_SAVES)]
    found = concurrent_writers.served(subject, tmp_path, everything)
    found += concurrent_writers.served(
        subject, tmp_path, range(KILLED_FIRST, KILLED_FIRST + KILLED_SAVES)
    )
    if missing := sorted(set(promised) - set(found)):
        raise Violation(
            "entries of completed saves that are missing",
            expected=f"all {len(promised)}",
            got=f"{len(missing)} missing: {missing[:20]}",
        )
