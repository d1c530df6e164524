"""docker-compose up from nothing, then everything that happens to a deployment: power cuts under load, an alias that moves, down and up.
Counted is what was lost: predictions that never got their answer, logged points that MLflow does not have, trainings that did not end well."""

import json
import math
import os
import pathlib
import re
import subprocess
import threading
import time

import mlflow
import pytest
import requests
import yaml
from containers import COMPOSE, Stack, engine, say, wait_for

ROOT = pathlib.Path(os.environ["SOURCE_ROOT"])
MLFLOWC = pathlib.Path(os.environ["BUILD_ROOT"]) / "mlflow_client" / "mlflowc"
ROW = {"season": "jan", "age": 37, "region": "west", "employment": "salaried", "loan": "no", "income": 3018.97, "rent": 659.63,
       "spending": 1644.18, "shock": 0.0, "late_payments": 0, "balance": 17161.81}  # fmt: skip
UP_LIMIT_S = 30
POINTS = 400


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Everything up, the first model served; `seconds` is what that took."""
    running = Stack(tmp_path_factory.mktemp("compose"))
    try:
        began = time.perf_counter()
        running.compose("up", "--detach", "--no-build")
        wait_for(running.answers, "the first model to be served")
        assert ask(running).status_code == 200
        running.seconds = time.perf_counter() - began
        yield running
    finally:
        running.remove()


@pytest.fixture
def client(stack):
    mlflow.set_tracking_uri(stack.mlflow)
    os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"] = "false"  # only the compose network knows the store's name
    return mlflow.MlflowClient()


def ask(stack):
    return requests.post(stack.serve + "/predict", json=ROW, timeout=5)


class Predictions(threading.Thread):
    """Asks without a pause; a request without an answer is asked again for two minutes before it counts as lost."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack, self.ended = stack, threading.Event()
        self.answered = self.again = self.lost = 0
        self.values, self.refused = set(), []

    def one(self):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                reply = ask(self.stack)
            except requests.RequestException:
                self.again += 1
                time.sleep(0.05)
                continue
            if reply.status_code == 200:
                self.answered += 1
                self.values.add(reply.json()["surplus_probability"])
            else:
                self.refused.append(reply.text)
            return
        self.lost += 1

    def run(self):
        while not self.ended.is_set():
            self.one()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(150)


def log_points(stack, folder, name):
    """A program whose output mlflowc logs: POINTS points of one metric in about eight seconds."""
    loop = f"for i in $(seq {POINTS}); do echo step=$i loss=$i; sleep 0.02; done"
    env = {**os.environ, "MLFLOW_TRACKING_URI": stack.mlflow, "MLFLOW_JOURNAL_DIR": str(folder / "journal")}
    return subprocess.Popen([MLFLOWC, "run", "--experiment", "load", "--name", name, "--", "sh", "-c", loop], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def points_of(client, name):
    experiment = client.get_experiment_by_name("load")
    (run,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
    assert run.info.status == "FINISHED"
    return sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, "loss"))


def champion(client):
    return client.get_model_version_by_alias("cashflow", "champion").version


def versions(client):
    return sorted(int(version.version) for version in client.search_model_versions("name='cashflow'"))


def test_up_from_nothing_to_an_answer(stack, client):
    say(f"{' '.join(COMPOSE)} up to the first answered prediction: {stack.seconds:.1f} s")
    assert champion(client) == stack.version() == "1"
    with requests.get(stack.mlflow, timeout=10) as page:
        assert page.status_code == 200 and "<html" in page.text
    assert "<html" in requests.get(stack.serve + "/ui", timeout=5).text
    if os.getloadavg()[0] < 2 * os.cpu_count():  # a machine that is busy with other work says nothing about ours
        assert stack.seconds <= UP_LIMIT_S


def test_artifacts_are_in_the_store(stack, client):
    run = client.get_model_version_by_alias("cashflow", "champion").run_id
    listed = {item.path for item in client.list_artifacts(run)}
    held = engine("exec", stack.container("store"), "find", "/data/mlflow", "-type", "f")
    assert "report.html" in listed and "report.html" in held and "pipeline.json" in held


def test_the_alias_moves_and_the_server_follows(stack, client):
    stack.compose("run", "--rm", "train", "train", "configs/cashflow.yaml", "--quiet", "--set", "train.c=0.5", "--set", "register.promote_when=")
    wait_for(lambda: stack.version() == "2", "version 2 to be served")
    with Predictions(stack) as load:
        client.set_registered_model_alias("cashflow", "champion", "1")
        wait_for(lambda: stack.version() == "1", "version 1 to be served again")
        client.set_registered_model_alias("cashflow", "champion", "2")
        wait_for(lambda: stack.version() == "2", "version 2 to be served again")
    assert (load.lost, load.again, load.refused) == (0, 0, []) and load.answered > 100
    assert len(load.values) == 2  # each version's own, nothing between


def sync(stack, folder):
    """Sends what had to wait because a service was away for longer than a program waits for it: what the training kept, what the logger kept."""
    stack.compose("run", "--rm", "--no-deps", "--entrypoint", "mlflowc", "train", "sync")
    env = {**os.environ, "MLFLOW_TRACKING_URI": stack.mlflow, "MLFLOW_JOURNAL_DIR": str(folder / "journal")}
    subprocess.run([MLFLOWC, "sync"], env=env, check=True, capture_output=True, timeout=120)


@pytest.mark.parametrize("service", ["serve", "mlflow", "database", "store"])
def test_a_power_cut_under_load_loses_nothing(stack, client, tmp_path, service):
    before = versions(client)
    with Predictions(stack) as load:
        training = stack.begin("run", "--rm", "--no-deps", "train", "train", "configs/cashflow.yaml", "--json")
        logger = log_points(stack, tmp_path, service)
        wait_for(lambda: client.get_experiment_by_name("load"), "the logger to begin")
        time.sleep(2)  # in the middle of both
        stack.power_cut(service)
        trained, said = training.communicate(timeout=300)
        _, logged = logger.communicate(timeout=300)
        wait_for(lambda: stack.answers() and stack.reaches(), "everything to answer after the power cut")
    assert (training.returncode, logger.returncode) == (0, 0), trained + said + logged
    assert load.lost == 0 and not load.refused and load.answered > 0
    sync(stack, tmp_path)
    assert points_of(client, service) == [(step, float(step)) for step in range(1, POINTS + 1)]
    (new,) = set(versions(client)) - set(before)
    local = mlflow.artifacts.download_artifacts(f"models:/cashflow/{new}", dst_path=str(tmp_path))
    assert (pathlib.Path(local) / "pipeline.json").stat().st_size > 0
    say(f"{service}: {load.answered} predictions answered, {load.again} asked again, {load.lost} lost; {POINTS} points logged, 0 lost; version {new} whole")


def test_a_training_killed_in_the_middle_leaves_the_champion(stack, client):
    before = champion(client), versions(client)
    name = f"{stack.project}-killed"
    job = subprocess.Popen(["docker", "run", "--rm", "--name", name, "--network", f"{stack.project}_default", "--env", "MLFLOW_TRACKING_URI=http://mlflow:5000", "solvent-train", "train",
                            "configs/cashflow.yaml", "--set", "train.solver=gd", "--set", "train.tolerance=1e-300", "--set", "train.max_iter=100000000"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    wait_for(lambda: engine("inspect", "--format", "{{.State.Running}}", name, check=False) == "true", "the training to begin")
    time.sleep(1)
    engine("kill", "--signal", "KILL", name)
    assert job.wait(60) == 137
    assert (champion(client), versions(client)) == before and ask(stack).status_code == 200


def test_down_and_up_keeps_everything(stack, client):
    before, known, answer = champion(client), versions(client), ask(stack).json()
    stack.compose("down")
    stack.compose("up", "--detach", "--no-build", "database", "store", "mlflow")
    wait_for(lambda: stack.state("mlflow")["State"]["Health"]["Status"] == "healthy", "MLflow")
    assert (champion(client), versions(client)) == (before, known)
    assert len(points_of(client, "serve")) == POINTS
    stack.compose("up", "--detach", "--no-build", "--no-deps", "serve")
    wait_for(stack.answers, "the model to be served")
    assert stack.version() == before and ask(stack).json() == answer


def test_the_file_is_whole_and_nothing_starts_without_passwords(stack):
    stack.compose("--profile", "monitoring", "config", "--quiet")
    stack.env_file.rename(stack.env_file.with_suffix(".away"))
    try:
        stack.env_file.touch()
        done = stack.compose("config", "--quiet", check=False)
    finally:
        stack.env_file.with_suffix(".away").rename(stack.env_file)
    assert done.returncode != 0 and "is not set; docker/make-env writes docker/.env" in done.stderr


def test_services_run_without_root(stack):
    for service in ("database", "store", "mlflow", "serve"):
        uid = pathlib.Path(f"/proc/{stack.state(service)['State']['Pid']}/status").read_text().split("Uid:")[1].split()[0]
        assert uid != "0", service
        host = stack.state(service)["HostConfig"]
        assert host["CapDrop"] == ["ALL"] and "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["ReadonlyRootfs"] is (service != "mlflow"), service  # MLflow puts what passes through it into /tmp, however large


def test_no_secret_is_on_a_command_line_or_in_an_image(stack):
    """`ps` shows every user of the machine what the processes were called with; an image goes to everybody."""
    secrets = [value for value in (line.partition("=")[2] for line in stack.env_file.read_text().splitlines()) if len(value) == 40]
    assert len(secrets) == 3
    for service in ("database", "store", "mlflow", "serve"):
        for pid in engine("top", stack.container(service), "-o", "pid").split()[1:]:
            called = pathlib.Path(f"/proc/{pid}/cmdline").read_text()
            assert called and not any(secret in called for secret in secrets), service
        described = stack.state(service)
        said = json.dumps([described["Path"], described["Args"], described["Config"]["Labels"]])
        history = engine("history", "--no-trunc", described["Image"]) + engine("image", "inspect", described["Image"])
        assert not any(secret in said + history for secret in secrets), service


@pytest.fixture(scope="module")
def prometheus(stack):
    """Prometheus of the profile, once it has scraped the server."""
    stack.compose("--profile", "monitoring", "up", "--detach", "--no-build", "--no-deps", "prometheus")
    wait_for(stack.answers, "the model to be served")
    for _ in range(300):  # fewer rows have no drift
        ask(stack)

    def query(expression):
        reply = requests.get(stack.prometheus + "/api/v1/query", params={"query": expression}, timeout=10).json()
        assert reply["status"] == "success", f"{expression}: {reply}"
        return reply["data"]["result"]

    def has_scraped():
        ask(stack)
        try:
            return [float(row["value"][1]) for row in query('up{job="solvent-serve"}')] == [1.0]
        except requests.RequestException:
            return False

    wait_for(has_scraped, "Prometheus to have scraped solvent-serve")
    return query


def expressions():
    dashboard = json.loads((ROOT / "docker" / "grafana" / "dashboards" / "solvent-serve.json").read_text())
    rules = yaml.safe_load((ROOT / "docker" / "prometheus-rules.yml").read_text())
    panels = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]
    alerts = [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]
    return [pytest.param(text, is_panel, id=name) for is_panel, named in ((True, panels), (False, alerts)) for name, text in named]


@pytest.mark.parametrize("expression, is_panel", expressions())
def test_dashboard_and_alerts_ask_for_what_is_there(stack, prometheus, expression, is_panel):
    """Prometheus understands the expression, and the server has every metric in it, with every label that it is summed by. A panel shows numbers; an
    alert may be silent."""
    prometheus(expression)
    if is_panel:
        wait_for(lambda: ask(stack) and (shown := prometheus(expression)) and all(math.isfinite(float(row["value"][1])) for row in shown), "the panel to show numbers", 60)
    labels = {label for text in re.findall(r"\bby \(([^)]*)\)", expression) for label in re.split(r"[,\s]+", text)}
    for name in set(re.findall(r"\b(?:solvent_\w+|up)\b", expression)):
        wait_for(lambda: prometheus(name), f"a value of {name}", 30)
        assert labels <= set(prometheus(name)[0]["metric"]), name


def test_prometheus_accepts_its_configuration():
    said = engine("run", "--rm", "--entrypoint", "promtool", "solvent-prometheus", "check", "config", "/etc/prometheus/prometheus.yml")
    assert "SUCCESS: /etc/prometheus/prometheus.yml" in said and "4 rules found" in said


def test_an_alert_is_raised_by_drift_and_by_nothing_less(tmp_path):
    """promtool plays the figures of an hour."""
    tests = {"rule_files": ["/etc/prometheus/rules.yml"], "evaluation_interval": "1m", "tests": [
        {"interval": "1m", "input_series": [{"series": 'solvent_drift_psi{model="m",feature="f"}', "values": values}],
         "alert_rule_test": [{"eval_time": "30m", "alertname": "SolventDrift", "exp_alerts": alerts}]}
        for values, alerts in (("0.3x60", [{"exp_labels": {"model": "m", "feature": "f"}, "exp_annotations": {"summary": "f of m has drifted from the training's rows: time to train again"}}]), ("0.2x60", []))
    ]}  # fmt: skip
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    tmp_path.chmod(0o755)
    assert "SUCCESS" in engine("run", "--rm", "--volume", f"{tmp_path}:/tests:ro", "--entrypoint", "promtool", "solvent-prometheus", "test", "rules", "/tests/tests.yml")
