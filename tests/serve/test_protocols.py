"""Protocols checked with clients that are not ours: tritonclient, schemathesis, prometheus_client."""
import json
import os
import subprocess
import sys

import pytest
import requests

sys.path.insert(0, os.path.dirname(__file__))
from serve_process import BANK_ROW, Serve, make_packages  # noqa: E402


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return make_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def bank(packages):
    with Serve("--model", packages / "bank") as server:
        yield server


def tensors(rows, datatypes, binary):
    import numpy
    import tritonclient.http as http

    made = []
    for name, datatype in datatypes.items():
        dtype = {"INT64": numpy.int64, "FP64": numpy.float64, "FP32": numpy.float32, "INT32": numpy.int32, "BYTES": numpy.object_}[datatype]
        tensor = http.InferInput(name, [len(rows)], datatype)
        tensor.set_data_from_numpy(numpy.array([row[name] for row in rows], dtype=dtype), binary_data=binary)
        made.append(tensor)
    return made


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_infers(bank, binary):
    http = pytest.importorskip("tritonclient.http")
    client = http.InferenceServerClient(f"127.0.0.1:{bank.port}")
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("bank")
    metadata = client.get_model_metadata("bank")
    datatypes = {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]}
    rows = [{**BANK_ROW, "balance": 100 * i, "job": ["student", "žluť"][i % 2]} for i in range(300)]
    expected = requests.post(bank.url + "/invocations", json={"inputs": rows}).json()["predictions"]
    outputs = [http.InferRequestedOutput(tensor["name"], binary_data=binary) for tensor in metadata["outputs"]]
    for wanted in (outputs, None):
        result = client.infer("bank", tensors(rows, datatypes, binary), outputs=wanted, request_id="abc")
        assert result.get_response()["id"] == "abc"
        assert result.as_numpy("surplus_probability").tolist() == [row["surplus_probability"] for row in expected]
        assert result.as_numpy("surplus_prediction").tolist() == [row["surplus_prediction"] for row in expected]
    datatypes["age"] = "INT32"
    assert client.infer("bank", tensors(rows, datatypes, binary)).as_numpy("surplus_prediction") is not None


def test_tritonclient_is_told_what_is_wrong(bank):
    http = pytest.importorskip("tritonclient.http")
    utils = pytest.importorskip("tritonclient.utils")
    client = http.InferenceServerClient(f"127.0.0.1:{bank.port}")
    datatypes = {tensor["name"]: tensor["datatype"] for tensor in client.get_model_metadata("bank")["inputs"]}
    with pytest.raises(utils.InferenceServerException, match="expected datatype INT64"):
        client.infer("bank", tensors([BANK_ROW], {**datatypes, "age": "FP64"}, True))
    del datatypes["job"]
    with pytest.raises(utils.InferenceServerException, match="'job'"):
        client.infer("bank", tensors([BANK_ROW], datatypes, True))


BAD_BODIES = {
    "not JSON": (b"{", {}),
    "no inputs": (b"{}", {}),
    "length beyond the body": (b"{}", {"Inference-Header-Content-Length": "99"}),
    "negative length": (b"{}", {"Inference-Header-Content-Length": "-1"}),
    "shape of three": (json.dumps({"inputs": [{"name": "age", "datatype": "INT64", "shape": [1, 1, 1], "data": [1]}]}).encode(), {}),
    "huge shape": (json.dumps({"inputs": [{"name": "age", "datatype": "INT64", "shape": [2**62], "data": [1]}]}).encode(), {}),
    "binary beyond the body": (json.dumps({"inputs": [{"name": "age", "datatype": "INT64", "shape": [1], "parameters": {"binary_data_size": 8}}]}).encode(), {}),
    "unknown input": (json.dumps({"inputs": [{"name": "zz", "datatype": "INT64", "shape": [1], "data": [1]}]}).encode(), {}),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_bodies(bank, name):
    body, headers = BAD_BODIES[name]
    reply = requests.post(bank.url + "/v2/models/bank/infer", data=body, headers=headers)
    assert reply.status_code == 400 and reply.json()["error"]


@pytest.mark.parametrize("name", ["bank", "odd", "numbers", "dates"])
def test_schemathesis_finds_nothing(packages, name):
    """Every operation of /openapi.json, which with a challenger are all that there are."""
    tool = os.path.join(os.path.dirname(sys.executable), "st")
    if not os.path.exists(tool):
        pytest.skip("schemathesis is not installed")
    with Serve("--model", packages / name, "--shadow", packages / name) as server:
        paths = requests.get(server.url + "/openapi.json").json()["paths"]
        assert {"/predict", "/explain", "/feedback", "/shadow", "/drift", "/metrics", "/"} <= set(paths) and set(paths["/feedback"]) == {"get", "post"}
        done = subprocess.run([tool, "run", server.url + "/openapi.json", "--max-examples", "40", "--checks", "all", "--no-color", "--seed", "1"], capture_output=True,
                              text=True, cwd=packages)
        assert done.returncode == 0, done.stdout[-5000:]


def test_only_what_is_there_is_described(packages, tmp_path):
    (tmp_path / "serve.yaml").write_text("feedback: {keep: 0}\n")
    with Serve("--model", packages / "bank", "--config", tmp_path / "serve.yaml") as server:
        paths = requests.get(server.url + "/openapi.json").json()["paths"]
        assert "/predict" in paths and not {"/feedback", "/shadow"} & set(paths)
        for path in paths:  # and what is described is there
            assert requests.get(server.url + path).status_code in (200, 405), path


def test_metrics_parse(bank):
    parser = pytest.importorskip("prometheus_client.parser")
    requests.post(bank.url + "/predict", json=BANK_ROW)
    families = {f.name: f for f in parser.text_string_to_metric_families(requests.get(bank.url + "/metrics").text)}
    assert {"solvent_requests", "solvent_request_seconds", "solvent_rows", "solvent_prediction", "solvent_model_info"} <= set(families)
    assert any(s.labels == {"route": "/predict", "status": "200"} and s.value >= 1 for s in families["solvent_requests"].samples)
