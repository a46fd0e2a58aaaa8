"""A recurrent policy over an action grammar: an embedding, a GRU (Cho et al. 2014) and a layer that scores the next token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from mlgym_lite.gym.rollouts import Sampled
from mlgym_lite.training.batches import Batch, TokenScores
from mlgym_lite.training.grammar import BEGIN, ActionGrammar


class GrammarPolicy:
    """Samples only what the grammar allows; implements `TrainablePolicy`. Runs on the CPU."""

    def __init__(self, grammar: ActionGrammar, *, embedding: int = 48, hidden: int = 64, seed: int = 0) -> None:
        """Sizes are numbers of units; `seed` draws the first weights and everything that is sampled."""
        self._grammar = grammar
        self._chance = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = torch.nn.ModuleDict(
                {
                    "embedding": torch.nn.Embedding(grammar.size, embedding),
                    "recurrent": torch.nn.GRU(embedding, hidden, batch_first=True),
                    "head": torch.nn.Linear(hidden, grammar.size),
                }
            )

    def prompt(self, instruction: str) -> Sequence[int]:
        """The token that begins; a grammar is for one task, whose instruction it need not read."""
        return [BEGIN]

    def observe(self, observation: str, reward: float) -> Sequence[int]:
        """The grammar's words for it."""
        return self._grammar.observe(observation, reward)

    def act(self, contexts: Sequence[Sequence[int]]) -> Sequence[Sampled]:
        """One whole action for each context."""
        with torch.no_grad():
            state = self._last_states(contexts)
            said: list[list[int]] = [[] for _ in contexts]
            logprobs: list[list[float]] = [[] for _ in contexts]
            going = list(range(len(contexts)))
            while going:
                allowed = [self._grammar.allowed([*contexts[row], *said[row]]) for row in going]
                chances = torch.log_softmax(self.network["head"](state).masked_fill(self._forbidden(allowed), -torch.inf), dim=-1)
                drawn = torch.multinomial(chances.exp(), 1, generator=self._chance)
                for row, token, logprob in zip(going, drawn[:, 0].tolist(), chances.gather(1, drawn)[:, 0].tolist(), strict=True):
                    said[row].append(token)
                    logprobs[row].append(logprob)
                state = self.network["recurrent"](self.network["embedding"](drawn), state[None])[1][0]
                kept = [at for at, row in enumerate(going) if not self._grammar.is_whole(said[row])]
                state, going = state[kept], [going[at] for at in kept]
        return [
            Sampled(action=self._grammar.action(ids), ids=ids, logprobs=values)
            for ids, values in zip(said, logprobs, strict=True)
        ]

    def evaluate(self, batch: Batch) -> TokenScores:
        """What it says now of a batch's tokens."""
        states = self.network["recurrent"](self.network["embedding"](batch.ids[:, :-1]))[0]
        episodes, places = batch.is_sampled.shape
        everything = list(range(self._grammar.size))
        allowed = [
            self._grammar.allowed(context[: place + 1]) if is_sampled else everything
            for context, sampled in zip(batch.ids.tolist(), batch.is_sampled.tolist(), strict=True)
            for place, is_sampled in enumerate(sampled)
        ]
        forbidden = self._forbidden(allowed).reshape(episodes, places, -1)
        return TokenScores.of(self.network["head"](states).masked_fill(forbidden, -torch.inf), batch)

    def parameters(self) -> Iterable[torch.Tensor]:
        """What is trained."""
        return list(self.network.parameters())

    def state(self) -> dict[str, Any]:
        """Its weights, and where its random numbers are."""
        return {"network": self.network.state_dict(), "chance": self._chance.get_state(), "words": list(self._grammar.words)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go back to a state; raises RuntimeError or ValueError where it is of another size or grammar."""
        if state["words"] != list(self._grammar.words):
            raise ValueError("its grammar has other words")
        self.network.load_state_dict(state["network"])
        self._chance.set_state(state["chance"])

    def _last_states(self, contexts: Sequence[Sequence[int]]) -> torch.Tensor:
        """float32 [contexts, hidden]: the state behind each context's last token."""
        longest = max(map(len, contexts))
        ids = torch.tensor([[*context, *([BEGIN] * (longest - len(context)))] for context in contexts])
        states = self.network["recurrent"](self.network["embedding"](ids))[0]
        return states[torch.arange(len(contexts)), torch.tensor([len(context) - 1 for context in contexts])]

    def _forbidden(self, allowed: Sequence[Sequence[int]]) -> torch.Tensor:
        """bool [rows, vocabulary]."""
        forbidden = torch.ones(len(allowed), self._grammar.size, dtype=torch.bool)
        for row, ids in enumerate(allowed):
            forbidden[row, ids] = False
        return forbidden
