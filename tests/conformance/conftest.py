"""A headless Chromium, driven by Playwright, for the tests that open pages.

The browser is the one that the environment variable CHROMIUM names, else the first one on PATH.
Without a browser, or without the package ``playwright``, the tests are skipped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# Not of the whole session: Playwright's event loop counts as running until it is stopped, and a
# test elsewhere could not run one of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser that starts once for a test module."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    named = os.environ.get("CHROMIUM")
    path = named or next((found for each in NAMES if (found := shutil.which(each))), None)
    if path is None:
        pytest.skip(f"no browser: CHROMIUM is not set, and PATH has none of {', '.join(NAMES)}")
    with (
        api.sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, args=ARGUMENTS) as started,
    ):
        yield started


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """A function that opens a file. The test fails if a page writes to the console."""
    contexts, messages = [], []

    def open_page(path: Path, *, width: int = 1280, dark: bool = False, fragment: str = "") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            is_mobile=width < 600,
            color_scheme="dark" if dark else "light",
        )
        context.set_default_timeout(120_000)  # in milliseconds; the machine may be busy
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(path.as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert messages == []
