"""The survivors that somebody has looked at: ``survivors.toml``, one table for each.

A survivor is named by its file, the function around it and its line before and after, so that an
edit elsewhere changes nothing. One entry may name several sites that read alike.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .operators import Site

TABLE = Path(__file__).parent / "survivors.toml"

REASONS = {
    "equivalent": "no caller can see the difference",
    "freedom": "the contract leaves it open",
    "performance": "the same results, with more or less work",
    "message": "only the text of a message changes",
}


@dataclass(frozen=True)
class Explained:
    """Why a survivor is no hole in the suite; ``why`` is one sentence."""

    file: str
    inside: str
    operator: str
    before: str
    after: str
    reason: str
    why: str

    def matches(self, site: Site) -> bool:
        """Whether this is about ``site``."""
        mine = (self.file, self.inside, self.operator, self.before, self.after)
        return mine == (site.file, site.inside, site.operator, site.before, site.after)


def load(path: Path = TABLE) -> list[Explained]:
    """The entries of the table. Raises ValueError for an entry that is not of the right form."""
    found: list[Explained] = []
    for table in tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", ()):
        table["inside"] = table.pop("in", "")
        try:
            entry = Explained(**table)
        except TypeError as error:
            raise ValueError(f"{path.name}: {table}: {error}") from None
        if entry.reason not in REASONS or not entry.why:
            reasons = ", ".join(REASONS)
            raise ValueError(f"{path.name}: {table}: expected a why and a reason, one of {reasons}")
        found.append(entry)
    return found


def explained(sites: Iterable[Site], entries: list[Explained]) -> dict[str, Explained]:
    """The entry about each site that has one, by the ID of the site."""
    by_place: dict[tuple[str, str, str], list[Explained]] = {}
    for entry in entries:
        by_place.setdefault((entry.file, entry.inside, entry.operator), []).append(entry)
    return {
        site.id: entry
        for site in sites
        for entry in by_place.get((site.file, site.inside, site.operator), ())
        if entry.matches(site)
    }


def unmatched(sites: Iterable[Site], entries: list[Explained]) -> list[Explained]:
    """The entries that are about no site any more."""
    used = set(explained(sites, entries).values())
    return [entry for entry in entries if entry not in used]
