"""Mutants: the reference with one fault planted, and the requirements that each must fail.

A harness is worth what it catches, and this is how we know. The catalogue is a set of TOML files
beside this one, a table a mutant. Variants are planted in the same way but are correct: they use a
freedom that the contract leaves, and must pass everything.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..subject.subject import Subject

FOLDER = Path(__file__).parent / "mutants"


@dataclass(frozen=True)
class Patch:
    """In ``file`` of the reference the text ``old``, which stands there once, becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A planted fault; ``fails`` is the exact set of requirements that it fails.

    ``slow`` asks for the tests that take seconds, although quicker ones reach the same code: the
    fault shows in none of them. ``fails_on_gpu`` are requirements that it fails besides where there
    is a GPU. ``beyond_programs`` says why no drawn program shows the fault, though it fails a
    requirement that drawn programs are asked.
    """

    name: str
    about: str
    patches: tuple[Patch, ...]
    fails: frozenset[str]
    source: str  # the TOML file
    faults: tuple[str, ...] = ()
    slow: bool = False
    beyond_programs: str = ""
    fails_on_gpu: frozenset[str] = frozenset()
    is_variant: bool = False


def _parse(path: Path, kind: str, table: dict[str, Any]) -> Mutant:
    patches = table.get("patch") or [table]
    if not re.fullmatch(r"[a-z0-9-]+", name := table.get("name", "x")):
        raise ValueError(f"{path.name}: the name {name!r} is not of small letters and hyphens")
    try:
        return Mutant(
            name=table["name"],
            about=table["about"],
            patches=tuple(Patch(each["file"], each["old"], each["new"]) for each in patches),
            fails=frozenset(table.get("fails", ())),
            source=path.name,
            faults=tuple(table.get("faults", ())),
            slow=table.get("slow", False),
            beyond_programs=table.get("beyond_programs", ""),
            fails_on_gpu=frozenset(table.get("fails_on_gpu", ())),
            is_variant=kind == "variant",
        )
    except KeyError as error:
        raise ValueError(f"{path.name}: {table.get('name', 'a table')} lacks {error}") from None


@cache
def catalogue() -> dict[str, Mutant]:
    """Every mutant and variant by name. Raises ValueError for a table that is not right."""
    found: dict[str, Mutant] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for kind in ("mutant", "variant"):
            for table in tables.get(kind, ()):
                mutant = _parse(path, kind, table)
                if mutant.name in found:
                    raise ValueError(f"{path.name}: there are two mutants named {mutant.name}")
                found[mutant.name] = mutant
    return found


def declared() -> dict[str, list[str]]:
    """For each requirement the names of the mutants that declare to fail it."""
    by_requirement: dict[str, list[str]] = {}
    for mutant in catalogue().values():
        for requirement in sorted(mutant.fails | mutant.fails_on_gpu):
            by_requirement.setdefault(requirement, []).append(mutant.name)
    return by_requirement


@cache
def load(name: str) -> Subject:
    """The mutant ``name`` as a subject; ``instrumented`` is the reference that tells its reach."""
    from ..core import coverage
    from ..subject.adapters.reference import make
    from . import planting

    if name == coverage.INSTRUMENTED:
        package = planting.instrumented()
    elif name in catalogue():
        package = planting.plant(catalogue()[name])
    else:
        raise ValueError(f"there is no mutant {name!r}; see the files in {FOLDER}")
    return make(package, name=name, origin=f"mutant:{name}")
