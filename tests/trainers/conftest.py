"""These tests need the extra `trainers`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optional_packages import left_out
from tiny_environments import tiny_environments

collect_ignore_glob = left_out("trainers", ("torch", "transformers", "trl", "verifiers"))


@pytest.fixture
def make(
    make_task: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path
) -> Callable[..., Callable[[], Any]]:
    """Makes environments of the tiny task, whose goal is 5 and whose baseline is 1."""
    maker: Callable[..., Callable[[], Any]] = tiny_environments(make_task, monkeypatch, cache, tmp_path)
    return maker


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A language model with 30,000 random weights, whose tokens are bytes, as a Hugging Face folder with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<pad>", "<end>", "<user>", "<assistant>"]
    vocabulary = {token: at for at, token in enumerate([*special, *letters])}
    plain = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    plain.decoder = decoders.ByteLevel()
    plain.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<end>")
    tokenizer.chat_template = (
        "{% for message in messages %}<{{ message.role }}>{{ message.content }}<end>\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    set_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=4096, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
