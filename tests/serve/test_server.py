"""What solvent-serve answers, seen from outside: routes, refusals, limits, its end."""
import csv
import hashlib
import json
import math
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

sys.path.insert(0, os.path.dirname(__file__))
from serve_process import ANSWERS, BANK_ROW, COMMAND, Serve, make_packages, overwrite, without_answers  # noqa: E402


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return make_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def bank(packages):
    with Serve("--model", packages / "bank", "--threads", "2") as server:
        yield server


def raw(server, data, wait=3.0):
    """The bytes that come back for the bytes sent, until the server closes or is silent."""
    with socket.create_connection(("127.0.0.1", server.port), wait) as sock:
        sock.sendall(data)
        got = b""
        try:
            while piece := sock.recv(65536):
                got += piece
        except TimeoutError:
            pass
        return got


def test_root_describes_the_model(bank):
    body = requests.get(bank.url + "/").json()
    assert body["service"] == "solvent-serve" and body["model"] == "bank"
    assert [f["name"] for f in body["features"]][:2] == ["age", "balance"] and body["outputs"] == ["surplus_probability", "surplus_prediction"]


def test_a_browser_is_sent_to_the_page(bank):
    reply = requests.get(bank.url + "/", headers={"Accept": "text/html,*/*"}, allow_redirects=False)
    assert reply.status_code == 303 and reply.headers["Location"] == "/ui"
    page = requests.get(bank.url + "/ui")
    assert "text/html" in page.headers["Content-Type"] and "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "http://" not in page.text.replace("http://www.w3.org", "") and "https://" not in page.text


def test_predict_one_and_several(bank):
    one = requests.post(bank.url + "/predict", json=BANK_ROW).json()
    many = requests.post(bank.url + "/predict", json=[BANK_ROW] * 600).json()
    assert set(one) == {"surplus_probability", "surplus_prediction"} and many == [one] * 600


def test_predict_names_every_error_at_once(bank):
    reply = requests.post(bank.url + "/predict", json={**BANK_ROW, "age": "x", "job": "pilot", "balance": None, "day": 1.5})
    found = {item["loc"][-1]: item for item in reply.json()["detail"]}
    assert reply.status_code == 422 and set(found) == {"age", "job", "balance", "day"}
    assert "management" in found["job"]["msg"] and found["job"]["input"] == "pilot" and found["day"]["type"] == "int_from_float"
    reply = requests.post(bank.url + "/predict", json=[BANK_ROW, {}])
    assert reply.status_code == 422 and len(reply.json()["detail"]) == 16 and reply.json()["detail"][0]["loc"] == ["body", 1, "age"]
    assert requests.post(bank.url + "/predict", data="{").json()["detail"][0]["type"] == "json_invalid"


ODD_ROW = {"education-num": 9, "two words": "alpha", "input size": 3.0, "it's": "7"}  # without the optional note and žluť


def test_names_that_are_slips(packages):
    with Serve("--model", packages / "odd") as server:
        def ask(path="/predict", **further):
            return requests.post(server.url + path, json={**ODD_ROW, **further})

        answer, with_note = ask().json(), ask(note="beta").json()
        assert answer != with_note
        assert ask(customer=7, zzz=[1]).json() == answer  # passed over, as FastAPI does
        for path in ("/predict", "/explain"):
            for slip, meant in {"noet": "note", "Note": "note", "notes": "note", "žluť ": "žluť"}.items():
                (error,) = ask(path, **{slip: "beta"}).json()["detail"]
                assert error["type"] == "extra_forbidden" and error["loc"] == ["body", slip] and f"did you mean '{meant}'" in error["msg"] and error["input"] == "beta"
        assert ask(noet="beta", note=None).json() == answer and ask(noet="alpha", note="beta").json() == with_note  # nothing like it is left out
        row = {"two wrods": "alpha", **ODD_ROW}
        del row["two words"]
        found = requests.post(server.url + "/predict", json=[ODD_ROW, row]).json()["detail"]
        assert [(e["type"], e["loc"]) for e in found] == [("missing", ["body", 1, "two words"]), ("extra_forbidden", ["body", 1, "two wrods"])]
        # a body of nothing but unknown names costs no more than reading it
        many = requests.post(server.url + "/predict", json=[{**ODD_ROW, **{f"nothing{i}": 0 for i in range(500)}}] * 200)
        assert many.status_code == 200 and len(many.json()) == 200


def test_the_usual_bodies_and_the_careful_path_agree(bank):
    """The scanner takes plain bodies; a further column of null sends the same rows down the careful path."""
    rows = [{**BANK_ROW, "age": 18 + i % 60, "balance": 37.25 * i - 500, "month": ["jan", "may", "oct"][i % 3]} for i in range(700)]
    plain = requests.post(bank.url + "/invocations", json={"dataframe_records": rows}).json()
    columns = list(rows[0])
    forms = [
        {"dataframe_records": [{**row, "zz": None} for row in rows]},
        {"dataframe_split": {"columns": columns, "data": [list(r.values()) for r in rows]}},
        {"dataframe_split": {"columns": columns, "index": list(range(700)), "data": [list(r.values()) for r in rows]}},
        {"dataframe_split": {"data": [list(r.values()) for r in rows], "columns": columns}},
        {"instances": rows}, {"inputs": rows}, {"inputs": {c: [r[c] for r in rows] for c in columns}},
    ]
    for form in forms:
        assert requests.post(bank.url + "/invocations", json=form).json() == plain
    text = ",".join(columns) + "\n" + "".join(",".join(map(str, r.values())) + "\n" for r in rows)
    for body in (text, text.replace("\n", "\r\n"), text.replace("may", '"may"')):
        assert requests.post(bank.url + "/invocations", data=body, headers={"Content-Type": "text/csv"}).json() == plain


def test_explanations_add_up_to_the_logit(bank):
    body = requests.post(bank.url + "/explain", json=[BANK_ROW, {**BANK_ROW, "balance": -10}]).json()
    for row in body:
        total = row["explanation"]["intercept"]
        for part in row["explanation"]["contributions"]:
            total += part["contribution"]
        assert total == row["explanation"]["score"]
        assert math.isclose(1 / (1 + math.exp(-total)), row["surplus_probability"], rel_tol=1e-15)


REFUSED = {
    "two lengths": (b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    "length and chunks": (b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "folded line": (b"POST /predict HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400),
    "bare LF": (b"POST /predict HTTP/1.1\nHost: a\n\n", 400),
    "blank before colon": (b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n{}", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "long head": (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000 + b"\r\n\r\n", 431),
    "long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    "long body": (b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
    "unknown coding": (b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    "HTTP/2": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    "expectation": (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_closed(bank, name):
    data, status = REFUSED[name]
    got = raw(bank, data + b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 %d " % status) and got.count(b"HTTP/1.1 ") == 1


def test_pipelined_requests_are_answered_in_order(bank):
    body = json.dumps(BANK_ROW).encode()
    one = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    chunked = b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    got = raw(bank, (one + chunked) * 20 + b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert got.count(b"HTTP/1.1 200 OK") == 41 and got.count(b"surplus_probability") == 40 and got.endswith(b"\n")


def test_a_body_in_small_pieces(bank):
    body = json.dumps(BANK_ROW).encode()
    data = b"POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with socket.create_connection(("127.0.0.1", bank.port), 5) as sock:
        for i in range(0, len(data), 7):
            sock.sendall(data[i:i + 7])
        assert b"surplus_probability" in sock.makefile("rb").read()


def test_slow_requests_are_closed(packages, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("limits: {head_timeout_ms: 300, request_timeout_ms: 600, idle_timeout_ms: 400, connections: 20}\n")
    with Serve("--model", packages / "bank", "--config", config, "--threads", "1") as server:
        def until_closed(data):
            """What comes back before the server closes; fails where it does not close."""
            with socket.create_connection(("127.0.0.1", server.port), 60) as sock:
                sock.sendall(data)
                return sock.makefile("rb").read()

        assert until_closed(b"GET / HT").startswith(b"HTTP/1.1 408 ")
        assert until_closed(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{").startswith(b"HTTP/1.1 408 ")
        assert until_closed(b"") == b""  # idle: closed without a word


def test_a_crowd_is_refused_and_forgotten(packages, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("limits: {connections: 20, idle_timeout_ms: 600000}\n")
    with Serve("--model", packages / "bank", "--config", config, "--threads", "1") as server:
        crowd = [socket.create_connection(("127.0.0.1", server.port), 60) for _ in range(25)]
        answers = [sock.makefile("rb").read(13) for sock in crowd[20:]]  # accepted in order: the first 20 are kept
        assert answers == [b"HTTP/1.1 503 "] * 5
        for sock in crowd:
            sock.close()
        deadline = time.monotonic() + 60
        while requests.get(server.url + "/ping").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_sigterm_under_load_drops_nothing(packages):
    with Serve("--model", packages / "bank", "--threads", "2") as server:
        failed, answered, stop = [], [0], threading.Event()

        def ask():
            session = requests.Session()
            while not stop.is_set():
                try:
                    assert session.post(server.url + "/predict", json=BANK_ROW, timeout=10).status_code == 200
                    answered[0] += 1
                except requests.ConnectionError as error:
                    if "refused" not in str(error):
                        failed.append(str(error))
                    return

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while answered[0] <= 50:
            assert time.monotonic() < deadline and not failed, failed
            time.sleep(0.01)
        status = server.stop()
        stop.set()
        for thread in threads:
            thread.join()
        assert status == 0 and not failed


def test_keys_and_origins(packages, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(f"api_keys: [{hashlib.sha256(b'open sesame').hexdigest()}]\ncors: {{origins: ['https://a.example']}}\naccess_log: {tmp_path}/access.log\n")
    with Serve("--model", packages / "bank", "--config", config) as server:
        assert requests.get(server.url + "/ping").status_code == 200
        assert requests.post(server.url + "/predict", json=BANK_ROW).status_code == 401
        assert requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-API-Key": "open sesam"}).status_code == 401
        for headers in ({"X-API-Key": "open sesame"}, {"Authorization": "Bearer open sesame"}):
            reply = requests.post(server.url + "/predict", json=BANK_ROW, headers={**headers, "Origin": "https://a.example"})
            assert reply.status_code == 200 and reply.headers["Access-Control-Allow-Origin"] == "https://a.example"
        preflight = requests.options(server.url + "/predict", headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
        assert preflight.status_code == 204 and "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Origin" not in requests.get(server.url + "/ping", headers={"Origin": "https://b.example"}).headers
        lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
        assert [line["status"] for line in lines] == [200, 401, 401, 200, 200, 204, 200] and "sesame" not in (tmp_path / "access.log").read_text()


def test_tls_and_its_reload(packages, tmp_path):
    def certificate(name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"], check=True, capture_output=True)

    certificate("one")
    config = tmp_path / "c.yaml"
    config.write_text(f"tls: {{certificate: {tmp_path}/cert.pem, key: {tmp_path}/key.pem}}\npoll_seconds: 1\n")
    with Serve("--model", packages / "bank", "--config", config) as server:
        assert server.url.startswith("https://")
        assert requests.post(server.url + "/predict", json=[BANK_ROW] * 2000, verify=tmp_path / "cert.pem").status_code == 200
        time.sleep(0.05)
        certificate("two")
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            try:
                assert requests.get(server.url + "/ping", verify=tmp_path / "cert.pem").status_code == 200
                return
            except requests.exceptions.SSLError:
                time.sleep(0.2)
        pytest.fail("the new certificate was not taken")


def test_several_models(packages, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(f"models:\n  first: {packages}/bank\n  second: {packages}/numbers\n")
    with Serve("--config", config) as server:
        assert requests.post(server.url + "/models/second/predict", json={"a": 1, "b": 2, "c": 0.5, "d": 4}).status_code == 200
        assert requests.post(server.url + "/models/first/predict", json=BANK_ROW).json() == requests.post(server.url + "/predict", json=BANK_ROW).json()
        assert requests.get(server.url + "/models/third/").status_code == 404


BAD_STARTS = {
    "no model": ([], 2, "--model"),
    "unknown option": (["--modle", "x"], 2, "--help"),
    "bad port": (["--model", "x", "--port", "99999"], 2, "port"),
    "missing folder": (["--model", "/nowhere/at/all"], 1, "/nowhere/at/all"),
}


@pytest.mark.parametrize("name", BAD_STARTS)
def test_bad_start(name):
    args, status, word = BAD_STARTS[name]
    done = subprocess.run([COMMAND, *args], capture_output=True, text=True, timeout=20)
    assert done.returncode == status and word in done.stderr and not done.stdout


def test_bad_configuration_names_the_place(tmp_path):
    config = tmp_path / "c.yaml"
    for text, words in {"modle: x\n": ["c.yaml:1:1", "nearest: 'model'"], "port: many\n": ["c.yaml:1:7", "whole number"], "limits: {rows: 0}\n": ["limits.rows", "from 1"],
                        "api_keys: [secret]\nmodel: x\n": ["SHA-256"], "model: a\nmodel: b\n": ["twice"], "host: [": ["c.yaml:"]}.items():
        config.write_text(text)
        done = subprocess.run([COMMAND, "--config", config], capture_output=True, text=True, timeout=20)
        assert done.returncode == 2 and all(word in done.stderr for word in words), done.stderr


def test_a_package_that_was_changed_is_refused(packages, tmp_path):
    for name, words in {"MLmodel": "MLmodel: cannot be opened", "model.onnx": "model.onnx: cannot be opened", "code/native_tabular_v1.py": "cannot be opened"}.items():
        folder = shutil.copytree(packages / "bank", tmp_path / name.replace("/", "-"))
        (folder / name).unlink()
        done = subprocess.run([COMMAND, "--check", "--model", folder], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and words in done.stderr and "hint: " in done.stderr, done.stderr
    folder = shutil.copytree(packages / "bank", tmp_path / "more")
    (folder / "requirements.txt").write_text("other\n")
    assert "requirements.txt: its SHA-256 is" in subprocess.run([COMMAND, "--check", "--model", folder], capture_output=True, text=True, timeout=20).stderr
    (folder / "setup.py").write_text("")
    assert "setup.py: is no file of a package" in subprocess.run([COMMAND, "--check", "--model", folder], capture_output=True, text=True, timeout=20).stderr


def test_check_answers_and_ends(packages):
    done = subprocess.run([COMMAND, "--check", "--model", packages / "odd"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and done.stdout == "ok: 1 model\n"


def test_the_recorded_answers_are_what_the_server_answers(packages):
    for name in ("bank", "numbers", "odd", "dates"):
        with Serve("--model", packages / name) as server:
            reply = requests.post(server.url + "/invocations", data=(packages / name / "serving_input_example.json").read_bytes(), headers={"Content-Type": "application/json"})
            assert reply.json() == json.loads((packages / name / ANSWERS).read_text()), name  # equal doubles: the same bits
            assert "records no answers" not in server.errors()


def test_check_compares_the_recorded_answers(packages, tmp_path):
    def check(name, change):
        folder = shutil.copytree(packages / name, tmp_path / str(len(list(tmp_path.iterdir()))))
        answers = json.loads((folder / ANSWERS).read_text())
        change(answers["predictions"][0])
        overwrite(folder, ANSWERS, json.dumps(answers))
        return subprocess.run([COMMAND, "--check", "--model", folder], capture_output=True, text=True, timeout=20)

    def nudge(by):
        return lambda row: row.update(surplus_probability=row["surplus_probability"] + by)

    for name, change in {"bank": nudge(1e-9), "odd": lambda row: row.update(prediction="high"), "numbers": lambda row: row.update(prediction="1"), "dates": lambda row: row.update(surplus_prediction=1 - row["surplus_prediction"])}.items():
        done = check(name, change)
        assert done.returncode == 1 and "the package records" in done.stderr and "row 0" in done.stderr, (name, done)
    assert check("bank", lambda row: row.pop("surplus_prediction")).stderr.count("the package records none") == 1
    assert check("bank", nudge(1e-15)).returncode == 0  # another C library's last place
    folder = shutil.copytree(packages / "bank", tmp_path / "no-list")
    overwrite(folder, ANSWERS, '{"predictions": []}')
    assert f"{ANSWERS}: expected" in subprocess.run([COMMAND, "--check", "--model", folder], capture_output=True, text=True, timeout=20).stderr


def test_a_package_from_before_answers_were_recorded_is_served(packages, tmp_path):
    folder = without_answers(shutil.copytree(packages / "bank", tmp_path / "older"))
    done = subprocess.run([COMMAND, "--check", "--model", folder], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "records no answers to its input example" in done.stderr
    folder = shutil.copytree(packages / "bank", tmp_path / "lost")  # MLmodel says that there were some
    (folder / ANSWERS).unlink()
    done = subprocess.run([COMMAND, "--check", "--model", folder], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and ANSWERS in done.stderr


def test_a_taken_port_is_said(bank, packages):
    done = subprocess.run([COMMAND, "--model", packages / "bank", "--port", str(bank.port)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and str(bank.port) in done.stderr


def test_a_request_without_memory_is_not_called_wrong(packages):
    """However little there is: the answer, or 503; never that a body which is right is no JSON."""
    with Serve("--model", packages / "bank", "--threads", "2", env={"ASAN_OPTIONS": "allocator_may_return_null=1"}) as server:
        body, statuses = json.dumps([BANK_ROW] * 20000), set()
        pages = int(open(f"/proc/{server.process.pid}/statm").read().split()[0])
        for megabytes in (8, 16, 24, 32, 48, 64):
            resource.prlimit(server.process.pid, resource.RLIMIT_AS, (pages * resource.getpagesize() + (megabytes << 20), resource.RLIM_INFINITY))
            for path in ("/predict", "/explain", "/invocations"):
                reply = requests.post(server.url + path, data=body if path != "/invocations" else f'{{"dataframe_records": {body}}}', headers={"Content-Type": "application/json"})
                statuses.add(reply.status_code)
        assert 503 in statuses and statuses <= {200, 503}
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert requests.post(server.url + "/predict", json=BANK_ROW).status_code == 200
