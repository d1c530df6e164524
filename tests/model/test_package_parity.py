"""Packages as everybody else reads them: onnxruntime, the ONNX checker, mlflow.pyfunc, mlflow models serve. The same rows through the native scorer."""
import csv
import json
import math
import os
import pathlib
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import mlflow
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest

SOURCE = pathlib.Path(os.environ.get("SOURCE_ROOT", "."))
TOOL = os.path.join(os.environ.get("BUILD_ROOT", "build"), "tests", "model", "model_tool")
TASKS = ["binary", "multinomial", "linear", "poisson"]


def tool(*arguments, **options):
    return subprocess.run([TOOL, *map(str, arguments)], check=True, capture_output=True, text=True, timeout=300, **options).stdout


def native(folder, frame):
    """The native scorer's outputs as a frame; blocks and single rows are compared by the tool itself."""
    cell = lambda value: "" if value is None or value != value else repr(float(value)) if isinstance(value, (float, np.floating)) else str(value)
    rows = "".join("\t".join(map(cell, row)) + "\n" for row in frame.itertuples(index=False))
    lines = tool("score", folder, input=rows).split("\n")[:-1]
    assert len(lines) == len(frame)
    assert not [line for line in lines if "differ" in line]
    return [line.split("\t") for line in lines]


def assert_agree(mine, theirs, names):
    """|dp| <= 1e-14 + 1e-12 p; texts and labels equal."""
    for i, name in enumerate(names):
        column = theirs[name].to_numpy()
        if theirs[name].dtype.kind == "f":
            ours = np.array([row[i] for row in mine], dtype=float)
            assert np.all(np.abs(ours - column) <= 1e-14 + 1e-12 * np.abs(column)), name
        else:
            assert [row[i] for row in mine] == [str(value) for value in column], name


@pytest.fixture(scope="module", params=TASKS)
def sample(request, tmp_path_factory):
    """A package with every encoder, and a thousand rows for it."""
    folder = tmp_path_factory.mktemp("package") / request.param
    tool("sample", request.param, folder)
    types = {"age": "int64", "balance": "float64", "job": object, "month": object, "member": bool}
    rows = pd.read_csv(folder.with_suffix(".tsv"), sep="\t", names=list(types), quoting=csv.QUOTE_NONE, na_values=[""], keep_default_na=False,
                       dtype={"job": str, "month": str})
    rows = rows.assign(job=rows.job.fillna(""), month=rows.month.fillna(""), member=rows.member.astype(bool))
    return folder, rows


def test_every_encoder_and_task_agrees_with_onnxruntime(sample):
    folder, rows = sample
    model = mlflow.pyfunc.load_model(str(folder))
    theirs = model.predict(rows)
    mine = native(folder, rows.assign(member=rows.member.astype(int)))
    assert len(theirs) == 1000
    assert_agree(mine, theirs, list(theirs.columns))


def test_the_graph_passes_the_checker(sample):
    folder, _ = sample
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    stated = {entry.key: entry.value for entry in model.metadata_props}
    assert stated["pipeline_sha256"] == mlflow.models.Model.load(str(folder)).metadata["pipeline_sha256"]


def test_zero_rows_and_a_foreign_index(sample):
    folder, rows = sample
    model = mlflow.pyfunc.load_model(str(folder))
    assert len(model.predict(rows.iloc[:0])) == 0
    shuffled = rows.sample(frac=1, random_state=1).iloc[:50]
    whole, part = model.predict(rows), model.predict(shuffled)
    assert list(part.index) == list(shuffled.index)
    assert part.equals(whole.loc[shuffled.index])


def test_missing_texts_and_other_kinds_of_columns(sample):
    folder, rows = sample
    model = mlflow.pyfunc.load_model(str(folder))
    part = rows.iloc[:200].reset_index(drop=True)
    wanted = model.predict(part)
    for job in (part.job.astype("string"), part.job.replace("", None).astype(object), part.job.astype("category")):
        loader = model._model_impl if job.dtype == "category" else model  # MLflow's own check of types refuses categories
        assert loader.predict(part.assign(job=job)).equals(wanted)


def test_one_output_can_be_asked_for(sample):
    folder, rows = sample
    name = mlflow.pyfunc.load_model(str(folder)).metadata.get_output_schema().input_names()[0]
    answer = mlflow.pyfunc.load_model(str(folder), model_config={"output": name}).predict(rows.iloc[:3])
    assert isinstance(answer, np.ndarray) and answer.shape == (3,)
    with pytest.raises(Exception, match="expected 'all' or one of"):
        mlflow.pyfunc.load_model(str(folder), model_config={"output": "nothing"})


def test_the_input_example_is_valid(sample):
    folder, _ = sample
    model = mlflow.models.Model.load(str(folder))
    example = model.load_input_example(str(folder))
    assert list(example.columns) == ["age", "balance", "job", "month", "member"]
    serving = (folder / "serving_input_example.json").read_text(encoding="utf-8")
    assert mlflow.models.validate_serving_input(str(folder), serving) is not None


CALIBRATIONS = {"platt": {"kind": "platt", "slope": 1.25, "offset": -0.125},
                "isotonic": {"kind": "isotonic", "x": [-2, -0.5, 0, 0.25, 3], "y": [0, 0.1, 0.1, 0.625, 1]},
                "one step": {"kind": "isotonic", "x": [0.5], "y": [0.25]}}


@pytest.mark.parametrize("kind", CALIBRATIONS)
def test_calibration(kind, tmp_path):
    tool("sample", "binary", tmp_path / "sample")
    document = json.loads((tmp_path / "sample" / "pipeline.json").read_text(encoding="utf-8"))
    (tmp_path / "p.json").write_text(json.dumps({**document, "calibration": CALIBRATIONS[kind]}), encoding="utf-8")
    tool("package", tmp_path / "p.json", tmp_path / "package")
    n = 400
    rows = pd.DataFrame({"age": [18 + i % 70 for i in range(n)], "balance": [4000 * math.sin(i) for i in range(n)], "job": ["admin.", "ö"] * (n // 2),
                         "month": ["jan", "feb", "x", "apr"] * (n // 4), "member": [i % 3 == 0 for i in range(n)]})
    theirs = mlflow.pyfunc.load_model(str(tmp_path / "package")).predict(rows)
    assert kind == "one step" or theirs.surplus_probability.nunique() > 50
    assert_agree(native(tmp_path / "package", rows.assign(member=rows.member.astype(int))), theirs, list(theirs.columns))


REFUSALS = {  # a term, a value it takes, a value it refuses
    "category": ({"encoder": "category", "value": "s", "unknown": "error", "categories": ["a", "b"], "columns": [0, 1], "weights": [1, 2]}, "a", "c"),
    "ordinal": ({"encoder": "ordinal", "value": "s", "unknown": "error", "categories": ["a", "b"], "fill": 7, "mean": [0], "scale": [1], "weights": [1]}, "b", "c"),
    "number": ({"encoder": "number", "value": "x", "fill": None, "mean": [0], "scale": [1], "weights": [1]}, 1.5, None),
    "bins": ({"encoder": "bins", "value": "x", "points": [0, 1], "drop_first": True, "fill": None, "weights": [1, 2]}, 0.5, None),
    "spline": ({"encoder": "spline", "value": "x", "points": [0, 1, 2], "fill": None, "mean": [0, 0], "scale": [1, 1], "weights": [1, 2]}, 0.5, None),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_is_refused_has_no_answer_anywhere(kind, tmp_path):
    """Natively NaN (an error with the row and column at the scorer); onnxruntime stops at a text's index, and says NaN for a number."""
    term, good, bad = REFUSALS[kind]
    document = {"format": "native-tabular", "version": 1, "task": "linear", "target": "t", "threshold": 0.5,
                "columns": [{"name": "s", "type": "string"}, {"name": "x", "type": "double"}], "derived": [], "terms": [term], "intercept": [0.5]}
    (tmp_path / "p.json").write_text(json.dumps(document), encoding="utf-8")
    tool("package", tmp_path / "p.json", tmp_path / "package")
    frame = lambda value: pd.DataFrame({"s": [value], "x": [0.25]} if term["value"] == "s" else {"s": [""], "x": [value]}).astype({"x": float})
    model = mlflow.pyfunc.load_model(str(tmp_path / "package"))
    assert_agree(native(tmp_path / "package", frame(good)), model.predict(frame(good)), ["prediction"])
    assert native(tmp_path / "package", frame(bad)) == [["nan"]]
    try:
        assert math.isnan(model.predict(frame(bad)).prediction[0])
    except Exception as error:
        assert "out of data bounds" in str(error)


# ---- dates, absent columns, one column

def write_pipeline(path, columns, derived, terms):
    document = {"format": "native-tabular", "version": 1, "task": "linear", "target": "t", "threshold": 0.5, "columns": columns, "derived": derived,
                "terms": [{"encoder": "number", "value": value, "fill": 0.5, "mean": [0.25], "scale": [2], "weights": [weight]} for value, weight in terms],
                "intercept": [0.125]}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_dates_and_absent_columns(tmp_path):
    columns = [{"name": "day", "type": "date"}, {"name": "income", "type": "double", "optional": True}, {"name": "count", "type": "long", "optional": True},
               {"name": "kind", "type": "string", "optional": True}]
    derived = [{"name": "m", "expression": "month(day) + 0.1 * weekday(day)"}, {"name": "k", "expression": 'kind == "" or kind == "a"'}]
    path = write_pipeline(tmp_path / "p.json", columns, derived, [("m", 1.5), ("income", 2), ("count", -1), ("k", 3)])
    tool("package", path, tmp_path / "package")
    model = mlflow.pyfunc.load_model(str(tmp_path / "package"))
    days = [f"20{year:02}-{month:02}-{day:02}" for year in range(0, 30, 3) for month in range(1, 13) for day in (1, 28)]
    n = len(days)
    frame = pd.DataFrame({"day": days, "income": [None if i % 3 else float(i) for i in range(n)], "count": [float(i) if i % 5 else None for i in range(n)],
                          "kind": ["a" if i % 2 else "b" for i in range(n)]})
    stamped = frame.assign(day=pd.to_datetime(frame.day), count=frame["count"].astype("Int64"))
    theirs = model._model_impl.predict(stamped)  # the loader itself: MLflow's own check refuses missing integers
    assert_agree(native(tmp_path / "package", frame), theirs, ["prediction"])
    only_day = model.predict(stamped[["day"]])
    assert_agree(native(tmp_path / "package", frame.assign(income=None, count=None, kind="")), only_day, ["prediction"])


def test_a_lone_column(tmp_path):
    for kind, values in (("double", [1.5, None, -3.0]), ("long", [1, 2, 3]), ("string", ["a", "b", ""])):
        value = "x" if kind != "string" else "y"
        derived = [{"name": "y", "expression": 'x == "a"'}] if kind == "string" else []
        path = write_pipeline(tmp_path / f"{kind}.json", [{"name": "x", "type": kind}], derived, [(value, 2)])
        tool("package", path, tmp_path / kind)
        frame = pd.DataFrame({"x": values})
        assert_agree(native(tmp_path / kind, frame), mlflow.pyfunc.load_model(str(tmp_path / kind)).predict(frame), ["prediction"])


def test_names_that_look_like_the_graphs_own(tmp_path):
    columns = [{"name": name, "type": "double"} for name in ("/1", "//2", "it's \"a\" name", "naïve column")]
    path = write_pipeline(tmp_path / "p.json", columns, [], [(column["name"], i + 1) for i, column in enumerate(columns)])
    tool("package", path, tmp_path / "package")
    frame = pd.DataFrame({column["name"]: [1.0, 2.5, None] for column in columns})
    assert_agree(native(tmp_path / "package", frame), mlflow.pyfunc.load_model(str(tmp_path / "package")).predict(frame), ["prediction"])


# ---- the bank's rows

def bank_rows():
    """The UCI bank's 45,211 rows where they are, else as many made up; 3 % of two columns blanked."""
    for path in (SOURCE / "../shared/data", SOURCE / "data", SOURCE / "../../shared/data"):
        for file in (path / "uci-bank-marketing/bank-full.csv", path / "bank-full.csv"):
            if file.is_file():
                frame = pd.read_csv(file, sep=";", keep_default_na=False)
                break
        else:
            continue
        break
    else:
        rng = np.random.default_rng(1)
        n = 45211
        texts = lambda *words: rng.choice(words, n)
        frame = pd.DataFrame({"age": rng.integers(18, 95, n), "job": texts("admin.", "technician", "services"), "marital": texts("single", "married"),
                              "education": texts("primary", "tertiary"), "default": texts("yes", "no"), "balance": rng.integers(-8000, 100000, n),
                              "housing": texts("yes", "no"), "loan": texts("yes", "no"), "contact": texts("cellular", "unknown"), "day": rng.integers(1, 31, n),
                              "month": texts("jan", "may"), "duration": rng.integers(0, 4000, n), "campaign": rng.integers(1, 60, n),
                              "pdays": rng.integers(-1, 800, n), "previous": rng.integers(0, 200, n), "poutcome": texts("failure", "unknown"), "y": texts("yes", "no")})
    rng = np.random.default_rng(2)
    frame = frame.drop(columns="y").astype({"balance": float, "duration": float})
    for name in ("balance", "duration"):
        frame.loc[rng.random(len(frame)) < 0.03, name] = np.nan
    return frame


def bank_pipeline(frame):
    rng = random.Random(3)
    kind = lambda name: {"i": "long", "f": "double"}.get(frame[name].dtype.kind, "string")
    columns = [{"name": name, "type": kind(name)} for name in frame.columns]
    derived = {"balance_log": "log(max(balance + 2000, 1))", "stability_score": 'balance_log - 0.5 * (housing == "yes") - 1.0 * (loan == "yes")',
               "campaign_intensity": "campaign / (previous + 1)", "recent_contact": "pdays >= 0 and pdays < 30",
               "engagement_score": "campaign_intensity + 0.5 * recent_contact", "risk_flag": "balance < 0"}
    numbers = [c["name"] for c in columns if c["type"] != "string"]
    terms = [{"encoder": "number", "value": name, "fill": float(frame[name].median()), "mean": [float(frame[name].mean())], "scale": [float(frame[name].std())],
              "weights": [rng.gauss(0, 0.5)]} for name in numbers]
    terms += [{"encoder": "number", "value": name, "fill": 1.5, "mean": [1.25], "scale": [0.75], "weights": [rng.gauss(0, 0.5)]} for name in derived]
    for name in frame.columns:
        if name not in numbers:
            levels = sorted(set(frame[name]))[: -1 if len(set(frame[name])) > 4 else None]  # the last one stays unknown
            terms.append({"encoder": "category", "value": name, "unknown": "zeros", "categories": levels, "columns": list(range(-1, len(levels) - 1)),
                          "weights": [rng.gauss(0, 0.5) for _ in levels[1:]]})
    return {"format": "native-tabular", "version": 1, "task": "binary", "target": "surplus", "threshold": 0.5, "columns": columns,
            "derived": [{"name": name, "expression": text} for name, text in derived.items()], "terms": terms, "intercept": [0.3]}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder, frame = tmp_path_factory.mktemp("bank"), bank_rows()
    (folder / "pipeline.json").write_text(json.dumps(bank_pipeline(frame)), encoding="utf-8")
    tool("package", folder / "pipeline.json", folder / "package")
    return folder / "package", frame


def test_all_bank_rows_agree(bank):
    folder, frame = bank
    theirs = mlflow.pyfunc.load_model(str(folder)).predict(frame)
    assert len(theirs) == 45211
    assert list(theirs.columns) == ["surplus_probability", "surplus_prediction"]
    assert_agree(native(folder, frame), theirs, list(theirs.columns))


def test_mlflow_onnx_loads_the_model_too(bank):
    folder, frame = bank
    session = onnxruntime.InferenceSession(mlflow.onnx.load_model(str(folder)).SerializeToString(), providers=["CPUExecutionProvider"])
    assert [node.name for node in session.get_inputs()] == list(frame.columns)


def test_mlflow_evaluate(bank, tmp_path, monkeypatch):
    """Needs one-dimensional predictions: hence the loader's `output`. Its figures agree with what the native answers give."""
    folder, frame = bank
    part = frame.iloc[:500]
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/evaluate.db")
    labels = np.arange(500) % 2
    result = mlflow.models.evaluate(str(folder), part.assign(label=labels), targets="label", model_type="classifier", model_config={"output": "surplus_prediction"},
                                    evaluator_config={"log_explainer": False, "log_model_explainability": False})
    native_labels = np.array([int(row[1]) for row in native(folder, part)])
    assert math.isclose(result.metrics["accuracy_score"], float(np.mean(native_labels == labels)))


def test_mlflow_models_serve(bank, tmp_path):
    folder, frame = bank
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = open(tmp_path / "serve.log", "wb")
    environment = {**os.environ, "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
    server = subprocess.Popen([sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "--env-manager", "local", "--host", "127.0.0.1",
                               "--port", str(port)], stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=environment)
    try:
        part = frame.iloc[:20]
        body = json.dumps({"dataframe_split": json.loads(part.to_json(orient="split", index=False))}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
        for attempt in range(120):
            try:
                answer = json.loads(urllib.request.urlopen(request, timeout=10).read())
                break
            except (ConnectionError, urllib.error.URLError):
                assert server.poll() is None, (tmp_path / "serve.log").read_text()
                time.sleep(0.5)
        rows = pd.DataFrame(answer["predictions"])
        assert_agree(native(folder, part), rows, list(rows.columns))
    finally:
        if server.poll() is None:
            os.killpg(server.pid, 15)
        server.wait(20)
        log.close()
