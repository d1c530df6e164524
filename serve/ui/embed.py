"""embed.py OUT.c NAME=page.html,style.css,script.js …: each page as one C array, with the hashes that its Content-Security-Policy needs."""
import base64
import hashlib
import pathlib
import sys


def page(files):
    html, style, script = (pathlib.Path(name).read_text("utf-8") for name in files.split(","))
    before, after = html.split("/*STYLE*/")
    further, rest = after.split("</style>", 1)
    style += further
    html = before + style + "</style>" + rest.replace("/*SCRIPT*/", script)
    digest = lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    policy = (f"default-src 'none'; connect-src 'self'; img-src data:; script-src 'sha256-{digest(script)}'; style-src-elem 'sha256-{digest(style)}'; "
              "style-src-attr 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    return html.encode(), policy


lines = ["/* Made by embed.py. */", '#include "page.h"', ""]
for argument in sys.argv[2:]:
    name, _, files = argument.partition("=")
    text, policy = page(files)
    rows = [",".join(str(b - 256 if b > 127 else b) for b in text[i:i + 32]) for i in range(0, len(text), 32)]
    lines += [f"static const char {name}_bytes[] = {{", ",\n".join(rows).replace("\n", "\n    "), "};",
              f"const sv_page sv_page_{name} = {{{{{name}_bytes, sizeof {name}_bytes}}, \"{policy}\"}};", ""]
pathlib.Path(sys.argv[1]).write_text("\n".join(lines), "utf-8")
