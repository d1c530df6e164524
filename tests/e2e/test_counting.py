"""The counter behind scripts/test: a failing test is a failure, whichever way it fails. Runs a small meson project of its own."""

import subprocess
import sys

import pytest

MESON = """project('sample', 'c')
foreach name : ['passes', 'fails', 'crashes', 'skips', 'stops_short', 'exits_3']
  test(name, executable(name, name + '.c'), protocol: name == 'exits_3' ? 'exitcode' : 'tap', suite: name)
endforeach
"""
PROGRAMS = {
    "passes": 'puts("ok 1 - a"); puts("ok 2 - b"); puts("1..2");',
    "fails": 'puts("ok 1 - a"); puts("not ok 2 - b"); puts("1..2"); return 1;',
    "crashes": 'puts("ok 1 - a"); fflush(stdout); abort();',
    "skips": 'puts("ok 1 - a"); puts("ok 2 - b # SKIP no server"); puts("1..2");',
    "stops_short": 'puts("1..3"); puts("ok 1 - a");',
    "exits_3": "return 3;",
}
CASES = [  # suites run, last line, exit code
    (["passes"], "2 passed, 0 failed", 0),
    (["fails"], "1 passed, 1 failed", 1),
    (["crashes"], "1 passed, 1 failed", 1),
    (["skips"], "1 passed, 0 failed", 0),
    (["stops_short"], "1 passed, 1 failed", 1),
    (["exits_3"], "0 passed, 1 failed", 1),
    (["passes", "fails", "exits_3"], "3 passed, 2 failed", 1),
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A configured build folder of the small project."""
    source = tmp_path_factory.mktemp("sample")
    (source / "meson.build").write_text(MESON)
    for name, body in PROGRAMS.items():
        (source / f"{name}.c").write_text(f"#include <stdio.h>\n#include <stdlib.h>\nint main(void) {{ {body} return 0; }}\n")
    subprocess.run(["meson", "setup", "build"], cwd=source, check=True, capture_output=True)
    return source / "build"


def count(source_root, folder):
    done = subprocess.run([sys.executable, source_root / "scripts" / "count-tests", folder], capture_output=True, text=True)
    return done.stdout.splitlines()[-1], done.returncode


@pytest.mark.parametrize("suites, last_line, code", CASES)
def test_counts(sample, source_root, suites, last_line, code):
    chosen = [word for suite in suites for word in ("--suite", suite)]
    subprocess.run(["meson", "test", *chosen], cwd=sample, capture_output=True)
    assert count(source_root, sample) == (last_line, code)


def test_a_run_without_any_case_fails(source_root, tmp_path):
    assert count(source_root, tmp_path) == ("0 passed, 1 failed", 1)
