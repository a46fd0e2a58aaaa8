"""The baseline: a convolutional encoder and an LSTM decoder, which writes submission.csv.

Run it in the workspace: `python baseline.py`. Where /data has the weights of a ResNet-50, that network is the encoder,
frozen: its features are computed once. Otherwise a small encoder is trained along with the decoder. Either gives one
vector per picture, which the LSTM reads as if it were the first word. Captions are read off word by word, each time the
likeliest. It uses a GPU if there is one.
"""

import argparse
import os
import time
from pathlib import Path

import numpy
import torch
from captions import END, PAD, START, Pictures, Vocabulary, read_lines, write_submission
from resnet import FEATURES, pretrained
from torch import nn

DATA = Path(os.environ.get("MLGYM_LITE_ROOT", "") + "/data")
LONGEST_CAPTION = 20
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class SmallEncoder(nn.Module):
    """Four convolutions and the mean over the picture, for training from scratch."""

    def __init__(self) -> None:
        super().__init__()
        layers = []
        for inputs, outputs in ((3, 32), (32, 64), (64, 128), (128, 128)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x).mean((2, 3))


class Captioner(nn.Module):
    """An LSTM that continues from a picture's features with a caption."""

    def __init__(self, features: int, vocabulary: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.picture = nn.Sequential(nn.Linear(features, embedding), nn.BatchNorm1d(embedding))
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.output = nn.Linear(hidden, vocabulary)

    def forward(self, features: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        """Return scores of each next word, from the picture and the words before."""
        inputs = torch.cat([self.picture(features)[:, None], self.embedding(numbers[:, :-1])], 1)
        return self.output(self.lstm(inputs)[0][:, 1:])

    @torch.no_grad()
    def captions(self, features: torch.Tensor) -> torch.Tensor:
        """Return the likeliest word at each place."""
        _, state = self.lstm(self.picture(features)[:, None])
        number = torch.full((len(features), 1), START, device=features.device)
        chosen = []
        for _ in range(LONGEST_CAPTION):
            hidden, state = self.lstm(self.embedding(number), state)
            scores = self.output(hidden)
            scores[..., [PAD, START]] = -torch.inf
            number = scores.argmax(-1)
            chosen.append(number)
            if (torch.cat(chosen, 1) == END).any(1).all():
                break
        return torch.cat(chosen, 1)


def normalised(pictures: numpy.ndarray, device: str) -> torch.Tensor:
    """Return pictures as the encoders expect them."""
    x = torch.from_numpy(pictures).to(device).float() / 255
    return (x - torch.tensor(MEAN, device=device)[:, None, None]) / torch.tensor(DEVIATION, device=device)[:, None, None]


@torch.no_grad()
def frozen_features(encoder: nn.Module, pictures: Pictures, device: str) -> torch.Tensor:
    """Return the mean of the encoder's features over each picture."""
    encoder, parts = encoder.to(device), []
    for start in range(0, len(pictures), 128):
        batch = normalised(pictures.read(range(start, min(start + 128, len(pictures)))), device)
        parts.append(encoder(batch).mean((2, 3)).cpu())
        if start // 128 % 100 == 0:
            print(f"features of {start + len(batch)} of {len(pictures)} pictures", flush=True)
    return torch.cat(parts)


def main() -> None:
    """Train on the training pictures and caption every picture of test.jsonl."""
    arguments = argparse.ArgumentParser(description="Train the baseline and write submission.csv.")
    arguments.add_argument("--data", type=Path, default=DATA, help="folder with train.jsonl and test.jsonl")
    arguments.add_argument("--epochs", type=int, help="passes over the pictures; by default 2 with ResNet-50, else 4")
    arguments.add_argument("--batch", type=int, help="pictures a step; by default 128 with ResNet-50, else 64")
    options = arguments.parse_args()
    torch.manual_seed(0)
    random = numpy.random.default_rng(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train, test = read_lines(options.data / "train.jsonl"), read_lines(options.data / "test.jsonl")
    vocabulary = Vocabulary([caption for row in train for caption in row["captions"]], at_least=5)
    numbers = [torch.tensor([vocabulary.encode(text, LONGEST_CAPTION) for text in row["captions"]]) for row in train]

    weights = options.data / "weights" / "resnet50.safetensors"
    frozen = weights.exists()
    if not frozen:
        torch.set_num_threads(1)  # on a busy host, threads wait for each other longer than such small steps take
    side = 224 if frozen else 64
    pictures, asked = Pictures(options.data, "train", train, side), Pictures(options.data, "test", test, side)
    encoder = pretrained(weights) if frozen else SmallEncoder().to(device)
    if frozen:
        features, asked_features = (frozen_features(encoder, part, device) for part in (pictures, asked))
    sizes = {"embedding": 256, "hidden": 512} if frozen else {"embedding": 128, "hidden": 128}
    captioner = Captioner(FEATURES if frozen else 128, len(vocabulary), **sizes).to(device)
    parameters = [*captioner.parameters(), *([] if frozen else encoder.parameters())]
    optimiser = torch.optim.Adam(parameters, lr=1e-3)

    def features_of(part: Pictures, cached: torch.Tensor | None, positions: numpy.ndarray) -> torch.Tensor:
        return cached[positions].to(device) if cached is not None else encoder(normalised(part.read(positions), device))

    epochs, batch = options.epochs or (2 if frozen else 4), options.batch or (128 if frozen else 64)
    started = time.monotonic()
    for epoch in range(epochs):
        total, order = 0.0, random.permutation(len(train))
        batches = [order[start : start + batch] for start in range(0, len(order) - 1, batch)]
        rounds = range(5) if frozen else range(1)  # cached features cost nothing: every caption is used in each pass
        for turn in rounds:
            for positions in batches:
                drawn = [random.integers(len(numbers[at])) if not frozen else turn % len(numbers[at]) for at in positions]
                target = torch.stack([numbers[at][which] for at, which in zip(positions, drawn, strict=True)]).to(device)
                target = target[:, : int((target != PAD).sum(1).max())]
                scores = captioner(features_of(pictures, features if frozen else None, positions), target)
                loss = nn.functional.cross_entropy(scores.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += loss.item() / len(batches) / len(rounds)
        print(f"epoch {epoch + 1}: loss {total:.3f}, {time.monotonic() - started:.0f} s", flush=True)

    captioner.eval(), encoder.eval()
    told = []
    with torch.no_grad():
        for start in range(0, len(test), 256):
            positions = numpy.arange(start, min(start + 256, len(test)))
            chosen = captioner.captions(features_of(asked, asked_features if frozen else None, positions))
            told += [vocabulary.decode(line) for line in chosen.tolist()]
    write_submission(test, told)


if __name__ == "__main__":
    main()
