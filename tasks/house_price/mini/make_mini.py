"""Makes the mini variant's files anew: `python make_mini.py` (needs scikit-learn and numpy).

The features are those of scikit-learn's diabetes data, but the target is drawn afresh. The bundled target comes with
scikit-learn, which the agent has, so it must not tell the labels:

    new target = what a quadratic ridge model says about the bundled target
               + a bend that has nothing to do with the bundled target
               + half of that model's residuals, dealt out to other rows

Somebody who submits the bundled labels is off by the residuals of two rows and the bend, and so does worse than the
baseline, which knows the features only. The bend is what a better model can find and a linear one cannot. Rows are
shuffled, ids drawn at random, one column turned into categories and some values left out, so that the table has the
shape of the real one; prepare.py then splits it as it splits the real one.

The files are written beside this one, or into the folder named on the command line.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

SEED = 7_304_231
BEND_SIZE = 25.0
RESIDUAL_SHARE = 0.5
GAP_SHARE = 0.03
COLUMNS = ["Age", "Group", "BodyMass", "Pressure", "Serum1", "Serum2", "Serum3", "Serum4", "Serum5", "Serum6"]
CATEGORIES = {1: "north", 2: "south"}
CATEGORY_COLUMN = COLUMNS.index("Group")
HERE = Path(__file__).resolve().parent

Numbers = NDArray[numpy.float64]


def redrawn_target(features: Numbers, target: Numbers, generator: numpy.random.Generator) -> Numbers:
    """Return a target of the same kind, of which the bundled one tells little more than the features do."""
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False), Ridge(alpha=100.0))
    smooth = cross_val_predict(model, features, target, cv=10)
    residuals = generator.permutation(target - smooth)
    drawn = smooth + BEND_SIZE * bend(features) + RESIDUAL_SHARE * residuals
    return numpy.maximum(drawn - drawn.min() + 20.0, 0.0).round(1)


def bend(features: Numbers) -> Numbers:
    """Return a smooth curve through the features that no straight line follows, of unit size."""
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    body_mass, pressure, serum = (scaled[:, COLUMNS.index(name)] for name in ("BodyMass", "Pressure", "Serum5"))
    curve = numpy.sin(1.5 * pressure) * numpy.tanh(body_mass) + numpy.cos(1.5 * serum)
    return (curve - curve.mean()) / curve.std()


def table(generator: numpy.random.Generator) -> list[list[str]]:
    """Return the whole table as text, header first."""
    features, target = load_diabetes(return_X_y=True, scaled=False)
    labels = redrawn_target(features, target, generator)
    identifiers = generator.permutation(numpy.arange(1, 4 * len(labels)))[: len(labels)]
    gaps = generator.random(features.shape) < GAP_SHARE
    rows = [
        [str(identifiers[at]), *cells(features[at], gaps[at]), f"{labels[at]:.1f}"] for at in generator.permutation(len(labels))
    ]
    return [["Id", *COLUMNS, "SalePrice"], *rows]


def cells(values: Numbers, gaps: NDArray[numpy.bool_]) -> list[str]:
    """Return one row's features as text."""
    texts = [f"{value:g}" for value in values]
    texts[CATEGORY_COLUMN] = CATEGORIES[int(values[CATEGORY_COLUMN])]
    return ["NA" if gap else text for text, gap in zip(texts, gaps, strict=True)]


def main(output: Path) -> None:
    """Write agent/ and judge/ into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "train.csv"
        with whole.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table(numpy.random.default_rng(SEED)))
        subprocess.run([sys.executable, str(HERE.parent / "prepare.py"), str(output), str(whole)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
