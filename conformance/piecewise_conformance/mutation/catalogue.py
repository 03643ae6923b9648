"""The catalogue of mutants: the reference with one fault planted, and the requirements it fails.

A harness is worth what it catches, and the catalogue is how we know. It is a folder of TOML files
with one table for each mutant. A variant is planted in the same way but is correct: it uses a
freedom that the contract leaves, and must pass everything.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "mutants"


@dataclass(frozen=True)
class Patch:
    """One edit of ``file``, a path inside the reference package such as ``cache/manager.py``.

    ``inside`` is the qualified name of the function or class to edit (``CompilerManager.load``),
    empty for a whole module. With ``old``, that text, which must occur there exactly once, becomes
    ``new``. With ``statement``, the one statement that begins with that text is replaced as a
    whole, however it goes on. Lines after the first are written relative to the first line.

    With ``at``, a position in the file, ``old`` stands there and both texts are taken as they are.
    """

    file: str
    new: str
    old: str = ""
    statement: str = ""
    inside: str = ""
    at: int | None = None


@dataclass(frozen=True)
class Mutant:
    """A planted fault; ``fails`` is the exact set of requirements that it fails.

    ``slow`` runs the tests that take seconds although quicker ones reach the same code, because
    the quick ones cannot see the fault. ``fails_on_gpu`` are requirements that it fails as well
    where there is a GPU. ``beyond_programs`` says why no generated program shows the fault, though
    the mutant fails a requirement that generated programs check.
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


_OF_A_PATCH = {"file", "in", "old", "statement", "new", "at"}
_OF_A_MUTANT = {"name", "about", "patch", "fails", "fails_on_gpu", "faults", "slow"}
_OF_A_MUTANT |= {"beyond_programs"}


def _refuse_unknown(table: dict[str, Any], known: set[str], what: str) -> None:
    """ValueError for keys that nothing reads, such as ``fails`` behind the first patch."""
    if unknown := sorted(table.keys() - known):
        raise ValueError(f"{what} has unknown keys {', '.join(unknown)}; known are {sorted(known)}")


def _parse_patch(table: dict[str, Any]) -> Patch:
    patch = Patch(
        file=table["file"],
        new=table["new"],
        old=table.get("old", ""),
        statement=table.get("statement", ""),
        inside=table.get("in", ""),
        at=table.get("at"),
    )
    if bool(patch.old) == bool(patch.statement):
        raise ValueError(f"a patch of {patch.file} needs either 'old' or 'statement'")
    return patch


def _parse(path: Path, kind: str, table: dict[str, Any]) -> Mutant:
    if not re.fullmatch(r"[a-z0-9-]+", name := table.get("name", "x")):
        raise ValueError(
            f"{path.name}: {name!r} must consist of lowercase letters, digits and hyphens"
        )
    try:
        patches = table.get("patch") or [{k: v for k, v in table.items() if k in _OF_A_PATCH}]
        of_both = set() if "patch" in table else _OF_A_PATCH
        _refuse_unknown(table, _OF_A_MUTANT | of_both, "a mutant")
        for patch in patches:
            _refuse_unknown(patch, _OF_A_PATCH, "a patch")
        return Mutant(
            name=table["name"],
            about=table["about"],
            patches=tuple(map(_parse_patch, patches)),
            fails=frozenset(table.get("fails", ())),
            source=path.name,
            faults=tuple(table.get("faults", ())),
            slow=table.get("slow", False),
            beyond_programs=table.get("beyond_programs", ""),
            fails_on_gpu=frozenset(table.get("fails_on_gpu", ())),
            is_variant=kind == "variant",
        )
    except KeyError as error:
        raise ValueError(
            f"{path.name}: {table.get('name', 'a table')} has no key {error}"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path.name}: {table['name']}: {error}") from None


@cache
def catalogue(folder: Path = FOLDER) -> dict[str, Mutant]:
    """Every mutant and variant in ``folder``, by name. Raises ValueError for a malformed table."""
    found: dict[str, Mutant] = {}
    for path in sorted(folder.glob("*.toml")):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for kind in ("mutant", "variant"):
            for table in tables.get(kind, ()):
                mutant = _parse(path, kind, table)
                if mutant.name in found:
                    raise ValueError(
                        f"{path.name}: two mutants are named {mutant.name}; rename one"
                    )
                found[mutant.name] = mutant
    return found


def declared(folder: Path = FOLDER) -> dict[str, list[str]]:
    """For each requirement the names of the mutants that declare to fail it."""
    by_requirement: dict[str, list[str]] = {}
    for mutant in catalogue(folder).values():
        for requirement in sorted(mutant.fails | mutant.fails_on_gpu):
            by_requirement.setdefault(requirement, []).append(mutant.name)
    return by_requirement
