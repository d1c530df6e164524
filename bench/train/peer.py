"""One peer on one data set, a process of bench/train/run. ARGUMENTS: FOLDER (x.npy, y.npy), peer, repeats, objective. Goes down the ladder of tolerances until a fit
reaches the objective, then repeats that one. A line of JSON for each step, with the best time so far; the last of the objective's tolerance counts."""
import json
import sys
import time
import warnings

import numpy as np

LADDER = [1e-2, 3e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8]


def objective(x, y, w, b):
    """By pieces: the peer's peak memory is to be the peer's own."""
    pieces = ((x[i:i + 65536] @ w + b, y[i:i + 65536]) for i in range(0, len(y), 65536))
    return 0.5 * w @ w + sum(np.sum(np.logaddexp(0, z) - t * z) for z, t in pieces)


def peak_mb():
    """Not getrusage's: that one begins with the parent's."""
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:")) / 1024


def scikit_learn(solver, package="sklearn"):
    def prepare(x, y):
        if package == "sklearn":
            from sklearn.linear_model import LogisticRegression
        else:
            from sklearnex.linear_model import LogisticRegression

        def fit(tolerance):
            model = LogisticRegression(solver=solver, tol=tolerance, max_iter=2000).fit(x, y)
            return model.coef_[0], model.intercept_[0]

        return fit

    return prepare


def glum(x, y):
    from glum import GeneralizedLinearRegressor

    target = y.astype(float)

    def fit(tolerance):
        model = GeneralizedLinearRegressor(family="binomial", alpha=1 / len(y), l1_ratio=0, gradient_tol=tolerance, scale_predictors=False).fit(x, target)
        return model.coef_, model.intercept_

    return fit


def liblinear(x, y):
    """Newton on the primal (-s 0), the bias without a penalty (-R); its node lists are made before the clock starts."""
    import scipy.sparse
    from liblinear import liblinearutil

    problem = liblinearutil.problem(2.0 * y - 1, scipy.sparse.csr_matrix(x), 1)

    def fit(tolerance):
        model = liblinearutil.train(problem, liblinearutil.parameter(f"-s 0 -c 1 -B 1 -R -e {tolerance} -q"))
        (w, b), sign = model.get_decfun(), 1 if model.get_labels()[0] == 1 else -1
        return sign * np.array(w), sign * b

    return fit


PEERS = {"scikit-learn newton-cholesky": scikit_learn("newton-cholesky"), "scikit-learn lbfgs": scikit_learn("lbfgs"), "scikit-learn saga": scikit_learn("saga"),
         "scikit-learn-intelex lbfgs": scikit_learn("lbfgs", "sklearnex"), "glum": glum, "LIBLINEAR": liblinear}


def main():
    folder, peer, repeats, enough = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    warnings.simplefilter("ignore")
    x, y = np.load(f"{folder}/x.npy"), np.load(f"{folder}/y.npy")
    fit = PEERS[peer](x, y)
    for tolerance in LADDER:
        best = np.inf
        for _ in range(repeats):
            start = time.perf_counter()
            w, b = fit(tolerance)
            best = min(best, time.perf_counter() - start)
            reached = objective(x, y, w, b)
            print(json.dumps({"tolerance": tolerance, "seconds": best, "objective": reached, "peak_mb": peak_mb()}), flush=True)
            if reached > enough:
                break
        if reached <= enough:
            return


if __name__ == "__main__":
    main()
