"""Failures that are known: which they are, why, and since when they are no longer.

A file of expectations holds tables ``[[expect]]``. What it says and does not come true, and what
comes true in it no longer, fails the run, so that a file never grows stale.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from ..core.requirements import Requirement, unknown_id
from ..core.verdict import Status
from .report import FAILING, ReportError, Result
from .selected import part_of

_KEYS = ("requirement", "case", "status", "reason", "link", "version", "torch")


@dataclass(frozen=True)
class Expectation:
    """Cases of one requirement that are known to fail.

    ``case`` may hold ``*`` and ``?``. ``version`` and ``torch`` are specifiers, such as ``<0.34``,
    of the subject's version and torch's: outside of them nothing is expected.
    """

    requirement: str
    case: str = "*"
    status: Status = Status.FAIL
    reason: str = ""
    link: str = ""
    version: str = ""
    torch: str = ""

    def __str__(self) -> str:
        return f"{self.requirement} {self.case} ({self.status.value})"

    def names(self, result: Result) -> bool:
        """Whether it is about the case of ``result``."""
        return self.covers(result.id, result.case)

    def covers(self, requirement: str, case: str) -> bool:
        """Whether it is about that case; brackets stand for themselves."""
        parts = (re.escape(each) for each in re.split(r"([*?])", self.case))
        pattern = "".join({r"\*": ".*", r"\?": "."}.get(each, each) for each in parts)
        matches = re.fullmatch(pattern, case, flags=re.DOTALL)
        return self.requirement == requirement and matches is not None

    def applies(self, header: Mapping[str, Any]) -> bool:
        """Whether it is about the versions that ``header`` tells."""
        have = (header["subject"].get("version"), header["versions"].get("torch"))
        for specifier, version in zip((self.version, self.torch), have, strict=True):
            if not specifier:
                continue
            try:
                if not version or not SpecifierSet(specifier).contains(
                    Version(version), prereleases=True
                ):
                    return False
            except InvalidVersion:
                return False
        return True


def load_expectations(path: Path, *, accept: bool = False) -> list[Expectation]:
    """The expectations in the file; ReportError with all that is wrong with it.

    A reason that is empty is wrong, except where more are to be accepted into the same file.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ReportError(f"{path} cannot be read: {error}") from error
    wrong = [f"unknown table {key!r}; expected [[expect]]" for key in table if key != "expect"]
    found: list[Expectation] = []
    entries = table.get("expect", [])
    if not isinstance(entries, list):
        entries, wrong = [], [*wrong, "'expect' is not a list of tables; write [[expect]]"]
    for number, entry in enumerate(entries, start=1):
        if faults := list(_faults(entry, accept)):
            wrong += [f"entry {number}: {each}" for each in faults]
        else:
            status = Status(entry.get("status", "fail"))
            found.append(Expectation(**{**entry, "status": status}))
    if wrong:
        raise ReportError("\n".join(f"{path}: {each}" for each in wrong))
    return found


def _faults(entry: Mapping[str, Any], accept: bool) -> Iterable[str]:
    for key, value in entry.items():
        if key not in _KEYS:
            yield f"unknown key {key!r}; known are {', '.join(_KEYS)}"
        elif not isinstance(value, str):
            yield f"{key} is {value!r}, expected a string"
    if not entry.get("requirement"):
        yield "requirement is missing; name one, such as SPLIT-004"
    if entry.get("status", "fail") not in [each.value for each in FAILING]:
        yield f"status is {entry['status']!r}, expected fail, crash or timeout"
    if not accept and not str(entry.get("reason", "")).strip():
        yield f"{entry.get('requirement')} {entry.get('case', '*')} has no reason; write one"
    for key in ("version", "torch"):
        try:
            SpecifierSet(str(entry.get(key, "")))
        except InvalidSpecifier:
            yield f"{key} is {entry[key]!r}, expected a specifier such as <0.34"


def check_ids(
    path: object, entries: Iterable[Expectation], requirements: Mapping[str, Requirement]
) -> None:
    """Raise ReportError if an entry names a requirement that the spec does not have."""
    wrong = {id: unknown_id(id, requirements) for id in {each.requirement for each in entries}}
    if told := [f"{path}: {wrong[id]}" for id in sorted(wrong) if wrong[id]]:
        raise ReportError("\n".join(told))


class Expected:
    """What is expected of one run."""

    def __init__(self, entries: Iterable[Expectation], header: Mapping[str, Any]) -> None:
        self.entries = [each for each in entries if each.applies(header)]

    def judge(self, result: Result) -> Result:
        """``result``, as xfail where its failure is expected, as xpass where it did not come."""
        for each in self.entries:
            if not each.names(result):
                continue
            if result.status is each.status:
                told = f"expected: {each.reason} {each.link}".rstrip()
                message = f"{told}\n{result.message}".rstrip()
                return dataclasses.replace(result, status=Status.XFAIL, message=message)
            if result.status is Status.PASS:
                told = f"expected {each.status.value} ({each.reason}), but the test passes"
                return dataclasses.replace(result, status=Status.XPASS, message=told)
        return result

    def unmatched(self, results: Sequence[Result]) -> list[str]:
        """The entries that no result came true for."""
        true = [each for each in results if each.status in (Status.XFAIL, Status.XPASS)]
        return [str(e) for e in self.entries if not any(e.names(each) for each in true)]


def find_expectations(name: str) -> Path | None:
    """``expectations/NAME.toml`` in the current folder, else ``known_failures`` of the harness."""
    own = own_file(name)
    for path in (own, Path(__file__).parents[1] / "known_failures" / own.name):
        if path.is_file():
            return path.resolve()
    return None


def own_file(name: str) -> Path:
    """``expectations/NAME.toml``: where an author keeps those of the subject ``name``."""
    return Path("expectations", re.sub(r"[^\w.-]", "_", name) + ".toml")


def shown_path(path: Path) -> str:
    """The path for the header: shards of one run in different checkouts shall tell the same."""
    here = Path.cwd()
    return os.path.relpath(path, here) if path.is_relative_to(here) else str(path)


def unmatched_of(header: Mapping[str, Any], results: Sequence[Result]) -> list[str]:
    """What was expected and matched nothing, in a run that was about all: else nothing is told."""
    path = header.get("expectations")
    if not path or part_of(header):
        return []
    return Expected(load_expectations(Path(path), accept=True), header).unmatched(results)


def accept(path: Path, results: Iterable[Result]) -> int:
    """Append an entry, with an empty reason, for each failure; how many there are.

    The reason is for a person to write: until then the file is refused.
    """
    lines = []
    for each in sorted((r for r in results if r.failing), key=lambda each: each.key):
        entry = {"requirement": each.id, "case": each.case, "status": each.status.value}
        lines.append("\n[[expect]]\n")
        lines += [f"{key} = {_quoted(value)}\n" for key, value in entry.items()]
        lines.append('reason = ""\nlink = ""\n')
    if lines:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(lines)
    return len(lines) // 5


def _quoted(text: str) -> str:
    """A basic string of TOML: as JSON's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
