"""The summary of a session as TOML, and the range of torch that it shows to work."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from .session import Torch

_HEAD = """\
# Which versions of torch the project was shown to work with: written by `nox -s releases`.
# The range of torch in pyproject.toml is what this file shows; a test compares the two.
"""
REFERENCE = "reference"
_GOOD = ("conformant", "known failures only")


def as_toml(good: str, arguments: Sequence[str], found: Sequence[Torch]) -> str:
    """The summary of a session."""
    working = _working((c.version, c.subject, c.verdict) for t in found for c in t.cells)
    newest = str(working[-1]) if working else ""
    lines = [_HEAD, f"good = {_text(good)}", f"newest = {_text(newest)}"]
    lines += [f"arguments = {_list(arguments)}"]
    for torch in found:
        for cell in torch.cells:
            rows = torch.rows.get(cell.subject, [])
            new = sum(len(row.results) for row in rows if row.bucket == "new")
            lines += ["", "[[run]]", f"torch = {_text(torch.version or torch.torch)}"]
            lines += [f"git_version = {_text(torch.git_version)}"]
            lines += [f"subject = {_text(cell.subject)}", f"verdict = {_text(cell.verdict)}"]
            lines += [f"new_failures = {new}", f"why = {_text(cell.why)}"]
        if torch.probes:
            moved = [each.probe.name for each in torch.probes if each.moved]
            lines += ["", "[[probes]]", f"torch = {_text(torch.version)}"]
            lines += [f"moved = {_list(moved)}"]
    return "\n".join(lines) + "\n"


def read(path: Path) -> Mapping[str, Any]:
    """The summary in a file."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def shown_to_work(summary: Mapping[str, Any]) -> list[Version]:
    """The releases on which the reference is conformant, in order; no nightlies and candidates."""
    return _working((e["torch"], e["subject"], e["verdict"]) for e in summary.get("run", []))


def _working(runs: Iterable[tuple[str, str, str]]) -> list[Version]:
    found = {
        Version(Version(torch).public)
        for torch, subject, verdict in runs
        if subject == REFERENCE and verdict.startswith(_GOOD)
    }
    return sorted(each for each in found if not each.is_prerelease)


def problems(declared: str, summary: Mapping[str, Any]) -> list[str]:
    """What is wrong with the declared range, such as ``>=2.13.0,<2.16``, by the summary.

    Its lower bound must be the oldest version that was shown to work, its upper bound must admit
    the newest one and nothing of the minor version after that.
    """
    working = shown_to_work(summary)
    if not working:
        return ["no version of torch is shown to work"]
    oldest, newest = working[0], working[-1]
    specifiers = SpecifierSet(declared)
    found = [f"{each} works, and is not in the range" for each in working if each not in specifiers]
    bounds = [each.version for each in specifiers if each.operator == ">="]
    if bounds != [str(oldest)]:
        found.append(f"the lower bound is {bounds}, and the oldest that works is {oldest}")
    if Version(f"{newest.major}.{newest.minor + 1}") in specifiers:
        found.append(f"the range admits what comes after {newest}, which was not tested")
    tried = [each for each in summary["run"] if each["subject"] == REFERENCE]
    for each in tried:
        if not each["verdict"].startswith(_GOOD) and Version(each["torch"]).public in specifiers:
            found.append(f"{each['torch']} is in the range, and is not shown to work")
    return found


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else " " for c in escaped) + '"'


def _list(values: Sequence[str]) -> str:
    return "[" + ", ".join(map(_text, values)) + "]"
