"""The mutation operators: every site of the reference at which one of them makes a mutant.

Left out is what no test may look at: docstrings, texts of messages, log calls, type annotations
and imports. Also left out is what fails in any case, such as a local name that is never assigned.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

from ..catalogue import Mutant, Patch

_COMPARISONS = {"==": "!=", "!=": "==", "<": ">=", ">": "<=", "<=": ">", ">=": "<"}
_COMPARISONS |= {"is": "is not", "is not": "is", "in": "not in", "not in": "in"}
_BOUNDARIES = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_FLIPPED = {"True": "False", "False": "True"}
_FIXED_ORDER = {"isinstance", "issubclass", "getattr", "hasattr", "setattr"}  # swapped: TypeError
_LOGGERS = ("logger.", "logging.", "warnings.")


@dataclass(frozen=True)
class Site:
    """A place in ``file`` where ``operator`` replaces ``old``, at the position ``at``, by ``new``.

    ``inside`` is the qualified name of the function or class around it, empty in a module.
    """

    file: str
    line: int
    operator: str
    ordinal: int  # among the sites of the operator on the line
    inside: str
    at: int
    old: str
    new: str
    before: str  # the lines of ``old`` in one line, each gap a space
    after: str  # the same with ``new``

    @property
    def id(self) -> str:
        """File, line, operator and ordinal: ``ranges.py:52:boundary:0``."""
        return f"{self.file}:{self.line}:{self.operator}:{self.ordinal}"

    @property
    def mutant(self) -> Mutant:
        """The site as a mutant that declares nothing."""
        name = "".join(c if c.isalnum() else "-" for c in self.id.replace("_", "-")).lower()
        patch = Patch(self.file, self.new, old=self.old, at=self.at)
        about = f"{self.before} -> {self.after}"
        return Mutant(name, about, (patch,), frozenset(), "systematic")


def sites_of(file: str, source: str) -> list[Site]:
    """The sites in the module ``file``, by position. Sources are ASCII."""
    wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    finder = _Finder(source)
    wrapper.visit(finder)
    found: list[Site] = []
    on_line: Counter[tuple[int, str]] = Counter()
    for at, old, operator, new, inside in dict.fromkeys(sorted(finder.found)):
        line = source.count("\n", 0, at) + 1
        start = source.rfind("\n", 0, at) + 1
        end = source.find("\n", at + len(old))
        before = source[start:end]
        after = source[start:at] + new + source[at + len(old) : end]
        ordinal = on_line[line, operator]
        on_line[line, operator] += 1
        texts = " ".join(before.split()), " ".join(after.split())
        found.append(Site(file, line, operator, ordinal, inside, at, old, new, *texts))
    return found


def sites(folder: Path) -> list[Site]:
    """The sites of all modules below ``folder``."""
    return [
        site
        for path in sorted(folder.rglob("*.py"))
        for site in sites_of(path.relative_to(folder).as_posix(), path.read_text("utf-8"))
    ]


class _Finder(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (ByteSpanPositionProvider,)

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.names: list[str] = []  # of the functions and classes around the node
        self.returns_bool: list[bool] = []
        self.found: list[tuple[int, str, str, str, str]] = []

    def span(self, first: cst.CSTNode, last: cst.CSTNode | None = None) -> tuple[int, str]:
        """Position and text of a node, or of all from one node to another."""
        begin = self.get_metadata(ByteSpanPositionProvider, first)
        end = self.get_metadata(ByteSpanPositionProvider, last or first)
        return begin.start, self.source[begin.start : end.start + end.length]

    def text(self, node: cst.CSTNode) -> str:
        """The source of a node, without parentheses around it."""
        return self.span(node)[1]

    def add(
        self, operator: str, node: cst.CSTNode, new: str, last: cst.CSTNode | None = None
    ) -> None:
        """Note that ``operator`` makes ``new`` of a node."""
        at, old = self.span(node, last)
        if old != new:
            self.found.append((at, old, operator, new, ".".join(self.names)))

    # -- what is around, and what is left out ------------------------------------------------------

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        """Functions that make texts for people are left out."""
        if node.name.value in ("__repr__", "__str__"):
            return False
        self.names.append(node.name.value)
        annotation = node.returns.annotation if node.returns else None
        self.returns_bool.append(isinstance(annotation, cst.Name) and annotation.value == "bool")
        return True

    def leave_FunctionDef(self, node: cst.FunctionDef) -> None:
        """The end of what is around."""
        if node.name.value not in ("__repr__", "__str__"):
            self.names.pop()
            self.returns_bool.pop()

    def visit_ClassDef(self, node: cst.ClassDef) -> None:
        """A class is around what it holds."""
        self.names.append(node.name.value)

    def leave_ClassDef(self, node: cst.ClassDef) -> None:
        """The end of what is around."""
        self.names.pop()

    def visit_left_out(self, node: cst.CSTNode) -> bool:
        """Types are mypy's, an f-string is nearly always a message, a missing import fails."""
        return False

    visit_Annotation = visit_FormattedString = visit_left_out
    visit_Import = visit_ImportFrom = visit_left_out

    def visit_Assign(self, node: cst.Assign) -> bool:
        """Lists of exported names and aliases of types are left out."""
        names = [each.target.value for each in node.targets if isinstance(each.target, cst.Name)]
        if not self.names and ("__all__" in names or isinstance(node.value, cst.Subscript)):
            return False
        if len(names) < len(node.targets):  # an attribute or an item
            self.add("deletion", node, "pass")
        return True

    # -- operators ---------------------------------------------------------------------------------

    def visit_Comparison(self, node: cst.Comparison) -> None:
        """Comparison and boundary."""
        for target in node.comparisons:
            token = self.text(target.operator)
            self.add("comparison", target.operator, _COMPARISONS[token])
            if token in _BOUNDARIES:
                self.add("boundary", target.operator, _BOUNDARIES[token])

    def visit_Integer(self, node: cst.Integer) -> None:
        """Boundary: one more and one less."""
        value = int(node.value, 0)
        self.add("boundary", node, str(value + 1))
        self.add("boundary", node, str(value - 1))

    def visit_Name(self, node: cst.Name) -> None:
        """Constant: the other truth value."""
        self.add("constant", node, _FLIPPED.get(node.value, node.value))

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        """Constant: another text."""
        if node.quote and not node.prefix and len(node.quote) == 1:
            self.add("constant", node, f"{node.quote}XX{node.value[1:]}")

    def visit_BooleanOperation(self, node: cst.BooleanOperation) -> None:
        """Boolean: the other connective."""
        self.add("boolean", node.operator, {"and": "or", "or": "and"}[self.text(node.operator)])

    def visit_UnaryOperation(self, node: cst.UnaryOperation) -> None:
        """Boolean: without the negation."""
        if isinstance(node.operator, cst.Not):
            self.add("boolean", node, f"bool({self.text(node.expression)})")

    def negate(self, test: cst.BaseExpression, operator: str = "boolean") -> None:
        """A condition negated, unless another operator does that."""
        single = isinstance(test, cst.Comparison) and len(test.comparisons) == 1
        negated = isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not)
        if not (single or negated or self.text(test) in (*_FLIPPED, "TYPE_CHECKING")):
            self.add(operator, test, f"not ({self.text(test)})")

    def visit_condition(self, node: cst.If | cst.While | cst.IfExp | cst.CompIf) -> None:
        """Boolean: the condition negated."""
        self.negate(node.test)

    visit_If = visit_While = visit_IfExp = visit_CompIf = visit_condition

    def visit_Expr(self, node: cst.Expr) -> bool:
        """Statement deletion: a call for what it does; docstrings and logs are left out."""
        text = self.text(node)
        if isinstance(node.value, cst.Call) and not text.startswith(_LOGGERS):
            self.add("deletion", node, "pass")
        is_text = isinstance(node.value, cst.BaseString)
        return not is_text and not text.startswith(_LOGGERS)

    def visit_deleted(self, node: cst.CSTNode) -> None:
        """Statement deletion."""
        self.add("deletion", node, "pass")

    visit_AugAssign = visit_Del = visit_Break = visit_Continue = visit_deleted

    def visit_WithItem(self, node: cst.WithItem) -> None:
        """Statement deletion: a lock that is not taken, a context that is not entered."""
        if node.asname is None:
            self.add("deletion", node.item, '__import__("contextlib").nullcontext()')

    def visit_Return(self, node: cst.Return) -> None:
        """Return value: None, or the other truth value."""
        if node.value is None:
            self.add("deletion", node, "pass")
        elif self.returns_bool and self.returns_bool[-1]:
            self.negate(node.value, "return")
        elif self.text(node.value) != "None":
            self.add("return", node.value, "None")

    def visit_Arg(self, node: cst.Arg) -> bool:
        """Whether zip checks lengths is left out: they are equal."""
        return not (node.keyword and node.keyword.value == "strict")

    def visit_Call(self, node: cst.Call) -> bool:
        """Argument swap: neighbours that are given by position."""
        name = self.text(node.func)
        plain = [each for each in node.args if not each.keyword and not each.star]
        if name not in _FIXED_ORDER:
            for one, other in pairwise(plain):
                first, second = self.text(one), self.text(other)
                at, _ = self.span(one)
                end = self.span(other)[0]
                between = self.source[at + len(first) : end]
                if first != second:
                    self.add("swap", one, second + between + first, other)
        return name != "cast"

    def visit_Raise(self, node: cst.Raise) -> bool:
        """Exception swallowed: nothing is raised. What is in it is a message."""
        self.add("swallow", node, "pass")
        return False

    def visit_ExceptHandler(self, node: cst.ExceptHandler) -> None:
        """Exception swallowed: nothing is done about it."""
        body = node.body.body
        if not (len(body) == 1 and self.text(body[0]).startswith(("raise", "pass", "logger."))):
            self.add("swallow", body[0], "pass", body[-1])
