"""Starts of a program on a shared cache root, with the spy for a compiler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from piecewise_fixtures.programs import Program, program
from torch import nn

from ...core.verdict import Violation
from ...subject.subject import Subject
from .. import spy
from ..drive import drive
from .full_disk import full_disk


def start(
    subject: Subject,
    root: Path,
    name: str | Program = "linear-chain",
    sizes: tuple[int, ...] = (),
    **changes: Any,
) -> spy.Log:
    """One start: compile the program through the whole backend, run it, check every result."""
    chosen = program(name) if isinstance(name, str) else name
    subject.restart()
    with spy.spying() as log:
        driven = drive(subject, chosen, compiler=spy.NAME, cache_root=str(root), **changes)
        for size in sizes or chosen.sizes:
            driven.check(size)
    return log


def expect_cold(log: spy.Log, what: str) -> None:
    """The start must have loaded nothing."""
    if log.loads or not log.compiles:
        raise Violation(what, expected="every piece compiled", got=_work(log))


def expect_warm(log: spy.Log, what: str) -> None:
    """The start must have compiled nothing."""
    if log.compiles or not log.loads:
        raise Violation(what, expected="every piece loaded", got=_work(log))


def _work(log: spy.Log) -> str:
    return f"{len(log.compiles)} compiled, {len(log.loads)} loaded"


class _FourSizes(nn.Module):
    """Four batch sizes, all of which the second piece takes."""

    def forward(self, *batches: torch.Tensor) -> list[torch.Tensor]:
        rows = torch.ops.piecewise.scaled(torch.cat(batches))
        return [rows[: each.shape[0]] * each for each in batches]


def four_sizes() -> Program:
    """A model of four batch sizes: there are 24 orders in which a set of them may come."""
    (x,) = program("linear-chain").inputs(1)

    def inputs(size: int) -> tuple[torch.Tensor, ...]:
        return tuple(torch.ones(size + more, *x.shape[1:]) for more in range(4))

    dynamic = tuple((position, 0) for position in range(4))
    base = program("linear-chain")
    return Program(
        "four-sizes", "", _FourSizes, inputs, base.splitting_ops, (6,), dynamic, frozenset()
    )


# Names in a set come in another order in each process.
_WORDS = frozenset({"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"})


def work_of_starts(subject: Subject, root: str) -> dict[str, tuple[int, int]]:
    """For a fresh process: how many pieces starts of several kinds compile there, and load."""
    with_set: dict[str, Any] = {"words": set(_WORDS), "nested": [{"words": _WORDS}]}
    sources = [Path(root) / f"{word}.py" for word in _WORDS]
    for path in sources:
        if not path.exists():
            path.write_text(path.stem)
    logs = {
        "as always": start(subject, Path(root) / "plain"),
        "with four sizes": start(subject, Path(root) / "sizes", four_sizes()),
        "with traced files": start(
            subject, Path(root) / "files", traced_files=tuple(map(str, sources))
        ),
        "with a set in the settings": start(
            subject, Path(root) / "settings", compiler_config=with_set
        ),
    }
    return {what: (len(log.compiles), len(log.loads)) for what, log in logs.items()}


def work_with_torch(subject: Subject, root: str, version: str) -> tuple[int, int]:
    """For a fresh process: what a start compiles and loads where torch says it is ``version``."""
    import importlib.metadata

    import torch

    real = importlib.metadata.version

    def _version(distribution_name: str) -> str:
        return version if distribution_name == "torch" else real(distribution_name)

    torch.__version__ = torch.torch_version.TorchVersion(version)
    torch.version.__version__ = version
    importlib.metadata.version = _version
    log = start(subject, Path(root))
    return len(log.compiles), len(log.loads)


def start_on_full_disk(subject: Subject, root: str, name: str) -> int:
    """For a fresh process: a start where no byte can be written to a file, as on a full disk.

    How many pieces it compiled.
    """
    chosen = program(name)
    drive(subject, chosen, compiler=spy.NAME).check(chosen.sizes[0])  # imports what torch needs
    with full_disk():
        log = start(subject, Path(root), name)
    return len(log.compiles)
