"""What is printed of the results: a score for each module, and the survivors by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .operators import Site
from .survivors import Explained


def show(
    chosen: Sequence[Site],
    ended: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, Explained],
    stale: Iterable[Explained],
    seconds: float,
) -> int:
    """Print the table and the survivors; 0 if there are no new ones and no entry is stale."""
    fates = {site: fate(site, ended, known) for site in chosen}
    modules: dict[str, Counter[str]] = {}
    for site, what in fates.items():
        modules.setdefault(site.file, Counter())[what] += 1
    width = max(map(len, modules), default=0)
    print(f"{'':{width}}  mutants  killed  explained  survived     score")
    for file, counts in sorted(modules.items()):
        print(_row(file, counts, width))
    total = sum(modules.values(), Counter())
    print(_row("all", total, width))
    survivors = sorted((s for s in chosen if fates[s] == "survived"), key=lambda s: (s.file, s.at))
    for site in survivors:
        where = f" in {site.inside}" if site.inside else ""
        result = ended[site.mutant.name]
        tests = f"{result['tests']} tests" if result["reached"] else "no test reaches it"
        print(f"survived {site.id}{where} ({tests})")
        print(f"    - {site.before}\n    + {site.after}")
    for site in chosen:
        if fates[site] == "error":
            result = ended[site.mutant.name]
            print(f"harness error {site.id}: {result['killed_by']['test']}")
            print(f"    {result['message'][:300]}")
    stale = list(stale)
    for entry in stale:
        print(f"no line of the reference matches: {entry.file}: {entry.inside}: {entry.before}")
    if left := total["not run"]:
        print(f"{left} not run; run with --resume to continue")
    print(f"{seconds:.0f} s")
    return 1 if survivors or stale or left else 0


def fate(site: Site, ended: Mapping[str, Mapping[str, Any]], known: Mapping[str, Explained]) -> str:
    """What became of a site: explained, killed, error, survived or not run.

    An error is a test that came to no verdict: the fault is noticed, and not as a failure. A mutant
    that cannot be imported is killed.
    """
    if site.id in known:
        return "explained"
    if (result := ended.get(site.mutant.name)) is None:
        return "not run"
    killing = result["killed_by"]
    if killing is None:
        return "survived"
    return "error" if killing["status"] == "error" and killing["id"] else "killed"


def _row(name: str, counts: Counter[str], width: int) -> str:
    killed = counts["killed"] + counts["error"]
    judged = killed + counts["explained"] + counts["survived"]
    score = f"{(killed + counts['explained']) / judged:8.0%}" if judged else "       -"
    columns = f"{counts.total():7}  {killed:6}  {counts['explained']:9}  {counts['survived']:8}"
    return f"{name:{width}}  {columns}  {score}"
