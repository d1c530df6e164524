"""CSV to evaluated model as a Python user writes it; one process of bench/train/whole. ARGUMENTS: CSV, reader (polars, pandas), solver (newton-cholesky, lbfgs) or `read`."""
import json
import sys
import time

import numpy as np

NUMBERS = ["age", "balance", "day", "duration", "campaign", "pdays", "previous"]
FACTORS = ["job", "marital", "education", "default", "housing", "loan", "contact", "month", "poutcome"]
path, reader, solver = sys.argv[1:4]

start = time.perf_counter()
if reader == "polars":
    import polars as pl

    start = time.perf_counter()
    frame = pl.read_csv(path, separator=";", infer_schema_length=1000)
else:
    import pandas as pd

    start = time.perf_counter()
    frame = pd.read_csv(path, sep=";")
read = time.perf_counter() - start
if solver == "read":
    print(json.dumps({"read": read}))
    sys.exit()

from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import (accuracy_score, average_precision_score, balanced_accuracy_score, brier_score_loss, f1_score, log_loss, matthews_corrcoef,  # noqa: E402
                             precision_score, recall_score, roc_auc_score)
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

y = (frame["y"].to_numpy() == "yes").astype(np.int8)
if reader == "polars":
    hot = frame.select(FACTORS).to_dummies(drop_first=True).to_numpy()
else:
    hot = pd.get_dummies(frame[FACTORS], drop_first=True).to_numpy()
x = np.hstack([frame.select(NUMBERS).to_numpy() if reader == "polars" else frame[NUMBERS].to_numpy(), hot]).astype(np.float64)
rows = np.arange(len(y))
train, rest = train_test_split(rows, train_size=0.7, stratify=y, random_state=42)
validation, test = train_test_split(rest, train_size=1 / 3, stratify=y[rest], random_state=42)
scaler = StandardScaler().fit(x[train, : len(NUMBERS)])
x[:, : len(NUMBERS)] = scaler.transform(x[:, : len(NUMBERS)])
model = LogisticRegression(solver=solver, max_iter=1000, tol=1e-6).fit(x[train], y[train])
figures = {}
for name, part in (("train", train), ("validation", validation), ("test", test)):
    p = model.predict_proba(x[part])[:, 1]
    label, truth = p >= 0.5, y[part]
    figures[name] = [f(truth, label) for f in (accuracy_score, balanced_accuracy_score, f1_score, matthews_corrcoef, precision_score, recall_score)]
    figures[name] += [f(truth, p) for f in (log_loss, brier_score_loss, roc_auc_score, average_precision_score)]
print(json.dumps({"read": read, "auc": figures["test"][8]}))
