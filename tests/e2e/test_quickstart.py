"""scripts/quickstart as a newcomer runs it: it answers a prediction, MLflow knows the run and the model, and nothing stays behind."""

import os
import re
import signal
import socket
import subprocess
import time
import urllib.parse

import pytest
import requests

WORLDS = [([], "cashflow"), (["bank"], "bank"), (["berka"], "berka")]


def quickstart(source_root, arguments, env=None):
    done = subprocess.run([source_root / "scripts" / "quickstart", *arguments], cwd=source_root, env={**os.environ, **(env or {})},
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def addresses(output):
    """What it prints under "To look at": run, model, page."""
    found = dict(re.findall(r"^  (run|model|page) +(http\S+)$", output, re.MULTILINE))
    assert set(found) == {"run", "model", "page"}, output
    return found


def is_listening(address):
    parts = urllib.parse.urlsplit(address)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0


@pytest.mark.parametrize("arguments, world", WORLDS, ids=[world for _, world in WORLDS])
def test_tracks_registers_serves_and_answers(source_root, mlflow_server, arguments, world):
    """Against a server that MLFLOW_TRACKING_URI names, so that what was tracked can be read afterwards."""
    output = quickstart(source_root, arguments, {"MLFLOW_TRACKING_URI": mlflow_server.uri})
    assert re.search(r'answered +\{"\w+_probability": ?[01]?\.?[\d.e-]+, ?"\w+_prediction": ?[01]\}', output), output
    found = addresses(output)
    assert found["run"].startswith(mlflow_server.uri) and not is_listening(found["page"])
    run_id = found["run"].rsplit("/", 1)[1]
    name, _, version = found["model"].split("/#/models/")[1].partition("/versions/")
    api = mlflow_server.uri + "/api/2.0/mlflow"
    run = requests.get(f"{api}/runs/get", params={"run_id": run_id}).json()["run"]
    assert run["info"]["status"] == "FINISHED"
    alias = requests.get(f"{api}/registered-models/alias", params={"name": name, "alias": "champion"}).json()["model_version"]
    assert (alias["version"], alias["run_id"]) == (version, run_id)
    assert not [param for param in run["data"]["params"] if "/tmp" in param["value"]], "a folder that is gone says nothing"
    assert requests.get(f"{api}/registered-models/get", params={"name": name}).json()["registered_model"]["description"]


def test_starts_and_stops_a_server_of_its_own(source_root):
    found = addresses(quickstart(source_root, []))
    assert not is_listening(found["run"]) and not is_listening(found["page"])


def test_keep_leaves_both_servers_up_and_says_how_to_stop_them(source_root):
    output = quickstart(source_root, ["--keep"])
    groups = [int(word) for word in re.search(r"kill -- ([-\d ]+)$", output, re.MULTILINE)[1].split()]
    assert len(groups) == 2 and all(group < 0 for group in groups)
    try:
        found = addresses(output)
        assert requests.get(found["page"] + "health", timeout=10).status_code == 200
        assert requests.get(found["run"].split("#")[0] + "health", timeout=10).status_code == 200
    finally:
        for group in groups:
            os.killpg(-group, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while is_listening(found["run"]) or is_listening(found["page"]):
        assert time.monotonic() < deadline, "the servers do not end"
        time.sleep(0.2)


def test_an_unreachable_server_is_one_clear_error(source_root):
    done = subprocess.run([source_root / "scripts" / "quickstart"], env={**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)  # fmt: skip
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr


@pytest.mark.parametrize("argument", ["iris", "--quick"])
def test_a_wrong_argument_is_2(source_root, argument):
    done = subprocess.run([source_root / "scripts" / "quickstart", argument], capture_output=True, text=True)
    assert (done.returncode, argument in done.stderr) == (2, True)
