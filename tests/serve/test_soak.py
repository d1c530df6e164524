"""Five minutes of mixed requests at a steady rate (SOLVENT_SOAK_SECONDS: another time): nothing fails and memory is flat."""
import json
import os
import pathlib
import re
import sys
import threading
import time

import requests

sys.path.insert(0, os.path.dirname(__file__))
from load import Load  # noqa: E402
from serve_process import BANK_ROW, Serve, make_packages  # noqa: E402

SECONDS = int(os.environ.get("SOLVENT_SOAK_SECONDS", "300"))
# A leak of 16 bytes a request would be some 30 MB at this rate, one a second 5 kB; what the line may rise is one page in a minute and the counters' noise.
RISE_KB_A_MINUTE = 32


def resident_kb(server):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{server.process.pid}/status").read_text())[1])


def slope(points):
    """Least squares, kB a minute."""
    n, x, y = len(points), sum(p[0] for p in points) / len(points), sum(p[1] for p in points) / len(points)
    return 60 * sum((a - x) * (b - y) for a, b in points) / max(sum((a - x) ** 2 for a, _ in points), 1e-9) if n > 1 else 0


def others(server, stop, wrong):
    """Everything but the hot path, some hundred times a second: large bodies, refusals, pages, new connections."""
    columns = list(BANK_ROW)
    split = json.dumps({"dataframe_split": {"columns": columns, "data": [list(BANK_ROW.values())] * 500}})
    lines = ",".join(columns) + "\n" + (",".join(map(str, BANK_ROW.values())) + "\n") * 500
    turn = [("POST", "/invocations", split, "application/json", 200), ("POST", "/invocations", lines, "text/csv", 200), ("POST", "/invocations", "{", "application/json", 400),
            ("POST", "/predict", "[{}]", "application/json", 422), ("POST", "/explain", json.dumps(BANK_ROW), "application/json", 200), ("GET", "/metrics", None, None, 200),
            ("GET", "/ui", None, None, 200), ("GET", "/drift", None, None, 200), ("GET", "/openapi.json", None, None, 200), ("GET", "/nothing", None, None, 404)]
    while not stop.is_set():
        with requests.Session() as session:
            for method, path, body, kind, status in turn:
                reply = session.request(method, server.url + path, data=body, headers={"Content-Type": kind} if kind else {}, timeout=30)
                if reply.status_code != status:
                    wrong.append((path, reply.status_code, reply.text[:200]))
        stop.wait(0.05)


def test_memory_is_flat(tmp_path):
    with Serve("--model", make_packages(tmp_path / "packages") / "bank") as server:
        body = json.dumps(BANK_ROW).encode()
        reply = requests.post(server.url + "/predict", data=body, headers={"Content-Type": "application/json"}, timeout=20)
        load = Load(server.url + "/predict", body, {"none": reply.content}, tmp_path / "load", 64, SECONDS, pause_ms=10)
        stop, wrong, points, began = threading.Event(), [], [], time.monotonic()
        thread = threading.Thread(target=others, args=(server, stop, wrong))
        thread.start()
        try:
            while load.process.poll() is None:
                time.sleep(1)
                points.append((time.monotonic() - began, resident_kb(server)))
            n, failures, _, example = load.finish()
        finally:
            stop.set()
            thread.join()
            load.stop()
        settled = points[len(points) // 5:]
        print(f"{n} requests, {settled[0][1]} kB to {settled[-1][1]} kB, {slope(settled):.1f} kB a minute")
        assert not failures and not wrong and n > 100 * SECONDS, (n, failures, example, wrong[:3])
        assert slope(settled) <= RISE_KB_A_MINUTE, settled[::10]
