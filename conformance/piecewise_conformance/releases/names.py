"""The names of torch that this project and piecewise backends lean on.

They are derived from the source of the reference, the emulator and the adapters of peers;
``names.toml`` adds those that a compile passes through without being imported here.
"""

from __future__ import annotations

import ast
import importlib.util
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_HARNESS = Path(__file__).parents[1]
_BY_HAND = Path(__file__).parent / "names.toml"
_MODULES_OF_NO_INTEREST = frozenset({"torch"})


@dataclass(frozen=True)
class Name:
    """A dotted name. ``why`` is empty and ``body`` False for a name that was derived."""

    name: str
    layer: str = ""
    why: str = ""
    body: bool = False  # whether a change of the body is reported
    users: tuple[str, ...] = ()  # files that use it


def leaned_on() -> list[Name]:
    """All names, those written by hand first."""
    by_hand = {each.name: each for each in _written()}
    derived = used_in(folders())
    found = [
        Name(each.name, each.layer, each.why, each.body, derived.pop(each.name, ()))
        for each in by_hand.values()
    ]
    return [*found, *(Name(name, users=users) for name, users in sorted(derived.items()))]


def folders() -> list[Path]:
    """The files and folders whose use of torch counts."""
    spec = importlib.util.find_spec("piecewise_reference")
    reference = [Path(each) for each in (spec and spec.submodule_search_locations) or ()]
    return [*reference, _HARNESS / "emulation", _HARNESS / "subject" / "adapters"]


def _written() -> Iterator[Name]:
    for layer, entries in tomllib.loads(_BY_HAND.read_text(encoding="utf-8")).items():
        for entry in entries:
            yield Name(entry["name"], layer, entry["why"], entry.get("body", True))


def used_in(places: Iterable[Path]) -> dict[str, tuple[str, ...]]:
    """The names of torch that the Python files below ``places`` use, each with those files."""
    found: dict[str, set[str]] = {}
    for place in places:
        for path in sorted(place.rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            shown = path.relative_to(place.parent).as_posix()
            for name in _names(tree):
                found.setdefault(name, set()).add(shown)
    return {name: tuple(sorted(users)) for name, users in found.items()}


def _names(tree: ast.Module) -> Iterator[str]:
    """The full names: what is imported, and attributes of what is imported."""
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "torch":
                    known[alias.asname or "torch"] = alias.name if alias.asname else "torch"
                    yield from _unless_plain(alias.name)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            of_torch = (node.module or "").partition(".")[0] == "torch"
            for alias in node.names if of_torch else ():
                known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}"
    inner: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            parts: list[str] = []
            at: ast.expr = node
            while isinstance(at, ast.Attribute):
                inner.add(id(at.value))
                parts.append(at.attr)
                at = at.value
            if isinstance(at, ast.Name) and at.id in known:
                yield ".".join([known[at.id], *reversed(parts)])


def _unless_plain(module: str) -> Iterator[str]:
    if module not in _MODULES_OF_NO_INTEREST:
        yield module
