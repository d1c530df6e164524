"""The same requests to the real `mlflow models serve` and to solvent-serve, on four models: every reply must be alike, but for deviations.tsv."""
import os
import pathlib
import subprocess
import sys
import time

import pytest
import requests

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
from mlflow_server import free_port  # noqa: E402
from serve_process import ROOT, Serve, make_packages  # noqa: E402

COMPARE = ROOT.parent / "shared" / "acceptance" / "compare_scoring.py"
HERE = pathlib.Path(__file__).parent


@pytest.mark.skipif(not COMPARE.exists(), reason="the comparing program is not beside this checkout")
@pytest.mark.parametrize("name", ["bank", "numbers", "odd", "dates"])
def test_replies_are_alike(name, tmp_path):
    package, port = make_packages(tmp_path) / name, free_port()
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    with open(tmp_path / "reference.log", "w") as log, Serve("--model", package) as ours:
        reference = subprocess.Popen([sys.executable, "-m", "mlflow", "models", "serve", "-m", package, "--env-manager", "local", "-p", str(port)], stdout=log, stderr=log,
                                     cwd=tmp_path, env={**os.environ, "PATH": path}, start_new_session=True)
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                try:
                    requests.get(f"http://127.0.0.1:{port}/ping")
                    break
                except requests.ConnectionError:
                    assert reference.poll() is None, (tmp_path / "reference.log").read_text()
                    time.sleep(0.2)
            done = subprocess.run([sys.executable, COMPARE, "--reference", f"http://127.0.0.1:{port}", "--candidate", ours.url, "--model", package, "--waivers",
                                   HERE / "deviations.tsv"], capture_output=True, text=True)
        finally:
            os.killpg(reference.pid, 15)
            reference.wait(20)
        print(done.stdout[-6000:], done.stderr[-2000:])
        assert done.returncode == 0 and ", 0 failed" in done.stdout
