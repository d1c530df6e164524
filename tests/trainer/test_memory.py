"""`solvent train` where memory is short: refused by the process's limits, or less of it than data."""

import hashlib
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))
from memory_group import control_group  # noqa: E402, F401

SOLVENT = Path(os.environ["BUILD_ROOT"]) / "trainer" / "solvent"
ROOT = Path(os.environ["SOURCE_ROOT"])
MB = 1 << 20

pytestmark = pytest.mark.skipif(b"__asan_init" in SOLVENT.read_bytes(), reason="a build with sanitizers takes memory of its own")


def make_config(folder, rows, powers=1):
    """powers: of one of the features, each a feature; more than 24 numbers need OpenBLAS and its room."""
    subprocess.run([SOLVENT, "generate", "--rows", str(rows), "--output", folder / "rows.csv"], check=True)
    text = (ROOT / "configs/cashflow.yaml").read_text().replace("generate:rows=50000,seed=42", str(folder / "rows.csv"))
    more = range(2, powers + 1)
    text = text.replace("features:\n", "features:\n" + "".join(f"  shock_{k}: pow(shock / income, {k})\n" for k in more))
    text = text.replace("shock_share, ", "shock_share, " + "".join(f"shock_{k}, " for k in more))
    (folder / "train.yaml").write_text(text.replace("bootstrap: 1000", "bootstrap: 20"))


def train(folder, output, *more, before=None):
    command = [SOLVENT, "train", "train.yaml", "--no-tracking", "--threads", "2", "--output", output, *more]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, preexec_fn=before)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    make_config(folder, 5000)
    return folder


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide")
    make_config(folder, 5000, powers=30)
    return folder


LIMITS = pytest.mark.parametrize("limit", [resource.RLIMIT_DATA, resource.RLIMIT_AS], ids=["data", "address-space"])


def is_refused(folder, limit, size):
    done = train(folder, f"out-{limit}-{size}", before=lambda: resource.setrlimit(limit, (size * MB, size * MB)))
    if done.returncode:
        assert done.returncode == 1 and done.stderr.count("solvent: ") == 1 and "out of memory" in done.stderr, (done.returncode, done.stderr)
    return done.returncode != 0


@LIMITS
@pytest.mark.parametrize("size", [100, 130, 160, 200, 260, 300, 1000])
def test_memory_refused_is_one_message_and_exit_1(wide, limit, size):
    refused = is_refused(wide, limit, size)
    assert refused or size > 200
    assert not refused or size < 1000


@LIMITS
@pytest.mark.parametrize("size", [24, 28, 32, 40, 48, 64, 160])
def test_a_small_model_needs_no_room_for_blas(small, limit, size):
    assert not is_refused(small, limit, size) or size < 160


def digests(package):
    """Of every file's bytes, but for the line of MLmodel that says when the package was made."""
    files = {str(file.relative_to(package)): file.read_bytes() for file in package.rglob("*") if file.is_file()}
    files["MLmodel"], n = re.subn(rb"(?m)^utc_time_created: .*$", b"", files["MLmodel"])
    assert n == 1
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def test_more_data_than_memory_makes_the_same_bytes(control_group, tmp_path):
    make_config(tmp_path, 600000)
    free = train(tmp_path, "free")
    assert free.returncode == 0, free.stderr
    enter = control_group(40 * MB)
    killed = train(tmp_path, "killed", before=enter)
    assert killed.returncode == -9, "the data fit into memory: this test proves nothing"
    cached = train(tmp_path, "cached", "--set", f"train.cache={tmp_path}", before=enter)
    assert cached.returncode == 0, cached.stderr
    assert digests(tmp_path / "cached/model") == digests(tmp_path / "free/model")
