"""The baseline: a ridge regression on all columns, which writes submission.csv.

Run it in the workspace: `python baseline.py`. Numbers are scaled, with gaps filled by the column's mean; categories
become one column per value, with a gap as a value of its own.
"""

import argparse
import os
from pathlib import Path

import pandas
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

IDENTIFIER = "Id"
TARGET = "SalePrice"
DATA = Path(os.environ.get("MLGYM_LITE_ROOT", "") + "/data")


def ridge_on_all_columns():
    """Return the untrained model, preprocessing included."""
    numbers = make_pipeline(SimpleImputer(strategy="mean"), StandardScaler())
    categories = make_pipeline(SimpleImputer(strategy="constant", fill_value="missing"), OneHotEncoder(handle_unknown="ignore"))
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (categories, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(columns, Ridge(alpha=0.1))


def main():
    """Train on train.csv and predict every row of test.csv."""
    arguments = argparse.ArgumentParser(description="Train the baseline and write submission.csv.")
    arguments.add_argument("--data", type=Path, default=DATA, help="folder with train.csv and test.csv")
    data = arguments.parse_args().data
    train, test = pandas.read_csv(data / "train.csv"), pandas.read_csv(data / "test.csv")
    model = ridge_on_all_columns()
    model.fit(train.drop(columns=[IDENTIFIER, TARGET]), train[TARGET])
    predictions = model.predict(test.drop(columns=[IDENTIFIER]))
    pandas.DataFrame({IDENTIFIER: test[IDENTIFIER], TARGET: predictions}).to_csv("submission.csv", index=False)


if __name__ == "__main__":
    main()
