"""mlflow_client.h → a reference in Markdown: reference.py HEADER OUT. One section for each `/* ---- title ---- */`, one entry for each declaration with
the comment above it (which may stand for several) and the one behind it."""

import re
import sys

header = open(sys.argv[1], encoding="utf-8").read()
body = header[header.index("typedef") if "/* ----" not in header else header.index("/* ----") :]
out = ["# mlflow_client.h", "", *re.match(r"/\* (.*?) \*/", header, re.S)[1].replace("\n   ", "\n").split("\n"), ""]


def clean(comment):
    return re.sub(r"\s+", " ", comment).strip()


TOKEN = re.compile(
    r"/\* ---- (?P<title>.*?) ---- \*/"
    r"|/\*(?P<comment>.*?)\*/"
    r"|(?P<function>MLF_API [^;]+;)(?:[ \t]*/\*(?P<behind>.*?)\*/)?"
    r"|(?P<type>typedef (?:struct|enum) \w+ \{.*?\} \w+;|typedef [^;{]+;)"
    r"|(?P<macro>#define [^\n]*)"
    r"|(?P<blank>\n[ \t]*\n)",
    re.S,
)
above = ""
for match in TOKEN.finditer(body):
    kind = match.lastgroup if match.lastgroup != "behind" else "function"
    text = match[kind]
    if kind == "title":
        out += [f"## {clean(text)}", ""]
        above = ""
    elif kind == "comment":
        above = clean(text)
    elif kind == "blank":
        above = ""  # a comment stands for what follows it without a blank line between
    elif kind == "function":
        declaration = re.sub(r"\s+", " ", text.removeprefix("MLF_API ").strip())
        name = re.search(r"\b(mlf_\w+)\(", declaration)[1]
        out += [f"### `{name}`", "", "```c", declaration, "```", ""]
        out += [line for comment in (above, clean(match["behind"] or "")) if comment for line in (comment, "")]
    elif kind == "type":
        name = re.search(r"(\w+);$", text)[1]
        out += [f"### `{name}`", "", *([above, ""] if above else []), "```c", text, "```", ""]
    elif kind == "macro" and re.match(r"#define MLF_\w+_INIT", text):
        out += ["```c", text.strip(), "```", ""]
with open(sys.argv[2], "w", encoding="utf-8") as file:
    file.write("\n".join(out))
