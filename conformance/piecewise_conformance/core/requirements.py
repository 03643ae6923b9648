"""The requirements, read from the Markdown of the spec.

The spec is written for people. What is parsed is little: headings that are IDs, a list of fields
under each, one bold sentence, and the text after ``Why:``. Anything that does not parse is an
error that names file and line, since a requirement lost to a typo would be one that nobody tests.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LEVELS = ("MUST", "SHOULD")
SMOKE = "smoke"  # a few cases of each test
GPU = "gpu"  # what needs one
PROFILES = (SMOKE, "core", "inductor", GPU)
FULL = "full"  # the profile that selects every requirement; no requirement lists it

SPEC_FOLDER = Path(__file__).parents[1] / "spec"

_FAMILY = re.compile(r"# (?P<family>[A-Z]+) – \S")
_HEADING = re.compile(r"### (?P<id>\S+)\s*$")
_ID = re.compile(r"(?P<family>[A-Z]+)-\d{3}")
_FIELD = re.compile(r"- (?P<name>[a-z]+): *(?P<value>.*?)\s*$")
_SENTENCE = re.compile(r"\*\*(?P<sentence>[^*]+(?:\*[^*]+)*)\*\*$")
_REQUIRED = ("level", "profiles", "since", "source")
_OPTIONAL = ("faults", "retired")


class SpecError(ValueError):
    """The spec does not parse; the message begins with file and line."""


@dataclass(frozen=True)
class Requirement:
    """One numbered normative sentence, and where it comes from."""

    id: str
    family: str
    level: str
    profiles: frozenset[str]
    since: str
    source: str
    faults: tuple[str, ...]
    sentence: str
    why: str
    retired: str | None

    def selected_by(self, profiles: frozenset[str] | set[str]) -> bool:
        """Whether a run of ``profiles`` asks for this requirement."""
        return FULL in profiles or bool(self.profiles & profiles)


def load(folder: Path | None = None) -> dict[str, Requirement]:
    """All requirements of the spec in ``folder``, families by name and then in written order."""
    folder = SPEC_FOLDER if folder is None else folder
    found: dict[str, Requirement] = {}
    lines: dict[str, str] = {}
    files = sorted(folder.glob("*.md"))
    if not files:
        raise SpecError(f"{folder}: no spec file (*.md) there")
    for path in files:
        for number, each in _parse_file(path):
            where = f"{path}:{number}"
            if each.id in found:
                raise SpecError(f"{where}: {each.id} is already defined at {lines[each.id]}")
            found[each.id], lines[each.id] = each, where
    return found


def _parse_file(path: Path) -> Iterator[tuple[int, Requirement]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    title = _FAMILY.match(lines[0]) if lines else None
    if title is None:
        raise SpecError(f"{path}:1: the first line must be '# FAMILY – title'")
    starts = [n for n, line in enumerate(lines) if line.startswith("### ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield start + 1, _parse_one(path, title["family"], start, lines[start:end])


def _parse_one(path: Path, family: str, start: int, block: list[str]) -> Requirement:
    def wrong(text: str, offset: int = 0) -> SpecError:
        return SpecError(f"{path}:{start + 1 + offset}: {text}")

    heading = _HEADING.match(block[0])
    found = _ID.fullmatch(heading["id"]) if heading else None
    if found is None:
        raise wrong(f"{block[0][4:]!r} is no ID such as {family}-001")
    if found["family"] != family:
        raise wrong(f"{found[0]} stands in the file of {family}")

    fields, offset = _fields(block, wrong)
    if missing := [name for name in _REQUIRED if not fields.get(name)]:
        raise wrong(f"{found[0]} lacks: {', '.join(missing)}")
    if fields["level"] not in LEVELS:
        raise wrong(f"level {fields['level']!r} is none of {', '.join(LEVELS)}")
    profiles = _words(fields["profiles"])
    if unknown := [name for name in profiles if name not in PROFILES]:
        raise wrong(f"profile {unknown[0]!r} is none of {', '.join(PROFILES)}")
    if "retired" in fields and not fields["retired"]:
        raise wrong("'retired' must say since when and why")

    sentence, why = _prose(block[offset:])
    if not sentence:
        raise wrong(f"{found[0]} has no sentence: one paragraph, all of it **bold**")
    return Requirement(
        id=found[0],
        family=family,
        level=fields["level"],
        profiles=frozenset(profiles),
        since=fields["since"],
        source=fields["source"],
        faults=tuple(_words(fields.get("faults", ""))),
        sentence=sentence,
        why=why,
        retired=fields.get("retired"),
    )


def _fields(block: list[str], wrong: object) -> tuple[dict[str, str], int]:
    """The list under the heading, and the offset of the first line after it."""
    assert callable(wrong)
    fields: dict[str, str] = {}
    offset = 1
    while offset < len(block) and (block[offset].startswith("- ") or not block[offset].strip()):
        line = block[offset]
        if line.strip():
            match = _FIELD.match(line)
            if match is None or match["name"] not in _REQUIRED + _OPTIONAL:
                raise wrong(f"{line!r} is no field; known are {_known()}", offset)
            if match["name"] in fields:
                raise wrong(f"the field {match['name']!r} is there twice", offset)
            fields[match["name"]] = match["value"]
        offset += 1
    return fields, offset


def _known() -> str:
    return ", ".join(_REQUIRED + _OPTIONAL)


def _prose(lines: list[str]) -> tuple[str, str]:
    """The normative sentence, and the text after ``Why:``."""
    text = "\n".join(lines).strip()
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text)]
    match = _SENTENCE.match(" ".join(paragraphs[0].split()))
    sentence = match["sentence"].strip() if match else ""
    after = text.partition("\nWhy:")[2].strip()
    return sentence, after


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


# -- names that are not there ----------------------------------------------------------------------


def unknown_family(name: str, requirements: Mapping[str, Requirement]) -> str | None:
    """What is wrong with the name of a family; None if the spec has it."""
    families = sorted({each.family for each in requirements.values()})
    if name.upper() in families:
        return None
    return f"no family {name!r}{_near(name, families)}; there are {', '.join(families)}"


def unknown_id(id: str, requirements: Mapping[str, Requirement]) -> str | None:
    """What is wrong with the ID of a requirement, and which IDs there are; None if nothing is."""
    if found := requirements.get(id.upper()):
        return f"{found.id} is retired ({found.retired})" if found.retired else None
    family = id.upper().rpartition("-")[0]
    own = [each.id for each in requirements.values() if each.family == family]
    if own:
        return f"no requirement {id!r}: {family} has {own[0]} to {own[-1]}"
    families = sorted({each.family for each in requirements.values()})
    return f"no requirement {id!r}{_near(id, requirements)}; families are {', '.join(families)}"


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name.upper(), list(known), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
