"""A causal language model as a policy, mostly from a local Hugging Face folder: its replies are actions, ids as sampled.

A conversation is the model's own chat template where its tokenizer has one: the instruction is the user's first message, each
action a reply, each observation a further message of the user's. Without a template, texts follow one another as in a shell.
Nothing is fetched: the folder must be there, and no code of its own is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mlgym_lite.gym.rollouts import Sampled
from mlgym_lite.training.batches import Batch, TokenScores

_MARKS = ("{-instruction-}", "{-reply-}", "{-shown-}")
"""Stand in a rendered template where the texts go."""


class LanguageModelPolicy:
    """Implements `TrainablePolicy` with a model of `transformers.AutoModelForCausalLM`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        most_new_tokens: int = 256,
        most_shown_characters: int = 8000,
        temperature: float = 1.0,
        seed: int = 0,
        system: str = "",
        action_of: Callable[[str], str] = str.strip,
    ) -> None:
        """Around a model of transformers and its tokenizer.

        `most_new_tokens` bounds a reply, and `most_shown_characters` what is shown of an observation, whose middle is left out.
        Tokens are drawn at `temperature`, and log-probabilities are those at that temperature. `seed` draws what is sampled.
        `system` comes before the instruction. `action_of` turns a reply into the shell input.

        Raises:
            ValueError: The temperature is not above 0, or the tokenizer has no token that ends a sequence, or has a chat template
                that leaves out messages.
        """
        from transformers import GenerationConfig

        if not temperature > 0:
            raise ValueError(f"temperature={temperature}: expected more than 0; a policy that never varies learns nothing")
        if tokenizer.eos_token_id is None:
            raise ValueError("the tokenizer has no end-of-sequence token, which ends an action")
        self.model = model.eval()  # without dropout: what is recorded must be what is recomputed
        self.tokenizer = tokenizer
        self._ends = _ends_of(model, tokenizer)
        self._sampling = GenerationConfig(
            do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=most_new_tokens, eos_token_id=self._ends,
            pad_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
        self._most_shown = most_shown_characters
        self._temperature = temperature
        self._system = system
        self._action_of = action_of
        self._chance = torch.Generator().manual_seed(seed)
        self._before, self._behind, self._open = self._frames()

    @classmethod
    def load(cls, folder: str | Path, *, device: str = "cpu", dtype: str = "float32", **options: Any) -> LanguageModelPolicy:
        """Of a folder as transformers' save_pretrained leaves it; `dtype` is a name of torch's, `options` are the constructor's.

        Raises:
            ModuleNotFoundError: transformers (the extra `training`) is not installed.
            OSError: The folder holds no model or no tokenizer.
        """
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if not Path(folder).is_dir():
            raise FileNotFoundError(f"{folder}: is no folder; expected a model as transformers' save_pretrained leaves it")
        model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=getattr(torch, dtype))
        return cls(model.to(device), AutoTokenizer.from_pretrained(folder, local_files_only=True), **options)

    def prompt(self, instruction: str) -> Sequence[int]:
        """The ids of the conversation up to the first reply."""
        if self.tokenizer.chat_template is None:
            return self._ids(f"{self._system}\n\n".lstrip()) + self._plain(instruction) + self._ids("\n$ ")
        return self._ids(self._before) + self._plain(instruction) + self._ids(self._open)

    def observe(self, observation: str, reward: float) -> Sequence[int]:
        """The ids between one reply and the next: what was printed, in which nothing ends a turn. A reward is not told."""
        shown = self._plain(self._shortened(observation))
        if self.tokenizer.chat_template is None:
            return self._ids("\n") + shown + self._ids("\n$ ")
        behind = self._ids(self._behind)
        return (behind[1:] if behind[:1] and behind[0] in self._ends else behind) + shown + self._ids(self._open)

    def act(self, contexts: Sequence[Sequence[int]]) -> Sequence[Sampled]:
        """One reply for each context, drawn from the model's whole distribution, its end-of-sequence token included."""
        ids, is_there = self._left_padded(contexts)
        recorder = _Recorder(self._temperature)
        with torch.no_grad(), torch.random.fork_rng([ids.device] if ids.is_cuda else []), self._no_defaults():
            torch.manual_seed(int(torch.randint(2**62, (), generator=self._chance)))
            sequences = self.model.generate(
                input_ids=ids, attention_mask=is_there, generation_config=self._sampling, logits_processor=[recorder]
            )
        logprobs = recorder.logprobs_of(sequences).tolist()
        drawn = sequences[:, ids.shape[1] :].tolist()
        return [self._sampled(row, values) for row, values in zip(drawn, logprobs, strict=True)]

    def evaluate(self, batch: Batch) -> TokenScores:
        """What it says now of a batch's tokens."""
        logits = self.model(input_ids=batch.ids, attention_mask=batch.is_there.long(), use_cache=False).logits
        return TokenScores.of(logits[:, :-1].float() / self._temperature, batch)

    def parameters(self) -> Iterable[torch.Tensor]:
        """Those that need gradients: freeze the others, or put adapters into `model`, before a trainer takes the policy."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def state(self) -> dict[str, Any]:
        """The model's weights, and where its random numbers are."""
        return {"model": self.model.state_dict(), "chance": self._chance.get_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state; raises RuntimeError where it is of another model."""
        self.model.load_state_dict(state["model"])
        self._chance.set_state(state["chance"])

    def save(self, folder: str | Path) -> None:
        """Write model and tokenizer as a Hugging Face folder."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @contextmanager
    def _no_defaults(self) -> Iterator[None]:
        """Without the model's own settings of generation: penalties, or tokens left out, would bend the distribution."""
        kept, self.model.generation_config = self.model.generation_config, type(self._sampling)()
        try:
            yield
        finally:
            self.model.generation_config = kept

    def _sampled(self, ids: list[int], logprobs: list[float]) -> Sampled:
        """A reply up to its end; what stands behind that only fills up the batch."""
        end = next((at for at, token in enumerate(ids) if token in self._ends), None)
        count = len(ids) if end is None else end + 1
        action = self._action_of(self.tokenizer.decode(ids[:count], skip_special_tokens=True))
        behind = self._ids(self._behind)
        closing = behind[:1] if end is None and behind[:1] and behind[0] in self._ends else []
        return Sampled(action=action, ids=ids[:count], logprobs=logprobs[:count], closing=closing)

    def _ids(self, text: str) -> list[int]:
        """Of the template's own text, whose names of special tokens are meant."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _plain(self, text: str) -> list[int]:
        """Of text from elsewhere: the name of a special token in it is only text."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return ids

    def _frames(self) -> tuple[str, str, str]:
        """The template's text before the instruction, between a reply and what is shown, and behind that up to the next reply."""
        if self.tokenizer.chat_template is None:
            return "", "", ""
        system = [{"role": "system", "content": self._system}] if self._system else []
        roles = ("user", "assistant", "user")
        messages = [*system, *({"role": role, "content": mark} for role, mark in zip(roles, _MARKS, strict=True))]
        text: str = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        if missing := [role for role, mark in zip(roles, _MARKS, strict=True) if mark not in text]:
            raise ValueError(f"the tokenizer's chat template leaves out what the {missing[0]} says")
        first, reply, shown = _MARKS
        before, _, rest = text.partition(first)
        return before, rest.partition(reply)[2].partition(shown)[0], text.partition(shown)[2]

    def _shortened(self, text: str) -> str:
        if len(text) <= self._most_shown:
            return text
        half = self._most_shown // 2
        return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[len(text) - half :]}"

    def _left_padded(self, contexts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """int64 [contexts, longest] twice: ids that end together, and 1 where there is one."""
        longest = max(map(len, contexts))
        ids = [[*([0] * (longest - len(context))), *context] for context in contexts]
        is_there = [[*([0] * (longest - len(context))), *([1] * len(context))] for context in contexts]
        return torch.tensor(ids, device=self.model.device), torch.tensor(is_there, device=self.model.device)


class _Recorder:
    """Sets the temperature while tokens are generated, and keeps how likely each was; a processor of transformers' logits."""

    def __init__(self, temperature: float) -> None:
        self._temperature = temperature
        self._last: torch.Tensor | None = None
        self._kept: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """int64 [replies, tokens so far] and float [replies, vocabulary] give float32 [replies, vocabulary]."""
        self._keep(input_ids[:, -1:])
        self._last = torch.log_softmax(scores.float() / self._temperature, dim=-1)
        return self._last

    def logprobs_of(self, sequences: torch.Tensor) -> torch.Tensor:
        """float32 [replies, new tokens] of what was generated, once it is."""
        self._keep(sequences[:, -1:])
        self._last = None
        return torch.cat(self._kept, dim=1)

    def _keep(self, drawn: torch.Tensor) -> None:
        if self._last is not None:
            self._kept.append(self._last.gather(1, drawn))


def _ends_of(model: Any, tokenizer: Any) -> list[int]:
    """Every token that ends a reply: the tokenizer's, and those of the model's settings, which may be others."""
    stated = model.generation_config.eos_token_id
    several = stated if isinstance(stated, list) else [stated]
    return list(dict.fromkeys(token for token in (tokenizer.eos_token_id, *several) if token is not None))
