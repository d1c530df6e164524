"""One training over two containers that log into each other, as Kubeflow's MPI operator sets them up: the same bits as alone."""

import json
import os
import pathlib
import subprocess
import uuid

import pytest
import yaml
from containers import engine, wait_for

IMAGE = "solvent-train-ssh"
JOB = yaml.safe_load((pathlib.Path(os.environ["SOURCE_ROOT"]) / "docker" / "kubernetes" / "mpijob.yaml").read_text())["spec"]


def container_of(kind):
    (container,) = JOB["mpiReplicaSpecs"][kind]["template"]["spec"]["containers"]
    return container


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """What the operator mounts: one key pair, accepted by itself."""
    folder = tmp_path_factory.mktemp("keys") / "ssh"
    folder.mkdir(mode=0o755)
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", folder / "id_rsa"], check=True)
    (folder / "authorized_keys").write_text((folder / "id_rsa.pub").read_text())
    os.chown(folder / "id_rsa", container_of("Worker")["securityContext"]["runAsUser"], 0)
    for parent in list(folder.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    return folder


@pytest.fixture(scope="module")
def workers(keys):
    """Two workers, begun as mpijob.yaml says, in a network of their own."""
    name = f"solvent-test-{uuid.uuid4().hex[:8]}"
    worker = container_of("Worker")
    engine("network", "create", name)
    names = [f"{name}-worker-{number}" for number in range(2)]
    try:
        for one in names:
            engine("run", "--detach", "--name", one, "--hostname", one, "--network", name, "--user", worker["securityContext"]["runAsUser"],
                   "--volume", f"{keys}:{JOB['sshAuthMountPath']}:ro", "--entrypoint", worker["command"][0], IMAGE, *worker["args"])  # fmt: skip
        yield name, names
    finally:
        for one in names:
            engine("rm", "--force", one, check=False)
        engine("network", "rm", name, check=False)


def test_two_containers_make_the_same_model_as_one(workers, keys, tmp_path):
    network, names = workers
    launcher = container_of("Launcher")
    options = ["run", "--rm", "--network", network, "--user", launcher["securityContext"]["runAsUser"], "--volume", f"{keys}:{JOB['sshAuthMountPath']}:ro"]
    reached = [*options, "--entrypoint", "ssh", IMAGE]
    for one in names:
        wait_for(lambda: engine(*reached, one, "hostname", check=False) == one, f"{one} to let the launcher in", 30)
    arguments = [*launcher["args"], "--no-tracking"]
    assert launcher["command"] == ["mpirun"] and arguments[:2] == ["-n", "2"]
    ranks = engine(*options, "--entrypoint", "mpirun", IMAGE, "--host", ",".join(f"{one}:1" for one in names), *arguments)
    alone = engine(*options, IMAGE, *arguments[arguments.index("train"):])
    last = [json.loads(text.splitlines()[-1]) for text in (ranks, alone)]
    assert last[0]["event"] == last[1]["event"] == "done"
    assert (last[0]["metrics"], last[0]["objective"], last[0]["iterations"]) == (last[1]["metrics"], last[1]["objective"], last[1]["iterations"])
