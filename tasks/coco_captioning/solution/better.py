"""A better method where the encoder is trained from scratch: attention over the parts of the picture.

The baseline takes the mean over the picture and so forgets what stands where. Here the LSTM looks, before each word, at
those parts of the picture that matter for it, and the parts know their places.
"""

import numpy
import torch
from baseline import DATA, LONGEST_CAPTION, SmallEncoder, normalised
from captions import END, PAD, START, Pictures, Vocabulary, read_lines, write_submission
from torch import nn

EPOCHS = 14


class Attending(nn.Module):
    """An encoder that keeps a grid of features, and an LSTM cell that attends to it."""

    def __init__(self, vocabulary: int, cells: int, embedding: int = 128, hidden: int = 256) -> None:
        super().__init__()
        self.encoder = SmallEncoder().layers[:-3]  # without the last convolution: a finer grid
        self.place = nn.Parameter(torch.randn(cells, 128) * 0.1)
        self.keys = nn.Linear(128, hidden)
        self.first = nn.Linear(128, hidden)
        self.query = nn.Linear(hidden, hidden)
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        self.cell = nn.LSTMCell(embedding + 128, hidden)
        self.output = nn.Linear(hidden + 128, vocabulary)

    def grid(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.encoder(pictures).flatten(2).transpose(1, 2) + self.place

    def start(self, grid: torch.Tensor) -> tuple:
        hidden = torch.tanh(self.first(grid.mean(1)))
        return self.keys(grid), (hidden, torch.zeros_like(hidden)), grid.mean(1)

    def step(self, grid, keys, state, context, number):
        state = self.cell(torch.cat([self.embedding(number), context], 1), state)
        weights = torch.softmax((keys @ self.query(state[0])[:, :, None]).squeeze(2) / 16, 1)
        context = (weights[:, None] @ grid).squeeze(1)
        return state, context, self.output(torch.cat([state[0], context], 1))

    def forward(self, pictures: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        grid = self.grid(pictures)
        keys, state, context = self.start(grid)
        scores = []
        for at in range(numbers.shape[1] - 1):
            state, context, now = self.step(grid, keys, state, context, numbers[:, at])
            scores.append(now)
        return torch.stack(scores, 1)

    @torch.no_grad()
    def captions(self, pictures: torch.Tensor) -> torch.Tensor:
        grid = self.grid(pictures)
        keys, state, context = self.start(grid)
        number, chosen = torch.full((len(pictures),), START, device=pictures.device), []
        for _ in range(LONGEST_CAPTION):
            state, context, scores = self.step(grid, keys, state, context, number)
            scores[:, [PAD, START]] = -torch.inf
            number = scores.argmax(1)
            chosen.append(number)
        return torch.stack(chosen, 1)


def main() -> None:
    """Train and caption."""
    torch.manual_seed(0)
    random = numpy.random.default_rng(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train, test = read_lines(DATA / "train.jsonl"), read_lines(DATA / "test.jsonl")
    vocabulary = Vocabulary([caption for row in train for caption in row["captions"]], at_least=5)
    numbers = [torch.tensor([vocabulary.encode(text, LONGEST_CAPTION) for text in row["captions"]]) for row in train]
    pictures, asked = Pictures(DATA, "train", train, 48), Pictures(DATA, "test", test, 48)
    model = Attending(len(vocabulary), cells=36).to(device)
    steps = -(-len(train) // 64)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=EPOCHS * steps)
    for epoch in range(EPOCHS):
        order, total = random.permutation(len(train)), 0.0
        for start in range(0, len(order), 64):
            positions = order[start : start + 64]
            target = torch.stack([numbers[at][random.integers(len(numbers[at]))] for at in positions]).to(device)
            target = target[:, : int((target != PAD).sum(1).max())]
            scores = model(normalised(pictures.read(positions), device), target)
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item() / steps
        print(f"epoch {epoch + 1}: loss {total:.3f}", flush=True)
    model.eval()
    told = []
    for start in range(0, len(test), 256):
        part = numpy.arange(start, min(start + 256, len(test)))
        chosen = model.captions(normalised(asked.read(part), device)).tolist()
        told += [vocabulary.decode(line[: line.index(END) + 1] if END in line else line) for line in chosen]
    write_submission(test, told)


if __name__ == "__main__":
    main()
