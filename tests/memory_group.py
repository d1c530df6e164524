"""A control group whose memory is limited, for programs that a test starts."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def control_group():
    """limit_bytes -> what a new process calls to enter a group inside that of this process which has no more."""
    lines = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    if "memory" in lines:
        parent, limit, swap = Path("/sys/fs/cgroup/memory" + lines["memory"]), "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"
    else:
        parent, limit, swap = Path("/sys/fs/cgroup" + lines.get("", "/")), "memory.max", "memory.swap.max"
    group = parent / f"solvent-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")

    def limited(limit_bytes):
        (group / limit).write_text(str(limit_bytes))
        if (group / swap).exists():
            (group / swap).write_text("0" if swap == "memory.swap.max" else str(limit_bytes))
        return lambda: (group / "cgroup.procs").write_text(str(os.getpid()))

    try:
        if not (group / limit).exists():
            pytest.skip(f"the control group {parent} hands on no memory limit")
        yield limited
    finally:
        group.rmdir()
