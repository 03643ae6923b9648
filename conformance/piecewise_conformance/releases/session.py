"""A session: each subject on each torch, next to the same subject on the last good torch.

The good torch comes first, so that every other run has its twin. A torch that cannot be installed,
or that cannot be imported, is a cell that says why. What is done is kept in the session's folder,
and a session that is started again goes on where it was.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from ..reporting.report import REPORT, USAGE, Report, ReportError, read_report
from . import processes
from .attribution import Attribution, attribute, climb
from .drift import Drift, drift
from .environments import NIGHTLY, Installing, is_interpreter, label, prepare, prune
from .failures import NEW, Row, compare
from .probing import Answer, Probe, ask
from .sources import Installed, SourceError, describe
from .sources import Torch as Source

PEERS = ("vllm", "sglang")
_CELLS = "cells"
_CLIMBED = 8  # signatures of one cell whose program is run with layers replaced


@dataclass(frozen=True)
class Plan:
    """What a session is about. ``arguments`` go to every run."""

    torches: tuple[str, ...]
    good: str
    subjects: tuple[str, ...]
    out: Path
    how: Installing
    arguments: tuple[str, ...] = ()
    prune: bool = False

    @property
    def ordered(self) -> list[str]:
        """The torches, the good one first."""
        return list(dict.fromkeys([self.good, *self.torches]))


@dataclass
class Cell:
    """One subject on one torch. ``why`` says why there is no report."""

    torch: str
    subject: str
    version: str = ""
    git_version: str = ""
    verdict: str = ""
    why: str = ""
    arguments: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)


@dataclass
class Torch:
    """All that was found out about one torch."""

    torch: str
    version: str = ""
    git_version: str = ""
    why: str = ""
    cells: list[Cell] = field(default_factory=list)
    probes: list[Answer] = field(default_factory=list)
    rows: dict[str, list[Row]] = field(default_factory=dict)  # by subject
    attributions: dict[str, list[Attribution]] = field(default_factory=dict)  # of the new rows
    folder: Path = Path()  # that holds torch/
    drift: Drift | None = None  # from the good torch


def run(plan: Plan, say: Callable[[str], None] = print) -> list[Torch]:
    """Run what is left of the session; the good torch first."""
    found: list[Torch] = []
    for torch in plan.ordered:
        say(f"torch {label(torch)}")
        each = _run_torch(plan, torch, found[0] if found else None, say)
        found.append(each)
        if plan.prune and torch != plan.good:
            prune(torch, plan.how)
    if plan.prune:
        prune(plan.good, plan.how)
    return found


def _run_torch(plan: Plan, torch: str, good: Torch | None, say: Callable[[str], None]) -> Torch:
    found = Torch(torch)
    folder = plan.out / _CELLS / label(torch)
    try:
        installed = _installed(plan, torch, folder / "torch.json")
        found.version, found.git_version = installed.version, installed.git_version
        found.folder = Path(installed.folder)
        found.probes = _probes(folder / "probes.json", plan, found)
    except SourceError as error:
        found.why = str(error)
        found.cells = [Cell(torch, each, why=found.why) for each in plan.subjects]
        return found
    if good is not None and all((each / "torch").is_dir() for each in (good.folder, found.folder)):
        found.drift = drift(Source(good.folder), Source(found.folder))
    for subject in plan.subjects:
        say(f"  {subject}")
        cell = _run_cell(plan, found, subject)
        found.cells.append(cell)
        say(f"    {cell.verdict or cell.why}")
        if good is not None:
            _compare(plan, found, good, cell)
    return found


def _run_cell(plan: Plan, torch: Torch, subject: str) -> Cell:
    folder = cell_folder(plan.out, torch.torch, subject)
    cell = Cell(torch.torch, subject, torch.version, torch.git_version)
    cell.arguments = list(plan.arguments)
    spec, requirement = spec_of(subject)
    kept = _kept(folder / "cell.json")
    same = kept is not None and (kept["arguments"], kept["version"], kept["git_version"]) == (
        cell.arguments,
        cell.version,
        cell.git_version,
    )
    report = _report(folder)
    if not (same and report is not None and report.complete):
        try:
            python = prepare(torch.torch, requirement, plan.how)
        except SourceError as error:
            cell.why = str(error)
            return cell
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cell.json").write_text(json.dumps(asdict(cell)))
        (folder / "rungs.json").unlink(missing_ok=True)
        command = [str(python), "-m", "piecewise_conformance", "run", "--backend", spec]
        command += ["--out", str(folder.resolve()), "--confirm", "0", *plan.arguments]
        resume = ["--resume"] if same and report is not None else []
        with (folder / "run.log").open("w") as log:
            for arguments in [resume, []] if resume else [[]]:  # a refused resume starts over
                done = subprocess.run(
                    [*command, *arguments],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=processes.clean_environment(),
                )
                if done.returncode != USAGE:
                    break
        report = _report(folder)
        if report is None or not report.complete:
            last = (folder / "run.log").read_text(errors="replace").strip().splitlines()
            cell.why = f"the run ended with {done.returncode}: {last[-1] if last else ''}"
            return cell
    assert report is not None
    assert report.footer is not None
    cell.verdict = str(report.footer["verdict"])
    cell.unmatched = list(report.footer.get("unmatched", []))
    return cell


def spec_of(subject: str) -> tuple[str, str]:
    """The SPEC of a subject, and the requirement to install for it; empty for none."""
    try:
        name = Requirement(subject).name
    except InvalidRequirement:
        return subject, ""
    if name in PEERS:
        return name, subject
    return subject, ""


def cell_folder(out: Path, torch: str, subject: str) -> Path:
    """The folder of a cell, with its report."""
    return out / _CELLS / label(torch) / label(subject)


def _compare(plan: Plan, torch: Torch, good: Torch, cell: Cell) -> None:
    """Sort the failures of ``cell`` by its twin's, and attribute those that are new."""
    here = _report(cell_folder(plan.out, torch.torch, cell.subject))
    there = _report(cell_folder(plan.out, good.torch, cell.subject))
    if cell.why or here is None:
        return
    rows = compare(here.results, there.results if there and there.complete else None)
    torch.rows[cell.subject] = rows
    attributions = []
    moved = [each for each in torch.probes if each.moved]
    for number, row in enumerate(row for row in rows if row.bucket == NEW):
        new, old = {}, {}
        if number < _CLIMBED:
            new, old = (
                _climbed(plan, each, cell.subject, row.smallest.case)
                for each in (torch.torch, good.torch)
            )
        attributions.append(attribute(new, old, moved, row.signature))
    torch.attributions[cell.subject] = attributions


def _climbed(plan: Plan, torch: str, subject: str, case: str) -> dict[str, str]:
    """The rungs of a case, from the cell's folder if it was climbed before."""
    path = cell_folder(plan.out, torch, subject) / "rungs.json"
    kept = _kept(path) or {}
    if case not in kept:
        spec, requirement = spec_of(subject)
        kept[case] = climb(prepare(torch, requirement, plan.how), case, spec)
        path.write_text(json.dumps(kept))
    found: dict[str, str] = kept[case]
    return found


def _installed(plan: Plan, torch: str, path: Path) -> Installed:
    """The torch, from ``path`` if it was installed before: its environment may be deleted."""
    kept = _kept(path)
    if kept is not None and torch != NIGHTLY and not is_interpreter(torch):
        return Installed(**kept)
    found = describe(prepare(torch, "", plan.how))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found)))
    return found


def _probes(path: Path, plan: Plan, torch: Torch) -> list[Answer]:
    """The answers of the probes, from ``path`` if they are those of the same build."""
    kept = _kept(path)
    if kept is not None and kept["git_version"] == torch.git_version:
        return [Answer(Probe(**each.pop("probe")), **each) for each in kept["answers"]]
    found = ask(prepare(torch.torch, "", plan.how), torch.version)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"git_version": torch.git_version, "answers": [asdict(each) for each in found]})
    )
    return found


def _kept(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found


def _report(folder: Path) -> Report | None:
    try:
        return read_report(folder / REPORT)
    except ReportError:
        return None


def exit_status(found: Sequence[Torch]) -> int:
    """1 if a test fails that holds on the good torch, 3 if a cell has no verdict, else 0."""
    if any(row.bucket == NEW for each in found for rows in each.rows.values() for row in rows):
        return 1
    missing = any(cell.why for each in found for cell in each.cells)
    return 3 if missing else 0


def default_project() -> str:
    """The project as it is installed here, for environments of a session that was not given one."""
    import importlib.metadata

    return f"piecewise-conformance=={importlib.metadata.version('piecewise-conformance')}"


def say_now(text: str) -> None:
    """Print a line of progress."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
