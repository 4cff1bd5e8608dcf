#!/usr/bin/env python3
"""table.py WORK [--json FILE]: the table of a run of scripts/bench.sh, of what it left in the folder WORK, and its targets.
Exit status 1 if a row of the services is wrong."""
import json
import os
import pathlib
import platform
import sys

# What a contestant is called; the form, plain or schema, is the last word of its name.
NAMES = {
    "discard": "librdkafka, discard",
    "bare-loop": "bare loop, analytics",
    "bare-loop-rows": "the same, keeps last rows",
    "analytics-memory": "**analytics, in memory**",
    "analytics-sqlite": "**analytics, SQLite**",
    "analytics-files": "**analytics, files**",
    "bare-loop-inventory": "bare loop, inventory",
    "inventory-memory": "**inventory, in memory**",
    "inventory-sqlite": "**inventory, SQLite**",
    "peer-python": "Python, analytics in dictionaries",
    "peer-go-mirror": "Go, mirror of rows, costless sink",
    "peer-go-increments": "Go, an increment for each line, costless sink",
    "inventory-dynamodb": "**inventory, DynamoDB stand-in**",
    "bare-update": "bare UpdateItem",
    "search-dynamodb": "**search, DynamoDB stand-in**",
}
FORMS = {"plain": "", "schema": ", with schemas", "small": ", short stream", "zipf": ", Zipf's law"}
TABLES = {"analytics": ["orders", "order_items"], "inventory": ["products", "order_items"], "search": ["products"]}
BASE = {"analytics": "bare-loop", "inventory": "bare-loop-inventory"}
# By what a program that writes to DynamoDB is judged: what its writes are divided by.
EVENTS = {"inventory": "order_items", "search": "products"}


def read(work):
    streams = {form: json.loads((work / f"stream-{form}.json").read_text("utf-8")) for form in FORMS}
    found = {}
    for line in (work / "runs").read_text("utf-8").splitlines():
        run = json.loads(line)
        name, form, service = run.pop("name").split(" ")
        row = found.setdefault((name.removesuffix(f"-{form}"), form, service), {"runs": []})
        row["runs"].append(run)
    rows = []
    for (name, form, service), row in found.items():
        counts = document(work / f"counts-{name}-{form}.json")
        if service == "update":
            records, size = counts["requests"]["UpdateItem"], 0
        else:
            tables = [streams[form]["tables"][table] for table in TABLES[service]]
            records, size = (sum(table[what] for table in tables) for what in ("records", "bytes"))
        cpu = min(run["cpu_s"] for run in row["runs"])
        rows.append(
            {
                "name": name,
                "form": form,
                "service": service,
                "records": records,
                "bytes": size,
                "cpu_s": cpu,
                "cpu_s_per_million": 1e6 * cpu / records,
                "cpu_ns_per_byte": 1e9 * cpu / size if size else None,
                "events_per_s": records / min(run["wall_s"] for run in row["runs"]),
                "peak_mib": max(run["peak_mib"] for run in row["runs"]),
                "answers": document(work / f"compared-{name}-{form}.json"),
                "killed": document(work / f"compared-killed-{name}-{form}.json"),
                "dynamodb": service != "update" and counts and of_events(counts, cpu, service, streams[form]["tables"]),
                "runs": row["runs"],
            }
        )
    cost = {(row["name"], row["form"]): row["cpu_s_per_million"] for row in rows}
    for row in rows:
        base = cost.get((BASE.get(row["service"]), row["form"]))
        row["ratio"] = row["cpu_s_per_million"] / base if base else None
        base = cost.get(("bare-update", "small"))
        if row["dynamodb"]:
            row["dynamodb"]["updates"] = row["dynamodb"]["cpu_s_per_million"] / base if base else None
    return streams, rows


def document(path):
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def of_events(counts, cpu, service, tables):
    """What was asked of the stand-in, for each event that is counted."""
    events = tables[EVENTS[service]]["records"]
    return {
        "counts": counts,
        "events": events,
        "cpu_s_per_million": 1e6 * cpu / events,
        "requests": sum(counts["requests"].values()) / events,
        # A condition that did not hold is billed as a write.
        "writes": (sum(counts["writes"].values()) + sum(counts["failed"].values())) / events,
    }


def targets(rows):
    """Each target with what it came to, None where it was not measured."""
    by = {(row["name"], row["form"]): row for row in rows}

    def ratio(name):
        row = by.get((name, "plain"))
        return row and row["ratio"]

    plain, schema = by.get(("analytics-memory", "plain")), by.get(("analytics-memory", "schema"))
    zipf, search = (by.get(key) for key in (("inventory-dynamodb", "zipf"), ("search-dynamodb", "small")))
    zipf, search = zipf and zipf["dynamodb"] or {}, search and search["dynamodb"] or {}
    killed = [row["killed"]["wrong"] for row in rows if row["killed"] and is_ours(row)]
    by_byte = schema["cpu_ns_per_byte"] / plain["cpu_ns_per_byte"] if plain and schema else None
    return [
        ("analytics in memory, of the bare loop's CPU", 1.5, ratio("analytics-memory")),
        ("analytics in SQLite, of the bare loop's CPU", 4.0, ratio("analytics-sqlite")),
        ("inventory in SQLite, of the bare loop's CPU", 4.0, ratio("inventory-sqlite")),
        ("CPU a byte with schemas, of that without (analytics in memory)", 0.35, by_byte),
        ("inventory in DynamoDB, item writes for each line of an order (Zipf's law)", 0.15, zipf.get("writes")),
        ("inventory in DynamoDB, requests for each line of an order (Zipf's law)", 0.05, zipf.get("requests")),
        ("search in DynamoDB, of a bare UpdateItem's CPU for each change of a product", 1.5, search.get("updates")),
        ("rows of the services that are wrong after kill -9 and a new start", 0, sum(killed) if killed else None),
    ]


def machine():
    cpu = memory = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
    for line in pathlib.Path("/proc/meminfo").read_text("utf-8").splitlines():
        if line.startswith("MemTotal"):
            memory = round(int(line.split()[1]) / 1024 / 1024)
    return {"cores": os.cpu_count(), "cpu": cpu, "memory_gib": memory, "kernel": ".".join(platform.release().split(".")[:2]), "load": os.getloadavg()}


def is_ours(row):
    return row["name"].startswith(("analytics-", "inventory-", "search-"))


def wrong_of(compared):
    return f"{compared['wrong']:,} of {compared['rows']:,}" if compared else "-"


def main():
    if len(sys.argv) not in (2, 4) or (len(sys.argv) == 4 and sys.argv[2] != "--json"):
        sys.exit(__doc__)
    streams, rows = read(pathlib.Path(sys.argv[1]))
    print("| what | records | CPU s / million | x bare loop | records / s | peak MiB | wrong rows | after kill -9 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else "-"
        print(
            f"| {NAMES[row['name']]}{FORMS[row['form']]} | {row['records']:,} | {row['cpu_s_per_million']:.2f} | {ratio} | "
            f"{row['events_per_s']:,.0f} | {row['peak_mib']:,} | {wrong_of(row['answers'])} | {wrong_of(row['killed'])} |"
        )
    written = [row for row in rows if row["dynamodb"]]
    if written:
        print("\n| what | events | item writes an event | requests an event | CPU s / million events | x bare UpdateItem |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for row in written:
        of = row["dynamodb"]
        updates = f"{of['updates']:.2f}" if of["updates"] else "-"
        print(
            f"| {NAMES[row['name']]}{FORMS[row['form']]} | {of['events']:,} | {of['writes']:.3f} | {of['requests']:.3f} | "
            f"{of['cpu_s_per_million']:.1f} | {updates} |"
        )
    print("\n| target | at most | measured |\n| --- | ---: | --- |")
    for name, most, value in targets(rows):
        said = "not measured" if value is None else f"{value:.2f}, {'met' if value <= most else 'missed'}"
        print(f"| {name} | {most:.2f} | {said} |")
    here = machine()
    load = here["load"][2]
    print(f"\n{here['cores']} cores ({here['cpu']}), {here['memory_gib']} GiB, Linux {here['kernel']}; load over 15 minutes {load:.1f}")
    if len(sys.argv) == 4:
        whole = {"machine": here, "streams": streams, "rows": rows}
        whole["targets"] = [{"target": name, "at_most": most, "measured": value} for name, most, value in targets(rows)]
        pathlib.Path(sys.argv[3]).write_text(json.dumps(whole, indent=2) + "\n", "utf-8")
    is_wrong = lambda row: not row["answers"] or row["answers"]["wrong"] or (row["killed"] and row["killed"]["wrong"])
    wrong = [row["name"] for row in rows if is_ours(row) and is_wrong(row)]
    if wrong:
        sys.exit(f"bench: wrong or missing rows: {', '.join(wrong)}")


main()
