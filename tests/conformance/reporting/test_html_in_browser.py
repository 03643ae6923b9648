"""The page in a headless Chromium, as people use it: by mouse, by keyboard, on a phone, on paper.

Skipped where there is no browser (see ``conftest.py``).
"""

from __future__ import annotations

import base64
import dataclasses
import itertools
from pathlib import Path
from typing import Any

import pytest
from piecewise_conformance.core.requirements import load
from piecewise_conformance.core.verdict import Status
from piecewise_conformance.reporting.html_report import write_html
from piecewise_conformance.reporting.report import Report, Result, make_footer

FAILED: dict[str, Any] = {
    "message": "output 0 has other values",
    "expected": "float32[4, 8] [11.3, -4.9]",
    "got": "float32[4, 8] [0, 0]",
    "program": "graph():\n    %" + "long_" * 60 + " = placeholder[target=x]\n" * 30,
    "how_to_run": "python -m piecewise_conformance run -k 'BIG-000 and a'",
    "repro": "repros/x.py",
}
STATUSES = list(Status)
SHOWN = "document.querySelectorAll('tbody[data-family]:not([hidden])').length"


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


def choose(browser: Any, statement: str) -> tuple[int, str]:
    """Set a filter as the form would; how many requirements are shown, and what is said of it."""
    script = f"const form = document.getElementById('filters'); {statement}; "
    script += "form.dispatchEvent(new Event('input', {bubbles: true}))"
    browser.js(f"(() => {{ {script} }})()")
    return browser.js(SHOWN), browser.js("document.getElementById('shown').textContent")


def focused(browser: Any) -> dict[str, Any]:
    """What has the focus, and whether one sees that it has."""
    found: dict[str, Any] = browser.js(
        "(() => { const e = document.activeElement, style = getComputedStyle(e); return "
        "{tag: e.tagName, text: e.textContent, name: e.name ?? '', "
        "ring: style.outlineStyle != 'none' && parseFloat(style.outlineWidth) > 1}; })()"
    )
    return found


def tab_to(browser: Any, tag: str, text: str = "") -> None:
    """Press Tab until it is there; what comes on the way must be seen to have the focus."""
    for _ in range(120):
        browser.press("Tab")
        at = focused(browser)
        assert at["tag"] == "BODY" or at["ring"], at
        if at["tag"] == tag and text in at["text"] + at["name"]:
            return
    pytest.fail(f"no {tag} with {text!r} is reached by keyboard")


def test_filters(browser: Any, several: Path) -> None:
    """By status, family and text, together and each alone; and back."""
    browser.open(several)
    assert browser.js("document.getElementById('filters').hidden") is False
    assert browser.js(SHOWN) == 18
    check = "form.querySelector('[value={}]').checked = {}"
    assert choose(browser, check.format("fail", "true")) == (6, "6 of 18 requirements")
    assert choose(browser, check.format("crash", "true"))[0] == 8
    assert choose(browser, "form.elements.family.value = 'ODD'")[0] == 2
    assert choose(browser, "form.elements.text.value = 'no such text'")[0] == 0
    assert choose(browser, "form.elements.text.value = 'Odd-0'")[0] == 2
    browser.js("document.querySelector('#filters [type=reset]').click()")
    assert browser.js(f"new Promise((go) => setTimeout(() => go({SHOWN})))") == 18
    assert browser.said == []


@pytest.mark.parametrize("page", ["small", "several"])
def test_links(browser: Any, page: str, request: pytest.FixtureRequest) -> None:
    """Each leads somewhere; one to a requirement that is filtered away brings that back, open."""
    browser.open(request.getfixturevalue(page))
    links = browser.js(
        "Array.from(document.links, (e) => [e.getAttribute('href'), "
        "document.getElementById(decodeURIComponent(e.hash.slice(1))) != null])"
    )
    assert len(links) > 18
    assert [href for href, leads in links if not (href.startswith("#") and leads)] == []
    assert choose(browser, "form.elements.text.value = 'no such text'")[0] == 0
    to = "BIG-003"  # crash, and others
    browser.js(f"document.querySelector('a[href=\"#{to}\"]').click()")
    at = f"document.getElementById('{to}')"
    seen = browser.js(
        f"new Promise((go) => setTimeout(() => go({at}.getBoundingClientRect().top)))"
    )
    assert browser.js(f"{at}.hidden") is False
    assert 0 <= seen < 900
    assert browser.js(f"{at}.querySelector('details').open")
    assert browser.said == []


def test_a_link_from_elsewhere(browser: Any, small: Path) -> None:
    """Opened at a requirement, the page shows what happened there."""
    browser.open(small, fragment="#ODD-001")
    assert browser.js("document.querySelector('#ODD-001 details').open")


def test_keyboard(browser: Any, small: Path) -> None:
    """All can be reached and done without a mouse: skip, filter, open, copy."""
    browser.open(small)
    browser.press("Tab")
    assert focused(browser)["text"] == "Skip to the requirements"
    browser.press("Enter")
    assert browser.js("location.hash") == "#requirements"
    tab_to(browser, "INPUT", "status")
    browser.press(" ")
    assert browser.js(SHOWN) < 18
    browser.press(" ")
    assert browser.js(SHOWN) == 18
    tab_to(browser, "SUMMARY", "ODD-001: what happened")
    browser.press("Enter")
    assert browser.js("document.querySelector('#ODD-001 details').open")
    tab_to(browser, "BUTTON", "Copy")
    browser.press("Enter")
    told = "document.activeElement.textContent"
    changed = f"new Promise((go) => {{ const look = () => {told} == 'Copy' "
    browser.js(changed + "? setTimeout(look) : go(); look(); })")
    if browser.js(told) != "Copied":  # the clipboard is not for every page
        assert browser.js("String(getSelection())").strip() == FAILED["how_to_run"]
    assert browser.said == []


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("page", ["small", "several"])
def test_width(browser: Any, page: str, width: int, request: pytest.FixtureRequest) -> None:
    """Nothing sticks out sideways, all details open; what is wider scrolls in a box of its own."""
    browser.open(request.getfixturevalue(page), width=width)
    browser.js("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    assert browser.js("innerWidth") == width
    assert browser.js("document.documentElement.scrollWidth") <= width


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


def test_light_and_dark(browser: Any, several: Path) -> None:
    """The page follows the reader's scheme, and each text stands out from what is behind it."""
    papers = []
    for dark in (False, True):
        browser.open(several, dark=dark)
        browser.js("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        papers.append(browser.js("getComputedStyle(document.body).backgroundColor"))
        assert browser.js(CONTRASTS) == []
    assert papers[0] != papers[1]


@pytest.mark.parametrize("width", [390, 1280])
def test_screen_reader(browser: Any, several: Path, width: int) -> None:
    """What one can act on has a name, tables stay tables, headings skip no level."""
    browser.open(several, width=width)
    browser.js("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    nodes = [n for n in browser.call("Accessibility.getFullAXTree")["nodes"] if not n["ignored"]]
    roles = [node["role"]["value"] for node in nodes]
    acting = ("button", "link", "checkbox", "combobox", "searchbox", "DisclosureTriangle")
    unnamed = [
        role
        for role, node in zip(roles, nodes, strict=True)
        if role in acting and not node.get("name", {}).get("value")
    ]
    assert unnamed == []
    assert {"button", "checkbox", "combobox", "searchbox", "main", "status"} <= set(roles)
    assert roles.count("table") == browser.js("document.querySelectorAll('table').length")
    assert roles.count("rowheader") >= 18
    names = {node.get("name", {}).get("value") for node in nodes}
    assert "Copy: run alone" in names
    levels = browser.js(
        "Array.from(document.querySelectorAll('h1,h2,h3,h4'), (e) => +e.tagName[1])"
    )
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_print(browser: Any, small: Path) -> None:
    """On paper what happened is there, although nothing was opened; filters and buttons are not."""
    browser.open(small)
    seen = "document.querySelector('#ODD-001 pre').checkVisibility()"
    assert browser.js(seen) is False
    browser.media("print")
    assert browser.js(seen) is True
    for gone in ("#filters", "button.copy", ".skip"):
        assert browser.js(f"document.querySelector('{gone}').offsetParent") is None
    assert base64.b64decode(browser.call("Page.printToPDF")["data"]).startswith(b"%PDF")


def test_a_big_page(browser: Any, tmp_path: Path) -> None:
    """500 requirements by 12 runs: few nodes, one layout a filter. Times are printed, no more."""
    path = write(tmp_path, requirements=500, runs=12)
    browser.call("Performance.enable")
    browser.open(path)
    assert browser.js(SHOWN) == 500
    loaded = browser.js("performance.getEntriesByType('navigation')[0].loadEventEnd")
    before = _metrics(browser)
    script = "const form = document.getElementById('filters'); form.elements.text.value = 'big-0'; "
    script += "const begun = performance.now(); "
    script += "form.dispatchEvent(new Event('input', {bubbles: true})); document.body.offsetHeight"
    took = browser.js(f"(() => {{ {script}; return performance.now() - begun; }})()")
    after = _metrics(browser)
    size = path.stat().st_size >> 10
    print(f"500 by 12, {size} KiB: {loaded:.0f} ms to load, {took:.0f} ms to filter")
    assert browser.js(SHOWN) == 34
    assert after["LayoutCount"] - before["LayoutCount"] <= 2
    assert after["Nodes"] < 150_000
    assert browser.said == []


def _metrics(browser: Any) -> dict[str, float]:
    told = browser.call("Performance.getMetrics")["metrics"]
    return {each["name"]: each["value"] for each in told}
