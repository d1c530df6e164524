"""The mlflowc command: what it prints, where it ends, what the official Python client reads afterwards."""

import contextlib
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(os.environ["SOURCE_ROOT"]) / "tests"))
from mlflow_server import MlflowServer  # noqa: E402

MLFLOWC = pathlib.Path(os.environ["BUILD_ROOT"]) / "mlflow_client" / "mlflowc"


@pytest.fixture(scope="module")
def server():
    with MlflowServer() as running:
        yield running


@pytest.fixture(scope="module")
def python(server):
    from mlflow import MlflowClient

    return MlflowClient(server.uri, server.uri)


def environment(folder, uri=None, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    env.update(HOME=str(folder), MLFLOW_JOURNAL_DIR=str(folder / "journal"), TZ="UTC", **more)
    return {**env, "MLFLOW_TRACKING_URI": uri} if uri else env


@pytest.fixture
def mlflowc(server, tmp_path):
    def run(*words, status=0, env=None, stdin=None):
        done = subprocess.run([MLFLOWC, *map(str, words)], capture_output=True, text=True, timeout=100, input=stdin,
                              env=environment(tmp_path, server.uri, **(env or {})))  # fmt: skip
        assert done.returncode == status, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if status == 0 else done.stdout + done.stderr

    return run


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


# ---- words about itself ----


def test_help_and_version(mlflowc):
    text = mlflowc("--help")
    for noun in ("doctor", "experiments list", "runs get", "metrics log", "artifacts upload", "models log", "registry register", "run --", "sync", "request"):
        assert noun in text, noun
    assert re.fullmatch(r"mlflowc \d+\.\d+\.\d+\n", mlflowc("--version"))
    assert "its arguments, git state, exit code, time, peak memory" in " ".join(text.split()) and max(map(len, text.splitlines())) <= 130
    assert "usage: mlflowc run [OPTIONS] -- CMD…\n" in mlflowc("run", "--help")
    assert "examples:" in mlflowc("runs", "list", "--help") and "--order-by" in mlflowc("runs", "list", "--help")


@pytest.mark.parametrize(
    "words,says",
    [
        (["foo"], 'no command "foo"'),
        (["runs", "foo"], "no such command"),
        (["runs"], "say what to do"),
        (["runs", "get"], "usage: mlflowc runs get RUN"),
        (["runs", "get", "a", "b"], "usage:"),
        (["runs", "get", "a", "--filter", "x"], "has no option --filter"),
        (["runs", "list"], "runs list: expected EXPERIMENT…, and neither MLFLOW_EXPERIMENT_NAME nor MLFLOW_EXPERIMENT_ID is set"),
        (["models", "list"], "models list: expected EXPERIMENT…"),
        (["runs", "list", "--bogus"], "no option --bogus"),
        (["runs", "list", "--limit"], "expected N"),
        (["runs", "list", "Default", "--limit", "0"], "--limit"),
        (["runs", "list", "Default", "--view", "some"], "active, deleted or all"),
        (["metrics", "log", "abc", "loss"], "KEY=VALUE"),
        (["metrics", "log", "abc", "loss=high"], "expected a number"),
        (["metrics", "log", "abc", "a//b=1"], "'//'"),
        (["run", "--metric", "(", "--", "true"], "--metric"),
        (["run", "--metric", "a", "--", "true"], "two groups"),
        (["call", "runs_gte"], "no endpoint"),
        (["call", "runs_get", "run_id=1", "x=2"], '"x" is not known'),
        (["request", "POST", "/api/2.0/mlflow/runs/log-metric", '{"value": NaN}'], "no JSON"),
        (["completion", "tcsh"], "bash, zsh or fish"),
        (["models", "get", "journal:/" + "0" * 32], "that name is for `mlflowc registry register`"),
        (["models", "tag", "journal:/" + "0" * 32, "a=b"], "that name is for `mlflowc registry register`"),
        (["models", "untag", "journal:/" + "0" * 32, "a"], "that name is for `mlflowc registry register`"),
        (["artifacts", "list", "journal:/" + "0" * 32], "that name is for `mlflowc registry register`"),
        (["experiments", "list", "--tracking-uri", "sqlite:///x.db"], "http://HOST:PORT"),
    ],
)
def test_wrong_command_lines_end_with_2(mlflowc, words, says):
    assert says in mlflowc(*words, status=2)


def test_what_cannot_be_done_ends_with_1(mlflowc):
    assert "RESOURCE_DOES_NOT_EXIST" in mlflowc("runs", "get", "0" * 32, status=1)
    assert "no experiment" in mlflowc("experiments", "get", "nowhere", status=1)
    assert "needs MLflow" in mlflowc("call", "traces_unified_declared", status=1)


def test_what_is_not_there_is_no_success(mlflowc, tmp_path):
    assert "there is no such folder" in mlflowc("journal", "list", tmp_path / "mistyped", status=1)
    assert mlflowc("journal", "list") == "", "the usual one need not be there"
    assert "--parent: " in mlflowc("runs", "create", "--parent", "mistyped", status=1)
    assert "expected models:/" in mlflowc("registry", "resolve", "mistyped", status=2)
    parent = mlflowc("runs", "create", env={"MLFLOW_OFFLINE": "1"}).strip()
    mlflowc("runs", "create", "--parent", parent)
    mlflowc("sync")
    child = mlflowc("runs", "create", "--parent", parent).strip()
    tags = objects(mlflowc("runs", "get", child, "--json"))[0]["data"]["tags"]
    assert objects(mlflowc("runs", "get", parent, "--json"))[0]["info"]["run_id"] in [tag["value"] for tag in tags if tag["key"] == "mlflow.parentRunId"]


def test_completion_knows_every_command(mlflowc):
    for shell in ("bash", "zsh", "fish"):
        text = mlflowc("completion", shell)
        assert "experiments" in text and "doctor" in text
    script = mlflowc("completion", "bash") + 'COMP_WORDS=(mlflowc runs ""); COMP_CWORD=2; _mlflowc; echo "${COMPREPLY[@]}"'
    words = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "list" in words and "create" in words and "doctor" not in words


def test_each_shell_loads_its_completion(mlflowc, tmp_path):
    """Those that are installed here say so themselves; of fish each line is read as fish reads it."""
    for shell in ("bash", "zsh", "fish"):
        (tmp_path / f"_{shell}").write_text(mlflowc("completion", shell))
        if shutil.which(shell):
            subprocess.run([shell, "-n", tmp_path / f"_{shell}"], check=True, timeout=60)
    for line in (tmp_path / "_fish").read_text().splitlines():
        assert re.fullmatch(r"complete( [^' ]+| '([^'\\]|\\['\\])*')*", line), line
    if shutil.which("fish"):
        words = subprocess.run(["fish", "-c", f"source {tmp_path}/_fish; complete -C 'mlflowc runs '"], capture_output=True, text=True, check=True, timeout=60).stdout
        assert {"list", "create"} <= {line.split()[0] for line in words.splitlines()} and "doctor" not in words
    if shutil.which("zsh"):
        (tmp_path / "_zsh").rename(tmp_path / "_mlflowc")
        script = f"""fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -D; print $_comps[mlflowc]
            compadd() {{ shift; print -- $@ }}; _files() {{ }}; words=(mlflowc runs ''); CURRENT=3; _mlflowc"""
        done = subprocess.run(["zsh", "-fc", script], capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "HOME": str(tmp_path)})
        registered, words = done.stdout.splitlines()
        assert registered == "_mlflowc" and {"list", "create"} <= set(words.split()) and "doctor" not in words


def test_man_page_is_made_from_the_same_table(mlflowc):
    text = mlflowc("man")
    assert text.startswith(".TH MLFLOWC 1") and text.count(".TP") > 40 and r"\-\-order\-by" in text


# ---- experiments, runs, metrics, params ----


def test_a_run_from_the_shell_read_by_python(mlflowc, python):
    experiment_id = mlflowc("experiments", "create", "shell", "--tag", "team=risk").strip()
    run_id = mlflowc("runs", "create", "--experiment", "shell", "--name", "night", "--tag", "a=b=c", "--description", "text").strip()
    mlflowc("metrics", "log", run_id, "loss=0.5", "acc=nan", "--step", 3)
    mlflowc("metrics", "log", run_id, "loss=0.25", "--step", -4)
    mlflowc("params", "log", run_id, "alpha=0.1", "text=größe = x")
    mlflowc("runs", "tag", run_id, "later=yes")
    mlflowc("runs", "untag", run_id, "later")
    mlflowc("runs", "end", run_id, "--status", "FAILED")
    run = python.get_run(run_id)
    assert run.info.experiment_id == experiment_id and run.info.status == "FAILED" and run.info.run_name == "night" and run.info.end_time
    assert run.data.params == {"alpha": "0.1", "text": "größe = x"}
    assert run.data.tags["a"] == "b=c" and run.data.tags["mlflow.note.content"] == "text" and "later" not in run.data.tags
    assert [(p.step, p.value) for p in python.get_metric_history(run_id, "loss")] == [(3, 0.5), (-4, 0.25)]
    table = mlflowc("runs", "list", "shell", "--column", "metrics.loss", "--column", "params.alpha").splitlines()
    assert table[0].split() == ["RUN", "NAME", "STATUS", "STARTED", "USER", "metrics.loss", "params.alpha"]
    assert table[1].split()[0] == run_id and table[1].split()[-2:] == ["0.5", "0.1"]
    assert objects(mlflowc("runs", "list", "shell", "--json"))[0]["info"]["run_id"] == run_id
    assert "data.params.alpha" in mlflowc("runs", "get", run_id)
    assert [p["step"] for p in objects(mlflowc("metrics", "history", run_id, "loss", "--json"))] == [3, -4]
    mlflowc("runs", "rename", run_id, "day")
    mlflowc("runs", "delete", run_id)
    assert mlflowc("runs", "list", "shell") == ""
    assert len(objects(mlflowc("runs", "list", "shell", "--view", "deleted", "--json"))) == 1
    mlflowc("runs", "restore", run_id)
    assert python.get_run(run_id).info.run_name == "day"


def test_runs_of_the_environments_experiment(mlflowc, python):
    run_id = mlflowc("runs", "create", "--experiment", "usual").strip()
    assert run_id in mlflowc("runs", "list", env={"MLFLOW_EXPERIMENT_NAME": "usual"})
    assert run_id in mlflowc("runs", "list", env={"MLFLOW_EXPERIMENT_ID": python.get_run(run_id).info.experiment_id})
    assert "no experiment" in mlflowc("runs", "list", env={"MLFLOW_EXPERIMENT_NAME": "unheard-of"}, status=1)
    assert python.get_experiment_by_name("unheard-of") is None, "looking makes nothing"


def test_experiments(mlflowc, python):
    mlflowc("experiments", "create", "exp-a")
    assert "EXISTS" in mlflowc("experiments", "create", "exp-a", status=1)
    mlflowc("experiments", "tag", "exp-a", "k=v")
    mlflowc("experiments", "rename", "exp-a", "exp-b")
    assert python.get_experiment_by_name("exp-b").tags["k"] == "v"
    mlflowc("experiments", "untag", "exp-b", "k")
    mlflowc("experiments", "delete", "exp-b")
    mlflowc("experiments", "restore", "exp-b")
    assert "exp-b" in mlflowc("experiments", "list", "--filter", "name LIKE 'exp%'")


def test_what_is_not_shown_is_said(server, python, mlflowc, tmp_path):
    from mlflow.entities import Metric

    experiment_id = python.create_experiment("many")
    ids = [python.create_run(experiment_id).info.run_id for _ in range(101)]
    python.log_batch(ids[0], metrics=[Metric("loss", i, 1000 + i, i) for i in range(250)])
    for words, rows, says in (
        (["metrics", "history", ids[0], "loss"], 250, False),
        (["metrics", "history", ids[0], "loss", "--limit", "7"], 7, False),
        (["runs", "list", "many"], 100, True),
        (["runs", "list", "many", "--limit", "100"], 100, False),
        (["runs", "list", "many", "--limit", "200"], 101, False),
        (["models", "list", "many"], 0, False),
    ):
        done = subprocess.run([MLFLOWC, *words, "--json"], env=environment(tmp_path, server.uri), capture_output=True, text=True, check=True, timeout=60)
        assert len(objects(done.stdout)) == rows and ("there is more" in done.stderr) == says, (words, done.stderr)
    assert "all records of a journal" in mlflowc("journal", "show", "--help")


def test_datasets_of_a_run_now_and_later(mlflowc, python):
    run_id = mlflowc("runs", "create").strip()
    for env in ({}, {"MLFLOW_OFFLINE": "1"}):
        mlflowc("runs", "input", run_id, "bank.csv", "0a1b", "--source", "data/bank.csv", "--context", "training", env=env)
    mlflowc("runs", "input", run_id, "lake", "2", "--source", "https://host/lake.parquet", env={"MLFLOW_OFFLINE": "1"})
    mlflowc("runs", "input", run_id, "own", "3", "--source", '{"table": "t"}', "--source-type", "hive")
    assert "JSON" in mlflowc("runs", "input", run_id, "own", "3", "--source", "{table", status=2)
    assert "digest" in mlflowc("runs", "input", run_id, "own", "x" * 40, env={"MLFLOW_OFFLINE": "1"}, status=2)
    mlflowc("sync")
    found = {i.dataset.name: i for i in python.get_run(run_id).inputs.dataset_inputs}
    told = {name: (i.dataset.digest, i.dataset.source_type, json.loads(i.dataset.source), [t.value for t in i.tags]) for name, i in found.items()}
    assert told == {"bank.csv": ("0a1b", "local", {"uri": "data/bank.csv"}, ["training"]), "lake": ("2", "http", {"url": "https://host/lake.parquet"}, []), "own": ("3", "hive", {"table": "t"}, [])}


def test_a_long_metric_of_a_server_without_pages(tmp_path):
    """A 2.x server answers with all points at once: more than the 64 MiB that other answers may have."""
    n, page = 600_000, 60_000
    point = '{"key": "%s", "value": 0.1234567890123456, "timestamp": 1700000000000, "step": %07d}'

    class Old(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            parts = [", ".join(point % ("train/a long name of a metric", i) for i in range(at, at + page)) for at in range(0, n, page)]
            body = ('{"metrics": [' + ", ".join(parts).replace('"step": 0', '"step": 1') + "]}").encode()
            assert len(body) > 64 << 20
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Old) as old:
        threading.Thread(target=old.serve_forever, daemon=True).start()
        done = subprocess.run([MLFLOWC, "metrics", "history", "0" * 32, "train/a long name of a metric", "--limit", str(2 * n)], env=environment(tmp_path, f"http://127.0.0.1:{old.server_port}"), capture_output=True, text=True, timeout=100)
        old.shutdown()
    assert done.returncode == 0 and done.stdout.count("\n") == n + 1, done.stderr


# ---- artifacts, models, registry ----


def test_artifacts_there_and_back(mlflowc, tmp_path):
    run_id = mlflowc("runs", "create").strip()
    folder = tmp_path / "up" / "in"
    folder.mkdir(parents=True)
    (folder / "a b.bin").write_bytes(bytes(range(256)) * 5000)
    (folder.parent / "empty").write_bytes(b"")
    mlflowc("artifacts", "upload", run_id, tmp_path / "up", "--path", "deep")
    listed = {o["path"]: o for o in objects(mlflowc("artifacts", "list", run_id, "--path", "deep", "--json"))}
    assert "in" in "".join(listed) and any(o["is_dir"] for o in listed.values())
    mlflowc("artifacts", "download", run_id, tmp_path / "down", "--path", "deep")
    found = sorted(p.name for p in (tmp_path / "down").rglob("*") if p.is_file())
    assert found == ["a b.bin", "empty"]
    assert next((tmp_path / "down").rglob("a b.bin")).read_bytes() == bytes(range(256)) * 5000
    assert "expected a file or a folder, got a pipe" in mlflowc("artifacts", "upload", run_id, "/dev/stdin", status=2, stdin="some\n")
    assert "stdin" not in mlflowc("artifacts", "list", run_id)
    mlflowc("artifacts", "delete", run_id, "--path", "deep")


def test_a_word_is_a_run_and_only_a_path_or_a_uri_is_a_folder_here(server, tmp_path):
    """What was mistyped makes no folder here, and removes none."""
    (tmp_path / "mydata" / "deep").mkdir(parents=True)
    (tmp_path / "mydata" / "deep" / "f.txt").write_text("text")

    def artifacts(*words, status=1):
        done = subprocess.run([MLFLOWC, "artifacts", *words], cwd=tmp_path, env=environment(tmp_path, server.uri), capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done
        return done.stdout + done.stderr

    for word in ("mydata", "mydata/deep", "zzz"):
        for words in (["list", word], ["download", word, "out"], ["upload", word, "mydata/deep/f.txt"], ["delete", word]):
            assert "not found" in artifacts(*words), words
    for word in (".", ".."):
        artifacts("delete", word, status=2)
    for path in ("./mydata", f"{tmp_path}/mydata"):
        assert "named as file:" in artifacts("delete", path, status=2)
        rows = artifacts("list", path, status=0).splitlines()
        assert [row.split() for row in rows] == [["PATH", "SIZE"], ["deep"]]
    assert sorted(p.name for p in tmp_path.rglob("*") if "journal" not in p.parts) == ["deep", "f.txt", "mydata"]
    artifacts("upload", "./copy", "mydata", status=0)
    artifacts("download", "./copy", "again", status=0)
    assert [p.read_text() for p in (tmp_path / "again").rglob("f.txt")] == ["text"]
    artifacts("delete", f"file://{tmp_path}/copy", status=0)
    assert not list((tmp_path / "copy").rglob("*"))


def test_a_model_logged_registered_resolved(mlflowc, python, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: nothing\n")
    run_id = mlflowc("runs", "create").strip()
    uri = mlflowc("models", "log", run_id, folder, "--name", "shellmodel", "--param", "alpha=1").strip()
    assert uri.startswith("models:/m-")
    assert "shellmodel" in mlflowc("models", "list", "Default")
    version = mlflowc("registry", "register", uri, "shell-model", "--alias", "champion", "--description", "d", "--tag", "a=b").strip()
    assert version == "1"
    found = python.get_model_version_by_alias("shell-model", "champion")
    assert found.version == "1" and found.tags["a"] == "b" and found.source == uri
    for version, same in enumerate((f"runs:/{run_id}/shellmodel", "models:/shell-model@champion"), start=2):  # the same model, by its run and by its alias
        assert mlflowc("registry", "register", same, "shell-model").strip() == str(version)
        assert python.get_model_version("shell-model", str(version)).source == uri
    mlflowc("registry", "register", f"runs:/{run_id}/nothing", "shell-model", status=1)
    assert len(python.search_model_versions("name = 'shell-model'")) == 3
    resolved = objects(mlflowc("registry", "resolve", "models:/shell-model@champion", "--json"))[0]
    assert resolved["version"] == "1" and resolved["artifact_uri"]
    assert "champion" in mlflowc("registry", "versions", "shell-model") and "shell-model" in mlflowc("registry", "list")
    mlflowc("registry", "tag", "shell-model", "1", "checked=yes")
    mlflowc("registry", "untag", "shell-model", "1", "checked")
    mlflowc("registry", "tag", "shell-model", "team=risk")
    assert python.get_registered_model("shell-model").tags == {"team": "risk"} and "checked" not in python.get_model_version("shell-model", "1").tags
    mlflowc("registry", "untag", "shell-model", "team")
    assert not python.get_registered_model("shell-model").tags
    mlflowc("registry", "describe", "shell-model", "the whole")
    mlflowc("registry", "stage", "shell-model", "1", "Staging")
    mlflowc("registry", "unalias", "shell-model", "champion")
    assert mlflowc("registry", "get", "shell-model", "@champion", status=1)
    mlflowc("registry", "delete", "shell-model")
    mlflowc("models", "tag", uri.split("/")[1], "a=b")
    mlflowc("models", "untag", uri.split("/")[1], "a")
    assert "a" not in python.get_logged_model(uri.split("/")[1]).tags
    mlflowc("models", "delete", uri.split("/")[1])


# ---- request, call ----


def test_any_endpoint(mlflowc):
    path = "/api/2.0/mlflow/experiments/get"
    assert json.loads(mlflowc("request", "GET", path, '{"experiment_id": "0"}'))["experiment"]["name"] == "Default"
    assert json.loads(mlflowc("request", "GET", path + "?experiment_id=0"))["experiment"]["name"] == "Default"
    assert json.loads(mlflowc("request", "POST", "/api/2.0/mlflow/experiments/search", "-", stdin='{"max_results": 5}'))["experiments"]
    assert "Default" in mlflowc("call", "experiments_get", "experiment_id=0")
    assert [o["name"] for o in objects(mlflowc("call", "experiments_search", "max_results=1", "--all"))].count("Default") == 1
    assert mlflowc("request", "GET", "/health").strip() == "OK"
    assert "webhooks_create" in mlflowc("endpoints", "webhooks")


def test_an_answer_of_any_bytes_is_printed_whole(server, python, tmp_path):
    run_id = python.create_run("0").info.run_id
    for content in (b"ab\0cdef", b"", b"no line end", b"\0"):
        (tmp_path / "bytes").write_bytes(content)
        python.log_artifact(run_id, str(tmp_path / "bytes"))
        done = subprocess.run([MLFLOWC, "request", "GET", f"/get-artifact?path=bytes&run_id={run_id}"], env=environment(tmp_path, server.uri), capture_output=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, content), done
    path = f"/api/2.0/mlflow-artifacts/artifacts/{python.get_run(run_id).info.artifact_uri.split('mlflow-artifacts:/')[1]}/sent"
    done = subprocess.run([MLFLOWC, "request", "PUT", path, "-"], env=environment(tmp_path, server.uri), input=b"\0xy\0", capture_output=True, timeout=60)
    assert done.returncode == 0 and pathlib.Path(python.download_artifacts(run_id, "sent", str(tmp_path))).read_bytes() == b"\0xy\0", done


# ---- run -- CMD ----


def last_run(python, name, experiment="Default"):
    found = [r for r in python.search_runs([python.get_experiment_by_name(experiment).experiment_id]) if r.info.run_name == name]
    assert len(found) == 1
    return found[0]


def test_a_wrapped_command(mlflowc, python):
    script = "echo hello; for i in 1 2 3; do echo \"step=$i loss=0.$i lr=1e-3\"; done; echo loss=99; echo problem >&2; exit 7"
    out = mlflowc("run", "--name", "wrapped", "--param", "seed=3", "--", "sh", "-c", script, status=7)
    assert "hello\n" in out and "problem" in out
    run = last_run(python, "wrapped")
    assert run.info.status == "FAILED" and run.info.end_time
    assert run.data.params["seed"] == "3" and run.data.params["command"].startswith("sh -c 'echo hello;")
    assert run.data.tags["mlflow.source.name"] == "sh"
    assert run.data.metrics["exit_code"] == 7 and run.data.metrics["peak_memory_mb"] > 0.5 and run.data.metrics["wall_seconds"] > 0
    assert [(p.step, p.value) for p in python.get_metric_history(run.info.run_id, "loss")] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert [p.value for p in python.get_metric_history(run.info.run_id, "lr")] == [0.001] * 3
    assert sorted(f.path for f in python.list_artifacts(run.info.run_id)) == ["stderr.txt", "stdout.txt"]


def test_both_outputs_of_a_wrapped_command_pass_apart_and_at_once(server, python, tmp_path):
    """Progress and metrics go to standard error as often: it passes on when it is written, is searched, and its end is kept."""
    script = "echo 'step=1 loss=0.5' >&2; echo 'step=1 acc=0.25'; printf 'more? ' >&2; read answer; echo got $answer; exit 3"
    words = [MLFLOWC, "run", "--name", "both-outputs", "--", "sh", "-c", script]
    process = subprocess.Popen(words, env=environment(tmp_path, server.uri), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    said = b""
    while not said.endswith(b"more? "):
        said += process.stderr.read(1)
    out, _ = process.communicate(b"yes\n", timeout=60)
    assert (process.returncode, out) == (3, b"step=1 acc=0.25\ngot yes\n"), out
    run = last_run(python, "both-outputs")
    assert run.data.metrics["loss"] == 0.5 and run.data.metrics["acc"] == 0.25
    kept = {f.path: pathlib.Path(python.download_artifacts(run.info.run_id, f.path, str(tmp_path))).read_bytes() for f in python.list_artifacts(run.info.run_id)}
    assert kept == {"stdout.txt": out, "stderr.txt": b"step=1 loss=0.5\nmore? "}


def test_what_is_ignored_stays_ignored_in_a_wrapped_command(server, python, tmp_path):
    """As nohup does: a closed terminal ends neither."""
    process = subprocess.Popen([MLFLOWC, "run", "--name", "nohup", "--", "sh", "-c", "sleep 1"], env=environment(tmp_path, server.uri), stderr=subprocess.PIPE, text=True,
                               start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))  # fmt: skip
    assert process.stderr.readline().startswith("mlflowc: run ")
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGHUP)
    process.communicate(timeout=30)
    assert process.returncode == 0 and last_run(python, "nohup").info.status == "FINISHED"


def test_the_peak_memory_is_the_commands_own(server, python, tmp_path):
    process = subprocess.Popen([MLFLOWC, "run", "--name", "small", "--", "true"], env=environment(tmp_path, server.uri))
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = status
    assert status == 0 and last_run(python, "small").data.metrics["peak_memory_mb"] < 0.6 * used.ru_maxrss * 1024 / 1e6


def test_a_wrapped_command_is_judged_where_ended_children_are_ignored(server, python, tmp_path):
    """As below some daemons and `trap '' CHLD`: the kernel then keeps no exit status. The command finds the signal as it was."""
    code = "import signal, sys; sys.exit(7 if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN else 8)"
    done = subprocess.run([MLFLOWC, "run", "--name", "deaf", "--", sys.executable, "-c", code], env=environment(tmp_path, server.uri), timeout=60,
                          preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))  # fmt: skip
    run = last_run(python, "deaf")
    assert (done.returncode, run.info.status, run.data.metrics["exit_code"]) == (7, "FAILED", 7)


@pytest.mark.parametrize("left", ["sleep 60 >/dev/null", "sleep 60 2>/dev/null", "while sleep 0.05; do echo more; done"], ids=["stderr", "stdout", "writes on"])
def test_a_run_ends_with_its_command_whatever_that_left_running(server, python, tmp_path, left):
    name, begin = f"left {left}", time.monotonic()
    words = [MLFLOWC, "run", "--name", name, "--", "sh", "-c", f"({left}) & echo $!; exit 3"]
    done = subprocess.run(words, env=environment(tmp_path, server.uri), stdout=subprocess.PIPE, text=True, timeout=100)
    took = time.monotonic() - begin
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(done.stdout.split()[0]), signal.SIGTERM)
    run = last_run(python, name)
    assert (done.returncode, run.info.status) == (3, "FAILED") and took < 20 and run.data.metrics["wall_seconds"] < 20, took


def test_a_slow_reader_has_all_of_a_command_that_left_something_running(tmp_path):
    script = "(while sleep 0.05; do echo more; done) & head -c 120000 /dev/zero"
    with subprocess.Popen([MLFLOWC, "run", "--", "sh", "-c", script], env=environment(tmp_path, MLFLOW_OFFLINE="1"), stdout=subprocess.PIPE) as process:
        time.sleep(3)  # longer than what is left running is listened to
        assert process.stdout.read().count(b"\0") == 120000


def test_a_command_that_closes_its_outputs_is_waited_for(server, python, tmp_path):
    words = [MLFLOWC, "run", "--name", "closed", "--", "sh", "-c", "exec >/dev/null 2>&1; sleep 0.7; exit 4"]
    assert subprocess.run(words, env=environment(tmp_path, server.uri), timeout=60).returncode == 4
    assert last_run(python, "closed").data.metrics["wall_seconds"] > 0.6


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_an_output_that_does_not_block_loses_nothing(tmp_path, name):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    script = "head -c 300000 /dev/zero" + (" >&2" if name == "stderr" else "")
    process = subprocess.Popen([MLFLOWC, "run", "--", "sh", "-c", script], env=environment(tmp_path, MLFLOW_OFFLINE="1"), **{name: writing})
    os.close(writing)
    time.sleep(0.5)  # until the pipe is full
    with open(reading, "rb") as out:
        assert out.read().count(b"\0") == 300000
    assert process.wait(60) == 0


def test_a_reader_that_goes_ends_a_command_as_without_mlflowc(server, python, tmp_path):
    process = subprocess.Popen([MLFLOWC, "run", "--name", "head", "--", "yes"], env=environment(tmp_path, server.uri), stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    try:
        assert process.wait(60) == 128 + signal.SIGPIPE
    finally:
        process.terminate()
    assert last_run(python, "head").info.status == "KILLED"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("script", ["echo lost", "echo lost; exit 3", "yes"])
def test_output_that_cannot_be_written_is_no_success(tmp_path, name, script):
    script = f"({script}) >&2" if name == "stderr" else script
    with open("/dev/full", "wb") as full:
        done = subprocess.run([MLFLOWC, "run", "--", "sh", "-c", script], env=environment(tmp_path, MLFLOW_OFFLINE="1"), timeout=60,
                              **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, name: full})  # fmt: skip
    assert done.returncode == {"echo lost": 1, "yes": 128 + signal.SIGPIPE}.get(script.strip("()>&2 "), 3)
    assert name == "stderr" or done.stderr.count(b"standard output cannot be written: No space left on device") == 1


def test_output_that_is_closed_is_no_success(tmp_path):
    done = subprocess.run(["sh", "-c", f"{MLFLOWC} run -- echo lost >&-"], env=environment(tmp_path, MLFLOW_OFFLINE="1"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.count("standard output cannot be written: Bad file descriptor") == 1, done.stderr


def test_a_run_is_continued_by_another_command(mlflowc, python):
    run_id = mlflowc("runs", "create").strip()
    for words in (["sh", "-c", "true"], ["echo", "step=1 loss=0.5"]):
        mlflowc("run", "--run", run_id, "--", *words)
    offline = {"MLFLOW_OFFLINE": "1"}
    key = mlflowc("runs", "create", "--name", "begun offline and continued", env=offline).strip()
    mlflowc("run", "--run", key, "--", "true", env=offline)
    mlflowc("run", "--run", key, "--", "echo", "step=1 loss=0.5")  # the server is there, the run is not yet
    mlflowc("run", "--", "echo", "step=2 loss=0.25", env={"MLFLOW_RUN_ID": key})
    mlflowc("sync")
    for run in (python.get_run(run_id), last_run(python, "begun offline and continued")):
        assert run.info.status == "FINISHED" and run.data.tags["mlflowc.command"].startswith("echo ") and "loss" in run.data.metrics
    assert len(python.get_metric_history(run.info.run_id, "loss")) == 2
    assert "not tracked" in subprocess.run([MLFLOWC, "run", "--run", "f" * 32, "--", "true"], env=environment(pathlib.Path("/nonexistent"), python.tracking_uri), capture_output=True, text=True, check=True).stderr


def test_a_wrapped_command_tells_its_git_state(server, python, tmp_path):
    """Branch and commit, loose or packed, of a work tree of its own, detached; the address without its login. Read without git."""
    (tmp_path / "repo" / "deep").mkdir(parents=True)

    def git(*words, cwd=tmp_path / "repo"):
        env = {**environment(tmp_path), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
        return subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@x", *map(str, words)], cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout.strip()

    def tags(name, cwd):
        subprocess.run([MLFLOWC, "run", "--name", name, "--", "true"], env={**environment(tmp_path, server.uri), "PATH": "/nonexistent:/usr/bin:/bin"}, cwd=cwd, capture_output=True, check=True, timeout=60)
        return {key.removeprefix("mlflow.source.git."): value for key, value in last_run(python, name).data.tags.items() if ".git." in key}

    git("init", "-b", "work/x")
    git("remote", "add", "origin", "https://me:secret@host/team/repo.git")
    git("commit", "--allow-empty", "-m", "first")
    commit, url = git("rev-parse", "HEAD"), "https://host/team/repo.git"
    assert tags("git-loose", tmp_path / "repo" / "deep") == {"commit": commit, "branch": "work/x", "repoURL": url}
    git("pack-refs", "--all")
    assert tags("git-packed", tmp_path / "repo") == {"commit": commit, "branch": "work/x", "repoURL": url}
    git("worktree", "add", "-b", "side", tmp_path / "side")
    git("commit", "--allow-empty", "-m", "second", cwd=tmp_path / "side")
    second = git("rev-parse", "side")
    assert tags("git-worktree", tmp_path / "side") == {"commit": second, "branch": "side", "repoURL": url} and second != commit
    git("checkout", "--detach")
    assert tags("git-detached", tmp_path / "repo") == {"commit": commit, "repoURL": url}
    (tmp_path / "none").mkdir()
    assert tags("git-none", tmp_path / "none") == {}


def test_a_wrapped_command_with_patterns_of_ones_own(mlflowc, python):
    mlflowc("run", "--name", "pattern", "--metric", "([a-z_]+): +([-+.0-9e]+)", "--", "printf", "val_loss: 0.5 acc: 0.75\\nval_loss: 0.25 acc: x\\n")
    run = last_run(python, "pattern")
    assert run.info.status == "FINISHED"
    assert [(p.step, p.value) for p in python.get_metric_history(run.info.run_id, "val_loss")] == [(0, 0.5), (1, 0.25)]
    assert [p.value for p in python.get_metric_history(run.info.run_id, "acc")] == [0.75]


def test_a_wrapped_command_that_is_not_there(mlflowc, python):
    assert "No such file" in mlflowc("run", "--name", "absent", "--", "/nonexistent/command", status=127)
    assert last_run(python, "absent").info.status == "FAILED"


def test_a_wrapped_python_program_goes_on_with_the_run(mlflowc, python):
    code = "import mlflow\nwith mlflow.start_run():\n    mlflow.log_param('inner', 1)\n"
    mlflowc("run", "--name", "nested", "--", sys.executable, "-c", code)
    assert last_run(python, "nested").data.params["inner"] == "1"


@pytest.mark.parametrize("away", ["offline", "no server", "online"])
def test_a_wrapped_program_of_this_library_goes_on_with_the_run(server, python, tmp_path, away):
    tool = pathlib.Path(os.environ["BUILD_ROOT"]) / "tests" / "mlflow_client" / "artifact" / "artifact_tool"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: nothing\n")
    name = f"wrapped-{away.split()[0]}"
    env = environment(tmp_path, "http://127.0.0.1:9" if away == "no server" else server.uri, **({"MLFLOW_OFFLINE": "1"} if away == "offline" else {}))
    words = [MLFLOWC, "run", "--name", name, "--experiment", name, "--", MLFLOWC, "run", "--param", f"inner={name}", "--", tool, "run", tmp_path / "model", name]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == (1 if away == "no server" else 0), done.stderr  # the program's own word: its run waits
    done = sync(tmp_path, None, "--tracking-uri", server.uri)
    assert done.returncode == 0 and not list((tmp_path / "journal").glob("*/data.jrn")), done.stdout + done.stderr
    run = last_run(python, name, name)
    assert run.data.params["inner"] == name and [f.path for f in python.list_artifacts(run.info.run_id, "notes")] == ["notes/hello.txt"]
    assert python.get_model_version_by_alias(name, "champion").run_id == run.info.run_id and run.info.status == "FINISHED"
    assert not [r for r in python.search_runs(["0"]) if r.info.run_id != run.info.run_id and r.data.params.get("inner") == name]


def test_a_wrapped_python_program_finds_no_run_that_its_server_does_not_know(mlflowc):
    code = "import os; print(sorted(k for k in os.environ if k.startswith('MLFLOW_RUN')))"
    assert mlflowc("run", "--", sys.executable, "-c", code, env={"MLFLOW_OFFLINE": "1"}) == "['MLFLOW_RUN_KEY']\n"
    assert mlflowc("run", "--", sys.executable, "-c", code, env={"MLFLOW_RUN_KEY": ""}) == "['MLFLOW_RUN_ID']\n"


def test_a_sync_of_nothing_or_of_what_is_refused_fails(server, mlflowc, python, tmp_path):
    assert "there is no such folder" in mlflowc("sync", tmp_path / "mistyped", status=1)
    run = python.create_run(python.create_experiment("contradicted"))
    python.log_param(run.info.run_id, "c", "1")
    mlflowc("params", "log", run.info.run_id, "c=2", env={"MLFLOW_OFFLINE": "1"})
    assert "refused" in mlflowc("sync", status=1)
    assert python.get_run(run.info.run_id).data.params == {"c": "1"}


def test_an_experiment_that_is_gone_is_named(server, python, mlflowc, tmp_path):
    experiment_id = python.create_experiment("gone")
    python.delete_experiment(experiment_id)
    done = subprocess.run([MLFLOWC, "run", "--name", "of-gone", "--experiment", "gone", "--", "true"], env=environment(tmp_path, server.uri), capture_output=True, text=True, timeout=60)
    assert "'gone'" in done.stderr and "deleted" in done.stderr and "kept in the journal" in done.stderr, done.stderr
    assert done.returncode == 0  # the command ran all the same
    assert "deleted" in mlflowc("sync", status=1)
    python.restore_experiment(experiment_id)
    mlflowc("sync")
    assert last_run(python, "of-gone", "gone").info.status == "FINISHED"


@pytest.mark.parametrize("why", ["login", "permission", "redirect", "certificate", "proxy"])
def test_a_command_whose_run_is_refused_at_its_start_waits_in_the_journal(server, python, mlflowc, tmp_path, why):
    """A password that ended in the evening costs no night's tracking."""

    class Refuses(http.server.BaseHTTPRequestHandler):
        def refuse(self):
            self.send_response(200 if self.path == "/login" else {"login": 401, "permission": 403, "redirect": 302, "proxy": 407}[why])
            self.send_header("Location", "/login")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = refuse

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as refuses:
        threading.Thread(target=refuses.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{refuses.server_port}" if why != "certificate" else server.uri.replace("http:", "https:")
        words = ["run", "--name", f"refused-{why}", "--experiment", "refused", "--param", "a=1", "--", "sh", "-c", "echo step=1 loss=0.5; exit 4"]
        done = subprocess.run([MLFLOWC, *words], env=environment(tmp_path, uri), capture_output=True, text=True, timeout=60)
        refuses.shutdown()
    assert done.returncode == 4 and "for `mlflowc sync`" in done.stderr and "not tracked" not in done.stderr, done.stderr
    mlflowc("sync", "--tracking-uri", server.uri)
    run = last_run(python, f"refused-{why}", "refused")
    assert run.info.status == "FAILED" and run.data.metrics["loss"] == 0.5 and run.data.params["a"] == "1"


def test_an_interrupted_command_is_killed(server, python, tmp_path):
    process = subprocess.Popen([MLFLOWC, "run", "--name", "stopped", "--", "sleep", "60"], env=environment(tmp_path, server.uri), stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline().startswith("mlflowc: run ")
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert last_run(python, "stopped").info.status == "KILLED"


def test_a_command_runs_although_the_server_is_away_and_sync_brings_it_later(server, python, tmp_path):
    env = environment(tmp_path, "http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", MLFLOW_OFFLINE="1")
    done = subprocess.run([MLFLOWC, "run", "--name", "offline", "--", "sh", "-c", "echo step=1 loss=0.5"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout == "step=1 loss=0.5\n"
    journals = subprocess.run([MLFLOWC, "journal", "list", "--json"], env=env, capture_output=True, text=True, check=True).stdout
    assert len(objects(journals)) == 1 and objects(journals)[0]["bytes_waiting"] > 0
    shown = subprocess.run([MLFLOWC, "journal", "show", objects(journals)[0]["path"], "--json"], env=env, capture_output=True, text=True, check=True).stdout
    assert {"create", "metric", "end"} <= {o["kind"] for o in objects(shown)}
    for _ in range(2):
        subprocess.run([MLFLOWC, "sync", "--tracking-uri", server.uri], env=environment(tmp_path), capture_output=True, text=True, check=True, timeout=60)
    run = last_run(python, "offline")
    assert run.info.status == "FINISHED" and run.data.metrics["loss"] == 0.5


def test_single_steps_wait_in_the_journal(server, python, mlflowc, tmp_path):
    run_id = mlflowc("runs", "create", "--experiment", "steps").strip()
    mlflowc("runs", "end", run_id, "--status", "KILLED")
    offline = {"MLFLOW_OFFLINE": "1"}
    mlflowc("metrics", "log", run_id, "loss=0.5", "acc=nan", "--step", 3, env=offline)
    mlflowc("params", "log", run_id, "alpha=0.1", env=offline)
    created = mlflowc("runs", "create", "--experiment", "steps", "--name", "begun offline", env=offline).strip()
    mlflowc("metrics", "log", created, "loss=7", env=offline)
    mlflowc("metrics", "log", created, "loss=8", "--step", 1)  # the server is there, the run is not yet
    assert python.get_run(run_id).data.metrics == {}
    mlflowc("sync")
    run = python.get_run(run_id)
    assert run.info.status == "KILLED" and run.data.params == {"alpha": "0.1"} and run.data.metrics["loss"] == 0.5
    assert [(p.step, p.value) for p in python.get_metric_history(run_id, "loss")] == [(3, 0.5)]
    begun = last_run(python, "begun offline", "steps")
    assert {(p.step, p.value) for p in python.get_metric_history(begun.info.run_id, "loss")} == {(0, 7.0), (1, 8.0)}
    mlflowc("metrics", "log", created, "loss=9", "--step", 2)  # the script still has nothing but the key
    mlflowc("runs", "tag", created, "checked=yes")
    assert objects(mlflowc("runs", "get", created, "--json"))[0]["info"]["run_id"] == begun.info.run_id
    assert [(p.step, p.value) for p in python.get_metric_history(begun.info.run_id, "loss")][-1] == (2, 9.0)
    mlflowc("runs", "delete", run_id, created)
    assert {python.get_run(i).info.lifecycle_stage for i in (run_id, begun.info.run_id)} == {"deleted"}


@pytest.mark.parametrize("named", ["as ever", "by its key first", "by its key later"])
def test_what_waits_of_a_run_is_overtaken_by_nothing(python, mlflowc, tmp_path, named):
    offline = {"MLFLOW_OFFLINE": "1"}
    key = mlflowc("runs", "create", "--experiment", f"order {named}", env=offline).strip()
    mlflowc("sync")
    run_id = objects(mlflowc("runs", "get", key, "--json"))[0]["info"]["run_id"]
    first, later = (key if named == "by its key first" else run_id), (key if named == "by its key later" else run_id)
    mlflowc("runs", "tag", first, "state=old", env=offline)
    mlflowc("runs", "end", first, "--status", "FAILED", env=offline)
    mlflowc("runs", "tag", later, "state=new")
    mlflowc("params", "log", later, "alpha=1")
    mlflowc("runs", "end", later, "--status", "FINISHED")
    assert "state" not in python.get_run(run_id).data.tags and len(list((tmp_path / "journal").iterdir())) == 5
    other = python.create_run("0").info.run_id
    mlflowc("runs", "tag", other, "state=now")
    assert python.get_run(other).data.tags["state"] == "now", "of another run nothing waits"
    mlflowc("sync")
    run = python.get_run(run_id)
    assert run.data.tags["state"] == "new" and run.info.status == "FINISHED" and run.data.params == {"alpha": "1"}
    mlflowc("runs", "tag", later, "state=last")
    assert python.get_run(run_id).data.tags["state"] == "last" and not list((tmp_path / "journal").iterdir())


def test_a_command_adds_to_its_own_run_at_once(python, mlflowc):
    """The journal of the program that goes on with the run is on its way, it does not wait."""
    run_id = mlflowc("runs", "create").strip()
    said = mlflowc("run", "--", "sh", "-c", f"'{MLFLOWC}' runs tag \"$MLFLOW_RUN_ID\" in=time 2>&1", env={"MLFLOW_RUN_ID": run_id})
    assert "kept" not in said and python.get_run(run_id).data.tags["in"] == "time", said


def test_a_single_step_without_its_server_is_quick_and_kept(server, python, tmp_path):
    env = environment(tmp_path, "http://127.0.0.1:9")
    began = time.monotonic()
    done = subprocess.run([MLFLOWC, "metrics", "log", "0" * 32, "loss=1"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "kept in the journal for `mlflowc sync`" in done.stderr and time.monotonic() - began < 20, done.stderr
    assert len(list((tmp_path / "journal").iterdir())) == 1


@contextlib.contextmanager
def deaf_to(server, path):
    """The server behind a proxy that loses its answers to POSTs of that path."""

    class Deaf(http.server.BaseHTTPRequestHandler):
        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            request = urllib.request.Request(server.uri + self.path, body, {"Content-Type": "application/json"}, method=self.command)
            try:
                reply = urllib.request.urlopen(request)
            except urllib.error.HTTPError as error:
                reply = error
            text = reply.read()
            if self.command == "POST" and self.path.endswith(path):
                self.close_connection = True
                return
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.headers["Content-Type"])
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = pass_on

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Deaf) as deaf:
        threading.Thread(target=deaf.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{deaf.server_port}"
        deaf.shutdown()


def test_a_point_whose_answer_was_lost_stands_once(server, python, mlflowc, tmp_path):
    """The server takes the batch and the connection breaks: what goes to the journal then is the same point, not one of a moment later."""
    run_id = mlflowc("runs", "create").strip()
    with deaf_to(server, "/runs/log-batch") as uri:
        done = subprocess.run([MLFLOWC, "metrics", "log", run_id, "loss=0.5"], env=environment(tmp_path, uri), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "kept in the journal" in done.stderr and len(python.get_metric_history(run_id, "loss")) == 1, done.stderr
    mlflowc("sync", "--tracking-uri", server.uri)
    assert len(python.get_metric_history(run_id, "loss")) == 1


def job(folder, experiment, uri, **more):
    """examples/job.sh: the last thing it prints, a run's id or its journal's key."""
    script = (pathlib.Path(os.environ["SOURCE_ROOT"]) / "examples" / "job.sh").read_text().replace("--experiment examples", f"--experiment {experiment}")
    env = environment(folder, uri, PATH=f"{MLFLOWC.parent}:{os.environ['PATH']}", TMPDIR=str(folder), **more)
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()[-1]


def story(python, run_id):
    """What a run of job.sh has on the server, without what differs from run to run."""
    run = python.get_run(run_id)
    points = [(p.step, p.value) for p in python.get_metric_history(run_id, "error")]
    files = [re.sub(r"\d+", "N", f.path) for f in python.list_artifacts(run_id)]
    return run.info.status, re.sub(r"\d+", "N", run.info.run_name), run.info.end_time > run.info.start_time, run.data.params, sorted(points), files


@pytest.mark.parametrize("away", ["offline", "no server"])
def test_the_example_runs_to_its_end_without_a_server(server, python, tmp_path, away):
    online = job(tmp_path, "job-online", server.uri)
    kept = job(tmp_path, f"job {away}".replace(" ", "-"), *({"offline": (server.uri,), "no server": ("http://127.0.0.1:9",)}[away]), **({"MLFLOW_OFFLINE": "1"} if away == "offline" else {}))
    done = sync(tmp_path, None, "--tracking-uri", server.uri)
    assert done.returncode == 0 and not list((tmp_path / "journal").iterdir()), done.stdout + done.stderr
    (run,) = python.search_runs([python.get_experiment_by_name(f"job {away}".replace(" ", "-")).experiment_id])
    assert run.data.tags["mlflow.client.key"] == kept
    assert story(python, run.info.run_id) == story(python, online) and story(python, online)[0] == "FINISHED"
    assert story(python, online)[-1] == ["errors-N.txt"]


@pytest.mark.parametrize("away", ["offline", "no server"])
def test_models_and_versions_from_the_shell_wait_for_their_server(server, python, mlflowc, tmp_path, away):
    def alone(*words):
        return mlflowc(*words, env={"MLFLOW_OFFLINE": "1"}) if away == "offline" else mlflowc(*words, "--tracking-uri", "http://127.0.0.1:9")

    name = f"waiting-{away.split()[0]}"
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: nothing\n")
    (tmp_path / "note.txt").write_text("note")
    assert alone("experiments", "create", name).strip() == name
    run = alone("runs", "create", "--experiment", name).strip()
    uri = alone("models", "log", run, folder, "--name", "shell", "--param", "alpha=1").strip()
    assert uri.startswith("journal:/")
    assert alone("registry", "register", uri, name, "--alias", "champion", "--tag", "a=b", "--description", "d") == ""
    assert alone("registry", "register", f"runs:/{run}/shell", name) == ""
    alone("runs", "tag", run, "one=1", "two=2")
    alone("artifacts", "upload", run, tmp_path / "note.txt", "--path", "deep")
    alone("runs", "end", run, "--status", "KILLED")
    assert mlflowc("registry", "register", uri, name) == "", "the server is there again, the model is not yet"
    done = sync(tmp_path, None, "--tracking-uri", server.uri)
    assert done.returncode == 0 and not list((tmp_path / "journal").iterdir()), done.stdout + done.stderr
    (found,) = python.search_runs([python.get_experiment_by_name(name).experiment_id])
    assert found.info.status == "KILLED" and found.info.end_time and {"one": "1", "two": "2"}.items() <= found.data.tags.items()
    assert [f.path for f in python.list_artifacts(found.info.run_id, "deep")] == ["deep/note.txt"]
    (model,) = python.search_logged_models([found.info.experiment_id])
    version = python.get_model_version_by_alias(name, "champion")
    assert (version.version, version.source, version.run_id, version.description) == ("1", f"models:/{model.model_id}", found.info.run_id, "d") and version.tags["a"] == "b"
    assert {v.source for v in python.search_model_versions(f"name = '{name}'")} == {version.source} and model.params == {"alpha": "1"}
    assert mlflowc("registry", "register", uri, name).strip() == "4", "a script still has nothing but the journal's name of it"
    for words in (("artifacts", "list", run, "--path", "deep"), ("artifacts", "list", f"runs:/{run}/deep")):
        assert "note.txt" in mlflowc(*words)
    assert objects(mlflowc("registry", "resolve", f"runs:/{run}/shell", "--json"))[0]["model_id"] == model.model_id
    assert "no model waits by that name" in mlflowc("registry", "register", "journal:/" + "0" * 32, name, status=1)


def test_what_is_no_model_is_refused_offline_as_online(mlflowc, tmp_path):
    (tmp_path / "nomodel").mkdir()
    (tmp_path / "nomodel" / "x.txt").write_text("x")
    for env in ({"MLFLOW_OFFLINE": "1"}, {}):
        run = mlflowc("runs", "create", env=env).strip()
        assert "needs an MLmodel file" in mlflowc("models", "log", run, tmp_path / "nomodel", env=env, status=2)
    mlflowc("sync")


def test_an_empty_folder_is_no_failure_offline_either(mlflowc, tmp_path):
    (tmp_path / "empty" / "within").mkdir(parents=True)
    for env in ({"MLFLOW_OFFLINE": "1"}, {}):
        run = mlflowc("runs", "create", env=env).strip()
        mlflowc("artifacts", "upload", run, tmp_path / "empty", env=env)
    mlflowc("sync")
    assert mlflowc("artifacts", "list", run, "--json") == "" and not list((tmp_path / "journal").glob("*/data.jrn"))


def test_a_run_with_a_parent_is_quick_without_its_server(tmp_path):
    began = time.monotonic()
    done = subprocess.run([MLFLOWC, "runs", "create", "--parent", "0" * 32], env=environment(tmp_path, "http://127.0.0.1:9"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and len(done.stdout.strip()) == 32 and time.monotonic() - began < 20, done.stderr


def test_a_model_leaves_its_runs_status_alone(python, mlflowc, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: nothing\n")
    experiment_id = python.create_experiment("ended")
    run_id = python.create_run(experiment_id).info.run_id
    python.set_terminated(run_id, "FAILED", end_time=2000)
    for env in ({}, {"MLFLOW_OFFLINE": "1"}):
        mlflowc("models", "log", run_id, folder, env=env)
        mlflowc("sync")
        run = python.get_run(run_id)
        assert (run.info.status, run.info.end_time) == ("FAILED", 2000)
    assert len(python.search_logged_models([experiment_id])) == 2


def test_a_waiting_model_is_registered_on_an_older_server_too(mlflowc, tmp_path):
    """MLflow 2 has no logged models: the model is a folder of the run, found by what the run remembers of it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: nothing\n")
    offline = {"MLFLOW_OFFLINE": "1"}
    run = mlflowc("runs", "create", env=offline).strip()
    uri = mlflowc("models", "log", run, folder, "--name", "old", env=offline).strip()
    mlflowc("registry", "register", uri, "older", "--alias", "a", env=offline)
    with MlflowServer(release="2.22") as older:
        done = sync(tmp_path, None, "--tracking-uri", older.uri)
        assert done.returncode == 0, done.stdout + done.stderr
        version = objects(mlflowc("registry", "get", "older", "@a", "--json", "--tracking-uri", older.uri))[0]
        assert version["version"] == "1" and version["source"].endswith("/artifacts/old"), version


def test_a_version_whose_answer_was_lost_is_made_once(server, python, mlflowc, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: nothing\n")
    run_id = mlflowc("runs", "create").strip()
    mlflowc("models", "log", run_id, folder)
    with deaf_to(server, "/model-versions/create") as uri:
        done = subprocess.run([MLFLOWC, "registry", "register", f"runs:/{run_id}/model", "lost-answer", "--alias", "a"], env=environment(tmp_path, uri), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert [v.version for v in python.search_model_versions("name = 'lost-answer'")] == ["1"] and python.get_model_version_by_alias("lost-answer", "a").version == "1"


@pytest.mark.parametrize(
    "words",
    [
        ["runs", "delete", "RUN"],
        ["runs", "rename", "RUN", "x"],
        ["runs", "untag", "RUN", "x"],
        ["runs", "list", "Default"],
        ["experiments", "create", "x", "--tag", "a=b"],
        ["experiments", "tag", "Default", "a=b"],
        ["artifacts", "upload", "models:/m-00000000000000000000000000000000", "/etc/hostname"],
        ["artifacts", "download", "RUN", "FOLDER"],
        ["registry", "register", "models:/m-00000000000000000000000000000000", "x"],
        ["registry", "tag", "x", "a=b"],
        ["request", "GET", "/version"],
    ],
)
def test_what_is_not_recorded_offline_says_so(mlflowc, tmp_path, words):
    env = {"MLFLOW_OFFLINE": "1"}
    run = mlflowc("runs", "create", env=env).strip()
    said = mlflowc(*(run if word == "RUN" else tmp_path / "out" if word == "FOLDER" else word for word in words), env=env, status=1)
    assert "not recorded for" in said, said
    assert len(list((tmp_path / "journal").iterdir())) == 1


def test_ends_and_tags_that_mlflow_would_refuse_are_not_kept(mlflowc, tmp_path):
    env = {"MLFLOW_OFFLINE": "1"}
    assert "--status" in mlflowc("runs", "end", "0" * 32, "--status", "DONE", env=env, status=2)
    assert "'//'" in mlflowc("runs", "tag", "0" * 32, "a//b=1", env=env, status=2)
    assert "cannot be read" in mlflowc("artifacts", "upload", "0" * 32, tmp_path / "absent", env=env, status=1)
    assert mlflowc("registry", "register", f"runs:/{'0' * 32}/m", "a/b", env=env, status=2)


@pytest.mark.parametrize(
    "words",
    [
        ["runs", "create"],
        ["runs", "tag", "RUN", "a=b"],
        ["runs", "end", "RUN"],
        ["runs", "input", "RUN", "data", "1"],
        ["metrics", "log", "RUN", "x=1"],
        ["params", "log", "RUN", "x=1"],
        ["artifacts", "upload", "RUN", "FILE"],
        ["models", "log", "RUN", "FOLDER"],
        ["registry", "register", "runs:/RUN/m", "x"],
        ["registry", "alias", "x", "champion", "1"],
    ],
)
@pytest.mark.parametrize("away", ["offline", "no server"])
def test_nothing_is_kept_where_no_journal_can_be_written(tmp_path, words, away):
    (tmp_path / "file").write_text("")
    (tmp_path / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: nothing\n")
    env = environment(tmp_path, "http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", **({"MLFLOW_OFFLINE": "1"} if away == "offline" else {}))
    env["MLFLOW_JOURNAL_DIR"] = str(tmp_path / "file")
    words = [word.replace("RUN", "a" * 32).replace("FILE", str(tmp_path / "file")).replace("FOLDER", str(tmp_path)) for word in words]
    done = subprocess.run([MLFLOWC, *words], env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "") and "kept in the journal" not in done.stderr, done


def test_an_alias_waits_in_the_journal(server, python, mlflowc, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: nothing\n")
    uri = mlflowc("models", "log", mlflowc("runs", "create").strip(), folder).strip()
    for _ in range(2):
        mlflowc("registry", "register", uri, "waiting-alias", "--alias", "champion")
    mlflowc("registry", "alias", "waiting-alias", "champion", "1", env={"MLFLOW_OFFLINE": "1"})
    away = subprocess.run([MLFLOWC, "registry", "alias", "waiting-alias", "second", "2"], env=environment(tmp_path, "http://127.0.0.1:9"), capture_output=True, text=True, timeout=60)
    assert away.returncode == 0 and "the alias second of waiting-alias waits in the journal" in away.stderr, away.stderr
    assert mlflowc("registry", "alias", "waiting-alias", "champion", "x", status=2)
    assert python.get_model_version_by_alias("waiting-alias", "champion").version == "2"
    mlflowc("sync", "--tracking-uri", server.uri)
    assert python.get_model_version_by_alias("waiting-alias", "champion").version == "1"
    assert python.get_model_version_by_alias("waiting-alias", "second").version == "2"
    assert not list((tmp_path / "journal").iterdir())


def test_a_reader_that_goes_away_is_no_error(server, tmp_path):
    env = environment(tmp_path, server.uri, MLFLOW_OFFLINE="1")
    subprocess.run([MLFLOWC, "run", "--", "sh", "-c", "i=0; while [ $i -lt 4000 ]; do echo step=$i loss=0.5; i=$((i+1)); done"], env=env, stdout=subprocess.DEVNULL, check=True, timeout=60)
    path = next(path for path in (tmp_path / "journal").iterdir() if path.is_dir())
    for words in (["journal", "show", str(path)], ["journal", "show", str(path), "--json"], ["endpoints"], ["--help"]):
        done = subprocess.run(["bash", "-c", '"$@" | head -n 1; echo ${PIPESTATUS[0]}', "bash", MLFLOWC, *words], env=env, capture_output=True, text=True, timeout=60)
        assert not done.stderr and done.stdout.splitlines()[-1] in ("0", "141"), (words, done)
    full = subprocess.run(["bash", "-c", '"$@" > /dev/full', "bash", MLFLOWC, "journal", "show", str(path)], env=env, capture_output=True, text=True, timeout=60)
    assert full.returncode == 1 and "standard output cannot be written" in full.stderr


# ---- which server a journal goes to ----


def record(folder, name, uri):
    """A run that waits in folder's journal, recorded for uri (None: for none)."""
    env = environment(folder, uri, MLFLOW_OFFLINE="1")
    subprocess.run([MLFLOWC, "run", "--name", name, "--", "true"], env=env, capture_output=True, check=True, timeout=60)


def sync(folder, uri, *words, **more):
    env = environment(folder, uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", **more)
    return subprocess.run([MLFLOWC, "sync", *map(str, words)], env=env, capture_output=True, text=True, timeout=100)


class Listener(http.server.BaseHTTPRequestHandler):
    """Refuses everybody, and remembers with what they came."""

    def refuse(self):
        self.server.came.append(self.headers.get("Authorization"))
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = refuse

    def log_message(self, *_):
        pass


@pytest.fixture
def listener():
    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as listening:
        listening.came = []
        listening.uri = f"http://127.0.0.1:{listening.server_port}"
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield listening
        listening.shutdown()


def test_a_journal_goes_to_the_server_it_was_recorded_for(server, python, listener, tmp_path):
    record(tmp_path, "recorded", server.uri.replace("http://", "http://someone:secret@"))
    assert "secret" not in "".join(path.read_text(errors="replace") for path in (tmp_path / "journal").rglob("*") if path.is_file())
    done = sync(tmp_path, listener.uri)
    assert done.returncode == 0 and f"sending to {server.uri}" in done.stdout and not listener.came, done.stdout + done.stderr
    assert last_run(python, "recorded").info.status == "FINISHED"


def test_a_journal_recorded_without_a_server_goes_to_todays(server, python, tmp_path):
    record(tmp_path, "nowhere", None)
    done = sync(tmp_path, None)
    assert done.returncode == 1 and "none is named: --tracking-uri or MLFLOW_TRACKING_URI" in done.stderr, done.stderr
    assert sync(tmp_path, server.uri).returncode == 0 and last_run(python, "nowhere").info.status == "FINISHED"


def test_a_journal_whose_server_is_gone_says_so_and_goes_where_it_is_told(server, python, tmp_path):
    for name in ("gone-1", "gone-2"):
        record(tmp_path, name, "http://127.0.0.1:9")
    record(tmp_path, "not-gone", server.uri)
    done = sync(tmp_path, server.uri, "--timeout", 2)
    out, err = done.stdout, done.stderr
    assert done.returncode == 1 and "recorded for http://127.0.0.1:9, which does not answer (--tracking-uri sends it elsewhere)" in err, err
    assert "3 journals: 1 sent, 2 waiting" in out and last_run(python, "not-gone").info.status == "FINISHED"
    done = sync(tmp_path, None, "--tracking-uri", server.uri)
    assert done.returncode == 0 and {last_run(python, f"gone-{i}").info.status for i in (1, 2)} == {"FINISHED"}


def test_a_login_goes_to_no_other_server_than_it_is_for(server, listener, tmp_path):
    record(tmp_path, "login", listener.uri)
    done = sync(tmp_path, server.uri, MLFLOW_TRACKING_TOKEN="token")
    assert done.returncode == 1 and set(listener.came) == {None}
    assert f"recorded for {listener.uri}; the environment's login is for {server.uri}, and goes there only with --tracking-uri" in done.stderr, done.stderr
    listener.came.clear()
    assert sync(tmp_path, None, MLFLOW_TRACKING_TOKEN="token").returncode == 1 and set(listener.came) == {"Bearer token"}


def test_a_server_that_wants_a_login_where_there_is_none_is_named(server, listener, tmp_path):
    record(tmp_path, "no-login", listener.uri)
    done = sync(tmp_path, server.uri)
    assert done.returncode == 1 and "environment's login is for" not in done.stderr, done.stderr
    assert f"recorded for {listener.uri}; its login is taken from the environment when --tracking-uri or MLFLOW_TRACKING_URI names it" in done.stderr, done.stderr


def test_a_journal_without_its_data_is_counted(server, tmp_path):
    record(tmp_path, "robbed", server.uri)
    (data,) = (tmp_path / "journal").glob("*/data.jrn")
    data.unlink()
    done = sync(tmp_path, None)
    assert done.returncode == 1 and "1 journal: 0 sent, 1 waiting" in done.stdout and "data.jrn: cannot be opened" in done.stderr, done.stdout + done.stderr


def test_a_journal_whose_end_was_lost_is_sent_and_the_loss_is_counted(server, python, tmp_path):
    """A torn write: a frame that says it is longer than what is there, with three points that can still be made out."""
    record(tmp_path, "torn", server.uri)
    (data,) = (tmp_path / "journal").glob("*/data.jrn")
    torn = struct.pack("<II", 1000, 0) + b"K\x04loss" + 3 * (b"P\x00\x02\x02" + struct.pack("<d", 0.5))
    data.write_bytes(data.read_bytes() + torn)
    done = sync(tmp_path, None)
    said = f"{len(torn)} bytes with at least 3 points and 0 operations are lost"
    assert done.returncode == 1 and said in done.stdout and "\nlost: " in done.stdout, done.stdout + done.stderr
    assert "1 journal: 1 sent" in done.stdout and " , " not in done.stdout, done.stdout
    assert last_run(python, "torn").info.status == "FINISHED"
    assert sync(tmp_path, server.uri).returncode == 0


@pytest.mark.parametrize("status", [200, 403, 407])
def test_the_doctor_names_the_proxy_that_answers(tmp_path, status):
    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_CONNECT(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        where = f"127.0.0.1:{proxy.server_port}"
        for uri, name in [("http://mlflow.invalid", "http_proxy"), ("http://mlflow.invalid", "HTTP_PROXY"), ("https://mlflow.invalid", "https_proxy")]:
            env = {k: v for k, v in environment(tmp_path, uri).items() if "proxy" not in k.lower()} | {name: f"http://user:secret@{where}"}
            said = subprocess.run([MLFLOWC, "doctor"], env=env, capture_output=True, text=True, timeout=60).stdout
            assert f"{name} sends requests through {where}: " in said and "NO_PROXY" in said and "secret" not in said, said
            assert ("http_proxy=http://USER:PASSWORD@HOST:PORT" in said) == (status == 407), said
        said = subprocess.run([MLFLOWC, "doctor"], env={**env, "NO_PROXY": ".invalid"}, capture_output=True, text=True, timeout=60).stdout
        assert "sends requests" not in said, said
        proxy.shutdown()


def frames(data):
    """Where each frame of a journal begins, and its payload."""
    at, found = 16, []
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append((at, data[at + 8 : at + 8 + length]))
        at += 8 + length
    return found


def damage(path, begins):
    """Flips a bit of the one frame whose payload begins so; gives back the frame's bytes in number."""
    data = bytearray(path.read_bytes())
    ((at, payload),) = [(at, payload) for at, payload in frames(data) if payload.startswith(begins)]
    data[at + 7 + len(payload)] ^= 1
    path.write_bytes(data)
    return 8 + len(payload)


def test_damage_in_a_journal_costs_the_frames_it_is_in_and_no_others(server, python, tmp_path):
    record(tmp_path, "damaged", server.uri)
    (data,) = (tmp_path / "journal").glob("*/data.jrn")
    said = f"{damage(data, b'K')} bytes"
    done = subprocess.run([MLFLOWC, "journal", "show", str(data.parent)], env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "damaged at byte " in done.stderr and said in done.stderr, done.stderr
    kinds = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert kinds[0] == "create" and kinds[-1] == "end" and "metric" not in kinds, done.stdout
    done = sync(tmp_path, None)
    assert done.returncode == 1 and f"whole again behind: {said} with at least " in done.stdout and "\nlost: " in done.stdout, done.stdout + done.stderr
    assert "1 journal: 1 sent" in done.stdout and last_run(python, "damaged").info.status == "FINISHED"
    assert sync(tmp_path, server.uri).returncode == 0


def test_a_journal_whose_first_record_is_damaged_waits_for_the_runs_id(server, python, tmp_path):
    record(tmp_path, "beheaded", server.uri)
    (data,) = (tmp_path / "journal").glob("*/data.jrn")
    damage(data, b"O\x01")
    done = sync(tmp_path, None)
    assert done.returncode == 1 and "1 journal: 0 sent, 1 waiting" in done.stdout and "its first record is damaged" in done.stderr, done.stdout + done.stderr
    run = python.create_run("0", run_name="beheaded")
    ids = json.loads((data.parent / "ids.json").read_text())
    (data.parent / "ids.json").write_text(json.dumps({**ids, data.parent.name: run.info.run_id}))
    done = sync(tmp_path, None)
    assert "1 journal: 1 sent" in done.stdout and python.get_run(run.info.run_id).info.status == "FINISHED", done.stdout + done.stderr


def test_a_journal_that_cannot_be_read_is_listed_as_such(tmp_path):
    record(tmp_path, "good", None)
    (good,) = (tmp_path / "journal").iterdir()
    damaged = tmp_path / "journal" / ("f" * 32)
    damaged.mkdir()
    (damaged / "data.jrn").write_bytes(b"x" * 16)
    done = subprocess.run([MLFLOWC, "journal", "list"], env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert done.returncode == 1 and " waits " in rows[good.name] and " cannot be read " in rows[damaged.name] and "expected" not in done.stdout, done.stdout
    assert "expected a journal that begins with MLFJRN1" in done.stderr
    (good / "position").write_bytes(b"\xff" * 128)
    done = subprocess.run([MLFLOWC, "journal", "list", "--json"], env=environment(tmp_path), capture_output=True, text=True, timeout=60)
    first, second = objects(done.stdout)
    assert 0 < first["bytes_waiting"] < first["bytes"] and second["state"] == "cannot be read" and "MLFJRN1" in second["error"], done.stdout


def test_a_wait_says_for_what_and_how_long(tmp_path):
    record(tmp_path, "absent", "http://127.0.0.1:9")
    done = sync(tmp_path, None, "--timeout", 12)
    assert done.returncode == 1 and re.search(r"waiting \d+ s for http://127.0.0.1:9 \(given up in \d+ s\): .*connect", done.stdout), done.stdout


def test_secrets_in_a_command_line_are_not_recorded(server, python, mlflowc):
    mlflowc("run", "--name", "secretive", "--", "true", "--password", "hunter2", "API_TOKEN=hunter2", "http://me:hunter2@host/x", "--epochs", "3")
    assert last_run(python, "secretive").data.params["command"] == "true --password '***' 'API_TOKEN=***' 'http://***@host/x' --epochs 3"


def test_what_others_wrote_does_not_drive_the_terminal(server, python, mlflowc):
    """ESC and the one character CSI (C1), in names, keys and values: spelt out in tables, objects and JSON, which stays the same JSON."""
    hostile = "\x1b[2J\x9b31m\u202e"
    run = python.create_run(python.create_experiment("hostile"), run_name=f"run {hostile}", tags={"hostile": f"value {hostile}"})
    for words in (("runs", "list", "hostile", "--column", "tags.hostile"), ("runs", "get", run.info.run_id), ("runs", "get", run.info.run_id, "--json")):
        out = mlflowc(*words)
        assert not set(hostile) & set(out) - set("[2J31m") and "\\u001b[2j\\u009b31m\\u202e" in out.lower(), out
    assert json.loads(out)["info"]["run_name"] == f"run {hostile}"
