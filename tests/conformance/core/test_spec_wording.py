"""The mechanical rules for the wording of the spec and of what users read.

Every requirement is one sentence with one RFC 2119 keyword. The words that the glossary replaces
do not occur; each exception has its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from piecewise_conformance.core.requirements import CONSEQUENCES, SPEC_FOLDER, Requirement, load

KEYWORD = re.compile(r"\b(MUST NOT|MUST|SHALL NOT|SHALL|SHOULD NOT|SHOULD|MAY|REQUIRED|OPTIONAL)\b")

# The "not" column of the glossary, and turns that are not English. The pattern, and what to write.
REPLACED = {
    r"\bwho is tested\b": "the backend under test, the subject",
    r"\bdrawn\b": "generated",
    r"\b(all|of|its|their|recorded|for|two) captures\b": "CUDA graphs",
    r"\bwhat is captured\b": "the CUDA graph",
    r"\bdamaged?\b": "corrupt, truncated, unreadable",
    r"\bof no use\b": "unreadable",
    r"\btorn\b": "truncated",
    r"\bseals?\b": "cache key, digest, fingerprint",
    r"\bblam(e|es|ed|ing)\b": "false failure",
    r"\bfreedoms?\b": "equivalent variant",
    r"\bwhat watches\b": "test double, spy, fake",
    r"\bthe matrix asks\b": "killing test",
    # "probe" is a small program of releases/; the calls before a suite are the preflight check
    r"\bprocesses at hand\b": "fork server, process pool",
    r"\b(make|made|take|taken) again\b": "deserialize, reload",
    r"\bnot asked\b": "not run",
    r"\bpass(ed)? over\b": "unsupported, not run",
    r"\bthe other side\b": "baseline",
    r"\banew\b": "again",
    r"\bbeside\b": "next to, compared with",
    r"\bis no\b": "is not a",
    r"\b(is|are) told\b": "is reported, logged, raised",
    r"\btells (of|by|from|that|so)\b": "reports, names",
    r"\bwhoever\b": "a process, a user, a caller that ...",
}

# ID: the pattern that it may contain, and why.
EXCEPTIONS: dict[str, tuple[str, str]] = {}

PACKAGE = SPEC_FOLDER.parent
LIVE = [each for each in load().values() if not each.retired]


@pytest.mark.parametrize("each", LIVE, ids=lambda each: each.id)
def test_a_sentence_has_one_keyword(each: Requirement) -> None:
    """The keyword is that of the requirement's level, and the sentence is one sentence."""
    assert [word.split()[0] for word in KEYWORD.findall(each.sentence)] == [each.level]
    assert not re.search(r"[.;:] ", each.sentence), "more than one sentence"
    assert each.sentence[0].isupper() or each.sentence[0] == "`"
    assert each.consequence in CONSEQUENCES


@pytest.mark.parametrize("each", LIVE, ids=lambda each: each.id)
def test_a_requirement_can_be_quoted_alone(each: Requirement) -> None:
    """It begins with its subject and not with a word that refers to another sentence."""
    first = each.sentence.split()[0]
    assert first not in {"It", "So", "They", "This", "These", "That", "He", "She", "Nor", "Also"}


@pytest.mark.parametrize("each", LIVE, ids=lambda each: each.id)
def test_a_rationale_is_short(each: Requirement) -> None:
    """At most five sentences: what does not fit belongs into the documentation."""
    assert len(re.findall(r"[.?!](?=\s|$)", each.why)) <= 5


@pytest.mark.parametrize("path", sorted(SPEC_FOLDER.glob("*.md")), ids=lambda path: path.name)
def test_the_glossary_is_followed(path: Path) -> None:
    """No word of the glossary's "not" column is in the spec."""
    found = []
    for each in load().values():
        if each.family != path.stem:
            continue
        for pattern, instead in REPLACED.items():
            allowed, _ = EXCEPTIONS.get(each.id, ("", ""))
            match = re.search(pattern, f"{each.sentence} {each.why}", re.IGNORECASE)
            if match and pattern != allowed:
                found.append(f"{each.id}: {match[0]!r}, say {instead}")
    assert not found


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """The strings of a module with their lines, but for docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix()
)
def test_messages_follow_the_glossary(path: Path) -> None:
    """No text that the harness prints has a word of the glossary's "not" column."""
    found = [
        f"line {line}: {match[0]!r}, say {instead}"
        for line, text in texts(path)
        for pattern, instead in REPLACED.items()
        if " " in text and (match := re.search(pattern, text, re.IGNORECASE))
    ]
    assert not found


def test_exceptions_are_needed() -> None:
    """An exception that no longer applies is deleted."""
    known = load()
    for id, (pattern, _) in EXCEPTIONS.items():
        assert re.search(pattern, f"{known[id].sentence} {known[id].why}", re.IGNORECASE), id


ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "changelog.d").glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "findings").glob("*.md")),
]
# What a page may contain all the same, and why.
NAMES = {
    "`freedom`": "a reason in survivors.toml",
    'reason = "freedom"': "the same",
    "all captures": "acts of capturing, not CUDA graphs",
}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_documentation_follows_the_glossary(path: Path) -> None:
    """No word of the glossary's "not" column is in a page; programs and file names are left out."""
    text = re.sub(r"```python.*?```|\]\([^)]*\)", "", path.read_text("utf-8"), flags=re.DOTALL)
    for name in NAMES:
        text = text.replace(name, "")
    text = re.sub(r"(?i)\bthere is no\b|\bis no longer\b", "", text)
    found = [
        f"{match[0]!r}, say {instead}"
        for pattern, instead in REPLACED.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]
    assert not found


def test_the_docstrings_of_the_reference_follow_the_glossary() -> None:
    """Its docstrings are documentation: docs/api.md shows them."""
    found = []
    for path in sorted((ROOT / "reference").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                for pattern, instead in REPLACED.items():
                    if match := re.search(pattern, ast.get_docstring(node) or "", re.IGNORECASE):
                        found.append(f"{path.name}: {match[0]!r}, say {instead}")
    assert not found
