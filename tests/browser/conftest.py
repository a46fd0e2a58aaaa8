"""A real Chromium without a screen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chromium import chromium
from viewer_pages import Watched

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The browser; root's needs leave to start without a sandbox of its own."""
    from playwright.sync_api import sync_playwright

    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=flags)
        yield started
        started.close()


@pytest.fixture
def watched(browser: Any) -> Iterator[Callable[..., Watched]]:
    """Opens pages of a size; afterwards none of them may have had trouble."""
    opened: list[Watched] = []

    def open_one(width: int = 1300, height: int = 900) -> Watched:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(60_000)
        opened.append(Watched(page))
        return opened[-1]

    yield open_one
    for one in opened:
        one.page.close()
    assert [trouble for one in opened for trouble in one.troubles] == []
