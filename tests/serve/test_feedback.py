"""POST /feedback: what predictions should have been, and the figures that follow, beside scikit-learn's."""
import os
import sys

import numpy
import pytest
import requests
from sklearn import metrics

sys.path.insert(0, os.path.dirname(__file__))
from serve_process import BANK_ROW, Serve, make_two_versions  # noqa: E402
from test_watching import samples  # noqa: E402

ODD_ROW = {"education-num": 9, "two words": "alpha", "žluť": 1.5, "note": "beta", "input size": 3.0, "it's": "7"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return make_two_versions(tmp_path_factory.mktemp("packages"))


def rows(n):
    return [{**BANK_ROW, "age": 18 + i * 7 % 70, "balance": i * 57.25 - 900, "day": 1 + i % 28, "duration": i * 31 % 3000, "job": ["student", "retired", "management"][i % 3]} for i in range(n)]


def tell(server, body, path="/feedback"):
    return requests.post(server.url + path, json=body)


def live(server, path="/feedback"):
    return requests.get(server.url + path).json()["versions"]


def test_figures_are_scikit_learns(packages):
    with Serve("--model", packages / "bank") as server:
        session, p, ids = requests.Session(), [], []
        for row in rows(300):
            reply = session.post(server.url + "/predict", json=row)
            p.append(reply.json()["surplus_probability"])
            ids.append(reply.headers["X-Request-Id"])
        y = (numpy.random.default_rng(1).random(300) < numpy.clip(p, 0.02, 0.98)).astype(int)
        for i in range(100):
            assert session.post(server.url + "/feedback", json={"request_id": ids[i], "label": [int(y[i]), bool(y[i]), float(y[i])][i % 3]}).json() == {"taken": 1}
        reply = tell(server, [{"request_id": ids[i], "label": int(y[i])} for i in range(100, 300)])
        assert reply.json() == {"taken": 200, "unknown": [], "duplicate": []}
        (found,) = live(server)
        p = numpy.array(p)
        assert found["labels"] == 300 and found["accuracy"] == pytest.approx(metrics.accuracy_score(y, p >= 0.5), rel=1e-12)
        assert found["log_loss"] == pytest.approx(metrics.log_loss(y, p), rel=1e-12) and found["brier"] == pytest.approx(metrics.brier_score_loss(y, p), rel=1e-12)
        assert found["mean_absolute_error"] is None
        for b, bin_ in enumerate(found["calibration"]):
            inside = numpy.minimum((p * 10).astype(int), 9) == b
            assert bin_["rows"] == inside.sum()
            if inside.any():
                assert bin_["predicted"] == pytest.approx(p[inside].mean(), rel=1e-12) and bin_["observed"] == pytest.approx(y[inside].mean(), rel=1e-12)
        seen, name = samples(server), (("model", "bank"), ("version", ""))
        assert seen["solvent_feedback_labels_total", *name] == 300 and seen["solvent_live_brier", *name] == pytest.approx(found["brier"])
        assert seen["solvent_live_log_loss", *name] == pytest.approx(found["log_loss"]) and seen["solvent_live_accuracy", *name] == pytest.approx(found["accuracy"])
        assert sum(value for key, value in seen.items() if key[0] == "solvent_live_calibration_rows") == 300


def test_ids_that_cannot_be_told(packages):
    with Serve("--model", packages / "bank") as server:
        requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": "a"})
        requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": "tried", "X-What-If": "1"})
        requests.post(server.url + "/predict", json={}, headers={"X-Request-Id": "refused"})
        assert tell(server, {"request_id": "a", "label": 1}).status_code == 200
        again = tell(server, {"request_id": "a", "label": 0})
        assert again.status_code == 409 and "taken before" in again.json()["detail"]
        for unknown in ("b", "tried", "refused", ""):
            reply = tell(server, {"request_id": unknown, "label": 0})
            assert reply.status_code == 404 and "older than the last 65536" in reply.json()["detail"]
        assert tell(server, {"request_id": "a", "label": 1, "row": 1}).status_code == 404
        # the same id once more: what was told of it stays told
        requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": "a"})
        assert tell(server, {"request_id": "a", "label": 1}).status_code == 409
        requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": "c"})
        assert tell(server, [{"request_id": "a", "label": 1}, {"request_id": "c", "label": 1}, {"request_id": "d", "label": 1}]).json() == {"taken": 1, "unknown": [2], "duplicate": [0]}
        seen = samples(server)
        assert [seen["solvent_feedback_total", ("outcome", o)] for o in ("taken", "duplicate", "unknown")] == [2, 3, 6]


def test_rows_of_one_request(packages):
    with Serve("--model", packages / "bank") as server:
        requests.post(server.url + "/predict", json=rows(700), headers={"X-Request-Id": "many"})
        assert tell(server, [{"request_id": "many", "row": r, "label": 1} for r in range(64)]).json()["taken"] == 64
        reply = tell(server, {"request_id": "many", "row": 64, "label": 1})
        assert reply.status_code == 422 and "first 64" in reply.json()["detail"][0]["msg"]


def test_wrong_bodies_name_every_error_and_take_nothing(packages):
    with Serve("--model", packages / "bank") as server:
        requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": "a"})
        reply = tell(server, [{"request_id": "a", "label": 1}, {"request_id": 7}, {"label": 2}, 3, {"request_id": "a", "label": "1", "row": -1}])
        assert reply.status_code == 422
        assert [tuple(e["loc"]) for e in reply.json()["detail"]] == [("body", 1, "request_id"), ("body", 1, "label"), ("body", 2, "request_id"), ("body", 2, "label"), ("body", 3),
                                                                      ("body", 4, "label"), ("body", 4, "row")]
        assert [e["input"] for e in reply.json()["detail"]][1:] == [{"request_id": 7}, {"label": 2}, 2, 3, "1", -1]
        for slip in ("rwo", "Label", "x"):  # nothing is passed over: a misspelt row would tell the truth of another
            (error,) = tell(server, {"request_id": "a", "label": 1, slip: 0}).json()["detail"]
            assert error["type"] == "extra_forbidden" and error["loc"] == ["body", slip] and error["input"] == 0
        for bad in (b"", b"{", b"[1", b'{"request_id": "a", "label": NaN}', b'{"request_id": "a", "label": 1e999}', b"\xff"):
            assert requests.post(server.url + "/feedback", data=bad).status_code == 422, bad
        assert requests.post(server.url + "/feedback", data="a,1", headers={"Content-Type": "text/csv"}).status_code == 415
        assert requests.put(server.url + "/feedback").headers["Allow"] == "GET, POST"
        assert live(server) == []


def test_the_oldest_predictions_are_forgotten(packages, tmp_path):
    (tmp_path / "serve.yaml").write_text("feedback: {keep: 256}\n")
    with Serve("--model", packages / "bank", "--config", tmp_path / "serve.yaml") as server:
        session = requests.Session()
        for i in range(1000):
            session.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": f"n{i}"})
        told = tell(server, [{"request_id": f"n{i}", "label": 1} for i in range(1000)]).json()
        assert told["taken"] == 256 and max(told["unknown"]) < 900 and set(range(500)) <= set(told["unknown"])


def test_feedback_that_is_off(packages, tmp_path):
    (tmp_path / "serve.yaml").write_text("feedback: {keep: 0}\n")
    with Serve("--model", packages / "bank", "--config", tmp_path / "serve.yaml") as server:
        assert tell(server, {"request_id": "a", "label": 1}).status_code == 404 and "feedback.keep" in requests.get(server.url + "/feedback").json()["detail"]


def test_numbers_and_classes(packages):
    with Serve("--model", packages / "numbers") as server:
        body = [{"a": i, "b": i / 3, "c": 2.5, "d": -i} for i in range(40)]
        answers = requests.post(server.url + "/invocations", json={"inputs": body}, headers={"X-Request-Id": "x"}).json()["predictions"]
        errors = numpy.linspace(-2, 3, 40)
        assert tell(server, [{"request_id": "x", "row": i, "label": next(iter(row.values())) + e} for i, (row, e) in enumerate(zip(answers, errors))]).json()["taken"] == 40
        (found,) = live(server)
        assert found["mean_absolute_error"] == pytest.approx(abs(errors).mean(), rel=1e-9) and found["root_mean_squared_error"] == pytest.approx((errors**2).mean() ** 0.5, rel=1e-9)
        assert found["accuracy"] is None and "calibration" not in found
    with Serve("--model", packages / "odd") as server:
        answer = requests.post(server.url + "/predict", json=ODD_ROW, headers={"X-Request-Id": "x"}).json()
        answer = next(iter(answer.values()))
        requests.post(server.url + "/predict", json=ODD_ROW, headers={"X-Request-Id": "y"})
        other = next(name for name in ("low", 'middle "m"', "high") if name != answer)
        assert tell(server, {"request_id": "x", "label": "medium"}).status_code == 422
        assert tell(server, [{"request_id": "x", "label": answer}, {"request_id": "y", "label": other}]).json()["taken"] == 2
        (found,) = live(server)
        assert found["labels"] == 2 and found["accuracy"] == 0.5 and found["log_loss"] is None


def test_each_version_has_its_own_figures(packages):
    with Serve("--model", packages / "bank", "--shadow", packages / "other", "--split", "1/1") as server:
        by = {"bank": 0, "challenger": 0}
        first = requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-What-If": "1"}).json()
        for i in range(200):
            reply = requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": f"r{i}"}).json()
            by["bank" if reply == first else "challenger"] += 1
        assert tell(server, [{"request_id": f"r{i}", "label": 1} for i in range(200)]).json()["taken"] == 200
        assert {one["model"]: one["labels"] for one in live(server)} == by and min(by.values()) > 50
