"""s3:// against moto's server, read back by boto3; and against a server of a few lines where moto is too kind."""

import base64
import hashlib
import http.client
import json
import os
import subprocess
import time

import pytest

from bucket_servers import boto3_client, moto_server

PART = 8 << 20
DATA = os.urandom(2 * PART + 1_000_003)  # three parts
ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>{}</Message></Error>"


@pytest.fixture(scope="module")
def moto_uri():
    with moto_server() as uri:
        yield uri


@pytest.fixture
def env(moto_uri, tmp_path):
    return {"AWS_ENDPOINT_URL": moto_uri, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}


@pytest.fixture
def s3(moto_uri):
    client = boto3_client(moto_uri)
    client.create_bucket(Bucket="bucket")
    yield client
    while items := client.list_objects_v2(Bucket="bucket").get("Contents", []):
        client.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": item["Key"]} for item in items]})


def test_a_tree_there_and_back(tool, env, s3, tree, tmp_path, contents):
    tool("upload", tree, "s3://bucket/some/place", env=env)
    assert {i["Key"].removeprefix("some/place/"): s3.get_object(Bucket="bucket", Key=i["Key"])["Body"].read() for i in s3.list_objects_v2(Bucket="bucket")["Contents"]} == contents(tree)
    tool("download", "s3://bucket/some/place", tmp_path / "down", env=env)
    assert contents(tmp_path / "down") == contents(tree)
    tool("delete", "s3://bucket/some", env=env)
    assert "Contents" not in s3.list_objects_v2(Bucket="bucket")


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 2 * PART, 2 * PART + 1, len(DATA), 6 * PART + 5])
def test_streams_and_files_of_every_size(tool, env, s3, tmp_path, size):
    data = (DATA * 3)[:size]
    (tmp_path / "file.bin").write_bytes(data)
    tool("put", "s3://bucket/stream.bin", env=env, data=data)
    tool("upload", tmp_path / "file.bin", "s3://bucket", env=env)
    for key in ("stream.bin", "file.bin"):
        assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == data
        assert tool("cat", f"s3://bucket/{key}", env=env).stdout == data


def test_many_pages(tool, env, s3):
    for i in range(1100):
        s3.put_object(Bucket="bucket", Key=f"pages/{i:04}", Body=b"x")
    assert len(tool("list", "s3://bucket/pages", env=env).stdout.split(b"\n")) == 1101


def test_an_abort_leaves_nothing(tool, env, s3):
    tool("put", "s3://bucket/gone.bin", len(DATA), env=env, data=DATA)
    assert "Contents" not in s3.list_objects_v2(Bucket="bucket") and not s3.list_multipart_uploads(Bucket="bucket").get("Uploads")


def test_no_bucket_no_key(tool, env, s3):
    for words in (("cat", "s3://nobucket/x"), ("cat", "s3://bucket/none"), ("list", "s3://nobucket"), ("put", "s3://nobucket/x")):
        assert tool(*words, env=env, expect=1).stderr.startswith(b"MLF_E_NOT_FOUND: s3://")
    assert tool("put", "s3://nobucket/x", env=env, data=DATA, expect=1).stderr.startswith(b"MLF_E_NOT_FOUND: s3://nobucket/x: POST: 404 NoSuchBucket")


def test_keys_from_the_profile_file(tool, env, s3, tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[other]\naws_access_key_id = a\n# comment\n[work]\naws_access_key_id=FROMFILE\naws_secret_access_key = s=s\n")
    (tmp_path / ".aws" / "config").write_text("[profile work]\nregion = eu-central-1\n")
    without = {**env, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    tool("put", "s3://bucket/x", env={**without, "AWS_PROFILE": "work"}, data=b"x")
    assert tool("put", "s3://bucket/x", env={**without, "AWS_PROFILE": "nobody"}, expect=1).stderr.startswith(b"MLF_E_ARGUMENT")


@pytest.fixture
def killed_download(scripted, moto_uri, env, build_root, tmp_path):
    """killed_download(uri, folder, at): a download whose process is killed when `at` bytes of the object that ends with big.bin have been sent. Then: (an environment that
    goes to the bucket unhindered, the list of (path, Range) that it asks for)."""
    program, state, asked = build_root / "tests" / "mlflow_client" / "artifact" / "artifact_tool", {}, []

    def script(h):
        asked.append((h.path.split("?")[0], h.headers.get("Range")))
        there = http.client.HTTPConnection(moto_uri.removeprefix("http://"))
        there.request(h.command, h.path, h.body, {name: value for name, value in h.headers.items() if name != "Host"})
        came = there.getresponse()
        body, headers = came.read(), {name: value for name, value in came.getheaders() if name.lower() in ("etag", "content-range", "content-type") or name.lower().startswith("x-amz")}
        if "process" in state and h.command == "GET" and h.path.split("?")[0].endswith("big.bin"):
            h.cut(len(body), body[: state["at"]], headers, came.status)
            time.sleep(0.3)
            state.pop("process").kill()
        else:
            h.say(came.status, body, headers)

    through = {**env, "AWS_ENDPOINT_URL": scripted(script).uri}

    def run(uri, folder, at):
        state["at"] = at
        state["process"] = subprocess.Popen([program, "download", uri, folder], env={**os.environ, **through})
        assert state["process"].wait(60) == -9
        asked.clear()
        return through, asked

    return run


@pytest.mark.parametrize("parts", [1, 3])  # one digest for the whole object, and none
def test_a_download_goes_on_after_a_kill(tool, s3, killed_download, tmp_path, contents, parts):
    if parts == 1:
        s3.put_object(Bucket="bucket", Key="m/big.bin", Body=DATA)
    else:
        tool("upload", (tmp_path / "big.bin").write_bytes(DATA) and tmp_path / "big.bin", "s3://bucket/m", env={"AWS_ENDPOINT_URL": s3.meta.endpoint_url, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"})
    s3.put_object(Bucket="bucket", Key="m/small.txt", Body=b"small")
    out = tmp_path / "out"
    env, asked = killed_download("s3://bucket/m", out, 5_000_000)
    assert [name for name in os.listdir(out) if not name.startswith(".mlf-download-")] == []  # nothing is visible before all is here
    done = tool("fetch", "s3://bucket/m", out, env=env)
    assert contents(out) == {"big.bin": DATA, "small.txt": b"small"} and int(done.stdout) == len(DATA) + 5  # what had come is progress, too
    (begin,) = [int(said.removeprefix("bytes=").rstrip("-")) for path, said in asked if path.endswith("big.bin")]
    assert 1 << 20 <= begin <= 5_000_000


def test_another_version_after_a_kill_is_fetched_whole(tool, s3, killed_download, tmp_path, contents):
    s3.put_object(Bucket="bucket", Key="m/big.bin", Body=DATA)
    env, asked = killed_download("s3://bucket/m", tmp_path / "out", 5_000_000)
    for data in (DATA[::-1], DATA[:1000]):  # as long, and shorter than what is here
        s3.put_object(Bucket="bucket", Key="m/big.bin", Body=data)
        tool("download", "s3://bucket/m", tmp_path / "out", env=env)
        assert contents(tmp_path / "out") == {"big.bin": data}
        s3.put_object(Bucket="bucket", Key="m/big.bin", Body=DATA)
        killed_download("s3://bucket/m", tmp_path / "out", 5_000_000)


def test_a_part_that_is_not_what_came_is_fetched_again(tool, s3, killed_download, tmp_path, contents):
    """Somebody wrote into it, and the machine was started anew meanwhile: its disk may have lost anything."""
    s3.put_object(Bucket="bucket", Key="m/big.bin", Body=DATA)
    out = tmp_path / "out"
    env, asked = killed_download("s3://bucket/m", out, 5_000_000)
    (tag,) = out.glob(".mlf-download-*/*.tag")
    with open(tag.with_suffix(""), "r+b") as part:
        part.write(bytes(1000))
    tool("download", "s3://bucket/m", out, env=env)
    assert contents(out) == {"big.bin": DATA} and [said for path, said in asked if path.endswith("big.bin")][-1] is None
    killed_download("s3://bucket/m", out, 5_000_000)
    (tag,) = out.glob(".mlf-download-*/*.tag")
    tag.write_text("00000000-0000-0000-0000-000000000000" + tag.read_text()[36:])
    tool("download", "s3://bucket/m", out, env=env)
    assert contents(out) == {"big.bin": DATA} and [said for path, said in asked if path.endswith("big.bin")] == [None]


def test_a_download_that_failed_goes_on_and_leaves_little_behind(tool, env, s3, scripted, tmp_path, contents):
    s3.put_object(Bucket="bucket", Key="m/big.bin", Body=DATA)
    s3.put_object(Bucket="bucket", Key="tiny/file", Body=b"x" * 1000)

    def script(h):
        path = h.path.split("?")[0]
        if "list-type" in h.path:
            there = http.client.HTTPConnection(s3.meta.endpoint_url.removeprefix("http://"))
            there.request("GET", h.path)
            h.say(200, there.getresponse().read())
        elif h.headers.get("Range"):
            h.close_connection = True
        else:
            h.cut(len(DATA) if path.endswith("big.bin") else 1000, DATA[:5_000_000] if path.endswith("big.bin") else b"x" * 10, {"ETag": '"a"'})

    away = {**env, "AWS_ENDPOINT_URL": scripted(script).uri}
    for name, left in (("tiny", 0), ("m", 1)):
        tool("download", f"s3://bucket/{name}", tmp_path / name, env=away, expect=1)
        assert len(list(tmp_path.glob(f"{name}/.mlf-download-*"))) == left
    tool("download", "s3://bucket/m", tmp_path / "m", env=env)
    assert contents(tmp_path / "m") == {"big.bin": DATA}


def as_boto_signs(handler, token=None):
    """The Authorization that boto3 would send for this very request."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(method=handler.command, url=f"http://{handler.headers['Host']}{handler.path}", data=handler.body)
    said = handler.headers["X-Amz-Content-SHA256"]
    assert said in ("UNSIGNED-PAYLOAD" if handler.body else "", hashlib.sha256(handler.body).hexdigest())
    request.headers["X-Amz-Content-SHA256"] = said
    for name in handler.headers:
        if name.lower().startswith("x-amz-checksum-"):
            request.headers[name] = handler.headers[name]
    request.context["timestamp"] = handler.headers["x-amz-date"]
    auth = S3SigV4Auth(Credentials("id", "secret", token), "s3", "us-east-1")
    if token:
        request.headers["X-Amz-Security-Token"] = token
    request.headers["X-Amz-Date"] = handler.headers["x-amz-date"]
    canonical = auth.canonical_request(request)
    return "AWS4-HMAC-SHA256 Credential=id/" + auth.credential_scope(request) + ", SignedHeaders=" + auth.signed_headers(auth.headers_to_sign(request)) + ", Signature=" + auth.signature(auth.string_to_sign(request, canonical), request)  # fmt: skip


@pytest.mark.parametrize("token", [None, "tok/en+=="])
@pytest.mark.parametrize("key", ["plain", "with blank", "é/ü", "a+b&c=d?e#f", "dots/.hidden", "~tilde*star'quote(1)", "%41"])
def test_the_signature_is_botos(tool, env, scripted, key, token):
    seen = []

    def script(h):
        seen.append((h.headers["Authorization"], as_boto_signs(h, token)))
        if "list-type" in h.path:
            return h.say(200, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        h.say(200, b"", {"ETag": '"x"', "x-amz-checksum-crc32c": h.headers["x-amz-checksum-crc32c"]})

    env = {**env, "AWS_ENDPOINT_URL": scripted(script).uri, **({"AWS_SESSION_TOKEN": token} if token else {})}
    tool("put", f"s3://bucket/{key}", env=env, data=b"body")
    tool("list", f"s3://bucket/{key}", env=env)
    assert len(seen) == 2 and all(ours == theirs for ours, theirs in seen), seen


@pytest.mark.parametrize("name, status", [("InvalidAccessKeyId", 403), ("SignatureDoesNotMatch", 403), ("ExpiredToken", 400), ("AccessDenied", 403)])
def test_a_wrong_key_is_said_once_and_clearly(tool, env, scripted, name, status):
    server = scripted(lambda h: h.say(status, ERROR.format(name, "Told you.")))
    for words in (("cat", "s3://bucket/x"), ("put", "s3://bucket/x"), ("list", "s3://bucket/x")):
        done = tool(*words, env={**env, "AWS_ENDPOINT_URL": server.uri}, expect=1).stderr.decode()
        assert done.startswith("MLF_E_AUTH: s3://bucket/") and name in done and "Told you" in done and done.count("\n") == 1
    assert len(server.requests) == 3


def test_the_store_has_other_bytes(tool, env, scripted):
    server = scripted(lambda h: h.say(200, b"", {"ETag": '"' + "0" * 32 + '"'}))
    assert tool("put", "s3://bucket/x", env={**env, "AWS_ENDPOINT_URL": server.uri}, data=b"x", expect=1).stderr.startswith(b"MLF_E_INTEGRITY")


def crc32c(data):
    """In base64, bit by bit: nothing of ours."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return base64.b64encode((crc ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


@pytest.mark.parametrize("said", [crc32c(b"body"), crc32c(b"b0dy"), "", "AAAA", "no base64", crc32c(b"body") + "-1"])
def test_a_crc32c_is_sent_and_what_the_store_says_of_it_compared(tool, env, scripted, said):
    """One that says none gets the bytes again, with their SHA-256 signed."""
    server = scripted(lambda h: seen.append({k.lower(): v for k, v in h.headers.items()}) or h.say(200, b"", {"ETag": '"x"', **({"x-amz-checksum-crc32c": said} if said else {})}))
    seen = []
    done = tool("put", "s3://bucket/x", env={**env, "AWS_ENDPOINT_URL": server.uri}, data=b"body", expect=int(said == crc32c(b"b0dy")))
    assert seen[0]["x-amz-checksum-crc32c"] == crc32c(b"body") and seen[0]["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD" and "x-amz-checksum-crc32c" in seen[0]["authorization"]
    if said in (crc32c(b"body"), crc32c(b"b0dy")):
        assert len(seen) == 1 and (said == crc32c(b"body") or done.stderr.startswith(b"MLF_E_INTEGRITY"))
    else:
        assert len(seen) == 2 and seen[1]["x-amz-content-sha256"] == hashlib.sha256(b"body").hexdigest() and "x-amz-checksum-crc32c" not in seen[1]


@pytest.mark.parametrize("status", [400, 501])
def test_a_store_that_refuses_a_crc32c_gets_the_sha256(tool, env, scripted, status):
    def script(h):
        if any(name.lower().startswith("x-amz-checksum-") for name in h.headers):
            return h.say(status, ERROR.format("NotImplemented", "what is that?"))
        h.say(200, "<R><UploadId>i</UploadId></R>", {"ETag": '"x-1"'})
        seen.append((h.command, h.headers["x-amz-content-sha256"] == hashlib.sha256(h.body).hexdigest()))

    seen = []
    tool("put", "s3://bucket/x", env={**env, "AWS_ENDPOINT_URL": scripted(script).uri}, data=DATA)
    assert seen == [("POST", True)] + 3 * [("PUT", True)] + [("POST", True)]


@pytest.mark.parametrize("how", ["put", "upload"])
def test_parts_with_their_crc32c(tool, env, scripted, tmp_path, how):
    """As Amazon wants it: the algorithm named first, each part's own again when they are joined."""
    def script(h):
        requests.append((h.command, h.path, dict(h.headers), h.body))
        h.say(200, "<R><UploadId>i</UploadId></R>", {"ETag": '"x-1"', **({"x-amz-checksum-crc32c": h.headers["x-amz-checksum-crc32c"]} if h.command == "PUT" else {})})

    requests = []
    (tmp_path / "x").write_bytes(DATA)
    env = {**env, "AWS_ENDPOINT_URL": scripted(script).uri}
    tool("put", "s3://bucket/x", env=env, data=DATA) if how == "put" else tool("upload", tmp_path / "x", "s3://bucket", env=env)
    parts = sorted((r for r in requests if r[0] == "PUT"), key=lambda r: r[1])
    assert requests[0][2]["x-amz-checksum-algorithm"] == "CRC32C" and b"".join(r[3] for r in parts) == DATA
    assert all(r[2]["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD" for r in parts) and len({r[2]["x-amz-checksum-crc32c"] for r in parts}) == 3
    joined = requests[-1][3].decode()
    assert [f"<ChecksumCRC32C>{r[2]['x-amz-checksum-crc32c']}</ChecksumCRC32C></Part>" in joined for r in parts] == [True] * 3
    assert parts[2][2]["x-amz-checksum-crc32c"] == crc32c(DATA[2 * PART :])


@pytest.mark.parametrize("other", [{"http_proxy": "URI"}, {"MLFLOW_S3_IGNORE_TLS": "true"}])
def test_where_bytes_can_be_changed_under_way_their_sha256_is_signed(tool, env, scripted, other):
    seen = []
    server = scripted(lambda h: seen.append((h.headers["x-amz-content-sha256"], h.headers.get("x-amz-checksum-crc32c"))) or h.say(200, b"", {"ETag": '"x"'}))
    env = {**env, "AWS_ENDPOINT_URL": server.uri, **{name: value.replace("URI", server.uri) for name, value in other.items()}}
    tool("put", "s3://bucket/x", env=env, data=b"body")
    tool("put", "s3://bucket/x", env={**env, "AWS_ENDPOINT_URL": "http://store.example:1", "http_proxy": server.uri}, data=b"body")
    assert seen == 2 * [(hashlib.sha256(b"body").hexdigest(), None)]


def test_a_download_is_checked_by_its_crc32c(tool, env, scripted):
    def script(h):
        assert h.headers["x-amz-checksum-mode"] == "ENABLED"
        h.say(200, b"evil", {"ETag": '"x"', "x-amz-checksum-crc32c": crc32c(b"good" if "bad" in h.path else b"evil")})

    env = {**env, "AWS_ENDPOINT_URL": scripted(script).uri}
    assert tool("cat", "s3://bucket/fine", env=env).stdout == b"evil"
    assert tool("cat", "s3://bucket/bad", env=env, expect=1).stderr.startswith(b"MLF_E_INTEGRITY")


def test_the_download_has_other_bytes(tool, env, scripted, tmp_path, contents):
    def script(h):
        h.say(200, "<ListBucketResult/>") if "list-type" in h.path else h.say(200, b"evil", {"ETag": '"' + hashlib.md5(b"good").hexdigest() + '"'})

    done = tool("download", "s3://bucket/x", tmp_path / "out", env={**env, "AWS_ENDPOINT_URL": scripted(script).uri}, expect=1)
    assert done.stderr.startswith(b"MLF_E_INTEGRITY") and contents(tmp_path) == {}


def test_a_part_that_fails_for_good(tool, env, scripted):
    def script(h):
        if h.command == "POST" and h.path.endswith("?uploads="):
            return h.say(200, "<R><UploadId>the&amp;id</UploadId></R>")
        h.say(204) if h.command == "DELETE" else h.say(500, ERROR.format("InternalError", "no"))

    server = scripted(script)
    tool("put", "s3://bucket/x", env={**env, "AWS_ENDPOINT_URL": server.uri}, data=DATA, expect=1)
    assert server.requests[-1][:2] == ("DELETE", "/bucket/x?uploadId=the%26id") and not any(r[0] == "POST" and "uploadId" in r[1] for r in server.requests)


def test_parts_that_cannot_be_joined(tool, env, scripted):
    def script(h):
        if h.command == "POST":
            return h.say(200, "<R><UploadId>i</UploadId></R>" if h.path.endswith("?uploads=") else ERROR.format("InternalError", "late"))
        h.say(200, b"", {"ETag": '"x-1"'})

    done = tool("put", "s3://bucket/x", env={**env, "AWS_ENDPOINT_URL": scripted(script).uri}, data=DATA, expect=1)
    assert b"late" in done.stderr


@pytest.mark.parametrize("body", ["", "<html>", "<ListBucketResult>", "<ListBucketResult><Contents><Key>other</Key></Contents></ListBucketResult>", "<ListBucketResult><Contents><Key>x/../y</Key></Contents></ListBucketResult>",
                                  "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
                                  "<ListBucketResult><CommonPrefixes><Prefix>x//</Prefix></CommonPrefixes></ListBucketResult>", "<!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult/>", "<ListBucketResult><Contents><Key>x/&bad;</Key></Contents></ListBucketResult>"])  # fmt: skip
def test_listings_that_are_none(tool, env, scripted, tmp_path, contents, body):
    server = scripted(lambda h: h.say(200, body) if "list-type" in h.path else h.say(404, ERROR.format("NoSuchKey", "no")))
    done = tool("download", "s3://bucket/x", tmp_path / "out", env={**env, "AWS_ENDPOINT_URL": server.uri}, expect=1)
    assert done.stderr.startswith(b"MLF_E_") and contents(tmp_path) == {}


def identity_server(h):
    """IMDSv2, a container's address and the token service in one."""
    keys = {"AccessKeyId": "id", "SecretAccessKey": "secret", "Token": "tok/en+==", "Expiration": "2099-01-01T00:00:00Z"}
    if h.path == "/latest/api/token":
        return h.say(200, "imds-token") if h.command == "PUT" else h.say(405)
    if h.path.startswith("/latest/meta-data/iam/security-credentials/"):
        if h.headers.get("X-aws-ec2-metadata-token") != "imds-token":
            return h.say(401)
        return h.say(200, json.dumps(keys) if h.path.endswith("/role") else "role")
    if h.path == "/container":
        return h.say(200, json.dumps(keys)) if h.headers.get("Authorization") == "pod-token" else h.say(403)
    if "AssumeRoleWithWebIdentity" in h.path:
        fine = "WebIdentityToken=the.jwt&" in h.path + "&" and "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr" in h.path
        return h.say(200, "<A><R><Credentials><AccessKeyId>id</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>tok/en+==</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></R></A>") if fine else h.say(403, ERROR.format("AccessDenied", "no"))  # fmt: skip
    h.say(200 if h.headers["Authorization"] == as_boto_signs(h, "tok/en+==") else 403, b"body", {"ETag": '"x"'})


@pytest.mark.parametrize("kind", ["instance", "container", "web identity"])
def test_identities(tool, scripted, tmp_path, kind):
    uri = scripted(identity_server).uri
    (tmp_path / "token").write_text("the.jwt\n")
    env = {"AWS_ENDPOINT_URL": uri, "HOME": str(tmp_path), "AWS_REGION": "us-east-1", **{
        "instance": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": uri},
        "container": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri + "/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "pod-token"},
        "web identity": {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/r"},
    }[kind]}  # fmt: skip
    assert tool("cat", "s3://bucket/x", env=env).stdout == b"body"


def test_secrets_stay_out_of_messages(tool, env, scripted):
    env = {**env, "AWS_SECRET_ACCESS_KEY": "very-secret", "AWS_SESSION_TOKEN": "very-token", "AWS_ENDPOINT_URL": scripted(lambda h: h.say(403, ERROR.format("AccessDenied", "no"))).uri}
    done = tool("cat", "s3://bucket/x", env=env, expect=1)
    assert b"very-" not in done.stderr + done.stdout
