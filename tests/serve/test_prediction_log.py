"""The prediction log: what was answered, as JSON lines, and a disk that will not take them."""
import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
import requests

sys.path.insert(0, os.path.dirname(__file__))
from serve_process import BANK_ROW, COMMAND, Serve, make_two_versions  # noqa: E402
from test_watching import TRACE, samples  # noqa: E402


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return make_two_versions(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def serve(packages, tmp_path):
    """Starts a server that logs with these keys."""
    def start(model="bank", *args, **keys):
        keys = {"file": str(tmp_path / "predictions.jsonl"), **keys}
        (tmp_path / "serve.yaml").write_text(json.dumps({"prediction_log": keys}))
        return Serve("--model", packages / model, "--config", tmp_path / "serve.yaml", *args)

    return start


def lines(tmp_path, n=None):
    """The log's lines, once there are n of them."""
    path, deadline = tmp_path / "predictions.jsonl", time.monotonic() + 20
    while n is not None and path.read_text().count("\n") < n and time.monotonic() < deadline:
        time.sleep(0.02)
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert n is None or len(found) == n
    return found


def test_every_protocol_is_logged_as_it_came(serve, tmp_path):
    row = {**BANK_ROW, "age": 31, "balance": 12.25, "extra": "not the model's"}
    names = [name for name in row if name != "extra"]
    tensor = [{"name": name, "shape": [1], "datatype": "BYTES" if isinstance(row[name], str) else "FP64" if name in ("balance", "duration") else "INT64", "data": [row[name]]} for name in names]
    with serve() as server:
        began = time.time()
        answers = [requests.post(server.url + "/predict", json=row, headers={"X-Request-Id": "p", "traceparent": TRACE}).json()]
        for i, body in enumerate(({"dataframe_records": [row]}, {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}, {"inputs": [row]},
                                  {"inputs": {name: [value] for name, value in row.items()}})):
            answers += requests.post(server.url + "/invocations", json=body, headers={"X-Request-Id": f"i{i}"}).json()["predictions"]
        answers += requests.post(server.url + "/invocations", data=",".join(names) + "\n" + ",".join(str(row[name]) for name in names) + "\n",
                                 headers={"X-Request-Id": "csv", "Content-Type": "text/csv"}).json()["predictions"]
        infer = requests.post(server.url + "/v2/models/bank/infer", json={"inputs": tensor}, headers={"X-Request-Id": "v2"}).json()["outputs"]
        answers.append({one["name"]: one["data"][0] for one in infer})
        requests.post(server.url + "/predict", json=row, headers={"X-What-If": "1"})
        requests.post(server.url + "/predict", json={})
        found = lines(tmp_path, 7)
        assert {line["request_id"] for line in found} == {"p", "i0", "i1", "i2", "i3", "csv", "v2"}
        for line in found:
            assert line["inputs"] == {name: row[name] for name in names}, line["request_id"]
            assert line["outputs"] == answers[0] and line["model"] == "bank" and line["row"] == 0 and abs(line["time_ms"] / 1000 - began) < 60
        assert [line.get("traceparent") for line in found if line["request_id"] == "p"] == [TRACE] and all(answer == answers[0] for answer in answers)
        assert samples(server)["solvent_prediction_log_lines_total",] == 7


def test_texts_that_the_model_does_not_know_stay_as_they_came(serve, tmp_path):
    with serve() as server:
        requests.post(server.url + "/invocations", json={"inputs": [{**BANK_ROW, "job": 'astronaut "é"'}] * 2})
        found = lines(tmp_path, 2)
        assert [line["inputs"]["job"] for line in found] == ['astronaut "é"'] * 2 and [line["row"] for line in found] == [0, 1]


def test_redacted_fields_and_a_sample(serve, tmp_path):
    with serve(redact=["age", "job"], sample=0.3) as server:
        session = requests.Session()
        for i in range(500):
            session.post(server.url + "/predict", json={**BANK_ROW, "age": 77, "job": "student"}, headers={"X-Request-Id": f"n{i}"})
        assert server.stop() == 0
        found = lines(tmp_path)
        assert 100 <= len(found) <= 200  # 150, deviation 10
        assert {(line["inputs"]["age"], line["inputs"]["job"]) for line in found} == {("(redacted)", "(redacted)")} and "student" not in (tmp_path / "predictions.jsonl").read_text()
        first = {line["request_id"] for line in found}
    with serve(sample=0.3) as server:  # the same requests, the same sample
        for i in range(500):
            session.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": f"n{i}"})
        server.stop()
        assert {line["request_id"] for line in lines(tmp_path)[len(found):]} == first


def test_files_are_rotated_by_size_and_count(serve, tmp_path):
    with serve(max_bytes=20000, files=3) as server:
        session = requests.Session()
        for i in range(400):
            session.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": f"n{i:03d}"})
        server.stop()
        files = sorted(path.name for path in tmp_path.glob("predictions.jsonl*"))
        assert files == ["predictions.jsonl", "predictions.jsonl.1", "predictions.jsonl.2"]
        ids = []
        for name in reversed(files):
            assert (tmp_path / name).stat().st_size <= 20000
            ids += [json.loads(line)["request_id"] for line in (tmp_path / name).read_text().splitlines()]
        assert ids == sorted(ids) and ids[-1] == "n399" and len(ids) == len(set(ids)) > 60


def test_classes_and_numbers(serve, tmp_path, packages):
    row = {"education-num": 9, "two words": "alpha", "žluť": 1.5, "note": None, "input size": 3.0, "it's": "7"}
    with serve("odd") as server:
        answer = requests.post(server.url + "/predict", json=row).json()
        (line,) = lines(tmp_path, 1)
        label = next(iter(answer))
        assert line["inputs"] == row and line["outputs"][label] == answer[label] and line["outputs"]["probability"] == max(v for v in answer.values() if isinstance(v, float))


def test_a_full_disk_costs_lines_and_is_said_once(serve):
    with serve(file="/dev/full") as server:
        for i in range(5):
            assert requests.post(server.url + "/predict", json=[BANK_ROW] * 10).status_code == 200
            time.sleep(0.05)
        deadline = time.monotonic() + 20
        while samples(server)["solvent_prediction_log_lost_total",] < 50 and time.monotonic() < deadline:
            time.sleep(0.05)
        seen = samples(server)
        assert seen["solvent_prediction_log_lost_total",] == 50 and seen["solvent_prediction_log_lines_total",] == 0
        assert server.errors().count("No space left on device") == 1
        assert server.stop() == 0


def test_a_disk_that_fills_up_holds_whole_lines(packages, tmp_path):
    """A limit on the file's size stops a write in its middle."""
    (tmp_path / "serve.yaml").write_text(json.dumps({"prediction_log": {"file": str(tmp_path / "predictions.jsonl")}}))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))

    with Serve("--model", packages / "bank", "--config", tmp_path / "serve.yaml", preexec=limit) as server:
        for _ in range(60):
            assert requests.post(server.url + "/predict", json=BANK_ROW).status_code == 200
        server.stop()
        found = lines(tmp_path)  # every one of them is JSON
        assert 5 < len(found) < 60 and (tmp_path / "predictions.jsonl").read_text().endswith("\n")


def test_a_log_that_cannot_be_opened_is_said_at_the_start(serve, tmp_path):
    with pytest.raises(RuntimeError, match="prediction_log.file"):
        serve(file=str(tmp_path / "nowhere" / "log"))
    for keys, said in (({"sample": 1.5}, "sample"), ({"files": 0}, "files"), ({"max_bytes": 5}, "max_bytes"), ({"redact": "age"}, "expected a list")):
        with pytest.raises(RuntimeError, match=said):
            serve(**keys)


def test_a_redacted_name_that_is_no_column_is_refused(packages, tmp_path):
    for keys, status, said in (({"redact": ["age", "balanc", "iban €"]}, 2, ("no served model has an input column 'balanc', 'iban €'", "did you mean 'balance'?")),
                               ({"redact": ["iban €"], "file": str(tmp_path / "log")}, 2, ("'iban €'", "hint: expected names")), ({"redact": ["age", "balance"]}, 0, ())):
        (tmp_path / "serve.yaml").write_text(json.dumps({"prediction_log": keys}))
        for arguments in (["--check"], [])[:1 if status == 0 else 2]:
            done = subprocess.run([COMMAND, "--port", "0", "--model", packages / "bank", "--config", tmp_path / "serve.yaml", *arguments], capture_output=True, text=True, timeout=60)
            assert done.returncode == status and all(text in done.stderr for text in said), done.stderr


def test_the_version_that_answered_stands_in_the_line(packages, tmp_path):
    (tmp_path / "serve.yaml").write_text(json.dumps({"prediction_log": {"file": str(tmp_path / "predictions.jsonl")}}))
    with Serve("--model", packages / "bank", "--shadow", packages / "other", "--split", "1/1", "--config", tmp_path / "serve.yaml") as server:
        answers = {f"r{i}": requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": f"r{i}"}).json() for i in range(50)}
        found = lines(tmp_path, 50)
        assert all(line["outputs"] == answers[line["request_id"]] for line in found)
        assert {line["model"] for line in found} == {"bank", "challenger"} and len({(line["model"], line["outputs"]["surplus_probability"]) for line in found}) == 2
