"""What the files of a suite say without being run: which test cites which requirement.

Scanned and not collected, so that it costs no import of torch, works before a subject is there,
and still knows what a test was about when the process that ran it is dead.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUITE_FOLDER = Path(__file__).parents[1] / "suite"


class SuiteError(ValueError):
    """A test of the suite cites no requirement, or two; the message begins with file and line."""


@dataclass(frozen=True)
class Citation:
    """A test function. ``node`` is pytest's node ID without parameters."""

    node: str
    requirement: str
    path: Path
    line: int
    doc: str


def scan(suite: Path | None = None) -> dict[str, Citation]:
    """The tests of the suite by their node IDs."""
    suite = SUITE_FOLDER if suite is None else suite
    found: dict[str, Citation] = {}
    cases: dict[tuple[str, str], str] = {}
    for path in sorted(suite.rglob("test_*.py")):
        relative = path.relative_to(suite).as_posix()
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        except SyntaxError as error:
            raise SuiteError(f"{path}:{error.lineno}: {error.msg}") from error
        for prefix, function in _tests(tree.body, relative):
            node = f"{prefix}::{function.name}"
            cited = _cited(function, path)
            doc = (ast.get_docstring(function) or "").partition("\n")[0]
            case = split_node(node)[1]
            if cases.setdefault((cited, case), node) != node:
                raise SuiteError(
                    f"{path}:{function.lineno}: {cited} already has a case "
                    f"{case!r}; rename the test"
                )
            found[node] = Citation(node, cited, path, function.lineno, doc)
    return found


def _tests(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for each in body:
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test"):
            yield prefix, each
        elif isinstance(each, ast.ClassDef) and each.name.startswith("Test"):
            yield from _tests(each.body, f"{prefix}::{each.name}")


def _cited(function: ast.FunctionDef, path: Path) -> str:
    cited = [each for each in function.decorator_list if _is_citation(each)]
    where = f"{path}:{function.lineno}: {function.name}"
    if len(cited) != 1:
        what = "cites no requirement" if not cited else "cites more than one requirement"
        raise SuiteError(f'{where} {what}; it needs exactly one @requirement("ID")')
    call = cited[0]
    assert isinstance(call, ast.Call)
    value = call.args[0] if len(call.args) == 1 else None
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        raise SuiteError(f'{where} must cite its requirement literally: @requirement("ID")')
    return value.value


def _is_citation(decorator: ast.expr) -> bool:
    if not isinstance(decorator, ast.Call):
        return False
    function = decorator.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "requirement"


def split_node(nodeid: str) -> tuple[str, str]:
    """The node ID without parameters, and the case that the report shows for it."""
    plain, bracket, parameters = nodeid.partition("[")
    name = plain.rpartition("::")[2].removeprefix("test_")
    return plain, name + bracket + parameters
