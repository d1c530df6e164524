"""What a release carries, made by scripts/build-packages in a container from a clean clone, then used in bare containers as a stranger would."""

import json
import os
import pathlib
import subprocess

import pytest
import requests
from containers import Machine, say, wait_for
from mlflow_server import free_port

ROOT = pathlib.Path(os.environ["SOURCE_ROOT"])
BARE = "debian:bookworm-slim"
ROW = {"season": "jan", "age": 37, "region": "west", "employment": "salaried", "loan": "no", "income": 3018.97, "rent": 659.63,
       "spending": 1644.18, "shock": 0.0, "late_payments": 0, "balance": 17161.81}  # fmt: skip


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone") / "source"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder


@pytest.fixture(scope="module")
def packages(tmp_path_factory, clone):
    """The folder with everything that scripts/build-packages makes."""
    folder = tmp_path_factory.mktemp("packages")
    builder = Machine("solvent-packages", "--volume", f"{clone}:/source:ro", "--volume", f"{folder}:/packages")
    try:
        builder.run("git config --global --add safe.directory '*' && /source/scripts/build-packages /packages", timeout=2400)
    finally:
        builder.remove()
    return folder


@pytest.fixture(scope="module")
def machine(packages):
    """machine(package…) -> a bare container with these Debian packages; /packages and /examples are there."""
    started = []

    def start(*words):
        started.append(Machine(BARE, "--volume", f"{packages}:/packages:ro", "--volume", f"{ROOT}/examples:/examples:ro"))
        started[-1].install(*words)
        return started[-1]

    yield start
    for one in started:
        one.remove()


@pytest.fixture(scope="module")
def installed(machine):
    return machine("/packages/*.deb", "gcc", "g++", "libc6-dev", "pkg-config")


def trains_and_serves(computer, configuration):
    """A training without a server, and one prediction from what it made."""
    computer.run(f"rm -rf trained && solvent train {configuration} --no-tracking --quiet --output trained")
    port = free_port()
    computer.run(f"solvent-serve --model trained/model --port {port} >serve.log 2>&1 & echo $! >serve.pid")
    address = f"http://127.0.0.1:{port}"
    wait_for(lambda: answers(address), "solvent-serve", 30)
    answer = requests.post(address + "/predict", json=ROW, timeout=5).json()
    computer.run("kill $(cat serve.pid)")
    assert 0 < answer["surplus_probability"] < 1


def answers(address):
    try:
        return requests.get(address + "/health", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def test_the_packages_are_these(packages):
    names = {path.name.split("_")[0] for path in packages.glob("*.deb")}
    assert {"libmlflow-client1", "libmlflow-client-dev", "solvent", "solvent-serve"} == {name for name in names if not name.endswith("-dbgsym")}
    assert len(list(packages.glob("solvent-*.tar.xz"))) == 1
    (wheel,) = packages.glob("*.whl")
    assert wheel.name.startswith("solvent_mlflow-") and "-py3-none-manylinux_" in wheel.name
    say("bytes: " + ", ".join(f"{path.name} {path.stat().st_size}" for path in sorted(packages.iterdir())))


def test_debian_commands_work(installed):
    for command in ("solvent", "solvent-serve", "mlflowc"):
        assert installed.run(f"{command} --version")
    trains_and_serves(installed, "/usr/share/solvent/configs/cashflow.yaml")


@pytest.mark.parametrize("compiler, source", [("cc -std=c17", "training_loop.c"), ("cc -std=c17", "artifacts.c"), ("c++ -std=c++17", "runs.cpp")])
def test_debian_examples_compile_and_run(installed, mlflow_server, compiler, source):
    installed.run(f"{compiler} -Wall -Wextra -Werror -o example /examples/{source} $(pkg-config --cflags --libs mlflow-client) -lm")
    assert installed.run("./example", MLFLOW_TRACKING_URI=mlflow_server.uri)


def test_debian_shell_example_runs(installed, mlflow_server):
    assert len(installed.run("/examples/job.sh", MLFLOW_TRACKING_URI=mlflow_server.uri).splitlines()[-1]) == 32


def test_debian_module_for_mpirun_is_found(installed):
    """Loaded from where the package puts it, once there is an mpirun; the same bits as without."""
    installed.run("solvent train /usr/share/solvent/configs/cashflow.yaml --no-tracking --quiet --output alone")
    installed.install("openmpi-bin")
    installed.run("mpirun --allow-run-as-root --oversubscribe -n 2 solvent train /usr/share/solvent/configs/cashflow.yaml --no-tracking --quiet --output ranks")
    one, two = (json.loads(installed.run(f"solvent explain --model {folder}/model --json")) for folder in ("alone", "ranks"))
    assert one == two


def test_debian_packages_go_without_a_trace(installed):
    """The last test of this machine."""
    installed.run("apt-get purge -yq libmlflow-client1 libmlflow-client-dev solvent solvent-serve")
    assert installed.run("find /usr /etc -name '*solvent*' -o -name '*mlflow*'") == ""


def test_the_tarball_builds_and_passes_its_tests(packages):
    (tarball,) = packages.glob("solvent-*.tar.xz")
    builder = Machine("solvent-packages", "--volume", f"{packages}:/packages:ro")
    try:
        builder.install("libcriterion-dev")
        builder.run(f"tar -xf /packages/{tarball.name} && mv solvent-* source && meson setup build source -Dtests=enabled && ninja -C build", timeout=2400)
        said = builder.run("meson test -C build --suite unit --timeout-multiplier 4 --print-errorlogs", timeout=2400)
    finally:
        builder.remove()
    counts = dict(line.split(":") for line in said.splitlines() if line.startswith(("Ok:", "Fail:", "Timeout:")))
    assert int(counts["Ok"]) > 30 and int(counts["Fail"]) == int(counts["Timeout"]) == 0


def test_the_wheel_installs_and_works(machine, packages):
    computer = machine("python3", "python3-venv")
    computer.run("python3 -m venv venv && venv/bin/pip install --quiet --no-index /packages/*.whl")
    for command in ("solvent", "solvent-serve", "mlflowc"):
        assert computer.run(f"venv/bin/{command} --version")
    configuration = (ROOT / "configs" / "cashflow.yaml").read_text()
    computer.run(f"cat >c.yaml <<'END'\n{configuration}\nEND")
    computer.run("ln -sf /tmp/venv/bin/solvent* /usr/local/bin/")
    trains_and_serves(computer, "c.yaml")
    assert computer.run("ls venv/lib/python3*/site-packages/.solvent_mlflow.mesonpy.libs/libmlflow-client.so.1.0.0")
