#!/usr/bin/env python3
"""What logging costs, beside the Python client and beside bare HTTP, in one run on one machine. Prints a table of lines; needs the release build and .venv.

    .venv/bin/python bench/client/run.py [--build build] [--points 100000]
"""

import argparse
import http.client
import json
import os
import pathlib
import resource
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

PEER = """
import resource, sys, time
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric
n, mode = int(sys.argv[1]), sys.argv[2]
begin = time.monotonic()
client = MlflowClient()
run = client.create_run("0").info.run_id
took = []
if mode == "batches":
    for at in range(0, n, 1000):
        client.log_batch(run, [Metric("loss", i / 3, int(time.time() * 1000), i) for i in range(at, at + 1000)], synchronous=True)
else:
    for i in range(n):
        before = time.perf_counter()
        client.log_metric(run, "loss", i / 3, step=i, synchronous=mode == "synchronous")
        took.append(time.perf_counter() - before)
    if mode == "asynchronous":
        mlflow.flush_async_logging()
client.set_terminated(run)
usage = resource.getrusage(resource.RUSAGE_SELF)
took.sort()
call = f", a call: median {took[len(took) // 2] * 1e6:.0f} us, p99 {took[len(took) * 99 // 100] * 1e6:.0f} us" if took else ""
print(f"Python client, {n} points, {mode}: {time.monotonic() - begin:.2f} s, CPU {usage.ru_utime + usage.ru_stime:.2f} s, resident {usage.ru_maxrss} KB{call}")
"""


def post(port, path, body, connection=None):
    connection = connection or http.client.HTTPConnection("127.0.0.1", port)
    if connection.sock is None:
        connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, text
    return json.loads(text)


def bare(port, points, connections):
    """Full batches of the points that ours logs, made beforehand, on so many kept-alive connections: points a second."""
    run = post(port, "/api/2.0/mlflow/runs/create", json.dumps({"experiment_id": "0", "start_time": 1}))["run"]["info"]["run_id"]
    now = int(time.time() * 1000)
    bodies = [
        json.dumps({"run_id": run, "metrics": [{"key": "loss" if i % 2 else "accuracy", "value": i / 3, "timestamp": now, "step": i // 2} for i in range(at, at + 1000)]})
        for at in range(0, points, 1000)
    ]  # fmt: skip

    def work(mine):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for body in mine:
            post(port, "/api/2.0/mlflow/runs/log-batch", body, connection)

    threads = [threading.Thread(target=work, args=(bodies[i::connections],)) for i in range(connections)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return points / (time.monotonic() - begin)


def bare_run(port):
    """A run, ten metrics and its end, posted on one kept-alive connection: the server's own time, in seconds."""
    connection, now = http.client.HTTPConnection("127.0.0.1", port), int(time.time() * 1000)
    begin = time.monotonic()
    run = post(port, "/api/2.0/mlflow/runs/create", json.dumps({"experiment_id": "0", "start_time": now}), connection)["run"]["info"]["run_id"]
    metrics = [{"key": "accuracy" if i % 2 else "loss", "value": i / 3, "timestamp": now, "step": i // 2} for i in range(10)]
    post(port, "/api/2.0/mlflow/runs/log-batch", json.dumps({"run_id": run, "metrics": metrics}), connection)
    post(port, "/api/2.0/mlflow/runs/update", json.dumps({"run_id": run, "status": "FINISHED", "end_time": now}), connection)
    return time.monotonic() - begin


def bare_calls(port, n):
    """runs/log-metric n times on one kept-alive connection, with TCP_QUICKACK: the median of a call, in ms; the server's own time and the way there."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    run = post(port, "/api/2.0/mlflow/runs/create", json.dumps({"experiment_id": "0", "start_time": 1}), connection)["run"]["info"]["run_id"]
    took = []
    for i in range(n):
        body = json.dumps({"run_id": run, "key": "loss", "value": i / 3, "timestamp": 1 + i, "step": i})
        begin = time.perf_counter()
        post(port, "/api/2.0/mlflow/runs/log-metric", body, connection)
        took.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(took)


def compare_calls(program, port, env):
    """A synchronous call, ours and bare in turn."""
    ours, alone = [], []
    for _ in range(5):
        alone.append(bare_calls(port, 200))
        ours.append(run_ours(program, 200, env))
    mine, bare_ms = statistics.median(result["median_ms"] for result in ours), statistics.median(alone)
    print(f"a synchronous call: {mine:.2f} ms (p99 {statistics.median(result['p99_ms'] for result in ours):.2f}), the same request bare {bare_ms:.2f} ms: "
          f"{mine - bare_ms:+.2f} ms (medians of 5 rounds of 200)", flush=True)  # fmt: skip


def process_seconds(command, env):
    """From its start to its end."""
    begin = time.monotonic()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - begin


def run_ours(program, points, env):
    done = subprocess.run([str(program), str(points)], env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def sync_offline(options, programs, env, folder):
    """As many points recorded without the server, then brought to it by `mlflowc sync`: its seconds, and its CPU seconds."""
    env = env | {"MLFLOW_JOURNAL_DIR": folder}
    run_ours(programs / "bench_throughput", options.points, env | {"MLFLOW_OFFLINE": "1"})
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([pathlib.Path(options.build) / "mlflow_client" / "mlflowc", "sync"], env=env, check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare_throughput(options, programs, env, folder, port, start_cpu_s):
    """Ours and `mlflowc sync` in turn, each between two rounds of bare posting, whose mean it is compared with: the server slows down as its table grows."""
    ratios = {"ours": [], "sync": []}
    before = bare(port, options.points, 4)
    for _ in range(options.rounds):
        for who in ratios:
            if who == "ours":
                result = run_ours(programs / "bench_throughput", options.points, env)
                seconds, cpu = result["seconds"], result["cpu_s"] - start_cpu_s  # without what starting and ending costs
                what = f"{options.points} points to the server, resident {result['resident_kb']} KB"
            else:
                seconds, cpu = sync_offline(options, programs, env, folder)
                what = "the same, recorded offline, then `mlflowc sync`"
            after = bare(port, options.points, 4)
            rate, raw = options.points / seconds, (before + after) / 2
            ratios[who].append(rate / raw)
            print(f"{what}: {rate:.0f}/s, bare posting on four connections {before:.0f} before, {after:.0f} behind ({100 * rate / raw:.0f} % of their mean), "
                  f"CPU {cpu / options.points * 1e6:.2f} s a million", flush=True)  # fmt: skip
            before = after
    print(f"medians: {100 * statistics.median(ratios['ours']):.0f} % of bare posting, `mlflowc sync` {100 * statistics.median(ratios['sync']):.0f} %", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("--points", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    programs = pathlib.Path(options.build) / "bench" / "client"
    subprocess.run(["ninja", "-C", options.build, *(f"bench/client/bench_{name}" for name in ("enqueue", "throughput", "calls"))], check=True, stdout=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="bench-client-") as folder, MlflowServer() as server:
        env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        env |= {"MLFLOW_JOURNAL_DIR": folder + "/journals", "MLFLOW_TRACKING_URI": server.uri, "MLFLOW_DISABLE_TELEMETRY": "true"}
        print(subprocess.run([str(programs / "bench_enqueue")], env=env, capture_output=True, text=True, check=True).stdout, end="", flush=True)
        ours, alone, whole, nothing = [], [], [], []
        for _ in range(10):
            ours.append(run_ours(programs / "bench_throughput", 10, env))
            alone.append(bare_run(server.port))
            whole.append(process_seconds([str(programs / "bench_throughput"), "10"], env))
            nothing.append(process_seconds(["/bin/true"], env))
        best = min(ours, key=lambda result: result["seconds"])
        print(f"run, ten metrics, end: {best['seconds'] * 1e3:.1f} ms inside, as a process {(min(whole) - min(nothing)) * 1e3:.1f} ms more than /bin/true; the same three requests bare "
              f"{min(alone) * 1e3:.1f} ms (best of 10 each); CPU {best['cpu_s'] * 1e3:.0f} ms, resident {best['resident_kb']} KB", flush=True)  # fmt: skip
        run_ours(programs / "bench_throughput", 5000, env)  # the server warms up
        compare_calls(programs / "bench_calls", server.port, env)
        compare_throughput(options, programs, env, folder + "/offline", server.port, best["cpu_s"])
        for points, mode in ((options.points // 4, "batches"), (50, "synchronous"), (2000, "asynchronous")):
            print(subprocess.run([sys.executable, "-c", PEER, str(points), mode], env=env, capture_output=True, text=True, check=True).stdout, end="", flush=True)


if __name__ == "__main__":
    main()
