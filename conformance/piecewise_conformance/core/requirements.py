"""Read the requirements from the Markdown files of the spec.

People read the same files. The parser uses the headings that are IDs, the list of fields under
each, the bold sentence, and the text after ``Why:``. A heading, field or sentence in another form
is an error that names file and line: a requirement that is lost to a typo would never be tested.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LEVELS = ("MUST", "SHOULD")
SMOKE = "smoke"  # a few cases of each test
GPU = "gpu"  # tests that need a GPU
PROFILES = (SMOKE, "core", "inductor", GPU)
FULL = "full"  # the profile that selects every requirement; no requirement lists it

# What the user of a backend sees if it violates the requirement; the worst is first.
CONSEQUENCES = ("wrong-result", "crash", "data-loss", "performance", "diagnostics")

SPEC_FOLDER = Path(__file__).parents[1] / "spec"

_FAMILY = re.compile(r"# (?P<family>[A-Z]+) – \S")
_HEADING = re.compile(r"### (?P<id>\S+)\s*$")
_ID = re.compile(r"(?P<family>[A-Z]+)-\d{3}")
_FIELD = re.compile(r"- (?P<name>[a-z]+): *(?P<value>.*?)\s*$")
_SENTENCE = re.compile(r"\*\*(?P<sentence>[^*]+(?:\*[^*]+)*)\*\*$")
_REQUIRED = ("level", "consequence", "profiles", "since", "source")
_OPTIONAL = ("faults", "retired")


class SpecError(ValueError):
    """The spec does not parse; the message begins with file and line."""


@dataclass(frozen=True)
class Requirement:
    """One numbered normative sentence, and where it comes from."""

    id: str
    family: str
    level: str
    consequence: str
    profiles: frozenset[str]
    since: str
    source: str
    faults: tuple[str, ...]
    sentence: str
    why: str
    retired: str | None

    def selected_by(self, profiles: frozenset[str] | set[str]) -> bool:
        """Return whether a run of ``profiles`` selects this requirement."""
        return FULL in profiles or bool(self.profiles & profiles)


def load(folder: Path | None = None) -> dict[str, Requirement]:
    """Return the requirements of the spec in ``folder``: families by name, then in file order."""
    folder = SPEC_FOLDER if folder is None else folder
    found: dict[str, Requirement] = {}
    lines: dict[str, str] = {}
    files = sorted(folder.glob("*.md"))
    if not files:
        raise SpecError(f"{folder}: no spec file (*.md) in this folder")
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
        raise wrong(f"{block[0][4:]!r} is not an ID; expected one such as {family}-001")
    if found["family"] != family:
        raise wrong(f"{found[0]} is in the file of {family}; move it to the file of its family")

    fields, offset = _fields(block, wrong)
    if missing := [name for name in _REQUIRED if not fields.get(name)]:
        raise wrong(f"{found[0]} has no value for: {', '.join(missing)}")
    for name, known in (("level", LEVELS), ("consequence", CONSEQUENCES)):
        if fields[name] not in known:
            raise wrong(f"{name} is {fields[name]!r}, expected one of {', '.join(known)}")
    profiles = _words(fields["profiles"])
    if unknown := [name for name in profiles if name not in PROFILES]:
        raise wrong(f"profile is {unknown[0]!r}, expected one of {', '.join(PROFILES)}")
    if "retired" in fields and not fields["retired"]:
        raise wrong("'retired' is empty; expected a version and a reason")

    sentence, why = _prose(block[offset:])
    if not sentence:
        raise wrong(f"{found[0]} has no sentence; expected a paragraph that is **bold** as a whole")
    return Requirement(
        id=found[0],
        family=family,
        level=fields["level"],
        consequence=fields["consequence"],
        profiles=frozenset(profiles),
        since=fields["since"],
        source=fields["source"],
        faults=tuple(_words(fields.get("faults", ""))),
        sentence=sentence,
        why=why,
        retired=fields.get("retired"),
    )


def _fields(block: list[str], wrong: object) -> tuple[dict[str, str], int]:
    """Return the fields under the heading, and the offset of the first line after them."""
    assert callable(wrong)
    fields: dict[str, str] = {}
    offset = 1
    while offset < len(block) and (block[offset].startswith("- ") or not block[offset].strip()):
        line = block[offset]
        if line.strip():
            match = _FIELD.match(line)
            if match is None or match["name"] not in _REQUIRED + _OPTIONAL:
                raise wrong(f"{line!r} is not a field; expected one of {_known()}", offset)
            if match["name"] in fields:
                raise wrong(f"the field {match['name']!r} occurs twice; delete one", offset)
            fields[match["name"]] = match["value"]
        offset += 1
    return fields, offset


def _known() -> str:
    return ", ".join(_REQUIRED + _OPTIONAL)


def _prose(lines: list[str]) -> tuple[str, str]:
    """Return the normative sentence and the text after ``Why:``."""
    text = "\n".join(lines).strip()
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", text)]
    match = _SENTENCE.match(" ".join(paragraphs[0].split()))
    sentence = match["sentence"].strip() if match else ""
    after = text.partition("\nWhy:")[2].strip()
    return sentence, after


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


# -- unknown names --------------------------------------------------------------------------------


def unknown_family(name: str, requirements: Mapping[str, Requirement]) -> str | None:
    """Return an error text for an unknown family; None if the spec has the family."""
    families = sorted({each.family for each in requirements.values()})
    if name.upper() in families:
        return None
    return f"unknown family {name!r}{_near(name, families)}; families are {', '.join(families)}"


def unknown_id(id: str, requirements: Mapping[str, Requirement]) -> str | None:
    """Return an error text for an unknown or retired ID; None if the spec has the requirement."""
    if found := requirements.get(id.upper()):
        return f"{found.id} is retired ({found.retired})" if found.retired else None
    family = id.upper().rpartition("-")[0]
    own = [each.id for each in requirements.values() if each.family == family]
    if own:
        return f"unknown requirement {id!r}; {family} has {own[0]} to {own[-1]}"
    families = sorted({each.family for each in requirements.values()})
    return (
        f"unknown requirement {id!r}{_near(id, requirements)}; families are {', '.join(families)}"
    )


def _near(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name.upper(), list(known), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
