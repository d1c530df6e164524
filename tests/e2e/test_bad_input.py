"""What a user gets wrong: one clear message that names the place, exit 1 or 2, and nothing half-written. Each row provokes one."""

import json
import os
import shutil
import subprocess

import pytest
from mlflow_server import free_port

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
    ("missing_file", None, "", "age", 1, ["rows.csv"]),
    ("unknown_column", table(), "", "age, salary", 2, ["small.yaml:5:", "salary"]),
    ("string_in_a_numeric_column", table({17: "x9,1200,cook"}), "columns: {age: long}", "age", 1, ["rows.csv", "18", "age", "x9"]),
    ("one_row", "age,income,job\n30,1200,cook\n", "", "age", 1, ["1 row"]),
    ("no_rows", "age,income,job\n", "", "age", 1, ["rows.csv"]),
    ("constant_target", table({i + 1: f"{20 + i % 50},1600,cook" for i in range(ROWS)}), "", "age", 1, ["target", "y"]),
    ("nan_from_an_expression", table({5: "10,1200,cook"}), "features: {depth: log(age - 15)}\nencode: {missing: error}", "depth", 1, ["depth", "5"]),
    ("unknown_key", table(), "splitt: {train: 1}", "age", 2, ["small.yaml:3:1", "splitt", "split"]),
    ("wrong_type", table(), "train: {c: much}", "age", 2, ["small.yaml:3:", "train.c", "much"]),
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
    (broken / "pipeline.json").write_text(spoil((package / "pipeline.json").read_text()))
    (tmp_path / "rows.csv").write_text(table())
    for command in ([solvent, "predict", "--model", broken, "--input", "rows.csv"], [solvent_serve, "--model", broken, "--port", "0"]):
        done = subprocess.run([str(word) for word in command], cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        message = clean(done)
        assert done.returncode == 1 and "pipeline.json" in message, message


def test_an_unreachable_server(solvent_serve, solvent, tmp_path):
    address = f"http://127.0.0.1:{free_port()}"
    env = {**os.environ, "MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    for command in ([solvent_serve, "--model", "models:/small@champion", "--port", "0"], [solvent, "explain", "--model", "models:/small@champion"]):
        done = subprocess.run([str(word) for word in command], cwd=tmp_path, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        assert done.returncode == 1 and address.removeprefix("http://") in clean(done), done.stderr


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
