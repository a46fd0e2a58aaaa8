"""Makes the mini variant: pairs of generated English sentences whose labels follow from what the sentences mean.

Run as `make_mini.py OUTPUT_DIR`; needs the standard library only. It writes

    OUTPUT_DIR/agent/train.jsonl            labelled pairs: premise, hypothesis, label
    OUTPUT_DIR/agent/test.jsonl             pairs to label: id, premise, hypothesis; development and test pairs mixed
    OUTPUT_DIR/agent/bert-mini/             config.json and vocab.txt of a small BERT, without weights
    OUTPUT_DIR/judge/dev.csv, test.csv      id and label of the pairs that a validation and the submission are scored on

There are three kinds of sentences: quantities ("at most two poodles are racing"), deeds ("Ben was followed by nobody") and
comparisons ("Ben is not taller than Carl"). A sentence is a set of possible worlds, kept as the bits of a whole number. A
premise entails a hypothesis that holds in all of its worlds, contradicts one that holds in none, and else is neutral.

Nothing can be guessed from the hypothesis alone: a hypothesis is taken only when premises of all three labels were found,
and which of them it comes with is settled by the label, which is drawn evenly. The pairs to learn from come from a fixed
seed. Those to predict are drawn afresh each time, so nobody can have seen them.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Protocol

TRAIN_SEED = 2_018
TRAIN_PAIRS = 24_000
DEVELOPMENT_PAIRS = 2_000
TEST_PAIRS = 6_000
ENTAILMENT, NEUTRAL, CONTRADICTION = LABELS = (0, 1, 2)
PREMISES_TRIED = 30
LONGER_PREMISES = 0.3
"""Share of the premises that say something more, which has no bearing on the hypothesis."""

BERT = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "initializer_range": 0.1,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": 64,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "type_vocab_size": 2,
}
Row = dict[str, Any]
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Sentence(Protocol):
    """Something that can be said."""

    def text(self) -> str:
        """Return the words."""


def label_of(premise: int, hypothesis: int) -> int:
    """Return the label of two sets of worlds."""
    if premise & ~hypothesis == 0:
        return ENTAILMENT
    return NEUTRAL if premise & hypothesis else CONTRADICTION


# Quantities: "every small poodle is racing outdoors".

Tree = dict[str, str | None]

NOUNS: Tree = {
    "animal": None, "dog": "animal", "poodle": "dog", "terrier": "dog", "bird": "animal", "owl": "bird", "sparrow": "bird",
    "worker": None, "nurse": "worker", "baker": "worker", "vehicle": None, "car": "vehicle", "taxi": "car", "truck": "vehicle",
}  # fmt: skip
VERBS: Tree = {
    "moving": None, "racing": "moving", "crawling": "moving", "making noise": None, "howling": "making noise",
    "humming": "making noise",
}  # fmt: skip
PLACES: Tree = {"indoors": None, "in the hall": "indoors", "in the shed": "indoors", "outdoors": None, "in the park": "outdoors"}
ADJECTIVES: Tree = {"small": None, "big": None, "old": None, "new": None}
OPPOSITES = ({"small", "big"}, {"old", "new"}, {"indoors", "outdoors"})
QUANTIFIERS = ("every", "some", "no", "not every")
COUNTS = ("at least", "at most", "exactly", "more than", "fewer than")
NUMBERS = {2: "two", 3: "three", 4: "four"}
COUNTED_TO = 5
"""Five and more are the same for every sentence."""


@dataclass(frozen=True)
class Quantity:
    """How many things of a kind do something."""

    quantifier: str
    number: int
    """0 with the quantifiers that do not count."""
    adjective: str | None
    noun: str
    verb: str
    place: str | None

    def text(self) -> str:
        """Return the words."""
        one = self.quantifier in ("every", "not every")
        count = NUMBERS[self.number] if self.quantifier in COUNTS else None
        noun = self.noun if one else self.noun + "s"
        words = (self.quantifier, count, self.adjective, noun, "is" if one else "are", self.verb, self.place)
        return " ".join(word for word in words if word)

    def holds(self, doing: int, idle: int) -> bool:
        """Say whether it is true where so many of the things do it, and so many do not."""
        match self.quantifier:
            case "every":
                return idle == 0
            case "some":
                return doing > 0
            case "no":
                return doing == 0
            case "not every":
                return idle > 0
            case "at least":
                return doing >= self.number
            case "at most":
                return doing <= self.number
            case "exactly":
                return doing == self.number
            case "more than":
                return doing > self.number
            case _:
                return doing < self.number


class Quantities:
    """Draws and compares sentences about quantities."""

    def hypothesis(self, draw: Random) -> Quantity:
        """Draw any sentence."""
        quantifier = draw.choice(QUANTIFIERS + COUNTS)
        return Quantity(
            quantifier,
            draw.choice(list(NUMBERS)) if quantifier in COUNTS else 0,
            draw.choice((None, None, *ADJECTIVES)),
            draw.choice(list(NOUNS)),
            draw.choice(list(VERBS)),
            draw.choice((None, None, *PLACES)),
        )

    def premise(self, draw: Random, other: Quantity) -> Quantity:
        """Draw a sentence that shares much with another one."""
        noun, verb, place, adjective = other.noun, other.verb, other.place, other.adjective
        for _ in range(draw.randint(1, 3)):
            match draw.randrange(4):
                case 0:
                    noun = draw.choice(near(noun))
                case 1:
                    verb = draw.choice(near(verb))
                case 2:
                    place = draw.choice((None, *PLACES))
                case _:
                    adjective = draw.choice((None, *ADJECTIVES))
        quantifier = draw.choice(QUANTIFIERS + COUNTS)
        number = draw.choice(list(NUMBERS)) if quantifier in COUNTS else 0
        return Quantity(quantifier, number, adjective, noun, verb, place)

    def label(self, premise: Quantity, hypothesis: Quantity) -> int:
        """Return what the one says about the other; both speak of things that exist."""
        things = overlaps((premise.noun, premise.adjective), (hypothesis.noun, hypothesis.adjective))
        doings = overlaps((premise.verb, premise.place), (hypothesis.verb, hypothesis.place))
        first = worlds_of(things, doings, 0, premise.quantifier, premise.number)
        return label_of(first, worlds_of(things, doings, 2, hypothesis.quantifier, hypothesis.number))


@cache
def near(name: str) -> tuple[str, ...]:
    """Return the names of the same family: what it is, what it may be, and what it is not."""
    tree = next(tree for tree in (NOUNS, VERBS) if name in tree)
    return tuple(other for other in tree if lineage(other)[-1] == lineage(name)[-1])


@cache
def lineage(name: str | None) -> tuple[str, ...]:
    """Return a name and all it is a kind of, the widest last."""
    if name is None:
        return ()
    tree = next(tree for tree in (NOUNS, VERBS, PLACES, ADJECTIVES) if name in tree)
    return (name, *lineage(tree[name]))


def are_apart(name: str | None, other: str | None) -> bool:
    """Say whether nothing can be both."""
    if name is None or other is None or name in lineage(other) or other in lineage(name):
        return False
    widest = {lineage(name)[-1], lineage(other)[-1]}
    return len(widest) == 1 or widest in OPPOSITES or widest <= NOUNS.keys()


Words = tuple[str, str | None]
"""A noun with its adjective, or a verb with its place."""
Cells = tuple[tuple[int, int], ...]


@cache
def overlaps(one: Words, other: Words) -> Cells:
    """Return which things there can be: in both, in the one or the other only, or in neither; 1 is in and 0 is out."""
    cells = [(0, 0)]
    if not any(are_apart(name, word) for name, word in zip(one, other, strict=True)):
        cells.append((1, 1))
    if not is_within(one, other):
        cells.append((1, 0))
    if not is_within(other, one):
        cells.append((0, 1))
    return tuple(cells)


def is_within(one: Words, other: Words) -> bool:
    """Say whether all that is the one is the other."""
    return all(word is None or word in lineage(name) for name, word in zip(one, other, strict=True))


@cache
def worlds_of(things: Cells, doings: Cells, at: int, quantifier: str, number: int) -> int:
    """Return the worlds, as bits, in which the first (`at` 0) or the second (`at` 2) of two sentences holds."""
    sentence = Quantity(quantifier, number, None, "", "", None)
    return sum(1 << bit for bit, world in enumerate(worlds(things, doings)) if sentence.holds(world[at], world[at + 1]))


@cache
def worlds(things: Cells, doings: Cells) -> list[tuple[int, ...]]:
    """Return every world, told by four counts: things of the first sentence that do it and do not, and of the second.

    A world grows by one thing at a time, from nothing. Worlds without a thing of either kind are left out.
    """
    kinds = {
        tuple(count for is_one, does_it in zip(thing, doing, strict=True) for count in (is_one & does_it, is_one & ~does_it & 1))
        for thing, doing in product(things, doings)
    }
    found = {(0, 0, 0, 0)}
    fresh = list(found)
    while fresh:
        world = fresh.pop()
        for kind in kinds:
            grown = tuple(min(count + more, COUNTED_TO) for count, more in zip(world, kind, strict=True))
            if grown not in found:
                found.add(grown)
                fresh.append(grown)
    return sorted(world for world in found if world[0] + world[1] and world[2] + world[3])


# Deeds: "Anna did not follow everybody".

NAMES = (
    "Anna", "Ben", "Carl", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivan", "Jane", "Kim", "Lea", "Max", "Nora", "Otto", "Pia",
    "Rosa", "Sam", "Tina", "Uwe",
)  # fmt: skip
DEEDS = {  # the weak and the strong form; each has its own past, and what follows "did not"
    "track": (("followed", "follow"), ("chased", "chase")),
    "touch": (("touched", "touch"), ("pushed", "push")),
    "reach": (("contacted", "contact"), ("phoned", "phone")),
    "help": (("helped", "help"), ("rescued", "rescue")),
}
EVERYBODY = ("somebody", "nobody", "everybody")
PEOPLE = 3
MEETINGS = [(one, other) for one in range(PEOPLE) for other in range(PEOPLE) if one != other]


@dataclass(frozen=True)
class Deed:
    """Somebody did something to somebody, or did not; at least one of the two has a name."""

    deed: str
    strong: bool
    doer: str
    target: str
    denied: bool
    passive: bool

    def text(self) -> str:
        """Return the words."""
        past, base = DEEDS[self.deed][self.strong]
        if self.passive:
            doer = "anybody" if self.denied and self.doer == "somebody" else self.doer
            return f"{self.target} was {'not ' if self.denied else ''}{past} by {doer}"
        target = "anybody" if self.denied and self.target == "somebody" else self.target
        return f"{self.doer} did not {base} {target}" if self.denied else f"{self.doer} {past} {target}"


class Deeds:
    """Draws and compares sentences about deeds."""

    def hypothesis(self, draw: Random) -> Deed:
        """Draw any sentence."""
        return self._said(draw, *draw.sample(NAMES, 2), draw.choice(list(DEEDS)))

    def premise(self, draw: Random, other: Deed) -> Deed:
        """Draw a sentence with the names of another one, in the same or the other part; now and then with a new name."""
        named = [name for name in (other.doer, other.target) if name in NAMES]
        others = [name for name in NAMES if name not in named]
        if draw.random() < 0.15:
            named.pop()
        names = named + draw.sample(others, 2 - len(named))
        draw.shuffle(names)
        return self._said(draw, *names, other.deed)

    def _said(self, draw: Random, doer: str, target: str, deed: str) -> Deed:
        """Draw the form of a sentence about two people, one of whom may turn into somebody, nobody or everybody."""
        whole = draw.random()
        denied = draw.random() < 0.35
        passive = draw.random() < 0.5
        if whole < 0.25:
            doer = draw.choice(EVERYBODY)
        elif whole < 0.5:
            target = draw.choice(EVERYBODY)
        # "Nobody did not", and what "not" would make ambiguous, are left unsaid.
        if (target if passive else doer) in EVERYBODY or "nobody" in (doer, target) or (passive and doer == "everybody"):
            denied = False
        return Deed(deed, draw.random() < 0.5, doer, target, denied, passive)

    def label(self, premise: Deed, hypothesis: Deed) -> int:
        """Return what the one says about the other."""
        names = sorted({premise.doer, premise.target, hypothesis.doer, hypothesis.target} - set(EVERYBODY))
        return label_of(self._worlds(premise, names), self._worlds(hypothesis, names))

    def _worlds(self, said: Deed, names: list[str]) -> int:
        """Return the worlds, as bits, in which a sentence about these people holds."""
        doer, target = (names.index(name) if name in names else name for name in (said.doer, said.target))
        return deed_worlds(doer, target, said.strong, said.denied)


@cache
def deed_worlds(doer: int | str, target: int | str, strong: bool, denied: bool) -> int:
    """Return the worlds, as bits, in which this was done; a world says of each pair: not, in the weak or the strong form."""
    found = 0
    for bit, world in enumerate(product((0, 1, 2), repeat=len(MEETINGS))):
        done = {meeting: form > strong for meeting, form in zip(MEETINGS, world, strict=True)}
        found |= (is_done(done, doer, target) != denied) << bit
    return found


def is_done(done: dict[tuple[int, int], bool], doer: int | str, target: int | str) -> bool:
    """Say whether a sentence without "not" is true; "everybody" leaves out the other one of the two."""
    cases = [
        did
        for (one, other), did in done.items()
        if (isinstance(doer, str) or one == doer) and (isinstance(target, str) or other == target)
    ]
    if "everybody" in (doer, target):
        return all(cases)
    return not any(cases) if "nobody" in (doer, target) else any(cases)


# Comparisons: "Ben is not taller than Carl".

SCALES = {
    "tall": ("taller", "shorter"), "old": ("older", "younger"), "fast": ("faster", "slower"), "rich": ("richer", "poorer"),
}  # fmt: skip
RANKINGS = list(product(range(3), repeat=3))


@dataclass(frozen=True)
class Comparison:
    """How one, or two pairs of three people compare."""

    parts: tuple[tuple[str, str, str, bool], ...]
    """A name, a word such as "taller" or "as tall as", another name, and whether it is denied."""

    def text(self) -> str:
        """Return the words."""
        return " and ".join(
            f"{one} is {'not ' if denied else ''}{word if word.startswith('as ') else word + ' than'} {other}"
            for one, word, other, denied in self.parts
        )


class Comparisons:
    """Draws and compares comparisons."""

    def hypothesis(self, draw: Random) -> Comparison:
        """Draw a sentence about two people."""
        return Comparison((self._part(draw, draw.choice(list(SCALES)), *draw.sample(NAMES, 2)),))

    def premise(self, draw: Random, other: Comparison) -> Comparison:
        """Draw a sentence about the same people, perhaps by way of a third."""
        ((one, word, two, _),) = other.parts
        scale = next(scale for scale, words in SCALES.items() if word in (*words, f"as {scale} as"))
        third = draw.choice([name for name in NAMES if name not in (one, two)])
        pairs = [[one, two]] if draw.random() < 0.3 else [[one, third], [third, two]]
        if draw.random() < 0.15:
            pairs = [[one, third]]
        draw.shuffle(pairs)
        return Comparison(tuple(self._part(draw, scale, *draw.sample(pair, 2)) for pair in pairs))

    def _part(self, draw: Random, scale: str, one: str, other: str) -> tuple[str, str, str, bool]:
        """Draw how two people compare."""
        word = draw.choice((*SCALES[scale], *SCALES[scale], f"as {scale} as"))
        return (one, word, other, draw.random() < 0.3)

    def label(self, premise: Comparison, hypothesis: Comparison) -> int:
        """Return what the one says about the other."""
        names = sorted({name for part in premise.parts + hypothesis.parts for name in (part[0], part[2])})
        return label_of(self._worlds(premise, names), self._worlds(hypothesis, names))

    def _worlds(self, said: Comparison, names: list[str]) -> int:
        """Return the worlds, as bits, in which all parts hold."""
        found = -1
        for one, word, other, denied in said.parts:
            order = 0 if word.startswith("as ") else 1 if word in {more for more, _ in SCALES.values()} else -1
            found &= ranked_worlds(names.index(one), order, names.index(other), denied)
        return found


@cache
def ranked_worlds(one: int, order: int, other: int, denied: bool) -> int:
    """Return the rankings, as bits, in which one is above (1), equal to (0) or below (-1) the other, or is not."""
    return sum(
        1 << bit
        for bit, ranks in enumerate(RANKINGS)
        if ((ranks[one] > ranks[other]) - (ranks[one] < ranks[other]) == order) != denied
    )


# Pairs of all kinds.

KINDS = (Quantities(), Deeds(), Comparisons())


def pairs(draw: Random, count: int, known: set[tuple[str, str]], *, labels_each: int) -> list[Row]:
    """Draw pairs, so many with each hypothesis; none is known or comes twice, and they are known from then on.

    With a hypothesis go premises of different labels, drawn evenly, so that it tells nothing about its label.
    """
    found: list[Row] = []
    while len(found) < count:
        kind = draw.choice(KINDS)
        hypothesis = kind.hypothesis(draw)
        premises = premises_by_label(draw, kind, hypothesis)
        if len(premises) < len(LABELS):
            continue
        for label in draw.sample(LABELS, labels_each):
            premise = with_aside(draw, kind, premises[label].text())
            pair = (written(premise), written(hypothesis.text()))
            if pair not in known:
                known.add(pair)
                found.append({"premise": pair[0], "hypothesis": pair[1], "label": label})
    draw.shuffle(found)
    return found[:count]


def with_aside(draw: Random, kind: Any, premise: str) -> str:
    """Return a premise that may say something more, of another kind and without bearing on the hypothesis."""
    if draw.random() >= LONGER_PREMISES:
        return premise
    aside = draw.choice([other for other in KINDS if other is not kind]).hypothesis(draw).text()
    return f"{premise} and {aside}" if draw.random() < 0.5 else f"{aside} and {premise}"


def premises_by_label(draw: Random, kind: Any, hypothesis: Sentence) -> dict[int, Sentence]:
    """Return a premise for each label that one was found for."""
    found: dict[int, Sentence] = {}
    for _ in range(PREMISES_TRIED):
        premise = kind.premise(draw, hypothesis)
        if premise != hypothesis:
            found.setdefault(kind.label(premise, hypothesis), premise)
        if len(found) == len(LABELS):
            break
    return found


def written(text: str) -> str:
    """Return a sentence with a capital letter and a full stop."""
    return text[0].upper() + text[1:] + "."


def make(output: Path) -> None:
    """Write the two trees into an existing folder."""
    known: set[tuple[str, str]] = set()
    train = pairs(Random(TRAIN_SEED), TRAIN_PAIRS, known, labels_each=3)
    draw = secrets.SystemRandom()
    asked = pairs(Random(secrets.randbits(256)), DEVELOPMENT_PAIRS + TEST_PAIRS, known, labels_each=1)
    names = draw.sample(range(10**8, 10**9), len(asked))
    for row, name in zip(asked, names, strict=True):
        row["id"] = f"p{name}"
    agent, judge = output / "agent", output / "judge"
    for folder in (agent / "bert-mini", judge):
        folder.mkdir(parents=True)
    write_rows(agent / "train.jsonl", train, ("premise", "hypothesis", "label"))
    write_labels(judge / "dev.csv", asked[:DEVELOPMENT_PAIRS])
    write_labels(judge / "test.csv", asked[DEVELOPMENT_PAIRS:])
    draw.shuffle(asked)
    write_rows(agent / "test.jsonl", asked, ("id", "premise", "hypothesis"))
    words = sorted({word for row in train for word in f"{row['premise']} {row['hypothesis']}".lower().replace(".", " .").split()})
    vocabulary = [*SPECIAL_TOKENS, *words]
    agent.joinpath("bert-mini", "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    configuration = json.dumps(BERT | {"vocab_size": len(vocabulary)}, indent=1)
    agent.joinpath("bert-mini", "config.json").write_text(configuration + "\n", encoding="utf-8")


def write_rows(path: Path, rows: list[Row], columns: tuple[str, ...]) -> None:
    """Write some columns of some rows, one JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({column: row[column] for column in columns}) + "\n" for row in rows)


def write_labels(path: Path, rows: list[Row]) -> None:
    """Write what only the judge sees."""
    lines = ["id,label", *sorted(f"{row['id']},{row['label']}" for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_mini.py OUTPUT_DIR")
    make(Path(sys.argv[1]))
