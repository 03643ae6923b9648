"""The page for people: its structure always; in a browser where ``CHROMIUM`` names one."""

from __future__ import annotations

import json
import os
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest
from piecewise_conformance.badge import badge
from piecewise_conformance.html_report import page, write_html
from piecewise_conformance.report import Report, Result, make_footer
from piecewise_conformance.requirements import Requirement, load
from piecewise_conformance.verdict import Status

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


def requirement_like(number: int) -> Requirement:
    """One of many requirements."""
    first = next(iter(load().values()))
    return type(first)(**{**vars(first), "id": f"BIG-{number:03}"})


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


def test_the_badge() -> None:
    """How many of the judged requirements hold; an incomplete run has no verdict."""
    assert "0 of 1" in badge(report(RESULTS))
    assert "no verdict" in badge(Report(header(), RESULTS))


def big(tmp_path: Path) -> Path:
    """500 requirements by 12 runs, one in seven failing."""
    path = tmp_path / "report.html"
    runs = []
    for run in range(12):
        results = [
            Result(f"BIG-{n:03}", "a", Status.FAIL, "it failed", expected="1", got="2", program="p")
            if (n + run) % 7 == 0
            else Result(f"BIG-{n:03}", "a", Status.PASS)
            for n in range(500)
        ]
        runs.append((tmp_path, report(results, f"subject{run}")))
    write_html(path, runs, {f"BIG-{n:03}": requirement_like(n) for n in range(500)})
    return path


def test_a_big_page(tmp_path: Path) -> None:
    """It has a block for each requirement, with a cell for each run."""
    found = Page(big(tmp_path).read_text())
    blocks = [a for tag, a in found.tags if tag == "tbody" and "data-family" in a]
    assert len(blocks) == 500


@pytest.mark.skipif("CHROMIUM" not in os.environ, reason="CHROMIUM names no browser to test with")
def test_in_a_browser(tmp_path: Path) -> None:
    """Filters filter, links lead to what is filtered away, nothing is said on the console."""
    path = big(tmp_path)
    check = """<script>
    addEventListener("load", () => setTimeout(() => {
      const form = document.getElementById("filters"), told = {};
      const shown = () => document.querySelectorAll("tbody[data-family]:not([hidden])").length;
      told.loaded = performance.now(); told.all = shown();
      form.elements.text.value = "big-01";
      form.dispatchEvent(new Event("input", {bubbles: true})); told.text = shown();
      form.elements.text.value = "no such text";
      const before = performance.now();
      form.dispatchEvent(new Event("input", {bubbles: true})); told.none = shown();
      document.body.offsetHeight; told.filter_ms = performance.now() - before;
      location.hash = "#BIG-007";
      setTimeout(() => {
        told.link = shown(); told.open = document.querySelectorAll("details[open]").length;
        told.wide = document.documentElement.scrollWidth - innerWidth;
        told.visible = !form.hidden;
        document.body.textContent = "TOLD" + JSON.stringify(told) + "DLOT";
      }, 50);
    }));
    </script></body>"""
    path.write_text(path.read_text().replace("</body>", check))
    command = [os.environ["CHROMIUM"], "--headless=new", "--no-sandbox", "--disable-gpu"]
    command += ["--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    print("browser, start and end included:", time.monotonic() - began, "s")
    assert "TOLD" in done.stdout, done.stderr[-2000:]
    told = json.loads(done.stdout.partition("TOLD")[2].partition("DLOT")[0])
    print(told)
    assert told["visible"]
    assert (told["all"], told["text"], told["none"], told["link"]) == (500, 10, 0, 1)
    assert told["open"] == 1
    assert "CONSOLE" not in done.stderr
