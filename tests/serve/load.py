"""Load by wrk: every answer is looked at, not only counted."""
import re
import subprocess

# Posts a body over and over; an answer must have status 200 and the very body that stands in the table under the version its header names.
LUA = """
local function read(path) local f = assert(io.open(path, "rb")); local text = f:read("*a"); f:close(); return text end
local folder = os.getenv("LOAD_FOLDER")
local pause, wanted = tonumber(os.getenv("LOAD_PAUSE_MS")), {}
local threads = {}
wrk.method, wrk.body = "POST", read(folder .. "/body")
wrk.headers["Content-Type"] = "application/json"
for version in read(folder .. "/versions"):gmatch("%S+") do wanted[version] = read(folder .. "/answer-" .. version) end
wrong, seen, example = 0, "", ""
function setup(thread) table.insert(threads, thread) end
if pause > 0 then function delay() return pause end end
function response(status, headers, body)
  local version = headers["X-Model-Version"] or "none"
  if not seen:find(" " .. version .. " ", 1, true) then seen = seen .. " " .. version .. " " end
  if status ~= 200 or body ~= wanted[version] then wrong = wrong + 1; example = status .. " " .. version .. " " .. body:sub(1, 200) end
end
function done(summary)
  local e, n, versions, one = summary.errors, 0, "", ""
  for _, thread in ipairs(threads) do n = n + thread:get("wrong"); versions = versions .. thread:get("seen"); one = one .. thread:get("example") end
  io.write(string.format("LOAD %d %d %d %d %d %d %d |%s|%s\\n", summary.requests, n, e.connect, e.read, e.write, e.status, e.timeout, versions, one))
end
"""


class Load:
    """wrk in the background. answers: version -> the bytes that it must answer body with; "none" without a version."""

    def __init__(self, url, body, answers, folder, connections, seconds, pause_ms=0):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "load.lua").write_text(LUA)
        (folder / "body").write_bytes(body)
        (folder / "versions").write_text(" ".join(answers))
        for version, answer in answers.items():
            (folder / f"answer-{version}").write_bytes(answer)
        self.process = subprocess.Popen(["wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", folder / "load.lua", url], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={"LOAD_FOLDER": str(folder), "LOAD_PAUSE_MS": str(pause_ms), "PATH": "/usr/bin:/bin"})

    def finish(self):
        """-> requests, failures by kind (wrong, connect, read, write, status, timeout), versions seen, an example of what was wrong."""
        out = self.process.communicate()[0]
        found = re.search(r"^LOAD ((?:\d+ ){7})\|(.*)\|(.*)", out, re.M)
        assert found, out
        requests, *failures = map(int, found[1].split())
        kinds = ["wrong", "connect", "read", "write", "status", "timeout"]
        return requests, {kind: n for kind, n in zip(kinds, failures) if n}, set(found[2].split()), found[3]

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
