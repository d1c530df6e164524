"""What other people link: the exported symbols are the header's promise; installed, the headers compile alone and every example runs against a real server."""

import os
import pathlib
import re
import subprocess

import mlflow
import pytest

from mlflow_server import MlflowServer


@pytest.fixture(scope="module")
def installed(build_root, source_root, tmp_path_factory):
    """The library as `meson install` lays it out, below a folder of the test's own."""
    root = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", str(build_root), "--no-rebuild", "--quiet", "--destdir", str(root)], check=True, capture_output=True, text=True)
    config = next(root.rglob("mlflow-client.pc"))
    prefix = root / re.search(r"^prefix=/(.*)$", config.read_text(), re.M)[1]
    return root, config.parent, prefix


def flags(installed, *what):
    _, folder, prefix = installed
    done = subprocess.run(["pkg-config", f"--define-variable=prefix={prefix}", *what, "mlflow-client"], env={**os.environ, "PKG_CONFIG_PATH": str(folder)}, capture_output=True, text=True, check=True)
    return done.stdout.split()


def library(installed, name):
    return next(path for path in installed[0].rglob(name) if not path.is_symlink())


def sanitizers(installed):
    symbols = subprocess.run(["nm", "-D", str(library(installed, "libmlflow-client.so.*"))], capture_output=True, text=True, check=True).stdout
    return ["-fsanitize=address,undefined"] if "__asan" in symbols else []


def build(installed, source, out, *, static=False):
    compiler = ["c++", "-std=c++17"] if source.suffix == ".cpp" else ["cc", "-std=c17"]
    warnings = ["-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Werror"]
    if static:
        linking = [str(library(installed, "libmlflow-client.a")), "-lcurl", "-ljansson", "-lcrypto", "-lpthread"]  # ours static; Debian's own packages for the others' private ones are not needed
    else:
        linking = [*flags(installed, "--libs"), f"-Wl,-rpath,{library(installed, 'libmlflow-client.so.*').parent}"]
    command = [*compiler, *warnings, *sanitizers(installed), str(source), "-o", str(out), *flags(installed, "--cflags"), *linking, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, " ".join(command) + "\n" + done.stderr
    return out


def test_exported_is_what_the_header_promises(installed, source_root):
    header = (source_root / "mlflow_client" / "include" / "mlflow_client.h").read_text()
    promised = set(re.findall(r"^MLF_API [^;]*?\b(mlf_\w+)\(", header, re.M))
    lines = subprocess.run(["nm", "-D", "--defined-only", str(library(installed, "libmlflow-client.so.*"))], capture_output=True, text=True, check=True).stdout.splitlines()
    exported = {line.split()[-1] for line in lines if line.split()[-2] != "A"}
    exported = {name for name in exported if not name.startswith(("__asan", "__ubsan", "__odr_asan", "__lsan"))}
    assert len(promised) > 100 and {name.split("@")[0] for name in exported} == promised
    assert all(name.endswith("@@LIBMLFLOW_CLIENT_1") for name in exported)


def test_the_soname_carries_the_abi(installed, source_root):
    said = subprocess.run(["readelf", "-d", str(library(installed, "libmlflow-client.so.*"))], capture_output=True, text=True, check=True).stdout
    abi = re.search(r"#define MLF_ABI_VERSION (\d+)", (source_root / "mlflow_client" / "include" / "mlflow_client.h").read_text())[1]
    assert f"[libmlflow-client.so.{abi}]" in said


@pytest.mark.parametrize("header, compiler", [("mlflow_client.h", ["cc", "-std=c99", "-x", "c"]), ("mlflow_client.h", ["cc", "-std=c17", "-x", "c"]), ("mlflow_client.h", ["c++", "-std=c++17", "-x", "c++"]),
                                              ("mlflow_client.hpp", ["c++", "-std=c++17", "-x", "c++"]), ("mlflow_client.hpp", ["c++", "-std=c++20", "-x", "c++"])])  # fmt: skip
def test_each_header_compiles_alone(installed, header, compiler):
    done = subprocess.run([*compiler, "-Wall", "-Wextra", "-Wshadow", "-Wpedantic", "-Werror", "-fsyntax-only", *flags(installed, "--cflags"), "-"], input=f"#include <{header}>\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def server():
    with MlflowServer() as running:
        yield running


@pytest.fixture
def env(server, tmp_path):
    return {**os.environ, "MLFLOW_TRACKING_URI": server.uri, "MLFLOW_JOURNAL_DIR": str(tmp_path / "journal"), "TMPDIR": str(tmp_path)}


@pytest.fixture
def client(server):
    return mlflow.MlflowClient(server.uri)


def run(program, env):
    done = subprocess.run([str(program)], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("static", [False, True])
def test_training_loop(installed, source_root, env, client, tmp_path, static):
    out = run(build(installed, source_root / "examples" / "training_loop.c", tmp_path / "loop", static=static), env)
    run_id = re.match(r"run (\w+), minimum at", out)[1]
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED" and found.data.params["learning_rate"] == "0.1" and len(client.get_metric_history(run_id, "loss")) == 100


def test_artifacts(installed, source_root, env, tmp_path):
    assert run(build(installed, source_root / "examples" / "artifacts.c", tmp_path / "artifacts"), env) == "hello.txt, 13 bytes\nhello from C\n"


def test_runs_in_cpp(installed, source_root, env, client, tmp_path):
    out = run(build(installed, source_root / "examples" / "runs.cpp", tmp_path / "runs"), env)
    assert re.fullmatch(r"[\w-]+: accuracy 0\.909\d*, depth 3\n", out)


def test_a_cpp_run_that_throws_is_failed(installed, env, client, tmp_path):
    (tmp_path / "throw.cpp").write_text("""
#include <cstdio>
#include <cstring>
#include <mlflow_client.hpp>
int main() {
    mlflow::client client;
    try {
        mlflow::run run(client);
        std::puts(run.id().c_str());
        try { run.param("a//b", "bad key"); } catch (const mlflow::error &e) { if (e.code() != MLF_E_ARGUMENT) return 2; }
        try { run.log("loss?", 1); } catch (const mlflow::error &e) { if (!std::strstr(e.what(), "loss?")) return 5; }
        throw std::runtime_error("no");
    } catch (const std::runtime_error &) {}
    try { client.resolve("models:/none@nobody"); } catch (const mlflow::error &e) { return e.code() == MLF_E_NOT_FOUND && e.http_status() == 404 ? 0 : 3; }
    return 4;
}
""")
    run_id = run(build(installed, tmp_path / "throw.cpp", tmp_path / "throw"), env).strip()
    assert client.get_run(run_id).info.status == "FAILED"


def test_a_cpp_run_that_has_ended_says_so(installed, env, tmp_path):
    (tmp_path / "ended.cpp").write_text("""
#include <cstdio>
#include <mlflow_client.hpp>
template <class F> void expect(F f) {
    try { f(); std::puts("nothing"); } catch (const mlflow::error &e) { std::printf("%s: %s\\n", mlf_code_name(e.code()), e.what()); }
}
int main() {
    mlflow::client client;
    mlflow::run run(client);
    run.end();
    expect([&] { run.log("loss", 1); });
    expect([&] { run.param("p", "1"); });
    expect([&] { run.id(); });
    expect([&] { run.end(); });
}
""")
    out = run(build(installed, tmp_path / "ended.cpp", tmp_path / "ended"), env)
    assert out.splitlines() == ["MLF_E_STATE: the run has ended or was moved elsewhere"] * 4


def test_pages_and_completions_lie_where_they_are_looked_for(installed):
    share = installed[2] / "share"
    for page in ("man1/mlflowc.1", "man7/mlflowc-endpoints.7"):
        assert (share / "man" / page).read_text().startswith(".TH MLFLOWC")
    script = share / "bash-completion" / "completions" / "mlflowc.bash"  # what bash-completion loads by the command's name
    assert "_mlflowc mlflowc" in subprocess.run(["bash", "-c", '. "$0"; complete -p mlflowc', str(script)], capture_output=True, text=True, check=True).stdout
    assert (share / "fish" / "vendor_completions.d" / "mlflowc.fish").exists()
    assert (share / "zsh" / "site-functions" / "_mlflowc").read_text().startswith("#compdef mlflowc\n")


def test_the_reference_has_every_function(build_root, source_root):
    header = (source_root / "mlflow_client" / "include" / "mlflow_client.h").read_text()
    reference = (build_root / "mlflow_client" / "library" / "mlflow_client.md").read_text()
    for name in re.findall(r"^MLF_API [^;]*?\b(mlf_\w+)\(", header, re.M):
        assert f"### `{name}`" in reference, name
    assert "Queue and return: no system call" in reference.split("### `mlf_run_log_metric`")[1].split("###")[0]


def test_job(source_root, mlflowc, env, client):
    run_id = run(source_root / "examples" / "job.sh", {**env, "PATH": f"{pathlib.Path(mlflowc).parent}:{env['PATH']}"}).strip().split("\n")[-1]
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED" and found.data.params["iterations"] == "3" and [m.value for m in client.get_metric_history(run_id, "error")] == pytest.approx([1, 0.5, 1 / 3], rel=1e-5)
    assert len(client.list_artifacts(run_id)) == 1
