"""solvent prepare into buckets and solvent train out of them; what was written is read back by Amazon's and Google's own clients.
A wrong key, an expired token, a missing bucket, a connection cut halfway: one clear message, nothing half-written to be seen."""

import contextlib
import gzip
import json
import os
import socket
import subprocess
import threading

import pytest
import werkzeug.serving
from bucket_servers import boto3_client, google_bucket, google_emulator, moto_server
from werkzeug.wrappers import Response

ROWS = 120_000  # a table of 9 MB: two parts
PREPARE = ["prepare", "configs/cashflow.yaml", "--set", f"data.source=generate:rows={ROWS},seed=7", "--quiet"]
QUICKLY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0", "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
AWS_KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "the-secret", "AWS_EC2_METADATA_DISABLED": "true"}


class S3:
    """moto's server, read by boto3."""

    scheme = "s3"

    def __init__(self):
        self.server = contextlib.ExitStack()
        uri = self.server.enter_context(moto_server())
        self.port = int(uri.rpartition(":")[2])
        self.client = boto3_client(uri, AWS_KEYS["AWS_SECRET_ACCESS_KEY"])
        self.client.create_bucket(Bucket="rows")

    def env(self, port=None):
        return {**AWS_KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}"}

    def read(self, name):
        return self.client.get_object(Bucket="rows", Key=name)["Body"].read()

    def write(self, name, content):
        self.client.put_object(Bucket="rows", Key=name, Body=content)

    def visible(self):
        return {item["Key"] for item in self.client.list_objects_v2(Bucket="rows").get("Contents", [])}

    def unfinished(self):
        return {item["Key"] for item in self.client.list_multipart_uploads(Bucket="rows").get("Uploads", [])}

    def stop(self):
        self.server.close()


class GoogleStorage:
    """An emulator, read by google-cloud-storage."""

    scheme = "gs"

    def __init__(self):
        self.server = contextlib.ExitStack()
        uri = self.server.enter_context(google_emulator("rows"))
        self.port = int(uri.rpartition(":")[2])
        self.bucket = google_bucket(uri, "rows")

    def env(self, port=None):
        return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port or self.port}"}

    def read(self, name):
        return self.bucket.blob(name).download_as_bytes()

    def write(self, name, content):
        self.bucket.blob(name).upload_from_string(content)

    def visible(self):
        return {blob.name for blob in self.bucket.client.list_blobs("rows")}

    def unfinished(self):
        return set()  # the emulator does not tell; a session that is not finished is no object

    def stop(self):
        self.server.close()


@pytest.fixture(scope="module", params=[S3, GoogleStorage], ids=["s3", "gs"])
def bucket(request):
    store = request.param()
    yield store
    store.stop()


class Cutter(threading.Thread):
    """Stands before a store and hangs up on both sides once `limit` bytes have passed one way: once, twice, or (times=None) for good,
    when whoever comes again is hung up on at once. With drip it keeps the line,
    says so (`reached`), and lets little through from then on."""

    def __init__(self, port, limit, times, drip):
        super().__init__(daemon=True)
        self.port, self.limit, self.times, self.cuts, self.drip = port, limit, times, 0, drip
        self.reached, self.released = threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.own_port = self.listener.getsockname()[1]
        self.start()

    def pass_on(self, source, target):
        passed = 0
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
                passed += len(piece)
                if passed > self.limit and self.drip:
                    self.reached.set()
                    self.released.wait(0.02)
                elif passed > self.limit and (self.times is None or self.cuts < self.times):
                    self.cuts += 1
                    break
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.times is None and self.cuts:
                client.close()
                continue
            store = socket.create_connection(("127.0.0.1", self.port))
            for ends in ((client, store), (store, client)):
                threading.Thread(target=self.pass_on, args=ends, daemon=True).start()


@pytest.fixture
def cutter(bucket):
    made = []

    def make(limit, times=None, drip=False):
        made.append(Cutter(bucket.port, limit, times, drip))
        return made[-1]

    yield make
    for one in made:
        one.listener.close()
        one.released.set()


@pytest.fixture(scope="module")
def table(tmp_path_factory, solvent, source_root):
    """What prepare writes into a file: what every bucket must hold."""
    path = tmp_path_factory.mktemp("table") / "table.csv"
    subprocess.run([solvent, *PREPARE, "--output", path], cwd=source_root, check=True)
    return path


@pytest.fixture
def run(solvent, source_root, tmp_path):
    """run(env, argument…, expect=0) -> what it said on standard error, without a secret in it."""

    def call(env, *arguments, expect=0):
        base = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GOOGLE_"))}
        done = subprocess.run([solvent, *map(str, arguments)], cwd=source_root, env={**base, **QUICKLY, "HOME": str(tmp_path), **env}, capture_output=True, text=True, timeout=200)
        assert done.returncode == expect, done.stdout + done.stderr
        assert "the-secret" not in done.stdout + done.stderr
        return done.stderr.strip()

    return call


def weights(solvent, folder):
    model = next(folder.glob("**/pipeline.json")).parent
    return json.loads(subprocess.run([solvent, "explain", "--model", model, "--json"], capture_output=True, text=True, check=True).stdout)


def train(run, env, source, folder, expect=0):
    config = folder.with_suffix(".yaml")
    config.write_text(f"""name: prepared
data: {{source: {json.dumps(str(source))}}}
target: {{name: surplus, column: surplus}}
drop: [split]
evaluate: {{bootstrap: 0}}
""")
    return run(env, "train", config, "--no-tracking", "--quiet", "--output", folder, expect=expect)


def is_one_clear_message(said, *words):
    return said.count("\n") == 0 and all(word in said for word in words)


def test_prepared_into_a_bucket_and_trained_from_it(bucket, run, table, solvent, tmp_path):
    uri = f"{bucket.scheme}://rows/prepared/table.csv"
    run(bucket.env(), *PREPARE, "--output", uri)
    assert bucket.read("prepared/table.csv") == table.read_bytes()
    bucket.write("packed.csv.gz", gzip.compress(table.read_bytes(), 1))
    train(run, {}, table, tmp_path / "from-a-file")
    for name, source in (("from-a-bucket", uri), ("from-a-packed-object", f"{bucket.scheme}://rows/packed.csv.gz")):
        train(run, bucket.env(), source, tmp_path / name)
        assert weights(solvent, tmp_path / name) == weights(solvent, tmp_path / "from-a-file")


def test_a_cut_upload_is_never_seen(bucket, run, cutter):
    cut = cutter(1_000_000)
    said = run(bucket.env(cut.own_port), *PREPARE, "--output", f"{bucket.scheme}://rows/cut/table.csv", expect=1)
    assert cut.cuts and is_one_clear_message(said, f"{bucket.scheme}://rows/cut/table.csv"), said
    assert not [name for name in bucket.visible() if name.startswith("cut/")]


def test_an_upload_cut_once_arrives_whole(bucket, run, cutter, table):
    cut = cutter(2_000_000, times=1)
    run(bucket.env(cut.own_port), *PREPARE, "--output", f"{bucket.scheme}://rows/once/table.csv")
    assert cut.cuts == 1 and bucket.read("once/table.csv") == table.read_bytes()


def test_an_interrupted_upload_is_never_seen(bucket, cutter, solvent, source_root, tmp_path):
    line = cutter(1_000_000, drip=True)
    env = {**os.environ, **QUICKLY, **bucket.env(line.own_port), "HOME": str(tmp_path)}
    process = subprocess.Popen([solvent, *PREPARE[:-2], "data.source=generate:rows=1000000,seed=7", "--output", f"{bucket.scheme}://rows/stopped/table.csv"],
                               cwd=source_root, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert line.reached.wait(60)
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not [name for name in bucket.visible() | bucket.unfinished() if name.startswith("stopped/")]


def test_a_cut_download_goes_on_where_it_broke(bucket, run, cutter, table, solvent, tmp_path):
    bucket.write("download.csv", table.read_bytes())
    cut = cutter(3_000_000, times=2)
    train(run, bucket.env(cut.own_port), f"{bucket.scheme}://rows/download.csv", tmp_path / "cut")
    train(run, {}, table, tmp_path / "whole")
    assert cut.cuts == 2 and weights(solvent, tmp_path / "cut") == weights(solvent, tmp_path / "whole")


def test_a_download_that_is_cut_for_good(bucket, run, cutter, table, tmp_path):
    bucket.write("never.csv", table.read_bytes())
    cut = cutter(100_000)
    said = train(run, bucket.env(cut.own_port), f"{bucket.scheme}://rows/never.csv", tmp_path / "never", expect=1)
    assert cut.cuts and is_one_clear_message(said, f"{bucket.scheme}://rows/never.csv"), said
    assert not (tmp_path / "never").exists()


def test_a_missing_bucket_or_object(bucket, run, tmp_path):
    missing = f"{bucket.scheme}://no-such-bucket/table.csv"
    assert is_one_clear_message(run(bucket.env(), *PREPARE, "--output", missing, expect=1), missing)
    for source in (missing, f"{bucket.scheme}://rows/no-such-object.csv"):
        assert is_one_clear_message(train(run, bucket.env(), source, tmp_path / "none", expect=1), source)


@pytest.fixture
def refusing():
    """refusing(status, body) -> port of a server that answers everything with it."""
    servers = []

    def start(status, body):
        server = werkzeug.serving.make_server("127.0.0.1", 0, Response(body, status), threaded=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()


@pytest.mark.parametrize("status, name", [(403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch"), (400, "ExpiredToken"), (403, "AccessDenied")])
def test_amazon_refuses_the_key(run, refusing, tmp_path, status, name):
    port = refusing(status, f"<?xml version='1.0'?><Error><Code>{name}</Code><Message>As the store says.</Message></Error>")
    env = {**AWS_KEYS, "AWS_SESSION_TOKEN": "the-secret", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    said = run(env, *PREPARE, "--output", "s3://rows/table.csv", expect=1), train(run, env, "s3://rows/table.csv", tmp_path / "out", expect=1)
    assert all(is_one_clear_message(line, "s3://rows/table.csv", name, "As the store says") for line in said), said


def test_google_refuses_the_key(run, refusing, tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    pem = rsa.generate_private_key(65537, 2048).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    port = refusing(400, json.dumps({"error": "invalid_grant", "error_description": "Token must be a short-lived token"}))
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"type": "service_account", "client_email": "me@project", "private_key_id": "k", "private_key": pem, "token_uri": f"http://127.0.0.1:{port}/token"}))
    env = {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}
    said = run(env, *PREPARE, "--output", "gs://rows/table.csv", expect=1), train(run, env, "gs://rows/table.csv", tmp_path / "out", expect=1)
    assert all(is_one_clear_message(line, "gs://rows/table.csv", "invalid_grant", "short-lived") and "PRIVATE KEY" not in line for line in said), said


@pytest.mark.parametrize("status", [401, 403])
def test_google_refuses_the_token(run, refusing, tmp_path, status):
    port = refusing(status, json.dumps({"error": {"code": status, "message": "Invalid Credentials"}}))
    env = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
    said = run(env, *PREPARE, "--output", "gs://rows/table.csv", expect=1), train(run, env, "gs://rows/table.csv", tmp_path / "out", expect=1)
    assert all(is_one_clear_message(line, "gs://rows/table.csv", "Invalid Credentials") for line in said), said
