"""Servers that lie, break off and answer nonsense: one clear message, nothing outside the folder, nothing partial visible."""

import fcntl
import hashlib
import json
import os
import urllib.parse

import pytest

DATA = os.urandom(2_000_000)


def listing(*files):
    return json.dumps({"files": [{"path": name, "is_dir": is_dir, "file_size": size} for name, is_dir, size in files]})


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..", ".", "a\\b", "a/b", "", "a\nb", "x" * 300])
def test_a_listing_cannot_leave_its_folder(tool, scripted, tmp_path, contents, name):
    server = scripted(lambda h: h.say(200, listing((name, False, 3)) if "path=" in h.path else "bad"))
    done = tool("download", server.uri + "/art", tmp_path / "out", expect=1)
    assert done.stderr.startswith(b"MLF_E_REPLY") and contents(tmp_path) == {}


def test_folders_without_end(tool, scripted, tmp_path, contents):
    server = scripted(lambda h: h.say(200, listing(("a", True, 0))))
    done = tool("download", server.uri + "/art", tmp_path / "out", expect=1)
    assert b"nested deeper" in done.stderr and contents(tmp_path) == {}


@pytest.mark.parametrize("said", [len(DATA), 10, -1, 2**63 - 1])
def test_more_than_is_wanted(tool, scripted, tmp_path, contents, monkeypatch, said):
    monkeypatch.setenv("ARTIFACT_TOOL_MAX", "1500000")
    server = scripted(lambda h: h.say(200, listing(("a", False, 10), ("file.bin", False, said)) if "path=" in h.path else DATA))
    done = tool("fetch", server.uri + "/art", tmp_path / "out", expect=1)
    assert done.stderr.startswith(b"MLF_E_REPLY") and b"more than 1500000 bytes" in done.stderr and contents(tmp_path) == {}
    assert said < 1_500_000 or all("path=" in request[1] for request in server.requests)  # what the listing says is not fetched first


@pytest.mark.parametrize("listed,sent,said", [(len(DATA), len(DATA) - 1, True), (len(DATA), len(DATA) - 1, False), (len(DATA), 0, False), (1, 2, True)])
def test_a_file_of_another_size_than_the_listing_says(tool, scripted, tmp_path, contents, listed, sent, said):
    """A proxy that ends a cut file as if it were whole, with a Content-Length of its own or none."""

    def script(h):
        if "path=" in h.path:
            return h.say(200, listing(("file.bin", False, listed), ("other", False, 0)))
        data = DATA[:sent] if h.path.endswith("/file.bin") else b""
        if said:
            return h.say(200, data)
        h.send_response(200)
        h.send_header("Connection", "close")
        h.end_headers()
        h.wfile.write(data)

    done = tool("download", scripted(script).uri + "/art", tmp_path / "out", expect=1)
    assert done.stderr.startswith(b"MLF_E_INTEGRITY") and f"the listing says {listed} bytes, {sent} came".encode() in done.stderr, done.stderr
    assert contents(tmp_path) == {}


def test_a_listing_without_sizes(tool, scripted, tmp_path, contents):
    server = scripted(lambda h: h.say(200, json.dumps({"files": [{"path": "file", "is_dir": False}]}) if "path=" in h.path else b"some"))
    tool("download", server.uri + "/art", tmp_path / "out")
    assert contents(tmp_path / "out") == {"file": b"some"}


def test_what_a_kill_left_of_a_download_goes_with_the_next(tool, tmp_path, contents):
    """But not what a download at the same time has under way."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "file").write_bytes(b"x")
    for name in (".mlf-download-killed", ".mlf-download-inuse0", ".mlf-downloads"):
        (tmp_path / "out" / name / "deep").mkdir(parents=True)
        (tmp_path / "out" / name / "deep" / "half").write_bytes(b"y")
    (tmp_path / "out" / ".mlf-download-link00").symlink_to(tmp_path / "store")
    held = os.open(tmp_path / "out" / ".mlf-download-inuse0", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    tool("download", tmp_path / "store", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == [".mlf-download-inuse0", ".mlf-download-link00", ".mlf-downloads", "file"]
    os.close(held)
    tool("download", tmp_path / "store", tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == [".mlf-download-link00", ".mlf-downloads", "file"] and os.listdir(tmp_path / "store") == ["file"]


def test_a_stopped_client_copies_no_folder(tool, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "file").write_bytes(b"x")
    done = tool("fetch", tmp_path / "store", tmp_path / "out", env={"ARTIFACT_TOOL_STOPPED": "1", "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}, expect=1)
    assert done.stderr.startswith(b"MLF_E_TIMEOUT") and not (tmp_path / "out").exists()
    assert tool("fetch", tmp_path / "store", tmp_path / "out").stdout == b"1\n"


def test_a_link_inside_the_folder_is_not_followed(tool, scripted, tmp_path, contents):
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out" / "sub").symlink_to(tmp_path / "elsewhere")

    def script(h):
        folder = urllib.parse.parse_qs(urllib.parse.urlsplit(h.path).query, keep_blank_values=True).get("path")
        h.say(200, "evil" if folder is None else listing(("file", False, 4)) if folder == ["sub"] else listing(("sub", True, 0)))

    done = tool("download", scripted(script).uri + "/art", tmp_path / "out", expect=1)
    assert done.stderr.startswith(b"MLF_E_IO") and contents(tmp_path / "elsewhere") == {}
    assert sorted(os.listdir(tmp_path / "out")) == ["sub"]


@pytest.mark.parametrize("body", ["[]", "<html>", '{"files": 3}', '{"files": [3]}', '{"files": [{"path": 3}]}', "{", "[" * 100000])
def test_a_listing_that_is_none(tool, scripted, tmp_path, body):
    server = scripted(lambda h: h.say(200, body))
    assert tool("download", server.uri + "/art", tmp_path / "out", expect=1).stderr.startswith(b"MLF_E_")
    assert not (tmp_path / "out").exists()


def ranged(h, data, headers, upto):
    """Sends data from the offset asked for, but at most `upto` bytes of it before it hangs up."""
    begin = int((h.headers.get("Range") or "bytes=0-").split("=")[1].rstrip("-"))
    part = data[begin : begin + upto]
    more = {"Content-Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"} if begin else {}
    (h.cut if len(part) < len(data) - begin else lambda _, body, headers, status: h.say(status, body, headers))(len(data) - begin, part, {**headers, **more}, 206 if begin else 200)


def test_a_cut_download_goes_on_where_it_broke(tool, scripted):
    server = scripted(lambda h: ranged(h, DATA, {"ETag": '"v1"'}, 300_000))
    assert tool("cat", server.uri + "/file.bin").stdout == DATA
    assert [r[2].get("Range") for r in server.requests][-1] == "bytes=1800000-"


def test_a_server_without_ranges_begins_again(tool, scripted):
    tries = []

    def script(h):
        tries.append(1)
        h.cut(len(DATA), DATA[:700_000]) if len(tries) < 3 else h.say(200, DATA)

    assert tool("cat", scripted(script).uri + "/file.bin").stdout == DATA


def test_a_file_that_changes_meanwhile(tool, scripted, tmp_path, contents):
    def script(h):
        if "path=" in h.path:
            return h.say(200, "{}")
        ranged(h, DATA, {"ETag": f'"{len(server.requests)}"'}, 300_000)

    server = scripted(script)
    done = tool("download", server.uri + "/file.bin", tmp_path / "out", expect=1)
    assert done.stderr.startswith(b"MLF_E_INTEGRITY") and contents(tmp_path) == {} and not (tmp_path / "out").exists()


def test_always_cut(tool, scripted, tmp_path, contents):
    server = scripted(lambda h: h.say(200, "{}") if "path=" in h.path else h.cut(1000, b"x" * 10) if "Range" not in h.headers else h.cut(990, b""))
    done = tool("download", server.uri + "/file.bin", tmp_path / "out", expect=1)
    assert done.stderr.startswith(b"MLF_E_") and contents(tmp_path) == {}


def test_one_bad_file_leaves_no_other(tool, scripted, tmp_path, contents):
    def script(h):
        if "path=" in h.path:
            return h.say(200, listing(("good", False, 4), ("bad", False, 4)))
        h.say(200, "good") if h.path.endswith("good") else h.say(403, "no")

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("stays")
    assert tool("download", scripted(script).uri + "/art", tmp_path / "out", expect=1).stderr.startswith(b"MLF_E_AUTH")
    assert contents(tmp_path) == {"out/mine": b"stays"}


@pytest.mark.parametrize("name", ["b#.txt", "b%41.txt"])
def test_a_folder_with_a_name_that_cannot_be_kept_is_refused_whole(tool, scripted, tmp_path, name):
    server = scripted(lambda h: h.say(200))
    (tmp_path / "folder").mkdir()
    for file in ("a.txt", name, "c.txt"):
        (tmp_path / "folder" / file).write_text("data")
    assert name.encode() in tool("upload", tmp_path / "folder", server.uri + "/art", expect=1).stderr
    assert not server.requests


def test_an_upload_that_is_cut_is_sent_again(tool, scripted, tmp_path):
    tries = []

    def script(h):
        tries.append(len(h.body))
        h.say(503 if len(tries) < 3 else 200)

    (tmp_path / "file.bin").write_bytes(DATA)
    tool("upload", tmp_path / "file.bin", scripted(script).uri + "/art")
    assert tries == [len(DATA)] * 3


def test_credentials_go_to_the_tracking_server_alone(tool, scripted):
    other = scripted(lambda h: h.say(200, "data"))
    tracking = scripted(lambda h: h.say(200, "data"))
    env = {"MLFLOW_TRACKING_URI": tracking.uri, "MLFLOW_TRACKING_TOKEN": "s3cret"}
    tool("cat", other.uri + "/x", env=env)
    tool("cat", "mlflow-artifacts:/x", env=env)
    assert "Authorization" not in other.requests[0][2] and tracking.requests[0][2]["Authorization"] == "Bearer s3cret"


PARTS = {"MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": "1000000", "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": "900000"}


def parts_server(stored, fail=False, supported=True, etag=lambda h: f'"e{h.headers["x-part"]}"', headers=None):
    """A tracking server that hands out addresses for parts, and the store behind it, in one."""

    def script(h):
        if h.path.endswith("/server-info"):
            return h.say(200, json.dumps({"multipart_uploads_enabled": True}))
        if "/mpu/create/" in h.path and not supported:
            return h.say(501, json.dumps({"error_code": "NOT_IMPLEMENTED", "message": "Multipart upload is not supported"}))
        if "/mpu/create/" in h.path:
            said = json.loads(h.body)
            base = f"http://{h.headers['Host']}/part/"
            return h.say(200, json.dumps({"upload_id": "u", "credentials": [{"url": f"{base}{i + 1}?sig=s", "part_number": i + 1, "headers": {"x-part": str(i + 1)}} for i in range(said["num_parts"])]}))
        if h.path.startswith("/part/"):
            assert "Authorization" not in h.headers and h.headers["x-part"] == h.path.split("/")[2].split("?")[0]
            if fail and h.headers["x-part"] == "2":
                return h.say(403, "no")
            stored[int(h.headers["x-part"])] = h.body
            return h.say(200, b"", {"ETag": etag(h), **(headers or {})})
        stored[h.path.rsplit("/api/2.0/mlflow-artifacts/", 1)[1]] = json.loads(h.body) if h.path.count("/mpu/") else h.body
        h.say(200, "{}")

    return script


def test_a_big_file_goes_in_parts(tool, scripted, tmp_path):
    stored = {}
    server = scripted(parts_server(stored))
    (tmp_path / "big.bin").write_bytes(DATA)
    tool("upload", tmp_path / "big.bin", "mlflow-artifacts:/1/run/artifacts", env={"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_TRACKING_TOKEN": "t", **PARTS})
    assert b"".join(stored[i] for i in (1, 2, 3)) == DATA
    done = stored["mpu/complete/1/run/artifacts"]
    assert done["path"] == "big.bin" and done["upload_id"] == "u" and [(p["part_number"], p["etag"]) for p in done["parts"]] == [(1, '"e1"'), (2, '"e2"'), (3, '"e3"')]


def test_a_part_that_fails_aborts_the_rest(tool, scripted, tmp_path):
    stored = {}
    server = scripted(parts_server(stored, fail=True))
    (tmp_path / "big.bin").write_bytes(DATA)
    tool("upload", tmp_path / "big.bin", "mlflow-artifacts:/1/run", env={"MLFLOW_TRACKING_URI": server.uri, **PARTS}, expect=1)
    assert stored["mpu/abort/1/run"] == {"path": "big.bin", "upload_id": "u"} and not any("complete" in str(key) for key in stored)


def md5(h):
    return f'"{hashlib.md5(h.body).hexdigest()}"'


@pytest.mark.parametrize("etag,headers,good", [(md5, {}, True), (lambda h: md5(h).upper(), {}, True), (lambda h: f'"{"0" * 32}"', {}, False), (lambda h: f'"{"0" * 32}"', {"x-amz-server-side-encryption": "aws:kms"}, True), (lambda h: '"0x8D0"', {}, True)])
def test_a_part_that_came_as_other_bytes(tool, scripted, tmp_path, etag, headers, good):
    """Where its ETag has the form of an MD5 it is one, unless the store encrypts with keys of its own."""
    stored = {}
    server = scripted(parts_server(stored, etag=etag, headers=headers))
    (tmp_path / "big.bin").write_bytes(DATA)
    done = tool("upload", tmp_path / "big.bin", "mlflow-artifacts:/1/run", env={"MLFLOW_TRACKING_URI": server.uri, **PARTS}, expect=0 if good else 1)
    assert good or (done.stderr.startswith(b"MLF_E_INTEGRITY") and b"expected the MD5 " in done.stderr and "mpu/abort/1/run" in stored), done.stderr
    assert good == ("mpu/complete/1/run" in stored)


def test_many_big_files_ask_once_what_the_server_can(tool, scripted, tmp_path):
    stored = {}
    server = scripted(parts_server(stored))
    (tmp_path / "up").mkdir()
    for i in range(12):
        (tmp_path / "up" / f"big-{i}.bin").write_bytes(DATA[:1_000_000])
    tool("upload", tmp_path / "up", "mlflow-artifacts:/1/run", env={"MLFLOW_TRACKING_URI": server.uri, **PARTS})
    assert 1 <= sum(request[1].endswith("/server-info") for request in server.requests) <= 4  # once a thread at most


def test_a_store_without_parts_takes_it_whole(tool, scripted, tmp_path):
    stored = {}
    server = scripted(parts_server(stored, supported=False))
    (tmp_path / "big.bin").write_bytes(DATA)
    tool("upload", tmp_path / "big.bin", "mlflow-artifacts:/1/run", env={"MLFLOW_TRACKING_URI": server.uri, **PARTS})
    assert stored == {"artifacts/1/run/big.bin": DATA}
