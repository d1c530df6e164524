"""The same bits whatever computes them: `solvent train` with 1, 2 and 4 threads, on 1, 2 and 4 ranks of an mpirun, with its data in files, resumed from a checkpoint; compared by the
package's bytes. A fit on each vector width that the machine can run; compared by the weights'."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

sys.path.insert(0, os.path.join(os.environ["SOURCE_ROOT"], "bench", "train"))
import columns as layout  # noqa: E402

SOLVENT = os.path.join(os.environ["BUILD_ROOT"], "trainer", "solvent")
MODULE = os.path.join(os.environ["BUILD_ROOT"], "trainer", "libsolvent_mpi.so")
BENCH = os.path.join(os.environ["BUILD_ROOT"], "bench", "train")
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


@needs_mpi
@pytest.mark.parametrize("ranks", [2, 4])
def test_each_rank_parses_its_share(tmp_path, ranks):
    """A file with texts that come late, a bad row, and line ends inside quotes: where a rank's share begins is found out by those before it."""
    rows = [f'{i % 97},"{"two" if i % 3 else "a"}\n line {i % 5}",{i * 7 % 1000 / 10},{"yes" if i * 7919 % 13 < 6 else "no"}' for i in range(90000)]
    rows[60000] = 'bad,"x",1,2,3'
    rows[70000] = '5,late,1,yes'
    (tmp_path / "rows.csv").write_text("\n".join(["number,text,real,y", *rows]) + "\n")
    (tmp_path / "c.yaml").write_text("name: t\ndata: {source: rows.csv, on_bad_row: skip}\ntarget: {column: y, positive: 'yes'}\ndrop: [y]\n")
    command = [SOLVENT, "train", "c.yaml", "--no-tracking", "--json", "--threads", "2", "--set", "evaluate.bootstrap=0", "--output"]
    packages, parsed = [], []
    for name, mpirun in (("one", []), ("all", ["mpirun", "--oversubscribe", "-n", str(ranks)])):
        done = subprocess.run([*mpirun, *command, name], cwd=tmp_path, capture_output=True, text=True, env=QUIET, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        packages.append([(tmp_path / name / "model" / file).read_bytes() for file in ("pipeline.json", "model.onnx")])
        parsed.append(next(event["bytes_parsed"] for event in map(json.loads, done.stdout.splitlines()) if event["event"] == "read"))
    size = (tmp_path / "rows.csv").stat().st_size
    assert packages[0] == packages[1] and size - 100 < parsed[0] <= size
    assert parsed[1] <= size / ranks + (1 << 18), (parsed, size)


MANY = ["--set", "data.source=generate:rows=140000,seed=7", "--set", "evaluate.bootstrap=20"]  # columns of a megabyte and more


@pytest.fixture(scope="module")
def in_memory(tmp_path_factory):
    return train(tmp_path_factory.mktemp("memory"), *MANY, "--threads", "1")


@pytest.mark.parametrize("threads,ranks", [(1, 0), (2, 0), (4, 0), *(pytest.param(1, n, marks=needs_mpi) for n in (1, 2, 4))])
def test_larger_than_memory(tmp_path, in_memory, threads, ranks):
    """Every block of a megabyte and more in files: columns, predictions, the order of the scores."""
    cache = tmp_path / "cache"
    cache.mkdir()
    assert train(tmp_path / "cached", *MANY, "--threads", str(threads), "--set", f"train.cache={cache}", ranks=ranks) == in_memory
    assert not list(cache.iterdir())


def test_larger_than_memory_resumed(tmp_path, in_memory):
    """Cut short in memory on two threads, gone on from with the data in files on four."""
    train(tmp_path / "cut", *MANY, "--threads", "2", "--set", "train.checkpoint_every=1", "--set", "train.max_iter=1")
    rest = ["--threads", "4", "--set", f"train.cache={tmp_path}", "--resume", str(tmp_path / "cut" / "checkpoint")]
    assert train(tmp_path / "whole", *MANY, *rest) == in_memory


def test_a_cache_that_is_no_folder(tmp_path):
    done = subprocess.run([SOLVENT, "train", CONFIG, *SMALL, "--set", f"train.cache={tmp_path}/nowhere"], capture_output=True, text=True, env=QUIET, timeout=60)
    assert done.returncode == 2 and "'train.cache'" in done.stderr and "No such file" in done.stderr, done.stderr


def test_resumed(tmp_path, expected):
    train(tmp_path / "cut", "--set", "train.checkpoint_every=2", "--set", "train.max_iter=2")
    assert train(tmp_path / "whole", "--resume", str(tmp_path / "cut" / "checkpoint")) == expected


def test_resumed_with_early_stopping(tmp_path):
    stopping = ["--set", "train.solver=gd", "--set", "train.patience=3", "--set", "train.max_iter=12", "--set", "train.tolerance=1e-15"]
    whole = train(tmp_path / "whole", *stopping)
    train(tmp_path / "cut", *stopping, "--set", "train.checkpoint_every=4", "--set", "train.max_iter=8")
    assert train(tmp_path / "resumed", *stopping, "--resume", str(tmp_path / "cut" / "checkpoint")) == whole


# ---- vector widths: kernel.c for one of them alone, whatever the machine has ----

WIDTHS = ["baseline", "avx2", "avx512f"]
LOSSES = [("logistic", 2, {}), ("logistic", 2, {"l1": 1}), ("softmax", 3, {}), ("squared", 0, {}), ("poisson", 0, {})]


def runs_here(width):
    flags = open("/proc/cpuinfo").read().split() if os.path.exists("/proc/cpuinfo") else []
    return os.path.exists(os.path.join(BENCH, "fit_columns_" + width)) and (width == "baseline" or width in flags)


@pytest.mark.parametrize("loss,classes,extra", LOSSES, ids=lambda value: str(value))
@pytest.mark.parametrize("width", [pytest.param(width, marks=pytest.mark.skipif(not runs_here(width), reason=f"this machine cannot run {width}")) for width in WIDTHS])
def test_vector_widths(tmp_path, width, loss, classes, extra):
    rng = np.random.default_rng(3)
    n = 30011  # no whole number of lanes
    numbers = [(rng.integers(-100, 100, n).astype(np.int8), "i8"), (rng.integers(0, 90000, n).astype(np.int32), "i32"), (rng.standard_normal(n), "f64"), (50 + rng.standard_normal(n), "f64")]
    rows = [(f"x{j}", "number", store, 0, values) for j, (values, store) in enumerate(numbers)] + [("f", "factor", "code8", 7, rng.integers(0, 7, n).astype(np.uint8))]
    rows += [("weight", "weight", "f64", 0, rng.random(n)), ("target", "target", "f64", 0, rng.integers(0, classes or 5, n).astype(float))]
    layout.write(str(tmp_path), rows)
    weights = []
    for program in ("fit_columns", "fit_columns_" + width):
        out = tmp_path / program
        command = [os.path.join(BENCH, program), str(tmp_path), f"weights={out}", f"loss={loss}", f"classes={classes or 2}", "tolerance=1e-10", *(f"{k}={v}" for k, v in extra.items())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        weights.append(out.read_bytes())
    assert len(weights[0]) > 0 and weights[0] == weights[1]


@needs_mpi
def test_what_is_wrong_is_said_under_mpirun_too(tmp_path):
    train(tmp_path / "cut", "--set", "train.checkpoint_every=2", "--set", "train.max_iter=2")
    command = ["mpirun", "--oversubscribe", "-n", "2", SOLVENT, "train", CONFIG, *SMALL, "--set", "train.c=3", "--resume", str(tmp_path / "cut" / "checkpoint")]
    done = subprocess.run(command, capture_output=True, text=True, env=QUIET, timeout=120)
    assert done.returncode == 1 and "a checkpoint of another training, which differs in train.c (1, here 3)" in done.stdout + done.stderr, done.stderr


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
