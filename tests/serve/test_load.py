"""solvent-serve under full load: the alias moves a hundred times, 512 connections, SIGTERM. wrk looks at every answer."""
import json
import os
import pathlib
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import mlflow
import pytest
import requests

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
from load import Load  # noqa: E402
from memory_group import control_group  # noqa: E402, F401
from mlflow_server import MlflowServer  # noqa: E402
from serve_process import BANK_ROW, Serve, make_packages, other_weights  # noqa: E402

BODY = json.dumps([BANK_ROW] * 3).encode()  # three rows: an answer that mixed two versions would be neither's
MOVES = 100


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return make_packages(tmp_path_factory.mktemp("packages"))


def answer(server):
    reply = requests.post(server.url + "/predict", data=BODY, headers={"Content-Type": "application/json"}, timeout=20)
    assert reply.status_code == 200
    return reply.headers.get("X-Model-Version", "none"), reply.content


def resident_kb(server):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{server.process.pid}/status").read_text())[1])


def test_an_alias_that_moves_a_hundred_times(packages, tmp_path):
    folders = [packages / "bank", other_weights(packages / "bank", tmp_path / "other", -3.5)]
    with MlflowServer() as registry:
        os.environ["MLFLOW_TRACKING_URI"] = registry.uri
        client = mlflow.MlflowClient(registry.uri)
        client.create_registered_model("bank")
        versions = []
        for folder in folders:
            run = client.create_run("0")
            client.log_artifacts(run.info.run_id, str(folder), "model")
            versions.append(str(client.create_model_version("bank", run.info.artifact_uri + "/model", run.info.run_id).version))
        client.set_registered_model_alias("bank", "champion", versions[0])
        with Serve("--model", "models:/bank@champion", "--cache", tmp_path / "cache", "--poll-seconds", "1", env={"MLFLOW_TRACKING_URI": registry.uri}) as server:
            answers = {}

            def move(turn):
                wanted = versions[turn % 2]
                client.set_registered_model_alias("bank", "champion", wanted)
                deadline = time.monotonic() + 60
                while requests.get(server.url + "/", timeout=20).json()["version"] != wanted:
                    assert time.monotonic() < deadline, server.errors()
                    time.sleep(0.02)

            for turn in (1, 0):  # each version's answer, before the load
                move(turn)
                version, body = answer(server)
                answers[version] = body
            assert set(answers) == set(versions) and len(set(answers.values())) == 2
            load = Load(server.url + "/predict", BODY, answers, tmp_path / "load", 64, 3600)
            try:
                for turn in range(1, 21):
                    move(turn)
                after_20 = resident_kb(server)
                for turn in range(21, MOVES + 1):
                    move(turn)
                after_all = resident_kb(server)
                load.process.send_signal(2)  # wrk reports what it has
                n, failures, seen, example = load.finish()
            finally:
                load.stop()
            assert not failures, (failures, example)
            assert seen == set(versions) and n > 1000
            assert f"solvent_reloads_total {MOVES + 2}" in requests.get(server.url + "/metrics", timeout=20).text
            assert after_all - after_20 < 2048, "a version that is gone gives its memory back: one kept in each of 80 moves would be 8 MB"


def test_512_connections(packages, tmp_path):
    with Serve("--model", packages / "bank") as server:
        version, body = answer(server)
        load = Load(server.url + "/predict", BODY, {version: body}, tmp_path / "load", 512, 15)
        try:
            n, failures, _, example = load.finish()
        finally:
            load.stop()
        assert not failures and n > 1000, (failures, example)
        assert answer(server) == (version, body)
        assert resident_kb(server) <= 24 * 1024, "24 MB with 512 connections busy"
        assert server.stop() == 0


def test_sigterm_under_load(packages, tmp_path):
    """What was sent is answered: connections end between requests, each says so, and new ones are refused."""
    with Serve("--model", packages / "bank") as server:
        version, body = answer(server)
        load = Load(server.url + "/predict", BODY, {version: body}, tmp_path / "load", 64, 4)
        try:
            time.sleep(2)
            assert server.stop() == 0
            n, failures, _, example = load.finish()
        finally:
            load.stop()
        assert set(failures) <= {"connect", "write"} and n > 1000, (failures, example)  # write: wrk's word for a connection refused


SIZE = 15 << 20  # of a body; 16 MB are allowed
HOSTILE = {"nulls": b"[" + b"null," * (SIZE // 5) + b"null]", "numbers": b"[" + b"1," * (SIZE // 2) + b"1]", "objects": b"[" + b"{}," * (SIZE // 3) + b"{}]",
           "members": b'{"a":[' + b'{"a":1},' * (SIZE // 8) + b"{}]}", "lists": b'{"dataframe_split":{"columns":["age"],"data":[' + b"[1]," * (SIZE // 4) + b"[1]]}}",
           "escapes": b'["' + b"\\n" * (SIZE // 2) + b'"]', "csv": b"age\n" + b"1\n" * (SIZE // 2)}  # fmt: skip


def test_no_body_takes_more_memory_than_the_container_has(packages, control_group):
    """As many values as fit into the largest bodies, eight at once, in the 128 MB that the manifests give: refused, and the next one is answered."""
    with Serve("--model", packages / "bank", "--threads", "2", preexec=control_group(128 << 20)) as server:

        def post(path, body, kind="application/json"):
            try:
                return requests.post(server.url + path, data=body, headers={"Content-Type": kind}, timeout=60).status_code
            except requests.ConnectionError:
                return 0  # refused before it had sent all of it

        with ThreadPoolExecutor(8) as callers:
            for path in ("/predict", "/explain", "/invocations", "/v2/models/bank/infer"):
                for name, body in HOSTILE.items():
                    statuses = set(callers.map(lambda _: post(path, body, "text/csv" if name == "csv" else "application/json"), range(8)))
                    assert server.process.poll() is None and statuses <= {0, 400, 413, 415, 422, 503}, (path, name, statuses)
            assert set(callers.map(lambda _: post("/predict", b"[" + b"null," * 200000 + b"null]"), range(100))) == {413}
            assert post("/predict", BODY) == post("/explain", json.dumps(BANK_ROW)) == 200
