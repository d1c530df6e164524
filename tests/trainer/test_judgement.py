"""What a training says of its data and its model, held against scikit-learn, scipy and statsmodels: by configuration and CSV, from outside."""

import csv
import gzip
import html
import http.server
import io
import json
import math
import os
import re
import subprocess
import threading
from pathlib import Path

import numpy
import pandas
import pytest
from scipy import stats
from sklearn import calibration, isotonic, linear_model, metrics, preprocessing
from sklearn.impute import SimpleImputer

SOLVENT = Path(os.environ["BUILD_ROOT"]) / "trainer" / "solvent"
N = 3000


def solvent(folder, *arguments, stdin=None, code=0):
    done = subprocess.run([SOLVENT, *map(str, arguments)], cwd=folder, input=stdin, capture_output=True, text=True, timeout=240)
    assert "Sanitizer" not in done.stderr, done.stderr
    assert done.returncode == code, (done.returncode, done.stderr)
    return done


def train(folder, config, *sets, output="out", more=()):
    (folder / "c.yaml").write_text(config)
    sets = [word for entry in sets for word in ("--set", entry)]
    return solvent(folder, "train", "c.yaml", "--no-tracking", "--json", "--output", output, *sets, *more)


def events(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def pipeline(folder, output="out"):
    return json.loads((folder / output / "model/pipeline.json").read_text())


def term(folder, value, encoder=None, output="out"):
    return next(t for t in pipeline(folder, output)["terms"] if t.get("value") == value and encoder in (None, t["encoder"]))


def predicted(folder, source, output="out"):
    solvent(folder, "predict", "--model", f"{output}/model", "--input", source, "--output", "predicted.csv")
    return pandas.read_csv(folder / "predicted.csv", keep_default_na=False, na_values=[""])


def parts(folder):
    return pandas.read_csv(io.StringIO(solvent(folder, "prepare", "c.yaml").stdout))["split"].to_numpy()


@pytest.fixture(scope="module")
def rows():
    """x, z numbers with gaps in z, k texts of unequal frequency, y of two classes, w a number."""
    rng = numpy.random.default_rng(11)
    x, z = rng.normal(40, 12, N), rng.exponential(3, N)
    k = rng.choice(["ann", "bob", "cleo", "dan", "eve"], N, p=[0.4, 0.3, 0.2, 0.08, 0.02])
    score = (x - 40) / 12 - 0.4 * z + 1 + 0.6 * (k == "bob") - 0.3 * (k == "cleo")
    w = 3 + 2 * numpy.sin(x / 10) + 0.3 * z + rng.normal(0, 0.5, N)
    frame = pandas.DataFrame({"x": x.round(4), "z": numpy.where(rng.random(N) < 0.1, numpy.nan, z.round(4)), "k": k,
                              "y": (rng.random(N) < 1 / (1 + numpy.exp(-score))).astype(int), "w": w.round(5)})
    return frame


@pytest.fixture
def folder(tmp_path, rows):
    rows.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path


LINEAR = """name: t
data: {source: rows.csv}
target: {name: out, column: w}
use: [USE]
train: {model: linear, penalty: none}
evaluate: {bootstrap: 0, report: false, audit: off}
"""


# ---- encoders: constants are those of the training rows; an unpenalised fit answers as least squares on the encoding built here ----


def natural_spline(v, knots):
    """Hastie, Tibshirani, Friedman, ESL 5.2.1."""
    v, t = (numpy.asarray(a, float) for a in (v, knots))
    d = [(numpy.maximum(v - k, 0) ** 3 - numpy.maximum(v - t[-1], 0) ** 3) / (t[-1] - k) for k in t[:-1]]
    return numpy.column_stack([v, *[d[i] - d[-1] for i in range(len(t) - 2)]])


def one_hot(values, levels):
    return numpy.column_stack([(values == level).astype(float) for level in levels])


ENCODINGS = {
    "standardize": ("x", "encode.numbers=standardize", lambda f, tr: f[["x"]].to_numpy()),
    "one_hot": ("k", "encode.drop_first=false", lambda f, tr: one_hot(f.k, ["ann", "bob", "cleo", "dan", "eve"])),
    "drop_first": ("k", "encode.drop_first=true", lambda f, tr: one_hot(f.k, ["bob", "cleo", "dan", "eve"])),
    "rare": ("k", "encode.rare=300", lambda f, tr: one_hot(f.k.replace({"dan": "rare", "eve": "rare"}), ["bob", "cleo", "rare"])),
    "rare, unknown refused": ("k", "encode={rare: 300, unknown: error}", lambda f, tr: one_hot(f.k.replace({"dan": "rare", "eve": "rare"}), ["bob", "cleo", "rare"])),
    "ordinal": ("k", "encode.strings=ordinal", lambda f, tr: f.k.map({n: i for i, n in enumerate(["ann", "bob", "cleo", "dan", "eve"])}).to_numpy()[:, None]),
    "bins": ("x", "encode.columns.x=bins(7)", lambda f, tr: one_hot(numpy.digitize(f.x, numpy.quantile(f.x[tr], numpy.arange(1, 7) / 7)), range(1, 7))),
    "spline": ("x", "encode.columns.x=spline(5)", lambda f, tr: natural_spline(f.x, numpy.quantile(f.x[tr], 0.05 + 0.9 * numpy.arange(5) / 4))),
    "pair": ("x, k", "encode.interactions=[x * k]", lambda f, tr: numpy.column_stack(
        [f.x, one_hot(f.k, ["bob", "cleo", "dan", "eve"]), one_hot(f.k, ["bob", "cleo", "dan", "eve"]) * f.x.to_numpy()[:, None]])),
    "indicator": ("z", "encode.missing_indicator=true", lambda f, tr: numpy.column_stack([f.z.fillna(f.z[tr].median()), f.z.isna()])),
    "indicator beside bins": ("z", "encode={missing_indicator: true, columns: {z: bins(4)}}", lambda f, tr: numpy.column_stack(
        [one_hot(numpy.digitize(f.z.fillna(f.z[tr].median()), numpy.quantile(f.z[tr].dropna(), [0.25, 0.5, 0.75])), [1, 2, 3]), f.z.isna()])),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_an_encoder_spans_what_it_says(folder, rows, name):
    use, setting, design = ENCODINGS[name]
    train(folder, LINEAR.replace("USE", use), setting)
    part = parts(folder)
    x = design(rows, part == "train")
    reference = linear_model.LinearRegression().fit(x[part == "train"], rows.w[part == "train"])
    numpy.testing.assert_allclose(predicted(folder, "rows.csv")["prediction"], reference.predict(x), rtol=1e-7)


@pytest.mark.parametrize("way, scaler, named", [("standardize", preprocessing.StandardScaler, ("mean_", "scale_")), ("min_max", preprocessing.MinMaxScaler, ("data_min_", "data_range_")),
                                                ("robust", preprocessing.RobustScaler, ("center_", "scale_"))])
def test_scaling_is_of_the_training_rows(folder, rows, way, scaler, named):
    train(folder, LINEAR.replace("USE", "x, z"), f"encode.numbers={way}")
    part = parts(folder)
    ours, theirs = term(folder, "x"), scaler().fit(rows[["x"]][part == "train"])
    numpy.testing.assert_allclose([ours["mean"][0], ours["scale"][0]], [getattr(theirs, name)[0] for name in named], rtol=1e-12)
    train(folder, LINEAR.replace("USE", "x"), f"encode.columns.x={way}", "encode.numbers=none", output="one")
    assert term(folder, "x", output="one")["mean"] == ours["mean"] and term(folder, "x", output="one")["scale"] == ours["scale"]


@pytest.mark.parametrize("way", ["median", "mean", "most_frequent", "constant"])
def test_gaps_are_filled_as_scikit_learn_fills_them(folder, rows, way):
    train(folder, LINEAR.replace("USE", "z"), f"encode.missing={way}", "encode.missing_value=-7")
    part = parts(folder)
    reference = SimpleImputer(strategy=way, fill_value=-7 if way == "constant" else None).fit(rows[["z"]][part == "train"])
    assert term(folder, "z")["fill"] == pytest.approx(reference.statistics_[0], rel=1e-13)


def test_hashing_spreads_texts_over_its_buckets(folder, rows):
    train(folder, LINEAR.replace("USE", "k"), "encode.columns.k=hash(8)")
    assert len(term(folder, "k", "hash")["weights"]) == 8
    part = parts(folder)
    answers = predicted(folder, "rows.csv")["prediction"]
    by_text = answers.groupby(rows.k).first()
    assert all(answers[rows.k == text].nunique() == 1 for text in by_text.index)
    for level in by_text.index:  # a text alone in its bucket is answered by its training mean
        if (numpy.isclose(by_text, by_text[level])).sum() == 1:
            assert by_text[level] == pytest.approx(rows.w[(part == "train") & (rows.k == level)].mean(), rel=1e-4)


def test_a_text_never_seen_is_nothing_or_refused(folder):
    unseen = "k\nzoe\nann\n"
    train(folder, LINEAR.replace("USE", "k"))
    answers = list(csv.DictReader(io.StringIO(solvent(folder, "predict", "--model", "out/model", "--input", "-", stdin=unseen).stdout)))
    assert float(answers[0]["prediction"]) == pytest.approx(pipeline(folder)["intercept"][0])
    for setting in ("encode.unknown=error", "encode={unknown: error, rare: 300}"):
        train(folder, LINEAR.replace("USE", "k"), setting)
        assert "a text that training did not see" in solvent(folder, "predict", "--model", "out/model", "--input", "-", stdin=unseen, code=1).stderr


def test_an_interaction_of_a_misspelt_feature(folder):
    (folder / "c.yaml").write_text(LINEAR.replace("USE", "x, k"))
    done = solvent(folder, "train", "c.yaml", "--no-tracking", "--set", "encode.interactions=[x * kk]", code=2)
    assert "in 'encode.interactions'" in done.stderr and "did you mean k?" in done.stderr


# ---- reading: the same rows, written otherwise, give the same model ----

BINARY = """name: t
data: {source: rows.csv}
target: {name: out, column: y}
use: [x, z, k]
evaluate: {bootstrap: 0, report: false}
"""


def text_of(rows, **options):
    return rows.to_csv(index=False, **options)


@pytest.fixture
def weights(folder):
    train(folder, BINARY)
    return pipeline(folder)["terms"], pipeline(folder)["intercept"]


WRITINGS = {
    "quotes": lambda rows: text_of(rows, quoting=csv.QUOTE_ALL),
    "CRLF": lambda rows: text_of(rows, lineterminator="\r\n"),
    "byte order mark": lambda rows: "\ufeff" + text_of(rows),
    "semicolons": lambda rows: text_of(rows, sep=";"),
    "tabs": lambda rows: text_of(rows, sep="\t"),
    "bars": lambda rows: text_of(rows, sep="|"),
    "blanks": lambda rows: text_of(rows).replace(",", " , "),
    "no last line end": lambda rows: text_of(rows).rstrip("\n"),
}


@pytest.mark.parametrize("name", WRITINGS)
def test_the_same_cells_however_they_are_written(folder, rows, weights, name):
    (folder / "other.csv").write_bytes(WRITINGS[name](rows).encode())
    train(folder, BINARY.replace("rows.csv", "other.csv"), output="other")
    assert (pipeline(folder, "other")["terms"], pipeline(folder, "other")["intercept"]) == weights


def test_the_same_cells_from_wherever_they_come(folder, rows, weights):
    text = text_of(rows)
    lines = text.splitlines(keepends=True)
    (folder / "rows.csv.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "a.csv").write_text("".join(lines[:1200]))
    (folder / "b.csv").write_text(lines[0] + "".join(lines[1200:]))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for source in ["rows.csv.gz", "[a.csv, b.csv]", f"file://{folder}/rows.csv", f"http://127.0.0.1:{server.server_port}/rows.csv",
                       f"http://127.0.0.1:{server.server_port}/rows.csv.gz"]:
            train(folder, BINARY.replace("source: rows.csv", f"source: {json.dumps(source) if source[0] != '[' else source}"), output="other")
            assert (pipeline(folder, "other")["terms"], pipeline(folder, "other")["intercept"]) == weights, source
        server.shutdown()
    (folder / "c.yaml").write_text(BINARY.replace("source: rows.csv", 'source: "-"'))
    solvent(folder, "train", "c.yaml", "--no-tracking", "--output", "other", stdin=text)
    assert (pipeline(folder, "other")["terms"], pipeline(folder, "other")["intercept"]) == weights


def test_a_line_end_within_quotes_is_part_of_the_cell(folder, rows):
    changed = rows.assign(k=rows.k.replace("bob", 'bo"b\nby'))
    changed.to_csv(folder / "rows.csv", index=False)
    train(folder, BINARY)
    assert 'bo"b\nby' in term(folder, "k")["categories"]
    assert predicted(folder, "rows.csv").k.equals(changed.k)


def test_bad_rows_are_refused_or_counted_and_the_first_ten_shown(folder, rows, weights):
    lines = text_of(rows).splitlines()
    for i in range(12):
        lines.insert(100 * (i + 1), "1,2,3" if i % 2 else "1,2,3,4,5,6")
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    (folder / "c.yaml").write_text(BINARY)
    assert "rows.csv: row 100 (line 101): expected 5 cells, got 6" in solvent(folder, "train", "c.yaml", "--no-tracking", code=1).stderr
    done = solvent(folder, "train", "c.yaml", "--no-tracking", "--set", "data.on_bad_row=skip", "--output", "out")
    told = [line for line in done.stderr.splitlines() if "left out" in line]
    assert len(told) == 11 and "row 1000 (line 1001)" in told[9] and "12 rows in all" in told[10], told
    assert (pipeline(folder)["terms"], pipeline(folder)["intercept"]) == weights


@pytest.mark.parametrize("text, words", [
    ("a,y\n1,0\n".encode("utf-16"), ["got UTF-16", "iconv -f UTF-16 -t UTF-8"]),
    ("a,y\n1,0\n".encode("utf-16-le"), ["got UTF-16LE", "iconv -f UTF-16LE"]),
    ("a,y\n1,0\n".encode("utf-32"), ["got UTF-32"]),
    (b'a,b,y\n1,p,0\n2,"q,0\n3,r,1\n', ["row 2 (line 3)", "column 'b': a quote opens here and nothing closes it"]),
    (b'a,b,y\n1,p,0\n"2\n2","q,0\n3,r,1\n', ["row 2 (line 4)", "column 'b': a quote opens here and nothing closes it"]),
    (b"a,b,y\n1,p\0q,0\n2,p,1\n" * 1 + b"1,p,0\n2,r,1\n" * 50, ["b: a text holds a NUL byte"]),
], ids=["utf-16", "utf-16 without a mark", "utf-32", "open quote", "open quote in a row's second line", "NUL"])
def test_what_is_no_text_is_named(tmp_path, text, words):
    (tmp_path / "rows.csv").write_bytes(text)
    (tmp_path / "c.yaml").write_text("data: {source: rows.csv}\ntarget: {column: y}\n")
    done = solvent(tmp_path, "train", "c.yaml", "--no-tracking", code=1)
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize("expression", ["month(d)", "days_between(d, d)", 'd >= "1970-01-01"'])
def test_dates_are_hinted_at(tmp_path, expression):
    (tmp_path / "rows.csv").write_text("d,y\n" + "".join(f"196{i % 10}-02-03,{i % 2}\n" for i in range(100)))
    (tmp_path / "c.yaml").write_text(f"data: {{source: rows.csv}}\nfeatures:\n  f: {expression}\ntarget: {{column: y}}\nuse: [f]\n")
    done = solvent(tmp_path, "train", "c.yaml", "--no-tracking", code=2)
    assert "`columns: {d: date}`" in done.stderr, done.stderr
    solvent(tmp_path, "check", "c.yaml", "--set", "columns={d: date}")


def test_rows_to_predict_are_read_as_the_training_was(tmp_path):
    """Missing markers, the date format, an odd delimiter and quote, and no header: all of them the model's."""
    lines = [f"'{'n/a' if i % 7 == 0 else 'ab'[i % 2]}'^{'?' if i % 5 == 0 else i % 13}^{1 + i % 28}.{1 + i % 12}.1969^{i * i % 11 % 2}" for i in range(400)]
    (tmp_path / "rows.txt").write_text("\n".join(lines) + "\n")
    config = """data: {source: rows.txt, delimiter: "^", quote: "'", header: false, date_format: "%d.%m.%Y", missing: ["?", n/a]}
columns: {c3: date, c2: double}
features:
  m: month(c3)
  late: days_between("1969-01-01", c3)
target: {column: c4}
use: [c1, c2, m, late]
encode: {missing_indicator: true}
evaluate: {bootstrap: 0, audit: off}
"""
    train(tmp_path, config)
    assert pipeline(tmp_path)["csv"] == {"delimiter": "^", "quote": "'", "no_header": True, "no_trim": False, "date_format": "%d.%m.%Y", "missing": ["?", "n/a"]}
    by_file = solvent(tmp_path, "predict", "--model", "out/model", "--input", "rows.txt").stdout
    assert [line.rsplit("^", 2)[0] for line in by_file.splitlines()] == lines
    usual = ["c1,c2,c3"] + [",".join(["" if "n/a" in a else a.strip("'"), "" if b == "?" else b, "-".join(f"{int(v):02}" for v in reversed(c.split(".")))])
                            for a, b, c, _ in (line.split("^") for line in lines)]
    (tmp_path / "usual.csv").write_text("\n".join(usual) + "\n")
    explained = solvent(tmp_path, "explain", "--model", "out/model", "--input", "rows.txt", "--json").stdout.splitlines()
    assert len(explained) == 400
    expected = [line.rsplit("^", 2)[1:] for line in by_file.splitlines()]
    import onnxruntime

    session = onnxruntime.InferenceSession(str(tmp_path / "out/model/model.onnx"))
    table = [line.split(",") for line in usual[1:]]
    feed = {}
    for given in session.get_inputs():
        column = {"c1": 0, "c2": 1, "c3": 2}[given.name]
        values = [row[column] for row in table]
        if given.name == "c2":
            feed[given.name] = numpy.array([float(v) if v else math.nan for v in values])
        elif given.name == "c3" and "string" not in given.type:
            days = (pandas.to_datetime(pandas.Series(values)) - pandas.Timestamp("1970-01-01")).dt.days.to_numpy()
            feed[given.name] = days.astype(numpy.int64 if "int64" in given.type else float)
        else:
            feed[given.name] = numpy.array(values, object)
    answers = session.run(None, feed)[0]
    numpy.testing.assert_allclose([float(p) for p, _ in expected], numpy.ravel(answers), rtol=1e-12)


def test_a_quoted_header_does_not_swallow_rows(folder):
    train(folder, BINARY)
    text = '"x";z;k\n40;1;ann\n41;2;bob\n'
    assert len(solvent(folder, "predict", "--model", "out/model", "--input", "-", stdin=text).stdout.splitlines()) == 3


# ---- figures ----


def figures(y, p, threshold=0.5):
    label = p >= threshold
    fpr, tpr, _ = metrics.roc_curve(y, p)
    bins = numpy.minimum((p * 10).astype(int), 9)
    ece = sum(abs(y[bins == b].mean() - p[bins == b].mean()) * (bins == b).mean() for b in range(10) if (bins == b).any())
    return {"accuracy": metrics.accuracy_score(y, label), "balanced_accuracy": metrics.balanced_accuracy_score(y, label), "log_loss": metrics.log_loss(y, p),
            "brier": metrics.brier_score_loss(y, p), "roc_auc": metrics.roc_auc_score(y, p), "pr_auc": metrics.average_precision_score(y, p), "f1": metrics.f1_score(y, label),
            "mcc": metrics.matthews_corrcoef(y, label), "ks": (tpr - fpr).max(), "ece": ece, "precision": metrics.precision_score(y, label), "recall": metrics.recall_score(y, label)}


@pytest.mark.parametrize("threshold", [0.5, 0.31, 0])
def test_every_binary_figure_is_scikit_learns_on_every_part(folder, rows, threshold):
    done = events(train(folder, BINARY, f"evaluate.threshold={threshold}"))[-1]["metrics"]
    answers, part = predicted(folder, "rows.csv"), parts(folder)
    assert (answers.out_prediction == (answers.out_probability >= threshold)).all()
    for name in ("train", "validation", "test"):
        here = part == name
        assert done[f"{name}.rows"] == here.sum()
        for figure, value in figures(rows.y[here].to_numpy(), answers.out_probability[here].to_numpy(), threshold).items():
            assert done[f"{name}.{figure}"] == pytest.approx(value, rel=1e-9, abs=1e-12), (name, figure)


def test_figures_of_numbers_keep_their_digits(folder, rows):
    """Targets far from 0, whose squares would cancel."""
    rows.assign(w=rows.w + 1e8).to_csv(folder / "rows.csv", index=False)
    done = events(train(folder, LINEAR.replace("USE", "x, z, k")))[-1]["metrics"]
    answers, part = predicted(folder, "rows.csv")["prediction"], parts(folder)
    for name in ("train", "test"):
        y, p = (rows.w + 1e8)[part == name], answers[part == name]
        assert done[f"{name}.r2"] == pytest.approx(metrics.r2_score(y, p), rel=1e-6)
        assert done[f"{name}.rmse"] == pytest.approx(metrics.root_mean_squared_error(y, p), rel=1e-6)
        assert done[f"{name}.mae"] == pytest.approx(metrics.mean_absolute_error(y, p), rel=1e-6)


def test_figures_of_several_classes_and_of_counts(folder, rows):
    done = events(train(folder, BINARY.replace("column: y", "column: k").replace("[x, z, k]", "[x, z, w]") + "train: {model: multinomial}\n"))[-1]["metrics"]
    answers, part = predicted(folder, "rows.csv"), parts(folder)
    y, classes = rows.k[part == "test"], sorted(rows.k.unique())
    p = answers.loc[part == "test", [f"probability_{c}" for c in classes]].to_numpy()
    assert done["test.log_loss"] == pytest.approx(metrics.log_loss(y, p, labels=classes), rel=1e-9)
    assert done["test.accuracy"] == pytest.approx(metrics.accuracy_score(y, answers["prediction"][part == "test"]))
    assert done["test.balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, answers["prediction"][part == "test"]))
    counts = BINARY.replace("[x, z, k]", "[x, z]").replace("column: y", 'value: "floor(max(w, 0))"') + "train: {model: poisson}\n"
    done = events(train(folder, counts))[-1]["metrics"]
    p, y = predicted(folder, "rows.csv")["prediction"], numpy.floor(numpy.maximum(rows.w, 0))
    part = parts(folder)
    assert done["test.deviance"] == pytest.approx(metrics.mean_poisson_deviance(y[part == "test"], p[part == "test"]), rel=1e-9)


def report_tables(folder, output="out"):
    """{heading: rows of cells}"""
    page = (folder / output / "report/report.html").read_text()
    tables = {}
    for section in page.split("<h2>")[1:]:
        title, body = section.split("</h2>", 1)
        tables[title] = [[html.unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in re.findall(r"<tr[^>]*>(.*?)</tr>", body)]
    return page, tables


def test_the_reports_tables_are_right(folder, rows):
    config = BINARY.replace("bootstrap: 0, report: false", "bootstrap: 400, segments: [k], baseline: w, confidence: 0.9, costs: {false_positive: 1, false_negative: 3}")
    done = events(train(folder, config))[-1]["metrics"]
    answers, part = predicted(folder, "rows.csv"), parts(folder)
    page, tables = report_tables(folder)
    test = part == "test"
    y, p = rows.y[test].to_numpy(), answers.out_probability[test].to_numpy()
    confusion = next(row for title, table in tables.items() if title.startswith("Decisions") for row in table if row[0] == "test")
    assert [int(cell) for cell in confusion[1:]] == list(metrics.confusion_matrix(y, p >= 0.5).ravel())
    rules = {(row[0], row[1]): row[2:] for row in tables["Against simple rules"][1:]}
    majority = int(rows.y[part == "train"].mean() >= 0.5)
    assert float(rules["majority", "test"][0]) == pytest.approx((y == majority).mean(), abs=6e-5)
    rate = rows.y[part == "train"].mean()
    assert float(rules["majority", "test"][1]) == pytest.approx(metrics.log_loss(y, numpy.full(len(y), rate)), abs=6e-5)
    assert float(rules["last value", "test"][0]) == pytest.approx(((rows.w[test] > 0) == (y == 1)).mean(), abs=6e-5)
    segments = {row[0]: row[1:] for row in tables["Segments"][1:]}
    assert tables["Segments"][0][5] == "90%"
    for level in ("ann", "bob", "cleo"):
        here = rows.k[test].to_numpy() == level
        n, observed, said, auc = (float(cell) for cell in segments[f"k = {level}"][:4])
        assert n == here.sum() and observed == pytest.approx(y[here].mean(), abs=6e-5) and said == pytest.approx(p[here].mean(), abs=6e-5)
        assert auc == pytest.approx(metrics.roc_auc_score(y[here], p[here]), abs=6e-5)
        low, high = (float(cell) for cell in segments[f"k = {level}"][4].split(" … "))
        assert low < auc < high
    assert "k = eve" not in segments and "Segments of fewer than 30 rows are left out" in page
    drift = {row[0]: row[1:] for row in tables["Drift from train to test"][1:]}
    for column in ("x", "z"):
        a, b = (rows[column][part == side].dropna() for side in ("train", "test"))
        assert float(drift[column][1]) == pytest.approx(stats.ks_2samp(a, b).statistic, abs=6e-5)
    shares = [rows.k[part == side].value_counts(normalize=True) for side in ("train", "test")]
    assert float(drift["k"][0]) == pytest.approx(((shares[1] - shares[0]) * numpy.log(shares[1] / shares[0])).sum(), abs=6e-5)
    assert done["test.roc_auc"] == pytest.approx(metrics.roc_auc_score(y, p), rel=1e-12)


def test_intervals_are_those_of_a_stratified_bootstrap(folder, rows):
    train(folder, BINARY.replace("bootstrap: 0, report: false", "bootstrap: 2000"))
    answers, part = predicted(folder, "rows.csv"), parts(folder)
    _, tables = report_tables(folder)
    y, p = rows.y[part == "test"].to_numpy(), answers.out_probability[part == "test"].to_numpy()
    rng, up, down = numpy.random.default_rng(5), numpy.flatnonzero(y == 1), numpy.flatnonzero(y == 0)
    drawn = [numpy.concatenate([rng.choice(up, len(up)), rng.choice(down, len(down))]) for _ in range(1000)]
    for row in tables["Figures"]:
        of = {"roc_auc": metrics.roc_auc_score, "log_loss": metrics.log_loss, "brier": metrics.brier_score_loss, "accuracy": lambda t, q: ((q >= 0.5) == t).mean()}.get(row[0])
        if not of:
            continue
        value, low, _, high = re.split(" ", row[3].strip())
        expected = numpy.quantile([of(y[i], p[i]) for i in drawn], [0.025, 0.975])
        width = expected[1] - expected[0]
        numpy.testing.assert_allclose([float(low), float(high)], expected, atol=0.12 * width)


def test_calibration_is_scikit_learns_and_is_marked_as_in_sample(folder, rows):
    plain = events(train(folder, BINARY))[-1]
    assert plain["in_sample"] == {} and plain["waiting"] is None
    p, part = predicted(folder, "rows.csv").out_probability.to_numpy(), parts(folder)
    chosen, score = part == "validation", numpy.log(p / (1 - p))
    a, b = calibration._sigmoid_calibration(score[chosen], rows.y[chosen].to_numpy())
    done = train(folder, BINARY.replace(", report: false", ""), "evaluate.calibration=platt", output="platt")
    numpy.testing.assert_allclose(predicted(folder, "rows.csv", "platt").out_probability, 1 / (1 + numpy.exp(a * score + b)), rtol=1e-4)
    assert events(done)[-1]["in_sample"] == {"validation": "calibration"}
    page, tables = report_tables(folder, "platt")
    assert tables["Figures"][0] == ["", "train", "validation*", "test"] and "In-sample: calibration chosen on the validation rows" in page
    text = solvent(folder, "train", "c.yaml", "--no-tracking", "--set", "evaluate.calibration=platt", "--set", "evaluate.threshold_rule=costs").stdout
    assert "validation*" in text and "* in-sample: calibration, threshold chosen on the validation rows" in text
    reference = isotonic.IsotonicRegression(out_of_bounds="clip").fit(score[chosen], rows.y[chosen])
    said = train(folder, BINARY, "evaluate.calibration=isotonic", output="steps")
    numpy.testing.assert_allclose(predicted(folder, "rows.csv", "steps").out_probability, reference.predict(score), atol=1e-9)
    assert "isotonic calibration is fitted on 300 rows" in said.stdout


def test_a_model_is_marked_by_what_was_chosen_for_it_whatever_the_configuration_says(folder):
    train(folder, BINARY, output="plain")
    train(folder, BINARY, "evaluate.threshold=0.3", output="written")
    train(folder, BINARY, "evaluate.calibration=isotonic", "evaluate.threshold_rule=costs", "evaluate.costs.false_negative=4", output="chosen")
    marks = {"plain": {}, "written": {}, "chosen": {"validation": "calibration, threshold"}}
    for settings in ([], ["--set", "evaluate.calibration=platt", "--set", "evaluate.threshold_rule=costs"]):
        for output, in_sample in marks.items():
            done = events(solvent(folder, "evaluate", "c.yaml", "--model", f"{output}/model", "--json", *settings))[-1]
            assert done["in_sample"] == in_sample, (output, settings)
    text = solvent(folder, "evaluate", "c.yaml", "--model", "chosen/model").stdout
    assert "validation*" in text and "* in-sample where the model was made of these rows: calibration, threshold chosen on the validation rows" in text


def test_the_threshold_of_least_cost_is_found_on_validation(folder, rows):
    train(folder, BINARY, "evaluate.threshold_rule=costs", "evaluate.costs={false_positive: 1, false_negative: 4}")
    p, part = predicted(folder, "rows.csv").out_probability.to_numpy(), parts(folder)
    y, q = rows.y[part == "validation"].to_numpy(), p[part == "validation"]
    cost = lambda t: ((q >= t) & (y == 0)).sum() + 4 * ((q < t) & (y == 1)).sum()
    assert cost(pipeline(folder)["threshold"]) == min(cost(t) for t in [0, *q, 1.1])


def test_standard_errors_are_statsmodels(folder, rows):
    import statsmodels.api

    train(folder, BINARY.replace("report: false", "standard_errors: true").replace("[x, z, k]", "[x, k]") + "train: {penalty: none}\nencode: {numbers: none}\n")
    part, (_, tables) = parts(folder), report_tables(folder)
    x = pandas.DataFrame({"x": rows.x, **{f"k={k}": (rows.k == k).astype(float) for k in ("bob", "cleo", "dan", "eve")}, "(intercept)": 1.0})[part == "train"]
    reference = statsmodels.api.Logit(rows.y[part == "train"], x).fit(disp=0, tol=1e-12)
    table = {row[0]: row for row in tables["The fit"]}
    for name in x:
        weight, error, z, p = (float(cell) for cell in table[name][1:5])
        numpy.testing.assert_allclose([weight, error], [reference.params[name], reference.bse[name]], rtol=6e-4)
        assert z == pytest.approx(reference.tvalues[name], abs=0.006) and p == pytest.approx(reference.pvalues[name], rel=6e-3, abs=1e-12)
        low, high = (float(cell) for cell in table[name][5].split(" … "))
        numpy.testing.assert_allclose([low, high], reference.conf_int().loc[name], rtol=1e-3, atol=1e-3)


def test_drift_against_an_older_model(folder, rows):
    train(folder, BINARY)
    part = parts(folder)
    moved = rows.assign(x=rows.x + 9)
    moved.to_csv(folder / "moved.csv", index=False)
    found = next(e for e in events(solvent(folder, "evaluate", "c.yaml", "--model", "out/model", "--json", "--set", "data.source=moved.csv")) if e["event"] == "drift")
    ks = {value["name"]: value["ks"] for value in found["values"]}
    assert ks["x"] == pytest.approx(stats.ks_2samp(rows.x[part == "train"], moved.x).statistic, abs=0.04) and ks["z"] < 0.05


# ---- what should not be believed ----


def test_too_few_rows_are_said_and_chance_is_no_leak(tmp_path):
    rng = numpy.random.default_rng(2)
    (tmp_path / "rows.csv").write_text("a,y\n" + "".join(f"{i},{int(i >= 7)}\n" for i in range(14)))
    (tmp_path / "c.yaml").write_text("data: {source: rows.csv}\ntarget: {column: y}\nevaluate: {bootstrap: 0}\n")
    done = solvent(tmp_path, "train", "c.yaml", "--no-tracking")
    assert "LEAKAGE" not in done.stderr and "with so few rows that may be chance" in done.stdout and "too few for its figures to mean anything" in done.stdout
    (tmp_path / "rows.csv").write_text("a,y\n" + "".join(f"{rng.normal():.3f},{int(i == 5)}\n" for i in range(400)))
    done = solvent(tmp_path, "train", "c.yaml", "--no-tracking")
    assert "train has only 1 rows of the rarer class: too few" in done.stdout or "has only 0 rows of the rarer class" in done.stdout, done.stdout


@pytest.mark.parametrize("cells, words", [
    (["1e308", "-1e308"], ["a: expected numbers that can be scaled", "clip()"]),
    ([""], ["a: expected a number in some training row, got none", "drop: [a]"]),
    (["1e999", "2"], ["a", "infinity"]),
], ids=["huge", "nothing", "infinite"])
def test_numbers_that_are_none_to_work_with(tmp_path, cells, words):
    (tmp_path / "rows.csv").write_text("a,b,y\n" + "".join(f"{cells[i % len(cells)]},{i % 5},{i % 3 % 2}\n" for i in range(200)))
    (tmp_path / "c.yaml").write_text("data: {source: rows.csv}\ntarget: {column: y}\n")
    done = solvent(tmp_path, "train", "c.yaml", "--no-tracking", code=1)
    assert all(word in done.stderr for word in words), done.stderr


# ---- one folder, two trainings ----


def test_two_trainings_into_one_folder(folder):
    import fcntl

    train(folder, BINARY)
    before = {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    holder = os.open(folder / "out", os.O_RDONLY)  # as another training holds it
    fcntl.flock(holder, fcntl.LOCK_EX)
    done = solvent(folder, "train", "c.yaml", "--no-tracking", "--output", "out", "--set", "train.c=9", code=1)
    assert "out: another training is writing there" in done.stderr and "--output" in done.stderr
    assert before == {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    os.close(holder)
    racing = [subprocess.Popen([SOLVENT, "train", "c.yaml", "--no-tracking", "--output", "race", "--set", f"train.c={c}"], cwd=folder, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True) for c in (1, 0.001, 7)]
    said = [process.communicate(timeout=120)[1] for process in racing]
    assert all(process.returncode == 0 or "another training is writing there" in text for process, text in zip(racing, said)), said
    assert any(process.returncode == 0 for process in racing)
    solvent(folder, "predict", "--model", "race/model", "--input", "rows.csv", "--output", "answers.csv")  # digests agree: the package is of one training


def test_a_plot_of_an_earlier_model_does_not_stay(folder):
    train(folder, BINARY.replace(", report: false", ""))
    assert (folder / "out/report/plots/roc.svg").exists()
    train(folder, LINEAR.replace("USE", "x").replace("report: false, ", ""))
    assert not (folder / "out/report/plots/roc.svg").exists()
