#!/usr/bin/env python3
"""bench/serve/run.py [--build DIR] [--seconds S] [--only NAME,…] [--measure rows,half,cold] [--rounds N] [--json FILE]: solvent-serve beside `mlflow models serve`, MLServer and a FastAPI app
over onnxruntime, by rows (1, 100, 1,000) and connections (16, 512).

The same package (tests/serve/make_packages: the bank data's 16 columns, six derived features), the same rows, one run; wrk on one core, the server on the
others. Prints one line for each server and load: requests/s, rows/s, p50, p99, p99.9, CPU seconds per 100,000 requests, resident memory. Needs wrk, the
project's .venv, for `half` bench/serve/steady_load in the build folder, and for MLServer a virtual environment, --mlserver DIR, which --install makes
from requirements-mlserver.txt. Every server is on 127.0.0.1 and ended by
its process group. --measure takes some of:
rows  the loads by rows and connections.
half  latency at half of the one-row requests per second that the server reached: steady_load sends them as many callers would who do not know of one
      another, on 64 connections, and counts each from the moment it was due. In turn with the floor: the same load on a server that reads and answers
      fixed bytes and does nothing else. Beside them how long the generator's own core stood still, and what other guests of the machine took (steal). --rounds of them, 3.
cold  exec to the first right answer of solvent-serve: from a folder; from an MLflow started for it with nothing kept, with the version on disk, and
      from the kept copy once MLflow is gone. MLflow's own time: the same requests, recorded on their way, asked again one after the other.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

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
    def __init__(self, name, command, port, cores, env=None):
        self.name, self.url = name, f"http://127.0.0.1:{port}"
        self.log = tempfile.TemporaryFile()
        path = os.pathsep.join([str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
        began = time.monotonic()
        self.process = subprocess.Popen(["taskset", "-c", cores, *map(str, command)], stdout=self.log, stderr=self.log, start_new_session=True, env={**os.environ, "PATH": path, **(env or {})})
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


def steal_s():
    """What other guests of the machine took from this one's cores so far."""
    return int(pathlib.Path("/proc/stat").read_text().split()[8]) / TICKS


def wait_until_open(port):
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 5).close()
        except ConnectionRefusedError:
            time.sleep(0.01)


def steady(tool, core, port, request, rate, seconds):
    """One run of steady_load -> a dict of figures."""
    before = steal_s()
    out = subprocess.run(["taskset", "-c", core, tool, str(port), request, "64", str(rate), str(seconds)], capture_output=True, text=True)
    if out.returncode:
        return {"rate": rate, "failed": out.stderr.strip()}
    n, errors, p50, p99, p999, most, stalled = map(float, out.stdout.split())
    return {"rate": rate, "requests": n, "errors": errors, "p50_ms": p50 / 1000, "p99_ms": p99 / 1000, "p999_ms": p999 / 1000, "max_ms": most / 1000, "stalled_ms": stalled / 1000, "steal_s": steal_s() - before}


class Recorder(threading.Thread):
    """Passes bytes between solvent-serve and MLflow, and keeps what was asked."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.asked, self.listener = port, [], socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def run(self):
        while True:
            try:
                ours = self.listener.accept()[0]
            except OSError:
                return
            theirs = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self.carry, args=(ours, theirs, True), daemon=True).start()
            threading.Thread(target=self.carry, args=(theirs, ours, False), daemon=True).start()

    def carry(self, source, target, keeps):
        try:
            while piece := source.recv(1 << 16):
                if keeps:
                    self.asked.append(piece)
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def own_time(port, asked):
    """Seconds that MLflow takes for the requests asked, one after the other on one kept connection; the best of five."""
    import http.client
    took = []
    wanted = [re.match(rb"(\w+) (\S+) HTTP", piece).groups() for piece in asked if re.match(rb"(GET|POST) ", piece)]
    bodies = [piece.partition(b"\r\n\r\n")[2] for piece in asked if re.match(rb"(GET|POST) ", piece)]
    for _ in range(5):
        connection, began = http.client.HTTPConnection("127.0.0.1", port, timeout=60), time.monotonic()
        for (method, target), body in zip(wanted, bodies):
            connection.request(method.decode(), target.decode(), body or None, {"Content-Type": "application/json"} if body else {})
            reply = connection.getresponse()
            reply.read()
            assert reply.status == 200, (method, target, reply.status)
        took.append(time.monotonic() - began)
    return min(took), len(wanted)


def cold_starts(options, package, folder, port, cores):
    """-> milliseconds by where the model came from, several of each, and MLflow's own."""
    sys.path.insert(0, str(ROOT / "tests"))
    from mlflow_server import MlflowServer
    binary, n = options.build / "serve" / "solvent-serve", 9

    def start(model, cache, env):
        server = Server("solvent-serve", [binary, "--model", model, "--port", port, "--cache", cache], port, cores, env)
        server.stop()
        return server.cold_start_s * 1000

    found = {"folder": [start(package, folder / "cache-none", None) for _ in range(n)]}
    with MlflowServer() as registry:
        import mlflow
        client = mlflow.MlflowClient(registry.uri)
        client.create_registered_model("bank")
        run = client.create_run("0")
        client.log_artifacts(run.info.run_id, str(package), "model")
        client.set_registered_model_alias("bank", "champion", client.create_model_version("bank", run.info.artifact_uri + "/model", run.info.run_id).version)
        model, env = "models:/bank@champion", {"MLFLOW_TRACKING_URI": registry.uri}
        start(model, folder / "cache-warm", env)  # MLflow's own first time
        found["registry, nothing kept"] = [start(model, folder / f"cache-{i}", env) for i in range(n)]
        found["registry, version on disk"] = [start(model, folder / "cache-0", env) for _ in range(n)]
        recorder = Recorder(registry.port)
        recorder.start()
        start(model, folder / "cache-recorded", {"MLFLOW_TRACKING_URI": recorder.uri})
        recorder.listener.close()
        own_s, calls = own_time(registry.port, recorder.asked)
    found["kept copy, MLflow gone"] = [start(model, folder / "cache-0", env) for _ in range(n)]
    for name, ms in found.items():
        print(f"solvent-serve        cold start, {name}: median {sorted(ms)[n // 2]:.0f} ms, {min(ms):.0f} to {max(ms):.0f}")
    print(f"solvent-serve        MLflow's own time for the {calls} requests of 'nothing kept': {own_s * 1000:.0f} ms", flush=True)
    return {**found, "mlflow_own_ms": own_s * 1000, "mlflow_calls": calls}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build", type=pathlib.Path)
    parser.add_argument("--seconds", default=4, type=int)
    parser.add_argument("--only", default="solvent-serve,fastapi-onnxruntime,mlflow,mlserver")
    parser.add_argument("--measure", default="rows,half,cold")
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--mlserver", default=ROOT / ".cache" / "bench-mlserver", type=pathlib.Path)
    parser.add_argument("--install", action="store_true", help="makes MLServer's own virtual environment, then ends")
    options = parser.parse_args()
    if options.install:
        subprocess.run([sys.executable, "-m", "venv", options.mlserver], check=True)
        sys.exit(subprocess.run([options.mlserver / "bin" / "pip", "install", "-q", "-r", HERE / "requirements-mlserver.txt"]).returncode)
    measures = set(options.measure.split(","))
    if measures - {"rows", "half", "cold"}:
        parser.error(f"--measure takes rows, half and cold, got {options.measure}")
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
                "mlserver": [options.mlserver / "bin" / "mlserver", "start", folder / "mlserver"]}
    os.environ.update(BENCH_MODEL=str(package), PYTHONDONTWRITEBYTECODE="1")
    report, answers = {}, []
    print(f"{'server':20} {'load':24}{'req/s':>9}{'rows/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'p99.9':>9}{'CPU s/100k':>11}{'rows/CPU s':>12}{'RSS MB':>8}{'errors':>8}")

    def show(label, x, n):
        print(f"{name:20} {label:24}{x['requests_per_s']:9.0f}{x['requests_per_s'] * n:11.0f}{x['p50_ms']:9.2f}{x['p99_ms']:9.2f}{x['p999_ms']:9.2f}"
              f"{x['cpu_s_per_100k']:11.2f}{n * 1e5 / max(x['cpu_s_per_100k'], 1e-9):12.0f}{x['rss_mb']:8.1f}{x['errors']:8}", flush=True)

    def at_half_load(server, full):
        server.settle()
        request, answer, tool, echo_port = folder / "request", folder / "answer", options.build / "bench" / "serve" / "steady_load", free_port()
        request.write_bytes(server.request.replace(b"Connection: close\r\n", b""))
        answer.write_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n" + b" " * 300)  # as long as ours, head and body
        floor = subprocess.Popen(["taskset", "-c", server_cores, tool, "--echo", str(echo_port), answer])
        try:
            wait_until_open(echo_port)
            found = report[name]["half"] = []
            for _ in range(options.rounds):
                for what, port in ((name, server.port), ("floor", echo_port)):
                    x = steady(tool, wrk_core, port, request, full / 2, options.seconds)
                    found.append({"of": what, **x})
                    print(f"{name:20} at {full / 2:.0f} requests/s, {'the floor' if what == 'floor' else 'the server'}: " + (x.get("failed") or
                          f"p50 {x['p50_ms']:.3f}, p99 {x['p99_ms']:.3f}, p99.9 {x['p999_ms']:.3f}, max {x['max_ms']:.2f} ms; errors {x['errors']:.0f}; "
                                                                                                                f"the generator's core stalled {x['stalled_ms']:.0f} ms; steal {x['steal_s']:.2f} s"), flush=True)
            for what in (name, "floor"):
                p99 = [x["p99_ms"] for x in found if x["of"] == what and "p99_ms" in x]
                if p99:
                    print(f"{name:20} at half load, {'the floor' if what == 'floor' else 'the server'}: p99 {statistics.median(p99):.3f} ms, the median of {len(p99)} rounds", flush=True)
        finally:
            floor.kill()
            floor.wait()

    for name in options.only.split(","):
        cold = []
        if name == "solvent-serve" and "cold" in measures:
            report["cold_ms"] = cold_starts(options, package, folder, port, server_cores)
            if measures == {"cold"}:
                continue
        server = Server(name, commands[name], port, server_cores)
        cold.append(server.cold_start_s)
        answers.append(server.answer["predictions"][0]["surplus_probability"])
        try:
            report[name] = {"cold_start_s": sorted(cold), "idle_rss_mb": server.rss_mb(), "loads": {}}
            for n, kind, connections in loads if "rows" in measures else loads[:1]:
                server.settle()
                if kind == "CSV" and name == "fastapi-onnxruntime":
                    continue
                label = f"{n} row{'s' if n > 1 else ''} {kind}, {connections}"
                x = report[name]["loads"][label] = load(server, folder, bodies[n, kind], "application/json" if kind == "JSON" else "text/csv", "/invocations", connections, options.seconds, wrk_core)
                show(label, x, n)
                if label == "1 row JSON, 16" and "half" in measures:
                    at_half_load(server, x["requests_per_s"])
            print(f"{name:20} exec to first answer {min(cold) * 1000:.0f} ms; idle {report[name]['idle_rss_mb']:.1f} MB")
        finally:
            server.stop()
    assert not answers or max(answers) - min(answers) < 1e-9, f"the servers disagree: {answers}"
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
