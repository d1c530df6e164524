"""What solvent-serve notices of its own answers: request ids, drift against training's histograms, what counts and what does not."""
import json
import math
import os
import re
import sys
import time

import pytest
import requests

sys.path.insert(0, os.path.dirname(__file__))
from serve_process import BANK_ROW, Serve, make_packages, overwrite  # noqa: E402

EDGES = [30, 40, 50, 60]
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def write_profile(package):
    """A profile of 1,000 rows: age in five equal bins, marital half and half, the score in two."""
    values = [{"name": "age", "kind": "number", "n_missing": 0, "min": 18, "max": 80, "mean": 45, "deviation": 12, "median": 45, "is_whole": True, "edges": EDGES, "counts": [200] * 5},
              {"name": "marital", "kind": "text", "n_missing": 0, "levels": ["married", "single"], "counts": [500, 500], "n_other": 0}]
    profile = {"format": "native-tabular-profile", "version": 1, "n_rows": 1000, "label_rate": 0.5, "values": values, "score": {"edges": [0.5], "counts": [500, 500]},
               "metrics": [{"name": "test.roc_auc", "value": 0.8}], "description": None}
    overwrite(package, "profile.json", json.dumps(profile))


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = make_packages(tmp_path_factory.mktemp("packages"))
    write_profile(folder / "bank")
    return folder


def samples(server):
    """name{labels} -> value of everything on /metrics."""
    parser = pytest.importorskip("prometheus_client.parser")
    families = parser.text_string_to_metric_families(requests.get(server.url + "/metrics").text)
    return {(s.name, *sorted(s.labels.items())): s.value for f in families for s in f.samples}


def drift(server):
    return requests.get(server.url + "/drift").json()


def psi(counts, expected):
    """The definition, with half a row added to every bin."""
    n, m, bins = sum(counts), sum(expected), len(counts)
    shares = [((c + 0.5) / (n + 0.5 * bins), (e + 0.5) / (m + 0.5 * bins)) for c, e in zip(counts, expected)]
    return sum((a - b) * math.log(a / b) for a, b in shares)


def test_every_scored_request_has_an_id(packages):
    with Serve("--model", packages / "bank") as server:
        made = [requests.post(server.url + "/predict", json=BANK_ROW).headers["X-Request-Id"] for _ in range(50)]
        assert len(set(made)) == 50 and all(re.fullmatch("[0-9a-f]{16}", one) for one in made)
        for path, body in (("/predict", BANK_ROW), ("/invocations", {"inputs": [BANK_ROW]}), ("/explain", BANK_ROW), ("/predict", {})):
            assert requests.post(server.url + path, json=body, headers={"X-Request-Id": "order-7"}).headers["X-Request-Id"] == "order-7"
        for bad in ("two words", "x" * 129, "ž".encode()):
            assert re.fullmatch("[0-9a-f]{16}", requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": bad}).headers["X-Request-Id"])
        assert "X-Request-Id" not in requests.get(server.url + "/ping").headers


def test_trace_context_comes_back(packages, tmp_path):
    (tmp_path / "serve.yaml").write_text(f"access_log: {tmp_path}/access.jsonl\n")
    with Serve("--model", packages / "bank", "--config", tmp_path / "serve.yaml") as server:
        reply = requests.post(server.url + "/predict", json=BANK_ROW, headers={"traceparent": TRACE})
        answer = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-01", reply.headers["traceresponse"])
        assert answer[1] == TRACE[3:35] and answer[2] != TRACE[36:52]
        for bad in (TRACE[:-1], TRACE.upper(), TRACE + "0", "ff" + TRACE[2:], TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32)):
            assert "traceresponse" not in requests.post(server.url + "/predict", json=BANK_ROW, headers={"traceparent": bad}).headers
        assert "traceresponse" in requests.post(server.url + "/predict", json=BANK_ROW, headers={"traceparent": "01" + TRACE[2:] + "-more"}).headers
        line = json.loads((tmp_path / "access.jsonl").read_text().splitlines()[0])
        assert line["traceparent"] == TRACE and line["request_id"] == reply.headers["X-Request-Id"] and line["status"] == 200 and line["path"] == "/predict"
        assert line["method"] == "POST" and line["peer"] == "127.0.0.1" and line["in"] == len(reply.request.body) and line["out"] == len(reply.content) and line["us"] > 0


def test_drift_needs_rows_and_then_says_the_index(packages, tmp_path):
    (tmp_path / "serve.yaml").write_text("drift: {min_rows: 100, threshold: 0.2}\n")
    with Serve("--model", packages / "bank", "--config", tmp_path / "serve.yaml", "--threads", "1") as server:
        assert drift(server)["rows"] == 0 and drift(server)["min_rows"] == 100
        rows = [{**BANK_ROW, "age": 25 + 10 * (i % 5), "marital": ["married", "single"][i % 2]} for i in range(99)]
        scores = [requests.post(server.url + "/predict", json=row).json()["surplus_probability"] for row in rows]
        few = drift(server)
        assert few["rows"] == 99 and not few["noticed"] and {f["psi"] for f in few["features"]} == {None}
        assert not [key for key in samples(server) if key[0] == "solvent_drift_psi"]
        rows.append({**BANK_ROW, "age": 70, "marital": "married"})
        scores.append(requests.post(server.url + "/predict", json=rows[-1]).json()["surplus_probability"])
        found = {f["name"]: f for f in drift(server)["features"]}
        ages = [sum(25 + 10 * b == min(row["age"], 65) for row in rows) for b in range(5)]
        assert found["age"]["psi"] == pytest.approx(psi([*ages, 0], [200] * 5 + [0]), rel=1e-9) and not found["age"]["noticed"]
        assert found["marital"]["psi"] == pytest.approx(psi([51, 49, 0], [500, 500, 0]), rel=1e-9)
        low = sum(p < 0.5 for p in scores)
        assert found["surplus_probability"]["psi"] == pytest.approx(psi([low, 100 - low, 0], [500, 500, 0]), rel=1e-9)
        for _ in range(300):
            requests.post(server.url + "/predict", json={**BANK_ROW, "age": 70, "marital": "single"})
        after = drift(server)
        assert after["noticed"] and {f["name"] for f in after["features"] if f["noticed"]} >= {"age"}
        seen = samples(server)
        assert seen["solvent_drift_rows", ("model", "bank")] == 400 and seen["solvent_drift_noticed", ("model", "bank")] >= 1
        assert seen["solvent_drift_psi", ("feature", "age"), ("model", "bank")] == pytest.approx(next(f["psi"] for f in after["features"] if f["name"] == "age"), rel=1e-5)


def test_the_window_slides(packages, tmp_path):
    (tmp_path / "serve.yaml").write_text("drift: {window_seconds: 10, min_rows: 1}\n")
    with Serve("--model", packages / "bank", "--config", tmp_path / "serve.yaml") as server:
        requests.post(server.url + "/predict", json=[BANK_ROW] * 3)
        assert drift(server)["rows"] == 3
        deadline = time.monotonic() + 40
        while drift(server)["rows"] and time.monotonic() < deadline:
            time.sleep(0.3)
        assert drift(server)["rows"] == 0


def test_every_protocol_counts_and_what_ifs_do_not(packages):
    tensor = [{"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64" if name in ("balance", "duration") else "INT64", "data": [value]}
              for name, value in BANK_ROW.items()]
    bodies = {"/predict": BANK_ROW, "/invocations": {"inputs": [BANK_ROW]}, "/v2/models/bank/infer": {"inputs": tensor}, "/explain": BANK_ROW}
    with Serve("--model", packages / "bank") as server:
        for path, body in bodies.items():
            assert requests.post(server.url + path, json=body, headers={"X-What-If": "1"}).status_code == 200
        seen = samples(server)
        assert drift(server)["rows"] == 0 and seen["solvent_rows_total",] == 0 and seen["solvent_prediction_count",] == 0
        assert seen["solvent_requests_total", ("route", "/ui"), ("status", "200")] == 4 and ("solvent_requests_total", ("route", "/predict"), ("status", "200")) not in seen
        for path, body in bodies.items():
            assert requests.post(server.url + path, json=body).status_code == 200
        seen = samples(server)
        assert drift(server)["rows"] == 4 and seen["solvent_rows_total",] == 4 and seen["solvent_prediction_count",] == 4


def test_small_answers(packages):
    with Serve("--model", packages / "bank") as server:
        assert requests.get(server.url + "/favicon.ico").status_code == 404  # as the peer; the pages carry their own
        for path in ("/predict", "/explain"):
            reply = requests.post(server.url + path, data="age,job\n1,student\n", headers={"Content-Type": "text/csv"})
            assert reply.status_code == 415 and "/invocations" in reply.json()["detail"]
            for kind in ("application/json", "application/json; charset=utf-8", "application/vnd.row+json", "application/x-www-form-urlencoded", None):
                assert requests.post(server.url + path, data=json.dumps(BANK_ROW), headers={"Content-Type": kind} if kind else {}).status_code == 200, kind
