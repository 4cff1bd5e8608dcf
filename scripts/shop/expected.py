#!/usr/bin/env python3
"""expected.py POISON VIEWS: puts the poison records' places (lines: topic partition offset why) before the views."""
import json
import sys

poison = []
for line in open(sys.argv[1]):
    topic, partition, offset, why = line.split()
    poison.append({"topic": topic, "partition": int(partition), "offset": int(offset), "why": why})
views = open(sys.argv[2]).read().strip()
text = '{"poison":[\n' + ",\n".join(json.dumps(p) for p in poison) + '],\n"views":' + views + "}\n"
json.loads(text)
print(text, end="")
