"""A hidden Markov model as a language model: `build(config)` makes it, the forward algorithm gives its predictions."""

import torch
from torch import nn


def build(config):
    """Return the model that config.json describes, with empty tables."""
    return HiddenMarkov(**config)


class HiddenMarkov(nn.Module):
    """Keeps what it believes about the hidden state, and predicts the next token from that."""

    def __init__(self, states, vocabulary):
        super().__init__()
        self.start = nn.Parameter(torch.zeros(states))
        self.transitions = nn.Parameter(torch.zeros(states, states))
        self.emissions = nn.Parameter(torch.zeros(states, vocabulary))

    def forward(self, tokens):
        belief = self.start.expand(len(tokens), -1)
        likelihoods = self.emissions.T[tokens]
        beliefs = []
        for time in range(tokens.shape[1]):
            belief = belief * likelihoods[:, time]
            belief = (belief / belief.sum(dim=1, keepdim=True)) @ self.transitions
            beliefs.append(belief)
        return (torch.stack(beliefs, dim=1) @ self.emissions).log()
