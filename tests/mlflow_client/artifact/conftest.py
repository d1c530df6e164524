"""What the artifact tests share: a real MLflow server, the tool that calls the C functions, and servers of a few lines that answer as a test wants."""

import http.server
import os
import pathlib
import subprocess
import threading

import mlflow
import pytest

from mlflow_server import MlflowServer


@pytest.fixture(scope="module")
def server():
    with MlflowServer() as running:
        yield running


@pytest.fixture
def client(server):
    mlflow.set_tracking_uri(server.uri)
    return mlflow.MlflowClient(server.uri)


@pytest.fixture
def model(tmp_path):
    """A small file, and one that is large enough for a second name instead of a copy while a call sends it."""
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors:\n  other:\n    data: x\n")
    (folder / "sub" / "data.bin").write_bytes(os.urandom(1_500_000))
    return folder


@pytest.fixture
def tool(build_root, tmp_path):
    """tool(command, argument…, env={}, expect=0, data=None) -> CompletedProcess in bytes; the client's journal is in tmp_path."""
    program = build_root / "tests" / "mlflow_client" / "artifact" / "artifact_tool"

    def run(*words, env=None, expect=0, data=None, timeout=120):
        environment = {**os.environ, "MLFLOW_JOURNAL_DIR": str(tmp_path / "journal"), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
                       "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0", **(env or {})}  # fmt: skip
        done = subprocess.run([str(program), *map(str, words)], input=data if data is not None else b"", capture_output=True, timeout=timeout, env=environment)
        assert (done.returncode == 0) == (expect == 0), f"{words}: left with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr.decode()[-4000:]}"
        assert b"Sanitizer" not in done.stderr, done.stderr.decode()
        return done

    return run


class ScriptedServer:
    """Answers GET, PUT, POST, DELETE and HEAD by calling script(handler); requests holds (method, path, headers, body) of each."""

    def __init__(self, script):
        outer = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append((self.command, self.path, dict(self.headers), body))
                self.body = body
                script(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = answer

            def say(self, status, body=b"", headers=None):
                body = body if isinstance(body, bytes) else body.encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def cut(self, claimed, body, headers=None, status=200):
                """Promises `claimed` bytes, sends fewer, hangs up."""
                self.send_response(status)
                self.send_header("Content-Length", str(claimed))
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def scripted():
    """scripted(function) -> a running ScriptedServer, closed with the test."""
    servers = []

    def start(script):
        servers.append(ScriptedServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def tree(tmp_path):
    """A folder with names and sizes that go wrong easily."""
    root = tmp_path / "tree"
    files = {"a.txt": b"hello\n", "empty": b"", "sub/é with blank?;&+=[]'\".txt": b"odd", "sub/deep/er/blob.bin": os.urandom(3_000_001), "sub/MLmodel": b"flavors:\n"}
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@pytest.fixture
def contents():
    """contents(folder) -> {relative path: bytes} of every file below it, hidden ones too."""

    def read(folder):
        folder = pathlib.Path(folder)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()} if folder.exists() else {}

    return read
