"""A better method where the encoder is trained from scratch: attention over the parts of the picture.

The baseline takes the mean over the picture and so forgets what stands where. Here, before each word, those parts of the
picture count that matter for it, and the parts know their places. Nothing of that goes back into the LSTM, so that it
reads a whole caption in one call.
"""

import numpy
import torch
from baseline import DATA, LONGEST_CAPTION, normalised
from captions import END, PAD, START, Pictures, Vocabulary, read_lines, write_submission
from torch import nn

EPOCHS = 6
BATCH = 64
CAPTIONS = 2  # of each picture and epoch: looking at a picture takes longer than reading a caption
SIDE, CELLS = 32, 64
CHANNELS = (3, 32, 64, 96)
EMBEDDING, HIDDEN = 128, 128


class Attending(nn.Module):
    """An encoder that keeps a grid of features, and an LSTM whose words attend to it."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        layers = []
        for inputs, outputs, stride in zip(CHANNELS, CHANNELS[1:], (2, 2, 1), strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.encoder = nn.Sequential(*layers)
        features = CHANNELS[-1]
        self.place = nn.Parameter(torch.randn(CELLS, features) * 0.1)
        self.picture = nn.Linear(features, EMBEDDING)
        self.embedding = nn.Embedding(vocabulary, EMBEDDING, padding_idx=PAD)
        self.lstm = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
        self.queries = nn.Linear(HIDDEN, 2 * features)
        self.mixed = nn.Linear(HIDDEN + 2 * features, HIDDEN)
        self.output = nn.Linear(HIDDEN, vocabulary)

    def grid(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the features of each part: pictures x cells x features."""
        return self.encoder(pictures).flatten(2).transpose(1, 2) + self.place

    def first(self, grid: torch.Tensor) -> torch.Tensor:
        """Return what the LSTM reads before the words."""
        return self.picture(grid.mean(1))[:, None]

    def words(self, hidden: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        """Return scores of each next word; `hidden` has one or more captions of each picture, one after the other."""
        pictures, _, features = grid.shape
        queries = self.queries(hidden).reshape(pictures, -1, features)
        weights = torch.softmax(queries @ grid.transpose(1, 2) / features**0.5, 2)
        seen = (weights @ grid).reshape(*hidden.shape[:2], -1)
        return self.output(torch.relu(self.mixed(torch.cat([hidden, seen], 2))))

    def forward(self, pictures: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        grid = self.grid(pictures)
        first = self.first(grid).repeat_interleave(len(numbers) // len(pictures), 0)
        hidden, _ = self.lstm(torch.cat([first, self.embedding(numbers)], 1))
        return self.words(hidden[:, 1:], grid)

    @torch.no_grad()
    def captions(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return the likeliest word at each place."""
        grid = self.grid(pictures)
        _, state = self.lstm(self.first(grid))
        number, chosen = torch.full((len(pictures), 1), START, device=pictures.device), []
        for _ in range(LONGEST_CAPTION):
            hidden, state = self.lstm(self.embedding(number), state)
            scores = self.words(hidden, grid)
            scores[..., [PAD, START]] = -torch.inf
            number = scores.argmax(-1)
            chosen.append(number)
            if (torch.cat(chosen, 1) == END).any(1).all():
                break
        return torch.cat(chosen, 1)


def main() -> None:
    """Train and caption."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # on a busy host, threads wait for each other longer than such small steps take
    random = numpy.random.default_rng(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train, test = read_lines(DATA / "train.jsonl"), read_lines(DATA / "test.jsonl")
    vocabulary = Vocabulary([caption for row in train for caption in row["captions"]], at_least=5)
    numbers = [torch.tensor([vocabulary.encode(text, LONGEST_CAPTION) for text in row["captions"]]) for row in train]
    pictures, asked = Pictures(DATA, "train", train, SIDE), Pictures(DATA, "test", test, SIDE)
    model = Attending(len(vocabulary)).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2)
    steps = -(-len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=EPOCHS * steps)
    for epoch in range(EPOCHS):
        order, total = random.permutation(len(train)), 0.0
        for start in range(0, len(order), BATCH):
            positions = order[start : start + BATCH]
            told = [numbers[at][random.permutation(len(numbers[at]))[:CAPTIONS]] for at in positions]
            target = torch.cat(told).to(device)
            target = target[:, : int((target != PAD).sum(1).max())]
            scores = model(normalised(pictures.read(positions), device), target[:, :-1])
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item() / steps
        print(f"epoch {epoch + 1}: loss {total:.3f}", flush=True)
    model.eval()
    captions = []
    for start in range(0, len(test), 256):
        part = numpy.arange(start, min(start + 256, len(test)))
        captions += [vocabulary.decode(line) for line in model.captions(normalised(asked.read(part), device)).tolist()]
    write_submission(test, captions)


if __name__ == "__main__":
    main()
