#!/usr/bin/env python3
"""poison.py WHICH <RECORDS: prints one record that no consumer can apply, made of a real one of the recording so far.

It is about a row that does not exist (id 999999999), so that whoever applied it anyway would show it.
"""
import base64
import json
import sys

ID = 999999999
TABLE = {"cut-json": "orders", "wrong-type": "order_items", "not-utf8": "products"}


def main(which):
    topic = "shop.public." + TABLE[which]
    for line in sys.stdin:
        record = json.loads(line)
        if record["topic"] != topic or record.get("value") is None:
            continue
        value = json.loads(record["value"])
        if value["payload"]["op"] == "c":
            break
    key = json.loads(record["key"])
    row = value["payload"]["after"]
    key["payload"]["id"] = row["id"] = ID
    if which == "wrong-type":
        row.update(order_id=ID, product_id=ID, quantity="many")
    if which == "not-utf8":
        row["name"] = "Caf@"
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    out = {"topic": topic, "partition": 1, "key": json.dumps(key, separators=(",", ":")), "headers": record["headers"]}
    if which == "cut-json":  # in the middle of the new row
        out["value"] = text[: text.rindex('"after":') + 40]
    elif which == "not-utf8":  # Latin-1
        out["value_base64"] = base64.b64encode(text.encode().replace(b"Caf@", b"Caf\xe9")).decode()
    else:
        out["value"] = text
    print(json.dumps(out, ensure_ascii=False))


main(sys.argv[1])
