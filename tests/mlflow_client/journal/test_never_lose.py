"""The promise of the journal, against a real server: whatever happens to the network, the server, the disk or the process, each point is there once and each run once.

JOURNAL_ROUNDS (default 6) is how often the random cases are repeated: kills while logging, kills while syncing, cuts. Each test prints its counts.
"""

import collections
import concurrent.futures
import http.server
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
import urllib.request

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bad_network import BadNetwork  # noqa: E402
from mlflow_server import MlflowServer  # noqa: E402

ROUNDS = int(os.environ.get("JOURNAL_ROUNDS", "6"))
COMMIT_S = 0.5  # the commit interval is 0.2 s; the rest is a busy machine
totals = collections.Counter()


@pytest.fixture(scope="module")
def server():
    with MlflowServer() as running:
        yield running


@pytest.fixture(autouse=True)
def counts(request):
    """What this test alone counted, in the log: lost and doubled are 0 when it passes, because expect_once() says so."""
    before = totals.copy()
    yield
    mine = totals - before
    if mine:
        print(f"# {request.node.name}: " + ", ".join(f"{name} {count}" for name, count in sorted({"lost": 0, "doubled": 0, **mine}.items())), file=sys.stderr)


@pytest.fixture
def job(build_root, tmp_path):
    """job(uri, *arguments) -> CompletedProcess; job.start(…) -> Popen; journals in tmp_path/journals."""
    program = build_root / "tests" / "mlflow_client" / "journal" / "journal_job"

    def environment(uri, extra):
        env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        env["MLFLOW_JOURNAL_DIR"] = str(tmp_path / "journals")
        if uri:
            env["MLFLOW_TRACKING_URI"] = uri
        return {**env, **extra}

    def start(uri, *arguments, env=(), **options):
        return subprocess.Popen(
            [str(program), *map(str, arguments)], env=environment(uri, dict(env)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # fmt: skip

    def run(uri, *arguments, env=(), **options):
        process = start(uri, *arguments, env=env, **options)
        out, err = process.communicate(timeout=180)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    run.start, run.program, run.environment = start, str(program), environment
    run.journals = tmp_path / "journals"
    return run


def words_of(done, first):
    """The words of the last line that begins so."""
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(first + " ")]
    assert lines, f"no line '{first}'\n{done.stdout}\n{done.stderr}"
    return lines[-1]


def sync(job, server, code="MLF_OK"):
    done = job(server.uri, "sync")
    words = words_of(done, "sync")
    assert words[1] == code, done.stdout + done.stderr
    return dict(zip(["journals", "sent", "waiting", "busy", "points", "operations", "refused"], map(int, words[2:9])))


def runs_of(server, experiment):
    client = MlflowClient(server.uri)
    found = client.get_experiment_by_name(experiment)
    return client.search_runs([found.experiment_id]) if found else []


def expect_once(server, experiment, steps, runs=1, at_least=None):
    """Every run has each step of loss and acc once: all of them, or (at_least) a beginning of that length or more."""
    client = MlflowClient(server.uri)
    found = runs_of(server, experiment)
    assert len(found) == runs, f"{experiment}: {len(found)} runs, expected {runs}"
    totals["runs"] += runs
    for run in found:
        for key, formula in (("loss", lambda step: 1 / (step + 1)), ("acc", lambda step: step / 7)):
            points = client.get_metric_history(run.info.run_id, key) if steps or at_least else []
            seen = collections.Counter(point.step for point in points)
            wanted = steps if at_least is None else max(at_least, max(seen, default=-1) + 1)
            lost, doubled = set(range(wanted)) - seen.keys(), [step for step, n in seen.items() if n > 1]
            totals["points"] += len(points)
            totals["lost"] += len(lost)
            totals["doubled"] += len(doubled)
            assert not lost and not doubled, f"{key}: lost {sorted(lost)[:10]}, doubled {doubled[:10]}"
            assert all(point.value == formula(point.step) for point in points)
    return found


def expect_nothing_waits(job):
    assert not list(job.journals.glob("*")), list(job.journals.glob("*"))


def test_all_is_read_back_by_mlflows_own_client(job, server):
    done = job(server.uri, "--experiment", "plain", "--steps", 2500, "--threads", 3)
    assert words_of(done, "end")[1] == "MLF_OK", done.stdout
    (run,) = expect_once(server, "plain", 2500)
    assert run.data.params == {"p0": "0", "p1": "1", "p2": "4"}
    assert run.info.status == "FINISHED" and run.info.end_time >= run.info.start_time > 0
    assert run.data.tags["stage"] == "done" and run.data.tags["mlflow.source.name"].endswith("journal_job") and run.data.tags["mlflow.user"]
    expect_nothing_waits(job)


def test_server_away_from_the_start_then_sync(job, server):
    done = job("http://127.0.0.1:1", "--experiment", "away", "--steps", 3000, "--runs", 2, "--no-end")
    assert done.returncode == 0
    report = sync(job, server)
    assert (report["journals"], report["sent"], report["points"], report["refused"]) == (2, 2, 12000, 0)
    expect_once(server, "away", 3000, runs=2)
    assert sync(job, server)["journals"] == 0  # nothing is left to do
    expect_nothing_waits(job)


def test_offline_by_environment_never_asks_the_network(job, server):
    with BadNetwork(server.port, lambda n: None) as network:
        done = job(network.uri, "--experiment", "offline", "--steps", 50, env={"MLFLOW_OFFLINE": "1"})
        assert words_of(done, "end")[1] == "MLF_OK" and network.connections == 0
    assert sync(job, server)["sent"] == 1
    (run,) = expect_once(server, "offline", 50)
    assert run.info.status == "FINISHED"


def test_continued_from_another_process(job, server):
    done = job(server.uri, "--experiment", "continued", "--steps", 10)
    run_id = words_of(done, "run")[1]
    again = job(server.uri, "--steps", 25, env={"MLFLOW_RUN_ID": run_id})
    assert words_of(again, "run")[1] == run_id
    client = MlflowClient(server.uri)
    assert {point.step for point in client.get_metric_history(run_id, "loss")} == set(range(25))
    assert client.get_run(run_id).info.status == "FINISHED" and len(runs_of(server, "continued")) == 1


def test_continued_offline_run_keeps_its_identity(job, server):
    first = job(None, "--experiment", "offline-continued", "--steps", 10, env={"MLFLOW_OFFLINE": "1"})
    key = words_of(first, "run")[1]
    job(None, "--experiment", "offline-continued", "--steps", 0, "--params", 5, env={"MLFLOW_OFFLINE": "1", "MLFLOW_RUN_ID": key})
    assert sync(job, server)["sent"] == 2
    (run,) = expect_once(server, "offline-continued", 10)
    assert run.data.params["p4"] == "16"


@pytest.mark.parametrize("release", [None, "2.9", "2.22"])
def test_a_key_alone_is_enough_to_go_on(job, server, release):
    """Offline and then sync, and online after it: whoever goes on names no experiment, or one that is not the run's; it is not on the first page."""

    def check(there):
        offline = {"MLFLOW_OFFLINE": "1"}
        key = words_of(job(None, "--experiment", "key-alone", "--steps", 10, env=offline), "run")[1]
        job(None, "--steps", 0, "--params", 5, env={**offline, "MLFLOW_RUN_ID": key})
        assert sync(job, there)["sent"] == 2
        expect_nothing_waits(job)
        for i in range(0 if release else 510):
            MlflowClient(there.uri).create_experiment(f"later-{i}")
        for experiment, steps in ((), 20), (("--experiment", "another"), 30):
            again = job(there.uri, *experiment, "--steps", steps, env={"MLFLOW_RUN_ID": key})
            assert again.returncode == 0 and words_of(again, "end")[1] == "MLF_OK", again.stdout + again.stderr
        return words_of(again, "run")[1]

    if not release:
        run_id = check(server)
        (run,) = runs_of(server, "key-alone")
        assert run.info.run_id == run_id and run.data.params["p4"] == "16" and run.info.status == "FINISHED"
        assert {point.step for point in MlflowClient(server.uri).get_metric_history(run_id, "loss")} == set(range(30))
        assert not runs_of(server, "another")
        return
    with MlflowServer(release=release) as older:
        run_id = check(older)
        with urllib.request.urlopen(f"{older.uri}/api/2.0/mlflow/runs/get?run_id={run_id}") as reply:
            data = json.load(reply)["run"]["data"]
        assert {param["key"]: param["value"] for param in data["params"]}["p4"] == "16"
        assert {metric["key"]: metric["step"] for metric in data["metrics"]} == {"loss": 29, "acc": 29}


MLMODEL = """artifact_path: model
flavors:
  python_function:
    loader_module: mlflow.sklearn
mlflow_version: 3.17.2
utc_time_created: '2026-01-01 00:00:00.000000'
"""


@pytest.mark.parametrize("where", ["online", "offline", "sync-killed"])
def test_artifacts_models_and_aliases_are_replayed(job, server, tmp_path, where):
    model, name = tmp_path / "model", f"replayed-{where}"
    model.mkdir()
    (model / "MLmodel").write_text(MLMODEL)
    (model / "data.bin").write_bytes(bytes(range(256)) * 1000)
    online = where == "online"
    done = job(server.uri if online else None, "--experiment", name, "--steps", 5, "--model", model, name, env={} if online else {"MLFLOW_OFFLINE": "1"})
    assert done.returncode == 0 and words_of(done, "end")[1] == "MLF_OK", done.stdout + done.stderr
    (model / "data.bin").unlink()  # the journal has its own copy
    dice = random.Random(17)
    while where == "sync-killed" and list(job.journals.glob("*")) and totals["model syncs killed"] < 20:
        process = job.start(server.uri, "sync")
        try:
            process.wait(dice.uniform(0.02, 0.3) + 0.02 * totals["model syncs killed"])
        except subprocess.TimeoutExpired:
            process.kill()
            totals["model syncs killed"] += 1
        process.communicate()
    if not online:
        report = sync(job, server)
        assert report["waiting"] == report["refused"] == 0
    (run,) = expect_once(server, name, 5)
    client = MlflowClient(server.uri)
    assert {item.path for item in client.list_artifacts(run.info.run_id)} >= {"notes", "raw"}
    (version,) = client.search_model_versions(f"name = '{name}'")
    assert client.get_model_version_by_alias(name, "champion").version == version.version
    assert len(client.search_logged_models([run.info.experiment_id])) == 1
    mlflow.set_tracking_uri(server.uri)
    fetched = mlflow.artifacts.download_artifacts(f"models:/{name}@champion", dst_path=str(tmp_path / "fetched"))
    with open(os.path.join(fetched, "data.bin"), "rb") as file:
        assert file.read() == bytes(range(256)) * 1000


# That release's own Python client reads; it prints what the run of an experiment holds.
READ_BACK = """
import json, sys
import mlflow
from mlflow import MlflowClient
uri, experiment, folder = sys.argv[1:]
mlflow.set_tracking_uri(uri)
client = MlflowClient(uri)
(run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
(version,) = client.search_model_versions(f"name = '{experiment}'")
fetched = mlflow.artifacts.download_artifacts(f"models:/{experiment}@champion", dst_path=folder)
print(json.dumps({
    "status": run.info.status, "params": run.data.params, "stage": run.data.tags["stage"], "version": version.version, "alias": client.get_model_version_by_alias(experiment, "champion").version,
    "artifacts": sorted(item.path for item in client.list_artifacts(run.info.run_id)), "model": fetched,
    "points": {key: [[point.step, point.value] for point in client.get_metric_history(run.info.run_id, key)] for key in ("loss", "acc")},
}))
"""


@pytest.mark.parametrize("where", ["online", "offline"])
@pytest.mark.parametrize("release", ["2.9", "2.22"])
def test_runs_artifacts_and_models_on_older_servers(job, tmp_path, release, where):
    model, name = tmp_path / "model", f"older-{where}"
    model.mkdir()
    (model / "MLmodel").write_text(MLMODEL)
    (model / "data.bin").write_bytes(bytes(range(256)) * 1000)
    with MlflowServer(release=release) as older:
        online = where == "online"
        done = job(older.uri if online else None, "--experiment", name, "--steps", 2500, "--threads", 3, "--model", model, name, env={} if online else {"MLFLOW_OFFLINE": "1"})
        assert done.returncode == 0 and words_of(done, "end")[1] == "MLF_OK", done.stdout + done.stderr
        if not online:
            report = sync(job, older)
            assert report["waiting"] == report["refused"] == 0
        expect_nothing_waits(job)
        env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        read = subprocess.run([older.python, "-c", READ_BACK, older.uri, name, str(tmp_path / "fetched")], capture_output=True, text=True, env=env, timeout=120)
        assert read.returncode == 0, read.stderr
        said = json.loads(read.stdout.splitlines()[-1])
        assert (said["status"], said["params"], said["stage"]) == ("FINISHED", {"p0": "0", "p1": "1", "p2": "4"}, "done")
        assert said["version"] == said["alias"] and {"notes", "raw"} <= set(said["artifacts"])
        for key, formula in (("loss", lambda step: 1 / (step + 1)), ("acc", lambda step: step / 7)):
            assert sorted(said["points"][key]) == [[step, formula(step)] for step in range(2500)]
            totals["points"] += 2500
        with open(os.path.join(said["model"], "data.bin"), "rb") as file:
            assert file.read() == bytes(range(256)) * 1000


# One run with all that is unusual: values, steps, names. "metric" lines are single calls, the others as job.c says.
NUMBERS = [0.1, 1 / 3, 123456789.123456789, 2.0**53 + 2, 1e22, 5e-324, 1e-310, 2.2250738585072014e-308, 1.7976931348623157e308, -0.0, float("nan"), float("inf"), float("-inf")]
STEPS = [0, -1, 1, -(2**31), 2**31, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)]
ODD = [
    *[["metric", f"number/{i}", value, 3] for i, value in enumerate(NUMBERS)],
    *[["metric", "steps", i / 7, step] for i, step in enumerate(STEPS)],
    ["metric", "größe/日本 語-1.x", 2.5, 0],
    ["metrics", 12, "array a", 0.7, "array_b", float("nan"), "array/c", -1e-9],
    ["metrics", -12, "array a", 0.8],
    ["series", "series", *[word for i, value in enumerate(NUMBERS) for word in (7 - i, value)]],
    ["param", "größe 日本", "ünï→\U0001f600 = \\ \" '"],
    ["param", "empty/1", ""],
    ["tag", "größe 日本", "ünï→\U0001f600"],
    ["tag", "long", "ü" * 5000],
    ["input", "tabelle ü", "0123abc", "http", "https://example.org/ü.csv", '{"a": "ü"}', '{"rows": 3}', "training"],
]

# That release's own Python client logs the same to a run of its own and reads both: what the server itself makes of a number is the same for both.
COMPARE = """
import json, sys
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag
uri, run_id, file = sys.argv[1:]
client = MlflowClient(uri)
mine = client.create_run(client.get_run(run_id).info.experiment_id).info.run_id
moment = 1700000000000
def log(key, value, step):
    global moment
    moment += 1
    client.log_metric(mine, key, float.fromhex(value), moment, int(step))
for line in open(file, encoding="utf-8"):
    what, *words = line.rstrip("\\n").split("\\t")
    if what == "metric":
        log(*words)
    elif what == "metrics":
        for key, value in zip(words[1::2], words[2::2]):
            log(key, value, words[0])
    elif what == "series":
        for step, value in zip(words[1::2], words[2::2]):
            log(words[0], value, step)
    elif what == "param":
        client.log_param(mine, *words)
    elif what == "tag":
        client.set_tag(mine, *words)
    else:
        name, digest, source_type, source, schema, profile, context = words
        client.log_inputs(mine, [DatasetInput(Dataset(name, digest, source_type, source, schema, profile), [InputTag("mlflow.data.context", context)])])
def read(run_id):
    run = client.get_run(run_id)
    history = {key: client.get_metric_history(run_id, key) for key in run.data.metrics}
    return {
        "points": {key: sorted([point.step, float(point.value).hex()] for point in points) for key, points in history.items()},
        "latest": {key: float(value).hex() for key, value in run.data.metrics.items()},
        "params": run.data.params, "tags": {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")},
        "inputs": [[dict(one.dataset), [dict(tag) for tag in one.tags]] for one in run.inputs.dataset_inputs],
    }, [point.timestamp for points in history.values() for point in points]
ours, times = read(run_id)
print(json.dumps([ours, read(mine)[0], min(times), max(times)]))
"""


def words_of_record(line):
    return "\t".join(word.hex() if isinstance(word, float) else str(word) for word in line)


@pytest.mark.parametrize("release", [None, "2.22", "2.9"])
def test_every_value_is_what_mlflows_own_client_would_have_logged(job, server, tmp_path, release):
    """Numbers at the ends of what a double and a step can be, names beyond ASCII, arrays, a series, a dataset; online, and offline and then sync."""
    record = tmp_path / "record"
    record.write_text("".join(words_of_record(line) + "\n" for line in ODD), encoding="utf-8")

    def check(there, where):
        began = int(time.time() * 1000)
        env = {"MLFLOW_OFFLINE": "1"} if where == "offline" else {}
        done = job(there.uri, "--experiment", f"odd-{where}", "--record", record, env=env)
        ended = int(time.time() * 1000)
        assert words_of(done, "end")[1] == "MLF_OK", done.stdout + done.stderr
        if where == "offline":
            assert sync(job, there)["refused"] == 0
            time.sleep(0.1)
        (found,) = json.loads(urllib.request.urlopen(urllib.request.Request(
            f"{there.uri}/api/2.0/mlflow/runs/search", json.dumps({"experiment_ids": [experiment_id(there, f"odd-{where}")]}).encode(), {"Content-Type": "application/json"})).read())["runs"]  # fmt: skip
        clean = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        read = subprocess.run([there.python, "-c", COMPARE, there.uri, found["info"]["run_id"], record], capture_output=True, text=True, env=clean, timeout=120)
        assert read.returncode == 0, read.stderr
        ours, mlflows, first, last = json.loads(read.stdout.splitlines()[-1])
        assert ours["tags"].pop("stage") == "done"
        for part in mlflows:
            assert ours[part] == mlflows[part], part
        assert began <= first <= last <= ended
        assert sorted(step for step, _ in ours["points"]["steps"]) == sorted(STEPS) and len(ours["points"]["series"]) == len(NUMBERS)
        totals["points"] += sum(map(len, ours["points"].values()))

    if not release:
        check(server, "online"), check(server, "offline")
        return
    with MlflowServer(release=release) as older:
        check(older, "online"), check(older, "offline")


def experiment_id(server, name):
    with urllib.request.urlopen(f"{server.uri}/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}") as reply:
        return json.load(reply)["experiment"]["experiment_id"]


def test_children_of_an_offline_run_find_their_parent(job, server):
    job(None, "--experiment", "nested", "--steps", 3, "--runs", 3, "--nested", env={"MLFLOW_OFFLINE": "1"})
    assert sync(job, server)["sent"] == 3
    runs = sorted(expect_once(server, "nested", 3, runs=3), key=lambda run: run.info.start_time)
    parents = [run.data.tags.get("mlflow.parentRunId") for run in runs]
    assert sorted(map(str, parents)) == sorted(["None", runs[0].info.run_id, runs[0].info.run_id])


def test_server_killed_and_restarted_meanwhile(job):
    with MlflowServer() as server:
        process = job.start(server.uri, "--experiment", "restart", "--steps", 1500, "--pause-us", 4000)
        time.sleep(2)
        server.kill()
        time.sleep(1)
        server.start()
        out, err = process.communicate(timeout=120)
        if "end MLF_OK" not in out:  # it took the server longer than the job's patience
            sync(job, server)
        expect_once(server, "restart", 1500)
        expect_nothing_waits(job)


STORM = b"HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\nContent-Length: 41\r\nConnection: close\r\n\r\n" + b'{"error_code": "TEMPORARILY_UNAVAILABLE"}'
BROKEN = b"HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 14\r\nConnection: close\r\n\r\n<html>x</html>"
PORTAL = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 26\r\nConnection: close\r\n\r\n<html>Please log in</html>"


@pytest.mark.parametrize("name, answer", [("storm-503", STORM), ("storm-500", BROKEN), ("portal", PORTAL)])
def test_storms(job, server, name, answer):
    """Two connections of three are answered so for a while; the job ends well or its journal is synced."""
    with BadNetwork(server.port, lambda n: ("answer", answer) if n % 3 and n < 30 else None) as network:
        done = job(network.uri, "--experiment", name, "--steps", 400, "--pause-us", 5000)
        assert done.returncode == 0, done.stdout + done.stderr
        totals["connections harmed"] += network.harmed
    sync(job, server)
    expect_once(server, name, 400)


def page(status, body, kind="text/html"):
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


# What is no answer of MLflow's, as it names no error_code: a proxy's, while what stands behind it is being moved.
STRANGERS = {
    "404 of a proxy": page("404 Not Found", "404 page not found\n", "text/plain"),
    "404 page": page("404 Not Found", "<html><head><title>404 Not Found</title></head></html>"),
    "405 page": page("405 Not Allowed", "<html><head><title>405 Not Allowed</title></head></html>"),
    "400 page": page("400 Bad Request", "<html><head><title>400 Bad Request</title></head></html>"),
    "413 page": page("413 Request Entity Too Large", "<html><head><title>413 Request Entity Too Large</title></head></html>"),
    "407 of a proxy": page("407 Proxy Authentication Required", "<html><title>407 Proxy Authentication Required</title></html>"),
    "302 of a portal": page("302 Found\r\nLocation: http://127.0.0.1:9/login", "<html><title>302 Found</title></html>"),
    "JSON of a gateway": page("404 Not Found", '{"message": "no Route matched with those values"}', "application/json"),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_what_is_not_mlflows_own_answer_refuses_nothing(job, server, name):
    """For one second, in the middle of a run."""
    with BadNetwork(server.port) as network:
        process = job.start(network.uri, "--experiment", name, "--steps", 400, "--pause-us", 5000)
        for line in process.stdout:
            if line.startswith("run "):
                break
        time.sleep(0.4)
        network.answer = STRANGERS[name]
        time.sleep(1)
        network.answer = None
        out, err = process.communicate(timeout=60)
        assert network.harmed, "nothing was asked in that second"
    assert "end MLF_OK" in out, out + err
    expect_once(server, name, 400)
    expect_nothing_waits(job)


@pytest.mark.parametrize("name", ["404 of a proxy", "413 page"])
def test_what_is_not_mlflows_own_answer_refuses_nothing_of_a_sync(job, server, tmp_path, name):
    """Every other quarter of a second, over a run with an artifact, a model and a version of it, which the server has as its own kind of model."""
    model, experiment = tmp_path / "model", "sync, " + name
    model.mkdir()
    (model / "MLmodel").write_text(MLMODEL)
    job(None, "--experiment", experiment, "--steps", 2000, "--params", 120, "--model", model, "strange-" + name[:3], env={"MLFLOW_OFFLINE": "1"})
    with BadNetwork(server.port) as network:
        network.answer = STRANGERS[name]
        process = job.start(network.uri, "sync")
        for round_number in range(16):
            time.sleep(0.25)
            network.answer = STRANGERS[name] if round_number % 2 else None
        network.answer = None
        out, err = process.communicate(timeout=60)
        assert network.harmed
    assert "sync MLF_OK 1 1 0 0 " in out and out.split()[8] == "0", out + err
    (run,) = expect_once(server, experiment, 2000)
    assert len(run.data.params) == 120
    client = MlflowClient(server.uri)
    assert len(client.search_logged_models([run.info.experiment_id])) == 1 and len(client.search_model_versions(f"name = 'strange-{name[:3]}'")) == 1
    expect_nothing_waits(job)


def test_an_address_that_is_not_mlflows_keeps_the_journal_and_says_so(job, server, build_root):
    """Also the beginning of a run goes to the journal, and sync says what it was answered."""
    with BadNetwork(server.port) as network:
        network.answer = STRANGERS["404 of a proxy"]
        done = job(network.uri, "--experiment", "elsewhere", "--steps", 30)
        assert "404 page not found" in done.stderr and words_of(done, "end")[1] != "MLF_OK", done.stdout + done.stderr
        mlflowc = [build_root / "mlflow_client" / "mlflowc", "sync", "--timeout", "2"]
        synced = subprocess.run(mlflowc, env=job.environment(network.uri, {}), capture_output=True, text=True, timeout=60)
        assert synced.returncode == 1 and "404 page not found" in synced.stdout + synced.stderr and "0 refused" not in synced.stderr, synced.stdout + synced.stderr
    assert sync(job, server)["refused"] == 0
    expect_once(server, "elsewhere", 30)
    expect_nothing_waits(job)


def test_a_run_deleted_meanwhile_keeps_also_a_single_thing(job, server):
    """A batch of one item is no exception: what a run that is gone does not take is not the item's fault."""
    process = job.start(server.uri, "--experiment", "deleted-one", "--steps", 1, "--pause-us", 2500000)
    time.sleep(1.5)
    (run,) = expect_once(server, "deleted-one", 1)
    MlflowClient(server.uri).delete_run(run.info.run_id)
    out, err = process.communicate(timeout=60)
    assert "end MLF_E_STATE" in out and "deleted" in out, out + err
    MlflowClient(server.uri).restore_run(run.info.run_id)
    assert sync(job, server)["refused"] == 0
    (run,) = expect_once(server, "deleted-one", 1)
    assert run.data.tags["stage"] == "done" and run.info.status == "FINISHED"
    expect_nothing_waits(job)


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_cut_after_n_bytes_swept_over_the_exchange(job, server, tmp_path, direction):
    """Whatever connection carries byte N of the whole exchange, counted over all of them, breaks there; N from the first byte to the last."""
    with BadNetwork(server.port) as network:
        assert job(network.uri, "--experiment", f"uncut-{direction}", "--steps", 20).returncode == 0
        span = network.bytes[direction]
    assert span > 1000
    count = min(3 * ROUNDS, 240)

    def cut_after(n):
        experiment, env = f"cut-{direction}-{n}", {"MLFLOW_JOURNAL_DIR": str(tmp_path / f"journals-{n}")}
        with BadNetwork(server.port, cut=(direction, n)) as network:
            done = job(network.uri, "--experiment", experiment, "--steps", 20, env=env)
            harmed = network.harmed
        synced = job(server.uri, "sync", env=env)
        assert done.returncode == synced.returncode == 0, (n, done.stdout + done.stderr + synced.stdout + synced.stderr)
        expect_once(server, experiment, 20)
        assert not list((tmp_path / f"journals-{n}").glob("*")), n
        return harmed

    with concurrent.futures.ThreadPoolExecutor(8) as pool:  # a creation that may have been done is waited for, five seconds each
        harmed = list(pool.map(cut_after, (1 + i * (span - 2) // (count - 1) for i in range(count))))
    totals[f"of {span} bytes cut after"] += count
    totals["connections harmed"] += sum(harmed)
    assert sum(harmed) > 0.7 * count  # on a busy machine an exchange is shorter: more points in one request


def test_connections_cut_at_random(job, server):
    dice = random.Random(7)
    for round_number in range(ROUNDS):
        experiment = f"random-cuts-{round_number}"
        with BadNetwork(server.port, lambda n: (dice.choice(["cut-request", "cut-reply"]), dice.randrange(1, 3000)) if n < 8 else None) as network:
            done = job(network.uri, "--experiment", experiment, "--steps", 200, "--pause-us", 1000)
            assert done.returncode == 0, done.stdout + done.stderr
            totals["connections harmed"] += network.harmed
        sync(job, server)
        expect_once(server, experiment, 200)


def announced(process, lines):
    for line in process.stdout:
        if line.startswith("step "):
            lines.append((time.monotonic(), int(line.split()[1])))


@pytest.mark.parametrize("where", ["online", "offline"])
def test_process_killed_while_logging(job, server, where):
    """What was logged longer ago than the commit interval survives kill -9; what came later may, but only as an unbroken beginning, and once."""
    dice = random.Random(11)
    for round_number in range(ROUNDS):
        experiment, lines = f"killed-{where}-{round_number}", []
        env = {"MLFLOW_OFFLINE": "1"} if where == "offline" else {}
        process = job.start(server.uri, "--experiment", experiment, "--steps", 100000, "--pause-us", 200, "--announce", env=env)
        reader = threading.Thread(target=announced, args=(process, lines))
        reader.start()
        time.sleep(dice.uniform(0.02, 1.2))
        killed = time.monotonic()
        process.kill()
        process.wait()
        reader.join()
        process.stderr.close()
        committed = sum(1 for when, _ in lines if when < killed - COMMIT_S)
        report = sync(job, server)
        totals["processes killed"] += 1
        totals["points committed before a kill"] += 2 * committed
        if not committed and not runs_of(server, experiment):
            continue  # killed before anything was promised
        expect_once(server, experiment, None, at_least=committed)
        assert report["refused"] == 0
        expect_nothing_waits(job)


def test_sync_killed_and_repeated(job, server):
    """As many kills as rounds, each at a random moment of a sync that had something to do; each journal ends sent, once."""
    dice, round_number, before = random.Random(13), 0, totals["syncs killed"]
    while totals["syncs killed"] - before < ROUNDS:
        round_number += 1
        experiment = f"sync-killed-{round_number}"
        job(None, "--experiment", experiment, "--steps", 1500, "--series", env={"MLFLOW_OFFLINE": "1"})
        kills = 0
        while list(job.journals.glob("*")):
            process = job.start(server.uri, "sync")
            try:
                process.wait(dice.uniform(0.01, 0.5 + 0.3 * kills))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
            process.communicate()
        totals["syncs killed"] += kills
        (run,) = expect_once(server, experiment, 1500)
        assert run.info.status == "FINISHED"


def test_what_a_kill_left_of_a_sent_journal_goes(job, server):
    """The process was killed after the journal had got the name of one that is done, and before all of it was removed."""
    job(None, "--experiment", "left", "--steps", 5, env={"MLFLOW_OFFLINE": "1"})
    (folder,) = job.journals.glob("*")
    shutil.copytree(folder, folder.with_name(folder.name + ".done"))
    assert (sync(job, server)["journals"]) == 1
    expect_once(server, "left", 5)
    expect_nothing_waits(job)


def test_two_syncs_at_once_do_not_collide(job, server):
    for n in range(6):
        job(None, "--experiment", "two-syncs", "--steps", 500, "--series", env={"MLFLOW_OFFLINE": "1"})
    both = [job.start(server.uri, "sync") for _ in range(2)]
    for process in both:
        process.communicate(timeout=120)
    sync(job, server)
    expect_once(server, "two-syncs", 500, runs=6)
    expect_nothing_waits(job)


def test_a_journal_in_use_is_left_alone(job, server):
    process = job.start(server.uri, "--experiment", "in-use", "--steps", 400, "--pause-us", 5000)
    time.sleep(0.8)
    report = sync(job, server)
    assert (report["journals"], report["busy"]) == (1, 1)
    process.communicate(timeout=60)
    expect_once(server, "in-use", 400)


def on_host(name, *command):
    """The command with a host name of its own (a UTS namespace), in the place of the process that is started."""
    return ["unshare", "--map-root-user", "--uts", "sh", "-c", f'hostname {name} || exit 77; exec "$@"', "sh", *map(str, command)]


def test_two_hosts_that_share_a_folder_do_not_collide(job, server, build_root):
    """While one writes the other names it and leaves the journal alone; the lock of a host that died is nobody's; then two send at once."""
    env, mlflowc = job.environment(server.uri, {}), build_root / "mlflow_client" / "mlflowc"
    if subprocess.run(on_host("host-a", "true"), capture_output=True).returncode:
        pytest.skip("no UTS namespace here; test_two_syncs_at_once_do_not_collide has the two on one host")
    writing = subprocess.Popen(on_host("host-a", job.program, "--experiment", "two-hosts", "--steps", 100000, "--pause-us", 500, "--announce"), env=env, stdout=subprocess.PIPE, text=True)
    logged = {line.rstrip(): time.monotonic() for line, _ in zip(writing.stdout, range(2000))}
    second = subprocess.run(on_host("host-b", mlflowc, "sync"), env=env, capture_output=True, text=True, timeout=60)
    assert f"in use by host-a, process {writing.pid}" in second.stdout and "1 in use elsewhere" in second.stdout, second.stdout + second.stderr
    shown = subprocess.run(on_host("host-b", mlflowc, "journal", "list"), env=env, capture_output=True, text=True, timeout=60)
    assert f"in use by host-a {writing.pid}" in shown.stdout, shown.stdout + shown.stderr
    time.sleep(COMMIT_S)
    writing.kill()
    writing.communicate()
    (folder,) = job.journals.glob("*")
    assert (folder / "lock").read_text().startswith("host-a ")
    shown = subprocess.run([mlflowc, "journal", "list"], env=env, capture_output=True, text=True, timeout=60)
    assert " waits " in shown.stdout and "in use" not in shown.stdout, shown.stdout
    both = [subprocess.Popen(on_host(name, job.program, "sync"), env=env, stdout=subprocess.PIPE, text=True) for name in ("host-b", "host-c")]
    assert [process.wait(timeout=120) for process in both] == [0, 0], [process.stdout.read() for process in both]
    sync(job, server)
    expect_nothing_waits(job)
    expect_once(server, "two-hosts", None, at_least=sum(line.startswith("step ") for line in logged))


def test_what_goes_on_with_a_run_that_still_waits_is_kept(job, server):
    """The server is there again, the journal in which the run began is not sent yet."""
    begun = job(None, "--experiment", "early", "--steps", 0, "--params", 0, "--no-end", env={"MLFLOW_OFFLINE": "1"})
    done = job(server.uri, "--experiment", "early", "--steps", 40, env={"MLFLOW_RUN_ID": words_of(begun, "run")[-1]})
    assert done.returncode == 0 and "what is logged waits in the journal" in done.stderr, done.stdout + done.stderr
    assert sync(job, server)["sent"] == 2
    expect_once(server, "early", 40)
    expect_nothing_waits(job)


def test_two_copies_synced_at_once_remove_nothing_of_each_other(job, server, tmp_path):
    """No lock can tell of the other. Both may make a run of one key; each of those then is whole, and none is taken for a leftover of a creation."""
    for i in range(8):
        job(None, "--experiment", f"copy-{i}", "--steps", 40, env={"MLFLOW_OFFLINE": "1"})
    shutil.copytree(job.journals, tmp_path / "copy")
    both = [job.start(server.uri, "sync", env={"MLFLOW_JOURNAL_DIR": str(folder)}) for folder in (job.journals, tmp_path / "copy")]
    said = [process.communicate(timeout=120) for process in both]
    assert ["sync MLF_OK 8 8 0 0 " in out for out, _ in said] == [True, True], said
    client = MlflowClient(server.uri)
    for i in range(8):
        found = client.search_runs([client.get_experiment_by_name(f"copy-{i}").experiment_id], run_view_type=ViewType.ALL)
        assert {run.info.lifecycle_stage for run in found} == {"active"} and {run.info.status for run in found} == {"FINISHED"}, found
        expect_once(server, f"copy-{i}", 40, runs=len(found))


def test_where_no_locks_are_kept_logging_goes_on_and_sync_says_so(job, server, build_root):
    """fcntl() answers ENOLCK. What is logged there is sent once its folder is where locks are kept."""
    no_locks, mlflowc = build_root / "tests" / "mlflow_client" / "journal" / "no_locks", build_root / "mlflow_client" / "mlflowc"
    env = job.environment(server.uri, {})
    done = subprocess.run([no_locks, job.program, "--experiment", "no-locks", "--steps", "300"], env={**env, "MLFLOW_OFFLINE": "1"}, capture_output=True, text=True, timeout=60)
    assert words_of(done, "end")[1] == "MLF_OK", done.stdout + done.stderr
    done = subprocess.run([no_locks, mlflowc, "sync"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "keeps no locks (No locks available)" in done.stderr and "1 waiting" in done.stdout, done.stdout + done.stderr
    assert not runs_of(server, "no-locks")
    done = subprocess.run([no_locks, mlflowc, "doctor"], env=env, capture_output=True, text=True, timeout=60)
    assert re.search(r"^note  journal .*no lock can be had: No locks available", done.stdout, re.M), done.stdout + done.stderr
    assert sync(job, server)["sent"] == 1
    expect_once(server, "no-locks", 300)


class Slow(http.server.BaseHTTPRequestHandler):
    """A server that takes 0.4 s for a batch."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("log-batch"):
            time.sleep(0.4)
        answer = b'{"run": {"info": {"run_id": "r"}}}' if self.path.endswith("runs/create") else b"{}"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def test_a_long_sync_says_how_far_it_is(job, build_root):
    job(None, "--steps", 10000, "--series", env={"MLFLOW_OFFLINE": "1"})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as slow:
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        env = job.environment(f"http://127.0.0.1:{slow.server_port}", {})
        done = subprocess.run([build_root / "mlflow_client" / "mlflowc", "sync", "--threads", "1"], env=env, capture_output=True, text=True, timeout=100)
        slow.shutdown()
    (said,) = re.findall(r": 0\.\d of 0\.2 MB sent \((\d+) %\), (\d+) points", done.stdout)
    assert done.returncode == 0 and 0 < int(said[0]) < 100 and 0 < int(said[1]) < 20000, done.stdout + done.stderr


class SlowCreation(http.server.BaseHTTPRequestHandler):
    """A server that takes two seconds over the first run, also when nobody waits for it any longer."""

    def do_POST(self):
        asked, what = json.loads(self.rfile.read(int(self.headers["Content-Length"]))), self.path.rsplit("/", 1)[1]
        runs, answer = self.server.runs, {}
        if what == "create":
            self.server.creations += 1
            run_id = f"r{self.server.creations}"
            time.sleep(2 if run_id == "r1" else 0)
            runs.append(run_id)
            answer = {"run": {"info": {"run_id": run_id, "experiment_id": "0"}}}
        elif what == "search" and asked["run_view_type"] == "ACTIVE_ONLY":
            answer = {"runs": [{"info": {"run_id": run_id, "experiment_id": "0", "status": "RUNNING"}, "data": {}} for run_id in runs]}
        elif what == "delete":
            runs.remove(asked["run_id"])
        self.say(answer)

    def do_GET(self):
        self.say({})

    def say(self, answer):
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(json.dumps(answer))))
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())
        except OSError:
            pass

    def log_message(self, *_):
        pass


def test_killed_while_the_server_makes_the_run_it_is_one_run(job):
    """And the sync comes at once: it finds no run yet, and makes one."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), SlowCreation) as slow:
        slow.runs, slow.creations, slow.uri = [], 0, f"http://127.0.0.1:{slow.server_port}"
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        process = job.start(slow.uri, "--steps", 0, "--params", 0)
        while not slow.creations:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        assert sync(job, slow)["sent"] == 1
        assert slow.creations == 2 and slow.runs == ["r2"], slow.runs
        time.sleep(2)
        assert slow.runs == ["r2"], slow.runs
        slow.shutdown()
    expect_nothing_waits(job)


def small_files():
    """The disk is full after 2,000 bytes a file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))


def no_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))


def test_files_that_may_not_grow_are_survived_in_memory_with_one_warning(job, server):
    done = job(server.uri, "--experiment", "full", "--steps", 3000, preexec_fn=small_files, restore_signals=False)
    assert words_of(done, "end")[1] == "MLF_OK", done.stdout + done.stderr
    assert done.stderr.count("warn:") == 1, done.stderr
    expect_once(server, "full", 3000)
    expect_nothing_waits(job)


def test_what_neither_disk_nor_server_took_is_said(job, tmp_path, build_root):
    """Offline with a full disk: every point but those in the file is counted, at the run's end as an error and at the client's end in the log."""
    done = job(None, "--experiment", "lost", "--steps", 3000, env={"MLFLOW_OFFLINE": "1"}, preexec_fn=small_files, restore_signals=False)
    assert words_of(done, "end")[1] == "MLF_E_IO", done.stdout + done.stderr
    (said,) = re.findall(r"error: run [0-9a-f]+: (\d+) points and (\d+) operations are lost", done.stderr)
    assert 5000 < int(said[0]) <= 6000 and int(said[1]) >= 1, done.stderr
    for command, status in (("true", 1), ("exit 7", 7), ("true", 0)):
        full = {} if status == 0 else {"preexec_fn": no_files, "restore_signals": False}
        env = {**os.environ, "MLFLOW_OFFLINE": "1", "MLFLOW_JOURNAL_DIR": str(tmp_path / f"run-{status}"), "SOLVENT_LOG": "error"}
        ran = subprocess.run([build_root / "mlflow_client" / "mlflowc", "run", "--", "sh", "-c", command], env=env, capture_output=True, text=True, timeout=60, **full)
        assert ran.returncode == status and (" points lost" in ran.stderr) == (status != 0), ran.stderr


# A file system of 256 KB that only these commands see; $JOB logs, $DISK is the file system.
ON_A_FULL_DISK = {
    "full from the start": 'fill 256; "$JOB" --experiment "$NAME" --steps 3000',
    "fills up meanwhile": 'fill 230; "$JOB" --experiment "$NAME" --steps 3000',
    "offline, room again": 'fill 230; export MLFLOW_OFFLINE=1; "$JOB" --experiment "$NAME" --steps 3000 --pause-us 700 & sleep 1; rm "$DISK/filler"; wait $!; unset MLFLOW_OFFLINE; "$JOB" sync',
}


@pytest.mark.parametrize("how", ON_A_FULL_DISK)
def test_a_file_system_without_room(job, server, tmp_path, how):
    """A real ENOSPC: a tmpfs in a mount namespace of its own. A machine that forbids that has the test of RLIMIT_FSIZE above instead."""
    disk, experiment = tmp_path / "disk", "disk " + how
    disk.mkdir()
    script = f'mount -t tmpfs -o size=256k none "$DISK" || exit 77; export MLFLOW_JOURNAL_DIR="$DISK/journals"; fill() {{ head -c "$1"k /dev/zero >"$DISK/filler"; }}; {ON_A_FULL_DISK[how]}'
    env = {**os.environ, "DISK": str(disk), "NAME": experiment, "JOB": job.program, "MLFLOW_TRACKING_URI": server.uri}
    done = subprocess.run(["unshare", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True, text=True, env=env, timeout=120)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("no mount namespace here; test_files_that_may_not_grow… has the disk full by RLIMIT_FSIZE")
    assert "No space left" in done.stderr and done.stderr.count("warn:") == 1, done.stdout + done.stderr
    assert words_of(done, "end")[1] == "MLF_OK", done.stdout + done.stderr
    expect_once(server, experiment, 3000)


@pytest.mark.parametrize("what", ["points", "model"])
def test_allocation_k_fails_for_every_k(job, server, tmp_path, what):
    """Online, in any thread, once: the job goes on, and what its calls accepted arrives, once, maybe by a sync, in which allocation k fails, too."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  other:\n    data: x\n")

    def fail(k):
        """Whether there was an allocation k."""
        experiment, journals = f"allocation-{what}-{k}", tmp_path / f"journals-{k}"
        env = {"MLFLOW_JOURNAL_DIR": str(journals)}
        model = ("--model", folder, experiment) if what == "model" else ()
        done = job(server.uri, "--experiment", experiment, "--steps", 5, "--announce", "--fail-allocation", k, *model, env=env)
        assert done.returncode == 0 and "Sanitizer" not in done.stderr, done.stdout + done.stderr
        accepted = {int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("step ")}
        if list(journals.glob("*")):
            again = job(server.uri, "sync", "--fail-allocation", k, env=env)
            assert "Sanitizer" not in again.stderr, again.stderr
        last = job(server.uri, "sync", env=env)
        assert words_of(last, "sync")[1] == "MLF_OK" and not list(journals.glob("*")), (k, last.stdout + last.stderr)
        runs = runs_of(server, experiment)
        assert len(runs) <= 1 and (runs or not accepted), (k, runs, accepted)
        for run in runs:
            seen = collections.Counter(point.step for point in MlflowClient(server.uri).get_metric_history(run.info.run_id, "loss"))
            refused = set(seen) - accepted  # a step whose other metric was refused
            assert accepted <= set(seen) and len(refused) <= 1 and set(seen.values()) <= {1}, (k, seen, accepted)
            totals["points"] += len(seen)
            ready = [made for made in MlflowClient(server.uri).search_logged_models([run.info.experiment_id]) if made.status == "READY"]
            assert len(ready) <= 1 and len(MlflowClient(server.uri).search_model_versions(f"name='{experiment}'")) <= 1
        return "allocation failed" in done.stdout

    step, k, any_failed = max(3, 60 // ROUNDS) if what == "model" else max(1, 24 // ROUNDS), 0, True
    with concurrent.futures.ThreadPoolExecutor(8) as pool:  # a creation that may have been done is waited for, five seconds each
        while any_failed:
            failed = list(pool.map(fail, range(k, k + 16 * step, step)))
            k, any_failed = k + 16 * step, any(failed)
            totals["allocations failed"] += sum(failed)
    assert totals["allocations failed"] >= 10


def test_no_folder_for_journals_is_survived_in_memory_with_one_warning(job, server, tmp_path):
    (tmp_path / "a-file").write_text("in the way")
    done = job(server.uri, "--experiment", "nowhere", "--steps", 3000, "--runs", 2, env={"MLFLOW_JOURNAL_DIR": str(tmp_path / "a-file" / "journals")})
    assert words_of(done, "end")[1] == "MLF_OK", done.stdout + done.stderr
    assert done.stderr.count("warn:") == 1, done.stderr
    expect_once(server, "nowhere", 3000, runs=2)


def test_what_the_server_refuses_is_kept_with_its_reason(job, server):
    done = job(server.uri, "--experiment", "refused", "--steps", 20, "--params", 2)
    run_id = words_of(done, "run")[1]
    client = MlflowClient(server.uri)
    client.log_param(run_id, "p2", "another value")
    again = job(server.uri, "--steps", 30, env={"MLFLOW_RUN_ID": run_id})
    assert words_of(again, "end")[1] == "MLF_E_SERVER", again.stdout
    (kept,) = job.journals.glob("refused-*.jsonl")
    (line,) = [json.loads(text) for text in kept.read_text().splitlines()]
    assert line["what"] == "param" and line["run_id"] == run_id and line["record"] == {"key": "p2", "value": "4"} and "p2" in line["reason"]
    assert {point.step for point in client.get_metric_history(run_id, "loss")} == set(range(30))  # all else arrived


def test_more_than_a_request_may_hold(job, server):
    """MLflow itself refuses more than 1,000 metrics, 100 params or 100 tags at once."""
    done = job(server.uri, "--experiment", "many", "--steps", 2500, "--params", 250)
    assert words_of(done, "end")[1] == "MLF_OK"
    (run,) = expect_once(server, "many", 2500)
    assert len(run.data.params) == 250


def test_a_run_deleted_meanwhile_stops_its_sending_and_nothing_else(job, server):
    process = job.start(server.uri, "--experiment", "deleted", "--steps", 300, "--pause-us", 10000)
    time.sleep(1)
    (run,) = runs_of(server, "deleted")
    MlflowClient(server.uri).delete_run(run.info.run_id)
    out, _ = process.communicate(timeout=60)
    assert "end MLF_E_STATE" in out and "deleted" in out and process.returncode == 0
    assert len(list(job.journals.glob("*"))) == 1
    MlflowClient(server.uri).restore_run(run.info.run_id)
    assert sync(job, server)["sent"] == 1
    expect_once(server, "deleted", 300)


def test_system_metrics_under_mlflows_names(job, server):
    env = {"MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "0.1", "MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING": "2"}
    done = job(server.uri, "--experiment", "system", "--steps", 150, "--pause-us", 10000, env=env)
    assert words_of(done, "end")[1] == "MLF_OK"
    (run,) = expect_once(server, "system", 150)
    names = {name for name in run.data.metrics if name.startswith("system/")}
    assert names >= {
        "system/" + name
        for name in (
            "cpu_utilization_percentage", "system_memory_usage_megabytes", "system_memory_usage_percentage", "disk_usage_percentage",
            "disk_usage_megabytes", "disk_available_megabytes", "network_receive_megabytes", "network_transmit_megabytes",
        )
    }  # fmt: skip
    points = MlflowClient(server.uri).get_metric_history(run.info.run_id, "system/cpu_utilization_percentage")
    assert [point.step for point in points] == list(range(len(points))) and len(points) >= 3
    assert all(0 <= point.value <= 100 for point in points)
    assert 0 < run.data.metrics["system/system_memory_usage_percentage"] < 100


# Two GPUs, the second of which does not tell its memory: bytes, bytes, percent, milliwatts, milliwatts.
GPUS = [(16_000_000_000, 4_123_456_789, 37, 150_500, 300_000), (-1, -1, 100, 90_500, 250_000)]


def figures_of_mlflow(monkeypatch):
    """What MLflow's own monitor makes of these GPUs."""
    double = types.ModuleType("pynvml")
    double.NVMLError = type("NVMLError", (Exception,), {})

    def memory(gpu):
        if gpu[0] < 0:
            raise double.NVMLError("not supported")
        return types.SimpleNamespace(total=gpu[0], used=gpu[1])

    double.nvmlInit, double.nvmlDeviceGetCount, double.nvmlDeviceGetHandleByIndex = lambda: None, lambda: len(GPUS), GPUS.__getitem__
    double.nvmlDeviceGetMemoryInfo, double.nvmlDeviceGetUtilizationRates = memory, lambda gpu: types.SimpleNamespace(gpu=gpu[2])
    double.nvmlDeviceGetPowerUsage, double.nvmlDeviceGetEnforcedPowerLimit = lambda gpu: gpu[3], lambda gpu: gpu[4]
    from mlflow.system_metrics.metrics import gpu_monitor

    monkeypatch.setitem(sys.modules, "pynvml", double)
    monkeypatch.setattr(gpu_monitor, "pynvml", double, raising=False)
    monitor = gpu_monitor.GPUMonitor()
    monitor.collect_metrics()
    return {"system/" + name: value for name, value in monitor.aggregate_metrics().items()}


def test_gpus_as_mlflow_names_and_counts_them(job, server, build_root, monkeypatch):
    """No GPU was here: nvml_double.c, built as libnvidia-ml.so.1 and loaded by dlopen(), tells the figures above. What NVIDIA's own library would say is not shown."""
    library = build_root / "tests" / "mlflow_client" / "journal"
    assert (library / "libnvidia-ml.so.1").exists()
    env = {"MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true", "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "0.1", "LD_LIBRARY_PATH": str(library),
           "NVML_DOUBLE": ";".join(" ".join(map(str, gpu)) for gpu in GPUS)}  # fmt: skip
    done = job(server.uri, "--experiment", "gpus", "--steps", 60, "--pause-us", 10000, env=env)
    assert words_of(done, "end")[1] == "MLF_OK", done.stdout + done.stderr
    (run,) = expect_once(server, "gpus", 60)
    expected = figures_of_mlflow(monkeypatch)
    assert len(expected) == 8 and {name: value for name, value in run.data.metrics.items() if "/gpu_" in name} == expected
