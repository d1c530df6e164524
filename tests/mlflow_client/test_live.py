"""live.c (every typed function) and mlflowc doctor against real servers: plain, with a login, behind TLS."""

import email.utils
import http.server
import json
import os
import pathlib
import select
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import pytest

sys.path.insert(0, str(pathlib.Path(os.environ["SOURCE_ROOT"]) / "tests"))
from mlflow_server import ADMIN_PASSWORD, ADMIN_USER, MlflowServer, free_port  # noqa: E402

STATE = tempfile.TemporaryDirectory(prefix="live-state-")
BUILD = pathlib.Path(os.environ["BUILD_ROOT"])
MLFLOWC, LIVE = BUILD / "mlflow_client" / "mlflowc", BUILD / "tests" / "mlflow_client" / "live"


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "SSL_", "REQUESTS_", "CURL_"))}
    return {**env, "HOME": "/nonexistent", "XDG_STATE_HOME": STATE.name, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", **more}


def run(command, **env):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, env=environment(**env), timeout=120)


def passes(done):
    failed = [line for line in done.stdout.splitlines() if line.startswith(("not ok", "#"))]
    print(done.stdout.count("\nok"), "checks")
    assert done.returncode == 0 and failed == [], "\n".join(failed) + done.stderr[-2000:]


@pytest.fixture(scope="module")
def plain():
    with MlflowServer() as server:
        yield server.uri


@pytest.fixture(scope="module")
def locked():
    with MlflowServer(auth=True) as server:
        yield server.uri


def doctor(done):
    return {line[6:23].strip(): line[:5].strip() for line in done.stdout.splitlines() if line[:5].strip() in ("ok", "note", "FAIL", "skip")}


# ---- newest server ----


def test_every_typed_function(plain):
    passes(run([LIVE, "3"], MLFLOW_TRACKING_URI=plain))


def test_no_typed_function_is_left_out():
    """What the header promises of the server's nouns is called by live.c, that is: in a test here."""
    root = pathlib.Path(os.environ["SOURCE_ROOT"])
    header = (root / "mlflow_client" / "include" / "mlflow_client.h").read_text()
    nouns = header[header.index("/* ---- experiments ---- */") : header.index("/* ---- runs: logging never waits for the network ---- */")]
    names = re.findall(r"^MLF_API [^;]*?\b(mlf_\w+)\(", nouns, re.M)
    called = set(re.findall(r"\b(mlf_\w+)\(", (root / "tests" / "mlflow_client" / "live.c").read_text()))
    assert len(names) > 90 and [name for name in names if name not in called] == []


def test_webhooks_of_a_server_that_may_send():
    class Told(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    from cryptography.fernet import Fernet

    came = []
    env = {"MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(), "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}
    with MlflowServer(env=env) as server, http.server.ThreadingHTTPServer(("127.0.0.1", 0), Told) as told:
        threading.Thread(target=told.serve_forever, daemon=True).start()
        passes(run([LIVE, "3", f"http://127.0.0.1:{told.server_port}/"], MLFLOW_TRACKING_URI=server.uri))
        told.shutdown()
    assert [(message["entity"], message["action"]) for message in came] == [("model_version", "created")]


def test_every_typed_function_with_a_login_and_the_users_too(locked):
    passes(run([LIVE, "3", "users"], MLFLOW_TRACKING_URI=locked, MLFLOW_TRACKING_USERNAME=ADMIN_USER, MLFLOW_TRACKING_PASSWORD=ADMIN_PASSWORD))


def test_doctor_finds_nothing_wrong(plain):
    done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=plain)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(doctor(done)) == ["address", "TLS", "auth", "version", "artifact store", "write permission", "clock skew", "journal", "waiting"]
    assert "MLflow 3." in done.stdout and "mlflow-artifacts:/0" in done.stdout


def test_doctor_behind_a_redirect_to_no_host_says_whose_name_is_wrong():
    class Away(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", f"http://user:secret@nowhere.invalid:81{self.path}?token=secret")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Away) as away:
        threading.Thread(target=away.serve_forever, daemon=True).start()
        done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=f"http://127.0.0.1:{away.server_port}")
        away.shutdown()
    assert done.returncode == 1 and doctor(done)["address"] == "FAIL"
    assert "redirected to host nowhere.invalid:81: " in done.stdout and "answers, and sends on" in done.stdout, done.stdout
    assert "secret" not in done.stdout + done.stderr and "/etc/hosts" not in done.stdout


@pytest.mark.parametrize("ahead_s,says", [(-3600, "ahead of the server"), (3600, "behind the server"), (0, "")])
def test_doctor_compares_the_clocks(plain, ahead_s, says):
    class Elsewhen(http.server.BaseHTTPRequestHandler):
        """The server, with another time in its Date."""

        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            headers = {name: self.headers[name] for name in ("Content-Type", "Range") if name in self.headers}
            try:
                reply = urllib.request.urlopen(urllib.request.Request(plain + self.path, body, headers, method=self.command))
            except urllib.error.HTTPError as error:
                reply = error
            text = reply.read()
            self.send_response_only(reply.status)
            self.send_header("Date", email.utils.formatdate(time.time() + ahead_s, usegmt=True))
            self.send_header("Content-Type", reply.headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = pass_on

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhen) as relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=f"http://127.0.0.1:{relay.server_port}")
        relay.shutdown()
    found = doctor(done)
    assert (done.returncode, found["clock skew"]) == ((1, "FAIL") if ahead_s else (0, "ok")), done.stdout
    assert says in done.stdout and ("follow a time server" in done.stdout) == bool(ahead_s) and found["write permission"] == "ok", done.stdout


def test_doctor_without_a_login(locked):
    done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=locked)
    assert done.returncode == 1 and doctor(done)["address"] == "ok" and doctor(done)["auth"] == "FAIL"
    assert "MLFLOW_TRACKING_USERNAME" in done.stdout
    hangs_on_it = {doctor(done)[step] for step in ("version", "artifact store", "write permission")}
    assert hangs_on_it == {"skip"} and "1 of the checks failed" in done.stderr, done.stdout


def test_doctor_with_a_wrong_password(locked):
    done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=locked, MLFLOW_TRACKING_USERNAME="admin", MLFLOW_TRACKING_PASSWORD="no")
    assert done.returncode == 1 and doctor(done)["auth"] == "FAIL" and "as admin, from MLFLOW_TRACKING_USERNAME" in done.stdout


def test_doctor_with_nobody_there():
    done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1 and doctor(done)["address"] == "FAIL" and "is the server running" in done.stdout


@pytest.mark.parametrize(
    "env,step,mend",
    [
        ({"MLFLOW_WORKSPACE": "team"}, "workspace", "unset MLFLOW_WORKSPACE"),
        ({"MLFLOW_OFFLINE": "1"}, "address", "mend: unset MLFLOW_OFFLINE"),
        ({"MLFLOW_TRACKING_URI": "http://127.0.0.1:99999"}, "address", "a number up to 65535"),
        ({"MLFLOW_TRACKING_URI": "sqlite:///x.db"}, "address", "--backend-store-uri"),
        ({"MLFLOW_TRACKING_URI": "databricks"}, "address", "name an MLflow server"),
        ({"MLFLOW_EXPERIMENT_ID": "9999"}, "experiment", "unset MLFLOW_EXPERIMENT_ID"),
        ({"MLFLOW_EXPERIMENT_ID": "9999", "MLFLOW_EXPERIMENT_NAME": "Default"}, "experiment", "unset one of them"),
    ],
)
def test_doctor_says_what_to_set_otherwise(plain, env, step, mend):
    done = run([MLFLOWC, "doctor"], **{"MLFLOW_TRACKING_URI": plain, **env})
    found = doctor(done)
    assert done.returncode == 1 and [name for name in found if found[name] == "FAIL"] == [step] and mend in done.stdout, done.stdout
    assert found["journal"] == "ok" and found["write permission"] == "skip", done.stdout


def test_doctor_makes_no_experiment(plain):
    for words in (["--no-write"], []):
        done = run([MLFLOWC, "doctor", "--experiment", "mistyped", *words], MLFLOW_TRACKING_URI=plain)
        assert done.returncode == 0 and doctor(done)["experiment"] == "note" and 'no "mistyped": the first run makes it' in done.stdout, done.stdout
    assert "mistyped" not in run([MLFLOWC, "experiments", "list"], MLFLOW_TRACKING_URI=plain).stdout


@pytest.mark.parametrize("status,mend", [(401, "wants a login"), (403, "wants a login"), (407, "wants a login"), (503, "wait and try again"), (502, "wait and try again"), (404, "path prefix"), (200, "path prefix")])
def test_doctor_before_something_that_is_not_the_server(status, mend):
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"<htm>")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=f"http://127.0.0.1:{other.server_port}", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
        other.shutdown()
    assert done.returncode == 1 and doctor(done)["address"] == "FAIL" and mend in done.stdout and f"status {status}" in done.stdout, done.stdout


@pytest.mark.parametrize("ahead_s,says", [(60, "behind the server"), (-60, "ahead of the server")])
def test_doctor_where_the_clocks_differ(plain, ahead_s, says):
    class Clock(http.server.BaseHTTPRequestHandler):
        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            try:
                reply = urllib.request.urlopen(urllib.request.Request(plain + self.path, body, {"Content-Type": "application/json"}, method=self.command))
            except urllib.error.HTTPError as error:
                reply = error
            with reply:
                text = reply.read()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.headers["Content-Type"])
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = pass_on

        def date_time_string(self, timestamp=None):
            return super().date_time_string((timestamp or time.time()) + ahead_s)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Clock) as clock:
        threading.Thread(target=clock.serve_forever, daemon=True).start()
        done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=f"http://127.0.0.1:{clock.server_port}")
        clock.shutdown()
    found = doctor(done)
    assert done.returncode == 1 and [name for name in found if found[name] == "FAIL"] == ["clock skew"], done.stdout
    assert re.search(rf"this machine is (59|6[01])\.\d s {says}", done.stdout), done.stdout


def test_doctor_with_no_address():
    done = run([MLFLOWC, "doctor"])
    assert done.returncode == 1 and "MLFLOW_TRACKING_URI=http://" in done.stdout


def test_doctor_under_a_foreign_host_name(plain):
    """The server refuses names it does not know with a plain 403."""
    port = plain.rsplit(":", 1)[1]
    done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=f"http://LOCALHOST:{port}")
    assert done.returncode == 1 and "--allowed-hosts" in done.stdout, done.stdout


def test_doctor_looks_at_the_journal(plain, tmp_path):
    env = {"MLFLOW_TRACKING_URI": plain, "MLFLOW_JOURNAL_DIR": str(tmp_path / "a" / "journals")}
    done = run([MLFLOWC, "doctor"], **env)
    assert done.returncode == 0 and (doctor(done)["journal"], doctor(done)["waiting"]) == ("ok", "ok") and "GB free" in done.stdout, done.stdout
    assert list((tmp_path / "a" / "journals").iterdir()) == []
    run([MLFLOWC, "run", "--", "true"], MLFLOW_OFFLINE="1", **env)
    done = run([MLFLOWC, "doctor"], **env)
    assert done.returncode == 0 and doctor(done)["waiting"] == "note" and "1 journal with 0.0 MB to be sent; 0 in use now" in done.stdout and "mend: mlflowc sync" in done.stdout, done.stdout
    damaged = tmp_path / "a" / "journals" / ("0" * 32)
    damaged.mkdir()
    (damaged / "data.jrn").write_bytes(b"something else")
    done = run([MLFLOWC, "doctor", "--no-write"], **env)
    assert done.returncode == 1 and (doctor(done)["journal"], doctor(done)["waiting"]) == ("note", "FAIL") and "1 cannot be read" in done.stdout, done.stdout


def test_doctor_where_no_journal_can_be_kept(plain, tmp_path):
    (tmp_path / "file").write_text("")
    done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=plain, MLFLOW_JOURNAL_DIR=str(tmp_path / "file" / "journals"))
    assert done.returncode == 1 and doctor(done)["journal"] == "FAIL" and "MLFLOW_JOURNAL_DIR" in done.stdout, done.stdout


# ---- TLS ----


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    for name, subject in (("right", "IP:127.0.0.1"), ("wrong", "DNS:elsewhere.example")):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={subject}",
             "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"],
            check=True, capture_output=True)  # fmt: skip
    return folder


class TlsRelay:
    """Ends TLS in front of a server."""

    def __init__(self, uri, certificate):
        import socket

        self.target = ("127.0.0.1", int(uri.rsplit(":", 1)[1]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.with_suffix(".pem"), certificate.with_suffix(".key"))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.context, self.socket = context, socket
        self.uri = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(plain,), daemon=True).start()

    def serve(self, plain):
        try:
            near = self.context.wrap_socket(plain, server_side=True)
        except (ssl.SSLError, OSError):
            return
        far = self.socket.create_connection(self.target)
        with near, far:  # one thread for both ways: neither OpenSSL's object nor a closed number bears two
            try:
                self.pump({near: far, far: near}, near)
            except OSError:
                pass

    @staticmethod
    def pump(other, near):
        while True:
            for source in [near] if near.pending() else select.select(list(other), [], [])[0]:
                data = source.recv(65536)
                if not data:
                    return
                other[source].sendall(data)


def test_tls_with_its_own_authority(plain, certificates):
    relay = TlsRelay(plain, certificates / "right")
    done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=relay.uri, MLFLOW_TRACKING_SERVER_CERT_PATH=str(certificates / "right.pem"))
    assert done.returncode == 0 and doctor(done)["TLS"] == "ok", done.stdout + done.stderr
    passes(run([LIVE, "3"], MLFLOW_TRACKING_URI=relay.uri, MLFLOW_TRACKING_SERVER_CERT_PATH=str(certificates / "right.pem")))


@pytest.mark.parametrize("name,env", [("right", {}), ("wrong", {"MLFLOW_TRACKING_SERVER_CERT_PATH": "wrong.pem"})])
def test_a_certificate_that_is_not_trusted_or_names_another_host(plain, certificates, name, env):
    relay = TlsRelay(plain, certificates / name)
    env = {k: str(certificates / v) for k, v in env.items()}
    done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=relay.uri, **env)
    assert done.returncode == 1 and doctor(done)["TLS"] == "FAIL", done.stdout
    assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in done.stdout
    call = run([MLFLOWC, "experiments", "list"], MLFLOW_TRACKING_URI=relay.uri, **env)
    assert call.returncode == 1 and "certificate" in call.stderr, call.stderr


def test_tls_unchecked_is_said(plain, certificates):
    relay = TlsRelay(plain, certificates / "wrong")
    done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=relay.uri, MLFLOW_TRACKING_INSECURE_TLS="true")
    assert done.returncode == 0 and doctor(done)["TLS"] == "note", done.stdout


def test_https_to_a_server_without_tls(plain):
    done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=plain.replace("http:", "https:"))
    assert done.returncode == 1 and doctor(done)["TLS"] == "FAIL", done.stdout


# ---- older servers ----


@pytest.mark.parametrize("version", ["2.9", "2.22"])
def test_older_servers(version, tmp_path):
    with MlflowServer(folder=tmp_path, release=version) as server:
        passes(run([LIVE, "2"], MLFLOW_TRACKING_URI=server.uri))
        done = run([MLFLOWC, "doctor"], MLFLOW_TRACKING_URI=server.uri)
        assert done.returncode == 0 and "a 2.x server" in done.stdout, done.stdout + done.stderr
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.parametrize("version", ["2.9", "2.22"])
def test_older_servers_with_a_login_behind_tls(version, tmp_path, certificates):
    login = {"MLFLOW_TRACKING_USERNAME": ADMIN_USER, "MLFLOW_TRACKING_PASSWORD": ADMIN_PASSWORD, "MLFLOW_TRACKING_SERVER_CERT_PATH": str(certificates / "right.pem")}
    with MlflowServer(folder=tmp_path, release=version, auth=True) as server:
        relay = TlsRelay(server.uri, certificates / "right")
        passes(run([LIVE, "2", "users"], MLFLOW_TRACKING_URI=relay.uri, **login))
        refused = run([MLFLOWC, "experiments", "list"], MLFLOW_TRACKING_URI=relay.uri, **{**login, "MLFLOW_TRACKING_PASSWORD": "wrong"})
        assert refused.returncode == 1 and "401" in refused.stderr, refused.stderr
    shutil.rmtree(tmp_path, ignore_errors=True)


# ---- workspaces ----


def test_workspaces():
    with MlflowServer(args=["--enable-workspaces"]) as server:
        passes(run([LIVE, "3", "workspaces"], MLFLOW_TRACKING_URI=server.uri))

        def mlflowc(*words, **env):
            return run([MLFLOWC, *words], MLFLOW_TRACKING_URI=server.uri, **env)

        assert mlflowc("call", "workspaces_create", "name=team-a", "description=x").returncode == 0
        assert mlflowc("call", "workspaces_update", "workspace_name=team-a", "description=y").returncode == 0
        assert "workspace.description               y" in mlflowc("call", "workspaces_get", "workspace_name=team-a").stdout
        assert mlflowc("call", "workspaces_list", "--all").stdout.count("\n") == 2
        assert mlflowc("experiments", "create", "inside", MLFLOW_WORKSPACE="team-a").returncode == 0
        assert "inside" in mlflowc("experiments", "list", MLFLOW_WORKSPACE="team-a").stdout
        assert "inside" not in mlflowc("experiments", "list").stdout
        nowhere = mlflowc("experiments", "list", MLFLOW_WORKSPACE="nowhere")
        assert nowhere.returncode == 1 and "Workspace 'nowhere' not found" in nowhere.stderr
        assert mlflowc("call", "workspaces_create", "name=team-b").returncode == 0
        assert mlflowc("call", "workspaces_delete", "workspace_name=team-b").returncode == 0
