"""The language model that is handed in: `build(config)` makes it, its weights are loaded afterwards.

A decoder-only transformer: rotary positions, normalised queries and keys, squared-ReLU feed-forward layers, and no
biases. What each layer adds starts at zero. `forward` takes whole numbers [batch, time] and returns logits
[batch, time, vocabulary]; position t tells about token t + 1 and looks at the tokens up to t only.
"""

import contextlib

import torch
from torch import nn
from torch.nn import functional


def build(config):
    """Return the model that config.json describes, with fresh weights."""
    return Transformer(**config)


class Transformer(nn.Module):
    """Embedding, layers, and a head of its own."""

    def __init__(self, vocabulary, layers, width, heads):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, vocabulary, bias=False)
        nn.init.zeros_(self.head.weight)

    def forward(self, tokens):
        with half_precision_on_gpu(tokens.device):
            stream = normalised(self.embedding(tokens))
            for layer in self.layers:
                stream = layer(stream)
            return self.head(normalised(stream)).float()


class Layer(nn.Module):
    """Attention and a feed-forward network, each added to what came in."""

    def __init__(self, width, heads):
        super().__init__()
        self.attention = Attention(width, heads)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        nn.init.zeros_(self.down.weight)

    def forward(self, stream):
        stream = stream + self.attention(normalised(stream))
        return stream + self.down(functional.relu(self.up(normalised(stream))).square())


class Attention(nn.Module):
    """Causal attention with several heads."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, stream):
        batch, time, width = stream.shape
        query, key, value = (
            projection(stream).view(batch, time, self.heads, -1).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        query, key = rotated(normalised(query)), rotated(normalised(key))
        mixed = functional.scaled_dot_product_attention(query.to(value.dtype), key.to(value.dtype), value, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))


def normalised(vectors):
    """Return the vectors at root mean square 1."""
    return functional.rms_norm(vectors, (vectors.size(-1),))


def rotated(vectors):
    """Turn each pair of coordinates by an angle that grows with the position: slowly for late pairs."""
    time, half = vectors.size(-2), vectors.size(-1) // 2
    speed = 10_000.0 ** (-torch.arange(half, device=vectors.device) / half)
    angle = torch.outer(torch.arange(time, device=vectors.device), speed)
    cosine, sine = angle.cos().to(vectors.dtype), angle.sin().to(vectors.dtype)
    first, second = vectors[..., :half], vectors[..., half:]
    return torch.cat((first * cosine + second * sine, second * cosine - first * sine), dim=-1)


def half_precision_on_gpu(device):
    """Multiply matrices in bfloat16 on a GPU; leave the CPU at full precision."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else contextlib.nullcontext()
