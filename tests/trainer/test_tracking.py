"""What a training leaves on a real MLflow server when it is interrupted, when the champion is better, when it sweeps."""

import http.server
import json
import os
import random
import signal
import socket
import subprocess
import threading
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


MLFLOWC = Path(os.environ["BUILD_ROOT"]) / "mlflow_client" / "mlflowc"


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
    for comparison in ("test.roc_auc >= champion.test.roc_auc: 0.", "test.log_loss <= champion.test.log_loss: 0."):  # each with its figures
        assert comparison in run.data.tags["solvent.promotion"]
    same = solvent(tracking_env, tmp_path, "train", "c.yaml", "--json")[-1]
    assert client.get_model_version_by_alias("promotion", "champion").version == same["version"] == "3"
    untested = solvent(tracking_env, tmp_path, "train", "c.yaml", "--json", "--set", "split={train: 0.9, validation: 0.1, test: 0}")[-1]
    assert client.get_run(untested["run_id"]).data.tags["solvent.promotion"].endswith("cannot be judged: the test part has no rows")
    assert client.get_model_version_by_alias("promotion", "champion").version == "3"


def test_every_setting_is_a_param_and_the_audit_a_tag(tracking_env, client, tmp_path):
    write(tmp_path, "settings")
    run = client.get_run(solvent(tracking_env, tmp_path, "train", "c.yaml", "--json", "--no-register")[-1]["run_id"])
    assert run.data.params["train.c"] == "1" and run.data.params["features.cushion"] == "log(income / (rent + spending))"
    assert json.loads(run.data.params["use"]) == ["cushion", "late_payments", "loan", "employment"]
    assert f"only {run.data.params['rows.train']} training rows" in run.data.params["fit.why"]
    assert run.data.tags["solvent.audit"] == "passed" and run.inputs.dataset_inputs[0].dataset.digest
    assert client.get_metric_history(run.info.run_id, "train.loss")[-1].step == run.data.metrics["fit.iterations"]
    assert {"config.yaml", "features.json", "report.html"} <= {item.path for item in client.list_artifacts(run.info.run_id)}


@pytest.mark.parametrize("way", [[], ["--offline"]], ids=["online", "synced"])
def test_each_final_metric_stands_once_on_the_run_and_on_the_model(tracking_env, client, tmp_path, way):
    name = "once" + "".join(way)
    env = {**tracking_env, "MLFLOW_JOURNAL_DIR": str(tmp_path / "journal")}
    write(tmp_path, name)
    solvent(env, tmp_path, "train", "c.yaml", "--json", *way)
    if way:
        subprocess.run([MLFLOWC, "sync"], env=env, check=True, capture_output=True, timeout=120)
    version = client.get_model_version(name, "1")
    run, model = client.get_run(version.run_id), client.get_logged_model(version.source.removeprefix("models:/"))
    on_model = {metric.key: (metric.value, metric.timestamp, metric.step) for metric in model.metrics}
    assert {"train.accuracy", "validation.log_loss", "test.roc_auc"} <= set(on_model)
    for key, point in on_model.items():
        history = client.get_metric_history(run.info.run_id, key)
        assert [(metric.value, metric.timestamp, metric.step) for metric in history] == [point], key


def test_the_registered_model_and_its_version_say_what_they_are(tracking_env, client, tmp_path):
    write(tmp_path, "described")
    solvent(tracking_env, tmp_path, "train", "c.yaml", "--json")
    model, version = client.get_registered_model("described"), client.get_model_version("described", "1")
    assert "`surplus`" in model.description and "described" in model.description
    assert "| test |" in version.description and version.tags["solvent.audit"] == "passed"
    client.update_registered_model("described", "by hand")
    solvent(tracking_env, tmp_path, "train", "c.yaml", "--json", "--set", "description=of the run")
    assert client.get_registered_model("described").description == "by hand"


def test_the_dataset_says_which_columns_may_be_missing(tracking_env, client, tmp_path):
    (tmp_path / "rows.csv").write_text("a,b,y\n" + "".join(f"{i % 7},{i % 5 if i % 9 else ''},{int(i % 3 == 0)}\n" for i in range(200)))
    (tmp_path / "c.yaml").write_text("name: holes\nexperiment: holes\ndata: {source: rows.csv}\ntarget: {column: y}\nevaluate: {bootstrap: 0}\n")
    run = client.get_run(solvent(tracking_env, tmp_path, "train", "c.yaml", "--json", "--no-register")[-1]["run_id"])
    columns = json.loads(run.inputs.dataset_inputs[0].dataset.schema)["mlflow_colspec"]
    assert {column["name"]: column["required"] for column in columns} == {"a": True, "b": False, "y": True}


def test_interrupted_is_killed(tracking_env, client, tmp_path):
    write(tmp_path, "interrupted")
    slow = ["--output", "out", "--set", "train.checkpoint_every=1000", "--set", "train.solver=gd", "--set", "train.tolerance=1e-300", "--set", "train.max_iter=100000000"]
    process = subprocess.Popen([SOLVENT, "train", "c.yaml", *slow], cwd=tmp_path, env=tracking_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "out" / "checkpoint").exists():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.05)
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


def test_training_does_not_wait_for_the_server(tmp_path):
    """A server that takes connections and never answers: the training reads, audits, fits and judges all the same; only what comes behind its end may wait."""
    write(tmp_path, "silent")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{silent.getsockname()[1]}", "HOME": str(tmp_path), "MLFLOW_HTTP_REQUEST_TIMEOUT": "600"}
        process = subprocess.Popen([SOLVENT, "train", "c.yaml"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            asked, _ = silent.accept()  # it does ask
            lines = []
            while not any("roc_auc" in line for line in lines):
                lines.append(process.stdout.readline())
                assert lines[-1], lines
            assert asked.recv(4) in (b"GET ", b"POST") and process.poll() is None  # the question is still open
            asked.close()
        finally:
            process.kill()
            process.wait()
    assert [line.split()[0] for line in lines if line[0] != " "][:2] == ["read", "split"] and any(line.startswith("fit ") for line in lines)


class Refusing(http.server.BaseHTTPRequestHandler):
    """Says no to everything, once it is told to."""

    may_answer = threading.Event()

    def do_GET(self):
        self.may_answer.wait()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_error(403)

    do_POST = do_GET

    def log_message(self, *_):
        pass


def test_a_fit_ends_once_the_server_refuses_its_run(tmp_path):
    """The fit begins before the server has said a word, and would go on for days."""
    write(tmp_path, "refused")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.server_port}", "HOME": str(tmp_path)}
        endless = ["--set", "train.solver=gd", "--set", "train.tolerance=1e-300", "--set", "train.max_iter=100000000", "--set", "train.checkpoint_every=1000", "--output", "out"]
        process = subprocess.Popen([SOLVENT, "train", "c.yaml", *endless], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            while not (tmp_path / "out" / "checkpoint").exists():
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.05)
            Refusing.may_answer.set()
            _, stderr = process.communicate(timeout=120)
        finally:
            Refusing.may_answer.set()
            process.kill()
            process.wait()
            server.shutdown()
    assert process.returncode == 1 and "403" in stderr, stderr


def test_every_fit_logs_its_certificate(tracking_env, client, tmp_path):
    write(tmp_path, "certified")
    for more, solver, figure in ([], "newton", "fit.weight_error"), (["--set", "train.penalty=l1"], "cd", "fit.duality_gap"):
        run = client.get_run(solvent(tracking_env, tmp_path, "train", "c.yaml", "--json", "--no-register", *more)[-1]["run_id"])
        tolerance = float(run.data.params["train.tolerance"])
        assert run.data.params["fit.solver"] == solver and run.data.metrics["fit.converged"] == 1
        assert run.data.metrics["fit.gradient_norm"] <= tolerance and 0 <= run.data.metrics[figure] < 1e-3


def test_the_threshold_in_use_is_a_metric_whoever_chose_it(tracking_env, client, tmp_path):
    write(tmp_path, "threshold")
    for more in (["--set", "evaluate.threshold=0.3"], ["--set", "evaluate.threshold_rule=costs", "--set", "evaluate.costs.false_negative=4"]):
        run = client.get_run(solvent(tracking_env, tmp_path, "train", "c.yaml", "--json", "--no-register", "--output", "out", *more)[-1]["run_id"])
        used = json.loads((tmp_path / "out/model/pipeline.json").read_text())["threshold"]
        assert run.data.metrics["threshold"] == used, more
    assert used not in (0.3, 0.5) and run.data.params["evaluate.threshold"] == "0.5"


def test_what_tracking_takes_from_a_training_is_logged(tracking_env, client, tmp_path):
    write(tmp_path, "costs")
    events = solvent(tracking_env, tmp_path, "train", "c.yaml", "--json", "--no-register")
    told = next(event["seconds_for_tracking"] for event in events if event["event"] == "trained")
    assert 0 < told < events[-1]["seconds"]["total"] and client.get_run(events[-1]["run_id"]).data.metrics["seconds.tracking"] == told


def test_ctrl_c_ends_the_wait_for_a_silent_server(tmp_path):
    """The training is done and its journal is on disk: whoever presses Ctrl-C need not wait until the server's time is up."""
    write(tmp_path, "silent")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{silent.getsockname()[1]}", "HOME": str(tmp_path), "MLFLOW_HTTP_REQUEST_TIMEOUT": "600"}
        process = subprocess.Popen([SOLVENT, "train", "c.yaml", "--no-register", "--output", "out"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not (tmp_path / "out" / "report").exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "mlflowc sync" in said, said


def test_the_validation_loss_stops_the_fit_and_its_best_weights_are_kept(tracking_env, client, tmp_path):
    """Sixty noisy columns on few rows and hardly a penalty: the longer it learns by heart, the worse on the validation rows."""
    rng, wide = random.Random(8), 60
    rows = [",".join([f"x{j}" for j in range(wide)] + ["y"])]
    for _ in range(300):
        x = [rng.gauss(0, 1) for _ in range(wide)]
        rows.append(",".join([f"{value:.6f}" for value in x] + [str(int(x[0] + rng.gauss(0, 2) > 0))]))
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "c.yaml").write_text("name: early\nexperiment: early\ndata: {source: rows.csv}\ntarget: {column: y, positive: '1'}\ndrop: [y]\nevaluate: {bootstrap: 0}\n"
                                     "split: {train: 0.4, validation: 0.4, test: 0.2}\n"
                                     "train: {solver: gd, c: 1000, max_iter: 500, tolerance: 1e-12}\n")
    patience = 4
    runs = [client.get_run(solvent(tracking_env, tmp_path, "train", "c.yaml", "--json", "--no-register", *more)[-1]["run_id"]) for more in ([], ["--set", f"train.patience={patience}"])]
    to_the_end, stopped = (run.data.metrics for run in runs)
    watched = client.get_metric_history(runs[1].info.run_id, "validation.loss")
    losses = [metric.value for metric in sorted(watched, key=lambda metric: metric.step)]
    best = losses.index(min(losses))
    assert best + 1 + patience == len(losses) == stopped["fit.iterations"] < to_the_end["fit.iterations"]
    assert stopped["validation.log_loss"] == pytest.approx(losses[best], rel=1e-9)  # the model that is judged, and kept, is the best one
    assert losses[best] < losses[-1] and stopped["validation.log_loss"] < to_the_end["validation.log_loss"]
