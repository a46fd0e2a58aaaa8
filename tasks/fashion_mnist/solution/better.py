"""A better method than the baseline: a small residual network with batch normalisation and one cycle of a high learning rate.

Run it in the workspace: it writes submission.csv. Training pictures are taken as they are; nothing is added to them.
"""

import argparse
import csv
import math
import os
from pathlib import Path

import numpy
import torch
from torch import nn

DATA = Path(os.environ.get("MLGYM_LITE_ROOT", "") + "/data")
CLASSES = 10
BATCH = 64
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.05
LEAST_STEPS = 900
SEED = 42


def read_images(path):
    """Return pictures of about zero mean and unit spread, channels first."""
    images = torch.from_numpy(numpy.load(path))
    if images.ndim == 3:
        images = images[..., None]
    return ((images.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)


def convolution(given, made, stride=1):
    """Return a convolution that is normalised and bent."""
    return nn.Sequential(
        nn.Conv2d(given, made, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU(inplace=True)
    )


class Residual(nn.Module):
    """Two convolutions beside the way straight through."""

    def __init__(self, channels):
        """Make the untrained block."""
        super().__init__()
        self.inner = nn.Sequential(convolution(channels, channels), convolution(channels, channels))

    def forward(self, x):
        """Return the block's input and what it adds to it."""
        return x + self.inner(x)


def residual_network(channels):
    """Return the untrained network."""
    return nn.Sequential(
        convolution(channels, 24),
        convolution(24, 48, stride=2),
        Residual(48),
        convolution(48, 96, stride=2),
        Residual(96),
        convolution(96, 128, stride=2),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, CLASSES),
    )


def train(network, images, labels, epochs):
    """Train the network in place and print the loss of each epoch."""
    steps = epochs * math.ceil(len(images) / BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.2)
    network.train()
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(images)).to(images.device).split(BATCH):
            loss = nn.functional.cross_entropy(network(images[batch]), labels[batch], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch + 1} of {epochs}: loss {total / len(images):.4f}", flush=True)


@torch.no_grad()
def predicted(network, images):
    """Return the most likely class of each picture."""
    network.eval()
    return torch.cat([network(part).argmax(dim=1) for part in images.split(1_000)]).tolist()


def main():
    """Train on the training pictures and predict every picture of test_images.npy."""
    arguments = argparse.ArgumentParser(description="Train the residual network and write submission.csv.")
    arguments.add_argument("--data", type=Path, default=DATA, help="folder with the pictures")
    data = arguments.parse_args().data
    torch.manual_seed(SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = read_images(data / "train_images.npy").to(device)
    labels = torch.from_numpy(numpy.load(data / "train_labels.npy")).long().to(device)
    network = residual_network(images.shape[1]).to(device, memory_format=torch.channels_last)
    train(network, images, labels, max(10, math.ceil(LEAST_STEPS * BATCH / len(images))))

    answers = predicted(network, read_images(data / "test_images.npy").to(device))
    identifiers = (data / "test_ids.txt").read_text(encoding="ascii").split()
    with open("submission.csv", "w", encoding="ascii", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label"])
        writer.writerows(zip(identifiers, answers, strict=True))


if __name__ == "__main__":
    main()
