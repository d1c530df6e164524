#!/usr/bin/env python3
"""A large artifact to and from each store, beside curl, boto3, google-cloud-storage and the Python client moving as many bytes to and from the same server, in turn. Needs the release build and .venv.

    .venv/bin/python bench/client/artifacts.py [--build build] [--megabytes 1000] [--rounds 5] [--only proxy|s3|gs]

s3 and gs: a server in a process of its own that takes bytes and forgets them, and of a download says the CRC32C, as the stores do; proxy: the real MLflow server. curl and ours
are timed from start to end of the process; a peer in Python from the call alone, its imports before. CPU seconds are those of the client and of the server beside it: on two
cores both matter. The signed CRC32C of every part (s3) and that of the whole (gs) are made as always; the server says those of the parts back.
"""

import argparse
import base64
import json
import multiprocessing
import os
import pathlib
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import google_crc32c

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from mlflow_server import MlflowServer  # noqa: E402

BLOCK = bytes(range(256)) * 4096


def read_head(connection, rest):
    while b"\r\n\r\n" not in rest:
        data = connection.recv(65536)
        if not data:
            return None, b""
        rest += data
    head, _, rest = rest.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def whole_crc32c(size):
    checksum = google_crc32c.Checksum()
    for at in range(0, size, len(BLOCK)):
        checksum.update(BLOCK[: size - at])
    return base64.b64encode(checksum.digest()).decode()


def send_object(connection, method, head, size, crc32c):
    """All of it with its checksum, or the range asked for."""
    span = re.search(r"(?i)\nrange: *bytes=(\d+)-(\d*)", head)
    first, last = (int(span[1]), min(int(span[2] or size - 1), size - 1)) if span else (0, size - 1)
    headers = f"Content-Range: bytes {first}-{last}/{size}\r\n" if span else f"x-amz-checksum-crc32c: {crc32c}\r\nx-goog-hash: crc32c={crc32c}\r\n"
    connection.sendall(f'HTTP/1.1 {206 if span else 200} OK\r\nContent-Length: {last + 1 - first}\r\nETag: "part-1"\r\n{headers}\r\n'.encode())
    while method == "GET" and first <= last:
        begin = first % len(BLOCK)
        piece = memoryview(BLOCK)[begin : min(len(BLOCK), begin + last + 1 - first)]
        connection.sendall(piece)
        first += len(piece)


def serve_connection(connection, address, size, crc32c):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    room, rest, stored = bytearray(1 << 20), b"", 0
    while True:
        head, rest = read_head(connection, rest)
        if head is None:
            return connection.close()
        method, target = head.split(" ", 2)[:2]
        length = int((re.search(r"(?i)\ncontent-length: *(\d+)", head) or [0, 0])[1])
        if re.search(r"(?i)\nexpect: 100", head):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = length - len(rest)
        while left > 0:
            got = connection.recv_into(room, min(left, len(room)))
            if not got:
                return connection.close()
            left -= got
        rest = b""
        status, headers, body = "200 OK", "", b""
        if method in ("GET", "HEAD") and "prefix=" not in target and "list-type" not in target:
            send_object(connection, method, head, size, crc32c)
            continue
        if method == "POST" and "uploadType=resumable" in target:
            headers, stored = f"Location: {address}/session\r\n", 0
        elif method == "POST" and re.search(r"\?uploads=?$", target):
            body = b"<R><UploadId>one</UploadId></R>"
        elif method == "POST":
            body = b"<R/>"
        elif target == "/session":
            span = re.search(r"(?i)\ncontent-range: bytes ([^/]*)/(\S+)", head)
            stored = int(span[1].split("-")[1]) + 1 if "-" in span[1] else stored
            if span[2] == "*" or int(span[2]) != stored:
                status, headers = "308 Go on", f"Range: bytes=0-{stored - 1}\r\n"
            else:
                body = json.dumps({"size": str(stored)}).encode()
        elif method == "PUT":
            headers = 'ETag: "part-1"\r\n' + "".join(f"{line}\r\n" for line in re.findall(r"(?i)x-amz-checksum-crc32c:[^\r]*", head))
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)


def serve_until_gone(*arguments):
    try:
        serve_connection(*arguments)
    except ConnectionError:
        pass  # a client that has what it wants may hang up at once


def serve(ready, size):
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    address, crc32c = f"http://127.0.0.1:{listener.getsockname()[1]}", whole_crc32c(size)
    ready.put(address)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_until_gone, args=(connection, address, size, crc32c), daemon=True).start()


# ---- the peers ----


class Noise:
    """A stream of size bytes to read from."""

    def __init__(self, size):
        self.left, self.at = size, 0

    def read(self, n=-1):
        n = self.left if n < 0 else min(n, self.left)
        self.left -= n
        return BLOCK[:n] if n <= len(BLOCK) else (BLOCK * (n // len(BLOCK) + 1))[:n]


class Nowhere:
    def write(self, data):
        return len(data)


def peer_s3(operation, file, size):
    import boto3

    client = boto3.client("s3", region_name="us-east-1")
    return {"write": lambda: client.upload_fileobj(Noise(size), "bucket", "x"), "put": lambda: client.upload_file(file, "bucket", "x"), "read": lambda: client.download_fileobj("bucket", "x", Nowhere())}[operation]


def peer_gs(operation, file, size):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    blob = storage.Client(project="p", credentials=AnonymousCredentials()).bucket("bucket").blob("x")

    def write():
        with blob.open("wb", checksum=None) as out:  # the server forgets, so it has none to say
            while block := noise.read(len(BLOCK)):
                out.write(block)

    noise = Noise(size)
    return {"write": write, "put": lambda: blob.upload_from_filename(file, checksum=None), "read": lambda: blob.download_to_file(Nowhere())}[operation]


def peer_proxy(operation, file, size):
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository, folder = get_artifact_repository("mlflow-artifacts:/bench"), str(pathlib.Path(file).parent / "read")
    os.makedirs(folder, exist_ok=True)
    return {"put": lambda: repository.log_artifact(file), "read": lambda: repository.download_artifacts("big.bin", folder)}[operation]


def be_peer(scheme, operation, file, size):
    call = {"s3": peer_s3, "gs": peer_gs, "proxy": peer_proxy}[scheme](operation, file, int(size))
    cpu, begin = time.process_time(), time.monotonic()
    call()
    print(json.dumps({"seconds": time.monotonic() - begin, "cpu_s": time.process_time() - cpu, "resident_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


# ---- measuring ----


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(command, env, server_pid):
    """What the command says of itself, with what was not said measured from outside."""
    begin, server, children = time.monotonic(), cpu_seconds(server_pid) if server_pid else 0, resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(word) for word in command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    took, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    said = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    is_peer = command[0] == sys.executable
    return {
        "seconds": said["seconds"] if is_peer else took,
        "cpu_s": said["cpu_s"] if is_peer else after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime,
        "resident_kb": said.get("resident_kb", 0),
        "server_s": cpu_seconds(server_pid) - server if server_pid else 0,
    }


def compare(what, megabytes, rounds, commands, env, server_pid=None):
    """commands: {name: command}, curl the first; each round runs each once."""
    results = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            results[name].append(timed(command, env, server_pid))
    curl = statistics.median(r["seconds"] for r in results["curl"])
    for name, rows in results.items():
        seconds, cpu, server = (statistics.median(r[key] for r in rows) for key in ("seconds", "cpu_s", "server_s"))
        gigabytes, resident = megabytes / 1000, max(r["resident_kb"] for r in rows)
        print(f"{what}: {name:20} {megabytes / seconds:5.0f} MB/s ({100 * curl / seconds:3.0f} %), CPU {cpu / gigabytes:.2f} + server {server / gigabytes:.2f} s a GB" + (f", resident {resident / 1000:.1f} MB" if resident else ""), flush=True)


def main():
    if sys.argv[1:2] == ["be-peer"]:
        return be_peer(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=["proxy", "s3", "gs"])
    options = parser.parse_args()
    transfer, size = pathlib.Path(options.build) / "bench" / "client" / "bench_transfer", options.megabytes * 1_000_000
    subprocess.run(["ninja", "-C", options.build, "bench/client/bench_transfer"], check=True, stdout=subprocess.DEVNULL)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AWS_", "GOOGLE_")) and not name.lower().endswith("_proxy")}
    with tempfile.TemporaryDirectory(prefix="bench-artifacts-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        file = pathlib.Path(folder) / "big.bin"
        with file.open("wb") as out:
            for at in range(0, size, len(BLOCK)):
                out.write(BLOCK[: size - at])
        env |= {"HOME": folder, "MLFLOW_JOURNAL_DIR": folder + "/journals", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": base64.b64encode(os.urandom(9)).decode()}
        ready = multiprocessing.Queue()
        server = multiprocessing.Process(target=serve, args=(ready, size), daemon=True)
        server.start()
        address = ready.get(timeout=30)
        env |= {"AWS_ENDPOINT_URL": address, "STORAGE_EMULATOR_HOST": address}
        put, get = ["curl", "-sf", "-o", "/dev/null", "-T", file, address + "/plain"], ["curl", "-sf", "-o", "/dev/null", address + "/plain"]
        for scheme, peer in (("s3", "boto3"), ("gs", "google-cloud-storage")):
            uri = f"{scheme}://bucket/x"
            rows = {"a stream written": ("write", put, ["write", uri, size]), "a file put": ("put", put, ["upload", file, uri]), "read": ("read", get, ["read", uri])}
            for what, (operation, curl, ours) in rows.items() if options.only in (None, scheme) else ():
                peers = [sys.executable, __file__, "be-peer", scheme, operation, file, size]
                compare(f"{scheme}, {what}", options.megabytes, options.rounds, {"curl": curl, "ours": [transfer, *ours], peer: peers}, env, server.pid)
        server.terminate()
        if options.only in (None, "proxy"):
            with MlflowServer() as mlflow:
                env["MLFLOW_TRACKING_URI"] = mlflow.uri
                tree = mlflow.uri + "/api/2.0/mlflow-artifacts/artifacts/bench/big.bin"
                put, get = ["curl", "-sf", "-o", "/dev/null", "-T", file, tree], ["curl", "-sf", "-o", "/dev/null", tree]
                peer = [sys.executable, __file__, "be-peer", "proxy"]
                compare("proxy, a file put", options.megabytes, options.rounds,
                        {"curl": put, "ours": [transfer, "upload", file, "mlflow-artifacts:/bench"], "Python client": [*peer, "put", file, size]}, env)  # fmt: skip
                compare("proxy, read", options.megabytes, options.rounds,
                        {"curl": get, "ours": [transfer, "read", "mlflow-artifacts:/bench/big.bin"], "Python client": [*peer, "read", file, size]}, env)  # fmt: skip


if __name__ == "__main__":
    main()
