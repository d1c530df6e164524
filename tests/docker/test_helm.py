"""The chart as Helm itself reads it: Helm's own engine (helm-python-sdk is its library, v4) in a container, and Kubernetes' schema on what comes out."""

import json
import os
import pathlib

import kubernetes_validate
import pytest
import yaml
from containers import Machine

DOCKER = pathlib.Path(os.environ["SOURCE_ROOT"]) / "docker"
# Asked with one JSON object on the command line: values, name. Answers what lint says and what is rendered, or why not.
ASK = """
import json, sys, helm_python as helm
asked, answer = json.loads(sys.argv[1]), {"lint": helm.lint("/chart")}
try:
    with helm.Chart.load("/chart") as chart:
        chart.validate_schema(asked["values"])
        answer["rendered"] = list(chart.render(asked["values"], name=asked["name"]).values())
except helm.HelmError as error:
    answer["refused"] = str(error)
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def helm():
    """helm(name, **values) -> {"lint": …, "rendered": […] or "refused": text}"""
    machine = Machine("solvent-packages", "--volume", f"{DOCKER}/helm/solvent-serve:/chart:ro")
    try:
        machine.run("python3 -m venv helm && helm/bin/pip install --quiet --disable-pip-version-check helm-python-sdk==0.2.2")
        machine.run(f"cat >ask.py <<'END'\n{ASK}\nEND")
        yield lambda name, **values: json.loads(machine.run('helm/bin/python ask.py "$ASKED"', ASKED=json.dumps({"name": name, "values": values})))
    finally:
        machine.remove()


def documents(texts):
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def test_lint_finds_nothing(helm):
    said = helm("solvent-serve")["lint"]
    assert said["errors"] == [] and [message["error"] for message in said["messages"]] == ["icon is recommended"]


def test_as_it_is_the_chart_is_the_manifest(helm):
    """docker/kubernetes/serve.yaml, but for the annotation that replaces the pods when a setting changes."""
    rendered = documents(helm("solvent-serve")["rendered"])
    for document in rendered:
        if document["kind"] == "Deployment":
            assert len(document["spec"]["template"]["metadata"]["annotations"].pop("checksum/settings")) == 64
    assert rendered == documents([(DOCKER / "kubernetes" / "serve.yaml").read_text()])


def test_every_value_arrives_and_kubernetes_takes_it(helm):
    answer = helm("risk", model='models:/a "b"/3', tracking={"uri": "https://mlflow.example", "tokenSecret": {"name": "s", "key": "k"}},
                  image={"repository": "r/i", "tag": "1.2", "pullPolicy": "Always"}, args=["--shadow", "models:/risk@challenger"], env=[{"name": "NO_PROXY", "value": "*"}],
                  service={"type": "LoadBalancer", "port": 8000}, replicas={"min": 3, "max": 5}, cpuUtilization=55, minAvailable="50%",
                  resources={"limits": {"memory": "64Mi"}})  # fmt: skip
    by_kind = {document["kind"]: document for document in documents(answer["rendered"])}
    for document in by_kind.values():
        kubernetes_validate.validate(document, "1.31", strict=True)
        assert document["metadata"]["name"] == "risk"
    assert by_kind["ConfigMap"]["data"] == {"MLFLOW_TRACKING_URI": "https://mlflow.example", "MODEL_URI": 'models:/a "b"/3'}
    (container,) = by_kind["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("r/i:1.2", "Always")
    assert container["args"] == ["--model", "$(MODEL_URI)", "--shadow", "models:/risk@challenger"]
    assert container["env"][0]["valueFrom"]["secretKeyRef"] == {"name": "s", "key": "k", "optional": True} and container["env"][1] == {"name": "NO_PROXY", "value": "*"}
    assert container["resources"]["limits"] == {"memory": "64Mi"} and by_kind["Deployment"]["spec"]["replicas"] == 3
    assert (by_kind["Service"]["spec"]["type"], by_kind["Service"]["spec"]["ports"][0]["port"]) == ("LoadBalancer", 8000)
    scaler = by_kind["HorizontalPodAutoscaler"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"], scaler["metrics"][0]["resource"]["target"]["averageUtilization"]) == (3, 5, 55)
    assert by_kind["PodDisruptionBudget"]["spec"]["minAvailable"] == "50%"


def test_a_changed_setting_replaces_the_pods(helm):
    first, second = ({d["kind"]: d for d in documents(helm("m", **values)["rendered"])}["Deployment"] for values in ({}, {"model": "models:/m/2"}))
    assert first["spec"]["template"]["metadata"] != second["spec"]["template"]["metadata"]


@pytest.mark.parametrize("values, named", [({"modle": "models:/m/1"}, "modle"), ({"model": "m"}, "model"), ({"service": {"port": "http"}}, "port")])
def test_a_wrong_value_is_refused_by_name(helm, values, named):
    answer = helm("m", **values)
    assert "rendered" not in answer and named in answer["refused"]
