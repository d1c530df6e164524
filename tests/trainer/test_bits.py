"""The same bits whatever computes them: `solvent train` with 1, 2 and 4 threads, on 1, 2 and 4 ranks of an mpirun, resumed from a checkpoint; compared by the package's bytes."""
import os
import shutil
import signal
import subprocess
import time

import pytest

SOLVENT = os.path.join(os.environ["BUILD_ROOT"], "trainer", "solvent")
MODULE = os.path.join(os.environ["BUILD_ROOT"], "trainer", "libsolvent_mpi.so")
CONFIG = os.path.join(os.environ["SOURCE_ROOT"], "configs", "cashflow.yaml")
SMALL = ["--set", "data.source=generate:rows=20000,seed=7", "--set", "evaluate.bootstrap=0", "--no-tracking", "--quiet"]
QUIET = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}

needs_mpi = pytest.mark.skipif(not (shutil.which("mpirun") and os.path.exists(MODULE)), reason="needs Open MPI: apt install libopenmpi-dev openmpi-bin")


def train(folder, *more, ranks=0):
    command = (["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks else []) + [SOLVENT, "train", CONFIG, "--output", str(folder), *SMALL, *more]
    done = subprocess.run(command, capture_output=True, text=True, env=QUIET, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: open(os.path.join(folder, "model", name), "rb").read() for name in ("pipeline.json", "model.onnx")}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return train(tmp_path_factory.mktemp("one"), "--threads", "1")


@pytest.mark.parametrize("threads", [2, 4, 16])
def test_threads(tmp_path, expected, threads):
    assert train(tmp_path, "--threads", str(threads)) == expected


@needs_mpi
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks(tmp_path, expected, ranks):
    assert train(tmp_path, "--threads", "1", ranks=ranks) == expected


def test_resumed(tmp_path, expected):
    train(tmp_path / "cut", "--set", "train.checkpoint_every=2", "--set", "train.max_iter=2")
    assert train(tmp_path / "whole", "--resume", str(tmp_path / "cut" / "checkpoint")) == expected


def test_resumed_with_early_stopping(tmp_path):
    stopping = ["--set", "train.solver=gd", "--set", "train.patience=3", "--set", "train.max_iter=12", "--set", "train.tolerance=1e-15"]
    whole = train(tmp_path / "whole", *stopping)
    train(tmp_path / "cut", *stopping, "--set", "train.checkpoint_every=4", "--set", "train.max_iter=8")
    assert train(tmp_path / "resumed", *stopping, "--resume", str(tmp_path / "cut" / "checkpoint")) == whole


@needs_mpi
def test_a_lost_rank_ends_the_training_and_leaves_the_checkpoint(tmp_path):
    slow = ["--set", "train.solver=gd", "--set", "train.max_iter=1000000", "--set", "train.tolerance=1e-15", "--set", "train.checkpoint_every=1"]
    process = subprocess.Popen(["mpirun", "--oversubscribe", "-n", "2", SOLVENT, "train", CONFIG, "--output", str(tmp_path), *SMALL, *slow],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=QUIET)
    until = time.monotonic() + 60
    while not (tmp_path / "checkpoint").exists():
        assert process.poll() is None and time.monotonic() < until, process.communicate()[0]
        time.sleep(0.05)
    children = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(process.pid)], capture_output=True, text=True).stdout.splitlines()
    ranks = [int(line.split()[0]) for line in children if "solvent" in line]
    assert len(ranks) == 2, children
    os.kill(ranks[-1], signal.SIGKILL)
    text = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert "killed" in text.lower() or "rank" in text.lower(), text
    assert (tmp_path / "checkpoint").stat().st_size > 0 and not (tmp_path / "model").exists()
