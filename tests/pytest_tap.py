"""Runs pytest and prints one TAP line a test case, the plan last; what failed goes to standard error, what a fixture wrote there at its end as "# …" is kept."""
import sys

import pytest


class Tap:
    def __init__(self):
        self.count = 0

    def line(self, report, word, directive=""):
        self.count += 1
        name = report.nodeid.replace("#", "_")
        print(f"{word} {self.count} - {name}{directive}", flush=True)

    def pytest_runtest_logreport(self, report):
        for line in report.capstderr.splitlines() if report.when == "teardown" else ():
            if line.startswith("# "):  # what a test counted
                print(line, flush=True)
        if report.failed:  # in set-up, call or tear-down: each is a failure of its own
            print(report.longreprtext, *(f"--- {title}\n{text}" for title, text in report.sections), sep="\n", file=sys.stderr, flush=True)
            self.line(report, "not ok")
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self.line(report, "ok", " # SKIP " + reason.removeprefix("Skipped: ").replace("\n", " "))
        elif report.when == "call":
            self.line(report, "ok")

    def pytest_collectreport(self, report):
        if report.failed:
            print(report.longreprtext, file=sys.stderr, flush=True)
            self.line(report, "not ok")


tap = Tap()
code = pytest.main(["-p", "no:terminal", "-p", "no:cacheprovider", *sys.argv[1:]], plugins=[tap])
print(f"1..{tap.count}", flush=True)
if tap.count == 0:
    print("Bail out! no test case ran")
sys.exit(0 if code in (0, 1) else int(code))
