"""Champion and challenger side by side: what the challenger would have answered, and a share of the requests that it does answer."""
import os
import sys
import time

import pytest
import requests

sys.path.insert(0, os.path.dirname(__file__))
from serve_process import BANK_ROW, Serve, make_two_versions  # noqa: E402
from test_watching import samples  # noqa: E402


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return make_two_versions(tmp_path_factory.mktemp("packages"))


def rows(n):
    return [{**BANK_ROW, "age": 18 + i * 7 % 70, "balance": i * 37.25 - 900, "day": 1 + i % 28, "job": ["student", "retired", "management"][i % 3]} for i in range(n)]


def shadow(server):
    return requests.get(server.url + "/shadow").json()


def compared(server, n, seconds=20):
    """The report once n rows were compared."""
    deadline = time.monotonic() + seconds
    while shadow(server)["rows"] < n and time.monotonic() < deadline:
        time.sleep(0.02)
    return shadow(server)


def answers(packages, name, body):
    with Serve("--model", packages / name) as server:
        return requests.post(server.url + "/predict", json=body).json()


def test_disagreement_is_what_both_would_say(packages):
    body = rows(60)
    by_champion, by_challenger = answers(packages, "bank", body), answers(packages, "other", body)
    differences = [b["surplus_probability"] - a["surplus_probability"] for a, b in zip(by_champion, by_challenger)]
    labels = sum(a["surplus_prediction"] != b["surplus_prediction"] for a, b in zip(by_champion, by_challenger))
    assert 0 < labels < 60
    with Serve("--model", packages / "bank", "--shadow", packages / "other") as server:
        for row, expected in zip(body, by_champion):
            assert requests.post(server.url + "/predict", json=row).json() == expected
        found = compared(server, 60)
        assert found["rows"] == 60 and found["disagreements"] == labels and found["failed"] == found["dropped"] == 0
        assert found["mean_difference"] == pytest.approx(sum(differences) / 60, rel=1e-9)
        assert found["mean_absolute_difference"] == pytest.approx(sum(map(abs, differences)) / 60, rel=1e-9)
        assert found["largest_difference"] == max(map(abs, differences)) and sum(b["rows"] for b in found["histogram"]) == 60
        seen = samples(server)
        pair = ("challenger", ""), ("champion", "")
        assert seen["solvent_shadow_rows_total", *pair] == 60 and seen["solvent_shadow_disagreements_total", *pair] == labels
        assert seen["solvent_shadow_difference_sum", *pair] == pytest.approx(sum(map(abs, differences)), rel=1e-9) and seen["solvent_shadow_difference_count", *pair] == 60
        assert seen["solvent_rows_total",] == 60  # the challenger's work counts nowhere else
        assert server.stop() == 0 and f"60 rows, {labels} labels differ" in server.errors()


def test_every_protocol_is_compared(packages):
    tensor = [{"name": name, "shape": [1], "datatype": "BYTES" if isinstance(value, str) else "FP64" if name in ("balance", "duration") else "INT64", "data": [value]}
              for name, value in BANK_ROW.items()]
    csv = ",".join(BANK_ROW) + "\n" + ",".join(map(str, BANK_ROW.values())) + "\n"
    with Serve("--model", packages / "bank", "--shadow", packages / "bank") as server:
        assert requests.post(server.url + "/predict", json=BANK_ROW).ok
        assert requests.post(server.url + "/explain", json=BANK_ROW).ok
        assert requests.post(server.url + "/invocations", json={"dataframe_records": [BANK_ROW]}).ok
        assert requests.post(server.url + "/invocations", json={"dataframe_records": [{**BANK_ROW, "zz": None}]}).ok
        assert requests.post(server.url + "/invocations", data=csv, headers={"Content-Type": "text/csv"}).ok
        assert requests.post(server.url + "/v2/models/bank/infer", json={"inputs": tensor}).ok
        assert requests.post(server.url + "/v2/models/bank/versions/1/infer", json={"inputs": tensor}).ok
        assert requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-What-If": "1"}).ok
        assert not requests.post(server.url + "/predict", json={}).ok
        found = compared(server, 7)
        assert found["rows"] == 7 and found["disagreements"] == found["failed"] == 0 and found["largest_difference"] == 0
        requests.post(server.url + "/predict", json=rows(500))  # of many rows the first 64
        assert compared(server, 71)["rows"] == 71


def test_a_challenger_that_cannot_answer_harms_nobody(packages):
    with Serve("--model", packages / "bank", "--shadow", packages / "numbers") as server:
        for _ in range(5):
            assert requests.post(server.url + "/predict", json=BANK_ROW).status_code == 200
        deadline = time.monotonic() + 20
        while shadow(server)["failed"] < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert shadow(server)["failed"] == 5 and shadow(server)["rows"] == 0


def test_what_the_queue_cannot_hold_is_dropped_and_counted(packages):
    big = rows(4000)
    with Serve("--model", packages / "bank", "--shadow", packages / "other", "--threads", "1") as server:
        assert requests.post(server.url + "/predict", json=big).status_code == 200
        assert shadow(server)["dropped"] == 1 and samples(server)["solvent_background_dropped_total",] == 1


def test_classes_are_compared_by_name(packages):
    row = {"education-num": 9, "two words": "alpha", "žluť": 1.5, "note": "beta", "input size": 3.0, "it's": "7"}
    with Serve("--model", packages / "odd", "--shadow", packages / "odd") as server:
        assert requests.post(server.url + "/predict", json=[row] * 5).ok
        found = compared(server, 5)
        assert found["rows"] == 5 and found["disagreements"] == 0 and found["largest_difference"] == 0


def label_of(reply):
    return reply.json()["surplus_probability"]


def test_a_split_is_kept_by_key(packages):
    first, second = (answers(packages, name, BANK_ROW)["surplus_probability"] for name in ("bank", "other"))
    with Serve("--model", packages / "bank", "--shadow", packages / "other", "--split", "70/30") as server:
        session = requests.Session()
        got = {}
        for i in range(1000):
            reply = session.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": f"order-{i}"})
            got[i] = label_of(reply)
        assert set(got.values()) == {first, second}
        assert 240 <= sum(p == second for p in got.values()) <= 360  # 300, deviation 14.5
        for i in range(0, 1000, 50):
            assert label_of(session.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": f"order-{i}"})) == got[i]
            by_header = {label_of(session.post(server.url + "/predict", json=BANK_ROW, headers={"X-Split-Key": f"order-{i}"})) for _ in range(3)}
            assert by_header == {got[i]}
        made = [label_of(session.post(server.url + "/predict", json=BANK_ROW)) for _ in range(600)]
        assert 120 <= sum(p == second for p in made) <= 240
        seen = samples(server)
        asked = {model: seen["solvent_version_requests_total", ("model", model), ("status", "2xx"), ("version", "")] for model in ("bank", "challenger")}
        total = 1000 + 20 * 4 + 600
        assert sum(asked.values()) == total and asked["challenger"] == sum(p == second for p in got.values()) + sum(p == second for p in made) + 4 * sum(
            got[i] == second for i in range(0, 1000, 50))
        # whoever answered, the other one is compared
        found = compared(server, total)
        assert found["rows"] == total and found["mean_difference"] == pytest.approx(second - first, rel=1e-9)
        # a larger body is one version's answer throughout; what is tried out is the champion's
        for i in range(30):
            assert len({label["surplus_probability"] for label in session.post(server.url + "/predict", json=[BANK_ROW] * 700, headers={"X-Request-Id": f"b{i}"}).json()}) == 1
            assert label_of(session.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": f"b{i}", "X-What-If": "1"})) == first


@pytest.mark.parametrize("split, which", [("0/1", "other"), ("1/0", "bank")])
def test_the_ends_of_a_split(packages, split, which):
    expected = answers(packages, which, BANK_ROW)
    with Serve("--model", packages / "bank", "--shadow", packages / "other", "--split", split) as server:
        assert all(requests.post(server.url + "/predict", json=BANK_ROW).json() == expected for _ in range(20))


def test_a_challenger_of_another_signature_gets_no_requests(packages):
    with Serve("--model", packages / "bank", "--shadow", packages / "numbers", "--split", "1/99") as server:
        assert all(requests.post(server.url + "/predict", json=BANK_ROW).status_code == 200 for _ in range(20))
        assert "gets no requests" in server.errors()


@pytest.mark.parametrize("arguments, said", [(["--split", "90/10"], "'split' needs 'shadow'"), (["--shadow", "x", "--split", "90"], "such as 90/10"),
                                             (["--shadow", "x", "--split", "0/0"], "such as 90/10"), (["--shadow", "x", "--split", "-1/2"], "such as 90/10"),
                                             (["--shadow", "x", "--split", "nan/2"], "such as 90/10")])
def test_bad_splits(packages, arguments, said):
    with pytest.raises(RuntimeError, match=said):
        with Serve("--model", packages / "bank", *arguments):
            pass


def test_without_a_challenger(packages):
    with Serve("--model", packages / "bank") as server:
        assert requests.get(server.url + "/shadow").status_code == 404
