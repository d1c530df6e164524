"""scripts/demo-loop from end to end, and what MLflow shows of it afterwards."""

import os
import re
import signal
import subprocess

import mlflow
import pytest
import requests

STEPS = ["servers", "train", "serve", "drift", "challenger", "follow", "look"]


@pytest.fixture(scope="module")
def loop(source_root):
    """The demonstration, kept up: (what it printed, its MLflow)."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([source_root / "scripts" / "demo-loop", "--keep"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
    said = []
    try:
        for line in process.stdout:
            said.append(line.rstrip())
            if " s in all, of which ours " in line:
                break
        else:
            pytest.fail("\n".join(said) + process.stderr.read())
        address = re.search(r"MLflow (http://\S+),", "\n".join(said))[1]
        mlflow.set_tracking_uri(address)
        yield said, mlflow.MlflowClient()
        process.communicate("\n", timeout=60)
        assert process.returncode == 0
        with pytest.raises(requests.ConnectionError):
            requests.get(address, timeout=2)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def test_every_step_is_said_in_order_and_timed(loop):
    said, _ = loop
    steps = [found[1] for line in said if (found := re.match(r" *[\d.]+ s  (\w+)", line))]
    assert steps == STEPS
    all_s, ours_s = map(float, re.fullmatch(r"([\d.]+) s in all, of which ours ([\d.]+) s", said[-1]).groups())
    assert 0 < ours_s < all_s


def test_mlflow_shows_drift_reasons_comparison_and_alias(loop):
    _, client = loop
    experiment = client.get_experiment_by_name("retraining")
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    versions = {version.version: version for version in client.search_model_versions("name='cashflow'")}
    assert set(versions) == {"1", "2"} and client.get_model_version_by_alias("cashflow", "champion").version == "2"

    (watch,) = [run for run in runs.values() if run.info.run_name == "watch"]
    drift = {point.step: point.value for point in client.get_metric_history(watch.info.run_id, "drift.income")}
    assert watch.info.status == "FINISHED" and drift[1] < 0.25 < drift[2] and drift[3] < 0.25

    first, second = (runs[versions[name].run_id] for name in "12")
    assert first.data.tags["retraining.why"] == "the first rows" and second.data.tags["retraining.why"].startswith("drift: ")
    assert second.data.tags["solvent.promotion"].startswith("promoted: ") and "s3://rows/second-month.csv" in second.data.params["data.source"]


def test_an_unknown_argument_is_2(source_root):
    done = subprocess.run([source_root / "scripts" / "demo-loop", "--fast"], capture_output=True, text=True)
    assert done.returncode == 2 and "--keep" in done.stdout
