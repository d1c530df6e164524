"""Many threads, several runs, artifacts and a sync at the same time, against a real server; scripts/test runs it under the thread sanitizer, too."""

import collections
import os
import subprocess

from mlflow import MlflowClient

THREADS, STEPS = 8, 4000


def job(build_root, folder, uri, *words):
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    env |= {"MLFLOW_JOURNAL_DIR": str(folder), "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "0.05"}
    program = build_root / "tests" / "mlflow_client" / "journal" / "journal_job"
    return subprocess.Popen([str(program), *map(str, words)], env={**env, **uri}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ends_well(process):
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0 and "Sanitizer" not in err, out + err


def expect_once(uri, experiment, runs):
    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert len(found) == runs
    for run in found:
        for key in ("loss", "acc"):
            seen = collections.Counter(point.step for point in client.get_metric_history(run.info.run_id, key))
            assert set(seen) == set(range(STEPS)) and set(seen.values()) == {1}


def test_many_threads_log_while_another_process_syncs(mlflow_server, build_root, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "MLmodel").write_text("artifact_path: model\nflavors:\n  python_function:\n    loader_module: mlflow.sklearn\nmlflow_version: 3.17.2\nutc_time_created: '2026-01-01 00:00:00.000000'\n")
    for i in range(12):  # several at once
        (model / f"{i}.bin").write_bytes(os.urandom(20000))
    words = ("--steps", STEPS, "--threads", THREADS, "--runs", 2, "--model", model, "threads")
    ends_well(job(build_root, tmp_path / "offline", {"MLFLOW_OFFLINE": "1"}, "--experiment", "threads-offline", *words))
    online = {"MLFLOW_TRACKING_URI": mlflow_server.uri}
    logging = job(build_root, tmp_path / "online", online, "--experiment", "threads", *words)
    syncing = job(build_root, tmp_path / "offline", online, "sync")
    ends_well(logging)
    ends_well(syncing)
    expect_once(mlflow_server.uri, "threads", 2)
    expect_once(mlflow_server.uri, "threads-offline", 2)
