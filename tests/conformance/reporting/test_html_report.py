"""The page for people: what stands in it. ``test_html_in_browser.py`` opens it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from piecewise_conformance.core.requirements import load
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.reporting.badge import badge
from piecewise_conformance.reporting.html_picture import picture
from piecewise_conformance.reporting.html_report import page
from piecewise_conformance.reporting.html_runs import runs_of
from piecewise_conformance.reporting.report import (
    Report,
    Result,
)
from piecewise_conformance.reporting.verdict import make_footer, scope_of

VOID = {"meta", "input", "br", "rect"}
EVIL = "</script><img src=x onerror=alert(1)>&\udc80"


def header(name: str = "s", torch: str = "2.13.0") -> dict[str, object]:
    """The header of a run."""
    return {
        "subject": {"name": name, "spec": name, "version": "1"},
        "versions": {"torch": torch, "python": "3.11"},
        "device": "cpu",
        "seed": 0,
        "profiles": ["full"],
        "keyword": "",
        "started": "2026-01-01",
    }


def report(results: list[Result], name: str = "s", torch: str = "2.13.0") -> Report:
    """A complete report."""
    return Report(header(name, torch), results, make_footer(results, seconds=1))


class Page(HTMLParser):
    """Tags, attributes and text; an error for tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close what is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text.append(data)


RESULTS = [
    Result("SPLIT-001", "a", Status.PASS),
    Result("SPLIT-001", "b", Status.FAIL, EVIL, "repros/x.py", 1.0, "MUST", EVIL, "g", "p", "run"),
    Result("RANGE-001", "a", Status.UNSUPPORTED, "no"),
]


def test_a_page_is_whole(tmp_path: Path) -> None:
    """All that there is to say stands in it, and nothing is loaded from elsewhere."""
    (tmp_path / "repros").mkdir()
    (tmp_path / "repros" / "x.py").write_text("print('the repro')")
    text = page([(tmp_path, report(RESULTS))], load())
    found = Page(text)
    said = "".join(found.text)
    sentence = load()["SPLIT-001"].sentence
    for each in (sentence, "not conformant", "2.13.0", "expected", "print('the repro')", EVIL[:20]):
        assert each in said
    assert not [tag for tag, _ in found.tags if tag in ("img", "link", "iframe")]
    assert not [a for _, a in found.tags if "src" in a or (a.get("href") or "#")[0] != "#"]
    ids = [a["id"] for _, a in found.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for tag, a in found.tags if tag == "a"} <= {f"#{each}" for each in ids}
    assert all("scope" in a for tag, a in found.tags if tag == "th")
    (policy,) = [a["content"] for _, a in found.tags if "http-equiv" in a]
    assert policy
    assert policy.startswith("default-src 'none'")


def test_a_repro_outside_of_the_folder_is_not_shown(tmp_path: Path) -> None:
    """A report from elsewhere cannot put the reader's files into a page."""
    (tmp_path / "secret").write_text("the secret")
    (tmp_path / "run").mkdir()
    result = Result("SPLIT-001", "a", Status.FAIL, repro="../secret")
    assert "the secret" not in page([(tmp_path / "run", report([result]))], load())


def test_runs_side_by_side(tmp_path: Path) -> None:
    """Runs of one subject are told apart by torch; a requirement that one lacks is a dash."""
    runs = [(tmp_path, report(RESULTS)), (tmp_path, report(RESULTS[:2], torch="2.14.1"))]
    said = "".join(Page(page(runs, load())).text)
    assert "s 1 torch 2.13.0" in said
    assert "s 1 torch 2.14.1" in said


def test_a_run_of_a_part_says_so(tmp_path: Path) -> None:
    """A verdict on what ``-k`` chose says that; what was not judged has its reason."""
    part = report([*RESULTS[:2], Result("RANGE-001", "a", Status.NOT_RUN, "nothing of it")])
    part.header["keyword"] = "SPLIT-001 and a"
    said = "".join(Page(page([(tmp_path, part)], load())).text)
    assert "-k SPLIT-001 and a" in said
    assert f"1 of {scope_of(part.results, load()).of} judged" in said
    assert said.index("Not judged") < said.rindex("nothing of it")


def test_the_badge() -> None:
    """How many of all requirements hold; an incomplete run has no verdict."""
    assert "0 of 2" in badge(report(RESULTS))
    assert "no verdict" in badge(Report(header(), RESULTS))


def test_the_picture_has_a_square_for_each_requirement(tmp_path: Path) -> None:
    """Before the tables; by family and status, as long as the spec names no consequence."""
    (run,) = runs_of([(tmp_path, report(RESULTS))])
    spec = {id: load()[id] for id in ("SPLIT-001", "RANGE-001")}
    plain = {id: _Named(each.sentence) for id, each in spec.items()}
    found = picture(run, plain)  # type: ignore[arg-type]
    assert (found.by, found.columns) == ("status", ["fail", "unsupported"])
    assert [(row.family, row.seconds, row.share) for row in found.rows] == [
        ("RANGE", 0.0, 0.0),
        ("SPLIT", 1.0, 100.0),
    ]
    assert [[each.id for each in cell] for cell in found.rows[1].cells] == [["SPLIT-001"], []]
    text = page([(tmp_path, report(RESULTS))], load())
    assert text.index('class="square fail" href="#SPLIT-001"') < text.index('id="matrix"')


def test_the_picture_shows_consequences_once_the_spec_names_them(tmp_path: Path) -> None:
    """The worst first; a requirement without one is not left out."""
    (run,) = runs_of([(tmp_path, report(RESULTS))])
    found = picture(run, {"SPLIT-001": _Named("It is.", "data-loss")})  # type: ignore[dict-item]
    assert (found.by, found.columns[:3]) == (
        "consequence",
        ["wrong-result", "crash", "data-loss"],
    )
    assert found.columns[-1] == "not named"
    assert found.rows[1].cells[2][0].title == "SPLIT-001: fail – It is."
    assert found.rows[0].cells[-1][0].id == "RANGE-001"


def test_wrong_results_come_first(tmp_path: Path) -> None:
    """Failures are listed by consequence; requirements that hold follow in the order of IDs."""
    at_stake = {
        "A-001": "diagnostics",
        "B-001": "performance",
        "C-001": "wrong-result",
        "D-001": "",
    }
    results = [Result(id, "x", Status.FAIL, consequence=each) for id, each in at_stake.items()]
    results += [Result("A-000", "x", Status.PASS, consequence="wrong-result")]
    text = page([(tmp_path, report(results))], {})
    order = ["C-001", "B-001", "A-001", "D-001", "A-000"]
    assert re.findall(r'<tbody id="([^"]*)"', text) == order
    assert re.findall(r'class="id" href="#([^"]*)"', text) == order[:-1]
    assert "<small>performance</small>" in text


@dataclass(frozen=True)
class _Named:
    """What the picture reads of a requirement."""

    sentence: str
    consequence: str = ""
