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
CLAIM, KIND = yaml.safe_load_all((pathlib.Path(os.environ["SOURCE_ROOT"]) / "docker" / "kubernetes" / "mpijob.yaml").read_text())
JOB = KIND["spec"]


def container_of(kind):
    (container,) = JOB["mpiReplicaSpecs"][kind]["template"]["spec"]["containers"]
    return container


def pods():
    return JOB["mpiReplicaSpecs"]["Worker"]["replicas"]


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
    """The workers, begun as mpijob.yaml says, in a network of their own."""
    name = f"solvent-test-{uuid.uuid4().hex[:8]}"
    worker = container_of("Worker")
    engine("network", "create", name)
    names = [f"{name}-worker-{number}" for number in range(pods())]
    try:
        for one in names:
            engine("run", "--detach", "--name", one, "--hostname", one, "--network", name, "--user", worker["securityContext"]["runAsUser"],
                   "--volume", f"{keys}:{JOB['sshAuthMountPath']}:ro", "--entrypoint", worker["command"][0], IMAGE, *worker["args"])  # fmt: skip
        yield name, names
    finally:
        for one in names:
            engine("rm", "--force", one, check=False)
        engine("network", "rm", name, check=False)


@pytest.fixture
def claim():
    """What the job's claim is to the launcher: a volume that outlives it."""
    name = f"solvent-test-{uuid.uuid4().hex[:8]}"
    launcher = JOB["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]
    (volume,) = launcher["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"] and launcher["initContainers"][0]["volumeMounts"] == launcher["containers"][0]["volumeMounts"]
    try:
        yield f"{name}:{launcher['containers'][0]['volumeMounts'][0]['mountPath']}"
    finally:
        engine("volume", "rm", name, check=False)


def test_containers_make_the_same_model_as_one(workers, keys, claim):
    """Rank 0 is the launcher's: with its variables, and its journal in the claim."""
    network, names = workers
    launcher = container_of("Launcher")
    assert JOB["runLauncherAsWorker"] and launcher["command"] == ["mpirun"] and launcher["args"][:2] == ["-n", str(1 + len(names))]
    options = ["run", "--rm", "--hostname", "launcher", "--network", network, "--user", launcher["securityContext"]["runAsUser"], "--volume", f"{keys}:{JOB['sshAuthMountPath']}:ro", "--volume", claim]
    for one in names:
        wait_for(lambda: engine(*options, "--entrypoint", "ssh", IMAGE, one, "hostname", check=False) == one, f"{one} to let the launcher in", 30)
    hosts = ",".join(f"{one}:{JOB['slotsPerWorker']}" for one in ["launcher", *names])
    ranks = engine(*options, "--env", "MLFLOW_OFFLINE=1", "--entrypoint", "mpirun", IMAGE, "--host", hosts, *launcher["args"])
    alone = engine(*options, IMAGE, *launcher["args"][launcher["args"].index("train"):], "--no-tracking")
    last = [json.loads(text.splitlines()[-1]) for text in (ranks, alone)]
    assert last[0]["event"] == last[1]["event"] == "done"
    assert (last[0]["metrics"], last[0]["objective"], last[0]["iterations"]) == (last[1]["metrics"], last[1]["objective"], last[1]["iterations"])
    waiting = engine(*options, "--entrypoint", "mlflowc", IMAGE, "journal", "list")
    assert last[0]["waiting"] == "mlflowc sync" and last[0]["run_id"] in waiting, waiting
