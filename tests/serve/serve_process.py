"""A solvent-serve for tests: started on a free port, stopped by pid."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(os.environ["SOURCE_ROOT"])
BUILD = pathlib.Path(os.environ["BUILD_ROOT"])
COMMAND = BUILD / "serve" / "solvent-serve"
BANK_ROW = {"age": 58, "job": "management", "marital": "married", "education": "tertiary", "default": "no", "balance": 2143, "housing": "yes", "loan": "no",
            "contact": "unknown", "day": 5, "month": "may", "duration": 261, "campaign": 1, "pdays": -1, "previous": 0, "poutcome": "unknown"}


def make_packages(folder):
    """Writes the models bank, numbers and odd below folder."""
    subprocess.run([BUILD / "tests" / "serve" / "make_packages", folder], check=True)
    return pathlib.Path(folder)


def overwrite(package, name, text):
    """Another text for a file of a package, whose digest MLmodel then states."""
    path, stated = pathlib.Path(package) / name, pathlib.Path(package) / "MLmodel"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_text(text)
    stated.write_text(stated.read_text().replace(before, hashlib.sha256(path.read_bytes()).hexdigest()))


ANSWERS = "serving_output_example.json"


def without_answers(package):
    """The package as it was written before packages recorded what their example is answered."""
    path, stated = pathlib.Path(package) / ANSWERS, pathlib.Path(package) / "MLmodel"
    path.unlink()
    stated.write_text("".join(line for line in stated.read_text().splitlines(True) if ANSWERS not in line))
    return package


def other_weights(folder, target, intercept):
    """The same model with another intercept, so that versions can be told apart by their answers; those that were recorded are the first one's and go."""
    shutil.copytree(folder, target)
    text = json.loads((target / "pipeline.json").read_text())
    text["intercept"] = [intercept]
    overwrite(target, "pipeline.json", json.dumps(text))
    return without_answers(target)


def make_two_versions(folder):
    """The models, and `other`: bank with another intercept."""
    packages = make_packages(folder)
    other_weights(packages / "bank", packages / "other", -1.5)
    return packages


class Serve:
    def __init__(self, *args, env=None, preexec=None):
        self.log = tempfile.NamedTemporaryFile("w+", prefix="solvent-serve-", suffix=".log")
        self.process = subprocess.Popen([COMMAND, "--port", "0", *map(str, args)], stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env={**os.environ, **(env or {})}, preexec_fn=preexec)
        line = self.process.stdout.readline()
        if "listening on " not in line:
            self.process.wait(10)
            raise RuntimeError(f"no start: {line!r} {self.errors()}")
        self.url = line.split()[-1]
        self.port = int(self.url.rpartition(":")[2])

    def errors(self):
        return pathlib.Path(self.log.name).read_text()

    def stop(self):
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(40)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()
