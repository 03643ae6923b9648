"""The page in a headless Chromium, as people use it: by mouse, by keyboard, on a phone, on paper.

The tests are skipped where there is no browser (see ``conftest.py``).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from piecewise_conformance.core.requirements import load
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.reporting.html_report import write_html
from piecewise_conformance.reporting.report import (
    Report,
    Result,
)
from piecewise_conformance.reporting.verdict import make_footer

if TYPE_CHECKING:
    from playwright.sync_api import Page

    Open = Callable[..., Page]

FAILED: dict[str, Any] = {
    "message": "output 0 has different values",
    "expected": "float32[4, 8] [11.3, -4.9]",
    "got": "float32[4, 8] [0, 0]",
    "program": "graph():\n    %" + "long_" * 60 + " = placeholder[target=x]\n" * 30,
    "how_to_run": "python -m piecewise_conformance run -k 'BIG-000 and a'",
    "repro": "repros/x.py",
}
STATUSES = list(Status)
OPEN_ALL = "document.querySelectorAll('details').forEach((e) => { e.open = true; })"


def write(folder: Path, *, requirements: int, runs: int) -> Path:
    """A page over requirements of three families, of all statuses in turn."""
    first = next(iter(load().values()))
    ids = [f"{('BIG', 'ODD', 'SMALL')[n % 3]}-{n:03}" for n in range(requirements)]
    sentence = "What `split_graph` returns is right for every batch size, also for {}."
    first = dataclasses.replace(first, why="It was wrong once.")
    known = {id: dataclasses.replace(first, id=id, sentence=sentence.format(id)) for id in ids}
    reports = []
    for run in range(runs):
        results = []
        for n, id in enumerate(ids):
            status = STATUSES[(n + run) % len(STATUSES)]
            failed = FAILED if status is Status.FAIL else {"message": f"it is {status.value}"}
            results.append(Result(id, "a", status, level="MUST", **failed))
        header = {
            "subject": {"name": f"subject{run}", "spec": "s", "version": "1"},
            "versions": {"torch": "2.13.0", "python": "3.11"},
            "device": "cpu",
            "seed": 0,
            "profiles": ["full"],
            "keyword": "",
            "started": "2026-01-01",
        }
        reports.append((folder, Report(header, results, make_footer(results, seconds=1))))
    (folder / "repros").mkdir()
    (folder / "repros" / "x.py").write_text("print('it fails')\n")
    write_html(folder / "report.html", reports, known)
    return folder / "report.html"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 18 requirements and one run."""
    return write(tmp_path_factory.mktemp("small"), requirements=18, runs=1)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 18 requirements and three runs."""
    return write(tmp_path_factory.mktemp("several"), requirements=18, runs=3)


def shown(page: Page) -> int:
    """Return how many requirements the filters show; the page must say the same number."""
    number = page.locator("tbody[data-family]:not([hidden])").count()
    total = page.locator("tbody[data-family]").count()
    assert page.locator("#shown").text_content() == f"{number} of {total} requirements"
    return number


def focused(page: Page) -> dict[str, Any]:
    """Return which element has the focus, and whether a reader sees that it has."""
    found: dict[str, Any] = page.evaluate(
        "(() => { const e = document.activeElement, style = getComputedStyle(e); return "
        "{tag: e.tagName, text: e.textContent, name: e.name ?? '', "
        "ring: style.outlineStyle != 'none' && parseFloat(style.outlineWidth) > 1}; })()"
    )
    return found


def tab_to(page: Page, tag: str, text: str = "") -> None:
    """Press Tab until the element has the focus; every element on the way must show its focus."""
    for _ in range(120):
        page.keyboard.press("Tab")
        at = focused(page)
        assert at["tag"] == "BODY" or at["ring"], at
        if at["tag"] == tag and text in at["text"] + at["name"]:
            return
    pytest.fail(f"Tab does not reach a {tag} with {text!r}")


def test_filters(open_page: Open, several: Path) -> None:
    """The filters work by status, family and text, alone and together, and can be reset."""
    page = open_page(several)
    assert shown(page) == 18
    page.locator("[name=status][value=fail]").check()
    assert shown(page) == 6
    page.locator("[name=status][value=crash]").check()
    assert shown(page) == 8
    page.get_by_role("combobox", name="family").select_option("ODD")
    assert shown(page) == 2
    page.get_by_role("searchbox", name="text").fill("no such text")
    assert shown(page) == 0
    page.get_by_role("searchbox", name="text").fill("Odd-0")
    assert shown(page) == 2
    page.get_by_role("button", name="Show all").click()
    page.get_by_text("18 of 18 requirements").wait_for()
    assert shown(page) == 18


@pytest.mark.parametrize("which", ["small", "several"])
def test_links(open_page: Open, which: str, request: pytest.FixtureRequest) -> None:
    """Every link has a target; a link to a requirement that is filtered away shows it, open."""
    page = open_page(request.getfixturevalue(which))
    links = page.evaluate(
        "Array.from(document.links, (e) => [e.getAttribute('href'), "
        "document.getElementById(decodeURIComponent(e.hash.slice(1))) != null])"
    )
    assert len(links) > 18
    assert [href for href, leads in links if not (href.startswith("#") and leads)] == []
    page.get_by_role("searchbox", name="text").fill("no such text")
    assert shown(page) == 0
    page.locator("a[href='#BIG-003']").first.click()  # crash, and others
    page.locator("#BIG-003 details[open]").wait_for()
    box = page.locator("#BIG-003").bounding_box()
    assert box
    assert 0 <= box["y"] < 900


def test_a_link_from_elsewhere(open_page: Open, small: Path) -> None:
    """Opened at a requirement, the page shows what happened there."""
    page = open_page(small, fragment="#ODD-001")
    assert page.locator("#ODD-001 details[open]").is_visible()


def test_keyboard(open_page: Open, small: Path) -> None:
    """A reader can skip, filter, open and copy without a mouse."""
    page = open_page(small)
    page.keyboard.press("Tab")
    assert focused(page)["text"] == "Skip to the requirements"
    page.keyboard.press("Enter")
    assert page.url.endswith("#requirements")
    tab_to(page, "INPUT", "status")
    page.keyboard.press("Space")
    assert shown(page) < 18
    page.keyboard.press("Space")
    assert shown(page) == 18
    tab_to(page, "SUMMARY", "ODD-001: what happened")
    page.keyboard.press("Enter")
    page.locator("#ODD-001 details[open]").wait_for()
    tab_to(page, "BUTTON", "Copy")
    page.keyboard.press("Enter")
    button = page.locator("button.copy:focus").filter(has_not_text="Copy")
    button.wait_for()
    if button.text_content() != "Copied":  # a browser may keep the page from the clipboard
        assert page.evaluate("String(getSelection())").strip() == FAILED["how_to_run"]


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("which", ["small", "several"])
def test_width(open_page: Open, which: str, width: int, request: pytest.FixtureRequest) -> None:
    """With all details open the page is no wider than the window; wide parts scroll in a box."""
    page = open_page(request.getfixturevalue(which), width=width)
    page.evaluate(OPEN_ALL)
    assert page.evaluate("innerWidth") == width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


CONTRASTS = """(() => {
  const rgb = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return {c: [r, g, b], a};
  };
  const light = (c) => c.map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const found = rgb(getComputedStyle(e).backgroundColor); if (found.a == 1) return found.c;
    }
    return [255, 255, 255];
  };
  const low = new Set();
  for (const e of document.querySelectorAll("body *")) {
    const own = Array.from(e.childNodes).some((n) => n.nodeType == 3 && n.textContent.trim());
    if (!own || ["SCRIPT", "OPTION", "BUTTON"].includes(e.tagName)) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color).c), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.add(`${e.tagName}.${e.className} ${ratio.toFixed(1)}`);
  }
  return Array.from(low);
})()"""


def test_light_and_dark(open_page: Open, several: Path) -> None:
    """The page follows the reader's color scheme, and all text has enough contrast in both."""
    papers = []
    for dark in (False, True):
        page = open_page(several, dark=dark)
        page.evaluate(OPEN_ALL)
        papers.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert page.evaluate(CONTRASTS) == []
    assert papers[0] != papers[1]


@pytest.mark.parametrize("width", [390, 1280])
def test_screen_reader(open_page: Open, several: Path, width: int) -> None:
    """Every control has a name, tables stay tables, and headings skip no level."""
    page = open_page(several, width=width)
    page.evaluate(OPEN_ALL)
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
    nodes = [node for node in tree["nodes"] if not node["ignored"]]
    roles = [node["role"]["value"] for node in nodes]
    acting = ("button", "link", "checkbox", "combobox", "searchbox", "DisclosureTriangle")
    unnamed = [
        role
        for role, node in zip(roles, nodes, strict=True)
        if role in acting and not node.get("name", {}).get("value")
    ]
    assert unnamed == []
    assert {"button", "checkbox", "combobox", "searchbox", "main", "status"} <= set(roles)
    assert roles.count("table") == page.locator("table").count()
    assert roles.count("rowheader") >= 18
    names = {node.get("name", {}).get("value") for node in nodes}
    assert "Copy: run alone" in names
    levels = page.evaluate(
        "Array.from(document.querySelectorAll('h1,h2,h3,h4'), (e) => +e.tagName[1])"
    )
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_print(open_page: Open, small: Path) -> None:
    """A printed page shows closed details as well, and hides the filters and buttons."""
    page = open_page(small)
    details = page.locator("#ODD-001 pre").first
    assert not details.is_visible()
    page.emulate_media(media="print")
    assert details.is_visible()
    for hidden in ("#filters", "button.copy", ".skip"):
        assert not page.locator(hidden).first.is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_a_big_page(open_page: Open, tmp_path: Path) -> None:
    """A page of 500 requirements and 12 runs has few nodes, and a filter costs one layout."""
    page = open_page(write(tmp_path, requirements=500, runs=12))
    assert shown(page) == 500
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")

    def metrics() -> dict[str, float]:
        found = session.send("Performance.getMetrics")["metrics"]
        return {each["name"]: each["value"] for each in found}

    before = metrics()
    page.evaluate(
        "(() => { const form = document.getElementById('filters'); "
        "form.elements.text.value = 'big-0'; "
        "form.dispatchEvent(new Event('input', {bubbles: true})); "
        "document.body.offsetHeight; })()"
    )
    after = metrics()
    assert shown(page) == 34
    assert after["LayoutCount"] - before["LayoutCount"] <= 2
    assert after["Nodes"] < 150_000
