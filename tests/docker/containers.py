"""Containers as tests drive them: one that stays up and takes commands, and the compose file as a project of its own with random passwords and
free ports; both are removed at the end, the project with its volumes."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import uuid

import requests
from mlflow_server import free_port

ROOT = pathlib.Path(os.environ["SOURCE_ROOT"])
# Either reads the same file: docker-compose 1.29 of Debian 12, or the plugin, which is all that newer systems have. COMPOSE says which.
COMPOSE = os.environ.get("COMPOSE", "docker-compose" if shutil.which("docker-compose") else "docker compose").split()


def engine(*words, check=True, timeout=600):
    done = subprocess.run(["docker", *map(str, words)], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    assert not check or done.returncode == 0, f"docker {words}: {done.stderr}"
    return done.stdout.strip()


def say(figure):
    """A figure for whoever reads the run: tests/pytest_tap.py keeps such lines."""
    print("#", figure, file=sys.stderr)


class Machine:
    """A container that stays up, on the host's network so that it reaches a test's MLflow; run() is a shell command as root in it."""

    def __init__(self, image, *options):
        self.name = f"solvent-test-{uuid.uuid4().hex[:8]}"
        engine("run", "--detach", "--name", self.name, "--network", "host", "--workdir", "/tmp", *options, "--entrypoint", "sleep", image, "infinity")

    def run(self, command, expect=0, timeout=1200, **env):
        variables = [word for name, value in env.items() for word in ("--env", f"{name}={value}")]
        done = subprocess.run(["docker", "exec", *variables, self.name, "bash", "-euc", command], capture_output=True, text=True, timeout=timeout)
        assert done.returncode == expect, f"{command}\nleft with {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done.stdout.strip()

    def install(self, *packages):
        self.run(f"apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends {' '.join(packages)}")

    def remove(self):
        engine("rm", "--force", self.name, check=False)


class Stack:
    def __init__(self, folder):
        self.project = f"solvent-test-{uuid.uuid4().hex[:8]}"
        shutil.copy(ROOT / "docker" / "make-env", folder / "make-env")
        subprocess.run([folder / "make-env"], check=True, capture_output=True)
        ports = {name: free_port() for name in ("MLFLOW_PORT", "SERVE_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")}
        self.env_file = folder / ".env"
        with self.env_file.open("a") as env:
            env.writelines(f"{name}={port}\n" for name, port in ports.items())
        self.mlflow, self.serve, self.prometheus = (f"http://127.0.0.1:{ports[name]}" for name in ("MLFLOW_PORT", "SERVE_PORT", "PROMETHEUS_PORT"))

    def _command(self, words):
        return [str(word) for word in (*COMPOSE, "--env-file", self.env_file, "--project-name", self.project, "--file", ROOT / "docker" / "docker-compose.yml", *words)]

    def compose(self, *words, check=True, timeout=600):
        done = subprocess.run(self._command(words), capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, f"{COMPOSE} {words} left with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    def begin(self, *words):
        """The same, not waited for."""
        return subprocess.Popen(self._command(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)

    def container(self, service):
        return engine("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={self.project}", "--filter", f"label=com.docker.compose.service={service}",
                      "--filter", "label=com.docker.compose.oneoff=False")  # fmt: skip

    def state(self, service):
        return json.loads(engine("inspect", self.container(service)))[0]

    def power_cut(self, service):
        """kill -9 of the service's first process from outside, as the kernel would: the engine's own `kill` counts as a wish to stop it."""
        before = self.state(service)
        os.kill(before["State"]["Pid"], signal.SIGKILL)
        wait_for(lambda: self.state(service)["RestartCount"] > before["RestartCount"] and self.state(service)["State"]["Running"], f"{service} to be restarted")

    def answers(self):
        """Whether the server has a model and answers."""
        try:
            return requests.get(self.serve + "/health", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def reaches(self):
        """Whether MLflow reaches its database and its store."""
        try:
            listed = requests.get(self.mlflow + "/api/2.0/mlflow-artifacts/artifacts", timeout=5)
            return listed.status_code == 200 and requests.get(self.mlflow + "/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def version(self):
        return requests.get(self.serve + "/", headers={"Accept": "application/json"}, timeout=5).json()["version"]

    def remove(self):
        self.compose("--profile", "monitoring", "down", "--volumes", "--timeout", "3", "--remove-orphans", check=False)
        for volume in engine("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={self.project}").split():
            engine("volume", "rm", volume, check=False)


def wait_for(condition, what, limit_s=120):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s} s in vain for {what}"
        time.sleep(0.05)
