#!/usr/bin/env python3
"""Trains the three worlds and scikit-learn on the very same rows and split; prints docs/results.md.

    .venv/bin/python bench/results.py [--build build] > docs/results.md

The rows, features, target and split come from `solvent prepare`; scikit-learn standardises, one-hot encodes and fits them with its
own code (newton-cholesky, tolerance 1e-12), so a wrong encoding, objective or solver of ours shows as a difference. `solvent explain`
gives our coefficients. Seconds are wall time of the fit alone, scikit-learn's on the matrix it has already encoded.
"""

import argparse
import json
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
import sklearn
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORLDS = [
    ("cashflow (generated)", "configs/cashflow.yaml"),
    ("bank (UCI 222)", "configs/bank_marketing.yaml"),
    ("berka (PKDD'99)", "configs/berka_cashflow.yaml"),
]


def run(*command):
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} left with {done.returncode}:\n{done.stderr}")
    return done.stdout


def rows_of(path):
    """The prepared table; its last two columns are the target and the part of the split."""
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    table = table.rename(columns={table.columns[-2]: "target", table.columns[-1]: "split"})
    return table[table["split"] != "none"].reset_index(drop=True)  # months whose next month is not in the data


def ours(build, config, folder):
    """What the trainer did: its last line, its coefficients by (feature, level), and the prepared table."""
    solvent = build / "trainer" / "solvent"
    lines = run(solvent, "train", config, "--no-tracking", "--json", "--output", folder / "trained", "--set", "train.tolerance=1e-12")
    package = next((folder / "trained").glob("**/pipeline.json")).parent
    explained = json.loads(run(solvent, "explain", "--model", package, "--json").splitlines()[-1])
    run(solvent, "prepare", config, "--output", folder / "table.csv")
    weights = {(row["feature"], row["level"]): row["standardized"] for row in explained["coefficients"]}
    return json.loads(lines.splitlines()[-1]), weights, rows_of(folder / "table.csv")


def encode(table, drop_first, missing_indicator):
    """scikit-learn's side of the matrix: [(feature, level)], X; statistics from the training rows alone."""
    train = table["split"] == "train"
    names, columns = [], []
    for name in table.columns.drop(["target", "split"]):
        values = table[name]
        if pd.api.types.is_numeric_dtype(values):
            gaps = values.isna()
            values = values.astype(float).fillna(values[train].median())
            deviation = values[train].std(ddof=0)
            names.append((name, None))
            columns.append((values - values[train].mean()) / (deviation or 1.0))
            if missing_indicator and gaps[train].any():
                names.append((name, f"{name} is missing"))
                columns.append(gaps.astype(float))
            continue
        values = values.fillna("")
        for level in sorted(values[train].unique())[1 if drop_first else 0 :]:
            names.append((name, level))
            columns.append((values == level).astype(float))
    return names, np.column_stack(columns)


def figures(target, probability):
    return {
        "accuracy": accuracy_score(target, probability >= 0.5), "roc_auc": roc_auc_score(target, probability),
        "log_loss": log_loss(target, probability), "brier": brier_score_loss(target, probability),
    }  # fmt: skip


def compare(build, title, config):
    settings = yaml.safe_load((ROOT / config).read_text())
    with tempfile.TemporaryDirectory() as folder:
        done, weights, table = ours(build, config, pathlib.Path(folder))
    encoding = settings.get("encode", {})
    names, X = encode(table, encoding.get("drop_first", False), encoding.get("missing_indicator", False))
    train, test = (table["split"] == "train").to_numpy(), (table["split"] == "test").to_numpy()
    y = table["target"].astype(int).to_numpy()
    model = LogisticRegression(C=settings["train"].get("c", 1.0), solver="newton-cholesky", tol=1e-12, max_iter=1000)
    start = time.perf_counter()
    model.fit(X[train], y[train])
    seconds = time.perf_counter() - start
    theirs = figures(y[test], model.predict_proba(X[test])[:, 1])
    scale = np.abs(model.coef_).max()
    difference = max(abs(weights[name] - weight) for name, weight in zip(names, model.coef_[0])) / scale
    return {
        "title": title, "rows": len(table), "columns": X.shape[1], "split": [int((table["split"] == part).sum()) for part in ("train", "validation", "test")],
        "ours": {key: done["metrics"][f"test.{key}"] for key in theirs}, "theirs": theirs, "difference": difference,
        "our_seconds": done["seconds"]["fit"], "their_seconds": seconds, "iterations": done["iterations"],
        "total_seconds": done["seconds"]["total"],
    }  # fmt: skip


def table_of(results):
    yield "| data | rows (train / validation / test) | encoded features | | accuracy | ROC AUC | log-loss | Brier | fit, s |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for result in results:
        split = " / ".join(f"{part:,}" for part in result["split"])
        for who, seconds in (("ours", result["our_seconds"]), ("theirs", result["their_seconds"])):
            row = result[who]
            head = f"| {result['title']} | {result['rows']:,} ({split}) | {result['columns']} " if who == "ours" else "| | | "
            cells = " | ".join(f"{row[key]:.6f}" for key in ("accuracy", "roc_auc", "log_loss", "brier"))
            yield f"{head}| {'solvent' if who == 'ours' else 'scikit-learn'} | {cells} | {seconds:.4f} |"


def document(results):
    yield "# Results on three data sets, against scikit-learn"
    yield ""
    yield "Written by `.venv/bin/python bench/results.py > docs/results.md`; nothing here is typed by hand."
    yield f"Test rows of the configuration's own split; scikit-learn {sklearn.__version__} on the same rows, Python {platform.python_version()}."
    yield "How: `solvent prepare` writes rows, features and split; scikit-learn encodes and fits them with its own code."
    yield ""
    yield from table_of(results)
    yield ""
    yield "| data | largest difference of a coefficient, relative to the largest coefficient | our iterations | read, fit, evaluate and write, s |"
    yield "|---|---|---|---|"
    for result in results:
        yield f"| {result['title']} | {result['difference']:.1e} | {result['iterations']} | {result['total_seconds']:.3f} |"
    yield ""
    yield "The bank's label `balance >= 0` follows from its column `balance`: its figures are those of a leak, kept because the original"
    yield "pipeline has them; the trainer's audit says so. The Czech bank's are the honest ones: next month against this month, split by time."


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--json", action="store_true", help="the figures as JSON instead")
    arguments = parser.parse_args()
    results = [compare(arguments.build, title, config) for title, config in WORLDS]
    print(json.dumps(results) if arguments.json else "\n".join(document(results)))


if __name__ == "__main__":
    main()
