"""The trend page in a headless Chromium: a year of it, by mouse, on a phone, in the dark."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from piecewise_conformance.history.page import page as text_of
from piecewise_conformance.history.page import write_page

if TYPE_CHECKING:
    from types import SimpleNamespace

    from playwright.sync_api import Page

    Open = Callable[..., Page]


@pytest.fixture
def month(tmp_path: Path, synthetic: SimpleNamespace) -> Path:
    """Sixty nights; on the last, a figure gets worse and a requirement fails."""
    entries = []
    for day in synthetic.days(60):
        last = day == synthetic.last
        entries.append(synthetic.benchmarks(day, slower=1.2 if last else 1.0))
        entries.append(synthetic.report(day, failing=("NUM-001",) if last else ()))
    entries.append(synthetic.benchmarks(synthetic.last, slower=1.21))
    write_page(tmp_path / "trend.html", entries)
    return tmp_path / "trend.html"


def test_what_changed_stands_first(open_page: Open, month: Path) -> None:
    """The last night's findings are words; the chart that changed says so too."""
    page = open_page(month)
    found = page.locator(".findings li").all_text_contents()
    assert len(found) == 2
    assert "alarm not conformant: NUM-001" in found[0]
    assert "regression GPU latency, piecewise Inductor, 8: +" in found[1]
    assert page.locator(".latest.regression").count() == 1
    assert page.locator("h3 a.alarm").text_content() == "failing"


def test_a_night_leads_to_its_report(open_page: Open, month: Path) -> None:
    """Each square is a link; hovering over a chart tells the night, and a click opens its run."""
    page = open_page(month)
    links = page.locator(".strip a").evaluate_all("all => all.map((e) => e.getAttribute('href'))")
    assert len(links) == 60
    assert links[-1] == "https://example.org/reports/2026-11-28"
    chart = page.locator(".chart").first
    box = chart.bounding_box()
    assert box
    chart.hover(position={"x": box["width"] - 1, "y": 10})
    assert (page.locator("#tip").text_content() or "").startswith("2026-11-28: about 1")
    page.route("https://example.org/**", lambda route: route.fulfill(body="the run"))
    chart.click(position={"x": 1, "y": 10})
    page.wait_for_url("https://example.org/runs/2026-09-30/reference")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_fits(open_page: Open, month: Path, width: int, *, dark: bool) -> None:
    """Only boxes that scroll are wider than the screen, and the last night is in sight."""
    page = open_page(month, width=width, dark=dark)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator(".strip rect").last.bounding_box()
    assert box
    assert 0 <= box["x"] < width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is not dark


def test_a_year(open_page: Open, tmp_path: Path, synthetic: SimpleNamespace) -> None:
    """A year of six series is one small file of few nodes, which is what makes it quick to show."""
    write_page(tmp_path / "trend.html", synthetic.year())
    assert (tmp_path / "trend.html").stat().st_size < 3_000_000
    page = open_page(tmp_path / "trend.html")
    assert page.locator(".chart").count() == 6 * 40
    assert page.locator(".strip rect").count() == 2 * 365
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    metrics = {e["name"]: e["value"] for e in session.send("Performance.getMetrics")["metrics"]}
    assert metrics["Nodes"] < 12_000
    assert metrics["LayoutCount"] <= 8


def test_no_network(month: Path) -> None:
    """The page loads nothing: its policy forbids it, and it asks for nothing."""
    text = month.read_text()
    assert "default-src 'none'" in text
    assert "src=" not in text.replace("default-src", "")


def test_hostile_text(synthetic: SimpleNamespace) -> None:
    """Names and links of a stranger's history are text, never code."""
    hostile = {"subject": "<script>x</script>", "link": "javascript:alert(1)"}
    text = text_of(
        [
            dataclasses.replace(synthetic.report(synthetic.last), **hostile),
            dataclasses.replace(synthetic.benchmarks(synthetic.last), **hostile),
        ]
    )
    assert "<script>x" not in text
    assert "javascript:" not in text


def test_an_empty_history() -> None:
    """A page without runs says so."""
    assert "no runs yet" in text_of([])
