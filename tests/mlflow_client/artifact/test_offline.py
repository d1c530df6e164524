"""Artifacts, models, versions and aliases logged without a server, sent later by `mlflowc sync`, any number of times."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import time

import mlflow
import pytest


@pytest.fixture
def offline_run(tool, server, model, tmp_path):
    name = f"offline-{os.urandom(4).hex()}"
    said = tool("run", model, name, env={"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_OFFLINE": "1"}).stdout.decode()
    assert "model=journal:/" in said and said.endswith("version=\n")
    shutil.copytree(model, tmp_path / "original")
    shutil.rmtree(model)  # what was logged may go away
    return name


def sync(mlflowc, server, tmp_path, **options):
    return subprocess.Popen([str(mlflowc), "sync"], env={**os.environ, "MLFLOW_TRACKING_URI": server.uri, "MLFLOW_JOURNAL_DIR": str(tmp_path / "journal")}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)


def check(client, name, tmp_path, contents):
    """Exactly one run, one model, one version, and every file."""
    version = client.get_model_version_by_alias(name, "champion")
    assert version.version == "1" and len(client.search_model_versions(f"name='{name}'")) == 1
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED" and len(run.outputs.model_outputs) == 1
    key = run.data.tags["mlflow.client.key"]
    assert len(client.search_runs(["0"], f"tags.`mlflow.client.key` = '{key}'")) == 1
    models = [m for m in client.search_logged_models(["0"]) if m.source_run_id == run.info.run_id]
    assert [m.status for m in models] == ["READY"]
    original = contents(tmp_path / "original")
    assert contents(client.download_artifacts(run.info.run_id, "all/of/it", str(tmp_path))) == original
    assert open(client.download_artifacts(run.info.run_id, "notes/hello.txt", str(tmp_path))).read() == "hello\n"
    loaded = contents(mlflow.artifacts.download_artifacts(f"models:/{models[0].model_id}", tracking_uri=client.tracking_uri, dst_path=str(tmp_path / "model-down")))
    assert loaded["sub/data.bin"] == original["sub/data.bin"] and f"model_id: {models[0].model_id}" in loaded["MLmodel"].decode()


def test_sync_sends_all_and_once(mlflowc, server, client, offline_run, tmp_path, contents):
    for _ in range(3):
        process = sync(mlflowc, server, tmp_path)
        assert process.wait(120) == 0, process.stderr.read()
    check(client, offline_run, tmp_path, contents)


def test_sync_killed_again_and_again(mlflowc, server, client, offline_run, tmp_path, contents):
    killed = 0
    for i in range(40):
        process = sync(mlflowc, server, tmp_path)
        time.sleep(0.01 + 0.012 * i)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() != 0
    process = sync(mlflowc, server, tmp_path)
    assert process.wait(120) == 0, process.stderr.read()
    assert killed > 5
    check(client, offline_run, tmp_path, contents)


def test_a_late_journal_moves_no_alias_back(mlflowc, server, client, offline_run, tmp_path):
    newer = client.create_run("0", start_time=int(time.time() * 1000) + 60_000)
    client.create_registered_model(offline_run)
    champion = client.create_model_version(offline_run, f"runs:/{newer.info.run_id}/model", newer.info.run_id)
    client.set_registered_model_alias(offline_run, "champion", champion.version)
    process = sync(mlflowc, server, tmp_path)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert client.get_model_version_by_alias(offline_run, "champion").version == champion.version
    assert len(client.search_model_versions(f"name='{offline_run}'")) == 2
    assert f"the alias champion of {offline_run} stays at version {champion.version}" in said.decode()


def test_a_copy_that_changed_is_not_sent(mlflowc, server, client, offline_run, tmp_path):
    (next((tmp_path / "journal").rglob("hello.txt"))).write_text("other\n")
    process = sync(mlflowc, server, tmp_path)
    process.wait(120)
    run_id = client.get_model_version_by_alias(offline_run, "champion").run_id
    assert not client.list_artifacts(run_id, "notes")
    assert any("hello.txt" in path.read_text() for path in (tmp_path / "journal").rglob("refused*.jsonl"))


def test_a_copy_that_cannot_be_read_now_is_waited_for(mlflowc, server, client, offline_run, tmp_path, contents):
    copy = next((tmp_path / "journal").rglob("hello.txt"))
    text = copy.read_bytes()
    copy.unlink()
    copy.mkdir()  # no read of it succeeds, for root neither
    process = sync(mlflowc, server, tmp_path)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and b"hello.txt: cannot be read" in said and list((tmp_path / "journal").rglob("data.jrn")), said
    copy.rmdir()
    copy.write_bytes(text)
    process = sync(mlflowc, server, tmp_path)
    assert process.wait(120) == 0, process.stderr.read()
    check(client, offline_run, tmp_path, contents)


REFUSAL = '{"error_code": "INVALID_PARAMETER_VALUE", "message": "not here"}'


def between(server, answer):
    """Passes everything to the server, but what answer(handler) has answered itself."""

    def script(h):
        if answer(h):
            return
        there = http.client.HTTPConnection("127.0.0.1", server.port)
        there.request(h.command, h.path, h.body, {name: value for name, value in h.headers.items() if name != "Host"})
        came = there.getresponse()
        h.say(came.status, came.read(), {"Content-Type": came.getheader("Content-Type") or "text/plain"})

    return script


def sync_through(network, mlflowc, tmp_path, patience=3):
    done = subprocess.run([str(mlflowc), "sync", "--tracking-uri", network.uri, "--timeout", str(patience)], env={**os.environ, "MLFLOW_JOURNAL_DIR": str(tmp_path / "journal")},
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_login_page_has_kept_no_artifact(mlflowc, server, client, offline_run, scripted, tmp_path, contents):
    network = scripted(between(server, lambda h: h.command == "PUT" and h.path.endswith("data.bin") and (h.say(200, "<html>please log in</html>") or True)))
    status, said = sync_through(network, mlflowc, tmp_path)
    assert status == 1 and "got a web page" in said and len(list((tmp_path / "journal").rglob("data.jrn"))) == 1, said
    process = sync(mlflowc, server, tmp_path)
    assert process.wait(120) == 0, process.stderr.read()
    check(client, offline_run, tmp_path, contents)


@pytest.mark.parametrize("status, name, times", [(404, "TEMPORARILY_UNAVAILABLE", 1), (500, "INTERNAL_ERROR", 6)])
def test_what_passes_is_waited_for_also_in_the_middle_of_a_model(mlflowc, server, client, offline_run, scripted, tmp_path, contents, status, name, times):
    ends, said = ("/logged-models", "/runs/outputs", "/model-versions/create"), {}

    def fails(h):
        end = next((end for end in ends if h.command == "POST" and h.path.endswith(end)), None)
        said[end] = said.get(end, 0) + 1
        return end and said[end] <= times and (h.say(status, json.dumps({"error_code": name, "message": "later"})) or True)

    code, text = sync_through(scripted(between(server, fails)), mlflowc, tmp_path, 60)
    assert code == 0 and all(said[end] > times for end in ends), text
    check(client, offline_run, tmp_path, contents)


def test_what_the_server_refuses_for_good_is_kept_with_its_bytes(mlflowc, server, client, offline_run, scripted, tmp_path, contents):
    network = scripted(between(server, lambda h: h.command == "PUT" and h.path.endswith("data.bin") and (h.say(400, REFUSAL) or True)))
    (key,) = [log.parent.name for log in (tmp_path / "journal").rglob("data.jrn")]
    status, said = sync_through(network, mlflowc, tmp_path)
    assert status == 1 and not list((tmp_path / "journal").rglob("data.jrn")), said
    (run,) = client.search_runs(["0"], f"tags.`mlflow.client.key` = '{key}'")
    assert run.info.status == "FINISHED" and open(client.download_artifacts(run.info.run_id, "notes/hello.txt", str(tmp_path))).read() == "hello\n"
    refused = [json.loads(line) for line in (tmp_path / "journal" / f"refused-{key}.jsonl").read_text().splitlines()]
    assert sorted(line["what"] for line in refused) == ["artifact", "model", "register"], refused
    original = contents(tmp_path / "original")
    for line in refused:
        assert line["run_id"] == run.info.run_id
        if line["what"] == "artifact":
            assert (tmp_path / "journal" / f"refused-{key}" / line["record"]["file"]).read_bytes() == original["sub/data.bin"]
        if line["what"] == "model":
            assert contents(tmp_path / "journal" / f"refused-{key}" / line["record"]["folder"]) == original
    # once the server takes it, what was kept is logged by hand
    folder = next((tmp_path / "journal" / f"refused-{key}" / line["record"]["folder"]) for line in refused if line["what"] == "model")
    subprocess.run([str(mlflowc), "models", "log", run.info.run_id, str(folder)], env={**os.environ, "MLFLOW_TRACKING_URI": server.uri, "MLFLOW_JOURNAL_DIR": str(tmp_path / "journal")}, check=True)


def test_a_proxys_limit_holds_up_nothing_else(tool, mlflowc, server, client, offline_run, scripted, tmp_path, contents):
    """Nor for ever what stands behind it in the same journal: the bytes are kept, and the run ends."""
    other = f"other-{os.urandom(4).hex()}"
    tool("run", tmp_path / "original", other, env={"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_OFFLINE": "1"})
    first = min(path.name for path in (tmp_path / "journal").iterdir())
    limited = []

    def limit(h):
        """Only the first run's own artifacts are too large for it."""
        if h.command == "PUT" and h.path.endswith("all/of/it/sub/data.bin") and (not limited or h.path in limited):
            limited.append(h.path)
            h.say(413, "<html><title>413 Request Entity Too Large</title></html>")
            return True
        return False

    network = scripted(between(server, limit))
    status, said = sync_through(network, mlflowc, tmp_path, 3)
    assert status == 1 and client.get_model_version_by_alias(other, "champion").version == "1", said
    status, said = sync_through(network, mlflowc, tmp_path, 60)
    assert status == 1 and not list((tmp_path / "journal").rglob("data.jrn")), said
    (run,) = client.search_runs(["0"], f"tags.`mlflow.client.key` = '{first}'")
    (line,) = [json.loads(line) for line in (tmp_path / "journal" / f"refused-{first}.jsonl").read_text().splitlines()]
    assert run.info.status == "FINISHED" and line["what"] == "artifact" and "413" in line["reason"]
    assert (tmp_path / "journal" / f"refused-{first}" / line["record"]["file"]).read_bytes() == contents(tmp_path / "original")["sub/data.bin"]


@pytest.mark.parametrize("way", ["files", "refused"])
def test_what_is_kept_follows_no_link(mlflowc, server, client, offline_run, tmp_path, way):
    """A journal that somebody else left: its copies lie in a folder of ours, or would be kept in one."""
    (log,) = (tmp_path / "journal").rglob("data.jrn")
    copy = next(log.parent.rglob("hello.txt"))
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "hello.txt").write_text("keep me")
    if way == "files":
        copy.unlink()
        copy.parent.rmdir()
        copy.parent.symlink_to(victim)
    else:
        copy.write_text("changed, so it is refused")
        kept = log.parent / "refused" / copy.parent.relative_to(log.parent)
        kept.parent.mkdir(parents=True)
        kept.symlink_to(victim)
    process = sync(mlflowc, server, tmp_path)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and b"cannot be kept for later" in said, said
    assert [(path.name, path.read_text()) for path in victim.iterdir()] == [("hello.txt", "keep me")]


def test_a_version_of_a_refused_model_is_put_aside_from_another_journal_too(mlflowc, server, client, model, scripted, tmp_path):
    """`models log` and `registry register` each keep a journal: the second waits for as long as the first may still bring the model."""
    journals, run = tmp_path / "journal", client.create_run("0").info.run_id

    def offline(*words):
        before = set(journals.glob("*"))
        env = {**os.environ, "MLFLOW_TRACKING_URI": server.uri, "MLFLOW_JOURNAL_DIR": str(journals), "MLFLOW_OFFLINE": "1"}
        done = subprocess.run([str(mlflowc), *map(str, words)], env=env, capture_output=True, text=True, check=True)
        (journal,) = set(journals.glob("*")) - before
        return done.stdout.strip(), journal

    uri, first = offline("models", "log", run, model)
    _, second = offline("registry", "register", uri, f"other-{run}")
    early = subprocess.run([str(mlflowc), "sync", "--tracking-uri", server.uri, str(second)], env={**os.environ, "MLFLOW_JOURNAL_DIR": str(journals)}, capture_output=True, text=True, timeout=100)
    assert early.returncode == 1 and "was not logged" in early.stderr and second.exists(), early.stderr
    network = scripted(between(server, lambda h: h.command == "PUT" and h.path.endswith("data.bin") and (h.say(400, REFUSAL) or True)))
    status, said = sync_through(network, mlflowc, tmp_path)
    assert status == 1 and not list(journals.rglob("data.jrn")), said
    for journal, what in ((first, "model"), (second, "register")):
        (refused,) = (json.loads(line) for line in (journals / f"refused-{journal.name}.jsonl").read_text().splitlines())
        assert refused["what"] == what and refused["run_id"] == run, refused
    assert sync_through(network, mlflowc, tmp_path)[0] == 0


def test_a_version_of_what_is_not_there_holds_up_nothing(mlflowc, server, client, tool, tmp_path):
    name = f"staged-{os.urandom(4).hex()}"
    client.create_registered_model(name)
    key = tool("run-register", f"models:/{name}/Staging", name, env={"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_OFFLINE": "1"}).stdout.decode().strip()
    process = sync(mlflowc, server, tmp_path)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and not list((tmp_path / "journal").rglob("data.jrn")), said
    (run,) = client.search_runs(["0"], f"tags.`mlflow.client.key` = '{key}'")
    assert run.info.status == "FINISHED" and run.data.metrics == {"behind": 1.0}
    (refused,) = (json.loads(line) for line in (tmp_path / "journal" / f"refused-{key}.jsonl").read_text().splitlines())
    assert refused["what"] == "register" and "no version in stage Staging" in refused["reason"], refused


def test_a_model_that_was_refused_is_named_where_it_is_registered(server, tool, model, scripted):
    """It waited for the server, which then refused it: its name is no path."""
    puts = []

    def refuse(h):
        if h.command != "PUT" or not h.path.endswith("MLmodel") or "/models/" not in h.path:
            return False
        puts.append(h.path)
        h.say(503, "{}") if len(puts) == 1 else h.say(400, REFUSAL)
        return True

    network = scripted(between(server, refuse))
    env = {"MLFLOW_TRACKING_URI": network.uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "ARTIFACT_TOOL_FLUSH": "1"}
    said = tool("run", model, "no-such", env=env, expect=1).stderr.decode()
    assert len(puts) == 2 and "MLF_E_STATE" in said and "the model it stands for was refused" in said, said


def test_an_mlmodel_that_cannot_be_read_now_is_waited_for(mlflowc, server, client, model, tmp_path):
    journals, run = tmp_path / "journal", client.create_run("0").info.run_id
    env = {**os.environ, "MLFLOW_TRACKING_URI": server.uri, "MLFLOW_JOURNAL_DIR": str(journals)}
    subprocess.run([str(mlflowc), "models", "log", run, str(model)], env={**env, "MLFLOW_OFFLINE": "1"}, check=True)
    (copy,) = journals.rglob("MLmodel")
    text = copy.read_bytes()
    copy.unlink()
    copy.mkdir()  # no read of it succeeds, for root neither
    waits = subprocess.run([str(mlflowc), "sync"], env=env, capture_output=True, text=True, timeout=100)
    assert waits.returncode == 1 and "MLmodel" in waits.stderr and copy.exists() and not list(journals.glob("refused*")), waits.stderr
    copy.rmdir()
    copy.write_bytes(text)
    subprocess.run([str(mlflowc), "sync"], env=env, check=True, timeout=100)
    assert len(client.get_run(run).outputs.model_outputs) == 1


def test_a_model_without_its_mlmodel_is_put_aside(mlflowc, server, client, model, tmp_path):
    journals, run = tmp_path / "journal", client.create_run("0").info.run_id
    env = {**os.environ, "MLFLOW_TRACKING_URI": server.uri, "MLFLOW_JOURNAL_DIR": str(journals)}
    subprocess.run([str(mlflowc), "models", "log", run, str(model)], env={**env, "MLFLOW_OFFLINE": "1"}, check=True)
    next(journals.rglob("MLmodel")).unlink()
    assert subprocess.run([str(mlflowc), "sync"], env=env, timeout=100).returncode == 1
    assert not list(journals.rglob("data.jrn")) and "needs an MLmodel file" in next(journals.glob("refused-*.jsonl")).read_text()


def test_a_run_named_by_hand_goes_on_behind_its_damaged_beginning(mlflowc, server, client, offline_run, tmp_path, contents):
    """docs/journal.md: the first frame says which run it is; where it is damaged ids.json can."""
    (log,) = (tmp_path / "journal").rglob("data.jrn")
    run = client.create_run("0")
    with log.open("r+b") as file:
        file.seek(40)
        byte = file.read(1)
        file.seek(40)
        file.write(bytes([byte[0] ^ 1]))
    process = sync(mlflowc, server, tmp_path)
    process.communicate(timeout=120)
    assert process.returncode == 1 and log.exists()
    (log.parent / "ids.json").write_text(json.dumps({log.parent.name: run.info.run_id}))
    process = sync(mlflowc, server, tmp_path)
    process.communicate(timeout=120)
    assert not log.exists() and not list((tmp_path / "journal").glob("refused*"))
    assert client.get_run(run.info.run_id).info.status == "FINISHED" and client.get_model_version_by_alias(offline_run, "champion").run_id == run.info.run_id


def test_links_in_a_journal_are_not_followed(mlflowc, server, client, offline_run, tmp_path):
    """A journal that somebody else left, with links to what the one who syncs may read and write."""
    (tmp_path / "secret").write_text("keep me")
    (folder,) = [log.parent for log in (tmp_path / "journal").rglob("data.jrn")]
    for name in ("lock", *(str(copy.relative_to(folder)) for copy in folder.rglob("data.bin"))):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(tmp_path / "secret")
    process = sync(mlflowc, server, tmp_path)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1 and b"no lock: Too many levels of symbolic links" in said and (tmp_path / "secret").read_text() == "keep me", said
    (folder / "lock").unlink()
    process = sync(mlflowc, server, tmp_path)
    process.communicate(timeout=120)
    assert process.returncode == 1
    (refused,) = (tmp_path / "journal").rglob("refused*.jsonl")
    assert "is or holds a symbolic link" in refused.read_text()
    (run,) = client.search_runs(["0"], f"tags.`mlflow.client.key` = '{folder.name}'")
    assert [file.path for file in client.list_artifacts(run.info.run_id, "notes")] == ["notes/hello.txt"]
    assert not client.list_artifacts(run.info.run_id, "all/of/it/sub") and not run.outputs.model_outputs
