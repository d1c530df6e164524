#!/usr/bin/env python3
"""bench/serve/run.py [--build DIR] [--seconds S] [--only NAME,…]: solvent-serve beside `mlflow models serve` and a FastAPI app over onnxruntime.

The same package (tests/serve/make_packages: the bank data's 16 columns, six derived features), the same rows, one run, wrk on one core and the server on
the others. Prints one line for each server and load: requests/s, rows/s, p50, p99, p99.9, CPU seconds per 100,000 requests, resident memory; and the time
from exec to the first right answer. Needs wrk, and the project's .venv for the two others. Every server is on 127.0.0.1 and ended by its process group.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
LUA = 'local f=io.open(os.getenv("BODY"),"rb"); wrk.body=f:read("*a"); f:close(); wrk.method="POST"; wrk.headers["Content-Type"]=os.getenv("KIND")'
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def rows(n):
    """Made-up customers; every column of the bank data."""
    jobs, months = ["admin.", "blue-collar", "management", "retired", "student", "technician"], ["apr", "aug", "jan", "jul", "may", "nov"]
    return [{"age": 18 + i * 7 % 70, "job": jobs[i % 6], "marital": ["married", "single", "divorced"][i % 3], "education": ["primary", "secondary", "tertiary"][i % 3],
             "default": "no", "balance": i * 37 % 9000 - 400 + 0.25 * (i % 4), "housing": ["yes", "no"][i % 2], "loan": "no", "contact": "cellular", "day": 1 + i % 28,
             "month": months[i % 6], "duration": i * 13 % 900, "campaign": 1 + i % 5, "pdays": -1, "previous": 0, "poutcome": "unknown"} for i in range(n)]


class Server:
    def __init__(self, name, command, port, cores):
        self.name, self.url = name, f"http://127.0.0.1:{port}"
        self.log = tempfile.TemporaryFile()
        path = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
        began = time.monotonic()
        self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, command)], stdout=self.log, stderr=self.log, start_new_session=True, env={**os.environ, "PATH": path})
        body = json.dumps({"dataframe_records": rows(1)}).encode()
        request = urllib.request.Request(self.url + "/invocations", body, {"Content-Type": "application/json"})
        while True:
            try:
                with urllib.request.urlopen(request, timeout=5) as reply:
                    self.answer = json.load(reply)
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() - began > 120:
                    self.log.seek(0)
                    sys.exit(f"{name} did not start: {self.log.read()[-3000:].decode()}")
                time.sleep(0.001)
        self.cold_start_s = time.monotonic() - began

    def pids(self):
        """Every process of the server's group."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if int((entry / "stat").read_text().rpartition(")")[2].split()[2]) == self.process.pid:
                        found.append(entry)
                except OSError:
                    pass
        return found

    def cpu_s(self):
        fields = [(p / "stat").read_text().rpartition(")")[2].split() for p in self.pids()]
        return sum(int(f[11]) + int(f[12]) for f in fields) / TICKS

    def rss_mb(self):
        return sum(int(m[1]) for p in self.pids() if (m := re.search(r"VmRSS:\s+(\d+)", (p / "status").read_text()))) / 1024

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


def seconds_of(text):
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(value) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]


def load(server, folder, body, kind, path, connections, seconds, core):
    """One run of wrk -> a dict of figures."""
    (folder / "body").write_bytes(body)
    (folder / "post.lua").write_text(LUA + '\ndone=function(s,l,r) io.write(string.format("P %d %d %d %d %d\\n", l:percentile(50), l:percentile(99), l:percentile(99.9),'
                                     ' s.requests, s.errors.status+s.errors.timeout+s.errors.connect+s.errors.read+s.errors.write)) end')
    before, began = server.cpu_s(), time.monotonic()
    out = subprocess.run(["taskset", "-c", core, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", folder / "post.lua", server.url + path],
                         capture_output=True, text=True, env={**os.environ, "BODY": str(folder / "body"), "KIND": kind}).stdout
    p50, p99, p999, n, errors = map(int, re.search(r"^P (\d+) (\d+) (\d+) (\d+) (\d+)$", out, re.M).groups())
    took, cpu = time.monotonic() - began, server.cpu_s() - before
    return {"requests_per_s": n / seconds, "p50_ms": p50 / 1000, "p99_ms": p99 / 1000, "p999_ms": p999 / 1000, "errors": errors, "requests": n,
            "cpu_s_per_100k": cpu * 1e5 / max(n, 1), "cores_used": cpu / took, "rss_mb": server.rss_mb()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build", type=pathlib.Path)
    parser.add_argument("--seconds", default=4, type=int)
    parser.add_argument("--only", default="solvent-serve,fastapi-onnxruntime,mlflow")
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    server_cores, wrk_core = ",".join(map(str, cores[:-1] or cores)), str(cores[-1])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-serve-"))
    subprocess.run([options.build / "tests" / "serve" / "make_packages", folder], check=True)
    package, python = folder / "bank", ROOT / ".venv" / "bin" / "python"
    thousand = rows(1000)
    columns = list(thousand[0])
    split = json.dumps({"dataframe_split": {"columns": columns, "data": [list(r.values()) for r in thousand]}}).encode()
    csv = (",".join(columns) + "\n" + "".join(",".join(map(str, r.values())) + "\n" for r in thousand)).encode()
    one = json.dumps({"dataframe_records": rows(1)}).encode()
    loads = [("one row, 16 connections", one, "application/json", 16, 1), ("one row, 512 connections", one, "application/json", 512, 1),
             ("1,000 rows JSON, 4 connections", split, "application/json", 4, 1000), ("1,000 rows CSV, 4 connections", csv, "text/csv", 4, 1000)]
    port = free_port()
    commands = {"solvent-serve": [options.build / "serve" / "solvent-serve", "--model", package, "--port", port, "--threads", str(len(cores[:-1] or cores))],
                "fastapi-onnxruntime": [python, "-m", "uvicorn", "--app-dir", HERE, "fastapi_app:app", "--port", port, "--log-level", "warning", "--no-access-log"],
                "mlflow": [python, "-m", "mlflow", "models", "serve", "-m", package, "--env-manager", "local", "-p", port]}
    os.environ["BENCH_MODEL"] = str(package)
    report, answers = {}, []
    print(f"{'server':22}{'load':34}{'req/s':>9}{'rows/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'p99.9':>9}{'CPU s/100k':>11}{'cores':>7}{'RSS MB':>8}{'errors':>8}")
    for name in options.only.split(","):
        server = Server(name, commands[name], port, server_cores)
        answers.append(server.answer["predictions"][0]["surplus_probability"])
        try:
            report[name] = {"cold_start_s": server.cold_start_s, "idle_rss_mb": server.rss_mb(), "loads": {}}
            for label, body, kind, connections, n_rows in loads:
                if kind == "text/csv" and name == "fastapi-onnxruntime":
                    continue
                x = report[name]["loads"][label] = load(server, folder, body, kind, "/invocations", connections, options.seconds, wrk_core)
                print(f"{name:22}{label:34}{x['requests_per_s']:9.0f}{x['requests_per_s'] * n_rows:11.0f}{x['p50_ms']:9.2f}{x['p99_ms']:9.2f}{x['p999_ms']:9.2f}"
                      f"{x['cpu_s_per_100k']:11.2f}{x['cores_used']:7.2f}{x['rss_mb']:8.1f}{x['errors']:8}", flush=True)
            print(f"{name:22}exec to first answer {server.cold_start_s * 1000:.0f} ms, idle {report[name]['idle_rss_mb']:.1f} MB")
        finally:
            server.stop()
    assert max(answers) - min(answers) < 1e-9, f"the servers disagree: {answers}"
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
