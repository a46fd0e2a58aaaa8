"""The page of `mlgym-lite report` in a real browser: everything is there, it is readable on a phone, and names do no harm."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from recorded_runs import write_mlgym_run, write_our_run
from viewer_pages import Watched

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script> $a_{$ \x1b[2J\u202e"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of runs of three groups, with hostile names and a file that cannot be read."""
    folder = tmp_path_factory.mktemp("report")
    for seed in range(3):
        for model in ("openai/gpt-4o", "anthropic/a-model-with-a-rather-long-name-2026-11-28", HOSTILE):
            for task in ("battle_of_sexes", "house_price"):
                name = f"{task}-{seed}-{len(model)}"
                score = 1.2 + seed / 10 + len(model) / 100
                write_our_run(folder / "runs" / name, task=task, model=model, seed=seed, validations=[1.1], score=score)
    write_our_run(folder / "runs" / "mini", variant="mini", task=HOSTILE)
    write_our_run(folder / "runs" / "broken <b>").joinpath("run.json").write_text("{", encoding="utf-8")
    write_mlgym_run(folder / "runs", model="o1", task="battleOfSexes", scores=[{"Score": 1.4}], baseline={"Score": 1.02})
    command = [sys.executable, "-m", "mlgym_lite", "report", str(folder / "runs"), "--output", str(folder / "out")]
    subprocess.run(command, check=True, capture_output=True, timeout=150)
    return (folder / "out" / "report.html").as_uri()


def test_the_page_holds_everything(address: str, watched: Callable[..., Watched]) -> None:
    """Each group's tables and plots, what could not be read, and nothing that is loaded from elsewhere."""
    opened = watched()
    page = opened.open(address)
    assert page.locator("article").count() == 3
    assert page.locator("#group-0 section").count() >= 8
    assert page.locator("#group-0 figure img").count() == 4
    sizes = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert all(width > 300 for width in sizes)
    assert "broken <b>" in page.locator("#problems").inner_text()
    assert opened.requests[0] == address and all(request.startswith("data:") for request in opened.requests[1:])


def test_links_lead_to_the_groups(address: str, watched: Callable[..., Watched]) -> None:
    """The list at the top."""
    page = watched().open(address)
    page.get_by_role("link", name="mini tasks").click()
    assert page.evaluate("location.hash") == "#group-2"
    assert page.locator("#group-2").evaluate("part => Math.abs(part.getBoundingClientRect().top) < 900")


def test_names_are_text(address: str, watched: Callable[..., Watched]) -> None:
    """A name that is written as an element is shown, not made; control and direction characters are written out."""
    page = watched().open(address)
    assert page.locator("img[src=x]").count() == 0 and page.locator("script").count() == 0
    text = page.locator("body").inner_text()
    assert "<img src=x onerror=alert(1)>" in text
    assert "\x1b" not in text and "\u202e" not in text


@pytest.mark.parametrize("width", [390, 768, 1300])
def test_no_page_is_wider_than_its_window(address: str, watched: Callable[..., Watched], width: int) -> None:
    """Tables and the wide plot scroll within themselves; the first column stays in sight."""
    page = watched(width=width).open(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator("#group-0 [data-table=mean-submission] .scroll").first
    box.evaluate("box => box.scrollLeft = 400")
    edges: Any = box.evaluate(
        "box => [box.getBoundingClientRect().left, box.querySelector('tbody th').getBoundingClientRect().left]"
    )
    assert abs(edges[0] - edges[1]) < 2


def test_the_page_is_readable_without_colours_of_its_own(address: str, watched: Callable[..., Watched]) -> None:
    """In the dark too: text and ground differ enough."""
    page = watched().page
    page.emulate_media(color_scheme="dark")
    page.goto(address)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    text = page.evaluate("getComputedStyle(document.body).color")
    assert (ground, text) == ("rgb(20, 23, 28)", "rgb(228, 231, 236)")
