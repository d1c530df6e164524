#!/usr/bin/env python3
"""A large artifact to and from each store, beside curl moving the same bytes to and from the same server, in one run. Needs the release build and .venv.

    .venv/bin/python bench/client/artifacts.py [--build build] [--megabytes 1000] [--rounds 3] [--only proxy|s3|gs]

s3 and gs: a server in a process of its own that takes bytes and forgets them, so that the client is what is measured; proxy: the real MLflow server. Each round times
curl and ours in turn; the medians are compared. The signed CRC32C of every part (s3) and that of the whole (gs) are made as always; nothing checks them here, but the store says those of the parts back.
"""

import argparse
import base64
import json
import multiprocessing
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

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


def serve_connection(connection, address, size):
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
        if method == "GET" and "prefix=" not in target and "list-type" not in target:
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
            for at in range(0, size, len(BLOCK)):
                connection.sendall(BLOCK[: size - at])
            continue
        if method == "POST" and "uploadType=resumable" in target:
            headers, stored = f"Location: {address}/session\r\n", 0
        elif method == "POST" and target.endswith("?uploads="):
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


def serve(ready, size):
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ready.put(address)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_connection, args=(connection, address, size), daemon=True).start()


def timed(command, env):
    begin = time.monotonic()
    done = subprocess.run([str(word) for word in command], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    took = time.monotonic() - begin
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return took, done.stdout


def compare(what, megabytes, rounds, curl, ours, env):
    """Each command's median rate, and ours over curl's."""
    rates, cpu, resident = ([], []), [], []
    for _ in range(rounds):
        rates[0].append(megabytes / timed(curl, env)[0])
        took, text = timed(ours, env)
        said = json.loads(text)
        rates[1].append(megabytes / took)
        cpu.append(said["cpu_s"])
        resident.append(said["resident_kb"])
    theirs, mine = statistics.median(rates[0]), statistics.median(rates[1])
    print(f"{what}: {mine:.0f} MB/s, curl {theirs:.0f} MB/s ({100 * mine / theirs:.0f} %), CPU {statistics.median(cpu) * 1000 / megabytes:.2f} s a GB, resident {max(resident)} KB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["proxy", "s3", "gs"])
    options = parser.parse_args()
    transfer, size = pathlib.Path(options.build) / "bench" / "client" / "bench_transfer", options.megabytes * 1_000_000
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
        for scheme in ("s3", "gs"):
            if options.only in (None, scheme):
                compare(f"{scheme}, a stream written", options.megabytes, options.rounds, put, [transfer, "write", f"{scheme}://bucket/x", size], env)
                compare(f"{scheme}, a file put", options.megabytes, options.rounds, put, [transfer, "upload", file, f"{scheme}://bucket/x"], env)
                compare(f"{scheme}, read", options.megabytes, options.rounds, get, [transfer, "read", f"{scheme}://bucket/x"], env)
        server.terminate()
        if options.only in (None, "proxy"):
            with MlflowServer() as mlflow:
                env["MLFLOW_TRACKING_URI"] = mlflow.uri
                tree = mlflow.uri + "/api/2.0/mlflow-artifacts/artifacts/bench/big.bin"
                compare("proxy, a file put", options.megabytes, options.rounds, ["curl", "-sf", "-o", "/dev/null", "-T", file, tree], [transfer, "upload", file, "mlflow-artifacts:/bench"], env)
                compare("proxy, read", options.megabytes, options.rounds, ["curl", "-sf", "-o", "/dev/null", tree], [transfer, "read", "mlflow-artifacts:/bench/big.bin"], env)


if __name__ == "__main__":
    main()
