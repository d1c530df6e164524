"""The page in a real Chromium: it fills in the form, answers, keeps to its Content-Security-Policy, scores a CSV and works by keyboard."""
import os
import shutil
import sys
import time

import pytest
import requests

sys.path.insert(0, os.path.dirname(__file__))
from serve_process import BANK_ROW, Serve, make_packages  # noqa: E402

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
# Where everything is required (scripts/test) a missing browser fails; elsewhere these cases are skipped.
REQUIRED = os.environ.get("SOLVENT_TESTS_REQUIRE_MLFLOW") == "1"
pytestmark = pytest.mark.skipif(not (BROWSER and DRIVER or REQUIRED), reason="no Chromium with its driver here")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return make_packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path)})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def text(browser, selector):
    return browser.execute_script("const e = document.querySelector(arguments[0]); return e ? e.textContent : ''", selector)


def open_page(browser, server, path="/ui"):
    """The page with the example's answer on it."""
    browser.get(server.url + path)
    assert until(lambda: text(browser, ".sentence")), text(browser, "#answer")


def severe(browser):
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def score_file(browser, server, path, n_rows):
    """Hands the file to the page and downloads what comes back: its lines."""
    open_page(browser, server)
    browser.find_element("id", "file").send_keys(str(path))
    assert until(lambda: f"{n_rows} rows scored" in text(browser, "#csv-result")), text(browser, "#csv-result")
    browser.find_element("css selector", "#csv-result a").click()
    scored = path.with_name(path.stem + "-scored.csv")
    assert until(scored.exists)
    return scored.read_text().splitlines()


@pytest.mark.parametrize("name", ["bank", "numbers", "odd"])
def test_the_page_answers(packages, browser, name):
    with Serve("--model", packages / name) as server:
        open_page(browser, server)
        assert text(browser, ".bars li .name") and text(browser, "#card dd")
        assert not severe(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_what_is_tried_out_does_not_count(packages, browser):
    with Serve("--model", packages / "bank") as server:
        browser.get(server.url + "/ui")
        assert until(lambda: text(browser, ".sentence") and text(browser, "#effect"))
        found = requests.get(server.url + "/metrics").text
        assert 'solvent_requests_total{route="/ui",status="200"}' in found and "solvent_rows_total 0\n" in found and "solvent_prediction_count 0\n" in found


def test_the_page_shows_what_is_watched(packages, browser):
    with Serve("--model", packages / "bank", "--shadow", packages / "bank") as server:
        for i in range(5):
            requests.post(server.url + "/predict", json=BANK_ROW, headers={"X-Request-Id": str(i)})
        assert requests.post(server.url + "/feedback", json=[{"request_id": str(i), "label": 1} for i in range(5)]).json()["taken"] == 5
        assert until(lambda: requests.get(server.url + "/shadow").json()["rows"] == 5)
        browser.get(server.url + "/ui")
        assert until(lambda: "5 labels" in text(browser, "#live") and "5 rows" in text(browser, "#beside")), text(browser, "body")
        assert "Brier score" in text(browser, "#live") and "Calibration" in text(browser, "#live") and "Labels that differ" in text(browser, "#beside")
        assert not severe(browser)


def test_a_change_changes_the_answer(packages, browser):
    with Serve("--model", packages / "bank") as server:
        open_page(browser, server)
        before = text(browser, ".sentence")
        box = browser.find_element("id", "in-balance")
        box.clear()
        box.send_keys("-5000")
        assert until(lambda: text(browser, ".sentence") not in ("", before))
        browser.find_element("id", "in-age").send_keys(".5")
        assert until(lambda: "age" in text(browser, "#answer .error")), text(browser, "#answer")
        assert browser.find_element("id", "in-age").get_attribute("aria-invalid") == "true"


def test_by_keyboard_alone(packages, browser):
    with Serve("--model", packages / "bank") as server:
        open_page(browser, server)
        seen = set()
        for _ in range(30):
            webdriver.ActionChains(browser).send_keys("\ue004").perform()
            seen.add(browser.execute_script("return document.activeElement.id"))
        assert {"in-age", "in-job", "in-poutcome", "example", "file", "copy"} <= seen


def test_a_file_is_scored(packages, browser, tmp_path):
    with Serve("--model", packages / "bank") as server:
        names = [f["name"] for f in requests.get(server.url + "/").json()["features"]]
        rows = [dict.fromkeys(names, 1) | {n: "no" for n in names[7:]} | {"balance": b, "job": "student"} for b in (1, 2000)]
        (tmp_path / "rows.csv").write_text(",".join(names) + "\n" + "".join(",".join(str(r[n]) for n in names) + "\n" for r in rows))
        lines = score_file(browser, server, tmp_path / "rows.csv", 2)
        expected = requests.post(server.url + "/invocations", json={"inputs": rows}).json()["predictions"]
        assert lines[0].endswith(",surplus_probability,surplus_prediction")
        assert [float(line.split(",")[-2]) for line in lines[1:]] == [row["surplus_probability"] for row in expected]


def test_a_file_with_dates_is_scored(packages, browser, tmp_path):
    with Serve("--model", packages / "dates") as server:
        (tmp_path / "dates.csv").write_text('kind,opened,amount,count,note,closed\n"b",2024-05-06,12.5,3,"say ""so"", she said",\na,1999-12-31,,4,,2001-02-03\n')
        rows = [{"kind": "b", "opened": "2024-05-06", "amount": 12.5, "count": 3, "closed": None},
                {"kind": "a", "opened": "1999-12-31", "amount": None, "count": 4, "closed": "2001-02-03"}]
        lines = score_file(browser, server, tmp_path / "dates.csv", 2)
        expected = requests.post(server.url + "/invocations", json={"dataframe_records": rows}).json()["predictions"]
        assert [float(line.split(",")[-2]) for line in lines[1:]] == [row["surplus_probability"] for row in expected]


def test_on_a_phone(packages, browser):
    with Serve("--model", packages / "bank") as server:
        browser.set_window_size(500, 900)
        open_page(browser, server)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_the_docs_send_requests(packages, browser):
    with Serve("--model", packages / "bank") as server:
        browser.get(server.url + "/docs")
        assert until(lambda: browser.find_elements("css selector", "section button"))
        for button in browser.find_elements("css selector", "section button"):
            button.click()
            assert until(lambda: browser.execute_script("return !arguments[0].closest('section').querySelector('pre').hidden", button))
        shown = [pre.text for pre in browser.find_elements("css selector", "section pre")]
        assert len(shown) == 8 and all(one.startswith("200 OK") for one in shown), shown
        assert '"taken": 1' in "".join(shown)  # the label of the prediction that the page was answered before
        assert not severe(browser)
