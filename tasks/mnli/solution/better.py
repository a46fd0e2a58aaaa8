"""A better method for the mini variant: a small transformer that sees which words the two sentences share.

Run it in the workspace: it writes predictions.csv. Names are numbered in the order in which they come, as who is meant
makes no difference. Each word says whether it is in the other sentence as well. The learning rate rises and falls.
"""

import csv
import json
import os
from pathlib import Path

import torch
from torch import nn

DATA = Path(os.environ.get("MLGYM_LITE_ROOT", "") + "/data")
WIDTH, HEADS, LAYERS = 64, 4, 2
EPOCHS, BATCH, LARGEST_RATE, WARM_UP = 5, 64, 2e-3, 0.1


class Words:
    """Turns pairs into the numbers of their words; the words to know are those of the training pairs."""

    def __init__(self, rows):
        """Find the names: words that have a capital letter inside a sentence."""
        texts = [row[part] for row in rows for part in ("premise", "hypothesis")]
        self._names = {word.strip(".") for text in texts for word in text.split()[1:] if word[0].isupper()}
        self._numbers = {"": 0, "?": 1}
        for row in rows:
            for sentence in self._words(row):
                for word in sentence:
                    self._numbers.setdefault(word, len(self._numbers))

    def __len__(self):
        """Return how many there are."""
        return len(self._numbers)

    def _words(self, row):
        """Return the words of both sentences, with names replaced."""
        seen = {}
        hypothesis, premise = ([self._word(word, seen) for word in row[part][:-1].split()] for part in ("hypothesis", "premise"))
        return premise, hypothesis

    def _word(self, word, seen):
        """Return a word in small letters, or the number of a name."""
        return f"name {seen.setdefault(word, len(seen))}" if word in self._names else word.lower()

    def encoded(self, row):
        """Return three numbers for each token: the word, the sentence it is in, and whether the other has it too."""
        premise, hypothesis = self._words(row)
        tokens = [("?", 0, 0)]
        tokens += [(word, 1, word in hypothesis) for word in premise] + [(word, 2, word in premise) for word in hypothesis]
        return torch.tensor([(self._numbers.get(word, 1), part, int(shared)) for word, part, shared in tokens])


class Reader(nn.Module):
    """A transformer that reads both sentences at once."""

    def __init__(self, words):
        """Start from random weights."""
        super().__init__()
        sizes = (words, 3, 2, 64)
        self._tables = nn.ModuleList(nn.Embedding(size, WIDTH) for size in sizes)
        for table in self._tables:
            nn.init.normal_(table.weight, std=0.1)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self._body = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self._norm = nn.LayerNorm(WIDTH)
        self._head = nn.Linear(WIDTH, 3)

    def forward(self, tokens):
        """Return a number for each label."""
        places = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape[:2])
        inputs = (*tokens.unbind(dim=2), places)
        read = sum(table(numbers) for table, numbers in zip(self._tables, inputs, strict=True))
        read = self._body(read, src_key_padding_mask=tokens[:, :, 0] == 0)
        return self._head(self._norm(read[:, 0]))


def together(examples, device):
    """Return examples of different lengths as one tensor."""
    return nn.utils.rnn.pad_sequence(examples, batch_first=True).to(device)


def batches(examples):
    """Return the positions of all examples in batches of like length, in random order."""
    order = sorted(torch.randperm(len(examples)).tolist(), key=lambda at: len(examples[at]))
    parts = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    return [parts[at] for at in torch.randperm(len(parts)).tolist()]


def rows_of(path):
    """Return the rows of a file with one JSON object a line."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main():
    """Train on train.jsonl and label every row of test.jsonl."""
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train, test = rows_of(DATA / "train.jsonl"), rows_of(DATA / "test.jsonl")
    words = Words(train)
    examples, labels = [words.encoded(row) for row in train], torch.tensor([row["label"] for row in train])
    model = Reader(len(words)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LARGEST_RATE)
    steps = EPOCHS * len(batches(examples))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LARGEST_RATE, total_steps=steps, pct_start=WARM_UP)
    for epoch in range(EPOCHS):
        total = 0.0
        for chosen in batches(examples):
            guess = model(together([examples[at] for at in chosen], device))
            loss = nn.functional.cross_entropy(guess, labels[chosen].to(device))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        print(f"epoch {epoch + 1}: loss {total / len(examples):.4f}", flush=True)
    model.eval()
    with torch.no_grad(), open("predictions.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label"])
        for start in range(0, len(test), 256):
            rows = test[start : start + 256]
            guesses = model(together([words.encoded(row) for row in rows], device)).argmax(dim=1).tolist()
            writer.writerows(zip((row["id"] for row in rows), guesses, strict=True))


if __name__ == "__main__":
    main()
