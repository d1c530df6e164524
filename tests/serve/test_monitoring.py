"""Drift and live figures in MLflow: a run of each version, found again, and a server that is not there."""
import json
import os
import sys
import time

import mlflow
import pytest
import requests

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
from mlflow_server import MlflowServer  # noqa: E402
from serve_process import BANK_ROW, Serve, make_packages, other_weights  # noqa: E402
from test_watching import drift, write_profile  # noqa: E402


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = make_packages(tmp_path_factory.mktemp("packages"))
    write_profile(folder / "bank")
    return folder


@pytest.fixture
def serve(packages, tmp_path):
    (tmp_path / "serve.yaml").write_text(json.dumps({"monitor": {"every_seconds": 1}, "drift": {"min_rows": 10}}))

    def start(server, model=packages / "bank"):
        return Serve("--model", model, "--config", tmp_path / "serve.yaml", "--monitor", "watching", "--cache", tmp_path / "cache", "--poll-seconds", "1",
                     env={"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_JOURNAL_DIR": str(tmp_path / "journal"), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"})

    return start


def runs(client):
    experiment = client.get_experiment_by_name("watching")
    return client.search_runs([experiment.experiment_id]) if experiment else []


def wait_for(condition, seconds=40):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return condition()


def ask(server, n=20):
    for i in range(n):
        assert requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": f"r{i}"}).status_code == 200


def test_a_run_of_the_version_is_found_again(serve):
    with MlflowServer() as server:
        client = mlflow.MlflowClient(server.uri)
        with serve(server) as one:
            assert not wait_for(lambda: runs(client), 2.5)  # nothing was asked, nothing is logged
            ask(one)
            assert requests.post(one.url + "/feedback", json=[{"request_id": f"r{i}", "label": i % 2} for i in range(20)]).json()["taken"] == 20
            assert wait_for(lambda: any("live.accuracy" in run.data.metrics for run in runs(client)))
            (run,) = runs(client)
            expected = {f["name"]: f["psi"] for f in drift(one)["features"]}
            assert run.data.tags["solvent.monitored_model"] == "bank" and run.data.tags["solvent.monitored_version"].startswith("sha256-") and run.info.status == "RUNNING"
            assert run.data.metrics["drift.psi.age"] == pytest.approx(expected["age"]) and run.data.metrics["drift.rows"] == 20 and run.data.metrics["live.labels"] == 20
            assert run.data.metrics["live.accuracy"] == 0.5 and "live.brier" in run.data.metrics and "drift.psi.surplus_probability" in run.data.metrics
            assert one.stop() == 0
        points = len(client.get_metric_history(run.info.run_id, "drift.rows"))
        with serve(server) as two:
            ask(two, 5)
            assert wait_for(lambda: len(client.get_metric_history(run.info.run_id, "drift.rows")) > points)
            assert len(runs(client)) == 1 and f"run {run.info.run_id}, which goes on" in two.errors()
            steps = [m.step for m in client.get_metric_history(run.info.run_id, "drift.rows")]
            assert steps == sorted(steps)
            two.stop()


def test_each_version_has_a_run(serve, packages, tmp_path):
    with MlflowServer() as server:
        client = mlflow.MlflowClient(server.uri)
        client.create_registered_model("bank")
        os.environ["MLFLOW_TRACKING_URI"] = server.uri

        def register(folder):
            run = client.create_run("0")
            client.log_artifacts(run.info.run_id, str(folder), "model")
            version = client.create_model_version("bank", run.info.artifact_uri + "/model", run.info.run_id).version
            client.set_registered_model_alias("bank", "champion", version)
            return version, run.info.run_id

        first = register(packages / "bank")
        with serve(server, "models:/bank@champion") as one:
            ask(one)
            assert wait_for(lambda: len(runs(client)) == 1)
            second = register(other_weights(packages / "bank", tmp_path / "second", -1.5))
            assert wait_for(lambda: requests.get(one.url + "/").json()["version"] == second[0])
            ask(one)
            assert wait_for(lambda: len(runs(client)) == 2 and {run.info.status for run in runs(client)} == {"RUNNING", "FINISHED"})
            found = {run.data.tags["solvent.monitored_version"]: run.data.tags["solvent.monitored_run_id"] for run in runs(client)}
            assert found == dict((first, second))


def test_without_a_server_it_goes_to_the_journal(serve, tmp_path):
    with MlflowServer() as server:
        client = mlflow.MlflowClient(server.uri)
        server.stop()
        with serve(server) as one:
            ask(one)
            assert wait_for(lambda: "is logged to run" in one.errors())
            time.sleep(1.5)
            began = time.monotonic()
            assert one.stop() == 0 and time.monotonic() - began < 15
            assert "does not answer" in one.errors()
        assert list((tmp_path / "journal").iterdir())
        server.start()
        with serve(server) as two:  # what waits is another's to send: mlflowc sync
            ask(two, 3)
            assert wait_for(lambda: runs(client))


def test_a_server_that_comes_back_gets_everything(serve):
    with MlflowServer() as server:
        client = mlflow.MlflowClient(server.uri)
        with serve(server) as one:
            ask(one)
            assert wait_for(lambda: runs(client))
            server.stop()
            ask(one, 12)
            time.sleep(2)
            server.start()
            assert wait_for(lambda: runs(client)[0].data.metrics.get("drift.rows") == 32) and len(runs(client)) == 1


def test_a_monitor_needs_a_server(packages):
    with pytest.raises(RuntimeError, match="monitor"):
        with Serve("--model", packages / "bank", "--monitor", "watching", env={"MLFLOW_TRACKING_URI": "gopher://nowhere"}):
            pass
