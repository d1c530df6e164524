"""Weights at the optimum for every family x penalty x weights, to 1e-8 of the largest, and for awkward data sets in every family.

The reference is scikit-learn's model (for Poisson with l1, where it has none, proximal gradient in plain numpy), then brought to the last digit by Newton steps
of plain numpy on the weights that are not 0. It must not have moved far on the way, and what is 0 must be so by the optimality conditions: so neither of the
two is believed alone. test_golden.py has the solvers, the standard errors and bank-full."""
import json
import os
import pathlib
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, PoissonRegressor, Ridge

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.environ["SOURCE_ROOT"], "bench"))
import results  # noqa: E402
from test_golden import ROOT, agree, fit, numbers_only, standard, with_target, world  # noqa: E402

LOSSES = {"logistic": "logistic", "multinomial": "softmax", "linear": "squared", "poisson": "poisson"}
PENALTIES = {"none": (0.0, 0.0), "l2": (0.0, 1.0), "l1": (1.0, 0.0), "elastic_net": (0.4, 0.6)}  # l1, l2
C = 0.2


def targets(family, score, rng):
    if family == "logistic":
        return (rng.random(len(score)) < 1 / (1 + np.exp(-score))).astype(int)
    if family == "multinomial":
        return np.digitize(score + rng.logistic(size=len(score)), [-0.5, 1.0])
    if family == "linear":
        return score + rng.standard_normal(len(score))
    return rng.poisson(np.exp(np.clip(score * 0.4, -3, 3)))


def slopes(family, z, y):
    """The loss's first and second derivatives by score, (n, k) and (n, k, k)."""
    if family == "multinomial":
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        return p - np.eye(z.shape[1])[y.astype(int)], np.eye(z.shape[1]) * p[:, :, None] - p[:, :, None] * p[:, None, :]
    mean = {"logistic": lambda: 1 / (1 + np.exp(-z)), "linear": lambda: z, "poisson": lambda: np.exp(z)}[family]()
    curvature = {"logistic": lambda: mean * (1 - mean), "linear": lambda: np.ones_like(z), "poisson": lambda: mean}[family]()
    return mean - y[:, None], curvature[:, :, None]


def polish(family, x, y, weight, start, l1, l2, c=C, offset=0):
    """start: (k, p + 1), the intercepts last. offset: what each row's score has beside the weights, (n, 1). Newton on the weights that are not 0; returns them with the conditions checked."""
    full = np.hstack([x, np.ones((len(x), 1))])
    k, p = start.shape
    w = start.copy()
    free = np.ones((k, p), bool)
    free[:, :-1] = (np.abs(start[:, :-1]) > 1e-7) if l1 else True
    w[~free] = 0
    ridge = np.tile(np.r_[np.full(p - 1, l2), 0], (k, 1))
    signs = np.where(free, np.sign(start), 0) * np.r_[np.full(p - 1, l1), 0]
    for _ in range(12):
        first, second = slopes(family, full @ w.T + offset, y)
        gradient = c * (first * weight[:, None]).T @ full + ridge * w + signs
        hessian = c * np.einsum("n,nab,ni,nj->aibj", weight, second, full, full, optimize=True).reshape(k * p, k * p) + np.diag(ridge.ravel())
        at = np.flatnonzero(free.ravel())
        w.ravel()[at] -= np.linalg.lstsq(hessian[np.ix_(at, at)], gradient.ravel()[at], rcond=1e-13)[0]
    assert np.abs(gradient[~free]).max(initial=0) <= l1 * (1 + 1e-9), "a weight of the reference is 0 and should not be"
    assert (np.sign(w[free]) == np.sign(start[free])).all() or not l1
    agree(w.ravel(), [start], 2e-3)
    return w


def centred(w, l2=True):
    """The multinomial's common shifts mean nothing: of the intercepts always, of all weights without a penalty."""
    w = w.copy()
    if len(w) > 1:
        at = slice(-1, None) if l2 else slice(None)
        w[:, at] -= w[:, at].mean(0)
    return w


def proximal_gradient(family, x, y, weight, l1, l2, c, offset=0):
    """FISTA, restarted where its momentum points uphill."""
    full = np.hstack([x, np.ones((len(x), 1))])
    shrink, ridge = np.r_[np.full(x.shape[1], l1), 0], np.r_[np.full(x.shape[1], l2), 0]
    w = before = np.zeros((1, full.shape[1]))
    w[0, -1] = np.log(np.average(y, weights=weight)) if family == "poisson" else 0
    step, t = 0.2 / (c * np.linalg.norm(full * np.sqrt(weight * max(y.max(), 1))[:, None], 2) ** 2), 1.0
    for _ in range(20000):
        v = w + (t - 1) / (t + 2) * (w - before)
        moved = v - step * (c * (slopes(family, full @ v.T + offset, y)[0] * weight[:, None]).T @ full + ridge * v)
        after = np.sign(moved) * np.maximum(np.abs(moved) - step * shrink, 0)
        t = 1.0 if ((v - after) * (after - w)).sum() > 0 else t + 1
        w, before = after, w
    return w


def rough(family, x, y, weight, l1, l2, c=C):
    """The public libraries' answer: (k, p + 1)."""
    total = weight.sum()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if family in ("logistic", "multinomial"):
            how = {"solver": "saga", "tol": 1e-7, "max_iter": 20000, "l1_ratio": l1} if l1 else {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 300}
            model = LogisticRegression(C=c if l1 + l2 else np.inf, **how).fit(x, y, weight)
        elif family == "linear" and l1:
            alpha = (l1 + l2) / (c * total)
            model = (ElasticNet(alpha, l1_ratio=l1 / (l1 + l2), tol=1e-12, max_iter=10**6) if l2 else Lasso(alpha, tol=1e-12, max_iter=10**6)).fit(x, y, weight)
        elif family == "linear":
            model = (Ridge(alpha=l2 / c, solver="cholesky") if l2 else LinearRegression()).fit(x, y, weight)
        elif l1:
            return proximal_gradient(family, x, y, weight, l1, l2, c)
        else:
            model = PoissonRegressor(alpha=l2 / (c * total), solver="newton-cholesky", tol=1e-12, max_iter=300).fit(x, y, weight)
    return np.column_stack([np.atleast_2d(model.coef_), np.atleast_1d(model.intercept_)])


def check(folder, family, columns, x, y, weight=None, penalty="l2", limit=1e-8, c=C, **more):
    l1, l2 = PENALTIES[penalty]
    data = with_target(columns, y) + ([] if weight is None else [("weight", "weight", "f64", 0, weight)])
    classes = {"classes": len(np.unique(y))} if family == "multinomial" else {}
    got, info = fit(folder, data, loss=LOSSES[family], l1=l1, l2=l2, c=c, tolerance=1e-13, **classes, **more)
    weight = np.ones(len(y)) if weight is None else weight
    expected = polish(family, x, y, weight, rough(family, x, y, weight, l1, l2, c), l1, l2, c)
    got = got.reshape(expected.shape)
    if l1:
        assert ((got == 0) == (expected == 0)).all()
        assert abs(info["duality_gap"]) < 1e-8 * abs(info["objective"])
    agree(centred(got, l2 or l1).ravel(), [centred(expected, l2 or l1)], limit)
    return info


@pytest.mark.parametrize("weights", ["equal", "sample", "balanced"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("family", LOSSES)
def test_matrix(tmp_path, family, penalty, weights):
    columns, x, score, rng = world(rows=700, seed=len(family) * 10 + len(penalty))
    y = targets(family, score, rng)
    if weights == "balanced" and family not in ("logistic", "multinomial"):
        weights = "sample"  # a class weight needs classes: other halves instead
        rng = np.random.default_rng(99)
    weight = rng.integers(0, 4, len(y)) * 0.5
    if weights == "balanced":
        weight = (len(y) / (len(np.unique(y)) * np.bincount(y)))[y]
    check(tmp_path, family, columns, x, y, None if weights == "equal" else weight, penalty)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("family", ["logistic", "linear", "poisson"])
def test_offset(tmp_path, family, penalty):
    """No public library has offsets with every penalty: the reference is numpy's alone, here beside statsmodels' in the unpenalised case."""
    columns, x, score, rng = world(rows=700, seed=61)
    offset = rng.standard_normal(len(score)) * 0.5
    y, weight, (l1, l2) = targets(family, score + offset, rng), rng.integers(1, 4, len(score)) * 0.5, PENALTIES[penalty]
    data = with_target(columns, y) + [("weight", "weight", "f64", 0, weight), ("offset", "offset", "f64", 0, offset)]
    got, _ = fit(tmp_path, data, loss=LOSSES[family], l1=l1, l2=l2, c=C, tolerance=1e-13)
    expected = polish(family, x, y, weight, proximal_gradient(family, x, y, weight, l1, l2, C, offset[:, None]), l1, l2, offset=offset[:, None])
    if penalty == "none":
        kind = {"logistic": sm.families.Binomial, "linear": sm.families.Gaussian, "poisson": sm.families.Poisson}[family]()
        agree(sm.GLM(y, np.column_stack([x, np.ones(len(x))]), kind, offset=offset, freq_weights=weight).fit(tol=1e-14, maxiter=100).params, [expected], 1e-8)
    assert not l1 or ((got == 0) == (expected.ravel() == 0)).all()
    agree(got, [expected], 1e-8)


@pytest.mark.parametrize("penalty", ["none", "l2"])
@pytest.mark.parametrize("solver", ["newton", "lbfgs", "auto"])
def test_multinomial_solvers(tmp_path, solver, penalty):
    columns, x, score, rng = world(rows=900, seed=31)
    info = check(tmp_path, "multinomial", columns, x, targets("multinomial", score, rng), penalty=penalty, solver=solver, limit=1e-7 if solver == "lbfgs" else 1e-8)
    assert info["converged"] and info["solver"] == ("lbfgs" if solver == "lbfgs" else "newton")
    assert solver == "lbfgs" or info["iterations"] < 15


# ---- awkward data, in every family ----

def score_of(x):
    return x[:, 0] - 0.5 * x[:, 1]


@pytest.mark.parametrize("family", LOSSES)
def test_collinear(tmp_path, family):
    rng = np.random.default_rng(41)
    x = rng.standard_normal((500, 6))
    x[:, 5] = x[:, 0] + 1e-9 * rng.standard_normal(500)
    y = targets(family, score_of(x), rng)
    check(tmp_path, family, numbers_only(x, y)[:-1], standard(x), y, limit=1e-7)


@pytest.mark.parametrize("penalty", ["l2", "elastic_net"])
@pytest.mark.parametrize("family", LOSSES)
def test_more_columns_than_rows(tmp_path, family, penalty):
    rng = np.random.default_rng(42)
    x = rng.standard_normal((60, 90))
    y = targets(family, score_of(x), rng)
    check(tmp_path, family, numbers_only(x, y)[:-1], standard(x), y, penalty=penalty, limit=1e-7)


def test_three_separable_classes(tmp_path):
    rng = np.random.default_rng(43)
    x = rng.standard_normal((300, 4))
    y = np.digitize(score_of(x), [-0.6, 0.6])
    check(tmp_path, "multinomial", numbers_only(x, y)[:-1], standard(x), y, c=100, limit=1e-7)


def test_one_class_of_three_is_a_thousandth(tmp_path):
    rng = np.random.default_rng(44)
    x = rng.standard_normal((20000, 4))
    y = np.where(rng.random(20000) < 0.001, 2, rng.random(20000) < 1 / (1 + np.exp(-score_of(x)))).astype(int)
    assert 5 < (y == 2).sum() < 50
    info = check(tmp_path, "multinomial", numbers_only(x, y)[:-1], standard(x), y, limit=1e-7)
    assert info["converged"]


def test_a_step_that_overflows_is_halved(tmp_path):
    """Rows far out with large counts: the first steps of Nesterov's method take exp() beyond what a double holds."""
    rng = np.random.default_rng(45)
    x = rng.standard_normal((400, 3))
    x[:3] = 5
    y = targets("poisson", score_of(x), rng)
    y[:3] = 30_000
    columns = numbers_only(x, y)[:-1]
    got, info = fit(tmp_path, with_target(columns, y), loss="poisson", solver="nesterov", l2=1, c=1, tolerance=1e-7, max_iter=100_000)
    expected, _ = fit(tmp_path, with_target(columns, y), loss="poisson", solver="newton", l2=1, c=1, tolerance=1e-13)
    assert info["converged"] and info["solver"] == "nesterov"
    agree(got, [expected], 1e-5)


@pytest.mark.parametrize("penalty", ["l1", "elastic_net", "l2"])
def test_a_fit_that_stopped_early_says_its_own_objective(tmp_path, penalty):
    """Not that of the last iteration: of the weights that did best on the validation rows, with the penalty in it."""
    rng = np.random.default_rng(46)
    x = rng.standard_normal((400, 30))
    y = targets("logistic", score_of(x), rng)
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(30)])
    frame["y"], frame["at"] = y, np.arange(400)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    config = {"name": "t", "data": {"source": "rows.csv"}, "target": {"column": "y"}, "drop": ["y", "at"], "split": {"by": "time", "time": "at", "train": 0.15, "validation": 0.85, "test": 0}, "evaluate": {"audit": "off", "bootstrap": 0},
              "train": {"c": 50, "penalty": penalty, "patience": 1, "solver": "cd" if penalty != "l2" else "gd", "tolerance": 1e-12, "l1_ratio": 0.3}}  # fmt: skip
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    done = subprocess.run([SOLVENT, "train", "c.yaml", "--no-tracking", "--json", "--output", "out"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    pipeline = json.loads((tmp_path / "out" / "model" / "pipeline.json").read_text())
    w = np.concatenate([term["weights"] for term in pipeline["terms"]])
    l1 = {"l1": 1, "elastic_net": 0.3, "l2": 0}[penalty]
    loss = 50 * 60 * last["metrics"]["train.log_loss"]
    assert last["in_sample"] == {"validation": "early stopping"} and last["iterations"] < 10 and (w != 0).sum() > 3
    assert last["objective"] == pytest.approx(loss + l1 * np.abs(w).sum() + (1 - l1) * (w @ w) / 2, rel=1e-9)


# ---- class weights, through `solvent train`: scikit-learn's own class_weight ----

SOLVENT = os.path.join(os.environ["BUILD_ROOT"], "trainer", "solvent")


def train(folder, x, y, weight, **settings):
    """Weights and intercepts, (k, p + 1), of a model of columns x0, x1, … on all rows."""
    frame = pd.DataFrame(x, columns=[f"x{j}" for j in range(x.shape[1])])
    frame["y"] = np.array(["no", "some", "yes"])[y if y.max() > 1 else 2 * y]
    frame["w"] = weight
    frame.to_csv(folder / "rows.csv", index=False)
    classes = {"name": "t", "data": {"source": "rows.csv"}, "target": {"column": "y", **({} if y.max() > 1 else {"positive": "yes"})}, "drop": ["y", "w"],
               "split": {"train": 1, "validation": 0, "test": 0}, "evaluate": {"audit": "off", "bootstrap": 0},
               "train": {"model": "multinomial" if y.max() > 1 else "logistic", "c": C, "tolerance": 1e-13, "weight": "w", **settings}}
    (folder / "c.yaml").write_text(json.dumps(classes))
    done = subprocess.run([SOLVENT, "train", "c.yaml", "--no-tracking", "--quiet", "--output", "out"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pipeline = json.loads((folder / "out" / "model" / "pipeline.json").read_text())
    return np.column_stack([*(term["weights"] for term in pipeline["terms"]), pipeline["intercept"]])


@pytest.mark.parametrize("penalty", ["l2", "none"])
@pytest.mark.parametrize("given", ["balanced", "explicit"])
@pytest.mark.parametrize("family", ["logistic", "multinomial"])
def test_class_weight(tmp_path, family, given, penalty):
    rng = np.random.default_rng(51)
    x = rng.standard_normal((800, 4)) * [1, 10, 0.1, 3] + [0, 5, 1, -2]
    y = targets(family, standard(x) @ [1, -0.5, 0.3, 0] - 0.8, rng)
    weight = np.ones(len(y)) if given == "balanced" else rng.integers(0, 4, len(y)) * 0.5
    settings = {"class_weight": "balanced"} if given == "balanced" else {"class_weights": {"no": 0.5, "yes": 3}}
    own = "balanced" if given == "balanced" else {0: 0.5, 1: 3} if family == "logistic" else {0: 0.5, 1: 1, 2: 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=C if penalty == "l2" else np.inf, class_weight=own, solver="newton-cholesky", tol=1e-14, max_iter=300).fit(standard(x), y, weight)
    expected = np.column_stack([model.coef_, model.intercept_])
    got = train(tmp_path, x, y, weight, penalty=penalty, **settings)
    agree(centred(got, penalty == "l2").ravel(), [centred(expected, penalty == "l2")], 1e-8)


# ---- Berka: the panel of the configuration, its own rows and split, encoded and fitted by scikit-learn ----


def test_berka(tmp_path, monkeypatch):
    places = [os.path.join(ROOT, "..", "shared", "data", "berka"), os.path.join(ROOT, "data", "berka")]
    here = next((place for place in places if os.path.exists(os.path.join(place, "trans.asc"))), None)
    if not here:
        pytest.skip("trans.asc is not here: scripts/get-data berka")
    (tmp_path / "configs").symlink_to(os.path.join(ROOT, "configs"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "berka").symlink_to(os.path.abspath(here))
    monkeypatch.setattr(results, "ROOT", tmp_path)
    got = results.compare(pathlib.Path(os.environ["BUILD_ROOT"]), "berka", "configs/berka_cashflow.yaml")
    assert got["difference"] < 1e-8
    assert got["ours"] == pytest.approx(got["theirs"], abs=1e-9)
