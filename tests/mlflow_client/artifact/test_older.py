"""A whole run on MLflow 2.x servers, whose models are folders below the run; loaded again by that version's own Python client."""

import json
import os
import subprocess

import pytest

from mlflow_server import MlflowServer

LOADER = "class M:\n    def predict(self, data, params=None): return [3.0] * len(data)\ndef _load_pyfunc(path): return M()\n"
READ = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
run = mlflow.MlflowClient().get_run(sys.argv[2])
values = [mlflow.pyfunc.load_model(uri).predict([1, 2]) for uri in ("models:/old@champion", "models:/old/1", f"runs:/{sys.argv[2]}/model")]
print(json.dumps([run.info.status, json.loads(run.data.tags["mlflow.log-model.history"])[0]["artifact_path"], values]))
"""


@pytest.mark.parametrize("version", ["2.9", "2.22"])
def test_a_whole_run(tool, tmp_path, contents, version):
    model = tmp_path / "model"
    (model / "code").mkdir(parents=True)
    (model / "code" / "loader_old.py").write_text(LOADER)
    (model / "data.txt").write_text("3")
    (model / "MLmodel").write_text("flavors:\n  python_function:\n    code: code\n    data: data.txt\n    loader_module: loader_old\n")
    with MlflowServer(folder=tmp_path / "server", release=version) as server:
        env = {"MLFLOW_TRACKING_URI": server.uri}
        said = dict(word.split("=", 1) for word in tool("run", model, "old", env=env).stdout.decode().split())
        assert said["model"] == f"runs:/{said['run']}/model" and said["version"] == "1"
        tool("download", "models:/old@champion", tmp_path / "down", env=env)
        assert contents(tmp_path / "down")["code/loader_old.py"].decode() == LOADER
        read = subprocess.run([server.python, "-c", READ, server.uri, said["run"]], capture_output=True, text=True, env={**os.environ, **server._env})
        assert read.returncode == 0 and json.loads(read.stdout) == ["FINISHED", "model", [[3.0, 3.0]] * 3], read.stderr
