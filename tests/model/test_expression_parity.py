"""The same expressions through three evaluators: a block, one row alone, and onnxruntime on the exported graph. Written ones and generated ones, 700 in all,
on 60 rows that hold zeros of both signs, missing and infinite numbers, dates before and after 1970, texts that expressions name and texts that none does."""
import math
import os
import random
import struct
import subprocess

import numpy as np
import onnx
import onnxruntime
import pytest

TOOL = os.path.join(os.environ.get("BUILD_ROOT", "build"), "tests", "model", "model_tool")
CASES = 700
JOBS = ["admin.", "", "student", "ö", "x", "never seen", "it's \\\"quoted\\\""]

WRITTEN = """x + y|x - y|x * y|x / y|y / x|-x|x + 1|1 - x|2 * x + 3 * y - n / 7|x < y|x <= y|x > y|x >= y|x == y|x != y|x < 0 and y < 0|x < 0 or y < 0
not x|not (x < y)|x and y|x or y|if(x < y, x, y)|if(flag, x, n)|if(x, 1, 0)|min(x, y)|max(x, y)|min(x, y, n)|max(n, y, x)|clip(x, -1, 1)|clip(n, x, y)
abs(x)|floor(x)|floor(y / 3)|sqrt(x)|sqrt(abs(y))|log(x)|log(abs(x))|log1p(x)|log1p(n)|log1p(x / 1e6)|exp(x)|exp(-abs(x))|exp(n / 9)|pow(x, 2)|pow(abs(x), 0.5)
pow(n, 3)|pow(2, n)|pow(x, y)|is_missing(x)|is_missing(x / y)|is_missing(job)|coalesce(x, y)|coalesce(x, y, 0)|coalesce(x / y, n)|bin(x, [-1, 0, 1, 100])
bin(n, -10, 0, 10)|bin(y, 0)|month(d)|weekday(d)|month(d + n)|weekday(d - 1)|days_between(d, "2000-02-29")|days_between("1970-01-01", d)|d > "1999-12-31"
d == "1861-05-02"|d in ("1861-05-02", "1970-01-01")|if(d > "1950-01-01", month(d), -1)|job == "admin."|job != "student"|"ö" == job|job in ("x", "", "ö")
job not in ("x", "nobody")|(job == "x") * n|flag * (job == "") + 2 * (job == "student")|if(job in ("admin.", "x"), log(abs(n) + 1), sqrt(abs(x)))
n in (1, 2, 3)|x in (0, 0.5)|n not in (0, -1)|7|missing|true|1 / 0|-1 / 0|0 / 0|x|n|flag|x * missing|1e308 * 10|log(max(x + 2000, 1))|n / (flag + 1)
x >= 0 and n < 30|floor(floor(x) / 2) * 2|min(max(x, 0), 1)|if(is_missing(x), 0, x)|coalesce(missing, x)|abs(-n)|not not n|x == x|x != x
job == trade|job != trade|trade == job and x < y|job in (trade, "x")|job not in (trade, "x")|trade in ("ö", job, "")|if(x < y, job, trade) == "student"
if(x < y, job, trade) == trade|if(flag, job, "none") in ("none", "x", "")|if(flag, "a", "b") == "b"|if(n > 0, if(flag, job, "x"), trade) != job|is_missing(if(flag, job, ""))
coalesce(job, trade) == trade|coalesce(job, trade, "nobody") == "nobody"|is_missing(coalesce(job, trade))|coalesce(if(flag, job, ""), "x") == "x"|if(true, job, trade) == job
if(flag, "a", "a") == "a"|if(1, "a", "b") == "a"|if(job == trade, x, y)|(if(flag, job, trade) == trade) + (job == "x")|month(if(flag, d, "1999-12-31"))
days_between(coalesce(d, "1950-01-01"), "1960-06-01")|coalesce("1950-01-01", d) < d|job == coalesce(trade, job)|n * (job != trade)""".replace("\n", "|").split("|")


def text(rng, number):
    """A random expression of texts, with a column in it."""
    return rng.choice(["job", "trade", f"if({number()}, job, trade)", f'if({number()}, "{rng.choice(JOBS)}", trade)', "coalesce(trade, job)"])


def generate(rng, depth):
    """A random expression of numbers."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(["x", "y", "n", "flag", "x", "y", rng.choice(["0", "1", "2.5", "-3", "1e-3", "40"])])
    a = lambda: generate(rng, depth - 1)
    form = rng.randrange(22)
    if form < 5:
        return f"({a()} {rng.choice('+-*/')} {a()})"
    if form < 8:
        return f"({a()} {rng.choice(['<', '<=', '>', '>=', '==', '!='])} {a()})"
    if form < 10:
        return f"({a()} {rng.choice(['and', 'or'])} {a()})"
    if form == 10:
        return f"(not {a()})"
    if form == 11:
        return f"if({a()}, {a()}, {a()})"
    if form == 12:
        return f"{rng.choice(['min', 'max', 'coalesce'])}({a()}, {a()})"
    if form == 13:
        return f"{rng.choice(['abs', 'floor', 'is_missing'])}({a()})"
    if form == 14:
        return f"{rng.choice(['log', 'log1p', 'sqrt'])}({a()})"
    if form == 15:
        return f"exp(-abs({a()}))"
    if form == 16:
        return f"clip({a()}, -2, {a()})"
    if form == 17:
        return f"bin({a()}, [-2, 0, 0.5, 10])"
    if form == 18:
        return f"""({text(rng, a)} {rng.choice(['==', '!='])} {rng.choice(['job', 'trade', text(rng, a)])})"""
    if form == 19:
        return f"""({rng.choice(['job', text(rng, a)])} in (trade, "{rng.choice(JOBS)}"))"""
    if form == 20:
        return f"""(job {rng.choice(['==', '!='])} "{rng.choice(JOBS)}")"""
    return f"{rng.choice(['month(d)', 'weekday(d)', '(d > ' + chr(34) + '1950-06-01' + chr(34) + ')'])}"


def all_cases():
    rng = random.Random(1)
    cases = list(WRITTEN)
    while len(cases) < CASES:
        cases.append(generate(rng, 1 + len(cases) % 4))
    return cases


def ulps(a, b):
    order = lambda v: (lambda i: i if i >= 0 else -(2**63) - i)(struct.unpack("<q", struct.pack("<d", v))[0])
    return abs(order(a) - order(b))


SELECTS = ("if(", "min(", "max(", "clip(", "coalesce(")


def agree(case, mine, theirs):
    """Equal, both missing, or within what two mathematical libraries differ by; a cancelled difference of such values is judged against 1.
    onnxruntime's Where turns -0.0 into 0.0, so what is divided by a selected zero may be the other infinity."""
    if math.isnan(mine) or math.isnan(theirs):
        return math.isnan(mine) and math.isnan(theirs)
    if math.isinf(mine) or math.isinf(theirs):
        return mine == theirs or (mine == -theirs and "/" in case and any(name in case for name in SELECTS))
    return mine == theirs or ulps(mine, theirs) <= 64 or abs(mine - theirs) <= 1e-14


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expressions")
    (folder / "cases.txt").write_text("".join(case + "\n" for case in all_cases()), encoding="utf-8")
    subprocess.run([TOOL, "expressions", folder / "cases.txt", folder], check=True, timeout=120)
    rows = [line.split("\t") for line in (folder / "world.tsv").read_text(encoding="utf-8").split("\n")[:-1]]
    column = lambda i, kind: np.array([row[i] for row in rows]).astype(kind)
    feed = {"x": column(0, float), "y": column(1, float), "n": column(2, float).astype(np.int64), "flag": column(3, float) != 0, "d": column(4, float),
            "job": np.array([row[5] for row in rows], dtype=object), "trade": np.array([row[6] for row in rows], dtype=object)}
    values = (folder / "values.tsv").read_text().split("\n")[:-1]
    return folder, feed, values


def test_a_row_alone_and_in_a_block_have_the_same_bits(world):
    _, _, values = world
    assert len(values) == CASES
    different = [(case, line) for case, line in zip(all_cases(), values) if "alone" in line]
    assert not different


@pytest.mark.parametrize("part", range(7))
def test_onnxruntime_agrees(world, part):
    folder, feed, values = world
    compared, wrong = 0, []
    for index, case in list(enumerate(all_cases()))[part::7]:
        session = onnxruntime.InferenceSession(str(folder / f"{index}.onnx"), providers=["CPUExecutionProvider"])
        theirs = session.run(None, {node.name: feed[node.name] for node in session.get_inputs()})[0]
        mine = [float(text) for text in values[index].split("\t")]
        assert len(mine) == len(theirs) == 60
        compared += len(mine)
        wrong += [(case, row, m, t) for row, (m, t) in enumerate(zip(mine, theirs)) if not agree(case, m, float(t))]
    assert compared == CASES // 7 * 60
    assert not wrong, f"{len(wrong)} of {compared} differ; the first: {wrong[:5]}"


def test_the_graphs_pass_the_checker(world):
    folder, _, _ = world
    for index in range(0, CASES, 10):
        onnx.checker.check_model(onnx.load(folder / f"{index}.onnx"), full_check=True)
