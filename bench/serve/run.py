#!/usr/bin/env python3
"""bench/serve/run.py [--build DIR] [--seconds S] [--only NAME,…] [--json FILE]: solvent-serve beside `mlflow models serve`, MLServer and a FastAPI app
over onnxruntime, by rows (1, 100, 1,000) and connections (16, 512).

The same package (tests/serve/make_packages: the bank data's 16 columns, six derived features), the same rows, one run; wrk on one core, the server on the
others. Prints one line for each server and load: requests/s, rows/s, p50, p99, p99.9, CPU seconds per 100,000 requests, resident memory; the same at half
of the load that one-row requests reached; the time from exec to the first right answer, best and median of several. Needs wrk, the project's .venv, and
for MLServer .cache/bench-mlserver, which --install makes from requirements-mlserver.txt. Every server is on 127.0.0.1 and ended by its process group.
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

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
MLSERVER = ROOT / ".cache" / "bench-mlserver"
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


def ask(port, request):
    """One request on a connection of its own -> the body of the answer, or None while nobody answers 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            sock.sendall(request)
            head, _, body = sock.makefile("rb").read().partition(b"\r\n\r\n")
            return body if head.split()[1:2] == [b"200"] else None
    except OSError:
        return None


class Server:
    def __init__(self, name, command, port, cores):
        self.name, self.url = name, f"http://127.0.0.1:{port}"
        self.log = tempfile.TemporaryFile()
        path = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
        began = time.monotonic()
        self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, command)], stdout=self.log, stderr=self.log, start_new_session=True, env={**os.environ, "PATH": path})
        body = json.dumps({"dataframe_records": rows(1)}).encode()
        request = b"POST /invocations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        self.port, self.request = port, request
        while not (answer := ask(port, request)):
            if self.process.poll() is not None or time.monotonic() - began > 120:
                self.log.seek(0)
                sys.exit(f"{name} did not start: {self.log.read()[-3000:].decode()}")
            time.sleep(0.0002)
        self.answer = json.loads(answer[answer.index(b"{"):answer.rindex(b"}") + 1])
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

    def settle(self):
        """Waits until nothing is left of the load before: a request of its own is answered at once, three times."""
        for _ in range(3):
            while not ask(self.port, self.request):
                time.sleep(0.1)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


def seconds_of(text):
    value, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(value) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]


def load(server, folder, body, kind, path, connections, seconds, core, pause_ms=0):
    """One run of wrk -> a dict of figures. pause_ms: between an answer and the next request of a connection."""
    (folder / "body").write_bytes(body)
    (folder / "post.lua").write_text(LUA + (f"\nfunction delay() return {pause_ms} end" if pause_ms else "") + '\ndone=function(s,l,r) io.write(string.format("P %d %d %d %d %d\\n", l:percentile(50), l:percentile(99), l:percentile(99.9),'
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
    parser.add_argument("--only", default="solvent-serve,fastapi-onnxruntime,mlflow,mlserver")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--install", action="store_true", help="makes MLServer's own virtual environment, then ends")
    options = parser.parse_args()
    if options.install:
        subprocess.run([sys.executable, "-m", "venv", MLSERVER], check=True)
        sys.exit(subprocess.run([MLSERVER / "bin" / "pip", "install", "-q", "-r", HERE / "requirements-mlserver.txt"]).returncode)
    cores = sorted(os.sched_getaffinity(0))
    server_cores, wrk_core = ",".join(map(str, cores[:-1] or cores)), str(cores[-1])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-serve-"))
    subprocess.run([options.build / "tests" / "serve" / "make_packages", folder], check=True)
    package, python = folder / "bank", ROOT / ".venv" / "bin" / "python"
    bodies = {}
    for n in (1, 100, 1000):
        table = rows(n)
        split = {"columns": list(table[0]), "data": [list(r.values()) for r in table]}
        bodies[n, "JSON"] = json.dumps({"dataframe_records": table} if n == 1 else {"dataframe_split": split}).encode()
        bodies[n, "CSV"] = (",".join(table[0]) + "\n" + "".join(",".join(map(str, r.values())) + "\n" for r in table)).encode()
    loads = [(n, "JSON", 16) for n in (1, 100, 1000)] + [(1000, "CSV", 16)] + [(n, "JSON", 512) for n in (1, 100, 1000)]  # 512 last: slow servers answer on long after
    port = free_port()
    (folder / "mlserver").mkdir()
    (folder / "mlserver" / "settings.json").write_text(json.dumps({"http_port": port, "grpc_port": free_port(), "metrics_port": free_port(), "host": "127.0.0.1", "parallel_workers": 0, "debug": False}))
    (folder / "mlserver" / "model-settings.json").write_text(json.dumps({"name": "bank", "implementation": "mlserver_mlflow.MLflowRuntime", "parameters": {"uri": str(package)}}))
    commands = {"solvent-serve": [options.build / "serve" / "solvent-serve", "--model", package, "--port", port, "--threads", str(len(cores[:-1] or cores))],
                "fastapi-onnxruntime": [python, "-m", "uvicorn", "--app-dir", HERE, "fastapi_app:app", "--port", port, "--log-level", "warning", "--no-access-log"],
                "mlflow": [python, "-m", "mlflow", "models", "serve", "-m", package, "--env-manager", "local", "-p", port],
                "mlserver": [MLSERVER / "bin" / "mlserver", "start", folder / "mlserver"]}
    os.environ.update(BENCH_MODEL=str(package), PYTHONDONTWRITEBYTECODE="1")
    report, answers = {}, []
    print(f"{'server':20} {'load':24}{'req/s':>9}{'rows/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'p99.9':>9}{'CPU s/100k':>11}{'rows/CPU s':>12}{'RSS MB':>8}{'errors':>8}")

    def show(label, x, n):
        print(f"{name:20} {label:24}{x['requests_per_s']:9.0f}{x['requests_per_s'] * n:11.0f}{x['p50_ms']:9.2f}{x['p99_ms']:9.2f}{x['p999_ms']:9.2f}"
              f"{x['cpu_s_per_100k']:11.2f}{n * 1e5 / max(x['cpu_s_per_100k'], 1e-9):12.0f}{x['rss_mb']:8.1f}{x['errors']:8}", flush=True)

    def at_half_load(server, full):
        server.settle()
        pause = max(1, round(128_000 / max(full, 1)))  # 64 connections at half the rate: a request each 128 / rate seconds
        x = report[name]["half"] = load(server, folder, bodies[1, "JSON"], "application/json", "/invocations", 64, options.seconds, wrk_core, pause)
        show(f"1 row JSON, {100 * x['requests_per_s'] / full:.0f} % load", x, 1)

    for name in options.only.split(","):
        cold = []
        for _ in range(8 if name == "solvent-serve" else 0):
            server = Server(name, commands[name], port, server_cores)
            cold.append(server.cold_start_s)
            server.stop()
        server = Server(name, commands[name], port, server_cores)
        cold.append(server.cold_start_s)
        answers.append(server.answer["predictions"][0]["surplus_probability"])
        try:
            report[name] = {"cold_start_s": sorted(cold), "idle_rss_mb": server.rss_mb(), "loads": {}}
            for n, kind, connections in loads:
                server.settle()
                if kind == "CSV" and name == "fastapi-onnxruntime":
                    continue
                label = f"{n} row{'s' if n > 1 else ''} {kind}, {connections}"
                x = report[name]["loads"][label] = load(server, folder, bodies[n, kind], "application/json" if kind == "JSON" else "text/csv", "/invocations", connections, options.seconds, wrk_core)
                show(label, x, n)
                if label == "1 row JSON, 16":
                    at_half_load(server, x["requests_per_s"])
            print(f"{name:20} exec to first answer {min(cold) * 1000:.0f} ms, median {sorted(cold)[len(cold) // 2] * 1000:.0f} ms; idle {report[name]['idle_rss_mb']:.1f} MB")
        finally:
            server.stop()
    assert max(answers) - min(answers) < 1e-9, f"the servers disagree: {answers}"
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
