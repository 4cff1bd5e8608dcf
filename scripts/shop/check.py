#!/usr/bin/env python3
"""check.py RECORDING EXPECTED: computes every view from the recorded log alone, compares it with PostgreSQL's answers.

Shares no code with the platform: the last row of each key in each partition, then the views by plain loops. Prints
counts, and what a consumer of the usual kind would have shown. Exit code 1 when a row differs.
"""
import base64
import collections
import datetime
import decimal
import gzip
import json
import re
import sys

decimal.getcontext().prec = 60
CENT = decimal.Decimal("0.01")
TOAST = "__debezium_unavailable_value"


def money(encoded):
    unscaled = int.from_bytes(base64.b64decode(encoded), "big", signed=True)
    return decimal.Decimal(unscaled).scaleb(-2)


def text(path):
    return gzip.open(path, "rt", encoding="utf-8") if path.endswith(".gz") else open(path, encoding="utf-8")


def lines(path):
    with text(path) as file:
        for line in file:
            yield json.loads(line)


def changes(path, poison, counts):
    """(table, partition, key, op, row) in the order of the file; row None: deleted. Tombstones and poison left out."""
    next_offset = collections.Counter()
    seen, time = set(), 0
    for record in lines(path):
        topic, partition, offset = place = record["topic"], record["partition"], record["offset"]
        assert offset == next_offset[topic, partition], f"a gap before {place}"
        assert record["timestamp"] >= time, f"out of order: {place}"
        next_offset[topic, partition], time = offset + 1, record["timestamp"]
        table = topic.rsplit(".", 1)[1]
        counts["partition", topic, partition] += 1
        if place in poison:
            seen.add(place)
            counts[table, "poison"] += 1
            continue
        if record["value"] is None:
            counts[table, "tombstone"] += 1
            continue
        event = json.loads(record["value"])["payload"]
        row = event["after"]
        counts[table, event["op"]] += 1
        counts["unavailable"] += row is not None and TOAST in row.values()
        counts["key changes"] += "__debezium.oldkey" in record["headers"]
        yield table, partition, json.loads(record["key"])["payload"]["id"], event["op"], row
    assert seen == poison, "the poison is elsewhere"


def last_rows(log):
    rows = collections.defaultdict(dict)
    for table, partition, key, _, row in log:
        old = rows[table].get((partition, key), {})
        if row is None:
            rows[table].pop((partition, key), None)
            continue
        rows[table][partition, key] = {c: old[c] if v == TOAST else v for c, v in row.items()}
    return {table: [row for _, row in sorted(kept.items(), key=lambda e: e[0][1])] for table, kept in rows.items()}


def views(products, orders, order_items):
    sold, revenue = collections.Counter(), collections.Counter()
    for line in order_items:
        sold[line["product_id"]] += line["quantity"]
        revenue[line["product_id"]] += line["quantity"] * money(line["unit_price"])
    stock, search, tokens = [], [], set()
    for p in products:
        common = {"product_id": p["id"], "name": p["name"]}
        price = str(money(p["price"]))
        base, gone = p["stock_quantity"], sold.get(p["id"], 0)
        stock.append(common | {"price": price, "base_stock": base, "sold": gone, "stock_quantity": base - gone})
        search.append(common | {"description": p["description"], "price": price, "category": p["category"]})
        for word in re.findall(r"[^\W_]+", (p["name"] + " " + (p["description"] or "")).lower()):
            tokens.add((word, p["id"]))
    days, status = collections.defaultdict(list), collections.Counter()
    customers = collections.defaultdict(list)
    for o in orders:
        status[o["status"]] += 1
        days[o["created_at"][:10]].append(money(o["total"]))
        at = datetime.datetime.fromisoformat(o["created_at"].replace("Z", "+00:00"))
        customers[o["customer_id"]].append((at, money(o["total"])))
    metrics = []
    for customer, bought in sorted(customers.items()):
        spent = sum(total for _, total in bought)
        metrics.append({
            "customer_id": customer, "orders": len(bought), "spent": str(spent),
            "average": str((spent / len(bought)).quantize(CENT, decimal.ROUND_HALF_UP)),
            "last_order_at": max(at for at, _ in bought).strftime("%Y-%m-%dT%H:%M:%S.%fZ")})
    return {
        "inventory_realtime": stock,
        "product_search_index": search,
        "product_search_tokens": [{"token": t, "product_id": p} for t, p in sorted(tokens)],
        "daily_sales": [{"day": d, "orders": len(t), "revenue": str(sum(t))} for d, t in sorted(days.items())],
        "product_sales": [{"product_id": p, "quantity": sold[p], "revenue": str(revenue[p])} for p in sorted(sold)],
        "customer_metrics": metrics,
        "order_status": [{"status": s, "orders": n} for s, n in sorted(status.items())],
    }


def usual(log, snapshots):
    """The usual recipe: a product event sets the stock, a new line takes from it, all else is ignored."""
    stock = {}
    for table, _, key, op, row in log:
        if table == "products" and row is None:
            stock.pop(key, None)
        elif table == "products":
            stock[row["id"]] = row["stock_quantity"]
        elif table == "order_items" and op in ("cr" if snapshots else "c") and row["product_id"] in stock:
            stock[row["product_id"]] -= row["quantity"]
    return stock


def main(recording, expected_path):
    expected = json.load(text(expected_path))
    poison = {(p["topic"], p["partition"], p["offset"]) for p in expected["poison"]}
    counts = collections.Counter()
    log = list(changes(recording, poison, counts))
    bad = 0
    for table in ("products", "orders", "order_items"):
        ops = {op: counts[table, op] for op in ("r", "c", "u", "d", "tombstone", "poison")}
        where = {k[2]: n for k, n in sorted(counts.items(), key=str) if k[:2] == ("partition", "shop.public." + table)}
        print(f"count: {table}", sum(ops.values()), *ops.values(), " + ".join(str(n) for n in where.values()), sep=" | ")
    for p in expected["poison"]:
        print("poison:", p["topic"], p["partition"], p["offset"], p["why"], sep=" | ")
    toast, moved = counts["unavailable"], counts["key changes"]
    print(f"also: {toast} events with an unavailable (unchanged TOAST) value, {moved} key changes")
    computed = views(**last_rows(log))
    assert computed.keys() == expected["views"].keys()
    for view, rows in expected["views"].items():
        theirs, ours = (collections.Counter(json.dumps(row, sort_keys=True) for row in of) for of in (rows, computed[view]))
        differ = max((theirs - ours).total(), (ours - theirs).total())
        bad += differ
        print(f"view: {view} | {len(rows)} rows | {differ} differ")
    truth = {row["product_id"]: row["stock_quantity"] for row in expected["views"]["inventory_realtime"]}
    for snapshots, how in ((True, "new lines and lines of snapshots"), (False, "new lines only")):
        shown = usual(log, snapshots)
        wrong = sum(shown.get(p) != n for p, n in truth.items()) + len(shown.keys() - truth.keys())
        print(f"usual: a consumer that takes {how} from the stock gets {wrong} of {len(truth)} stock rows wrong")
    return 1 if bad else 0


sys.exit(main(*sys.argv[1:]))
