"""HASH: what of the settings only Inductor's code depends on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import torch._inductor.config as inductor_config
from piecewise_conformance.core.marks import needs, requirement, slow
from piecewise_conformance.core.verdict import Violation
from piecewise_conformance.subject.subject import Subject
from piecewise_conformance.testkit.drive import drive
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


@contextmanager
def _deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def _precision() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    # which the setter also sets, and which has more values
    mkldnn: Any = torch.backends.mkldnn  # has more than mypy can see
    of_mkldnn = mkldnn.matmul.fp32_precision
    torch.set_float32_matmul_precision("high" if before != "high" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        mkldnn.matmul.fp32_precision = of_mkldnn


def _random_of_torch() -> AbstractContextManager[Any]:
    config: Any = inductor_config  # has its methods from where mypy cannot see
    patched: AbstractContextManager[Any] = config.patch(fallback_random=True)
    return patched


SETTINGS = {
    "as it was": nullcontext,
    "fallback_random": _random_of_torch,
    "deterministic algorithms": _deterministic,
    "matmul precision": _precision,
}


@requirement("HASH-012")
@slow
@needs("inductor")
def test_settings_global_to_torch(subject: Subject, tmp_path: Path) -> None:
    """Each of them is a miss, and all as they were a hit."""
    subject.need("inductor", "cache")
    subject.get("record_events")
    for what in (*SETTINGS, "as it was"):
        loads = what == "as it was" and any(tmp_path.iterdir())
        with SETTINGS[what](), subject.events() as trace:
            driven = drive(
                subject, program("linear-chain"), compiler="inductor", cache_root=str(tmp_path)
            )
            driven.check(6)
            seen = len(trace().of("Compile")), len(trace().of("CacheHit"))
        if not seen[loads] or seen[not loads]:
            raise Violation(
                f"a start with torch's settings: {what}",
                expected="every piece loaded" if loads else "every piece compiled",
                got=f"{seen[0]} compiled, {seen[1]} loaded",
            )
