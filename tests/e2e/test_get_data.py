"""scripts/get-data against a local web server: what is wrong is refused, what broke off goes on, what is there is left alone."""

import hashlib
import http.server
import io
import os
import pty
import shutil
import subprocess
import threading
import zipfile

import pytest

COLUMNS = "age;balance\n"


def bank_archive(text):
    """A zip laid out as the UCI's: bank.zip inside, bank-full.csv inside that. Incompressible padding, so that a cut is inside it."""
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("bank-full.csv", text)
        archive.writestr("padding", os.urandom(200_000))
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("bank.zip", inner.getvalue())
    return outer.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server, body = self.server, self.server.body
        wanted = self.headers.get("Range")
        start = int(wanted.split("=")[1].split("-")[0]) if wanted else 0
        server.starts.append(start)
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        end = server.cut_at if server.cut_at > start else len(body)
        self.wfile.write(body[start:end])
        if end < len(body):
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.body, server.cut_at, server.starts = b"", 0, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def project(tmp_path, source_root):
    """A folder with only the script, whose pinned digest of bank-full.csv is that of TEXT."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(source_root / "scripts" / "get-data", tmp_path / "scripts" / "get-data")
    return tmp_path


def pin(project, text):
    script = project / "scripts" / "get-data"
    published = "d1513ec63b385506f7cfce9f2c5caa9fe99e7ba4e8c3fa264b3aaf0f849ed32d"
    assert published in script.read_text()
    script.write_text(script.read_text().replace(published, hashlib.sha256(text.encode()).hexdigest()).replace("--retry 5", "--retry 0"))


def get_data(project, web, *arguments):
    env = {**os.environ, "BANK_URL": f"http://127.0.0.1:{web.server_address[1]}/bank.zip", "SHARED_DATA": str(project / "none")}
    return subprocess.run([project / "scripts" / "get-data", *arguments], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_downloads_checks_and_then_leaves_it_alone(project, web):
    pin(project, COLUMNS)
    web.body = bank_archive(COLUMNS)
    first, second = get_data(project, web, "bank"), get_data(project, web, "bank")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert (project / "data" / "bank-full.csv").read_text() == COLUMNS
    assert len(web.starts) == 1 and not (project / "data" / ".download" / "bank").exists()
    assert "there already" in second.stdout


def test_goes_on_where_a_cut_download_stopped(project, web):
    pin(project, COLUMNS)
    web.body, web.cut_at = bank_archive(COLUMNS), 100_000
    broken = get_data(project, web, "bank")
    assert broken.returncode == 1 and "goes on from there" in broken.stderr
    assert not (project / "data" / "bank-full.csv").exists()
    done = get_data(project, web, "bank")
    assert done.returncode == 0, done.stderr
    assert web.starts == [0, 100_000]
    assert (project / "data" / "bank-full.csv").read_text() == COLUMNS


def test_shows_progress_on_a_terminal_alone(project, web):
    """Standard error is a terminal of the test's own; elsewhere (the tests above) curl says nothing."""
    pin(project, COLUMNS)
    web.body = bank_archive(COLUMNS)
    terminal, end = pty.openpty()
    env = {**os.environ, "BANK_URL": f"http://127.0.0.1:{web.server_address[1]}/bank.zip", "SHARED_DATA": str(project / "none"), "TERM": "xterm"}
    done = subprocess.run([project / "scripts" / "get-data", "bank"], env=env, stdout=subprocess.PIPE, stderr=end, text=True, stdin=subprocess.DEVNULL)
    os.close(end)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert done.returncode == 0 and "100.0%" in shown and "#" in shown, shown


def test_refuses_other_bytes_than_the_published(project, web):
    web.body = bank_archive(COLUMNS)
    done = get_data(project, web, "bank")
    assert done.returncode == 1
    assert "bank-full.csv: SHA-256 is not d1513ec6" in done.stderr
    assert not (project / "data" / "bank-full.csv").exists()


def test_refuses_what_is_no_archive(project, web):
    web.body = b"<html>please log in</html>"
    done = get_data(project, web, "bank")
    assert done.returncode == 1 and "not a whole zip archive" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["iris"], ["bank", "--fast"]])
def test_a_wrong_command_line_is_2(project, web, arguments):
    assert get_data(project, web, *arguments).returncode == 2
