"""A real MLflow server for tests: a free loopback port, sqlite and artifacts in a temporary folder, stopped by its process group.

    with MlflowServer() as server:
        requests.get(server.uri + "/health")

Options: artifacts="proxy" | "direct" (--no-serve-artifacts, a folder that clients open themselves) | any URI (s3://…, gs://…: proxied);
env: further environment; auth=True: --app-name basic-auth with the admin below; args: further arguments; folder: keeps state there;
release="2.9" | "2.22": an older one, in the environment that tests/mlflow_client/make-old-servers made.
stop() and start() may be called on it to test what outlives a server; kill() is a power cut.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ADMIN_USER, ADMIN_PASSWORD = "admin", "only-for-tests-1"
START_TIMEOUT_S = 180


def free_port():
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def older_python(release):
    """The Python that has that release of MLflow. Where it is missing a bare `meson test` skips, as without .venv."""
    python = pathlib.Path(__file__).resolve().parents[1] / f".venv-{release}" / "bin" / "python"
    if not python.exists():
        missing = f"no MLflow {release} at {python}: tests/mlflow_client/make-old-servers makes it"
        if os.environ.get("SOLVENT_TESTS_REQUIRE_MLFLOW") == "1":
            raise FileNotFoundError(missing)
        import pytest

        pytest.skip(missing)
    return str(python)


class MlflowServer:
    def __init__(self, artifacts="proxy", env=None, auth=False, args=(), folder=None, port=None, workers=1, release=None):
        self.own_folder = folder is None
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="mlflow-server-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.artifact_folder = self.folder / "artifacts"
        self.port = port or free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.log_path = self.folder / "server.log"
        self.process = None
        self._env, self._auth = dict(env or {}), auth
        self.python = older_python(release) if release else sys.executable
        if release:  # it starts gunicorn by name
            self._env["PATH"] = f"{pathlib.Path(self.python).parent}:{os.environ['PATH']}"
        self._command = [
            self.python, "-m", "mlflow", "server",
            "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db",
            "--host", "127.0.0.1", "--port", str(self.port), "--workers", str(workers),
            *self._artifact_arguments(artifacts), *(["--app-name", "basic-auth"] if auth else []), *args,
        ]  # fmt: skip

    def _artifact_arguments(self, artifacts):
        if artifacts == "direct":
            return ["--no-serve-artifacts", "--default-artifact-root", str(self.artifact_folder)]
        return ["--artifacts-destination", str(self.artifact_folder) if artifacts == "proxy" else artifacts]

    def _environment(self):
        env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        env.update(PYTHONUNBUFFERED="1", GIT_PYTHON_REFRESH="quiet", MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
        if self._auth:
            config = self.folder / "basic_auth.ini"
            config.write_text(
                "[mlflow]\ndefault_permission = READ\n"
                f"database_uri = sqlite:///{self.folder}/auth.db\nadmin_username = {ADMIN_USER}\nadmin_password = {ADMIN_PASSWORD}\n"
                "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            )
            env.update(MLFLOW_AUTH_CONFIG_PATH=str(config), MLFLOW_FLASK_SERVER_SECRET_KEY="only for tests")
        env.update(self._env)
        return env

    def log(self):
        """What the server wrote so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def start(self):
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.folder,
                env=self._environment(), start_new_session=True)  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the MLflow server did not start; {self.log_path}:\n{self.log()[-4000:]}")
            time.sleep(0.1)
        return self

    def _is_healthy(self):
        try:
            with urllib.request.urlopen(self.uri + "/health", timeout=5) as reply:
                return reply.status == 200
        except urllib.error.HTTPError as reply:
            return reply.code == 401
        except OSError:
            return False

    def _end(self, signal_number):
        if self.process is None:
            return
        group = self.process.pid  # start_new_session made it its own group's leader
        try:
            os.killpg(group, signal_number)
            self.process.wait(15)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(group, signal.SIGKILL)  # workers that outlived their parent
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None

    def stop(self):
        """Asks it to end, waits, then makes sure that nothing of it is left."""
        self._end(signal.SIGTERM)

    def kill(self):
        """A power cut: SIGKILL to the server and its workers."""
        self._end(signal.SIGKILL)

    @contextlib.contextmanager
    def stalled(self):
        """Within it the server takes connections and says nothing."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
        if self.own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)
