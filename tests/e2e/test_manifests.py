"""Every manifest under docker/ against the schema or the tool that its reader has."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml

DOCKER = pathlib.Path(os.environ["SOURCE_ROOT"]) / "docker"
OWN_KINDS = {"Deployment", "Service", "ConfigMap", "HorizontalPodAutoscaler", "PodDisruptionBudget", "CronJob", "PersistentVolumeClaim", "Secret"}
KUBERNETES_FILES = sorted((DOCKER / "kubernetes").glob("*.yaml"))


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def pod_specs(node):
    """Every mapping that has `containers`, wherever it stands."""
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        for value in node.values():
            yield from pod_specs(value)
    elif isinstance(node, list):
        for value in node:
            yield from pod_specs(value)


@pytest.mark.parametrize("path", KUBERNETES_FILES, ids=lambda path: path.name)
def test_kubernetes_schema(path):
    for document in documents(path):
        if document["apiVersion"].split("/")[0] in ("v1", "apps", "batch", "autoscaling", "policy"):
            kubernetes_validate.validate(document, "1.31", strict=True)
            assert document["kind"] in OWN_KINDS


def test_the_schema_check_finds_a_wrong_field():
    deployment = documents(DOCKER / "kubernetes" / "serve.yaml")[1]
    deployment["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, "1.31", strict=True)


@pytest.mark.parametrize("path", KUBERNETES_FILES, ids=lambda path: path.name)
def test_custom_resources_hold_valid_pods(path):
    """KServe's and Kubeflow's own schemas are not at hand: the pods inside are checked as plain Pods."""
    for document in documents(path):
        for spec in pod_specs(document):
            bare = {key: value for key, value in spec.items() if key in ("containers", "restartPolicy", "securityContext", "volumes")}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": bare}
            kubernetes_validate.validate(pod, "1.31", strict=True)


def test_a_pdb_and_the_service_select_the_deployments_pods():
    by_kind = {document["kind"]: document for document in documents(DOCKER / "kubernetes" / "serve.yaml")}
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for kind, selector in (
        ("Service", by_kind["Service"]["spec"]["selector"]),
        ("PodDisruptionBudget", by_kind["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]),
        ("Deployment", by_kind["Deployment"]["spec"]["selector"]["matchLabels"]),
    ):
        assert selector.items() <= labels.items(), kind
    assert by_kind["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == by_kind["Deployment"]["metadata"]["name"]


def test_cloud_run_dry_run_fills_in_every_name():
    env = {"PATH": os.environ["PATH"], "PROJECT": "p-1", "REGION": "europe-west4", "MLFLOW_TRACKING_URI": "https://mlflow.example", "MODEL_URI": "models:/cashflow@champion"}
    done = subprocess.run([DOCKER / "cloudrun" / "deploy", "--dry-run"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    commands = [line for line in done.stdout.splitlines() if line.startswith("+ ")]
    assert [command.split()[1:3] for command in commands] == [["docker", "build"], ["docker", "push"], ["gcloud", "run"], ["gcloud", "run"]]
    service = yaml.safe_load(done.stdout.split(commands[-1])[1])
    container = service["spec"]["template"]["spec"]["containers"][0]
    assert "$" not in yaml.safe_dump(service)
    assert container["args"] == ["--model", "models:/cashflow@champion"]
    assert container["image"].startswith("europe-west4-docker.pkg.dev/p-1/solvent/solvent-serve:")
    kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", **container}]}}, "1.31")


def test_cloud_run_deploy_says_what_is_missing():
    done = subprocess.run([DOCKER / "cloudrun" / "deploy", "--dry-run"], env={"PATH": os.environ["PATH"], "PROJECT": "p"}, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (2, "deploy: REGION is not set")


def test_compose_has_no_password_of_its_own():
    """Each secret of the compose file comes from the environment and has no default."""
    text = (DOCKER / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY", "GRAFANA_PASSWORD"):
        assert f"${{{name}:?" in text and f"${{{name}:-" not in text
    services = yaml.safe_load(text)["services"]
    for name, service in services.items():
        for port in service.get("ports", []):
            assert port.startswith("${BIND_ADDRESS:-127.0.0.1}:"), name
        if "build" in service:
            assert (DOCKER.parent / service["build"]["dockerfile"]).is_file(), name


def test_compose_file_follows_the_compose_specification(tmp_path):
    """What the plugin (docker compose) reads; docker-compose 1.29 itself reads the file in scripts/test-containers."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    text = (DOCKER / "docker-compose.yml").read_text()
    for content, code in ((text, 0), (text.replace("    depends_on:", "    depend_on:"), 1)):
        (tmp_path / "compose.yml").write_text(content)
        done = subprocess.run([*check, tmp_path / "compose.yml"], capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr


def test_make_env_writes_random_passwords_for_one_reader(tmp_path):
    shutil.copy(DOCKER / "make-env", tmp_path / "make-env")
    subprocess.run([tmp_path / "make-env"], check=True, capture_output=True)
    first = (tmp_path / ".env").read_text()
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    subprocess.run([tmp_path / "make-env"], check=True, capture_output=True)
    assert (tmp_path / ".env").read_text() == first
    values = dict(line.split("=") for line in first.split())
    assert len(values["POSTGRES_PASSWORD"]) == 40 and values["POSTGRES_PASSWORD"] != values["S3_SECRET_KEY"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
@pytest.mark.parametrize("unit", ["solvent-serve.service", "solvent-train.service", "solvent-train.timer"])
def test_systemd_units(unit, tmp_path):
    for source in (DOCKER / "systemd").iterdir():
        (tmp_path / source.name).write_text(source.read_text().replace("/usr/bin/solvent-serve", "/bin/true").replace("/usr/bin/solvent", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / unit], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")
@pytest.mark.parametrize("unit", ["solvent-serve.service", "solvent-train.service"])
def test_systemd_units_are_exposed_to_little(unit):
    """systemd's own measure, from 0 to 10 (unsafe); 1.4 is left by the network, which both need, and by one call each of those that set priorities and memory policies."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=14", DOCKER / "systemd" / unit], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", ["slurm/train.sbatch", "cloudrun/deploy"])
def test_shell_scripts_parse(script):
    subprocess.run(["bash", "-n", DOCKER / script], check=True)


@pytest.mark.parametrize("path", sorted((DOCKER.parent / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_github_workflows(path):
    done = subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


YAMLLINT = "{extends: default, rules: {line-length: disable, document-start: disable, braces: {max-spaces-inside: 1}, truthy: {check-keys: false}, comments: {min-spaces-from-content: 1}, indentation: disable}}"


def test_yaml_files_are_clean():
    """Duplicate keys, stray blanks and the like, in everything that others read as YAML."""
    files = [path for folder in (".github", "docker", "configs") for path in (DOCKER.parent / folder).rglob("*.y*ml") if path.parent.name != "templates"]
    done = subprocess.run([sys.executable, "-m", "yamllint", "--strict", "-d", YAMLLINT, *files], capture_output=True, text=True)
    assert len(files) > 10 and done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", sorted((DOCKER.parent / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_github_workflows_run_what_is_there(path):
    """Each step is bash that parses, and a script of this project that it calls can be called."""
    jobs = yaml.safe_load(path.read_text())["jobs"]
    steps = [step["run"] for job in jobs.values() for step in job.get("steps", []) if "run" in step]
    called = []
    for step in steps:
        subprocess.run(["bash", "-n"], input=re.sub(r"\$\{\{.*?\}\}", "value", step), text=True, check=True)
        called += re.findall(r"(?:^|\s)((?:scripts|\.ci)/[\w-]+)", step)
    assert called
    for script in called:
        assert os.access(DOCKER.parent / script, os.X_OK), script
    for job in jobs.values():
        needs = job.get("needs", [])
        assert {needs} <= set(jobs) if isinstance(needs, str) else set(needs) <= set(jobs)
        assert "uses" not in job or (DOCKER.parent / job["uses"]).is_file()


@pytest.mark.parametrize("path", sorted((DOCKER.parent / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_github_workflows_trust_nobody(path):
    """Reading is all that is allowed unless a job says so; no foreign text is pasted into a shell; the checkout leaves no key behind; foreign actions
    are named by their commit, which nobody can move."""
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for step in (step for job in workflow["jobs"].values() for step in job.get("steps", [])):
        assert not re.search(r"\$\{\{\s*(github|secrets|inputs)\b", step.get("run", "")), step
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", "a/b@" + 40 * "0")), step
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_the_dashboard_is_whole():
    """What Grafana needs: numbered panels that do not overlap, each asking the provisioned data source."""
    dashboard = json.loads((DOCKER / "grafana" / "dashboards" / "solvent-serve.json").read_text())
    source = yaml.safe_load((DOCKER / "grafana" / "datasources" / "prometheus.yaml").read_text())["datasources"][0]
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) and dashboard["uid"] and dashboard["schemaVersion"] >= 36
    places = set()
    for panel in panels:
        assert panel["datasource"] == {"type": "prometheus", "uid": source["uid"]} and panel["targets"] and panel["title"]
        grid = panel["gridPos"]
        cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        assert not cells & places and grid["x"] + grid["w"] <= 24
        places |= cells
