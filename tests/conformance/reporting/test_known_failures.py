"""The failures of the released peers that the harness ships as expected: each can be acted on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from piecewise_conformance.core.requirements import load
from piecewise_conformance.reporting import expectations
from piecewise_conformance.reporting.expectations import find_expectations, load_expectations

HERE = Path(__file__).parents[3]
FOLDER = Path(expectations.__file__).parents[1] / "known_failures"


def anchors(path: Path) -> set[str]:
    """What a link into the Markdown file may name."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in heads}


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_each_names_a_requirement_a_version_and_a_paragraph(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is found by a run that is started anywhere; no entry stands for two."""
    monkeypatch.chdir(tmp_path)
    path = find_expectations(name)
    assert path == FOLDER / f"{name}.toml"
    entries = load_expectations(path)
    requirements = load()
    cases = [(each.requirement, each.case) for each in entries]
    assert len(set(cases)) == len(cases)
    findings = (HERE / "docs" / "findings" / f"{name}.md").read_text()
    for each in entries:
        assert not requirements[each.requirement].retired
        assert each.version.startswith("==")
        file, _, anchor = each.link.partition("#")
        assert anchor in anchors(HERE / file), each
        # prose names a family, or the requirement itself
        family = each.requirement.rpartition("-")[0]
        assert re.search(rf"\b({each.requirement}|{family}\b(?!-))", findings), each
