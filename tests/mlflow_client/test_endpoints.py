"""The table of endpoints against what the installed MLflow server really routes: nothing may be missing on either side."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from mlflow_server import older_python

MLFLOWC = pathlib.Path(os.environ["BUILD_ROOT"]) / "mlflow_client" / "mlflowc"

# Prints [[method, path], …]. Runs in a process of its own: importing the server changes the environment.
LIST_ROUTES = r"""
import json, os, sys, tempfile, warnings
warnings.simplefilter("ignore")
folder = tempfile.mkdtemp()
os.environ.update(_MLFLOW_SERVER_FILE_STORE=f"sqlite:///{folder}/m.db", MLFLOW_FLASK_SERVER_SECRET_KEY="x")
found = set()
def add(methods, path):
    found.update((m, path) for m in methods or () if m not in ("HEAD", "OPTIONS"))
import mlflow.server
for rule in mlflow.server.app.url_map.iter_rules():
    add(rule.methods, rule.rule)
try:
    from mlflow.server.fastapi_app import create_fastapi_app
except ImportError:
    create_fastapi_app = None
def walk(routes, prefix):
    for route in routes:
        if hasattr(route, "original_router"):
            walk(route.original_router.routes, prefix + (route.include_context.prefix or ""))
        elif getattr(route, "methods", None):
            add(route.methods, prefix + route.path)
if create_fastapi_app:
    walk(create_fastapi_app(mlflow.server.app).routes, "")
json.dump(sorted(found), sys.stdout)
"""

AUTH_ROUTES = r"""
import json, os, sys, tempfile
folder = tempfile.mkdtemp()
config = os.path.join(folder, "auth.ini")
open(config, "w").write("[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///%s/a.db\nadmin_username = admin\nadmin_password = only-for-tests-1\n"
                        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n" % folder)
os.environ.update(_MLFLOW_SERVER_FILE_STORE=f"sqlite:///{folder}/m.db", MLFLOW_FLASK_SERVER_SECRET_KEY="x", MLFLOW_AUTH_CONFIG_PATH=config)
import mlflow.server
before = {(m, r.rule) for r in mlflow.server.app.url_map.iter_rules() for m in r.methods}
import mlflow.server.auth
mlflow.server.auth.create_app(mlflow.server.app)
after = {(m, r.rule) for r in mlflow.server.app.url_map.iter_rules() for m in r.methods if m not in ("HEAD", "OPTIONS")}
json.dump(sorted(after - before), sys.stdout)
"""


def plain(path):
    """A route with its parameters made alike: {x}, <x>, <path:x> and {x:path} are {}."""
    path = re.sub(r"<[^>]*>|\{[^}]*\}", "{}", path)
    return path if path == "/" else path.rstrip("/") or "/"


def run_routes(python, code):
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=300, cwd=tempfile.gettempdir())
    assert done.returncode == 0, done.stderr[-3000:]
    return {(method, plain(path)) for method, path in json.loads(done.stdout[done.stdout.index("[[") :])}


def table():
    lines = subprocess.run([MLFLOWC, "endpoints", "--json"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def routes():
    return run_routes(sys.executable, LIST_ROUTES)


@pytest.fixture(scope="module")
def auth_routes():
    return run_routes(sys.executable, AUTH_ROUTES)


def test_every_route_of_the_server_is_in_the_table(routes, auth_routes):
    rows = {(e["method"], plain(e["path"])) for e in table()}
    missing = []
    for method, path in sorted(routes | auth_routes):
        twin = path.replace("/ajax-api/", "/api/", 1)
        if (method, path) not in rows and (method, twin) not in rows and path != "/openapi.json" and not path.startswith(("/docs", "/redoc")):
            missing.append(f"{method} {path}")
    print("routes:", len(routes | auth_routes), "missing:", missing)
    assert missing == []


def test_every_row_is_routed_by_the_server(routes, auth_routes):
    rows = [e for e in table() if not e["dead"]]
    absent = [f"{e['method']} {e['path']}" for e in rows if (e["method"], plain(e["path"])) not in routes | auth_routes]
    assert absent == []


def test_names_are_unique_and_rows_are_whole():
    rows = table()
    assert len({e["name"] for e in rows}) == len(rows)
    assert len({(e["method"], e["path"]) for e in rows}) == len(rows)
    for e in rows:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", e["name"])
        for parameter in re.findall(r"\{(\w+)\*?\}", e["path"]):
            assert re.search(rf"\b{parameter}!:", e["fields"]), e["name"]


def test_fields_are_those_of_the_servers_own_messages():
    """Names and types of the request fields against MLflow's protobuf descriptors."""
    from google.protobuf.descriptor import FieldDescriptor as F
    from mlflow.protos import databricks_pb2, mlflow_artifacts_pb2, model_registry_pb2, service_pb2, webhooks_pb2

    kinds = {F.TYPE_STRING: "s", F.TYPE_BYTES: "s", F.TYPE_BOOL: "b", F.TYPE_DOUBLE: "d", F.TYPE_FLOAT: "d", F.TYPE_INT32: "i", F.TYPE_INT64: "i"}
    rows = {(e["method"], plain(e["path"])): e for e in table()}
    checked = 0
    for module in (service_pb2, model_registry_pb2, mlflow_artifacts_pb2, webhooks_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                    row = rows[(endpoint.method, plain(f"/api/{endpoint.since.major}.0{endpoint.path}"))]
                    fields = dict(re.findall(r"(\w+)!?:(\S+)", row["fields"]))
                    for field in method.input_type.fields:
                        if row["raw"] or "mlflow-artifacts" in row["path"]:
                            continue
                        assert field.name in fields, (row["name"], field.name)
                        kind = fields[field.name]
                        checked += 1
                        if field.type in kinds and not (field.message_type and field.message_type.GetOptions().map_entry):
                            assert kind.rstrip("*") == kinds[field.type], (row["name"], field.name, kind)
                            assert kind.endswith("*") == field.is_repeated, (row["name"], field.name, kind)
                        elif field.type == F.TYPE_ENUM:
                            assert kind.startswith("%"), (row["name"], field.name, kind)
    assert checked > 400


def test_answers_are_those_of_the_servers_own_messages():
    """Names of the reply's fields, and which of them are lists, against MLflow's protobuf descriptors."""
    from mlflow.protos import databricks_pb2, mlflow_artifacts_pb2, model_registry_pb2, service_pb2, webhooks_pb2

    rows = {(e["method"], plain(e["path"])): e for e in table()}
    wrong, checked = [], 0
    for module in (service_pb2, model_registry_pb2, mlflow_artifacts_pb2, webhooks_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                reply = method.input_type.nested_types_by_name.get("Response", method.output_type)
                for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                    row = rows[(endpoint.method, plain(f"/api/{endpoint.since.major}.0{endpoint.path}"))]
                    if row["raw"]:
                        continue
                    told = {name.rstrip("*"): name.endswith("*") for name in row["reply"].split()}
                    real = {field.name: field.is_repeated and not (field.message_type and field.message_type.GetOptions().map_entry) for field in reply.fields}
                    if row["name"] == "datasets_list_records":
                        real["records"] = True  # a list, as JSON text inside the JSON
                    checked += len(real)
                    if told != real:
                        wrong.append((row["name"], {k: (told.get(k), real.get(k)) for k in told.keys() | real.keys() if told.get(k) != real.get(k)}))
    assert wrong == [] and checked > 150


def test_the_page_of_endpoints_holds_the_whole_table(tmp_path):
    page = subprocess.run([MLFLOWC, "man", "endpoints"], capture_output=True, text=True, check=True).stdout
    text = page.replace("\\-", "-").replace("\\fI", "").replace("\\fR", "")
    entries = dict(re.findall(r"^\.TP\n\.B (\S+)\n(.*?)(?=^\.(?:TP|SH))", text, re.M | re.S))
    for e in table():
        entry = entries[e["name"]]
        assert f"{e['method']} {e['path']}, since MLflow {e['since']}" in entry and e["purpose"] in entry, e["name"]
        assert not e["reply"] or f"answer: {e['reply']}\n" in entry, e["name"]
        for field, required in re.findall(r"(\w+)(!?):", e["fields"]):
            assert re.search(rf"[ :]{field}{required} ", entry), (e["name"], field)
    headings = re.findall(r'^\.SH "?([^"\n]*)', page, re.M)
    assert len(set(headings)) == len(headings) and "ENUMERATIONS" in headings and "READY" in entries["LoggedModelStatus"]
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-ww", "-z", "-K", "utf8"], input=page, capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done.stderr[:2000]


OLD = [("2.9", 209), ("2.22", 222)]


@pytest.mark.parametrize("version,number", OLD)
def test_first_versions_against_older_servers(version, number):
    """What the table says an old release has is what that release routes (where it is installed: make-old-servers)."""
    routed = run_routes(older_python(version), LIST_ROUTES) | run_routes(older_python(version), AUTH_ROUTES)
    wrong = []
    for e in table():
        if e["dead"]:
            continue
        major, minor = map(int, e["since"].split("."))
        has = (e["method"], plain(e["path"])) in routed
        if has != (major * 100 + minor <= number):
            wrong.append(f"{e['name']} (since {e['since']}): {'routed' if has else 'not routed'} by {version}")
    assert wrong == []
