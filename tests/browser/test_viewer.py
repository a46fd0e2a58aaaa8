"""The page of `mlgym-lite view` in a real browser: what it shows, how it is used, and that nothing a run printed does harm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from viewer_pages import Watched, result_of, step_line, write_run

import mlgym_lite
from mlgym_lite.config.run_settings import RunSettings

pytestmark = pytest.mark.browser

HOSTILE = (
    "<script>window.harmed = 1; alert(1)</script></script><img src=x onerror=alert(2)><!-- "
    "\x1b[31mred\x1b[0m \x1b[2J\x1b]0;title\x07 \u202egnp.exe\u202c \x00 \x9b31m \ud800 half\rover"
)


def view(*runs: Path, output: Path, arguments: tuple[str, ...] = ()) -> str:
    """The address of the page that the command writes."""
    command = [sys.executable, "-m", "mlgym_lite", "view", *map(str, runs), "--output", str(output), *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return output.as_uri()


def an_attempt(step: int, value: float, kind: str = "validate") -> dict[str, Any]:
    """A scoring."""
    return {"step": step, "kind": kind, "metrics": {"Score": value}}


def two_runs(folder: Path) -> list[Path]:
    """One that submitted after edits, and one that a limit ended."""
    diff = {"path": "train.py", "kind": "modified", "diff": "@@ -1 +1 @@\n-lr = 1\n+lr = 2"}
    details = {
        "reply": {"content": "x", "finish_reason": "stop"},
        "rejected": [{"reply": {"content": "no block"}, "error": "Nothing was run."}],
    }
    first = [
        step_line(1, "cat train.py", "lr = 1\n", thought="I look."),
        step_line(2, "sed -i s/1/2/ train.py", "", changes=[diff, {"path": "model.pt", "kind": "added", "diff": None}]),
        step_line(
            3,
            "python train.py\nvalidate",
            "loss 0.1 Needle\n",
            scores=[an_attempt(3, 1.5)],
            tokens={"input": 700, "output": 50},
            details=details,
        ),
        step_line(4, "false", "", exit_status=1),
        step_line(5, "submit", "[Submitted]", exit_status=None),
    ]
    second = [step_line(number, f"echo {number}") for number in range(1, 4)]
    attempts = [an_attempt(3, 1.5), an_attempt(5, 2.5, "submit")]
    return [
        write_run(folder / "first run", first, result_of(2.5, attempts=attempts)),
        write_run(folder / "second", second, result_of(None, "time_limit", "limit"), agent="baseline", model=None),
    ]


@pytest.fixture
def page(tmp_path: Path, watched: Callable[..., Watched]) -> Any:
    """The page of both runs."""
    return watched().open(view(*two_runs(tmp_path), output=tmp_path / "page.html"))


def test_runs_are_shown_side_by_side(page: Any) -> None:
    """A row and a column for each: score, baseline, ending, steps; a chart of the scores against the baseline."""
    rows = page.locator(".overview tbody tr").all_inner_texts()
    assert "first run" in rows[0] and "2.5" in rows[0] and "+1.5" in rows[0] and "submitted" in rows[0]
    assert "second" in rows[1] and "time limit" in rows[1] and "baseline" in rows[1]
    assert page.locator(".column").count() == 2 and page.locator(".column").nth(0).locator(".step").count() == 5
    score = page.locator(".chart").first
    assert score.locator("figcaption").inner_text().startswith("tiny: Score, more is better")
    assert score.locator(".dot").count() == 2 and score.locator(".level").count() == 1
    assert "baseline 1" in score.inner_text()
    captions = page.locator(".chart figcaption").all_inner_texts()
    assert captions[1:] == ["Peak memory", "CPU time, in all", "Tokens, in all"], "no cost is known: no chart of it"
    assert "the agent\u2019s doing" in page.locator(".ending").nth(0).inner_text()
    assert "a limit" in page.locator(".ending").nth(1).inner_text()


def test_a_step_unfolds(page: Any) -> None:
    """Thought, action, observation, the diff, what was sent back to the model; and folds again."""
    page.locator("#r0s1 .line").click()
    body = page.locator("#r0s1 .body")
    body.locator("h3").first.wait_for()
    assert body.locator(".diff .removed").inner_text().strip() == "-lr = 1"
    assert body.locator(".diff .added").inner_text().strip() == "+lr = 2"
    assert "added: model.pt" in body.inner_text() and "no text, or too large" in body.inner_text()
    page.locator("#r0s2 .line").click()
    body = page.locator("#r0s2 .body")
    body.locator("h3").first.wait_for()
    assert "no block" in body.inner_text() and "Nothing was run." in body.inner_text() and "700 tokens in" in body.inner_text()
    assert page.locator("#r0s2 .badge.score").inner_text() == "validate 1.5"
    assert page.locator("#r0s3 .badge.bad").inner_text() == "exit 1"
    page.locator("#r0s2 .line").click()
    assert page.locator("#r0s2 .body").count() == 0
    page.locator("details.told summary").first.click()
    page.get_by_text("Write a number.").wait_for()


def test_it_is_used_with_keys(page: Any) -> None:
    """Down, up, unfold, the next scored step, the other run, the help."""
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert "current" in (page.locator("#r0s1").get_attribute("class") or "")
    page.keyboard.press("k")
    page.keyboard.press("o")
    page.locator("#r0s0 .body pre.thought").wait_for()
    page.keyboard.press("s")
    page.locator("#r0s2 .body pre.action").wait_for()
    page.keyboard.press("l")
    assert "current" in (page.locator("#r1s2").get_attribute("class") or "")
    page.keyboard.press("g")
    assert page.url.endswith("#run=2&step=1")
    page.keyboard.press("G")
    assert page.url.endswith("#run=2&step=3")
    page.keyboard.press("?")
    assert page.locator("dialog.help").is_visible()
    page.keyboard.press("?")
    assert not page.locator("dialog.help").is_visible()
    page.keyboard.press("e")
    page.locator("#r1s2 .body h3").first.wait_for()
    page.keyboard.press("c")
    page.wait_for_selector("#r1s2 .body", state="detached")


def test_a_word_is_found(page: Any) -> None:
    """In what was seen, whatever its case; matches can be walked and be all that is shown; the address keeps the word."""
    page.keyboard.press("/")
    page.keyboard.type("needle")
    page.get_by_text("1 step", exact=True).wait_for()
    page.keyboard.press("Enter")
    page.locator("#r0s2 mark").first.wait_for()
    assert page.locator("#r0s2 mark").inner_text() == "Needle"
    page.get_by_label("only matches").check()
    assert page.locator(".step:visible").count() == 1
    assert "q=needle" in page.url


def test_links_lead_to_a_step(tmp_path: Path, watched: Callable[..., Watched]) -> None:
    """Opened, in sight, in its run; a link that leads nowhere harms nothing."""
    address = view(*two_runs(tmp_path), output=tmp_path / "page.html")
    page = watched().open(f"{address}#run=1&step=3")
    page.locator("#r0s2 .body pre.action").wait_for()
    assert page.locator("#r0s2 .line").is_visible()
    page = watched().open(f"{address}#run=1&q=Needle")
    page.get_by_text("1 of 1 steps", exact=True).wait_for()
    page.locator("#r0s2 mark").first.wait_for()
    for nowhere in ("run=9&step=99", "run=1&step=99", "run=x", "%00&=&run", "step=1"):
        watched().open(f"{address}#{nowhere}")


def test_what_a_run_printed_harms_nobody(tmp_path: Path, watched: Callable[..., Watched]) -> None:
    """Script tags and escape codes in whatever an agent or a model writes are shown as text; nothing is asked of a network."""
    hostile = step_line(
        1,
        HOSTILE,
        HOSTILE,
        thought=HOSTILE,
        cwd=HOSTILE,
        changes=[{"path": HOSTILE, "kind": "added", "diff": f"+{HOSTILE}"}],
        details={
            "rejected": [{"reply": {"content": HOSTILE}, "error": HOSTILE}],
            "prompt": [{"role": HOSTILE, "content": HOSTILE}],
            HOSTILE: HOSTILE,
        },
        scores=[{"step": 1, "kind": HOSTILE, "metrics": {}, "rejected": HOSTILE}],
        pictures=["../../etc/passwd", "javascript:alert(1)"],
    )
    result = result_of(3.0)
    result["ending"]["detail"] = HOSTILE
    result["score"]["metrics"][HOSTILE] = 1.0
    result["attempts"] = hostile["scores"]
    name = "<img src=x onerror=alert(3)>&quot;'"
    run = write_run(
        tmp_path / name,
        [hostile],
        result,
        agent=HOSTILE,
        model=HOSTILE,
        task={"name": HOSTILE},
        metric={"name": HOSTILE, "direction": HOSTILE},
    )
    seen = watched()
    page = seen.open(view(run, output=tmp_path / "page.html"))
    page.locator("#r0s0 .line").click()
    page.locator("#r0s0 .body pre.observation").wait_for()
    page.locator("details.told summary").click()
    page.locator("details.told pre").first.wait_for()
    shown = page.locator("#r0s0 .body pre.observation").inner_text()
    assert (
        "<script>window.harmed = 1; alert(1)</script></script><img src=x onerror=alert(2)><!-- red \u241b[2J\u241b]0;title\u2407 "
        in shown
    )
    assert "\u27e8U+202E\u27e9gnp.exe\u27e8U+202C\u27e9 \u2400 \u27e8U+009B\u27e931m" in shown and "half\u240d\nover" in shown
    assert page.evaluate("window.harmed === undefined && document.querySelectorAll('main script, main img').length === 0")
    assert name in page.title() and page.locator("h2").first.inner_text() == name
    assert [request for request in seen.requests if not request.startswith("file:")] == []
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>window" not in text and "onerror=alert(2)" not in text


def test_records_of_any_program_are_shown(tmp_path: Path, watched: Callable[..., Watched]) -> None:
    """What a program writes as its details may have any form; a broken line costs the rest of that run and nothing else."""
    odd: list[Any] = [
        {"reply": "text"}, {"prompt": "You are"}, {"rejected": ["bad"]}, {"rejected": 5}, {"reply": {"tool_calls": [{}, 3]}},
        {"loss": float("nan"), "deep": [{"x": float("inf")}]}, {"prompt": [1], "rejected": {"reply": 1}}, [], "text",
    ]  # fmt: skip
    run = write_run(
        tmp_path / "odd", [step_line(number, details=details) for number, details in enumerate(odd, 1)], result_of(1.0)
    )
    broken = write_run(tmp_path / "broken", [step_line(1)])
    with (broken / "trajectory.jsonl").open("ab") as file:
        file.write(b"\x00\xff{broken\n" + json.dumps(step_line(2)).encode() + b"\n")
    page = watched().open(view(run, broken, output=tmp_path / "page.html"))
    page.keyboard.press("j")
    page.keyboard.press("e")
    page.locator(f"#r0s{len(odd) - 1} .body pre.action").wait_for()
    assert page.locator(".column").nth(0).locator(".body .facts").count() == len(odd)
    assert "nan" in page.locator("#r0s5 .body").inner_text()
    assert page.locator(".column").nth(1).locator(".step").count() == 1
    assert "line 2: is no step" in page.locator(".ending").nth(1).inner_text()


@pytest.mark.parametrize("scores", [(0.1 + 0.2, 0.3), (1e300, -1e300), (5e-324, 0.0), (-0.0, 0.0), (1e17, 1e17 + 16)])
def test_scores_of_any_size_are_drawn(tmp_path: Path, watched: Callable[..., Watched], scores: tuple[float, float]) -> None:
    """Nearly equal, huge and tiny ones do not hold up the page."""
    attempts = [an_attempt(number, score) for number, score in enumerate(scores, 1)]
    steps = [step_line(number, scores=[attempt]) for number, attempt in enumerate(attempts, 1)]
    run = write_run(tmp_path / "run", steps, result_of(scores[0], attempts=attempts), baseline={"metrics": {"Score": scores[1]}})
    page = watched().open(view(run, output=tmp_path / "page.html"))
    assert page.locator(".chart").first.locator(".dot").count() == 2
    assert page.locator(".chart").first.locator(".grid").count() <= 12


def test_it_is_read_on_a_phone(tmp_path: Path, watched: Callable[..., Watched]) -> None:
    """Nothing is wider than the screen, one run is seen at a time, and a tab leads to the other."""
    page = watched(390, 800).open(view(*two_runs(tmp_path), output=tmp_path / "page.html"))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator(".column:visible").count() == 1
    page.get_by_role("button", name="second").click()
    assert page.locator(".column:visible h2").inner_text() == "second"
    page.locator("#r1s1 .line").click()
    page.locator("#r1s1 .body pre.action").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_thousand_steps_and_a_hundred_megabytes_are_searched(tmp_path: Path, watched: Callable[..., Watched]) -> None:
    """The page opens without unpacking them, and finds one word among all."""
    folder = write_run(tmp_path / "big", [])
    line = " ".join(f"{number * 2654435761 % 4294967296:x}" for number in range(11_000)) + "\n"
    with (folder / "trajectory.jsonl").open("w", encoding="utf-8") as file:
        for number in range(1, 1001):
            text = f"{number} {line}" + ("the needle" if number == 777 else "")
            file.write(json.dumps(step_line(number, f"python train.py --seed {number}", text)) + "\n")
    assert (folder / "trajectory.jsonl").stat().st_size > 95e6
    page = watched().open(view(folder, output=tmp_path / "page.html"))
    assert page.locator(".step").count() == 1000 and page.locator(".body").count() == 0
    page.keyboard.press("/")
    page.keyboard.type("the needle")
    page.get_by_text("1 step", exact=True).wait_for()
    page.keyboard.press("Enter")
    page.locator("#r0s776 .body pre.observation").wait_for()
    page.get_by_role("button", name="show all").click()
    assert page.locator("#r0s776 mark").last.inner_text() == "the needle"


@pytest.mark.kernel
def test_a_real_run_is_shown(
    cache: Path, make_task: Callable[..., Path], tmp_path: Path, watched: Callable[..., Watched]
) -> None:
    """What the engine records is what the page reads: an edit's diff, the baseline, the submission's score."""
    task = mlgym_lite.load_task(str(make_task()))
    environment = {**os.environ, "MLGYM_LITE_CACHE": str(cache)}
    with mlgym_lite.Episode(task, settings=RunSettings(output=tmp_path / "run"), environment=environment) as episode:
        episode.step("echo 3 > answer.txt; validate", thought="Three.")
        episode.submit()
    page = watched().open(view(tmp_path / "run", output=tmp_path / "page.html"))
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.locator("#r0s0 .diff .added").wait_for()
    assert page.locator("#r0s0 .diff .added").inner_text().strip() == "+3"
    assert page.locator("#r0s0 .badge.score").all_inner_texts() == ["validate 3", "submit 3"]
    assert "Score 3" in page.locator(".ending").inner_text()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Callable[[Path], str]]:
    """Starts `view --live` and gives its address."""
    started: list[subprocess.Popen[str]] = []

    def start(run: Path) -> str:
        command = [sys.executable, "-m", "mlgym_lite", "view", str(run), "--live"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip()

    yield start
    for process in started:
        process.terminate()
        _, told = process.communicate(timeout=30)
        assert process.returncode == 0 and "Traceback" not in told, told


def test_a_run_in_progress_is_followed(tmp_path: Path, live: Callable[[Path], str], watched: Callable[..., Watched]) -> None:
    """Steps appear as they are written, half-written lines do not, and the ending is told."""
    run = write_run(tmp_path / "going", [step_line(1)])
    page = watched().open(live(run))
    assert page.locator(".step").count() == 1 and "goes on" in page.locator(".overview").inner_text()
    with (run / "trajectory.jsonl").open("a", encoding="utf-8") as file:
        file.write(
            json.dumps(step_line(2, "echo two", HOSTILE, scores=[an_attempt(2, 1.25)])) + "\n" + json.dumps(step_line(3))[:40]
        )
        file.flush()
        page.locator("#r0s1 .body pre.observation").wait_for()
        assert page.locator(".step").count() == 2 and page.locator("#r0s1 .badge.score").inner_text() == "validate 1.25"
        file.write(json.dumps(step_line(3))[40:] + "\n")
    page.locator("#r0s2").wait_for()
    (run / "result.json").write_text(
        json.dumps(result_of(2.0, attempts=[an_attempt(2, 1.25), an_attempt(3, 2.0, "submit")])), encoding="utf-8"
    )
    page.get_by_text("all have ended").wait_for()
    page.locator("#r0s2 .badge.score").wait_for()
    assert "submitted" in page.locator(".overview tbody").inner_text()


@pytest.mark.parametrize(
    "place", ["", "x/", "{secret}", "{secret}/../", "{secret}/steps/9/0/5", "{secret}/steps/0/a/b", "{secret}/start/-9"]
)
def test_who_does_not_know_the_secret_sees_nothing(tmp_path: Path, live: Callable[[Path], str], place: str) -> None:
    """Other users of the machine get no page, and wrong addresses get an error, not a traceback."""
    address = live(write_run(tmp_path / "going", [step_line(1)]))
    host, secret = address.rstrip("/").rsplit("/", 1)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{host}/{place.format(secret=secret)}", timeout=30)
