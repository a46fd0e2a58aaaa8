"""What rollouts and environments are to the real TRL, verifiers and SkyRL: ids, masks, log-probabilities and rewards arrive."""

from __future__ import annotations

import ast
import os
import sys
import types
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from mlgym_lite.errors import GraderError, TaskError
from mlgym_lite.gym.environment import TaskEnvironment
from mlgym_lite.gym.rollout_formats import as_skyrl, as_verifiers
from mlgym_lite.gym.rollouts import Rollout, Sampled, collect
from mlgym_lite.gym.trl import make_env
from mlgym_lite.training.for_trl import environment_reward, rollout_func

pytestmark = [pytest.mark.kernel, pytest.mark.filterwarnings("ignore")]
Make = Callable[..., Callable[[], TaskEnvironment]]
SKYRL = os.environ.get("MLGYM_LITE_SKYRL")
"""SkyRL's wheel, which no Python before 3.12 installs."""


class Writer:
    """Writes a number of its own, validates it, and submits; actions have two tokens or one, observations two."""

    def __init__(self) -> None:
        self._number = 0

    def prompt(self, instruction: str) -> Sequence[int]:
        """As long as the number of the episode."""
        return [50, 51]

    def act(self, contexts: Sequence[Sequence[int]]) -> Sequence[Sampled]:
        """First a number, then the submission."""
        return [self._written() if len(context) == 2 else self._submitted() for context in contexts]

    def _written(self) -> Sampled:
        self._number = self._number % 4 + 1
        return Sampled(
            action=f"echo {self._number} > answer.txt; validate", ids=[60, self._number], logprobs=[-0.123456789, -2.0]
        )

    def _submitted(self) -> Sampled:
        return Sampled(action="submit", ids=[61], logprobs=[-0.25])

    def observe(self, observation: str, reward: float) -> Sequence[int]:
        """Two tokens."""
        return [70, 71]


@pytest.fixture
def rollouts(make: Make) -> list[Rollout]:
    """Two groups of two; the second group's end at a limit of turns."""
    whole = collect(Writer(), make(reward="improvement"), [1], group_size=2)
    cut = collect(Writer(), make(reward="improvement"), [2], group_size=2, most_turns=1)
    assert whole[0].completion_ids == (60, 1, 70, 71, 61) and cut[0].completion_ids == (60, 1)
    return whole + cut


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL and transformers ask no network and no logger."""
    for name, value in {"TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}.items():
        monkeypatch.setenv(name, value)


def watched_trainer() -> type:
    """GRPOTrainer that keeps what it made of rollouts, and the gradient that its loss gave each token."""
    from trl import GRPOTrainer

    class Watched(GRPOTrainer):  # type: ignore[misc]
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            self.scored = super()._generate_and_score_completions(inputs)
            return self.scored

        def _compute_loss(self, model: Any, inputs: Any) -> Any:
            self.trained = inputs
            return super()._compute_loss(model, inputs)

        def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any) -> Any:
            found = super()._get_per_token_logps_and_entropies(*arguments, **options)
            if found[0].requires_grad:
                found[0].register_hook(lambda gradient: setattr(self, "gradient", gradient.clone()))
            return found

    return Watched


def config(folder: Path, **options: Any) -> Any:
    """One step of training on this processor."""
    from trl import GRPOConfig

    return GRPOConfig(
        output_dir=str(folder), use_cpu=True, bf16=False, report_to="none", save_strategy="no", disable_tqdm=True, max_steps=1,
        loss_type="grpo", shuffle_dataset=False, num_generations=2, **options,
    )  # fmt: skip


@pytest.mark.usefixtures("quiet")
def test_trl_trains_on_what_its_model_sampled(model_folder: Path, make: Make, tmp_path: Path) -> None:
    """Real episodes of its model: ids, masks and log-probabilities arrive unchanged, and the loss gives observations nothing."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer

    played: list[dict[str, Any]] = []
    asked = rollout_func(
        make(max_steps=2), seed=5, most_new_tokens=6, action_of=lambda reply: f"echo {1 + len(reply) % 4} > answer.txt; echo ok"
    )

    def kept(prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        played.append(asked(prompts, trainer))
        return played[-1]

    trainer = watched_trainer()(
        model=AutoModelForCausalLM.from_pretrained(model_folder),
        processing_class=AutoTokenizer.from_pretrained(model_folder),
        reward_funcs=environment_reward,
        rollout_func=kept,
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": text}]} for text in "AB"]),
        args=config(tmp_path, per_device_train_batch_size=4),
    )
    trainer.train()
    (given,), out = played, trainer.scored
    for row, (prompt, ids, mask, logprobs) in enumerate(
        zip(*(given[key] for key in ("prompt_ids", "completion_ids", "env_mask", "logprobs")), strict=True)
    ):
        count = len(ids)
        assert out["prompt_ids"][row][out["prompt_mask"][row].bool()].tolist() == prompt
        assert out["completion_ids"][row][out["completion_mask"][row].bool()].tolist() == ids
        assert out["tool_mask"][row, :count].tolist() == mask and 0 in mask
        assert torch.equal(out["sampling_per_token_logps"][row, :count], torch.tensor(logprobs))
    weights = (trainer.trained["completion_mask"] * trainer.trained["tool_mask"]).bool()
    assert weights.sum() == sum(map(sum, given["env_mask"])) and (trainer.gradient[~weights] == 0).all()
    assert len({*given["env_reward"]}) > 1 and (trainer.gradient[weights] != 0).any()
    assert trainer.model.training


@pytest.mark.usefixtures("quiet")
def test_trl_uses_environments(make_task: Callable[..., Path], make: Make, model_folder: Path, tmp_path: Path) -> None:
    """A model that calls the tools by a script: what it calls is run, shown and scored; other columns are not minded."""
    from datasets import Dataset
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
    from trl.chat_template_utils import qwen3_chat_template

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]})
    tokenizer.chat_template, tokenizer.eos_token = qwen3_chat_template, "<|im_end|>"
    call = '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call><|im_end|>'
    script = [
        call % ("shell", '{"command": "echo 3 > answer.txt; echo $MLGYM_LITE_SEED"}'), call % ("validate", "{}"),
        call % ("submit", "{}"), call % ("shell", '{"command": "ls"}'), "done<|im_end|>",
    ]  # fmt: skip

    class Scripted(LlamaForCausalLM):  # type: ignore[misc]
        def generate(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> torch.Tensor:
            rows = []
            for ids, mask in zip(input_ids, attention_mask, strict=True):
                rows.append(tokenizer(script[tokenizer.decode(ids[mask.bool()]).count("<tool_response>")])["input_ids"])
            width = max(map(len, rows))
            filled = [row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows]
            return torch.cat([input_ids, torch.tensor(filled)], dim=1)

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = Scripted(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=4096, pad_token_id=0, **sizes))
    make()  # the cache and the folder for temporary files
    trainer = watched_trainer()(
        model=model,
        processing_class=tokenizer,
        environment_factory=make_env(tmp_path / "tiny"),
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": "Solve:\n"}], "seed": 41, "other": 1}]),
        args=config(tmp_path / "out", per_device_train_batch_size=2, max_completion_length=2048),
    )
    assert sorted(tool.__name__ for tool in trainer.tools) == ["shell", "submit", "validate"]
    trainer.train()
    out = trainer.scored
    ids, there, ours = out["completion_ids"][0], out["completion_mask"][0].bool(), out["tool_mask"][0].bool()
    assert tokenizer.decode(ids[there & ours]) == "".join(script)
    shown = tokenizer.decode(ids[there & ~ours])
    assert "41" in shown and "Validation 1 of 9" in shown and shown.count("The episode has ended") == 2
    assert "Solve:\nWrite a number into answer.txt." in tokenizer.decode(out["prompt_ids"][0])
    assert [env.get_reward() for env in trainer.environments] == [0.5, 0.5]


def test_an_environment_for_trl(make: Make, make_task: Callable[..., Path], tmp_path: Path) -> None:
    """What was not handed in is scored as it is; what fails is told when the reward is asked; options are checked at once."""
    make()
    made = make_env(tmp_path / "tiny", max_steps=3)()
    made.reset(prompt=[])
    made.shell("echo 4 > answer.txt")
    assert made.get_reward() == made.get_reward() == 0.75
    made.reset()
    assert made.shell("true") == "" and made.shell("exit 3") and "The episode has ended" in made.shell("true")
    assert made.get_reward() == -0.125
    with pytest.raises(TaskError, match="reward='best'"):
        make_env(tmp_path / "tiny", reward="best")
    broken = make_env(make_task("broken", grader="exit 3"))()
    broken.reset()
    with pytest.raises(GraderError):
        broken.submit()
    with pytest.raises(Exception, match=r"grad|ended"):
        broken.get_reward()


def test_verifiers_reads_the_traces(rollouts: list[Rollout]) -> None:
    """As its own class, back and forth: one branch to train on, whose ids, mask and log-probabilities are the rollout's."""
    from verifiers.v1.trace import WireTrace

    for rollout in rollouts:
        trace = WireTrace.model_validate(as_verifiers(rollout))
        back = WireTrace.model_validate_json(trace.model_dump_json(context={"float_decimals": None}))
        assert back.model_dump() == trace.model_dump()
        (branch,), before = back.branches, len(rollout.prompt_ids)
        assert branch.trainable and tuple(branch.token_ids) == rollout.prompt_ids + rollout.completion_ids
        assert branch.sampled_mask == [False] * before + [bool(one) for one in rollout.mask]
        assert tuple(branch.logprobs) == (0.0,) * before + rollout.logprobs
        assert back.reward == rollout.reward and back.num_turns == len(rollout.turns)
        assert [message.role for message in branch.messages][:2] == ["user", "assistant"]
        assert all(len(node.mask) == len(node.token_ids) and len(node.logprobs) == sum(node.mask) for node in back.nodes)
        given = set(as_verifiers(rollout))
        assert given <= set(trace.model_dump()), "verifiers leaves out what it does not know"


@pytest.fixture
def skyrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """SkyRL's files, whose packages can be imported without running what they import themselves."""
    if SKYRL is None:
        missed = pytest.fail if "trainers" in os.environ.get("MLGYM_LITE_REQUIRE", "") else pytest.skip
        missed("MLGYM_LITE_SKYRL names no wheel of SkyRL 0.4.0")
    with zipfile.ZipFile(SKYRL) as wheel:
        wheel.extractall(tmp_path / "wheel")
    for file in (tmp_path / "wheel/skyrl").rglob("__init__.py"):
        name = ".".join(file.parent.relative_to(tmp_path / "wheel").parts)
        package = types.ModuleType(name)
        package.__path__ = [str(file.parent)]
        monkeypatch.setitem(sys.modules, name, package)
    yield tmp_path / "wheel/skyrl/train"
    for name in [name for name in sys.modules if name.startswith("skyrl.")]:
        del sys.modules[name]


def test_skyrl_takes_the_output(skyrl: Path, rollouts: list[Rollout]) -> None:
    """Its own check of a GeneratorOutput passes it, and its tensors hold what the rollouts hold."""
    import numpy
    from loguru import logger

    from_skyrl = __import__("skyrl.train.dataset.preprocess", fromlist=["x"])
    names = ["validate_generator_output", "_validate_per_token_side_channels", "_validate_step_wise_fields"]
    tree = ast.parse((skyrl / "utils/trainer_utils.py").read_text())
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    assert len(found) == len(names)
    tree.body = [ast.ImportFrom("__future__", [ast.alias("annotations")], 0), *found]
    space: dict[str, Any] = {"np": numpy, "logger": logger, "SAMPLE_SUPPORT_FIELD": "rollout_sample_support"}
    exec(compile(ast.fix_missing_locations(tree), "trainer_utils.py", "exec"), space)
    out = as_skyrl(rollouts)
    space["validate_generator_output"](len(rollouts), out)
    keys = ("prompt_token_ids", "response_ids", "rewards", "loss_masks", "rollout_logprobs")
    ids, there, responses, rewards, masks, logprobs, *_ = from_skyrl.convert_prompts_responses_to_batch_tensors(
        0, *(out[key] for key in keys)
    )
    for row, rollout in enumerate(rollouts):
        count = len(rollout.completion_ids)
        assert ids[row][there[row].bool()].tolist() == [*rollout.prompt_ids, *rollout.completion_ids]
        assert responses[row].sum() == count
        assert masks[row, -count:].tolist() == list(map(float, rollout.mask)) and not masks[row, :-count].any()
        assert torch.equal(rewards[row, -count:], torch.tensor(rollout.token_rewards))
        assert torch.equal(logprobs[row, -count:], torch.tensor(rollout.logprobs))
