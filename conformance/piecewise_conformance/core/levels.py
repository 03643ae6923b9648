"""Conformance levels: dated, frozen lists of requirements.

A level is a TOML file in ``spec/levels`` with the ID of each requirement and a digest of its
sentence. A run with ``--level`` judges exactly these requirements, so that a new requirement never
turns a conformant backend red. Write a level with

    python -m piecewise_conformance.core.levels 2026.12
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .requirements import SPEC_FOLDER, Requirement, load

LEVELS_FOLDER = SPEC_FOLDER / "levels"

_NAME = re.compile(r"\d{4}\.(0[1-9]|1[0-2])")
_DIGITS = 16  # hex digits of a sentence's digest


class LevelError(ValueError):
    """A level does not exist or cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Level:
    """A frozen list of requirements: the digest of each sentence by the requirement's ID."""

    name: str
    sentences: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The digest of the whole list: of the IDs and of the digests of their sentences."""
        return list_digest(self.sentences)

    def changed(self, requirements: Mapping[str, Requirement]) -> list[str]:
        """Return the IDs that ``requirements`` lacks, has retired, or words differently."""
        current = sentences_of(requirements)
        return [id for id, digest in self.sentences.items() if current.get(id) != digest]

    def select(self, requirements: Mapping[str, Requirement]) -> dict[str, Requirement]:
        """Return those of ``requirements`` that the level has."""
        return {id: each for id, each in requirements.items() if id in self.sentences}


def sentence_digest(requirement: Requirement) -> str:
    """Return the digest of a requirement: of its ID, its level and its sentence."""
    text = f"{requirement.id}\n{requirement.level}\n{requirement.sentence}\n"
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def sentences_of(requirements: Mapping[str, Requirement]) -> dict[str, str]:
    """Return the digest of each requirement that is not retired, by ID."""
    return {id: sentence_digest(each) for id, each in requirements.items() if not each.retired}


def list_digest(sentences: Mapping[str, str]) -> str:
    """Return the digest of a list of requirements."""
    text = "".join(f"{id} {sentences[id]}\n" for id in sorted(sentences))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@cache
def load_levels(folder: Path = LEVELS_FOLDER) -> dict[str, Level]:
    """Return the levels in ``folder``, the oldest first; LevelError for a file that was edited."""
    found = {}
    for path in sorted(folder.glob("*.toml")):
        text = tomllib.loads(path.read_text(encoding="utf-8"))
        level = Level(path.stem, text["requirements"])
        if text["digest"] != level.digest:
            raise LevelError(
                f"{path}: the digest is {text['digest']}, but the list has {level.digest}; "
                "restore the file: a level is never edited"
            )
        found[level.name] = level
    return found


def level_named(name: str, folder: Path = LEVELS_FOLDER) -> Level:
    """Return the level ``name``; LevelError says which levels exist."""
    levels = load_levels(folder)
    if name not in levels:
        known = ", ".join(levels) or "none"
        raise LevelError(f"unknown level {name!r}; levels are {known}")
    return levels[name]


def usable(name: str, requirements: Mapping[str, Requirement]) -> Level:
    """Return the level ``name``; LevelError unless ``requirements`` has all its sentences."""
    level = level_named(name)
    if changed := level.changed(requirements):
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise LevelError(
            f"level {name} cannot be judged by this release, which has changed or retired "
            f"{', '.join(changed[:3])}{more}; choose a later level, or the release of "
            "piecewise-conformance that the level came with"
        )
    return level


def freeze(
    name: str, requirements: Mapping[str, Requirement], folder: Path, *, replace: bool = False
) -> Path:
    """Write a level with all of ``requirements`` that are not retired; return the file."""
    if not _NAME.fullmatch(name):
        raise LevelError(f"the name of a level is {name!r}, expected a year and a month: 2026.12")
    path = folder / f"{name}.toml"
    if path.exists() and not replace:
        raise LevelError(
            f"{path} exists, and a level never changes; choose another name, or pass --replace if "
            "no release contains the level yet"
        )
    sentences = sentences_of(requirements)
    lines = [
        f"# Level {name}. Written by python -m piecewise_conformance.core.levels; never edit it.",
        f'digest = "{list_digest(sentences)}"',
        "",
        "[requirements]",
        *(f'{id} = "{sentences[id]}"' for id in sorted(sentences)),
    ]
    folder.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    load_levels.cache_clear()
    return path


def main(arguments: list[str] | None = None) -> int:
    """Freeze the current spec as a level; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m piecewise_conformance.core.levels",
        description="Freeze the current requirements as a conformance level.",
    )
    parser.add_argument("name", help="year and month, such as 2026.12")
    parser.add_argument(
        "--replace", action="store_true", help="overwrite a level that no release contains yet"
    )
    options = parser.parse_args(arguments)
    try:
        path = freeze(options.name, load(), LEVELS_FOLDER, replace=options.replace)
    except LevelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{path}: {len(level_named(options.name).sentences)} requirements")
    return 0


if __name__ == "__main__":
    sys.exit(main())
