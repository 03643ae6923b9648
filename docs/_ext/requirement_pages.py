"""Write the pages of the requirements, one for each family, from the spec before Sphinx reads them.

The pages are written into ``docs/requirements/``, which git ignores. A page that has not changed is
not written again, so Sphinx rebuilds only what has.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piecewise_conformance.core import requirements
from piecewise_conformance.core.requirements import SPEC_FOLDER, Requirement
from piecewise_conformance.core.suite_scan import Citation, scan
from piecewise_conformance.mutation.catalogue import Mutant, catalogue

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FOLDER = "requirements"
_INDEX = """\
# Requirements

A requirement is one sentence about the behavior of a piecewise backend, with a permanent ID. The
keywords MUST, MUST NOT, SHOULD, SHOULD NOT and MAY have the meaning of
[RFC 2119](https://www.rfc-editor.org/rfc/rfc2119). IDs are never reused.

Each requirement lists the tests that cite it and the
[mutants](../kill-matrix.md) that fail it: copies of the reference with one fault, which show that
the tests can fail. `python -m piecewise_conformance explain SPLIT-004` prints the same for one
requirement.

| family | about | requirements |
|---|---|---|
{rows}

```{{toctree}}
:hidden:

{pages}
```
"""


def pages() -> dict[str, str]:
    """The Markdown of every page, by file name."""
    tests: dict[str, list[Citation]] = {}
    for citation in scan().values():
        tests.setdefault(citation.requirement, []).append(citation)
    mutants: dict[str, list[Mutant]] = {}
    for mutant in catalogue().values():
        for each in sorted(mutant.fails | mutant.fails_on_gpu):
            mutants.setdefault(each, []).append(mutant)
    families: dict[str, list[Requirement]] = {}
    for requirement in requirements.load().values():
        families.setdefault(requirement.family, []).append(requirement)

    made, rows = {}, []
    for family, members in families.items():
        title, introduction = _opening(family)
        parts = [f"# {family}: {title}", introduction]
        parts += [
            _section(each, tests.get(each.id, []), mutants.get(each.id, [])) for each in members
        ]
        made[f"{family}.md"] = "\n\n".join(part for part in parts if part) + "\n"
        current = sum(each.retired is None for each in members)
        rows.append(f"| [{family}]({family}.md) | {title} | {current} |")
    made["index.md"] = _INDEX.format(rows="\n".join(rows), pages="\n".join(families))
    return made


def _opening(family: str) -> tuple[str, str]:
    """The title of a family, and the text before its first requirement."""
    text = (SPEC_FOLDER / f"{family}.md").read_text(encoding="utf-8")
    heading, _, rest = text.partition("\n")
    return heading.partition("–")[2].strip(), rest.partition("\n### ")[0].strip()


def _section(requirement: Requirement, tests: list[Citation], mutants: list[Mutant]) -> str:
    if requirement.retired:
        return f"## {requirement.id}\n\nRetired: {requirement.retired}\n\n{requirement.sentence}"
    profiles = ", ".join(name for name in requirements.PROFILES if name in requirement.profiles)
    facts = [f"level: {requirement.level}"]
    if consequence := getattr(requirement, "consequence", ""):
        facts.append(f"consequence: {consequence}")
    facts += [
        f"profiles: {profiles}",
        f"since: {requirement.since}",
        f"source: {requirement.source}",
    ]
    if requirement.faults:
        facts.append(f"[faults](../faults.md): {', '.join(requirement.faults)}")
    parts = [
        f"## {requirement.id}",
        f"**{requirement.sentence}**",
        requirement.why[:1].upper() + requirement.why[1:],
        "```{container} requirement-facts\n" + " · ".join(facts) + "\n```",
        _folded("test", [f"`{_name(each)}`: {_escaped(each.doc)}" for each in tests]),
        _folded("mutant", [f"`{each.name}`: {_escaped(each.about)}" for each in mutants]),
    ]
    return "\n\n".join(part for part in parts if part)


def _name(test: Citation) -> str:
    return test.node.rpartition("::")[2]


def _folded(what: str, items: list[str]) -> str:
    if not items:
        return ""
    count = f"{len(items)} {what}{'s' if len(items) > 1 else ''}"
    listed = "\n".join(f"- {each}" for each in items)
    return f"<details><summary>{count}</summary>\n\n{listed}\n\n</details>"


def _escaped(text: str) -> str:
    """``text`` with nothing that Markdown would read as markup, except code."""
    parts = re.split(r"(`+[^`]+`+)", " ".join(text.split()))
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_<>\[\]|{}])", r"\\\1", part)
        for part in parts
    )


def write(folder: Path) -> None:
    """Write the pages into ``folder``, and delete those of families that are gone."""
    folder.mkdir(exist_ok=True)
    made = pages()
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages when the builder is ready."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / FOLDER))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
