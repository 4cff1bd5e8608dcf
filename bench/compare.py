#!/usr/bin/env python3
"""compare.py EXPECTED STREAM ANSWERS VIEW...: how many rows of these views differ from PostgreSQL's answers, as JSON
{"rows", "wrong"} on standard output.

EXPECTED: cdc/demo/expected.json.gz, the recorded shop's views as PostgreSQL computed them. STREAM: what make-stream printed:
each copy of the shop has ids of its own, so the right rows are those of the recording once a copy, or times the copies
where a row belongs to all. ANSWERS: a SQLite file of a service (*.db), its folder of reports, or lines of a program
(src/answers.rs). A row that is missing, or too many, is a wrong row.
"""
import decimal
import gzip
import json
import pathlib
import sqlite3
import sys

# View: key, columns that are compared, whether each copy has rows of its own.
VIEWS = {
    "daily_sales": ("day", ["orders", "revenue"], False),
    "order_status": ("status", ["orders"], False),
    "product_sales": ("product_id", ["quantity", "revenue"], True),
    "customer_metrics": ("customer_id", ["orders", "spent", "last_order_at"], True),
    "inventory_realtime": ("product_id", ["name", "price", "base_stock", "sold", "stock_quantity"], True),
}
AMOUNTS = {"revenue", "spent", "price"}


def plain(name, value):
    """A value as all contestants have it: amounts as decimals, times without zeros at the end of their fraction."""
    if value is None:
        return None
    if name in AMOUNTS:
        return decimal.Decimal(str(value))
    if name == "last_order_at":
        text = str(value).removesuffix("Z").replace(" ", "T")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value


def expected(path, stream):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        recorded = json.load(file)["views"]
    views = {}
    for view, (key, columns, is_own) in VIEWS.items():
        rows = views[view] = {}
        for row in recorded[view]:
            values = [plain(name, row[name]) for name in columns]
            if not is_own:
                rows[row[key]] = [value * stream["copies"] for value in values]
                continue
            for copy in range(stream["copies"]):
                rows[row[key] + copy * stream["step"]] = values
    return views


def answers(path, views):
    found = {view: {} for view in views}

    def add(view, key, row):
        found[view][key] = [plain(name, row[name]) for name in VIEWS[view][1]]

    if path.suffix == ".db":
        base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        base.row_factory = sqlite3.Row
        for view in views:
            for row in base.execute(f"select * from {view}"):
                add(view, row[VIEWS[view][0]], row)
    elif path.is_dir():
        for view in views:
            for row in json.loads((path / "reports" / view / "latest.json").read_text("utf-8"))["rows"]:
                add(view, row[VIEWS[view][0]], row)
    else:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                view, key, row = json.loads(line)
                if view in found:
                    add(view, key, row)
    return found


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    truth = expected(sys.argv[1], json.loads(pathlib.Path(sys.argv[2]).read_text("utf-8")))
    found = answers(pathlib.Path(sys.argv[3]), sys.argv[4:])
    rows = wrong = 0
    for view, is_there in found.items():
        rows += len(truth[view])
        keys = truth[view].keys() | is_there.keys()
        wrong += sum(1 for key in keys if truth[view].get(key) != is_there.get(key))
    print(json.dumps({"rows": rows, "wrong": wrong}))


main()
