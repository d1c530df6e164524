"""What a training leaves on a real MLflow server when it is interrupted, when the champion is better, when it sweeps."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SOLVENT = Path(os.environ["BUILD_ROOT"]) / "trainer" / "solvent"
CONFIG = """name: NAME
experiment: NAME
data: {source: "generate:rows=4000,seed=5"}
columns: {month: date}
features: {cushion: log(income / (rent + spending))}
target: {name: surplus, column: surplus}
use: [cushion, late_payments, loan, employment]
split: {group: customer}
evaluate: {bootstrap: 50}
register: {alias: champion, promote_when: "test.roc_auc >= champion.test.roc_auc and test.log_loss <= champion.test.log_loss"}
"""


def solvent(env, folder, *arguments):
    done = subprocess.run([SOLVENT, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0 and "Sanitizer" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def client(mlflow_server):
    import mlflow

    return mlflow.MlflowClient(mlflow_server.uri)


def write(folder, name):
    (folder / "c.yaml").write_text(CONFIG.replace("NAME", name))


def test_the_alias_moves_only_to_a_model_that_is_as_good(tracking_env, client, tmp_path):
    write(tmp_path, "promotion")
    first = solvent(tracking_env, tmp_path, "train", "c.yaml", "--json")[-1]
    assert client.get_model_version_by_alias("promotion", "champion").version == first["version"] == "1"
    worse = solvent(tracking_env, tmp_path, "train", "c.yaml", "--json", "--set", "use=[loan]")[-1]
    assert worse["version"] == "2" and client.get_model_version_by_alias("promotion", "champion").version == "1"
    run = client.get_run(worse["run_id"])
    assert run.data.tags["solvent.promotion"].startswith("kept: ") and run.data.metrics["promotion.share"] < 0.5
    same = solvent(tracking_env, tmp_path, "train", "c.yaml", "--json")[-1]
    assert client.get_model_version_by_alias("promotion", "champion").version == same["version"] == "3"


def test_every_setting_is_a_param_and_the_audit_a_tag(tracking_env, client, tmp_path):
    write(tmp_path, "settings")
    run = client.get_run(solvent(tracking_env, tmp_path, "train", "c.yaml", "--json", "--no-register")[-1]["run_id"])
    assert run.data.params["train.c"] == "1" and run.data.params["features.cushion"] == "log(income / (rent + spending))"
    assert json.loads(run.data.params["use"]) == ["cushion", "late_payments", "loan", "employment"]
    assert run.data.tags["solvent.audit"] == "passed" and run.inputs.dataset_inputs[0].dataset.digest
    assert client.get_metric_history(run.info.run_id, "train.loss")[-1].step == run.data.metrics["fit.iterations"]
    assert {"config.yaml", "features.json", "report.html"} <= {item.path for item in client.list_artifacts(run.info.run_id)}


def test_interrupted_is_killed(tracking_env, client, tmp_path):
    write(tmp_path, "interrupted")
    slow = ["--output", "out", "--set", "train.checkpoint_every=1000", "--set", "train.solver=gd", "--set", "train.tolerance=1e-300", "--set", "train.max_iter=100000000"]
    process = subprocess.Popen([SOLVENT, "train", "c.yaml", *slow], cwd=tmp_path, env=tracking_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    runs = client.search_runs([client.get_experiment_by_name("interrupted").experiment_id])
    assert [run.info.status for run in runs] == ["KILLED"] and "interrupted" in runs[0].data.tags["solvent.failure"]
    assert runs[0].data.params["train.checkpoint_every"] == "1000"
    kept = client.download_artifacts(runs[0].info.run_id, "checkpoint", str(tmp_path))
    assert Path(kept).read_bytes() == (tmp_path / "out" / "checkpoint").read_bytes()


def test_a_sweep_is_a_run_with_runs_below(tracking_env, client, tmp_path):
    write(tmp_path, "sweeping")
    done = solvent(tracking_env, tmp_path, "sweep", "c.yaml", "--json", "--set", "sweep.keys={train.c: [1e-5, 1]}")[-1]
    runs = client.search_runs([client.get_experiment_by_name("sweeping").experiment_id])
    parent = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(runs) == 4 and len(parent) == 1 and parent[0].data.tags["solvent.best"] == "train.c=1"
    assert {run.data.tags["mlflow.parentRunId"] for run in runs if run is not parent[0]} == {parent[0].info.run_id}
    assert done["version"] == "1" and all(run.info.status == "FINISHED" for run in runs)
