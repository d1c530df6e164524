"""A real MLflow server that keeps its artifacts in a bucket (moto's): big files go there in parts, by addresses that the server signs; read back by boto3 and by MLflow's own client."""

import json
import os

import mlflow
import pytest

from bucket_servers import boto3_client, moto_server
from mlflow_server import MlflowServer

PART = 5 << 20  # the least that S3 allows
DATA = os.urandom(3 * PART + 12345)
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
PARTS = {"MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(PART), "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(PART)}


@pytest.fixture(scope="module")
def moto():
    with moto_server() as uri:
        yield uri


@pytest.fixture(scope="module")
def s3(moto):
    client = boto3_client(moto)
    client.create_bucket(Bucket="bucket")
    return client


@pytest.fixture(scope="module")
def server(moto, s3):
    with MlflowServer(artifacts="s3://bucket/mlflow", env={**KEYS, "MLFLOW_S3_ENDPOINT_URL": moto}) as running:
        yield running


def keys_and_etags(s3):
    return {item["Key"]: item["ETag"].strip('"') for item in s3.list_objects_v2(Bucket="bucket").get("Contents", [])}


def test_a_big_file_goes_to_the_bucket_in_parts(tool, server, s3, tmp_path):
    (tmp_path / "big.bin").write_bytes(DATA)
    (tmp_path / "small.bin").write_bytes(DATA[:100])
    mlflow.set_tracking_uri(server.uri)
    client = mlflow.MlflowClient(server.uri)
    run = client.create_run("0").info.run_id
    env = {"MLFLOW_TRACKING_URI": server.uri, "HOME": str(tmp_path), **PARTS}  # no keys of the bucket's: the server has them
    for name in ("big.bin", "small.bin"):
        tool("upload", tmp_path / name, f"runs:/{run}/in", env=env)
    stored = {key.rsplit("/", 1)[1]: (key, etag) for key, etag in keys_and_etags(s3).items()}
    assert stored["big.bin"][1].endswith("-4") and "-" not in stored["small.bin"][1]  # four parts; one piece
    assert s3.get_object(Bucket="bucket", Key=stored["big.bin"][0])["Body"].read() == DATA
    with open(client.download_artifacts(run, "in/big.bin", str(tmp_path)), "rb") as file:
        assert file.read() == DATA
    assert tool("cat", f"runs:/{run}/in/big.bin", env=env).stdout == DATA
    assert not s3.list_multipart_uploads(Bucket="bucket").get("Uploads")


def test_an_address_that_the_server_signed_is_read(tool, mlflowc, run_command, server, tmp_path):
    env = {**os.environ, "MLFLOW_TRACKING_URI": server.uri, "HOME": str(tmp_path)}
    tool("put", "mlflow-artifacts:/signed/x.bin", env=env, data=DATA[:1000])
    signed = json.loads(run_command([mlflowc, "call", "proxy_artifacts_presigned", "artifact_path=signed/x.bin", "--json"], env=env).stdout)
    assert tool("cat", signed["url"], env={"HOME": str(tmp_path)}).stdout == DATA[:1000]


def test_a_part_that_the_bucket_refuses_leaves_nothing(tool, server, s3, tmp_path):
    (tmp_path / "refused.bin").write_bytes(DATA)
    env = {"MLFLOW_TRACKING_URI": server.uri, "HOME": str(tmp_path), **PARTS, "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(1 << 20)}  # smaller than S3 allows
    done = tool("upload", tmp_path / "refused.bin", "mlflow-artifacts:/refused", env=env, expect=1)
    assert done.stderr.startswith(b"MLF_E_") and done.stderr.count(b"\n") == 1
    assert not any("refused" in key for key in keys_and_etags(s3)) and not s3.list_multipart_uploads(Bucket="bucket").get("Uploads")
