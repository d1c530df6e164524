"""Artifacts through a real MLflow server that proxies them, read back by MLflow's own client."""

import os

import mlflow
import pytest

from mlflow_server import MlflowServer

MLMODEL = "artifact_path: x\nflavors:\n  python_function:\n    data: data.txt\n    code: code\n    loader_module: {module}\nmodel_id: m-old\nrun_id: y\nutc_time_created: '2026-11-23 09:50:55.000000'\n"
LOADER = "class M:\n    def __init__(self, path): self.value = float(open(path).read())\n    def predict(self, data, params=None): return [self.value] * len(data)\ndef _load_pyfunc(path): return M(path)\n"


@pytest.fixture(scope="module", params=["proxy", "direct"])
def server(request):
    with MlflowServer(artifacts=request.param) as running:
        yield running


@pytest.fixture
def env(server):
    return {"MLFLOW_TRACKING_URI": server.uri}


@pytest.fixture
def run_id(client):
    return client.create_run("0").info.run_id


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "code").mkdir(parents=True)
    module = f"loader_{os.urandom(4).hex()}"
    (folder / "MLmodel").write_text(MLMODEL.format(module=module))
    (folder / "data.txt").write_text("3")
    (folder / "code" / f"{module}.py").write_text(LOADER)
    return folder


def fields(done):
    return dict(word.split("=", 1) for word in done.stdout.decode().split())


def test_a_tree_goes_up_and_comes_down_the_same(tool, env, client, run_id, tree, tmp_path, contents):
    tool("upload", tree, f"runs:/{run_id}/in/here", env=env)
    tool("download", f"runs:/{run_id}/in/here", tmp_path / "down", env=env)
    assert contents(tmp_path / "down") == contents(tree)
    theirs = client.download_artifacts(run_id, "in/here/sub/deep", str(tmp_path))
    assert contents(theirs) == contents(tree / "sub" / "deep")


def test_progress_counts_every_byte(tool, env, run_id, tree, tmp_path, contents):
    told = int(tool("upload", tree, f"runs:/{run_id}/told", env=env).stdout)
    back = int(tool("fetch", f"runs:/{run_id}/told", tmp_path / "down", env=env).stdout)
    assert told == back == sum(map(len, contents(tree).values())) > 0


def test_what_python_logs_we_read(tool, env, client, run_id, tree, tmp_path, contents):
    client.log_artifacts(run_id, str(tree / "sub" / "deep"), "py")
    tool("download", f"runs:/{run_id}/py", tmp_path / "down", env=env)
    assert contents(tmp_path / "down") == contents(tree / "sub" / "deep")


def test_listing_and_deleting(tool, env, client, run_id, tree):
    tool("upload", tree, f"runs:/{run_id}", env=env)
    assert tool("list", f"runs:/{run_id}", env=env).stdout.decode().split("\n")[:3] == ["a.txt 6", "empty 0", "sub/ -1"]
    tool("delete", f"runs:/{run_id}/sub", env=env)
    tool("delete", f"runs:/{run_id}/sub", env=env)
    assert [item.path for item in client.list_artifacts(run_id)] == ["a.txt", "empty"]


def test_one_file_and_streams(tool, env, client, run_id, tmp_path, contents):
    data = os.urandom(5_000_000)
    tool("put", f"runs:/{run_id}/s/stream.bin", env=env, data=data)
    assert tool("cat", f"runs:/{run_id}/s/stream.bin", env=env).stdout == data
    tool("download", f"runs:/{run_id}/s/stream.bin", tmp_path / "one", env=env)
    assert contents(tmp_path / "one") == {"stream.bin": data}
    tool("put", f"runs:/{run_id}/s/aborted.bin", 1000, env=env, data=data)
    assert [item.path for item in client.list_artifacts(run_id, "s")] == ["s/stream.bin"]


def test_nothing_there(tool, env, run_id, tmp_path):
    done = tool("download", f"runs:/{run_id}/nothing", tmp_path / "none", env=env, expect=1)
    assert done.stderr.startswith(b"MLF_E_NOT_FOUND") and not (tmp_path / "none").exists()


def test_names_that_the_server_would_change_are_refused(tool, server, env, run_id, tmp_path):
    if "--no-serve-artifacts" in server._command:
        pytest.skip("folders keep every name")
    for name in ("a#b", "a%41b"):
        (tmp_path / name).write_text("x")
        assert tool("upload", tmp_path / name, f"runs:/{run_id}", env=env, expect=1).stderr.startswith(b"MLF_E_ARGUMENT")


def test_a_whole_run_is_loaded_by_python(tool, env, client, model, tmp_path, contents):
    name = f"whole-{os.urandom(4).hex()}"
    said = fields(tool("run", model, name, env=env))
    run = client.get_run(said["run"])
    assert run.info.status == "FINISHED" and [o.model_id for o in run.outputs.model_outputs] == [said["model"].removeprefix("models:/")]
    assert client.get_logged_model(said["model"].removeprefix("models:/")).status == "READY"
    assert contents(client.download_artifacts(said["run"], "all/of/it", str(tmp_path))) == contents(model)
    assert client.get_model_version_by_alias(name, "champion").version == said["version"] == "1"
    for uri in (f"models:/{name}@champion", f"models:/{name}/1", f"runs:/{said['run']}/model", said["model"]):
        assert mlflow.pyfunc.load_model(uri).predict([1, 2]) == [3.0, 3.0]
        assert fields(tool("resolve", uri, env=env))["model"] == said["model"].removeprefix("models:/")
    tool("download", f"models:/{name}@champion/code", tmp_path / "code", env=env)
    assert contents(tmp_path / "code") == contents(model / "code")


def test_repeating_makes_nothing_twice(tool, env, client, run_id, model):
    name, key, other = f"twice-{os.urandom(4).hex()}", os.urandom(16).hex(), os.urandom(16).hex()
    uris = {tool("log-model", "0", run_id, key, model, *again, env=env).stdout.decode().strip() for again in ((), ("again",), ("again",))}
    assert len(uris) == 1
    versions = {tool("register", run_id, other, *uris, name, "champion", *again, env=env).stdout for again in ((), ("again",), ("again",))}
    assert versions == {b"1\n"} and len(client.search_model_versions(f"name='{name}'")) == 1
    logged = client.get_logged_model(uris.pop().removeprefix("models:/"))
    assert logged.params == {"c": "1.0"} and logged.tags["team"] == "a" and [m.value for m in logged.metrics] == [0.75]


def test_uris(tool, env, run_id):
    for uri, code in {"models:/none@champion": "NOT_FOUND", "models:/none/3": "NOT_FOUND", "models:/m-00": "NOT_FOUND", "models:/a@": "ARGUMENT", "models:/": "ARGUMENT", "runs:/": "ARGUMENT",
                      "runs:/../x": "ARGUMENT", "ftp://h/x": "UNSUPPORTED", "file://elsewhere/x": "ARGUMENT", "": "ARGUMENT", "mlflow-artifacts://12/x": "ARGUMENT"}.items():  # fmt: skip
        assert tool("list", uri, env=env, expect=1).stderr.decode().startswith("MLF_E_" + code + ":"), uri
    assert fields(tool("resolve", f"runs:/{run_id}/a/b", env=env))["uri"].endswith(f"{run_id}/artifacts/a/b")
