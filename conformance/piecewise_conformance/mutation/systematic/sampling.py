"""A sample of sites that is spread over the modules by their size."""

from __future__ import annotations

import random
from collections.abc import Sequence

from .operators import Site


def sample(sites: Sequence[Site], size: int, seed: int) -> list[Site]:
    """``size`` of the ``sites``, in random order, from each module its share; the same each time.

    Sites are drawn by their text, not by their position, so that an edit of a module changes little
    of what is drawn of it.
    """
    modules: dict[str, list[Site]] = {}
    for site in sites:
        modules.setdefault(site.file, []).append(site)
    ranked: list[tuple[float, float, Site]] = []
    for found in modules.values():
        drawn = {each.id: random.Random(f"{seed} {_text(each)}").random() for each in found}
        found.sort(key=lambda site: (drawn[site.id], site.id))
        for at, site in enumerate(found):
            ranked.append(((at + 0.5) / len(found), drawn[site.id], site))
    ranked.sort(key=lambda each: (each[0], each[1], each[2].id))
    chosen = [site for _, _, site in ranked[:size]]
    random.Random(seed).shuffle(chosen)  # what is not finished is a sample as well
    return chosen


def _text(site: Site) -> str:
    return " ".join((site.file, site.inside, site.operator, site.before, site.after))
