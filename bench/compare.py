#!/usr/bin/env python3
"""compare.py EXPECTED STREAM ANSWERS VIEW...: how many rows of these views differ from PostgreSQL's answers, as JSON
{"rows", "wrong"} on standard output.

EXPECTED: cdc/demo/expected.json.gz, the recorded shop's views as PostgreSQL computed them, or what make-stream --truth
wrote. STREAM: what make-stream printed: each copy of the shop has ids of its own, so the right rows are those of the
recording once a copy, or times the copies where a row belongs to all. ANSWERS: a SQLite file of a service (*.db), its
folder of reports, items of the stand-in for DynamoDB (a folder with TABLE.items), or lines of a program (src/answers.rs).
A row that is missing, or too many, is a wrong row.
"""
import collections
import decimal
import gzip
import json
import pathlib
import sqlite3
import sys

# View: key, columns that are compared, whether each copy has rows of its own: the last column of the key is an id then.
VIEWS = {
    "daily_sales": (["day"], ["orders", "revenue"], False),
    "order_status": (["status"], ["orders"], False),
    "product_sales": (["product_id"], ["quantity", "revenue"], True),
    "customer_metrics": (["customer_id"], ["orders", "spent", "last_order_at"], True),
    "inventory_realtime": (["product_id"], ["name", "price", "base_stock", "sold", "stock_quantity"], True),
    "product_search_index": (["product_id"], ["name", "description", "price", "category"], True),
    "product_search_tokens": (["token", "product_id"], [], True),
}
# In DynamoDB: the attribute without which an item is no row.
SHOWN_BY = {"inventory_realtime": "base_stock", "product_search_index": "live", "product_search_tokens": "live"}
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


def expected(path, stream, wanted):
    open_it = gzip.open if path.endswith(".gz") else open
    with open_it(path, "rt", encoding="utf-8") as file:
        recorded = json.load(file)["views"]
    views = {}
    for view in wanted:
        key, columns, is_own = VIEWS[view]
        rows = views[view] = {}
        for row in recorded[view]:
            at = [row[name] for name in key]
            values = [plain(name, row[name]) for name in columns]
            if not is_own:
                rows[tuple(at)] = [value * stream["copies"] for value in values]
                continue
            for copy in range(stream["copies"]):
                rows[*at[:-1], at[-1] + copy * stream["step"]] = values
    return views


def attribute(value):
    """One of DynamoDB's values."""
    (kind, value), = value.items()
    if kind == "N":
        return int(value) if value.lstrip("-").isdigit() else decimal.Decimal(value)
    return value


def answers(path, views):
    found = {view: {} for view in views}

    def add(view, row):
        key, columns, _ = VIEWS[view]
        found[view][tuple(row[name] for name in key)] = [plain(name, row[name]) for name in columns]

    if path.suffix == ".db":
        base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        base.row_factory = sqlite3.Row
        for view in views:
            for row in base.execute(f"select * from {view}"):
                add(view, row)
    elif (path / "reports").is_dir():
        for view in views:
            for row in json.loads((path / "reports" / view / "latest.json").read_text("utf-8"))["rows"]:
                add(view, row)
    elif path.is_dir():
        for view in views:
            with (path / f"{view.replace('_', '-')}.items").open(encoding="utf-8") as lines:
                for line in lines:
                    item = collections.defaultdict(lambda: None)
                    item.update((name, attribute(value)) for name, value in json.loads(line).items())
                    if SHOWN_BY[view] not in item:
                        continue
                    # Who only counts what is sold leaves the rest to readers.
                    item["sold"] = item["sold"] or 0
                    if view == "inventory_realtime" and "stock_quantity" not in item:
                        item["stock_quantity"] = item["base_stock"] - item["sold"]
                    add(view, item)
    else:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                view, key, row = json.loads(line)
                if view in found:
                    add(view, row | {VIEWS[view][0][0]: key})
    return found


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    truth = expected(sys.argv[1], json.loads(pathlib.Path(sys.argv[2]).read_text("utf-8")), sys.argv[4:])
    found = answers(pathlib.Path(sys.argv[3]), sys.argv[4:])
    rows = wrong = 0
    for view, is_there in found.items():
        rows += len(truth[view])
        keys = truth[view].keys() | is_there.keys()
        wrong += sum(1 for key in keys if truth[view].get(key) != is_there.get(key))
    print(json.dumps({"rows": rows, "wrong": wrong}))


main()
