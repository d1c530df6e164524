"""The `solvent` command by script: what it prints, what it exits with, what it leaves behind. No server is needed."""

import csv
import io
import json
import math
import os
import random
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest

SOLVENT = Path(os.environ["BUILD_ROOT"]) / "trainer" / "solvent"
ROOT = Path(os.environ["SOURCE_ROOT"])


def solvent(*arguments, folder=ROOT, stdin=None, code=0, env=None):
    done = subprocess.run([SOLVENT, *map(str, arguments)], cwd=folder, input=stdin, capture_output=True, text=True, timeout=240, env=env)
    assert "Sanitizer" not in done.stderr, done.stderr
    assert done.returncode == code, (done.returncode, done.stderr)
    return done


def json_lines(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    solvent("generate", "--rows", 6000, "--seed", 3, "--output", folder / "rows.csv")
    (folder / "small.yaml").write_text(
        (ROOT / "configs/cashflow.yaml").read_text().replace("generate:rows=50000,seed=42", str(folder / "rows.csv")).replace("bootstrap: 1000", "bootstrap: 20")
    )
    return folder


@pytest.fixture(scope="module")
def trained(world):
    done = solvent("train", "small.yaml", "--no-tracking", "--json", "--output", "out", folder=world)
    return json_lines(done.stdout)[-1]


def test_help_and_version():
    text = solvent("--help").stdout
    for command in ("train", "check", "prepare", "evaluate", "predict", "generate", "explain", "sweep"):
        assert f"\n  {command} " in text
        assert solvent(command, "--help").stdout.startswith(f"usage: solvent {command}")
    assert solvent("--version").stdout.startswith("solvent ")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["trian"], "solvent: unknown command trian\n  hint: did you mean `solvent train`?\n"),
        (["train"], "solvent: train: expected CONFIG\n  hint: solvent train --help\n"),
        (["train", "a", "b"], "solvent: train: unexpected argument b\n"),
        (["train", "a", "--ouput", "x"], "solvent: train: unknown option --ouput\n  hint: did you mean --output? `solvent train --help` lists the options\n"),
        (["train", "a", "--threads", "0"], "solvent: --threads: expected a whole number from 1 to 1024, got 0\n"),
        (["train", "a", "--output"], "solvent: --output: expected a value (PATH)\n"),
        (["generate"], "solvent: generate: expected --output PATH\n"),
        (["train", "/nowhere.yaml"], "solvent: /nowhere.yaml: "),
    ],
)
def test_a_wrong_command_line_is_exit_2(arguments, message):
    assert solvent(*arguments, code=2).stderr.startswith(message)


def test_generated_bytes_depend_on_the_seed_alone(tmp_path):
    first = solvent("generate", "--rows", 100, "--output", "-").stdout
    assert first == solvent("generate", "--rows", 100, "--output", "-", "--seed", 42).stdout
    assert first != solvent("generate", "--rows", 100, "--output", "-", "--seed", 43).stdout
    assert first.count("\n") == 101


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    done = solvent("generate", "--output", tmp_path / "no" / "x.csv", code=1)
    assert "x.csv" in done.stderr and not list(tmp_path.iterdir())


def test_check_prints_what_reads_back(world, tmp_path):
    once = solvent("check", world / "small.yaml").stdout
    (tmp_path / "again.yaml").write_text(once)
    assert solvent("check", tmp_path / "again.yaml").stdout == once


def test_the_last_line_of_train_is_the_contract(trained, world):
    assert list(trained) == ["event", "run_id", "model_id", "name", "version", "package", "seconds", "iterations", "objective", "metrics", "in_sample", "waiting"]
    assert trained["event"] == "done" and trained["run_id"] is None and trained["version"] is None
    assert list(trained["seconds"]) == ["read", "fit", "evaluate", "track", "total"]
    assert trained["iterations"] > 0 and trained["objective"] > 0
    for part in ("train", "validation", "test"):
        assert {f"{part}.{name}" for name in ("accuracy", "log_loss", "roc_auc", "brier")} <= set(trained["metrics"])
    assert (world / trained["package"] / "MLmodel").is_file() and (world / "out" / "report" / "report.html").is_file()


def test_the_estimate_meets_the_world_it_was_drawn_from(world):
    """The generator's coefficients lie within five standard errors' worth of the estimate; 30,000 rows."""
    solvent("train", ROOT / "configs/cashflow.yaml", "--no-tracking", "--quiet", "--output", "truth", "--set", "evaluate.bootstrap=0", folder=world)
    model = json.loads(solvent("explain", "--model", world / "truth" / "model", "--json").stdout)
    weights = {(row["feature"], row["level"]): row["weight"] for row in model["coefficients"]}
    assert weights["cushion", None] == pytest.approx(1.8, abs=0.25)
    assert weights["balance_log", None] == pytest.approx(0.25, abs=0.04)
    assert weights["late_payments", None] == pytest.approx(-0.3, abs=0.05)
    assert weights["loan", "yes"] == pytest.approx(-0.5, abs=0.14)
    assert weights["employment", "salaried"] == pytest.approx(0.3, abs=0.2)  # 0.6 against retired's 0.3
    assert weights["age", None] == pytest.approx(0, abs=0.01)


def test_same_bits_whatever_the_threads(world):
    packages = []
    for threads in (1, 2, 4):
        solvent("train", "small.yaml", "--no-tracking", "--quiet", "--threads", threads, "--output", f"t{threads}", folder=world)
        packages.append((world / f"t{threads}" / "model" / "pipeline.json").read_bytes())
    assert packages[0] == packages[1] == packages[2]


def test_predict_keeps_rows_and_order_by_file_and_by_pipe(trained, world):
    rows = (world / "rows.csv").read_text()
    by_file = solvent("predict", "--model", "out/model", "--input", "rows.csv", folder=world).stdout
    assert by_file == solvent("predict", "--model", "out/model", "--input", "-", folder=world, stdin=rows).stdout
    solvent("predict", "--model", "out/model", "--input", "rows.csv", "--output", "answers.csv", folder=world)
    assert (world / "answers.csv").read_text() == by_file
    lines, answers = rows.splitlines(), by_file.splitlines()
    assert answers[0] == lines[0] + ",surplus_probability,surplus_prediction" and len(answers) == len(lines)
    assert all(answer.startswith(line + ",") for line, answer in zip(lines, answers))
    for row in csv.DictReader(io.StringIO(by_file)):
        assert (float(row["surplus_probability"]) >= 0.5) == (row["surplus_prediction"] == "1")


def test_predict_takes_rows_of_any_shape(trained, world):
    header, first, second = (world / "rows.csv").read_text().splitlines()[:3]
    plain = solvent("predict", "--model", "out/model", "--input", "-", folder=world, stdin=f"{header}\n{first}\n{second}\n").stdout.splitlines()
    strange = "\r\n".join([f'note,{header}', f'"two\nlines, ""quoted""",{first}', "", f"x,{second}"])
    got = list(csv.reader(io.StringIO(solvent("predict", "--model", "out/model", "--input", "-", folder=world, stdin=strange).stdout)))
    assert got[1][0] == 'two\nlines, "quoted"' and got[1][-2:] == plain[1].split(",")[-2:] and got[2][-2:] == plain[2].split(",")[-2:]


def test_predict_refuses_a_text_that_is_not_utf8(trained, world):
    lines = (world / "rows.csv").read_bytes().splitlines()
    cells = lines[7].split(b",")
    cells[lines[0].split(b",").index(b"region")] = b"S\xfcd"
    (world / "latin.csv").write_bytes(b"\n".join([*lines[:7], b",".join(cells)]) + b"\n")
    done = solvent("predict", "--model", "out/model", "--input", "latin.csv", "--output", "-", folder=world, code=1)
    assert "region: the text 'S\\xfcd' is not UTF-8" in done.stderr and "iconv" in done.stderr


def test_predict_names_the_row_that_it_cannot_read(trained, world):
    lines = (world / "rows.csv").read_text().splitlines()
    cells = lines[5].split(",")
    cells[lines[0].split(",").index("income")] = "much"
    lines[5] = ",".join(cells)
    done = solvent("predict", "--model", "out/model", "--input", "-", "--output", "none.csv", folder=world, stdin="\n".join(lines), code=1)
    assert "row 5 (line 6): column 'income': expected double, got 'much'" in done.stderr and not (world / "none.csv").exists()


def test_explain_adds_up(trained, world):
    lines = json_lines(solvent("explain", "--model", "out/model", "--input", "rows.csv", "--json", folder=world).stdout)
    assert len(lines) == 6000
    for line in lines[:50]:
        assert line["score"] == pytest.approx(line["intercept"] + sum(line["contributions"].values()), abs=1e-12)
    table = list(csv.reader(io.StringIO(solvent("explain", "--model", "out/model", "--input", "rows.csv", folder=world).stdout)))
    assert table[0][:2] == ["row", "(intercept)"] and table[0][-1] == "score" and len(table) == 6001


def test_explain_gives_weights_in_raw_units(trained, world):
    model = json.loads(solvent("explain", "--model", "out/model", "--json", folder=world).stdout)
    assert set(model) == {"intercept", "coefficients"} and set(model["coefficients"][0]) == {"feature", "level", "weight", "standardized"}
    weights = {(row["feature"], row["level"]): row["weight"] for row in model["coefficients"]}
    row = next(csv.DictReader(io.StringIO(solvent("prepare", "small.yaml", folder=world).stdout)))
    score = model["intercept"] + sum(weight * float(row[feature]) if level is None else weight * (row[feature] == level) for (feature, level), weight in weights.items())
    line = json_lines(solvent("explain", "--model", "out/model", "--input", "rows.csv", "--json", folder=world).stdout)[0]
    assert score == pytest.approx(line["score"], abs=1e-9)


def test_prepare_writes_used_columns_target_and_split(trained, world):
    text = solvent("prepare", "small.yaml", folder=world).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["cushion", "balance_log", "shock_share", "late_payments", "loan", "employment", "season", "age", "region", "surplus", "split"]
    assert len(rows) == 6000 and {row["split"] for row in rows} == {"train", "validation", "test"}
    solvent("prepare", "small.yaml", "--output", "prepared.csv", folder=world)
    assert (world / "prepared.csv").read_text() == text


def test_evaluate_repeats_the_training_figures(trained, world):
    done = json_lines(solvent("evaluate", "small.yaml", "--model", "out/model", "--json", folder=world).stdout)[-1]
    assert done["event"] == "done" and done["metrics"] == trained["metrics"]


def test_sweep_trains_the_best(world):
    lines = json_lines(
        solvent("sweep", "small.yaml", "--no-tracking", "--json", "--output", "swept", "--set", "sweep.keys={train.c: [1e-6, 1]}", "--set", "sweep.folds=3", folder=world).stdout
    )
    trials, reads = ([line for line in lines if line["event"] == event] for event in ("trial", "read"))
    assert len(reads) == 1 and lines[-1]["seconds"]["read"] == reads[0]["seconds"] > 0
    assert [trial["settings"] for trial in trials] == [{"train.c": "1e-6"}, {"train.c": "1"}] and trials[1]["score"] < trials[0]["score"]
    assert lines[-1]["event"] == "done" and "c: 1\n" in (world / "swept" / "report" / "config.yaml").read_text()
    assert lines[-1]["in_sample"] == {}  # folds of the training rows chose
    chosen = json_lines(solvent("sweep", "small.yaml", "--no-tracking", "--json", "--set", "sweep.keys={train.c: [1e-6, 1]}", folder=world).stdout)[-1]
    assert chosen["in_sample"] == {"validation": "settings"}
    done = solvent("sweep", "small.yaml", "--no-tracking", "--set", "sweep.keys={data.trim: [true]}", folder=world, code=2)
    assert "in 'sweep.keys.data.trim': expected a key of train or encode" in done.stderr


def test_a_range_of_a_whole_number_is_drawn_in_whole_numbers(world):
    """The values of a key that is one, its ends among them; a range with half a number is refused."""
    sweep = ["sweep", "small.yaml", "--no-tracking", "--json", "--set", "sweep.method=random", "--set", "sweep.trials=30", "--set", "evaluate={bootstrap: 0, audit: off}"]
    for values, allowed in (("2 .. 4", {2, 3, 4}), ("1 .. 2 log", {1, 2})):
        lines = json_lines(solvent(*sweep, "--set", f"sweep.keys={{train.max_iter: [{values}]}}", folder=world).stdout)
        assert {float(line["settings"]["train.max_iter"]) for line in lines if line["event"] == "trial"} == allowed
    done = solvent(*sweep, "--set", "sweep.keys={train.max_iter: [1 .. 2.5]}", folder=world, code=2)
    assert "in 'sweep.keys.train.max_iter': expected LOW .. HIGH" in done.stderr and "whole numbers" in done.stderr


def test_folds_by_time_learn_from_the_past_alone(world):
    """Two blocks of time: the second is judged by a model of the first, as the validation part is by the training part of the same rows."""
    rows = "\n".join(f"{t},{(t * 37) % 101},{int((t * 37) % 101 > 50 - t // 20)}" for t in range(1000))
    (world / "by_time.csv").write_text("t,x,y\n" + rows + "\n")
    (world / "by_time.yaml").write_text(
        "data: {source: by_time.csv}\ntarget: {column: y}\nuse: [x]\nsplit: {time: t, train: 0.4, validation: 0.4, test: 0.2}\nsweep: {keys: {train.c: [0.01, 1]}}\n"
    )
    scores = [
        [line["score"] for line in json_lines(solvent("sweep", "by_time.yaml", "--no-tracking", "--json", "--set", f"sweep.folds={folds}", folder=world).stdout) if line["event"] == "trial"]
        for folds in (0, 2)
    ]
    assert scores[0] == scores[1]
    done = solvent("sweep", "by_time.yaml", "--no-tracking", "--set", "split={time: x}", "--set", "sweep.folds=200", folder=world, code=2)
    assert "in 'sweep.folds': a fold has no rows" in done.stderr


LEAKING = """data: {source: rows.csv}
features: {flag: income > 2000}
target: {when: income > 2000}
use: [age, flag]
"""


def test_a_leak_is_shouted_and_can_stop(world):
    (world / "leak.yaml").write_text(LEAKING)
    done = solvent("train", "leak.yaml", "--no-tracking", "--quiet", folder=world)  # a warning is no talk
    assert not done.stdout
    assert "LEAKAGE: the target (income > 2000) is computed from income, and so are these features: flag" in done.stderr
    assert "LEAKAGE: flag alone tells the target: AUC 1.0000" in done.stderr
    done = solvent("train", "leak.yaml", "--no-tracking", "--set", "evaluate.audit=fail", folder=world, code=1)
    assert "solvent: leakage: the target" in done.stderr
    assert "LEAKAGE" not in solvent("train", "leak.yaml", "--no-tracking", "--set", "use=[age, rent]", folder=world).stderr
    assert "LEAKAGE" not in solvent("train", "leak.yaml", "--no-tracking", "--set", "evaluate.audit=off", folder=world).stderr


def test_the_probability_of_the_target_is_a_leak(world):
    both = ["--set", "use=[true_probability, loan]"]
    assert "# LEAKAGE: true_probability is the probability of the target" in solvent("check", "small.yaml", *both, folder=world).stdout
    assert "LEAKAGE: true_probability" in solvent("train", "small.yaml", "--no-tracking", *both, folder=world).stderr
    done = solvent("check", "small.yaml", *both, "--set", "evaluate.audit=fail", folder=world, code=1)
    assert "solvent: leakage: true_probability" in done.stderr
    assert "LEAKAGE" not in solvent("check", "small.yaml", folder=world).stdout


def test_duplicates_across_the_split_are_counted(world):
    rows = (world / "rows.csv").read_text().splitlines()
    (world / "twice.csv").write_text("\n".join(rows[:1] + rows[1:300] * 2) + "\n")
    (world / "twice.yaml").write_text("data: {source: twice.csv}\ntarget: {column: surplus}\nuse: [income, rent, spending, balance]\n")
    assert "test rows stand in training too" in solvent("train", "twice.yaml", "--no-tracking", folder=world).stdout


def test_an_identifier_is_no_leak(tmp_path):
    """Another text in every row holds all of any target's information, a coin's too, and tells nothing of the next row."""
    coin = random.Random(1)
    (tmp_path / "rows.csv").write_text("customer,x,y\n" + "".join(f"C{i:05d},{coin.random()},{coin.randint(0, 1)}\n" for i in range(2000)))
    (tmp_path / "c.yaml").write_text("data: {source: rows.csv}\ntarget: {column: y}\nevaluate: {bootstrap: 0}\n")
    done = solvent("train", "c.yaml", "--no-tracking", folder=tmp_path)
    said = done.stdout + done.stderr
    assert "customer has another text in most rows" in said and "LEAKAGE" not in said and "'drop'" in said


def test_a_checkpoint_needs_an_output(world):
    for command in ("train", "sweep"):
        done = solvent(command, "small.yaml", "--no-tracking", "--set", "train.checkpoint_every=2", "--set", "sweep.keys={train.c: [1]}", folder=world, code=2)
        assert "in 'train.checkpoint_every': the checkpoint is OUTPUT/checkpoint, and there is no output" in done.stderr and "--output" in done.stderr


def test_an_interrupted_fit_goes_on_where_it_was(world):
    out, slow = world / "cut", ["--set", "train.solver=gd", "--set", "train.tolerance=1e-300"]
    process = subprocess.Popen(
        [SOLVENT, "train", "small.yaml", "--no-tracking", "--output", out, *slow, "--set", "train.max_iter=100000000", "--set", "train.checkpoint_every=5"],
        cwd=world, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    until = time.monotonic() + 60
    while not (out / "checkpoint").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "--resume" in stdout + stderr and not (out / "model").exists(), stdout + stderr
    at = struct.unpack("<q", (out / "checkpoint").read_bytes()[8:16])[0]
    assert at > 0 and f"interrupted in iteration {at}" in stderr
    more = [*slow, "--set", f"train.max_iter={at + 3}", "--set", "evaluate.bootstrap=0", "--no-tracking", "--quiet"]
    solvent("train", "small.yaml", *more, "--output", world / "resumed", "--resume", out / "checkpoint", folder=world)
    solvent("train", "small.yaml", *more, "--output", world / "whole", folder=world)
    assert (world / "resumed/model/pipeline.json").read_bytes() == (world / "whole/model/pipeline.json").read_bytes()


@pytest.mark.parametrize("change, named", [
    (["train.c=10"], "train.c (1, here 10)"),
    (["train.penalty=none"], "the l2 penalty (1, here 0)"),
    (["train.solver=nesterov"], "train.solver"),
    (["data.max_rows=2000"], "the number of rows"),
    (["split.seed=7"], "the training rows or their weights"),
    (["train.class_weight=balanced"], "the training rows or their weights"),
    (["train.patience=3"], "train.patience or the validation rows"),
    (["target.column=", "target.when=surplus != 1"], "the target"),
    (["train.offset=cushion"], "the offset"),
    (["features.cushion=income / rent"], "the features"),
    (["encode.numbers=robust"], "the features"),
    (["use=[cushion, loan]"], "the features"),
], ids=lambda value: value[0] if isinstance(value, list) else "")
def test_a_checkpoint_of_another_training_is_refused(world, change, named):
    common = ["train", "small.yaml", "--no-tracking", "--quiet", "--set", "train.solver=gd", "--set", "train.max_iter=4", "--set", "evaluate={bootstrap: 0, audit: off}"]
    if not (world / "mine" / "checkpoint").exists():
        solvent(*common, "--set", "train.checkpoint_every=2", "--output", "mine", folder=world)
    sets = [word for entry in change for word in ("--set", entry)]
    done = solvent(*common, *sets, "--resume", "mine/checkpoint", folder=world, code=1)
    assert "mine/checkpoint: a checkpoint of another training, which differs in " in done.stderr and named in done.stderr, done.stderr


def test_interrupted_is_130_and_nothing_half_written(world):
    out = world / "interrupted"
    process = subprocess.Popen(
        [SOLVENT, "train", "small.yaml", "--no-tracking", "--output", out, "--set", "train.solver=gd", "--set", "train.tolerance=1e-300", "--set", "train.max_iter=100000000"],
        cwd=world, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    assert any(line.startswith("audit ") for line in process.stdout)  # what comes behind it never ends
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in stderr and not out.exists(), stderr


def test_one_slip_among_numbers_is_named(world, tmp_path):
    lines = (world / "rows.csv").read_text().splitlines()
    cells = lines[500].split(",")
    cells[lines[0].split(",").index("rent")] = "abc"
    (tmp_path / "rows.csv").write_text("\n".join([*lines[:500], ",".join(cells), *lines[501:]]) + "\n")
    (tmp_path / "c.yaml").write_text("name: x\ndata: {source: rows.csv}\ntarget: {name: y, column: surplus}\nuse: [rent, loan]\nevaluate: {bootstrap: 0}\n")
    done = solvent("train", "c.yaml", "--no-tracking", folder=tmp_path)
    assert "solvent: warning: column 'rent' is read as text because of 'abc'" in done.stderr


def test_output_to_a_pipe_and_through_a_link(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE, text=True)
    solvent("generate", "--rows", 3, "--output", tmp_path / "pipe")
    assert len(reader.communicate(timeout=60)[0].splitlines()) == 4
    (tmp_path / "link").symlink_to(tmp_path / "rows.csv")
    (tmp_path / "rows.csv").write_text("old")
    solvent("generate", "--rows", 3, "--output", tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and len((tmp_path / "rows.csv").read_text().splitlines()) == 4


@pytest.fixture(scope="module")
def probabilities(tmp_path_factory):
    """Rows whose target was drawn from a column of probabilities that nobody could know."""
    folder, random = tmp_path_factory.mktemp("probabilities"), __import__("random").Random(3)
    with open(folder / "rows.csv", "w") as out:
        out.write("a,b,truth,noise,size,y\n")
        for _ in range(6000):
            a, b = random.gauss(0, 1), random.gauss(0, 1)
            p = 1 / (1 + math.exp(0.5 * b - a))
            out.write(f"{a:.4f},{b:.4f},{p:.6f},{random.random():.5f},{'small' if a < 0 else 'large'},{int(random.random() < p)}\n")
    (folder / "c.yaml").write_text("name: t\ndata: {source: rows.csv}\ntarget: {column: y}\nuse: [a, b, truth, noise, size]\n"
                                   "evaluate: {bootstrap: 200, segments: [size], baseline: a}\n")
    return folder


def test_a_feature_can_be_the_baseline(probabilities):
    report = ["--set", "features.turned=0 - a", "--set", "use=[turned, b]", "--output", "turned"]
    solvent("train", "c.yaml", "--no-tracking", *report, "--set", "evaluate.baseline=turned", folder=probabilities)
    assert "last value" in (probabilities / "turned/report/report.html").read_text()
    done = solvent("train", "c.yaml", "--no-tracking", "--set", "evaluate.baseline=size", folder=probabilities, code=2)
    assert "'evaluate.baseline': expected a column of numbers, 'size' holds text" in done.stderr, done.stderr
    unused = ["--set", "features.turned=0 - a", "--set", "use=[b]", "--set", "evaluate.baseline=turned"]
    assert "or a feature that the model uses, got turned" in solvent("train", "c.yaml", "--no-tracking", *unused, folder=probabilities, code=2).stderr


def test_evaluate_tells_what_moved_since_the_model_was_made(probabilities):
    solvent("train", "c.yaml", "--no-tracking", "--output", "old", folder=probabilities)
    same = next(event for event in json_lines(solvent("evaluate", "c.yaml", "--model", "old/model", "--json", folder=probabilities).stdout) if event["event"] == "drift")
    assert {value["name"] for value in same["values"]} == {"a", "b", "truth", "noise", "size", "score"}
    assert all(value["psi"] < 0.02 and value["ks"] < 0.05 for value in same["values"]), same
    assert all(figure["then"] == figure["now"] for figure in same["figures"] if "." in figure["name"])
    rows = (probabilities / "rows.csv").read_text().splitlines()
    cells = [row.split(",") for row in rows[1:]]
    moved = [",".join([str(float(c[0]) + 1.5), *c[1:4], "huge" if i % 2 else c[4], c[5]]) for i, c in enumerate(cells)]
    (probabilities / "moved.csv").write_text("\n".join([rows[0], *moved]) + "\n")
    done = solvent("evaluate", "c.yaml", "--model", "old/model", "--json", "--set", "data.source=moved.csv", folder=probabilities)
    drift = next(event for event in json_lines(done.stdout) if event["event"] == "drift")
    psi = {value["name"]: value["psi"] for value in drift["values"]}
    assert psi["a"] > 0.5 and psi["size"] > 0.5 and psi["score"] > 0.005 and psi["b"] < 0.02 and psi["truth"] < 0.02, psi
    text = solvent("evaluate", "c.yaml", "--model", "old/model", "--set", "data.source=moved.csv", folder=probabilities).stdout
    assert "drift     a " in text and "test.ece" in text and "against the model's training rows" in text


def test_predict_names_the_column_without_an_answer(probabilities):
    solvent("train", "c.yaml", "--no-tracking", "--set", "encode={missing: error, unknown: error}", "--output", "strict", folder=probabilities)
    head = "a,b,truth,noise,size\n1,1,0.5,0.5,small\n"
    done = solvent("predict", "--model", "strict/model", "--input", "-", folder=probabilities, stdin=head + "1,,0.5,0.5,small\n", code=1)
    assert "standard input: row 2: the model has no answer: b is missing" in done.stderr, done.stderr
    done = solvent("predict", "--model", "strict/model", "--input", "-", folder=probabilities, stdin=head + "1,1,0.5,0.5,tiny\n", code=1)
    assert "row 2: the model has no answer: size: a text that training did not see" in done.stderr, done.stderr
