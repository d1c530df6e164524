"""A category that training never saw and values that are missing: `solvent predict`, /invocations (CSV and JSON) and mlflow.pyfunc answer alike; /predict,
whose contract is its openapi.json, refuses what the signature requires and does not get, and texts beyond the choices. As docs/serving.md says."""
import csv
import io
import os
import subprocess
import sys

import mlflow
import pandas as pd
import pytest
import requests

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "serve"))
from serve_process import BUILD, Serve, make_packages  # noqa: E402

GOOD = {"education-num": 9, "two words": "a b", "žluť": 1.5, "note": "beta", "input size": 2.0, "it's": "7"}
CASES = {  # what is changed: the status of /invocations and of /predict
    "nothing": ({}, 200, 200),
    "an unknown category": ({"two words": "nobody"}, 200, 422),
    "an unknown category of an optional column": ({"note": "gamma"}, 200, 422),
    "a missing text": ({"two words": None}, 200, 422),
    "a missing optional text": ({"note": None}, 200, 200),
    "a missing number": ({"input size": None}, 200, 422),
    "a missing optional number": ({"žluť": None}, 200, 200),
    "a missing whole number": ({"education-num": None}, 400, 422),
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return make_packages(tmp_path_factory.mktemp("packages")) / "odd"


@pytest.fixture(scope="module")
def server(package):
    with Serve("--model", package) as serving:
        yield serving


@pytest.fixture(scope="module")
def python_model(package):
    return mlflow.pyfunc.load_model(str(package))


def by_command(package, folder, row):
    with open(folder / "row.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([row, ["" if value is None else value for value in row.values()]])
    done = subprocess.run([BUILD / "trainer" / "solvent", "predict", "--model", package, "--input", folder / "row.csv", "--output", "-"], capture_output=True, text=True)
    return (pd.read_csv(io.StringIO(done.stdout)).iloc[0, len(row):].to_dict() if done.returncode == 0 else None), (folder / "row.csv").read_bytes()


def by_python(model, row):
    frame = pd.DataFrame([row])
    for name in ("žluť", "input size"):
        frame[name] = frame[name].astype(float)
    try:
        return model.predict(frame).to_dict("records")[0]
    except mlflow.MlflowException:
        return None


@pytest.mark.parametrize("name", CASES)
def test_all_answer_alike(package, server, python_model, tmp_path, name):
    change, invocations, predict = CASES[name]
    row = {**GOOD, **change}
    expected = by_python(python_model, row)
    command, text = by_command(package, tmp_path, row)
    replies = [requests.post(server.url + "/invocations", data=text, headers={"Content-Type": "text/csv"}), requests.post(server.url + "/invocations", json={"dataframe_records": [row]})]
    assert [reply.status_code for reply in replies] == [invocations] * 2 and (expected is None) == (command is None) == (invocations != 200)
    for answer in [command, *(reply.json()["predictions"][0] for reply in replies)] if invocations == 200 else []:
        assert answer["prediction"] == expected["prediction"]
        assert {k: v for k, v in answer.items() if k != "prediction"} == pytest.approx({k: v for k, v in expected.items() if k != "prediction"}, rel=1e-12)
    for body in (row, {key: value for key, value in row.items() if value is not None}):
        reply = requests.post(server.url + "/predict", json=body)
        assert reply.status_code == predict
        if predict == 200:
            assert reply.json() == replies[1].json()["predictions"][0]
        else:
            assert [detail["loc"][-1] for detail in reply.json()["detail"]] == list(change)
