"""What became of the mutants: judged by what they declare, printed, and accepted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.requirements import load as load_requirements
from .catalogue import FOLDER, Mutant, catalogue
from .matrix import FAILED, PASSED, Run


@dataclass
class Verdict:
    """What became of a mutant: the requirements that it failed, of those it was run on."""

    mutant: Mutant
    tests: int = 0
    failed: dict[str, str] = field(default_factory=dict)  # requirement -> message
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether it failed exactly what it declares, which is something unless it is a variant."""
        judged = self.tests > 0 and (bool(self.failed) or self.mutant.is_variant)
        return judged and not self.errors and set(self.failed) == self.mutant.fails

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain data."""
        return {
            "name": self.mutant.name,
            "about": self.mutant.about,
            "variant": self.mutant.is_variant,
            "declared": sorted(self.mutant.fails),
            "failed": self.failed,
            "errors": self.errors,
            "tests": self.tests,
            "seconds": round(self.seconds, 3),
        }


def judge(mutants: dict[str, Mutant], runs: list[Run]) -> list[Verdict]:
    """The verdict on each mutant."""
    verdicts = {name: Verdict(mutant) for name, mutant in mutants.items()}
    for run in runs:
        verdict = verdicts[run["subject"]]
        verdict.tests += 1
        verdict.seconds += run["seconds"]
        if run["status"] in FAILED:
            verdict.failed.setdefault(run["id"], f"{run['test']}: {run['message']}")
        elif run["status"] not in PASSED:
            verdict.errors.append(f"{run['test']}: {run['status']}: {run['message'][:500]}")
    return list(verdicts.values())


def accept(verdicts: list[Verdict], folder: Path = FOLDER) -> None:
    """Write what was measured into the catalogue, one ``fails = [...]`` line for each mutant."""
    for verdict in verdicts:
        if verdict.mutant.is_variant or verdict.errors:
            continue
        path = folder / verdict.mutant.source
        text = path.read_text(encoding="utf-8")
        measured = ", ".join(f'"{each}"' for each in sorted(verdict.failed))
        # from the name of the mutant to the line that declares, within its own table
        inside = r"(?:(?!^\[\[(?:mutant|variant)\]\]).)*?"
        pattern = rf'(name = "{re.escape(verdict.mutant.name)}"\n{inside}^fails = )\[[^\]]*\]'
        fresh, count = re.subn(pattern, rf"\1[{measured}]", text, count=1, flags=re.S | re.M)
        if count != 1:
            raise ValueError(f"{path.name}: {verdict.mutant.name} has no line 'fails = [...]'")
        path.write_text(fresh, encoding="utf-8")
    catalogue.cache_clear()


def show(verdicts: list[Verdict], seconds: float, *, on_gpu: bool) -> bool:
    """Print the matrix; whether everything is as declared."""
    # what is wrong comes last, where it is seen
    for verdict in sorted(verdicts, key=lambda v: (not v.right, v.mutant.source, v.mutant.name)):
        mutant, failed = verdict.mutant, set(verdict.failed)
        mark = "ok" if verdict.right else "WRONG"
        kind = "passes" if mutant.is_variant else "fails"
        names = ", ".join(sorted(failed)) or "-"
        print(f"{mark:5} {mutant.name}: {kind} {names} ({verdict.tests})")
        for requirement in sorted(mutant.fails - failed):
            print(f"        not failed: {requirement}")
        for requirement in sorted(failed - mutant.fails):
            print(f"        not declared: {requirement}: {verdict.failed[requirement][:300]}")
        for error in verdict.errors[:3]:
            print(f"        error: {error}")
        if not verdict.tests:
            print("        no test reaches it")
    bare = _without_mutant(verdicts, on_gpu=on_gpu) if len(verdicts) == len(catalogue()) else []
    wrong = sum(not verdict.right for verdict in verdicts)
    if bare:
        print(f"WRONG MUST without a mutant that fails it: {', '.join(bare)}")
    print(f"{len(verdicts) - wrong} passed, {wrong} failed in {seconds:.0f} s")
    return not wrong and not bare


def _without_mutant(verdicts: list[Verdict], *, on_gpu: bool) -> list[str]:
    """The MUST requirements that no mutant fails."""
    killed = {requirement for verdict in verdicts for requirement in verdict.failed}
    return [
        each.id
        for each in load_requirements().values()
        if not each.retired and each.level == "MUST" and each.id not in killed
        if on_gpu or "gpu" not in each.profiles
    ]
