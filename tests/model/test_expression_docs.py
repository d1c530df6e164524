"""docs/expressions.md: every example has the value that stands beside it, and the functions are those that there are."""
import os
import pathlib
import re
import subprocess

import pytest

TOOL = os.path.join(os.environ.get("BUILD_ROOT", "build"), "tests", "model", "model_tool")
TEXT = (pathlib.Path(os.environ.get("SOURCE_ROOT", ".")) / "docs/expressions.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (`` .* ``|`.*?`) \| (.*) \|$", TEXT, re.MULTILINE)
EXAMPLES = [(code[3:-3] if code.startswith("``") else code[1:-1], value) for code, value in ROWS[:21]]


def tool(*arguments):
    return subprocess.run([TOOL, *arguments], check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("expression, value", EXAMPLES)
def test_an_example(expression, value):
    answer = tool("evaluate", expression).strip()
    assert answer == value if value == "missing" else float(answer) == float(value)


def test_the_functions_are_all_there():
    stated = [(code[1:-1], meaning) for code, meaning in ROWS[21:]]
    assert stated == [tuple(line.split("\t")) for line in tool("functions").splitlines()]
