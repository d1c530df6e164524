"""Servers of buckets for tests, on a free loopback port; what the clients of Amazon and Google read back from them.

    with moto_server() as uri: …                   # s3://, no bucket yet
    with google_emulator("bucket") as uri: …       # gs://, with that bucket
"""

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from unittest import mock

import boto3
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from moto.server import ThreadedMotoServer

from mlflow_server import free_port


@contextlib.contextmanager
def moto_server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://127.0.0.1:%d" % server.get_host_and_port()[1]
    finally:
        server.stop()


def boto3_client(uri, secret="secret"):
    return boto3.client("s3", endpoint_url=uri, aws_access_key_id="id", aws_secret_access_key=secret, region_name="us-east-1")


@contextlib.contextmanager
def google_emulator(bucket):
    uri = f"http://127.0.0.1:{(port := free_port())}"
    start = "import sys; from gcp_storage_emulator.__main__ import main; main(sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", start, "start", "--host", "127.0.0.1", "--port", str(port), "--in-memory", "--default-bucket", bucket],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{uri}/storage/v1/b/{bucket}", timeout=5)
                break
            time.sleep(0.1)
        yield uri
    finally:
        process.terminate()
        process.wait()


def google_bucket(uri, name):
    with mock.patch.dict(os.environ, {"STORAGE_EMULATOR_HOST": uri}):
        return storage.Client(project="p", credentials=AnonymousCredentials()).bucket(name)
