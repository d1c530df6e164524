"""What the documents say works: every ```sh block of README.md and docs/ is run, and links to files lead somewhere."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(os.environ["SOURCE_ROOT"])
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
SAMPLES = [
    pytest.param(document, "\n".join(BLOCK.findall(document.read_text())), id=str(document.relative_to(ROOT)))
    for document in DOCUMENTS if document.exists() and BLOCK.search(document.read_text())
]  # fmt: skip


@pytest.mark.parametrize("document, script", SAMPLES)
def test_samples_run(document, script, mlflow_server):
    """All blocks of a document in order, in one shell, from the project's folder, with a server of the test's own."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env={**os.environ, "MLFLOW_TRACKING_URI": mlflow_server.uri},
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900)  # fmt: skip
    assert done.returncode == 0, f"{document.name}:\n{script}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(document):
    lost = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert not lost


@pytest.mark.parametrize("path", re.findall(r"`((?:trainer|serve|model|mlflow_client|base|tests|scripts|docs)/[\w./*-]+)`", (ROOT / "docs" / "architecture.md").read_text()))
def test_files_named_by_the_architecture_exist(path):
    assert list(ROOT.glob(path)), path
