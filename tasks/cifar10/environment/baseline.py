"""The baseline: a small convolutional network, which writes submission.csv.

Run it in the workspace: `python baseline.py`. Two convolutions and one linear layer are trained with AdamW at a small
learning rate that rises over the first 500 steps and then falls to zero. The last state is used. A GPU is used if there
is one.
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
LEARNING_RATE = 5e-5
WEIGHT_DECAY = 0.01
WARM_UP_STEPS = 500
LEAST_STEPS = 1_200
SEED = 42


def read_images(path):
    """Return pictures between 0 and 1, channels first."""
    images = torch.from_numpy(numpy.load(path))
    if images.ndim == 3:
        images = images[..., None]
    return images.permute(0, 3, 1, 2).float().div_(255).contiguous()


def small_network(channels, side):
    """Return the untrained network."""
    return nn.Sequential(
        nn.Conv2d(channels, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * (side // 4) ** 2, CLASSES),
    )


def rate_at(step, steps):
    """Return the share of the learning rate at a step: up in a straight line, then down to zero."""
    if step < WARM_UP_STEPS:
        return step / WARM_UP_STEPS
    return max(0.0, (steps - step) / max(1, steps - WARM_UP_STEPS))


def train(network, images, labels, epochs):
    """Train the network in place and print the loss of each epoch."""
    steps = epochs * math.ceil(len(images) / BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, steps))
    network.train()
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(images)).to(images.device).split(BATCH):
            loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
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
    arguments = argparse.ArgumentParser(description="Train the baseline and write submission.csv.")
    arguments.add_argument("--data", type=Path, default=DATA, help="folder with the pictures")
    arguments.add_argument("--epochs", type=int, help="default: 10, or more where that makes less than 1,200 steps")
    given = arguments.parse_args()
    torch.manual_seed(SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = read_images(given.data / "train_images.npy").to(device)
    labels = torch.from_numpy(numpy.load(given.data / "train_labels.npy")).long().to(device)
    epochs = given.epochs or max(10, math.ceil(LEAST_STEPS * BATCH / len(images)))
    network = small_network(images.shape[1], images.shape[2]).to(device)
    train(network, images, labels, epochs)

    answers = predicted(network, read_images(given.data / "test_images.npy").to(device))
    identifiers = (given.data / "test_ids.txt").read_text(encoding="ascii").split()
    with open("submission.csv", "w", encoding="ascii", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label"])
        writer.writerows(zip(identifiers, answers, strict=True))


if __name__ == "__main__":
    main()
