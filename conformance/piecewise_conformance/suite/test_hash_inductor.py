"""HASH: what of the settings only Inductor's code depends on."""

from __future__ import annotations

from pathlib import Path

from piecewise_conformance.drive import drive
from piecewise_conformance.marks import needs, requirement, slow
from piecewise_conformance.subject import Subject
from piecewise_conformance.verdict import Violation
from piecewise_fixtures.programs import program


@requirement("HASH-004")
@slow
@needs("inductor")
def test_where_inductor_partitions(subject: Subject, tmp_path: Path) -> None:
    """Where Inductor partitions the graph itself, it is one graph whatever the splitting ops, and
    other code.
    """
    subject.need("inductor", "inductor-partition", "cache")
    subject.get("record_events")
    for ops, compiles in (
        (("piecewise::scaled",), True),
        ((), True),
        (("piecewise::scaled",), False),
    ):
        with subject.events() as trace:
            driven = drive(
                subject,
                program("linear-chain"),
                compiler="inductor",
                partition_in_inductor=True,
                splitting_ops=ops,
                cache_root=str(tmp_path),
            )
            driven.check(6)
            compiled = bool(trace().of("Compile"))
        if compiled != compiles:
            raise Violation(
                f"a start with splitting ops {ops}, after others on the same cache",
                expected="a compile" if compiles else "no compile",
                got="a compile" if compiled else "no compile",
            )
