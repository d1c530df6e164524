"""Fixtures that every Python test shares: where the built commands are, and a real MLflow server for a file's tests."""

import os
import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS))

from mlflow_server import MlflowServer  # noqa: E402

# A developer's own MLflow must never see the tests' runs.
for _name in [name for name in os.environ if name.startswith("MLFLOW_")]:
    del os.environ[_name]
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

SOURCE_ROOT = pathlib.Path(os.environ.get("SOURCE_ROOT", TESTS.parent))
BUILD_ROOT = pathlib.Path(os.environ.get("BUILD_ROOT", SOURCE_ROOT / "build"))


@pytest.fixture(scope="session")
def source_root():
    return SOURCE_ROOT


@pytest.fixture(scope="session")
def build_root():
    return BUILD_ROOT


@pytest.fixture(scope="session")
def solvent():
    return BUILD_ROOT / "trainer" / "solvent"


@pytest.fixture(scope="session")
def solvent_serve():
    return BUILD_ROOT / "serve" / "solvent-serve"


@pytest.fixture(scope="session")
def mlflowc():
    return BUILD_ROOT / "mlflow_client" / "mlflowc"


@pytest.fixture(scope="module")
def mlflow_server():
    """A server of the file's own, artifacts proxied; `mlflow_server.uri` is its address."""
    with MlflowServer() as server:
        yield server


@pytest.fixture(scope="module")
def tracking_env(mlflow_server):
    """The environment for a command that is to track in that server."""
    return {**os.environ, "MLFLOW_TRACKING_URI": mlflow_server.uri}


@pytest.fixture(scope="session")
def run_command():
    """run_command([program, argument…], expect=0, **subprocess.run's) -> CompletedProcess with text; fails the test on another exit code."""

    def run(command, expect=0, timeout=300, **options):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, stdin=options.pop("stdin", subprocess.DEVNULL), **options)
        assert done.returncode == expect, f"{command} left with {done.returncode}, expected {expect}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        return done

    return run
