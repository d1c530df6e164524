"""docker/slurm/train.sbatch in a cluster of two nodes that reach no network: trained with MPI, the same bits as alone, and synced afterwards."""

import json
import os
import pathlib
import uuid

import mlflow
import pytest
from containers import engine, wait_for

ROOT = pathlib.Path(os.environ["SOURCE_ROOT"])
CONFIG = "/home/solvent/configs/cashflow.yaml"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The folder that both nodes share, and the name of the node that takes jobs."""
    shared, name = tmp_path_factory.mktemp("shared"), f"solvent-test-{uuid.uuid4().hex[:8]}"
    for folder in [shared, *list(shared.parents)[:2]]:
        folder.chmod(0o777)
    engine("network", "create", "--internal", name)
    nodes = ["control", "worker"]
    try:
        for node in nodes:
            engine("run", "--detach", "--name", f"{name}-{node}", "--hostname", node, "--network", name, "--network-alias", node,
                   "--volume", f"{shared}:/shared", "--volume", f"{ROOT}/docker/slurm:/slurm:ro", "solvent-slurm")  # fmt: skip
        control = f"{name}-control"
        wait_for(lambda: engine("exec", control, "sinfo", "--noheader", "--states=idle", "--format=%D", check=False) == "2", "two idle nodes")
        yield shared, control
    finally:
        for node in nodes:
            engine("rm", "--force", f"{name}-{node}", check=False)
        engine("network", "rm", name, check=False)


def explained(shared, folder):
    return json.loads(engine("run", "--rm", "--volume", f"{shared}:/shared", "solvent-train", "explain", "--model", f"/shared/{folder}/model", "--json"))


def test_the_job_trains_offline_on_two_nodes_and_is_synced(cluster, mlflow_server):
    shared, control = cluster
    said = engine("exec", "--user", "solvent", "--workdir", "/shared", "--env", f"MLFLOW_TRACKING_URI={mlflow_server.uri}", control, "sbatch", "--wait", "/slurm/train.sbatch", CONFIG, check=False)
    log = (shared / "solvent-1.log").read_text() if (shared / "solvent-1.log").exists() else "(no log)"
    job = engine("exec", control, "scontrol", "show", "job", "1")
    assert "JobState=COMPLETED" in job and "NodeList=control,worker" in job and "NumTasks=2" in job, f"{said}\n{job}\n{log}"
    assert log.count("waits in the journal") == 1, f"not one training by two ranks: {log}"
    assert log.splitlines()[-1] == "to send: mlflowc sync /shared/journal-1"

    engine("run", "--rm", "--volume", f"{shared}:/shared", "solvent-train", "train", CONFIG, "--no-tracking", "--quiet", "--output", "/shared/alone")
    assert explained(shared, "trained-1") == explained(shared, "alone")

    engine("run", "--rm", "--network", "host", "--volume", f"{shared}:/shared", "--entrypoint", "mlflowc", "solvent-train", "sync", "/shared/journal-1")
    client = mlflow.MlflowClient(mlflow_server.uri)
    (version,) = client.search_model_versions("name='cashflow'")  # without an alias: whether it is better could not be asked
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED" and run.data.metrics["test.roc_auc"] > 0.5
