"""The language model task makes and splits its text as promised, and no claim or look ahead is worth anything.

The modules here are functions of numpy, played by a stand-in for the player: what is tested is the judge.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from grading_harness import TASKS, module_at

numpy: Any = pytest.importorskip("numpy")

TASK = TASKS / "fineweb"
mini: Any = module_at(TASK / "make_mini.py")
prepare: Any = module_at(TASK / "prepare.py")
grader: Any = module_at(TASK / "tests" / "grade.py")

Module = Callable[[Any], Any]
FLOOR = 2.368
"""The mini text's exact loss, in nats per token; README.md states it."""


def shard(path: Path) -> Any:
    """Return the tokens of a file in the format of the real shards, after a look at its header."""
    header = numpy.fromfile(path, "<i4", 256)
    assert header[0] == 20_240_520 and header[1] == 1 and not header[3:].any()
    tokens = numpy.fromfile(path, "<u2", offset=1024)
    assert len(tokens) == header[2]
    return tokens


# The mini text


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mini data, made as the engine makes it."""
    folder = tmp_path_factory.mktemp("mini")
    subprocess.run([sys.executable, "-I", TASK / "make_mini.py", folder], check=True)
    return folder


def test_the_mini_text_has_the_promised_sizes_and_format(made: Path) -> None:
    """Shards have the real format, tokens are below 256, and the agent's tree holds nothing hidden."""
    assert sorted(path.name for path in (made / "agent").iterdir()) == ["meta.json", "token_bytes.npy", "train_000001.bin"]
    assert sorted(path.name for path in (made / "judge").iterdir()) == ["dev.bin", "test.bin"]
    assert json.loads((made / "agent" / "meta.json").read_text(encoding="utf-8")) == {"vocabulary": 256, "window": 128}
    texts = [shard(made / name) for name in ("agent/train_000001.bin", "judge/dev.bin", "judge/test.bin")]
    assert [len(text) for text in texts] == [4_194_304, 2_048 * 128 + 1, 4_096 * 128 + 1]
    assert all(text.max() < 256 for text in texts)
    assert (numpy.load(made / "agent" / "token_bytes.npy") == 1).all()


def test_hosts_learn_from_the_same_text_and_are_asked_about_others(made: Path, tmp_path: Path) -> None:
    """The training text is fixed; the hidden texts come from the system's randomness."""
    subprocess.run([sys.executable, "-I", TASK / "make_mini.py", tmp_path], check=True)
    for name, same in (("agent/train_000001.bin", True), ("judge/dev.bin", False), ("judge/test.bin", False)):
        assert (made.joinpath(name).read_bytes() == tmp_path.joinpath(name).read_bytes()) is same
    assert not numpy.array_equal(shard(made / "judge" / "dev.bin"), shard(made / "judge" / "test.bin")[: 2_048 * 128 + 1])


def test_the_floor_of_the_mini_text_is_the_one_stated(made: Path) -> None:
    """The forward algorithm's loss on the hidden text is 2.368, and token frequencies alone give 4.10."""
    windows = grader.windows_of(made / "judge" / "test.bin", 128)
    assert mini.bayes_loss(mini.fixed_model(), windows) == pytest.approx(FLOOR, abs=0.012)
    text = shard(made / "agent" / "train_000001.bin")
    shares = (numpy.bincount(text, minlength=256) + 0.1) / len(text)
    assert -numpy.log(shares[windows[:, 1:]]).mean() == pytest.approx(4.10, abs=0.02)


def test_the_floor_is_that_of_all_hidden_paths() -> None:
    """The forward algorithm gives what the sum over every path of hidden states gives."""
    draw = numpy.random.default_rng(0)
    transitions, emissions = draw.dirichlet([1, 1, 1], 3), draw.dirichlet([1] * 4, 3)
    model = mini.Markov(start=draw.dirichlet([1, 1, 1]), transitions=transitions, emissions=emissions)
    window = numpy.array([3, 0, 2, 1])

    def probability(tokens: Any) -> float:
        total = 0.0
        for path in itertools.product(range(3), repeat=len(tokens)):
            step = model.start[path[0]] * math.prod(transitions[one, two] for one, two in itertools.pairwise(path))
            total += step * math.prod(emissions[state, token] for state, token in zip(path, tokens, strict=True))
        return total

    expected = -math.log(probability(window) / probability(window[:1])) / 3
    assert mini.bayes_loss(model, window[None]) == pytest.approx(expected)
    fixed = mini.fixed_model()
    assert fixed.start @ fixed.transitions == pytest.approx(fixed.start)


# The judge, with modules that are honest and others

VOCABULARY, WINDOW, WINDOWS, TRAIN_TOKENS = 16, 16, 4_096, 10_000
TABLE = numpy.random.default_rng(5).normal(0, 2, (VOCABULARY, VOCABULARY)).astype("<f4")


def honest(tokens: Any) -> Any:
    """The logits of a module that looks at the last token only."""
    return TABLE[tokens]


def seeing(part: float) -> Module:
    """A module that looks one token ahead at a part of the positions, chosen by what stands before."""

    def logits(tokens: Any) -> Any:
        found = TABLE[tokens].copy()
        before = numpy.cumsum(tokens * 7919 + 13, axis=1) * 2_654_435_761 % 2**32 / 2**32
        rows, places = numpy.nonzero(before[:, :-1] < part)
        found[rows, places, tokens[rows, places + 1]] = 30
        return found

    return logits


class Stand:
    """Stands in for a player that runs a module, and for the link to it."""

    def __init__(self, module: Module, proving: Module | None = None, error: Exception | None = None) -> None:
        """Claim with one module and prove with another, or the same; `error` comes where hidden text is first asked about."""
        self._modules = {"windows": module, "prefixes": proving or module}
        self._error = error
        self._known: set[bytes] = set()
        self.asked: list[Any] = []

    def __enter__(self) -> Stand:
        """Return the player."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""

    def ask(self, message: dict[str, Any], timeout_seconds: float) -> Any:
        """Answer as tests/player.py does."""
        assert 0 < timeout_seconds <= 30
        if "rows" in message:
            return {}
        name = "windows" if "windows" in message else "prefixes"
        tokens = numpy.frombuffer(message[name], "<u2").astype(int).reshape(-1, message["length"])
        self.asked.append(message)
        if len(self.asked) == 1 and name == "windows":  # the rehearsal
            self._known |= {message[name], tokens[:, :-1].astype("<u2").tobytes()}
        if self._error and message[name] not in self._known:
            raise self._error
        if name == "prefixes":
            logits = self._modules[name](tokens)[range(len(tokens)), message["positions"]]
            return {"width": logits.shape[1], "logits": logits.astype("<f4").tobytes()}
        logits = self._modules[name](tokens[:, :-1]).astype(float)
        chosen = numpy.take_along_axis(logits, tokens[:, 1:, None], 2)[..., 0]
        return {"losses": (numpy.log(numpy.exp(logits).sum(2)) - chosen).astype("<f4").tobytes()}


class Place:
    """What the judge is given: text of the honest module's own making, and players."""

    variant, split, parity = "mini", "test", False

    def __init__(self, folder: Path) -> None:
        """Write both trees."""
        self.data, self.hidden, self.seed = folder / "data", folder / "hidden", 1
        self._players: Iterator[Stand] = iter(())
        self.data.mkdir()
        self.hidden.mkdir()
        draw = numpy.random.default_rng(6)
        shares = numpy.cumsum(numpy.exp(TABLE) / numpy.exp(TABLE).sum(1, keepdims=True), axis=1)
        text = [0]
        for level in draw.random(WINDOWS * WINDOW).tolist():
            text.append(min(int(numpy.searchsorted(shares[text[-1]], level)), VOCABULARY - 1))
        meta = json.dumps({"vocabulary": VOCABULARY, "window": WINDOW})
        self.data.joinpath("meta.json").write_text(meta, encoding="utf-8")
        numpy.save(self.data / "token_bytes.npy", numpy.full(VOCABULARY, 2, numpy.uint8))
        mini.write_shard(self.data / "train_000001.bin", numpy.array(text[:TRAIN_TOKENS]))
        mini.write_shard(self.hidden / "test.bin", numpy.array(text))
        self.text = numpy.array(text)
        self.loss = self.mean_loss(honest)

    def mean_loss(self, module: Module) -> float:
        """Return a module's loss on the whole hidden text, window by window, as it comes out when it is trusted."""
        windows = grader.windows_of(self.hidden / "test.bin", WINDOW).astype(int)
        logits = module(windows[:, :-1]).astype(float)
        return float(
            (numpy.log(numpy.exp(logits).sum(2)) - numpy.take_along_axis(logits, windows[:, 1:, None], 2)[..., 0]).mean()
        )

    def player(self) -> Stand:
        """Open the next player."""
        return next(self._players)

    def graded(self, first: Stand, second: Stand | None = None, *, seed: int = 1) -> dict[str, float]:
        """Grade with two players, or with one that serves twice."""
        self._players, self.seed = iter((first, second or first)), seed
        reward: dict[str, float] = grader.grade(self)
        return reward


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where modules are graded."""
    return Place(tmp_path_factory.mktemp("place"))


def test_an_honest_module_scores_its_loss(place: Place) -> None:
    """All positions of the hidden text count, and the check adds nothing but rounding."""
    reward = place.graded(Stand(honest))
    assert reward["val_loss"] == pytest.approx(place.loss, abs=1e-5)
    assert reward["causality_gap"] == pytest.approx(0, abs=1e-5)
    assert reward["perplexity"] == pytest.approx(math.exp(place.loss), rel=1e-4)
    assert (reward["tokens"], reward["checked_positions"]) == (WINDOWS * WINDOW, WINDOWS / 2)
    assert reward["bits_per_byte"] == pytest.approx(place.loss / math.log(2) / 2, abs=1e-5)
    assert 0 < reward["val_loss_standard_error"] < 0.02


@pytest.mark.parametrize("part", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("is_honest_in_proof", [True, False])
def test_a_module_that_looks_ahead_is_refused(place: Place, part: float, is_honest_in_proof: bool) -> None:
    """At all positions or at one in a hundred, whether or not it knows when it has to prove its claims."""
    module = seeing(part)
    assert place.mean_loss(module) < place.loss - 0.005
    with pytest.raises(grader.Rejected, match="when the tokens after the position were replaced"):
        place.graded(Stand(module, honest if is_honest_in_proof else module))


def test_claims_within_the_tolerance_gain_nothing(place: Place) -> None:
    """What is claimed too low everywhere is added again, to the last digit that counts; so it is with parts of the text."""

    class Shading(Stand):
        def ask(self, message: dict[str, Any], timeout_seconds: float) -> Any:
            answer = super().ask(message, timeout_seconds)
            if "losses" in answer:
                losses = numpy.frombuffer(answer["losses"], "<f4")
                answer["losses"] = (losses - numpy.where(losses > 2, numpy.float32(0.099), numpy.float32(0))).tobytes()
            return answer

    scores = [place.graded(Shading(honest), seed=seed)["val_loss"] for seed in range(30)]
    assert numpy.mean(scores) == pytest.approx(place.loss, abs=0.001)
    assert numpy.abs(numpy.array(scores) - place.loss).max() < 0.005


@pytest.mark.parametrize("one_in", [20_000, 5_000, 2_000, 1_000, 500, 200])
@pytest.mark.parametrize(("checks", "least"), [(2_048, 0.003), (4_096, 0.002)])
def test_a_rare_look_ahead_is_not_worth_its_risk(one_in: int, checks: int, least: float) -> None:
    """Ten nats at one position in so many are worth less than `least` on average, a refusal counting for nothing."""
    draw = numpy.random.default_rng([one_in, checks])
    gains = []
    for _ in range(2_000):
        gaps = numpy.where(draw.random(checks) < 1 / one_in, 10.0, 0.0)
        try:
            grader.refuse_deviations(gaps)
        except grader.Rejected:
            gains.append(0.0)
        else:
            gains.append(10 / one_in - gaps.mean())
    assert numpy.mean(gains) < least


def test_claims_that_are_wild_and_too_high_win_no_lottery(place: Place) -> None:
    """A claim of billions that is found out counts for a tenth of a nat at one position."""

    class Wild(Stand):
        def ask(self, message: dict[str, Any], timeout_seconds: float) -> Any:
            answer = super().ask(message, timeout_seconds)
            if "losses" in answer:
                losses = numpy.frombuffer(answer["losses"], "<f4").copy()
                losses[:: len(losses) // 2] = 1e9
                answer["losses"] = losses.tobytes()
            return answer

    scores = []
    for seed in range(20):
        try:
            scores.append(place.graded(Wild(honest), seed=seed)["val_loss"])
        except grader.Rejected:
            continue
    assert scores and min(scores) > place.loss


def test_the_second_player_never_sees_what_it_is_asked_for() -> None:
    """It gets one prefix of a window, filled up from its beginning, and never two windows that touch."""
    text = numpy.arange(WINDOWS * WINDOW + 1, dtype="<u4")
    windows = numpy.lib.stride_tricks.sliding_window_view(text, WINDOW + 1)[::WINDOW]
    for seed in range(5):
        sample = grader.drawn_sample(numpy.random.default_rng(seed), WINDOWS, WINDOW, 2_048)
        prefixes = grader.filled_up(windows[sample.windows, :-1], sample.positions)
        targets = windows[sample.windows, sample.positions + 1]
        assert not numpy.isin(targets, prefixes).any()
        assert len(set(sample.windows.tolist())) == 2_048 and numpy.diff(numpy.sort(sample.windows)).min() == 2
        for prefix, window, position in zip(prefixes, windows[sample.windows], sample.positions, strict=True):
            assert (prefix[: position + 1] == window[: position + 1]).all()
            assert set(prefix.tolist()) == set(window[: position + 1].tolist())


def test_every_position_is_as_likely_to_be_checked_as_another() -> None:
    """Windows of even and odd numbers, and all places in a window, are drawn alike."""
    counts = numpy.zeros((64, WINDOW))
    for seed in range(4_000):
        sample = grader.drawn_sample(numpy.random.default_rng(seed), 64, WINDOW, 16)
        numpy.add.at(counts, (sample.windows, sample.positions), 1)
    expected = 4_000 * 16 / counts.size
    for found in (counts.mean(), counts[::2].mean(), counts[0].mean(), counts[-1].mean(), *counts.mean(axis=0)):
        assert found == pytest.approx(expected, rel=0.1)


def test_a_failing_module_says_why_only_about_text_that_the_agent_knows(place: Place) -> None:
    """Its words reach the agent from the rehearsal, and not from where they could tell hidden text."""
    told = grader.Rejected("the submission's code failed:\nValueError: 17 4 11")

    class Failing(Stand):
        def ask(self, message: dict[str, Any], timeout_seconds: float) -> Any:
            if "windows" in message:
                raise told
            return super().ask(message, timeout_seconds)

    with pytest.raises(grader.Rejected, match="17 4 11"):
        place.graded(Failing(honest))
    for players in ((Stand(honest, error=told), None), (Stand(honest), Stand(honest, error=told))):
        with pytest.raises(grader.Rejected) as caught:
            place.graded(*players)
        assert str(caught.value).startswith("the submission's code failed, on the hidden text;")
        assert "17 4 11" not in str(caught.value)
        assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_the_rehearsal_shows_the_text_that_the_agent_knows(place: Place) -> None:
    """The first two questions are about the beginning of the training text."""
    stand = Stand(honest)
    place.graded(stand)
    known = place.text[: grader.rows_at_once(WINDOW) * WINDOW + 1].astype("<u2")
    windows = numpy.frombuffer(stand.asked[0]["windows"], "<u2").reshape(-1, WINDOW + 1)
    assert (windows[:, :-1].ravel() == known[:-1]).all()
    assert stand.asked[1]["prefixes"] == windows[:, :-1].tobytes()


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (None, "the player sent no losses"),
        ({"losses": b""}, "the player sent no losses of shape"),
        ({"losses": "0"}, "the player sent no losses of shape"),
        ({"losses": numpy.full(512 * 16, numpy.nan, "<f4").tobytes()}, "losses: nan in row 0, column 0; expected finite numbers"),
        ({"losses": numpy.full(512 * 16, -numpy.inf, "<f4").tobytes()}, "losses: -inf in row 0, column 0"),
        ({"losses": numpy.full(512 * 16, -5, "<f4").tobytes()}, "a loss of -5 nats was claimed; none can be below 0"),
        ({"width": 1, "logits": bytes(16)}, "did not send from 16 to 32 logits"),
        ({"width": True, "logits": bytes(16)}, "did not send from 16 to 32 logits"),
        ({"width": 10**9, "logits": bytes(16)}, "did not send from 16 to 32 logits"),
        ({"width": 16, "logits": bytes(16)}, "the player sent no logits of shape"),
        ({"width": 16, "logits": numpy.full(512 * 16, numpy.inf, "<f4").tobytes()}, "logits: inf in row 0, column 0"),
        ([], "did not send from 16 to 32 logits"),
    ],
)
def test_an_impossible_answer_is_rejected_by_name(place: Place, answer: Any, shown: str) -> None:
    """Whatever a player sends in place of losses or logits is the submission's fault."""

    class Odd(Stand):
        def ask(self, message: dict[str, Any], timeout_seconds: float) -> Any:
            wanted = "windows" if shown.startswith(("the player sent no losses", "losses", "a loss")) else "prefixes"
            return answer if wanted in message else super().ask(message, timeout_seconds)

    with pytest.raises(grader.Rejected, match=shown):
        place.graded(Odd(honest))


def test_huge_logits_give_finite_losses(place: Place) -> None:
    """Numbers at the end of float32 neither overflow nor gain anything."""
    with pytest.raises(grader.Rejected, match="checked positions"):
        place.graded(Stand(honest, lambda tokens: numpy.where(TABLE[tokens] > 0, 3e38, -3e38)))


# The real text's format


def written(path: Path, tokens: Any, *, magic: int = 20_240_520, version: int = 1, count: int | None = None) -> None:
    """Write a shard as the published ones are."""
    header = numpy.zeros(256, "<i4")
    header[:3] = magic, version, len(tokens) if count is None else count
    path.write_bytes(header.tobytes() + numpy.asarray(tokens, "<u2").tobytes())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a user has it: a validation shard of the least size, three small shards, and a vocabulary."""
    folder = tmp_path_factory.mktemp("source")
    draw = numpy.random.default_rng(7)
    written(folder / "fineweb_val_000000.bin", draw.integers(50_257, size=10_485_761 + 2_097_153, dtype=numpy.uint16))
    for number in (1, 2, 3):
        written(folder / f"fineweb_train_{number:06d}.bin", draw.integers(50_257, size=2_000 + number, dtype=numpy.uint16))
    vocabulary = {f"{number:05d}"[: 1 + number % 5] + "x" * (number // 5): number for number in range(50)}
    vocabulary |= {f"Ġ{number}": number for number in range(50, 50_256)} | {"<|endoftext|>": 50_256}
    folder.joinpath("vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    return folder


def prepared(
    output: Path, *source: Path, shards: object = 3, search: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run prepare.py as the engine does, with packages from another folder where one is given."""
    environment = os.environ | {"MLGYM_LITE_FINEWEB_SHARDS": str(shards)} | variables
    if search is not None:
        environment["PYTHONPATH"] = str(search)
    command = [sys.executable, TASK / "prepare.py", output, *source]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_preparing_splits_the_validation_shard_and_copies_the_others(source: Path, tmp_path: Path) -> None:
    """The test's tokens are the first ones, as published; development tokens follow; shards to learn from are not changed."""
    done = prepared(tmp_path, source)
    assert done.returncode == 0, done.stderr
    hidden = shard(source / "fineweb_val_000000.bin")
    test, dev = shard(tmp_path / "judge" / "test.bin"), shard(tmp_path / "judge" / "dev.bin")
    assert (len(test) - 1, len(dev) - 1) == (10_485_760, 2_097_152)
    assert numpy.array_equal(numpy.concatenate([test, dev]), hidden)
    assert json.loads((tmp_path / "agent" / "meta.json").read_text(encoding="utf-8")) == {"vocabulary": 50_257, "window": 1024}
    for number in (1, 2, 3):
        copy = (tmp_path / "agent" / f"train_{number:06d}.bin").read_bytes()
        assert copy == (source / f"fineweb_train_{number:06d}.bin").read_bytes()
    lengths = numpy.load(tmp_path / "agent" / "token_bytes.npy", allow_pickle=False)
    assert lengths[[7, 49, 50, 50_256]].tolist() == [3 + 1, 5 + 9, 3, 0]
    assert sorted(path.name for path in (tmp_path / "judge").iterdir()) == ["dev.bin", "test.bin"]
    assert "2,003 tokens to learn from (3 of 3 shards)" in done.stdout


def test_preparing_without_a_vocabulary_leaves_bytes_out(source: Path, tmp_path: Path) -> None:
    """It says that scores come without bits per byte."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in source.glob("*.bin"):
        copy.joinpath(path.name).symlink_to(path)
    done = prepared(tmp_path / "made", copy, shards=1)
    assert done.returncode == 0 and "without bits per byte" in done.stdout
    assert sorted(path.name for path in (tmp_path / "made" / "agent").iterdir()) == ["meta.json", "train_000001.bin"]


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (lambda path: path.unlink(), "lacks fineweb_train_000002.bin: expected fineweb_val_000000.bin and 3 shards"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-2]),
            "has 5,026 bytes, expected 5,028: its header tells of",
        ),
        (lambda path: path.write_bytes(b""), "is no shard of tokens: it does not begin with 20240520"),
        (lambda path: written(path, range(2_000), magic=20_240_521), "is no shard of tokens"),
        (lambda path: written(path, range(2_000), version=7), "is a shard of version 7, expected 1"),
        (lambda path: written(path, range(100)), "has 100 tokens, expected 1,025 or more"),
        (lambda path: written(path, [50_257] * 2_000), "has a token 50257, expected GPT-2's, which are all below 50257"),
    ],
)
def test_a_wrong_shard_is_refused_by_name(source: Path, tmp_path: Path, change: Callable[[Path], object], shown: str) -> None:
    """A shard that is missing, cut, of another kind or of other tokens is named with what was expected."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in source.iterdir():
        target = copy / path.name
        target.write_bytes(path.read_bytes()) if path.name == "fineweb_train_000002.bin" else target.symlink_to(path)
    change(copy / "fineweb_train_000002.bin")
    done = prepared(tmp_path / "made", copy)
    assert done.returncode == 1 and shown in done.stderr, done.stderr
    assert "fineweb_train_000002.bin" in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_number_of_shards_or_vocabulary_is_refused(source: Path, tmp_path: Path) -> None:
    """The variable and the file are named, with what was expected."""
    for number in ("0", "104", "many", ""):
        done = prepared(tmp_path, source, shards=number)
        assert done.returncode == 1 and "expected a whole number from 1 to 103" in done.stderr
    for text in ("[]", "{", '{"a": 0}'):
        path = tmp_path / "vocab.json"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(prepare.SourceError, match="not GPT-2's vocabulary"):
            prepare.token_bytes(path)


HUB = """
import os, shutil
from pathlib import Path

source, cache = Path(os.environ["FAKE_SOURCE"]), Path(os.environ["FAKE_CACHE"])

def try_to_load_from_cache(repository, name, revision, repo_type):
    return str(cache / name) if (cache / name).exists() else None

def hf_hub_download(repository, name, revision, repo_type):
    assert len(revision) == 40 and repository == ("openai-community/gpt2" if repo_type == "model" else "kjj0/fineweb10B-gpt2")
    if not (cache / name).exists():
        if name == os.environ.get("FAKE_BREAK"):
            raise OSError("the line is dead")
        (cache / name).symlink_to(source / name)
    return str(cache / name)
"""


def test_a_download_that_broke_off_goes_on_where_it_stopped(source: Path, tmp_path: Path) -> None:
    """What the hub's cache has is not downloaded again, and the file that failed is named."""
    hub, cache = tmp_path / "hub", tmp_path / "cache"
    hub.mkdir()
    cache.mkdir()
    hub.joinpath("huggingface_hub.py").write_text(HUB, encoding="utf-8")
    places = {"FAKE_SOURCE": str(source), "FAKE_CACHE": str(cache)}
    broken = prepared(tmp_path / "first", search=hub, FAKE_BREAK="fineweb_train_000002.bin", **places)
    assert broken.returncode == 1
    assert "fineweb_train_000002.bin of kjj0/fineweb10B-gpt2 could not be downloaded: OSError: the line is dead" in broken.stderr
    whole = prepared(tmp_path / "second", search=hub, **places)
    assert whole.returncode == 0, whole.stderr
    getting = [line.partition(":")[0] for line in whole.stdout.splitlines() if "getting it" in line]
    assert getting == ["fineweb_train_000002.bin", "fineweb_train_000003.bin"]
    assert len(list((tmp_path / "second" / "agent").glob("train_*.bin"))) == 3


def test_a_damaged_file_of_the_hubs_cache_is_refused(source: Path, tmp_path: Path) -> None:
    """The cache names a large file after its sha256; one that has another is told, one without such a name is taken."""
    content = source.joinpath("fineweb_train_000001.bin").read_bytes()
    blob = tmp_path / hashlib.sha256(content).hexdigest()
    link = tmp_path / "fineweb_train_000001.bin"
    link.symlink_to(blob)
    blob.write_bytes(content)
    prepare.refuse_a_damaged_copy(link)
    prepare.refuse_a_damaged_copy(source / "fineweb_train_000001.bin")
    blob.write_bytes(content[:-1] + b"\0")
    with pytest.raises(prepare.SourceError, match="expected its name"):
        prepare.refuse_a_damaged_copy(link)
