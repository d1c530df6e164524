"""Artifacts, models and versions of an online program that is killed while it sends them: a sync finishes what the calls had begun, once."""

import contextlib
import functools
import http.client
import json
import os
import resource
import shutil
import signal
import subprocess
import threading
import time

import mlflow
import pytest


@pytest.fixture
def killing(scripted, server, build_root, tmp_path):
    """killing(model, name, when, struck, env) -> its journal's cut-off calls: runs the tool through a network that kills it at the request for which struck(n, handler) holds,
    before the server sees it or after."""
    program = build_root / "tests" / "mlflow_client" / "artifact" / "artifact_tool"

    def run(model, name, when, struck, env=None, journals=tmp_path / "journal", **options):
        lock, seen, started = threading.Lock(), [], {}

        def forward(h):
            there = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            there.request(h.command, h.path, h.body, {name: value for name, value in h.headers.items() if name != "Host"})
            came = there.getresponse()
            return came.status, came.read(), {"Content-Type": came.getheader("Content-Type") or "text/plain"}

        def script(h):
            with lock:
                seen.append(h.path)
                hit = "killed" not in started and struck(len(seen), h)
                if hit:
                    started["killed"] = h.path
                    if when == "before":
                        started["process"].kill()
                        started["process"].wait()
            if hit and when == "before":
                h.close_connection = True
                return
            answer = None
            with contextlib.suppress(OSError, http.client.HTTPException):  # of a client that is gone
                answer = forward(h)
            if hit:
                started["process"].kill()
                started["process"].wait()
                h.close_connection = True
                return
            with contextlib.suppress(OSError):
                if answer:
                    h.say(*answer)

        network = scripted(script)
        environment = {**os.environ, "MLFLOW_TRACKING_URI": network.uri, "MLFLOW_JOURNAL_DIR": str(journals), **(env or {})}
        with lock:
            started["process"] = subprocess.Popen([str(program), "run", str(model), name], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        _, said = started["process"].communicate(timeout=120)
        assert ("killed" in started) == (started["process"].returncode == -signal.SIGKILL), said
        return started.get("killed")

    return run


def journal_of(mlflowc, folder):
    """What `mlflowc journal show` says waits, of all journals: (kind, payload)."""
    found = []
    for log in sorted(folder.glob("*/data.jrn")):
        done = subprocess.run([str(mlflowc), "journal", "show", str(log.parent), "--json"], capture_output=True, text=True, check=True)
        found += [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    return found


def sync(mlflowc, server, folder):
    done = subprocess.run([str(mlflowc), "sync", "--tracking-uri", server.uri], env={**os.environ, "MLFLOW_JOURNAL_DIR": str(folder)}, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def cut_off_kinds(journals):
    """The kinds of the operations in calls.jrn, by its bytes: docs/journal.md."""
    kinds = {7: "artifact", 8: "model", 9: "register"}
    found = {}
    for path in journals.glob("*/calls.jrn"):
        data = path.read_bytes()
        assert data[:8] == b"MLFCAL1\n"
        at = 16
        while at + 8 <= len(data):
            size = int.from_bytes(data[at : at + 4], "little")
            kind, said = data[at + 9], json.loads(data[at + 10 : at + 8 + size])
            if kind != 11:  # over
                found[said["key"]] = kinds[kind]
            at += 8 + size
    return sorted(found.values())


def expect_whole(client, name, model, contents, tmp_path, i, begun):
    """Whatever is there of the run is whole, and there once; what was begun is there."""
    runs = client.search_runs(["0"], f"tags.job = '{name}'")
    assert len(runs) <= 1
    if not runs:
        return
    (run,) = runs
    original = contents(model)
    down = tmp_path / f"down-{i}"
    down.mkdir()
    parts = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    if "artifact" in begun:
        assert parts & {"all", "notes"}, parts
    if "all" in parts and "notes" in parts:  # the first call was over, or finished
        assert contents(client.download_artifacts(run.info.run_id, "all/of/it", str(down))) == original
    if "notes" in parts:
        assert open(client.download_artifacts(run.info.run_id, "notes/hello.txt", str(down))).read() == "hello\n"
    models = [m for m in client.search_logged_models(["0"]) if m.source_run_id == run.info.run_id]
    versions = client.search_model_versions(f"name='{name}'")
    assert len(models) <= 1 and len(versions) <= 1
    if "model" in begun:
        assert models
    if "register" in begun:
        assert versions
    for made in models:
        assert made.status == "READY" and len(run.outputs.model_outputs) == 1
        loaded = contents(mlflow.artifacts.download_artifacts(f"models:/{made.model_id}", tracking_uri=client.tracking_uri, dst_path=str(down / "model")))
        assert loaded["sub/data.bin"] == original["sub/data.bin"] and f"model_id: {made.model_id}" in loaded["MLmodel"].decode()
    for version in versions:
        assert client.get_model_version_by_alias(name, "champion").version == version.version == "1"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_each_request_is_finished_by_a_sync(mlflowc, server, client, model, killing, tmp_path, contents, when):
    cut, journals = [], tmp_path / "journal"
    for n in range(1, 100):
        name = f"cut-{when}-{n}-{os.urandom(3).hex()}"
        if not killing(model, name, when, lambda seen, h: seen == n, env={"ARTIFACT_TOOL_JOB": name}):
            break
        begun = cut_off_kinds(journals)
        cut += begun
        shown = [record["kind"] for record in journal_of(mlflowc, journals) if record["kind"] in begun]
        assert sorted(shown) == begun
        status, said = sync(mlflowc, server, journals)
        assert status == 0 and not list(journals.glob("*")), said
        expect_whole(client, name, model, contents, tmp_path, n, begun)
    print(f"# killed at each of {n - 1} requests: cut off were {', '.join(f'{cut.count(kind)} times a call of {kind}' for kind in sorted(set(cut)))}")
    assert 10 < n < 99 and {"artifact", "model", "register"} == set(cut)
    expect_whole(client, name, model, contents, tmp_path, n, ["artifact", "model", "register"])  # the last was not killed
    assert not list(journals.glob("*"))


def at_put_of(end):
    return lambda seen, h: h.command == "PUT" and h.path.endswith(end)


def refused_lines(journals):
    return [json.loads(line) for path in journals.glob("refused-*.jsonl") for line in path.read_text().splitlines()]


def test_a_model_whose_files_its_program_makes_late(mlflowc, server, client, model, killing, tmp_path, contents):
    """prepare() writes files once the model has its id: they are sent after a kill behind it; a model that was killed before it has none, and is named."""
    journals, env = tmp_path / "journal", {"ARTIFACT_TOOL_PREPARE": "1"}
    name = f"late-{os.urandom(3).hex()}"
    assert killing(model, name, "before", lambda seen, h: h.command == "PUT" and h.path.endswith("prepared.txt"), {**env, "ARTIFACT_TOOL_JOB": name})
    assert cut_off_kinds(journals) == ["model"]
    status, said = sync(mlflowc, server, journals)
    assert status == 0, said
    (run,) = client.search_runs(["0"], f"tags.job = '{name}'")
    (made,) = [m for m in client.search_logged_models(["0"]) if m.source_run_id == run.info.run_id]
    assert made.status == "READY"
    loaded = contents(mlflow.artifacts.download_artifacts(f"models:/{made.model_id}", tracking_uri=server.uri, dst_path=str(tmp_path / "down")))
    assert loaded["prepared.txt"].decode() == made.model_id

    (model / "prepared.txt").unlink()
    name = f"late-{os.urandom(3).hex()}"
    assert killing(model, name, "after", lambda seen, h: h.command == "POST" and h.path.endswith("/logged-models"), {**env, "ARTIFACT_TOOL_JOB": name})
    status, said = sync(mlflowc, server, journals)
    (line,) = refused_lines(journals)
    assert status == 1 and line["what"] == "model" and "send it again" in line["reason"], said


def test_what_was_changed_after_the_kill_is_not_sent(mlflowc, server, client, model, killing, tmp_path):
    journals, name = tmp_path / "journal", f"changed-{os.urandom(3).hex()}"
    assert killing(model, name, "before", at_put_of("data.bin"), {"ARTIFACT_TOOL_JOB": name})
    (kept,) = journals.glob("*/files/*/sub/data.bin")
    assert kept.stat().st_ino == (model / "sub" / "data.bin").stat().st_ino  # no second copy on the disk
    with open(model / "sub" / "data.bin", "r+b") as file:
        file.write(b"another run's")
    status, said = sync(mlflowc, server, journals)
    (line,) = refused_lines(journals)
    assert status == 1 and "changed since" in line["reason"] and str(model) in line["reason"], said
    (run,) = client.search_runs(["0"], f"tags.job = '{name}'")
    assert not any(entry.path.endswith("data.bin") for entry in client.list_artifacts(run.info.run_id, "all/of/it/sub"))


def test_replaced_or_removed_after_the_kill_is_still_what_was_logged(mlflowc, server, client, model, killing, tmp_path, contents):
    journals, name = tmp_path / "journal", f"gone-{os.urandom(3).hex()}"
    original = contents(model)
    assert killing(model, name, "before", at_put_of("data.bin"), {"ARTIFACT_TOOL_JOB": name})
    (model / "sub" / "data.bin").unlink()
    (model / "sub" / "data.bin").write_bytes(b"another run's")
    (model / "MLmodel").unlink()
    status, said = sync(mlflowc, server, journals)
    (run,) = client.search_runs(["0"], f"tags.job = '{name}'")
    assert status == 0 and contents(client.download_artifacts(run.info.run_id, "all/of/it", str(tmp_path))) == original, said


def test_on_another_disk_only_what_is_not_large_is_copied(mlflowc, server, client, model, killing, tmp_path, request):
    journals = tmp_path / "elsewhere"
    shared = f"/dev/shm/solvent-cut-off-{os.getpid()}"
    os.mkdir(shared)
    request.addfinalizer(lambda: subprocess.run(["rm", "-rf", shared], check=True))
    assert os.stat(shared).st_dev != os.stat(tmp_path).st_dev
    journals.symlink_to(shared)
    name = f"disk-{os.urandom(3).hex()}"
    assert killing(model, name, "before", at_put_of("data.bin"), {"ARTIFACT_TOOL_JOB": name}, journals)
    status, said = sync(mlflowc, server, journals)
    (run,) = client.search_runs(["0"], f"tags.job = '{name}'")
    assert status == 0 and any(entry.path.endswith("data.bin") for entry in client.list_artifacts(run.info.run_id, "all/of/it/sub")), said

    os.truncate(model / "sub" / "data.bin", 80 << 20)
    name = f"disk-{os.urandom(3).hex()}"
    assert killing(model, name, "before", at_put_of("data.bin"), {"ARTIFACT_TOOL_JOB": name}, journals)
    assert not list(journals.glob("*/files/*/*"))
    status, said = sync(mlflowc, server, journals)
    (line,) = refused_lines(journals)
    assert status == 1 and line["what"] == "artifact" and str(model) in line["reason"] and "send it again" in line["reason"], said


def test_a_hostile_list_of_calls_reads_nothing_outside(mlflowc, server, client, model, killing, tmp_path):
    """A journal that somebody else left: what its calls name is looked for below it alone, along no link."""
    journals, name = tmp_path / "journal", f"hostile-{os.urandom(3).hex()}"
    assert killing(model, name, "before", at_put_of("data.bin"), {"ARTIFACT_TOOL_JOB": name})
    (kept,) = journals.glob("*/files/*")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("mine")
    subprocess.run(["rm", "-rf", str(kept)], check=True)
    kept.symlink_to(secret)
    status, said = sync(mlflowc, server, journals)
    (run,) = client.search_runs(["0"], f"tags.job = '{name}'")
    assert status == 1 and refused_lines(journals), said
    assert "key" not in str(client.list_artifacts(run.info.run_id)) + str(client.list_artifacts(run.info.run_id, "all/of/it")) and (secret / "key").read_text() == "mine"
    # the same with the very bytes, so that nothing but the link is wrong: not even their digest is written down
    name = f"hostile-{os.urandom(3).hex()}"
    assert killing(model, name, "before", at_put_of("data.bin"), {"ARTIFACT_TOOL_JOB": name})
    (kept,) = (path for path in journals.glob("*/files/*") if not path.is_symlink())
    shutil.copytree(kept, tmp_path / "mine")  # with their times
    shutil.rmtree(kept)
    kept.symlink_to(tmp_path / "mine")
    status, said = sync(mlflowc, server, journals)
    assert status == 1 and "symbolic link" in refused_lines(journals)[-1]["reason"] and not any("sha256" in str(line) for line in refused_lines(journals)), said


def the_run(client, name):
    (run,) = client.search_runs(["0"], f"tags.job = '{name}'")
    return run.info.run_id


def tag_of(model):
    return (model / "sub" / "data.bin").read_bytes()


def test_a_run_that_is_gone_on_with_keeps_its_newer_files(tool, mlflowc, server, client, model, killing, tmp_path, contents):
    """What was cut off is finished before anything new is sent, also by mlflowc; an alias that was moved on stays, also when nobody knew of the journal."""
    journals, name = tmp_path / "journal", f"resumed-{os.urandom(3).hex()}"
    assert killing(model, name, "before", at_put_of("data.bin"), {"ARTIFACT_TOOL_JOB": name})
    (model / "sub" / "data.bin").unlink()
    (model / "sub" / "data.bin").write_bytes(b"newer")
    tool("run", model, name, env={"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_RUN_ID": the_run(client, name)})
    assert not list(journals.glob("*"))
    assert contents(client.download_artifacts(the_run(client, name), "all/of/it", str(tmp_path)))["sub/data.bin"] == b"newer"

    name = f"uploaded-{os.urandom(3).hex()}"
    assert killing(model, name, "before", at_put_of("hello.txt"), {"ARTIFACT_TOOL_JOB": name})
    (tmp_path / "hello.txt").write_text("newer\n")
    env = {**os.environ, "MLFLOW_TRACKING_URI": server.uri, "MLFLOW_JOURNAL_DIR": str(journals)}
    shown = subprocess.run([mlflowc, "journal", "list", "--json"], env=env, capture_output=True, text=True, check=True).stdout
    assert json.loads(shown.splitlines()[0] if shown.startswith("{") else shown), shown
    subprocess.run([mlflowc, "artifacts", "upload", f"runs:/{the_run(client, name)}/notes", tmp_path / "hello.txt"], env=env, check=True)
    status, said = sync(mlflowc, server, journals)
    assert status == 0 and open(client.download_artifacts(the_run(client, name), "notes/hello.txt", str(tmp_path / "journal"))).read() == "newer\n", said
    shutil.rmtree(journals)

    name = f"alias-{os.urandom(3).hex()}"
    assert killing(model, name, "before", lambda seen, h: h.command == "POST" and h.path.endswith("/registered-models/alias"), {"ARTIFACT_TOOL_JOB": name})
    tool("run", model, name, env={"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_RUN_ID": the_run(client, name), "MLFLOW_JOURNAL_DIR": str(tmp_path / "other")})
    assert client.get_model_version_by_alias(name, "champion").version == "2"
    status, said = sync(mlflowc, server, journals)
    assert status == 0 and client.get_model_version_by_alias(name, "champion").version == "2" and "stays at version 2" in said, said


def test_a_name_that_is_no_utf8_holds_up_nothing(tool, mlflowc, server, client, model, killing, tmp_path):
    journals, name = tmp_path / "journal", f"bytes-{os.urandom(3).hex()}"
    with open(os.fsencode(model / "sub") + b"/bad\xff.txt", "w") as file:
        file.write("x")
    assert killing(model, name, "before", at_put_of("data.bin"), {"ARTIFACT_TOOL_JOB": name})
    status, said = sync(mlflowc, server, journals)
    assert status == 1 and len(refused_lines(journals)) == 1 and not list(journals.glob("*/data.jrn")), said


@pytest.mark.parametrize("what", ["pipe", "folder", "link", "newer head", "newer kind"])
def test_calls_that_cannot_be_read_hold_up_nothing_else_and_are_not_thrown_away(mlflowc, server, client, model, killing, tmp_path, what):
    journals, name = tmp_path / "journal", f"odd-{os.urandom(3).hex()}"
    assert killing(model, name, "before", at_put_of("hello.txt"), {"ARTIFACT_TOOL_JOB": name})
    (calls,) = journals.glob("*/calls.jrn")
    good = calls.read_bytes()
    calls.unlink()
    if what == "pipe":
        os.mkfifo(calls)
    elif what == "folder":
        calls.mkdir()
    elif what == "link":
        calls.symlink_to("/dev/zero")
    elif what == "newer head":
        calls.write_bytes(good.replace(b"MLFCAL1", b"MLFCAL2"))
    else:
        calls.write_bytes(good[:16] + newer_kind(good[16:]))
    env = {**os.environ, "MLFLOW_JOURNAL_DIR": str(journals)}
    subprocess.run([mlflowc, "journal", "list"], env=env, check=True, timeout=20, stdout=subprocess.DEVNULL)
    status, said = sync(mlflowc, server, journals)
    assert status == 1 and "calls.jrn" in said and list(journals.glob("*/data.jrn")), said
    calls.rmdir() if what == "folder" else calls.unlink()
    calls.write_bytes(good)
    status, said = sync(mlflowc, server, journals)
    assert status == 0 and open(client.download_artifacts(the_run(client, name), "notes/hello.txt", str(tmp_path))).read() == "hello\n", said


@functools.cache
def crc32c_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ crc32c_table()[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def newer_kind(frame):
    payload = frame[8:9] + bytes([99]) + frame[10:]
    return frame[:4] + crc32c(frame[:4] + payload).to_bytes(4, "little") + payload


def test_damage_is_counted(mlflowc, server, client, model, killing, tmp_path):
    journals, name = tmp_path / "journal", f"damaged-{os.urandom(3).hex()}"
    assert killing(model, name, "before", at_put_of("hello.txt"), {"ARTIFACT_TOOL_JOB": name})
    (calls,) = journals.glob("*/calls.jrn")
    data = bytearray(calls.read_bytes())
    data[40] ^= 1
    calls.write_bytes(data)
    status, said = sync(mlflowc, server, journals)
    assert status == 1 and "at least 0 points and 1 operations are lost" in said, said


def test_many_files_of_middling_size_are_kept_without_room(mlflowc, server, client, tmp_path, killing, contents):
    folder, journals, name = tmp_path / "many", tmp_path / "journal", f"many-{os.urandom(3).hex()}"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors:\n  other:\n    data: x\n")
    for i in range(90):
        (folder / f"{i}.bin").write_bytes(os.urandom(10) * 90_000)
    assert killing(folder, name, "before", at_put_of("/5.bin"), {"ARTIFACT_TOOL_JOB": name})
    status, said = sync(mlflowc, server, journals)
    assert status == 0 and contents(client.download_artifacts(the_run(client, name), "all/of/it", str(tmp_path))) == contents(folder), said


def small_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))


def test_a_call_whose_record_the_disk_refuses_is_not_forgotten(mlflowc, server, client, model, scripted, build_root, tmp_path):
    """The server takes no text, and data.jrn may not grow: until it does only the call's own record has it."""
    journals, name, away = tmp_path / "journal", f"refusing-{os.urandom(3).hex()}", threading.Event()

    def script(h):
        if h.command == "PUT" and h.path.endswith("hello.txt"):
            h.say(503, "")
            away.set()
            return
        there = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        there.request(h.command, h.path, h.body, {key: value for key, value in h.headers.items() if key != "Host"})
        came = there.getresponse()
        with contextlib.suppress(OSError):
            h.say(came.status, came.read(), {"Content-Type": came.getheader("Content-Type") or "text/plain"})

    environment = {**os.environ, "MLFLOW_TRACKING_URI": scripted(script).uri, "MLFLOW_JOURNAL_DIR": str(journals), "ARTIFACT_TOOL_JOB": name, "ARTIFACT_TOOL_PARAMS": "200"}
    program = build_root / "tests" / "mlflow_client" / "artifact" / "artifact_tool"
    process = subprocess.Popen([program, "run", model, name], env=environment, preexec_fn=small_files, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert away.wait(60)
    time.sleep(3)
    process.kill()
    _, said = process.communicate()
    assert b"cannot be written" in said, said
    status, said = sync(mlflowc, server, journals)
    assert status == 0 and open(client.download_artifacts(the_run(client, name), "notes/hello.txt", str(tmp_path))).read() == "hello\n", said
