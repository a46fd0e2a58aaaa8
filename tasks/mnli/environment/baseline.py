"""The baseline: fine-tunes the BERT that lies in the data folder, and writes predictions.csv.

Run it in the workspace: `python baseline.py`. Where the BERT has weights (the full variant) it is trained as published:
one epoch in batches of 32 with AdamW at a learning rate of 1e-7. Where there is only a configuration and a vocabulary
(the mini variant), it starts from random weights, and takes larger steps. A GPU is used where there is one.
"""

import argparse
import csv
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoTokenizer, BertForSequenceClassification

DATA = Path(os.environ.get("MLGYM_LITE_ROOT", "") + "/data")
LABELS = 3
LONGEST = 128


@dataclass
class Settings:
    """How to train."""

    learning_rate: float
    epochs: int
    batch: int
    warm_up: int
    """So many steps take the learning rate up from nothing."""


FROM_WEIGHTS = Settings(learning_rate=1e-7, epochs=1, batch=32, warm_up=0)
FROM_SCRATCH = Settings(learning_rate=1e-3, epochs=3, batch=128, warm_up=100)


def main():
    """Train on train.jsonl and label every row of test.jsonl."""
    parser = argparse.ArgumentParser(description="Train the baseline and write predictions.csv.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder with train.jsonl, test.jsonl and a BERT")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--steps", type=int, help="stop after so many, to try something out")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    model, tokenizer, settings = loaded(next(path for path in sorted(arguments.data.glob("bert-*")) if path.is_dir()))
    settings.learning_rate = arguments.learning_rate or settings.learning_rate
    settings.epochs = arguments.epochs or settings.epochs
    train, test = rows_of(arguments.data / "train.jsonl"), rows_of(arguments.data / "test.jsonl")
    fit(model, tokenizer, train, settings, arguments.steps)
    with open("predictions.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label"])
        writer.writerows(zip((row["id"] for row in test), predictions(model, tokenizer, test), strict=True))


def loaded(folder):
    """Return the model on its device, its tokenizer, and how it is to be trained."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if (folder / "model.safetensors").is_file():
        model, settings = BertForSequenceClassification.from_pretrained(folder, num_labels=LABELS), FROM_WEIGHTS
    else:
        configuration = AutoConfig.from_pretrained(folder, num_labels=LABELS)
        model, settings = BertForSequenceClassification(configuration), FROM_SCRATCH
    return model.to(device), tokenizer, settings


def rows_of(path):
    """Return the rows of a file with one JSON object a line."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def batch_of(tokenizer, rows, device):
    """Return the rows' sentences as the model takes them."""
    texts = [row["premise"] for row in rows], [row["hypothesis"] for row in rows]
    return tokenizer(*texts, truncation=True, max_length=LONGEST, padding=True, return_tensors="pt").to(device)


def half_precision(device):
    """Return a context in which a GPU computes with half the bits."""
    return torch.autocast(device.type, torch.float16, enabled=device.type == "cuda")


def fit(model, tokenizer, rows, settings, most_steps):
    """Train with AdamW, telling the loss now and then."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / (settings.warm_up + 1)))
    scaler = torch.amp.GradScaler(enabled=model.device.type == "cuda")
    steps, losses, started = 0, [], time.monotonic()
    model.train()
    for epoch in range(settings.epochs):
        for positions in torch.randperm(len(rows)).split(settings.batch):
            if steps == most_steps:
                return
            chosen = [rows[position] for position in positions]
            labels = torch.tensor([row["label"] for row in chosen], device=model.device)
            with half_precision(model.device):
                loss = model(**batch_of(tokenizer, chosen, model.device), labels=labels).loss
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            warm_up.step()
            steps += 1
            losses.append(loss.item())
            if steps % 100 == 0:
                seconds = time.monotonic() - started
                print(f"epoch {epoch + 1}, step {steps}: loss {sum(losses[-100:]) / 100:.4f}, {seconds:.0f} s", flush=True)


@torch.no_grad()
def predictions(model, tokenizer, rows):
    """Return the likeliest label of each row."""
    model.eval()
    guesses = []
    for start in range(0, len(rows), 256):
        with half_precision(model.device):
            logits = model(**batch_of(tokenizer, rows[start : start + 256], model.device)).logits
        guesses += logits.argmax(dim=1).tolist()
    return guesses


if __name__ == "__main__":
    main()
