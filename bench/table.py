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
}
FORMS = {"plain": "", "schema": ", with schemas"}
TABLES = {"analytics": ["orders", "order_items"], "inventory": ["products", "order_items"]}
BASE = {"analytics": "bare-loop", "inventory": "bare-loop-inventory"}


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
        tables = [streams[form]["tables"][table] for table in TABLES[service]]
        records, size = (sum(table[what] for table in tables) for what in ("records", "bytes"))
        cpu = min(run["cpu_s"] for run in row["runs"])
        compared = work / f"compared-{name}-{form}.json"
        rows.append(
            {
                "name": name,
                "form": form,
                "service": service,
                "records": records,
                "bytes": size,
                "cpu_s": cpu,
                "cpu_s_per_million": 1e6 * cpu / records,
                "cpu_ns_per_byte": 1e9 * cpu / size,
                "events_per_s": records / min(run["wall_s"] for run in row["runs"]),
                "peak_mib": max(run["peak_mib"] for run in row["runs"]),
                "answers": json.loads(compared.read_text("utf-8")) if compared.exists() else None,
                "runs": row["runs"],
            }
        )
    cost = {(row["name"], row["form"]): row["cpu_s_per_million"] for row in rows}
    for row in rows:
        base = cost.get((BASE[row["service"]], row["form"]))
        row["ratio"] = row["cpu_s_per_million"] / base if base else None
    return streams, rows


def targets(rows):
    """Each target with what it came to, None where it was not measured."""
    by = {(row["name"], row["form"]): row for row in rows}

    def ratio(name):
        row = by.get((name, "plain"))
        return row and row["ratio"]

    plain, schema = by.get(("analytics-memory", "plain")), by.get(("analytics-memory", "schema"))
    by_byte = schema["cpu_ns_per_byte"] / plain["cpu_ns_per_byte"] if plain and schema else None
    return [
        ("analytics in memory, of the bare loop's CPU", 1.5, ratio("analytics-memory")),
        ("analytics in SQLite, of the bare loop's CPU", 4.0, ratio("analytics-sqlite")),
        ("inventory in SQLite, of the bare loop's CPU", 4.0, ratio("inventory-sqlite")),
        ("CPU a byte with schemas, of that without (analytics in memory)", 0.35, by_byte),
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


def main():
    if len(sys.argv) not in (2, 4) or (len(sys.argv) == 4 and sys.argv[2] != "--json"):
        sys.exit(__doc__)
    streams, rows = read(pathlib.Path(sys.argv[1]))
    print("| what | records | CPU s / million | x bare loop | records / s | peak MiB | wrong rows |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        answers = row["answers"]
        wrong = f"{answers['wrong']:,} of {answers['rows']:,}" if answers else "-"
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else "-"
        print(
            f"| {NAMES[row['name']]}{FORMS[row['form']]} | {row['records']:,} | {row['cpu_s_per_million']:.2f} | {ratio} | "
            f"{row['events_per_s']:,.0f} | {row['peak_mib']:,} | {wrong} |"
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
    ours = [row for row in rows if row["name"].startswith(("analytics-", "inventory-"))]
    wrong = [row["name"] for row in ours if not row["answers"] or row["answers"]["wrong"]]
    if wrong:
        sys.exit(f"bench: wrong or missing rows: {', '.join(wrong)}")


main()
