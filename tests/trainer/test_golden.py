"""Weights against scikit-learn's and statsmodels' closed forms, at the optimum: every family, penalty and kind of weight, and the awkward data sets.

fit_columns (bench/train) minimises penalty + c * sum of weight * loss over the same columns. References are solved to their limits; agreement is
relative to the largest coefficient."""
import json
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, PoissonRegressor, Ridge

ROOT = os.environ["SOURCE_ROOT"]
sys.path.insert(0, os.path.join(ROOT, "bench", "train"))
import columns as layout  # noqa: E402

PROGRAM = os.path.join(os.environ["BUILD_ROOT"], "bench", "train", "fit_columns")


def fit(folder, columns, **settings):
    layout.write(str(folder), columns)
    weights = os.path.join(folder, "w.out")
    done = subprocess.run([PROGRAM, str(folder), f"weights={weights}"] + [f"{k}={v}" for k, v in settings.items()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.fromfile(weights), json.loads(done.stdout)


def world(rows=1500, seed=1, classes=2):
    """Three numbers on unlike scales, two factors, and a target that depends on them."""
    rng = np.random.default_rng(seed)
    numbers = [rng.integers(18, 90, rows).astype(np.int8), rng.integers(-3000, 90000, rows).astype(np.int32), rng.standard_normal(rows) * 0.01 + 5]
    factors = [rng.integers(0, 12, rows).astype(np.uint8), rng.integers(0, 3, rows).astype(np.uint8)]
    columns = [(f"n{j}", "number", s, 0, v) for j, (v, s) in enumerate(zip(numbers, ("i8", "i32", "f64")))]
    columns += [(f"f{j}", "factor", "code8", int(v.max()) + 1, v) for j, v in enumerate(factors)]
    columns.append(("target", "target", "f64", 0, np.zeros(rows)))
    x, _ = layout.matrix(columns)
    score = x @ (rng.standard_normal(x.shape[1]) * 0.7) + 0.3
    return columns[:-1], x, score, rng


def with_target(columns, y):
    return columns + [("target", "target", "f64", 0, np.asarray(y, float))]


def agree(got, expected, limit):
    expected = np.concatenate([np.atleast_1d(e).ravel() for e in expected])
    error = np.abs(got - expected).max() / np.abs(expected).max()
    assert error < limit, f"relative error {error:.2e}"


def binary(score, rng):
    return (rng.random(len(score)) < 1 / (1 + np.exp(-score))).astype(int)


def logistic_reference(x, y, sample_weight=None, c=1.0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-14, max_iter=200).fit(x, y, sample_weight)
    return model.coef_, model.intercept_


@pytest.mark.parametrize("solver", ["auto", "newton", "lbfgs", "nesterov", "gd"])
def test_logistic_l2(tmp_path, solver):
    columns, x, score, rng = world()
    y = binary(score, rng)
    slow = solver in ("nesterov", "gd")
    got, info = fit(tmp_path, with_target(columns, y), solver=solver, tolerance=1e-10 if slow else 1e-13, max_iter=30000, c=0.3, momentum=0.9)
    assert info["converged"]
    agree(got, logistic_reference(x, y, c=0.3), 1e-6 if slow else 1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_minibatches_come_near(tmp_path, solver):
    columns, x, score, rng = world()
    y = binary(score, rng)
    got, _ = fit(tmp_path, with_target(columns, y), solver=solver, tolerance=1e-6, max_iter=300, batch=64, rate=0.1 if solver == "sgd" else 0.003)
    agree(got, logistic_reference(x, y), 0.08)


def test_logistic_sample_weights(tmp_path):
    columns, x, score, rng = world(seed=2)
    y, weight = binary(score, rng), rng.integers(0, 4, len(score)) * 0.5
    got, _ = fit(tmp_path, with_target(columns, y) + [("weight", "weight", "f64", 0, weight)], tolerance=1e-13)
    agree(got, logistic_reference(x, y, weight), 1e-8)


def test_offset_moves_the_score(tmp_path):
    columns, x, score, rng = world(seed=3)
    offset = 0.5 * x[:, 0]
    y = binary(score, rng)
    got, _ = fit(tmp_path, with_target(columns, y) + [("offset", "offset", "f64", 0, offset)], tolerance=1e-13, l2=0)
    plain, _ = fit(tmp_path, with_target(columns, y), tolerance=1e-13, l2=0)
    plain[0] -= 0.5  # without a penalty the offset only moves its own weight
    agree(got, [plain], 1e-8)


def liblinear_like(x, y, c, l1_ratio):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=c, l1_ratio=l1_ratio, solver="saga", tol=1e-13, max_iter=200000).fit(x, y)
    return model.coef_, model.intercept_


@pytest.mark.parametrize("ratio", [1.0, 0.4])
def test_logistic_l1_and_elastic_net(tmp_path, ratio):
    columns, x, score, rng = world(rows=600, seed=4)
    y = binary(score, rng)
    got, info = fit(tmp_path, with_target(columns, y), l1=ratio, l2=1 - ratio, c=0.1, tolerance=1e-13)
    assert abs(info["duality_gap"]) < 1e-8 * info["objective"]
    expected = liblinear_like(x, y, 0.1, ratio)
    assert ((got[:-1] == 0) == (np.abs(expected[0][0]) < 1e-9)).all()
    agree(got, expected, 1e-7)


def test_multinomial(tmp_path):
    columns, x, score, rng = world(seed=5)
    y = np.digitize(score + rng.logistic(size=len(score)), [-0.5, 1.0])
    got, info = fit(tmp_path, with_target(columns, y), loss="softmax", classes=3, tolerance=1e-13)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(solver="newton-cg", tol=1e-12, max_iter=5000).fit(x, y)
    got = got.reshape(3, -1)
    assert info["converged"]
    agree(np.concatenate([got[:, :-1].ravel(), got[:, -1] - got[:, -1].mean()]), [model.coef_, model.intercept_ - model.intercept_.mean()], 1e-7)


def test_ridge(tmp_path):
    columns, x, score, rng = world(seed=6)
    y = score + rng.standard_normal(len(score))
    got, _ = fit(tmp_path, with_target(columns, y), loss="squared", c=0.25, tolerance=1e-14)
    model = Ridge(alpha=4, solver="cholesky").fit(x, y)
    agree(got, [model.coef_, model.intercept_], 1e-9)


def test_ordinary_least_squares_with_weights(tmp_path):
    columns, x, score, rng = world(seed=7)
    y, weight = score + rng.standard_normal(len(score)), rng.random(len(score)) + 0.1
    got, _ = fit(tmp_path, with_target(columns, y) + [("weight", "weight", "f64", 0, weight)], loss="squared", l2=0, tolerance=1e-14)
    full = np.hstack([x, np.ones((len(x), 1))]) * np.sqrt(weight)[:, None]
    agree(got, [np.linalg.lstsq(full, y * np.sqrt(weight), rcond=None)[0]], 1e-9)


@pytest.mark.parametrize("ratio", [1.0, 0.3])
def test_lasso_and_elastic_net(tmp_path, ratio):
    columns, x, score, rng = world(seed=8)
    y, n, alpha = score + rng.standard_normal(len(score)), len(score), 0.05
    got, info = fit(tmp_path, with_target(columns, y), loss="squared", l1=n * alpha * ratio, l2=n * alpha * (1 - ratio), tolerance=1e-14)
    model = (Lasso(alpha, tol=1e-15, max_iter=10**6) if ratio == 1 else ElasticNet(alpha, l1_ratio=ratio, tol=1e-15, max_iter=10**6)).fit(x, y)
    assert abs(info["duality_gap"]) < 1e-9 * info["objective"]
    agree(got, [model.coef_, model.intercept_], 1e-8)


def test_poisson(tmp_path):
    columns, x, score, rng = world(seed=9)
    y, n = rng.poisson(np.exp(np.clip(score * 0.4, -3, 3))), len(score)
    got, _ = fit(tmp_path, with_target(columns, y), loss="poisson", l2=0.01 * n, tolerance=1e-13)
    model = PoissonRegressor(alpha=0.01, solver="newton-cholesky", tol=1e-14, max_iter=500).fit(x, y)
    agree(got, [model.coef_, model.intercept_], 1e-8)


# ---- standard errors: statsmodels' formulas, inverse Fisher information; OLS times RSS / (n - p) ----

def test_standard_errors_logistic(tmp_path):
    columns, x, score, rng = world(seed=15)
    y = binary(score, rng)
    out = tmp_path / "errors"
    got, _ = fit(tmp_path, with_target(columns, y), l2=0, tolerance=1e-13, errors=out)
    full = np.hstack([x, np.ones((len(x), 1))])
    p = 1 / (1 + np.exp(-full @ got))
    agree(np.fromfile(out), [np.sqrt(np.diag(np.linalg.inv((full * (p * (1 - p))[:, None]).T @ full)))], 1e-9)


def test_standard_errors_linear(tmp_path):
    columns, x, score, rng = world(seed=16)
    y = score + rng.standard_normal(len(score))
    out = tmp_path / "errors"
    got, _ = fit(tmp_path, with_target(columns, y), loss="squared", l2=0, tolerance=1e-14, errors=out)
    full = np.hstack([x, np.ones((len(x), 1))])
    variance = ((y - full @ got) ** 2).sum() / (len(y) - full.shape[1])
    agree(np.fromfile(out), [np.sqrt(variance * np.diag(np.linalg.inv(full.T @ full)))], 1e-9)


# ---- checkpoints: resumed and uninterrupted end in the same bits ----

@pytest.mark.parametrize("solver,extra", [("auto", {}), ("newton", {}), ("lbfgs", {}), ("gd", {"momentum": 0.9, "tolerance": 1e-6}), ("nesterov", {"tolerance": 1e-6}),
                                          ("adam", {"max_iter": 12}), ("sgd", {"max_iter": 12, "rate": 0.05, "momentum": 0.5}), ("cd", {"l1": 1, "l2": 0})])
def test_resumed_fit_has_the_same_bits(tmp_path, solver, extra):
    columns, _, score, rng = world(rows=30000, seed=17)
    data = with_target(columns, binary(score, rng))
    whole, info = fit(tmp_path, data, solver=solver, **extra)
    at = max(1, info["iterations"] // 2)
    checkpoint = tmp_path / "checkpoint"
    fit(tmp_path, data, solver=solver, checkpoint=checkpoint, every=at, **{**extra, "max_iter": at})
    assert checkpoint.exists()
    resumed, again = fit(tmp_path, data, solver=solver, resume=checkpoint, **extra)
    assert again["iterations"] == info["iterations"]
    assert resumed.tobytes() == whole.tobytes()


def test_a_foreign_checkpoint_is_refused(tmp_path):
    columns, _, score, rng = world(seed=18)
    data = with_target(columns, binary(score, rng))
    layout.write(str(tmp_path), data)
    (tmp_path / "checkpoint").write_bytes(b"SVCHECK1" + bytes(40))
    done = subprocess.run([PROGRAM, str(tmp_path), f"resume={tmp_path}/checkpoint"], capture_output=True, text=True)
    assert done.returncode == 1 and "expected a checkpoint of" in done.stderr


# ---- awkward data ----

def numbers_only(x, y):
    return [(f"x{j}", "number", "f64", 0, np.ascontiguousarray(x[:, j])) for j in range(x.shape[1])] + [("target", "target", "f64", 0, np.asarray(y, float))]


def standard(x):
    return (x - x.mean(0)) / x.std(0)


def test_separable_classes(tmp_path):
    rng = np.random.default_rng(10)
    x = rng.standard_normal((400, 5))
    y = (x[:, 0] + x[:, 1] > 0).astype(int)
    got, info = fit(tmp_path, numbers_only(x, y), c=100, tolerance=1e-13)
    assert info["converged"]
    agree(got, logistic_reference(standard(x), y, c=100), 1e-7)


def test_collinear_columns(tmp_path):
    rng = np.random.default_rng(11)
    x = rng.standard_normal((500, 6))
    x[:, 5] = x[:, 0] + 1e-9 * rng.standard_normal(500)
    y = binary(x[:, 0], rng)
    got, info = fit(tmp_path, numbers_only(x, y), tolerance=1e-13)
    assert info["converged"]
    agree(got, logistic_reference(standard(x), y), 1e-7)


def test_more_columns_than_rows(tmp_path):
    rng = np.random.default_rng(12)
    x = rng.standard_normal((60, 150))
    y = binary(2 * x[:, 0] - x[:, 1], rng)
    got, info = fit(tmp_path, numbers_only(x, y), tolerance=1e-13)
    assert info["converged"]
    agree(got, logistic_reference(standard(x), y), 1e-7)


def test_one_class_is_a_thousandth(tmp_path):
    rng = np.random.default_rng(13)
    x = rng.standard_normal((60000, 6))
    y = binary(x[:, 0] + 0.5 * x[:, 1] - 8, rng)
    assert 10 < y.sum() < 200
    got, info = fit(tmp_path, numbers_only(x, y), tolerance=1e-13)
    assert info["converged"]
    agree(got, logistic_reference(standard(x), y), 1e-7)


@pytest.mark.parametrize("threads", [2, 3, 16])
def test_threads_change_no_bit(tmp_path, threads):
    columns, _, score, rng = world(rows=40000, seed=14)
    data = with_target(columns, binary(score, rng))
    one, _ = fit(tmp_path, data, threads=1)
    many, _ = fit(tmp_path, data, threads=threads)
    assert one.tobytes() == many.tobytes()


def test_bank_full(tmp_path):
    path = os.path.join(ROOT, "..", "shared", "data", "uci-bank-marketing", "bank-full.csv")
    path = path if os.path.exists(path) else os.path.join(ROOT, "data", "bank-full.csv")
    if not os.path.exists(path):
        pytest.skip("bank-full.csv is not here: scripts/get-data bank")
    columns = layout.bank(path, 0)
    x, y = layout.matrix(columns)
    got, info = fit(tmp_path, columns, tolerance=1e-13)
    agree(got, logistic_reference(x, y), 1e-8)
    assert info["solver"] == "lbfgs" and info["converged"]
