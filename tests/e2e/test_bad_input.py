"""What a user gets wrong: one clear message that names the place, exit 1 or 2, and nothing half-written. Each row provokes one."""

import http.server
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from mlflow_server import free_port

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "serve"))
from serve_process import overwrite  # noqa: E402

ROWS = 200
CONFIG = """name: small
data: {{source: {source}}}
{extra}
target: {{name: y, when: "income > 1500"}}
use: [{use}]
split: {{train: 0.7, validation: 0.1, test: 0.2, seed: 1}}
"""


def table(change=None):
    """rows of age,income,job as text; change maps a 1-based data row to its text."""
    lines = [f"{20 + i % 50},{1000 + (i * 37) % 1100},{('cook', 'clerk')[i % 2]}" for i in range(ROWS)]
    for row, text in (change or {}).items():
        lines[row - 1] = text
    return "age,income,job\n" + "\n".join(lines) + "\n"


# name, table (None: no file), extra lines, use, exit code, what the message must hold
CASES = [
    ("missing_file", None, "", "age", 1, ["rows.csv", "hint: `data.source`"]),
    ("unknown_column", table(), "", "age, salary", 2, ["small.yaml:5:", "salary", "hint: there are: age, income, job"]),
    ("string_in_a_numeric_column", table({17: "x9,1200,cook"}), "columns: {age: long}", "age", 1, ["rows.csv", "18", "age", "x9"]),
    ("one_row", "age,income,job\n30,1200,cook\n", "", "age", 1, ["1 row"]),
    ("no_rows", "age,income,job\n", "", "age", 1, ["rows.csv"]),
    ("constant_target", table({i + 1: f"{20 + i % 50},1600,cook" for i in range(ROWS)}), "", "age", 1, ["target", "y"]),
    ("nan_from_an_expression", table({5: "10,1200,cook"}), "features: {depth: log(age - 15)}\nencode: {missing: error}", "depth", 1, ["depth", "5"]),
    ("unknown_key", table(), "splitt: {train: 1}", "age", 2, ["small.yaml:3:1", "splitt", "split"]),
    ("wrong_type", table(), "train: {c: much}", "age", 2, ["small.yaml:3:", "train.c", "much"]),
    ("use_of_nothing", table(), "", "", 2, ["small.yaml:5:6", "'use'", "at least one"]),
    ("unknown_segment", table(), "evaluate: {segments: [jbo]}", "age", 2, ["small.yaml:3:23", "evaluate.segments", "jbo", "did you mean 'job'"]),
    ("unknown_baseline", table(), "evaluate: {baseline: job}", "age", 2, ["small.yaml:3:", "evaluate.baseline", "'job' holds text"]),
    ("bad_expression", table(), "features: {f: log(age}", "f", 2, ["small.yaml:3:", "f"]),
]


def solvent_run(solvent, folder, *arguments, env=None):
    return subprocess.run([solvent, *arguments], cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)


def clean(done):
    """The one message: sanitizer output or an assertion would be a bug, whatever the exit code."""
    assert "Sanitizer" not in done.stderr and "Assertion" not in done.stderr, done.stderr
    return done.stderr


@pytest.mark.parametrize("rows, extra, use, code, words", [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_train_says_what_is_wrong(solvent, tmp_path, rows, extra, use, code, words):
    if rows is not None:
        (tmp_path / "rows.csv").write_text(rows)
    (tmp_path / "small.yaml").write_text(CONFIG.format(source="rows.csv", extra=extra, use=use))
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", "--no-tracking", "--output", "out")
    message = clean(done)
    assert done.returncode == code, message
    assert all(word in message for word in words), message
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("pipeline.json"))


@pytest.mark.parametrize("uri", ["ftp://mlflow:5000", "mlflow:5000", "http://"])
def test_a_wrong_tracking_address_is_told_before_anything_is_read(solvent, tmp_path, uri):
    (tmp_path / "rows.csv").write_text(table())
    (tmp_path / "small.yaml").write_text(CONFIG.format(source="rows.csv", extra="", use="age"))
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", env={**os.environ, "MLFLOW_TRACKING_URI": uri})
    assert done.returncode == 2 and uri in clean(done) and "MLFLOW_TRACKING_URI" in done.stderr and not done.stdout, done
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", "--set", f"tracking.uri={uri}")
    assert done.returncode == 2 and f"--set tracking.uri={uri}: in 'tracking.uri'" in clean(done) and not done.stdout, done


def test_a_login_in_an_address_is_not_told(solvent, tracking_env, mlflow_server, tmp_path):
    import mlflow

    (tmp_path / "small.yaml").write_text("experiment: secrets\n" + CONFIG.format(source='"http://someone:secret1@127.0.0.1:9/rows.csv?signature=secret2"', extra="", use="age"))
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", env={**tracking_env, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"})
    client = mlflow.MlflowClient(mlflow_server.uri)
    run = client.search_runs([client.get_experiment_by_name("secrets").experiment_id])[0]
    assert done.returncode == 1 and "127.0.0.1:9/rows.csv" in run.data.tags["solvent.failure"]
    assert "secret" not in clean(done).replace("secrets", "") and not any("secret1" in text or "secret2" in text for text in {**run.data.tags, **run.data.params}.values()), done.stderr
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", env={**os.environ, "MLFLOW_TRACKING_URI": "ftp://someone:secret1@mlflow"})
    assert done.returncode == 2 and "ftp://***@mlflow" in done.stderr and "secret1" not in done.stderr, done.stderr
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", "--set", "tracking.uri=ftp://someone:secret1@mlflow")
    assert done.returncode == 2 and "--set tracking.uri=ftp://***@mlflow: in 'tracking.uri'" in done.stderr and "secret1" not in done.stderr


def test_a_login_in_an_address_that_answers_404_is_not_told(solvent, solvent_serve, mlflowc, tracking_env, mlflow_server, tmp_path):
    import mlflow

    class Nothing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    elsewhere = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{elsewhere.server_port}"
    address = f"http://bob:s3cret@{host}/x?sig=signed7"
    (tmp_path / "rows.csv").write_text(table())
    (tmp_path / "small.yaml").write_text("experiment: nothing there\n" + CONFIG.format(source="rows.csv", extra="", use="age"))
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", "--set", f"data.source={address}", env=tracking_env)
    client = mlflow.MlflowClient(mlflow_server.uri)
    run = client.search_runs([client.get_experiment_by_name("nothing there").experiment_id])[0]
    told = [clean(done), *run.data.tags.values(), *run.data.params.values()]
    assert done.returncode == 1 and f"http://***@{host}/x?***: no such artifact" in run.data.tags["solvent.failure"], told
    for program, *arguments in (
        (solvent, "predict", "--model", address, "--input", "rows.csv"),
        (solvent, "explain", "--model", address),
        (solvent, "evaluate", "small.yaml", "--model", address),
        (solvent, "prepare", "small.yaml", "--output", address),
        (solvent_serve, "--model", address, "--port", "0"),
        (mlflowc, "request", "GET", address),
        (mlflowc, "artifacts", "download", address, "here"),
    ):
        done = solvent_run(program, tmp_path, *arguments, env=tracking_env)
        told.append(clean(done))
        assert done.returncode and f"***@{host}/x" in done.stderr, (arguments, done.stderr)
    elsewhere.shutdown()
    elsewhere.server_close()
    assert not any(secret in text for text in told for secret in ("s3cret", "signed7")), told


@pytest.mark.parametrize("command", [["predict", "--input", "rows.csv"], ["explain"], ["evaluate", "small.yaml"]], ids=lambda command: command[0])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, None])
def test_a_server_that_is_away_is_told_at_once_and_not_waited_for_long(solvent, tmp_path, command, number):
    (tmp_path / "rows.csv").write_text(table())
    (tmp_path / "small.yaml").write_text(CONFIG.format(source="rows.csv", extra="", use="age"))
    env = {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}", "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([solvent, *command, "--model", "models:/x@y"], cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    first = process.stderr.readline()
    assert "warning: models:/x@y: " in first and "tried again for" in first and process.poll() is None, first
    if number:
        process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == (-number if number else 1), rest
    assert number or "is the tracking server up?" in rest, rest
    assert not list(tmp_path.glob("solvent-*")), rest


@pytest.mark.parametrize("output", ["rows.csv/deep/out", "rows.csv", "/proc/version/out"])
def test_an_output_that_cannot_be_written_is_told_before_anything_is_read(solvent, tmp_path, output):
    (tmp_path / "rows.csv").write_text(table())
    (tmp_path / "small.yaml").write_text(CONFIG.format(source="rows.csv", extra="", use="age"))
    for command in (["train"], ["sweep", "--set", "sweep.keys={train.c: [1]}"]):
        done = solvent_run(solvent, tmp_path, command[0], "small.yaml", *command[1:], "--no-tracking", "--output", output)
        assert done.returncode == 2 and f"{output}: cannot be written" in clean(done) and not done.stdout, done


def test_a_wrong_sweep_value_is_told_before_a_trial(solvent, tmp_path):
    (tmp_path / "rows.csv").write_text(table())
    (tmp_path / "small.yaml").write_text(CONFIG.format(source="rows.csv", extra="sweep: {keys: {train.c: [0.1, -1]}}", use="age"))
    for command in ("sweep", "check"):
        done = solvent_run(solvent, tmp_path, command, "small.yaml", *(["--no-tracking"] if command == "sweep" else []))
        assert done.returncode == 2 and "small.yaml:3:" in clean(done) and "in 'sweep.keys': train.c=-1: in 'train.c': must be > 0, got -1" in done.stderr and not done.stdout, done


@pytest.mark.parametrize(
    "sets, words",
    [
        (["train.c=-1"], "--set train.c=-1: in 'train.c'"),
        (["split.train=0.9"], "--set split.train=0.9: in 'split.train'"),
        (["split.test=0.9"], "--set split.test=0.9: small.yaml"),
        (["use=[nope]"], "--set use=[nope]: in 'use'"),
        (["features.f=log("], "--set features.f=log(: in 'features.f'"),
        (["evaluate.bootstrap=0", "encode.columns.age=hash(4)"], "--set encode.columns.age=hash(4): in 'encode.columns.age'"),
    ],
)
def test_what_a_set_does_wrong_is_not_the_files_fault(solvent, tmp_path, sets, words):
    (tmp_path / "rows.csv").write_text(table())
    (tmp_path / "small.yaml").write_text(CONFIG.format(source="rows.csv", extra="", use="age"))
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", "--no-tracking", *[word for text in sets for word in ("--set", text)])
    assert done.returncode == 2 and f"solvent: {words}" in clean(done), done.stderr


def test_the_same_table_trains_when_nothing_is_wrong(solvent, tmp_path):
    """So that the cases above fail for their own reason."""
    (tmp_path / "rows.csv").write_text(table())
    (tmp_path / "small.yaml").write_text(CONFIG.format(source="rows.csv", extra="", use="age, job"))
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", "--no-tracking", "--output", "out")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def package(solvent, tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    (folder / "rows.csv").write_text(table())
    (folder / "small.yaml").write_text(CONFIG.format(source="rows.csv", extra="", use="age, job"))
    done = solvent_run(solvent, folder, "train", "small.yaml", "--no-tracking", "--output", "out")
    assert done.returncode == 0, done.stderr
    return next((folder / "out").rglob("pipeline.json")).parent


def test_predict_names_the_column_that_is_missing(solvent, package, tmp_path):
    (tmp_path / "rows.csv").write_text("agee,income\n30,1200\n")
    for command in (["predict", "--input", "rows.csv"], ["explain", "--input", "rows.csv"]):
        done = solvent_run(solvent, tmp_path, command[0], "--model", str(package), *command[1:])
        assert done.returncode == 1 and "solvent: rows.csv: no column 'age', which the model reads" in clean(done) and "  hint: the header has: " in done.stderr, done.stderr
    assert "is 'agee' meant?" in solvent_run(solvent, tmp_path, "predict", "--model", str(package), "--input", "rows.csv").stderr


def test_predict_does_not_point_at_a_configuration_it_does_not_read(solvent, package, tmp_path):
    (tmp_path / "rows.csv").write_text("age,income,job\nold,1200,cook\n")
    for command in ("predict", "explain"):
        done = solvent_run(solvent, tmp_path, command, "--model", str(package), "--input", "rows.csv")
        assert done.returncode == 1 and "row 1 (line 2): column 'age': expected long, got 'old'" in clean(done) and "data." not in done.stderr, done.stderr


def test_predict_says_where_a_whole_number_is_missing(solvent, package, tmp_path):
    (tmp_path / "rows.csv").write_text("age,income,job\n30,1200,cook\n,1200,cook\n")
    done = solvent_run(solvent, tmp_path, "predict", "--model", str(package), "--input", "rows.csv")
    assert done.returncode == 1 and "solvent: rows.csv: column age: expected long, got double" in clean(done) and "an empty cell" in done.stderr, done.stderr


def test_what_training_refuses_is_not_predicted_silently(solvent, tmp_path):
    """log(-1) and 1/0: answered as MLflow's flavors of the model answer, with a warning that names the row."""
    import mlflow
    import pandas as pd

    (tmp_path / "rows.csv").write_text(table())
    (tmp_path / "small.yaml").write_text(CONFIG.format(source="rows.csv", extra="columns: {age: double}\nfeatures: {depth: log(age - 15), share: income / (age - 10)}", use="depth, share, job"))
    assert solvent_run(solvent, tmp_path, "train", "small.yaml", "--no-tracking", "--output", "out").returncode == 0
    lines = ["30,1200,cook", ",1200,cook", "14,1200,cook", "10,1200,cook"]
    (tmp_path / "new.csv").write_text("age,income,job\n" + "\n".join(lines) + "\n")
    done = solvent_run(solvent, tmp_path, "predict", "--model", "out/model", "--input", "new.csv")
    assert done.returncode == 0 and done.stderr.count("warning") == 1, clean(done)
    assert "new.csv: features.depth: row 3: expected a finite number, got NaN; training refuses such a row" in done.stderr
    ours = pd.read_csv(io.StringIO(done.stdout))
    theirs = mlflow.pyfunc.load_model(str(tmp_path / "out" / "model")).predict(pd.read_csv(tmp_path / "new.csv"))
    assert ours["y_probability"].tolist() == pytest.approx(theirs["y_probability"].tolist(), abs=1e-14), "as MLflow answers it"
    (tmp_path / "new.csv").write_text("age,income,job\n" + "\n".join(lines[:2]) + "\n")
    assert not solvent_run(solvent, tmp_path, "predict", "--model", "out/model", "--input", "new.csv").stderr


def truncated(text):
    return text[: len(text) // 2]


def other_weight(text):
    document = json.loads(text)
    document["intercept"] = document["intercept"] * 3
    return json.dumps(document)


@pytest.mark.parametrize("spoil", [truncated, other_weight, lambda text: "", lambda text: "[" * 100_000], ids=["truncated", "wrong_shape", "empty", "deep"])
def test_a_corrupt_package_is_refused(solvent, solvent_serve, package, tmp_path, spoil):
    broken = tmp_path / "broken"
    shutil.copytree(package, broken)
    overwrite(broken, "pipeline.json", spoil((package / "pipeline.json").read_text()))
    (tmp_path / "rows.csv").write_text(table())
    for command in ([solvent, "predict", "--model", broken, "--input", "rows.csv"], [solvent_serve, "--model", broken, "--port", "0"]):
        done = subprocess.run([str(word) for word in command], cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        message = clean(done)
        assert done.returncode == 1 and "pipeline.json" in message, message


def test_training_goes_on_without_its_server(solvent, tmp_path):
    (tmp_path / "rows.csv").write_text(table())
    (tmp_path / "small.yaml").write_text(CONFIG.format(source="rows.csv", extra="register: {alias: champion}", use="age, job"))
    env = {**os.environ, "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}", "MLFLOW_JOURNAL_DIR": str(tmp_path / "journal")}
    began = time.monotonic()
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", "--output", "out", env=env)
    assert done.returncode == 0 and time.monotonic() - began < 15, clean(done)
    assert done.stderr.index("the tracking server does not answer") < done.stderr.index("the registered version waits with it"), done.stderr
    assert "small: a version @champion waits with the run" in done.stdout and "`mlflowc sync`" in done.stdout
    assert (tmp_path / "out" / "model" / "pipeline.json").exists() and len(list((tmp_path / "journal").iterdir())) == 1


def test_a_server_that_refuses_fails_the_training(solvent, mlflow_server, tracking_env, tmp_path):
    """Told when the server's word comes: nothing waits for it, and it ends a fit under way (tests/trainer/test_tracking.py)."""
    import mlflow

    client = mlflow.MlflowClient(mlflow_server.uri)
    client.delete_experiment(client.create_experiment("deleted"))
    (tmp_path / "rows.csv").write_text(table())
    (tmp_path / "small.yaml").write_text("experiment: deleted\n" + CONFIG.format(source="rows.csv", extra="", use="age"))
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", env=tracking_env)
    assert done.returncode == 1 and "experiment 'deleted' is deleted" in clean(done) and "registered" not in done.stdout, done


def test_an_unreachable_server(solvent_serve, solvent, tmp_path):
    address = f"http://127.0.0.1:{free_port()}"
    env = {**os.environ, "MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    for command in ([solvent_serve, "--model", "models:/small@champion", "--port", "0"], [solvent, "explain", "--model", "models:/small@champion"]):
        done = subprocess.run([str(word) for word in command], cwd=tmp_path, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        assert done.returncode == 1 and address.removeprefix("http://") in clean(done) and "\n  hint: is the tracking server up?" in done.stderr, done.stderr


@pytest.mark.parametrize("uri, words", [("models:/absent@champion", ["absent"]), ("models:/absent/7", ["absent"]), ("models:/x@", ["models:/x@"]), ("nowhere/at/all", ["nowhere/at/all"])])
def test_a_model_that_is_not_there(solvent_serve, solvent, tracking_env, tmp_path, uri, words):
    for command in ([solvent_serve, "--model", uri, "--port", "0"], [solvent, "explain", "--model", uri]):
        done = subprocess.run([str(word) for word in command], cwd=tmp_path, env=tracking_env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        message = clean(done)
        assert done.returncode in (1, 2) and all(word in message for word in words), message


def test_a_wrong_alias_of_a_model_that_exists(solvent, solvent_serve, tracking_env, tmp_path):
    (tmp_path / "rows.csv").write_text(table())
    (tmp_path / "small.yaml").write_text(CONFIG.format(source="rows.csv", extra="", use="age, job"))
    trained = solvent_run(solvent, tmp_path, "train", "small.yaml", env=tracking_env)
    assert trained.returncode == 0, trained.stderr
    done = subprocess.run([solvent_serve, "--model", "models:/small@champoin", "--port", "0"], env=tracking_env, capture_output=True, text=True, timeout=60)
    message = clean(done)
    assert done.returncode == 1 and "champoin" in message and "small" in message, message


def test_a_run_that_fails_is_marked_failed_with_its_reason(solvent, tracking_env, mlflow_server, tmp_path):
    import mlflow

    (tmp_path / "rows.csv").write_text(table({i + 1: f"{20 + i % 50},1600,cook" for i in range(ROWS)}))
    (tmp_path / "small.yaml").write_text("experiment: failing\n" + CONFIG.format(source="rows.csv", extra="", use="age"))
    done = solvent_run(solvent, tmp_path, "train", "small.yaml", env=tracking_env)
    assert done.returncode == 1, done.stderr
    client = mlflow.MlflowClient(mlflow_server.uri)
    runs = client.search_runs([client.get_experiment_by_name("failing").experiment_id])
    assert len(runs) == 1 and runs[0].info.status == "FAILED"
    assert any("target" in value for key, value in runs[0].data.tags.items() if not key.startswith("mlflow.")), runs[0].data.tags
