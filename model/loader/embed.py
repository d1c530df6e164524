"""embed.py INPUT OUTPUT: a text file as a C array, so that the library carries the loader that it writes into packages."""
import sys

text = open(sys.argv[1], "rb").read()
rows = [", ".join(str(byte) for byte in text[at : at + 24]) for at in range(0, len(text), 24)]
with open(sys.argv[2], "w") as out:
    out.write('#include "loader_text.h"\n\nconst char sv_loader_text[] = {\n    ' + ",\n    ".join(rows + ["0"]) + "};\n")
    out.write(f"const unsigned long sv_loader_length = {len(text)};\n")
