"""solvent-serve and a real MLflow registry: following an alias, refusing bad versions, starting without MLflow."""
import base64
import hashlib
import hmac
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import mlflow
import pytest
import requests

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
from mlflow_server import MlflowServer  # noqa: E402
from serve_process import ANSWERS, BANK_ROW, COMMAND, Serve, make_packages, other_weights, overwrite  # noqa: E402


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    packages = make_packages(tmp_path_factory.mktemp("packages"))
    webhooks = {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true", "MLFLOW_WEBHOOK_CACHE_TTL": "1",
                "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(b"only for tests, 32 bytes of key.").decode()}
    with MlflowServer(env=webhooks) as server:
        client = mlflow.MlflowClient(server.uri)
        client.create_registered_model("bank")

        def register(folder):
            run = client.create_run("0")
            os.environ["MLFLOW_TRACKING_URI"] = server.uri
            client.log_artifacts(run.info.run_id, str(folder), "model")
            return client.create_model_version("bank", run.info.artifact_uri + "/model", run.info.run_id).version

        yield server, client, packages, register


def serve(server, tmp_path, *args):
    return Serve("--model", "models:/bank@champion", "--cache", tmp_path / "cache", "--poll-seconds", "1", *args, env={"MLFLOW_TRACKING_URI": server.uri})


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_an_alias_that_moves_under_load(registry, tmp_path):
    server, client, packages, register = registry
    versions = [register(packages / "bank"), register(other_weights(packages / "bank", tmp_path / "b", -3.5))]
    client.set_registered_model_alias("bank", "champion", versions[0])
    with serve(server, tmp_path) as serving:
        failed, answers, stop = [], {}, threading.Event()

        def ask():
            session = requests.Session()
            while not stop.is_set():
                reply = session.post(serving.url + "/predict", json=[BANK_ROW] * 3)
                if reply.status_code != 200 or len({json.dumps(row) for row in reply.json()}) != 1:
                    failed.append(reply.text)
                else:
                    answers.setdefault(reply.headers["X-Model-Version"], set()).add(json.dumps(reply.json()[0]))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        current = lambda: requests.get(serving.url + "/").json()["version"]  # noqa: E731
        try:
            for turn in range(6):
                wanted = versions[(turn + 1) % 2]
                client.set_registered_model_alias("bank", "champion", wanted)
                assert wait_for(lambda: current() == str(wanted)), serving.errors()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not failed and set(answers) == set(map(str, versions)) and all(len(found) == 1 for found in answers.values()) and len(set.union(*answers.values())) == 2
        assert "solvent_reloads_total 6" in requests.get(serving.url + "/metrics").text


def test_a_bad_version_is_refused(registry, tmp_path):
    server, client, packages, register = registry
    good = register(packages / "bank")
    broken = shutil.copytree(packages / "bank", tmp_path / "broken")
    (broken / "pipeline.json").write_text("{")
    false = shutil.copytree(packages / "bank", tmp_path / "false")  # answers its example other than its package records
    overwrite(false, ANSWERS, (false / ANSWERS).read_text().replace("0.5", "0.6", 1))
    bad = [register(broken), register(packages / "numbers"), register(false)]
    client.set_registered_model_alias("bank", "champion", good)
    with serve(server, tmp_path) as serving:
        for n, version in enumerate(bad, 1):
            client.set_registered_model_alias("bank", "champion", version)
            assert wait_for(lambda: f"solvent_reloads_refused_total {n}" in requests.get(serving.url + "/metrics").text), serving.errors()
            assert requests.post(serving.url + "/predict", json=BANK_ROW).headers["X-Model-Version"] == str(good)
        assert f"version {bad[0]} is refused" in serving.errors() and "signature" in serving.errors()
        assert f"version {bad[2]} is refused, version {good} goes on: check: input example, row 0: 'surplus_probability' is 0.5" in serving.errors()
        time.sleep(2.5)
        assert "solvent_reloads_refused_total 3" in requests.get(serving.url + "/metrics").text  # not tried again and again


def test_an_alias_that_goes_leaves_the_version_and_its_kept_copy(registry, tmp_path):
    server, client, packages, register = registry
    good = register(packages / "bank")
    client.set_registered_model_alias("bank", "champion", good)
    with serve(server, tmp_path) as serving:
        client.delete_registered_model_alias("bank", "champion")
        assert wait_for(lambda: serving.errors().count("the version being served goes on") >= 2), serving.errors()
        assert requests.post(serving.url + "/predict", json=BANK_ROW).headers["X-Model-Version"] == str(good)
        assert "solvent_reloads_refused_total 0" in requests.get(serving.url + "/metrics").text  # nothing was offered
    with Serve("--model", "models:/bank@champion", "--cache", tmp_path / "cache", env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}) as serving:
        assert "starting from the kept copy" in serving.errors()
        assert requests.post(serving.url + "/predict", json=BANK_ROW).headers["X-Model-Version"] == str(good)


@pytest.mark.parametrize("more", [(), ("--monitor", "watching")], ids=["plain", "monitor"])
def test_sigterm_does_not_wait_for_a_registry_that_says_nothing(registry, tmp_path, more):
    server, client, packages, register = registry
    client.set_registered_model_alias("bank", "champion", register(packages / "bank"))
    with serve(server, tmp_path, *more) as serving:
        requests.post(serving.url + "/predict", json=BANK_ROW)
        with server.stalled():
            time.sleep(1.5)  # the next question, if not this one, is open by now
            assert serving.stop() == 0, serving.errors()  # within 40 s; a request may wait for 60


class Silence:
    """A registry that takes connections and says nothing."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.uri = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        return self

    def __exit__(self, *exception):
        self.socket.close()


@pytest.mark.parametrize("args, status", [((), 0), (("--check",), 130)], ids=["serving", "checking"])
def test_sigterm_ends_a_start_that_waits_for_a_registry(args, status, tmp_path):
    with Silence() as registry:
        command = [COMMAND, "--model", "models:/bank@champion", "--cache", tmp_path, "--port", "0", *args]
        starting = subprocess.Popen(command, env={**os.environ, "MLFLOW_TRACKING_URI": registry.uri}, stderr=subprocess.PIPE, text=True)
        registry.socket.accept()  # it has asked
        starting.terminate()
        assert "ended before there was something to serve" in starting.communicate(timeout=8)[1] and starting.returncode == status


def test_a_registry_that_says_nothing_does_not_keep_the_kept_copy_waiting(registry, tmp_path):
    server, client, packages, register = registry
    client.set_registered_model_alias("bank", "champion", register(packages / "bank"))
    with serve(server, tmp_path) as serving:
        assert serving.stop() == 0
    began = time.monotonic()
    with Silence() as silence, serve(silence, tmp_path) as serving:
        assert time.monotonic() - began < 20 and "starting from the kept copy" in serving.errors()
        assert requests.post(serving.url + "/predict", json=BANK_ROW).ok


def test_a_cache_that_was_tidied_away_is_made_again(registry, tmp_path):
    server, client, packages, register = registry
    versions = [register(packages / "bank") for _ in range(2)]
    client.set_registered_model_alias("bank", "champion", versions[0])
    with serve(server, tmp_path) as serving:
        shutil.rmtree(tmp_path / "cache")
        client.set_registered_model_alias("bank", "champion", versions[1])
        assert wait_for(lambda: requests.get(serving.url + "/").json()["version"] == str(versions[1])), serving.errors()


def test_webhooks_ask_at_once(registry, tmp_path):
    server, client, packages, register = registry
    first, second = register(packages / "bank"), register(packages / "bank")
    client.set_registered_model_alias("bank", "champion", first)
    (tmp_path / "c.yaml").write_text("webhook_secret: ${HOOK}\npoll_seconds: 3600\n")
    body = json.dumps({"entity": "MODEL_VERSION_ALIAS", "action": "CREATED", "timestamp": "", "data": {}}).encode()

    def headers(secret, seconds):
        text = b"7." + str(seconds).encode() + b"." + body
        return {"X-MLflow-Delivery-Id": "7", "X-MLflow-Timestamp": str(seconds), "X-MLflow-Signature": "v1," + base64.b64encode(hmac.new(secret, text, hashlib.sha256).digest()).decode()}

    with Serve("--model", "models:/bank@champion", "--cache", tmp_path / "cache", "--config", tmp_path / "c.yaml", env={"MLFLOW_TRACKING_URI": server.uri, "HOOK": "s3cret"}) as serving:
        client.set_registered_model_alias("bank", "champion", second)
        now = int(time.time())
        assert requests.post(serving.url + "/webhook", data=body, headers=headers(b"other", now)).status_code == 401
        assert requests.post(serving.url + "/webhook", data=body, headers=headers(b"s3cret", now - 4000)).status_code == 401
        assert requests.get(serving.url + "/").json()["version"] == str(first)
        assert requests.post(serving.url + "/webhook", data=body + b" ", headers=headers(b"s3cret", now)).status_code == 401
        assert requests.post(serving.url + "/webhook", data=body, headers=headers(b"s3cret", now)).status_code == 200
        assert wait_for(lambda: requests.get(serving.url + "/").json()["version"] == str(second)), serving.errors()
        client.set_registered_model_alias("bank", "champion", first)
        assert requests.post(serving.url + "/webhook", data=body, headers=headers(b"s3cret", now)).status_code == 409  # a replay asks nobody
        time.sleep(1.5)
        assert requests.get(serving.url + "/").json()["version"] == str(second)
        assert requests.post(serving.url + "/webhook", data=body, headers=headers(b"s3cret", now + 1)).status_code == 200
        assert wait_for(lambda: requests.get(serving.url + "/").json()["version"] == str(first)), serving.errors()


def test_a_webhook_that_mlflow_delivers(registry, tmp_path):
    server, client, packages, register = registry
    first, second = register(packages / "bank"), register(packages / "bank")
    client.set_registered_model_alias("bank", "champion", first)
    (tmp_path / "c.yaml").write_text("webhook_secret: ${HOOK}\npoll_seconds: 3600\n")
    with Serve("--model", "models:/bank@champion", "--cache", tmp_path / "cache", "--config", tmp_path / "c.yaml", env={"MLFLOW_TRACKING_URI": server.uri, "HOOK": "s3cret"}) as serving:
        hook = client.create_webhook("reload", serving.url + "/webhook", events=["model_version_alias.created"], secret="s3cret")
        try:
            time.sleep(1.5)  # MLflow remembers for MLFLOW_WEBHOOK_CACHE_TTL that there was none
            client.set_registered_model_alias("bank", "champion", second)
            assert wait_for(lambda: requests.get(serving.url + "/").json()["version"] == str(second)), serving.errors()
        finally:
            client.delete_webhook(hook.webhook_id)


def test_a_damaged_copy_on_disk_is_fetched_again(registry, tmp_path):
    server, client, packages, register = registry
    client.set_registered_model_alias("bank", "champion", register(packages / "bank"))
    with serve(server, tmp_path) as serving:
        answer = requests.post(serving.url + "/predict", json=BANK_ROW).json()
    for damage in (lambda path: path.unlink(), lambda path: path.write_text("{}")):
        for name in ("MLmodel", "pipeline.json", "conda.yaml"):
            damage(next((tmp_path / "cache").glob(f"*/*/{name}")))
            with serve(server, tmp_path) as serving:
                assert requests.post(serving.url + "/predict", json=BANK_ROW).json() == answer and "kept copy" not in serving.errors()


def test_the_version_and_the_one_before_it_stay_on_disk(registry, tmp_path):
    server, client, packages, register = registry
    versions = [register(packages / "bank")] + [register(other_weights(packages / "bank", tmp_path / f"other{i}", -i)) for i in range(1, 4)]
    client.set_registered_model_alias("bank", "champion", versions[0])
    with serve(server, tmp_path) as serving:
        home = next((tmp_path / "cache").iterdir())
        left, busy = home / "incoming-left", home / "incoming-busy"
        for folder in (left, busy):
            folder.mkdir()
            (folder / "model.onnx").write_text("a part")
        os.utime(left, (0, 0))
        for version in versions[1:] + versions[2:3]:
            client.set_registered_model_alias("bank", "champion", version)
            assert wait_for(lambda: requests.post(serving.url + "/predict", json=BANK_ROW).headers["X-Model-Version"] == str(version))
            assert wait_for(lambda: len([folder for folder in home.iterdir() if (folder / "MLmodel").exists()]) == 2)
        assert busy.exists() and not left.exists()
        assert not [folder for folder in home.glob("incoming-*") if folder != busy]


def test_it_starts_without_mlflow_from_the_kept_copy(registry, tmp_path):
    server, client, packages, register = registry
    version = register(packages / "bank")
    client.set_registered_model_alias("bank", "champion", version)
    with serve(server, tmp_path) as serving:
        answer = requests.post(serving.url + "/predict", json=BANK_ROW).json()
    server.stop()
    try:
        with serve(server, tmp_path) as serving:
            assert "kept copy" in serving.errors()
            reply = requests.post(serving.url + "/predict", json=BANK_ROW)
            assert reply.json() == answer and reply.headers["X-Model-Version"] == str(version)
        with pytest.raises(RuntimeError):
            serve(server, tmp_path / "empty")
    finally:
        server.start()


def test_a_challenger_follows_its_own_alias(registry, tmp_path):
    server, client, packages, register = registry
    client.set_registered_model_alias("bank", "champion", register(packages / "bank"))
    champion = client.get_model_version_by_alias("bank", "champion").version
    with serve(server, tmp_path, "--shadow", "models:/bank@challenger") as one:  # nobody has that alias yet
        def compared():
            reply = requests.post(one.url + "/predict", json=BANK_ROW)
            assert reply.status_code == 200 and reply.headers["X-Model-Version"] == champion
            return requests.get(one.url + "/shadow").json()

        assert compared()["rows"] == 0 and "challenger: " in one.errors()
        for intercept, disagrees in ((-50.0, True), (50.0, False)):
            version = register(other_weights(packages / "bank", tmp_path / f"challenger{intercept}", intercept))
            client.set_registered_model_alias("bank", "challenger", version)
            assert wait_for(lambda: (found := compared())["challenger"] == version and found["champion"] == champion and found["rows"] > 3)
            found = compared()
            assert found["failed"] == 0 and found["disagreements"] in ((found["rows"], 0) if disagrees else (0, found["rows"]))
        line = next(line for line in one.errors().splitlines() if f"beside version {champion}" in line)  # the old pair's last word
        assert "labels differ" in line
        page = requests.get(one.url + "/models/challenger/").json()
        assert page["version"] == version
