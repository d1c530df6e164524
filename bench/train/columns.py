"""Writes data sets as folders of plain column files for fit_columns, and the same rows as the matrix that scikit-learn fits."""
import os

import numpy as np
import pandas as pd

NUMBERS = ["age", "balance", "day", "duration", "campaign", "pdays", "previous"]
FACTORS = ["job", "marital", "education", "default", "housing", "loan", "contact", "month", "poutcome"]


def write(folder, columns):
    """columns: (name, role, store, levels, array)."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "columns.txt"), "w") as out:
        for name, role, store, levels, values in columns:
            out.write(f"{name} {role} {store} {levels}\n")
            values.tofile(os.path.join(folder, name))


def narrow(values):
    for dtype, store in ((np.int8, "i8"), (np.int16, "i16"), (np.int32, "i32"), (np.int64, "i64")):
        if values.min() >= np.iinfo(dtype).min and values.max() <= np.iinfo(dtype).max:
            return values.astype(dtype), store


def bank(path, rows, seed=0):
    """Bank marketing, drawn with replacement beyond its own rows, its numbers jittered so that rows differ; target: y."""
    frame = pd.read_csv(path, sep=";")
    rng = np.random.default_rng(seed)
    if rows and rows != len(frame):
        pick = rng.integers(0, len(frame), rows)
        frame = frame.iloc[pick].reset_index(drop=True)
        for name in ("age", "balance", "duration"):
            frame[name] = frame[name] + rng.integers(0, 3, rows)
    columns = []
    for name in NUMBERS:
        values, store = narrow(frame[name].to_numpy())
        columns.append((name, "number", store, 0, values))
    for name in FACTORS:
        codes = frame[name].astype("category").cat
        columns.append((name, "factor", "code8", len(codes.categories), codes.codes.to_numpy().astype(np.uint8)))
    columns.append(("target", "target", "i8", 0, (frame["y"] == "yes").to_numpy().astype(np.int8)))
    return columns


def dense(rows, features, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, features))
    x[:, 1:] += 0.5 * x[:, :1]
    w = rng.standard_normal(features) / np.sqrt(features)
    y = (rng.random(rows) < 1 / (1 + np.exp(-(x @ w - 0.5)))).astype(np.int8)
    columns = [(f"x{j}", "number", "f64", 0, np.ascontiguousarray(x[:, j])) for j in range(features)]
    return columns + [("target", "target", "i8", 0, y)]


def matrix(columns):
    """Standardised numbers and one-hot columns without each first level, in the order of fit_columns' weights; and the target."""
    numbers = [c[4].astype(float) for c in columns if c[1] == "number"]
    parts = [((v - v.mean()) / v.std())[:, None] for v in numbers]
    for _, role, _, levels, codes in columns:
        if role == "factor":
            parts.append((codes[:, None] == np.arange(1, levels)).astype(float))
    target = next(c[4] for c in columns if c[1] == "target")
    return np.hstack(parts), target.astype(int)
