"""train.offset from a CSV file to the answer: the fit is statsmodels' with that offset, and `solvent predict`, onnxruntime, mlflow.pyfunc and solvent-serve add it alike."""
import io
import os
import subprocess
import sys

import mlflow
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import requests
import statsmodels.api as sm

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "serve"))
from serve_process import BUILD, Serve  # noqa: E402

N, N_TRAIN = 1500, 1000
CONFIG = """name: offset
data: {source: rows.csv}
features: {log_exposure: log(exposure)}
target: {column: y}
use: [x, kind]
split: {time: at, validation_from: "1000", test_from: "1200"}
evaluate: {bootstrap: 0}
train: {model: MODEL, offset: OFFSET, penalty: none, tolerance: 1e-12}
"""
MODELS = {"poisson": ("log_exposure", sm.families.Poisson()), "logistic": ("prior", sm.families.Binomial())}  # a feature; a column of the file


def rows(model):
    rng = np.random.default_rng(21)
    frame = pd.DataFrame({"at": np.arange(N), "x": rng.standard_normal(N).round(6), "kind": rng.choice(["a", "b", "c"], N), "exposure": rng.uniform(0.2, 30, N).round(6),
                          "prior": rng.normal(0, 2, N).round(6)})
    score = 0.4 * frame.x - 0.8 + 0.5 * (frame.kind == "c")
    chance = 1 / (1 + np.exp(-score - frame.prior))
    return frame.assign(y=rng.poisson(frame.exposure * np.exp(score)) if model == "poisson" else (rng.random(N) < chance).astype(int))


@pytest.fixture(scope="module", params=MODELS)
def trained(request, tmp_path_factory):
    folder, frame = tmp_path_factory.mktemp(request.param), rows(request.param)
    frame.to_csv(folder / "rows.csv", index=False)
    (folder / "c.yaml").write_text(CONFIG.replace("MODEL", request.param).replace("OFFSET", MODELS[request.param][0]))
    subprocess.run([BUILD / "trainer" / "solvent", "train", "c.yaml", "--no-tracking", "--quiet", "--output", "out"], cwd=folder, check=True, timeout=120)
    package = folder / "out" / "model"
    inputs = frame[mlflow.models.Model.load(str(package)).signature.inputs.input_names()]
    done = subprocess.run([BUILD / "trainer" / "solvent", "predict", "--model", package, "--input", folder / "rows.csv", "--output", "-"], capture_output=True, text=True, check=True, timeout=120)
    answers = pd.read_csv(io.StringIO(done.stdout))
    return request.param, frame, inputs, package, answers[[name for name in answers if name not in frame]].iloc[:, 0].to_numpy()


def test_the_answers_are_statsmodels(trained):
    model, frame, _, _, answers = trained
    name, family = MODELS[model]
    offset = np.log(frame.exposure) if name == "log_exposure" else frame[name]
    x = np.column_stack([np.ones(N), frame.x, frame.kind == "b", frame.kind == "c"]).astype(float)
    fit = sm.GLM(frame.y[:N_TRAIN], x[:N_TRAIN], family=family, offset=offset[:N_TRAIN]).fit(tol=1e-14, maxiter=100)
    assert np.allclose(answers, fit.predict(x, offset=offset), rtol=1e-8, atol=0)
    without = sm.GLM(frame.y[:N_TRAIN], x[:N_TRAIN], family=family).fit().predict(x)
    assert not np.allclose(answers, without, rtol=0.1, atol=0)


def test_the_package_adds_it_everywhere(trained):
    _, frame, inputs, package, answers = trained
    assert set(inputs) & {"exposure", "prior"}
    loaded = mlflow.pyfunc.load_model(str(package)).predict(inputs).iloc[:, 0].to_numpy()
    session = onnxruntime.InferenceSession(package / "model.onnx", providers=["CPUExecutionProvider"])
    graph = session.run(None, {node.name: inputs[node.name].to_numpy(object if "string" in node.type else float if "double" in node.type else np.int64) for node in session.get_inputs()})[0]
    with Serve("--model", package) as server:
        reply = requests.post(server.url + "/invocations", json={"dataframe_records": inputs.to_dict("records")})
    assert reply.status_code == 200, reply.text
    served = np.array([next(iter(row.values())) for row in reply.json()["predictions"]])
    for theirs in (loaded, graph.ravel(), served):
        assert len(theirs) == N and np.all(np.abs(theirs - answers) <= 1e-14 + 1e-12 * np.abs(answers))
