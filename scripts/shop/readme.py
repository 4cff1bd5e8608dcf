#!/usr/bin/env python3
"""readme.py VERSIONS TEMPLATE COUNTS: fills in what check.py counted."""
import sys

versions, template, counts = sys.argv[1:]
parts = {}
for line in open(counts):
    kind, rest = line.rstrip("\n").split(":", 1)
    parts.setdefault(kind, []).append(rest.strip().strip("|").strip())
text = open(template).read().replace("@VERSIONS@", versions)
text = text.replace("@COUNTS@", "\n".join(f"| {row} |" for row in parts["count"]))
text = text.replace("@POISON@", "\n".join(f"| {row} |" for row in parts["poison"]))
text = text.replace("@VIEWS@", "\n".join(f"| `{r[0]}` | {r[1].split()[0]} |" for r in (v.split(" | ") for v in parts["view"])))
text = text.replace("@ALSO@", parts["also"][0]).replace("@USUAL@", ";\n".join(parts["usual"]))
print(text, end="")
