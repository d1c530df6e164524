"""gs:// against an emulator, read back by google-cloud-storage; tokens and broken uploads against servers of a few lines."""

import base64
import json
import os
import urllib.parse
import urllib.request

import google_crc32c
import pytest

from bucket_servers import google_bucket, google_emulator

PIECE = 8 << 20
DATA = os.urandom(20_000_000)


@pytest.fixture(scope="module")
def emulator():
    with google_emulator("bucket") as uri:
        yield uri


@pytest.fixture
def env(emulator, tmp_path):
    return {"STORAGE_EMULATOR_HOST": emulator, "HOME": str(tmp_path)}


@pytest.fixture
def bucket(emulator):
    bucket = google_bucket(emulator, "bucket")
    yield bucket
    for blob in list(bucket.client.list_blobs("bucket")):
        blob.delete()


def test_a_tree_there_and_back(tool, env, bucket, tree, tmp_path, contents):
    tool("upload", tree, "gs://bucket/some/place", env=env)
    blobs = {b.name.removeprefix("some/place/"): b for b in bucket.client.list_blobs("bucket")}
    assert {name: b.crc32c for name, b in blobs.items()} == {name: base64.b64encode(google_crc32c.Checksum(data).digest()).decode() for name, data in contents(tree).items()}
    assert all(b.download_as_bytes() == contents(tree)[name] for name, b in blobs.items() if "?" not in name)  # with '?' the emulator's own download address is broken
    tool("download", "gs://bucket/some/place", tmp_path / "down", env=env)
    assert contents(tmp_path / "down") == contents(tree)
    tool("delete", "gs://bucket/some", env=env)
    assert not list(bucket.client.list_blobs("bucket"))


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 2 * PIECE, len(DATA)])
def test_streams_and_files_of_every_size(tool, env, bucket, tmp_path, size):
    (tmp_path / "file.bin").write_bytes(DATA[:size])
    tool("put", "gs://bucket/stream.bin", env=env, data=DATA[:size])
    tool("upload", tmp_path / "file.bin", "gs://bucket", env=env)
    for key in ("stream.bin", "file.bin"):
        assert bucket.blob(key).download_as_bytes() == DATA[:size]
        assert tool("cat", f"gs://bucket/{key}", env=env).stdout == DATA[:size]


def test_an_abort_leaves_nothing(tool, env, bucket):
    tool("put", "gs://bucket/gone.bin", len(DATA), env=env, data=DATA)
    assert not list(bucket.client.list_blobs("bucket"))


def test_no_bucket_no_key(tool, env, bucket):
    for words in (("cat", "gs://nobucket/x"), ("cat", "gs://bucket/none"), ("list", "gs://nobucket"), ("put", "gs://nobucket/x")):
        assert tool(*words, env=env, expect=1).stderr.startswith(b"MLF_E_NOT_FOUND: gs://")


class Bucket:
    """A resumable upload that keeps only some of each piece, or breaks off after the request."""

    def __init__(self, keep=None, hang_up=0, crc="right"):
        self.stored, self.keep, self.hang_up, self.crc, self.objects, self.deleted = b"", keep, hang_up, crc, {}, []

    def __call__(self, h):
        if h.command == "DELETE":
            self.deleted.append(h.path)
            return h.say(204)
        if h.command == "POST":
            return h.say(200, "", {"Location": f"http://{h.headers['Host']}/session"})
        span, total = h.headers["Content-Range"].removeprefix("bytes ").split("/")
        if span != "*":
            begin = int(span.split("-")[0])
            body = h.body[: self.keep] if self.keep else h.body
            self.stored = self.stored[:begin] + body if begin <= len(self.stored) else self.stored
            if self.hang_up:
                self.hang_up -= 1
                h.close_connection = True
                return h.wfile.flush()
        if total != "*" and len(self.stored) == int(total):
            crc = base64.b64encode(google_crc32c.Checksum(self.stored).digest()).decode()
            assert h.headers["x-goog-hash"] == "crc32c=" + crc
            return h.say(200, json.dumps({"name": "x", "size": total, "crc32c": crc if self.crc == "right" else "AAAAAA=="}))
        h.say(308, b"", {"Range": f"bytes=0-{len(self.stored) - 1}"} if self.stored else {})


@pytest.mark.parametrize("how", ["put", "upload"])
@pytest.mark.parametrize("bucket_options", [{"keep": 3_000_000}, {"hang_up": 1}, {"keep": 5_000_000, "hang_up": 2}])
def test_an_upload_goes_on_where_it_broke(tool, scripted, tmp_path, how, bucket_options):
    there = Bucket(**bucket_options)
    env = {"STORAGE_EMULATOR_HOST": scripted(there).uri}
    (tmp_path / "f").write_bytes(DATA)
    tool("put", "gs://bucket/x", env=env, data=DATA) if how == "put" else tool("upload", tmp_path / "f", "gs://bucket", env=env)
    assert there.stored == DATA


def test_the_store_has_other_bytes(tool, scripted):
    there = Bucket(crc="wrong")
    done = tool("put", "gs://bucket/x", env={"STORAGE_EMULATOR_HOST": scripted(there).uri}, data=b"abc", expect=1)
    assert done.stderr.startswith(b"MLF_E_INTEGRITY") and there.deleted == ["/storage/v1/b/bucket/o/x"]


def test_the_download_has_other_bytes(tool, scripted, tmp_path, contents):
    def script(h):
        h.say(200, "{}") if "delimiter" in h.path else h.say(200, b"evil", {"x-goog-hash": "crc32c=yZRlqg=="})

    done = tool("download", "gs://bucket/x", tmp_path / "out", env={"STORAGE_EMULATOR_HOST": scripted(script).uri}, expect=1)
    assert done.stderr.startswith(b"MLF_E_INTEGRITY") and contents(tmp_path) == {}


def account_file(tmp_path, uri):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    path = tmp_path / "account.json"
    path.write_text(json.dumps({"type": "service_account", "client_email": "me@project", "private_key_id": "k1", "private_key": pem, "token_uri": uri + "/token"}))
    return path, key


def test_a_service_account_signs_for_its_token(tool, scripted, tmp_path):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    server = scripted(lambda h: h.say(400, json.dumps({"error": "invalid_grant", "error_description": "Invalid JWT"})))
    path, key = account_file(tmp_path, server.uri)
    env = {"GOOGLE_APPLICATION_CREDENTIALS": str(path), "HOME": str(tmp_path)}
    done = tool("cat", "gs://bucket/x", env=env, expect=1)
    assert done.stderr.startswith(b"MLF_E_AUTH: Google's token for the service account") and b"PRIVATE KEY" not in done.stderr
    form = dict(urllib.parse.parse_qsl(server.requests[0][3].decode()))
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    head, claim, signature = form["assertion"].split(".")

    def decode(text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    key.public_key().verify(decode(signature), f"{head}.{claim}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(decode(head)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    said = json.loads(decode(claim))
    assert said["iss"] == "me@project" and said["aud"] == server.uri + "/token" and said["exp"] - said["iat"] == 3600 and "devstorage" in said["scope"]


class Google:
    """The metadata server, the token service and the store in one: hands out t1, t2, …, and takes those that it likes."""

    def __init__(self, accepts, lives_s=3600):
        self.accepts, self.lives_s, self.issued, self.asked_with = accepts, lives_s, 0, []

    def __call__(self, h):
        if h.path.startswith("/computeMetadata/") or h.path == "/token":
            if h.path != "/token" and h.headers.get("Metadata-Flavor") != "Google":
                return h.say(403, "no flavor")
            self.issued += 1
            return h.say(200, json.dumps({"access_token": f"t{self.issued}", "expires_in": self.lives_s, "token_type": "Bearer"}))
        token = (h.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.asked_with.append(token)
        if token not in self.accepts:
            return h.say(401, json.dumps({"error": {"code": 401, "message": "Invalid Credentials"}}))
        if "uploadType=resumable" in h.path:
            return h.say(200, "", {"Location": f"http://{h.headers['Host']}/session"})
        if h.path == "/session":
            return h.say(200, json.dumps({"size": h.headers["Content-Range"].rsplit("/", 1)[1]})) if not h.headers["Content-Range"].endswith("/*") else h.say(308, b"", {"Range": "bytes=0-" + h.headers["Content-Range"].split("-")[1].split("/")[0]})
        h.say(200, b"body")


def identity(scripted, google, tmp_path, kind):
    uri = scripted(google).uri
    env = {"CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": uri + "/storage/v1/", "HOME": str(tmp_path)}
    if kind == "metadata server":
        return {**env, "GCE_METADATA_HOST": uri.removeprefix("http://")}
    return {**env, "GOOGLE_APPLICATION_CREDENTIALS": str(account_file(tmp_path, uri)[0])}


@pytest.mark.parametrize("kind", ["metadata server", "service account"])
def test_identities(tool, scripted, tmp_path, kind):
    google = Google(accepts={"t1"})
    env = identity(scripted, google, tmp_path, kind)
    assert tool("cat", "gs://bucket/x", env=env).stdout == b"body"
    assert google.asked_with == ["t1"] and google.issued == 1


@pytest.mark.parametrize("kind", ["metadata server", "service account"])
def test_a_token_that_is_refused_is_replaced_once(tool, scripted, tmp_path, kind):
    google = Google(accepts={"t2"})
    env = identity(scripted, google, tmp_path, kind)
    assert tool("cat", "gs://bucket/x", env=env).stdout == b"body" and google.asked_with == ["t1", "t2"]
    google.accepts, google.asked_with = {"t4"}, []
    tool("put", "gs://bucket/x", env=env, data=DATA[:100])
    assert google.asked_with[:2] == ["t3", "t4"]


@pytest.mark.parametrize("words", [("cat", "gs://bucket/x"), ("list", "gs://bucket/x"), ("put", "gs://bucket/x")])
def test_an_identity_that_may_not_is_said_once_and_clearly(tool, scripted, tmp_path, words):
    google = Google(accepts=set())
    done = tool(*words, env=identity(scripted, google, tmp_path, "metadata server"), expect=1).stderr.decode()
    assert done.startswith("MLF_E_AUTH: gs://bucket/") and "Invalid Credentials" in done and done.count("\n") == 1 and google.asked_with == ["t1", "t2"]


def test_a_token_about_to_expire_is_renewed_before_it_is_used_again(tool, scripted, tmp_path):
    google = Google(accepts={f"t{n}" for n in range(100)}, lives_s=60)
    tool("put", "gs://bucket/x", env=identity(scripted, google, tmp_path, "metadata server"), data=DATA)
    assert google.issued > 1 and google.asked_with == [f"t{n + 1}" for n in range(google.issued)]


def test_a_metadata_server_that_answers_nonsense(tool, scripted, tmp_path):
    uri = scripted(lambda h: h.say(200, "<html>portal</html>")).uri
    env = {"GCE_METADATA_HOST": uri.removeprefix("http://"), "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": uri, "HOME": str(tmp_path)}
    assert "metadata server" in tool("cat", "gs://bucket/x", env=env, expect=1).stderr.decode()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type": "external_account"}', '{"type": "service_account"}', '{"type": "service_account", "client_email": "a", "private_key": "no pem"}', "x" * 2_000_000])
def test_key_files_that_are_none(tool, tmp_path, text):
    (tmp_path / "key.json").write_text(text)
    done = tool("cat", "gs://bucket/x", env={"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json")}, expect=1)
    assert done.stderr.startswith((b"MLF_E_AUTH", b"MLF_E_UNSUPPORTED")) and b"no pem" not in done.stderr


def test_a_missing_key_file(tool, tmp_path):
    assert b"none.json" in tool("cat", "gs://bucket/x", env={"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "none.json")}, expect=1).stderr


@pytest.mark.parametrize("body", ["", "[]", '{"items": [{"name": "other"}]}', '{"items": [{"name": "x/../y", "size": "1"}]}', '{"items": [{"name": 3}]}', '{"prefixes": [3]}', '{"prefixes": ["x//"]}', '{"nextPageToken": "again"}'])
def test_listings_that_are_none(tool, scripted, tmp_path, contents, body):
    server = scripted(lambda h: h.say(200, body) if "delimiter" in h.path else h.say(404, "{}"))
    done = tool("download", "gs://bucket/x", tmp_path / "out", env={"STORAGE_EMULATOR_HOST": server.uri}, expect=1)
    assert done.stderr.startswith(b"MLF_E_") and contents(tmp_path) == {}
