"""The bank's model, trained once into a real server, then everything that was tracked read back by MLflow's own Python client, and
the three ways to ask the model (pyfunc, `solvent predict`, solvent-serve) compared over all 45,211 rows."""

import io
import json
import os
import pathlib
import re
import subprocess
import time

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import yaml

NAME, EXPERIMENT = "bank-cashflow", "behavioral-model-reliability"
ROWS = 45_211
ABSOLUTE, RELATIVE = 1e-14, 1e-12  # |dp| <= ABSOLUTE + RELATIVE p


@pytest.fixture(scope="module")
def bank(source_root):
    path = source_root / "data" / "bank-full.csv"
    if not path.exists():
        subprocess.run([source_root / "scripts" / "get-data", "bank"], check=True, cwd=source_root)
    return pd.read_csv(path, sep=";", keep_default_na=False)


@pytest.fixture(scope="module")
def done(bank, solvent, tracking_env, source_root, run_command):
    """What the trainer's last line says."""
    output = run_command([solvent, "train", "configs/bank_marketing.yaml", "--json"], env=tracking_env, cwd=source_root).stdout
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def client(mlflow_server):
    mlflow.set_tracking_uri(mlflow_server.uri)
    return mlflow.MlflowClient(mlflow_server.uri)


@pytest.fixture(scope="module")
def run(client, done):
    return client.get_run(done["run_id"])


@pytest.fixture(scope="module")
def version(client, done):
    return client.get_model_version_by_alias(NAME, "champion")


@pytest.fixture(scope="module")
def pyfunc(client, done):
    return mlflow.pyfunc.load_model(f"models:/{NAME}@champion")


@pytest.fixture(scope="module")
def rows(bank, pyfunc):
    """The raw columns of the model's signature, in its types."""
    types = {"long": "int64", "integer": "int64", "double": "float64"}
    inputs = pyfunc.metadata.get_input_schema()
    frame = bank[inputs.input_names()].copy()
    return frame.astype({column.name: types[column.type.name] for column in inputs.inputs if column.type.name in types})


@pytest.fixture(scope="module")
def python_answers(pyfunc, rows):
    return pyfunc.predict(rows)


@pytest.fixture(scope="module")
def served(done, solvent_serve, tracking_env):
    """solvent-serve's address."""
    process = subprocess.Popen([solvent_serve, "--model", f"models:/{NAME}@champion", "--port", "0"], env=tracking_env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    for line in process.stdout:
        said.append(line)
        found = re.search(r"listening on (http://\S+)", line)
        if found:
            break
    else:
        raise AssertionError("".join(said))
    yield found[1]
    process.terminate()
    assert process.wait(20) == 0


def same(ours, theirs):
    """Probabilities as close as promised, and no label different."""
    p, q = (frame["surplus_probability"].to_numpy(float) for frame in (ours, theirs))
    worst = np.max(np.abs(p - q) - (ABSOLUTE + RELATIVE * q))
    assert worst <= 0, f"largest |dp| {np.max(np.abs(p - q)):.3g}"
    assert (ours["surplus_prediction"].to_numpy(int) == theirs["surplus_prediction"].to_numpy(int)).all()


def test_the_run_is_in_its_experiment_and_finished(run, client):
    assert run.info.status == "FINISHED" and run.info.end_time >= run.info.start_time
    assert abs(run.info.end_time / 1000 - time.time()) < 3600
    assert client.get_experiment(run.info.experiment_id).name == EXPERIMENT


def test_tags_say_who_with_what_and_from_where(run, source_root):
    tags = run.data.tags
    assert tags["mlflow.user"] and tags["mlflow.source.name"] and tags["mlflow.source.type"] == "LOCAL"
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=source_root, capture_output=True, text=True)
    if commit.returncode == 0:
        assert tags["mlflow.source.git.commit"] == commit.stdout.strip()


def test_the_leak_is_said(run):
    """balance >= 0 follows from the column balance: the audit's finding is a tag of the run."""
    assert any("balance" in value for key, value in run.data.tags.items() if "audit" in key or "leak" in key), run.data.tags


def flattened(tree, path=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{path}{key}.")
        else:
            yield path + key, value


def test_every_setting_of_the_file_is_a_param(run, source_root):
    settings = yaml.safe_load((source_root / "configs" / "bank_marketing.yaml").read_text())
    params = run.data.params
    for section in ("split", "train", "encode"):
        for key, value in flattened(settings[section], section + "."):
            assert key in params, key
            if isinstance(value, bool):
                assert params[key] in (str(value).lower(), str(int(value)))
            elif isinstance(value, (int, float)):
                assert float(params[key]) == float(value), key
            elif isinstance(value, str):
                assert params[key] == value or float(params[key]) == float(value), key
    assert len(params) > 40, "the defaults are recorded too"


def test_split_sizes_and_features(run):
    sizes = {part: int(run.data.params[f"rows.{part}"]) for part in ("train", "validation", "test")}
    assert sum(sizes.values()) == ROWS
    for part, share in (("train", 0.7), ("validation", 0.1), ("test", 0.2)):
        assert abs(sizes[part] - share * ROWS) <= 2, sizes
    assert {"balance_log", "stability_score", "risk_flag"} <= set(json.loads(run.data.params["features.used"]))


def test_final_metrics(run, done):
    for part in ("train", "validation", "test"):
        for metric in ("accuracy", "log_loss", "roc_auc", "brier"):
            assert np.isfinite(run.data.metrics[f"{part}.{metric}"]), (part, metric)
    for key, value in done["metrics"].items():
        if value is not None and key in run.data.metrics:
            assert run.data.metrics[key] == value, key


def test_metrics_by_iteration(client, run):
    history = client.get_metric_history(run.info.run_id, "train.objective")
    assert len(history) > 3
    assert [point.step for point in sorted(history, key=lambda point: point.step)] == sorted({point.step for point in history})
    values = [point.value for point in sorted(history, key=lambda point: point.step)]
    assert values[-1] < values[0] and values[-1] == min(values)


def test_the_dataset_is_an_input_with_its_digest(run):
    dataset = run.inputs.dataset_inputs[0].dataset
    assert dataset.digest and "bank-full.csv" in dataset.source
    assert json.loads(dataset.profile)["num_rows"] == ROWS
    assert "balance" in dataset.schema


def artifacts(client, run_id, path=None):
    for file in client.list_artifacts(run_id, path):
        if file.is_dir:
            yield from artifacts(client, run_id, file.path)
        else:
            yield file.path


def test_configuration_features_and_report_are_artifacts(client, run, tmp_path):
    names = set(artifacts(client, run.info.run_id))
    assert {"config.yaml", "features.json"} <= names and any(name.endswith("report.html") for name in names), names
    resolved = yaml.safe_load(pathlib.Path(client.download_artifacts(run.info.run_id, "config.yaml", str(tmp_path))).read_text())
    assert resolved["train"]["max_iter"] == 1000 and resolved["split"]["seed"] == 42


def test_the_model_is_an_output_of_the_run(client, run, done):
    model = client.get_logged_model(done["model_id"])
    assert str(model.status).endswith("READY") and model.source_run_id == run.info.run_id
    assert done["model_id"] in [output.model_id for output in run.outputs.model_outputs]


def test_the_version_the_alias_and_what_they_say(client, version, run, done):
    assert (version.run_id, str(version.version), version.status) == (run.info.run_id, done["version"], "READY")
    assert version.description and version.tags
    assert client.get_registered_model(NAME).aliases["champion"] == version.version


def test_the_package_is_whole(pyfunc):
    assert set(pyfunc.metadata.flavors) >= {"python_function", "onnx"}
    assert pyfunc.metadata.get_output_schema().input_names() == ["surplus_probability", "surplus_prediction"]
    assert pyfunc.metadata.saved_input_example_info


def test_solvent_predict_agrees_with_python_on_every_row(solvent, tracking_env, source_root, python_answers, run_command, tmp_path):
    output = tmp_path / "predicted.csv"
    run_command([solvent, "predict", "--model", f"models:/{NAME}@champion", "--input", "data/bank-full.csv", "--output", output], env=tracking_env, cwd=source_root)
    first = output.read_text(encoding="utf-8").split("\n", 1)[0]
    ours = pd.read_csv(output, sep=";" if first.count(";") > first.count(",") else ",")
    assert len(ours) == ROWS
    same(ours, python_answers)


def test_solvent_serve_agrees_with_python_on_every_row(served, rows, python_answers):
    answers = []
    for start in range(0, ROWS, 5000):
        text = io.StringIO()
        rows.iloc[start : start + 5000].to_csv(text, index=False)
        reply = requests.post(served + "/invocations", data=text.getvalue().encode(), headers={"Content-Type": "text/csv"}, timeout=60)
        assert reply.status_code == 200, reply.text[:500]
        answers.extend(reply.json()["predictions"])
    same(pd.DataFrame(answers), python_answers)


def test_predict_answers_one_object_of_raw_columns(served, rows, python_answers):
    for i in (0, 1000, ROWS - 1):
        row = {key: value.item() if hasattr(value, "item") else value for key, value in rows.iloc[i].items()}
        reply = requests.post(served + "/predict", json=row, timeout=10)
        assert reply.status_code == 200, reply.text
        assert set(reply.json()) == {"surplus_probability", "surplus_prediction"}
        same(pd.DataFrame([reply.json()]), python_answers.iloc[[i]])


def test_a_bad_field_is_named_with_what_was_allowed_and_what_came(served, rows):
    row = {key: value.item() if hasattr(value, "item") else value for key, value in rows.iloc[0].items()}
    row["age"], row["balance"] = "old", None
    del row["job"]
    reply = requests.post(served + "/predict", json=row, timeout=10)
    assert reply.status_code == 422
    named = {error["loc"][-1]: error for error in reply.json()["detail"]}
    assert {"age", "job"} <= set(named) and named["age"]["input"] == "old" and named["age"]["msg"]


def test_the_root_says_what_is_served(served, run, version):
    told = requests.get(served + "/", headers={"Accept": "application/json"}, timeout=10).json()
    text = json.dumps(told)
    assert NAME in text and run.info.run_id in text and f'"{version.version}"' in text.replace(f": {version.version}", f': "{version.version}"')


def test_the_original_package_scores_in_mlflows_own_server(done, mlflow_server, rows, python_answers, tmp_path):
    """`mlflow models serve` of the registered model gives the same answers."""
    from mlflow_server import free_port

    port = free_port()
    env = {**os.environ, "MLFLOW_TRACKING_URI": mlflow_server.uri, "PATH": f"{pathlib.Path(os.sys.executable).parent}:{os.environ['PATH']}"}
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen([os.sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", f"models:/{NAME}@champion", "--env-manager", "local", "--port", str(port)],
                               env=env, stdout=log, stderr=log, start_new_session=True)  # fmt: skip
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 90
        while True:
            try:
                if requests.get(address + "/ping", timeout=2).status_code == 200:
                    break
            except requests.ConnectionError:
                pass
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.2)
        body = {"dataframe_split": json.loads(rows.head(50).to_json(orient="split", index=False))}
        reply = requests.post(address + "/invocations", json=body, timeout=60)
        assert reply.status_code == 200, reply.text
        same(pd.DataFrame(reply.json()["predictions"]), python_answers.head(50))
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)
