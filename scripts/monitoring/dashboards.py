#!/usr/bin/env python3
"""Checks monitoring/: dashboards, rules, and the metrics that both use.

  dashboards.py                     structure; every query parses; every metric is a known one; runbooks; rule tests
  dashboards.py --prometheus URL    and runs every query and rule there; says which had no series
  dashboards.py --prometheus URL --minutes 30 --svg DIR     and draws each dashboard with what it found

Needs promtool on the PATH, and nothing beyond Python's own library. Exit status 0: all is well (a query without series
is no fault, unless --strict), 1: faults, a line each.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from picture import draw

ROOT = Path(__file__).resolve().parents[2]
# What Grafana fills in; main() sets those of the time that is looked at.
BUILTIN = {"__rate_interval": "2m", "__interval": "30s", "__range": "30m"}
CHOSEN = ".*"
GRID = 24
HISTOGRAM = ("_bucket", "_sum", "_count")
# Parts of a query that are no metric.
WORDS = set("and or unless by without on ignoring group_left group_right bool offset inf nan atan2".split())


# ---------------------------------------------------------------- queries
def filled(expr, variables):
    """The query as Grafana would send it, and the variables that nobody declares."""
    unknown = []

    def value(match):
        name = match.group(1) or match.group(2)
        if name in BUILTIN:
            return BUILTIN[name]
        if name not in variables:
            unknown.append(name)
        return CHOSEN if name == "service" else ".*"

    # A single choice stands in an exact matcher; without one it is all of them.
    expr = re.sub(r'="(\$\w+)"', r'=~"\1"', expr)
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, expr), unknown


def metrics_in(expr):
    """The metrics that a query reads."""
    text = re.sub(r'"(?:[^"\\]|\\.)*"', "", expr)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    text = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    names = re.finditer(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])", text)
    return {name.group() for name in names if name.group().lower() not in WORDS}


def known_metrics(root):
    """Ours from the table in CONSUMER_DEPLOYMENT.md, those of others from foreign.txt. A histogram: its series."""
    kinds = {}
    for line in (root / "scripts/monitoring/foreign.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, kind = line.split()
            kinds[name] = kind
    document = (root / "CONSUMER_DEPLOYMENT.md").read_text()
    section = re.search(r"^## Metrics\n(.*?)(?=^## |\Z)", document, re.M | re.S)
    for row in re.finditer(r"^\| `(\w+)` \| (\w+) \|", section.group(1) if section else "", re.M):
        kinds[row.group(1)] = row.group(2)
    known = set()
    for name, kind in kinds.items():
        known |= {name + end for end in HISTOGRAM} if kind == "histogram" else {name}
    return known


# ---------------------------------------------------------------- rules
def rules_in(text):
    """Name, kind and query of each rule, from YAML in the plain form in which ours is written."""
    found, block = [], None
    for line in text.splitlines():
        if start := re.match(r"\s+- (record|alert): (\S+)$", line):
            found.append({"kind": start[1], "name": start[2], "expr": "", "line": line})
        elif found and (expr := re.match(r"(\s+)expr: (.*)$", line)):
            block = len(expr[1]) if expr[2] == "|" else None
            found[-1]["expr"] = "" if block else expr[2]
        elif block and line.strip() and len(line) - len(line.lstrip()) > block:
            found[-1]["expr"] += line.strip() + "\n"
        else:
            block = None
            if found and (more := re.match(r"\s+(runbook_url|severity|summary|description): (.*)$", line)):
                found[-1][more[1]] = more[2].strip('"')
    return found


def rule_faults(root, rules):
    tests = "".join(file.read_text() for file in sorted((root / "monitoring/rules/tests").glob("*.yml")))
    runbooks = {file.stem for file in (root / "monitoring/runbooks").glob("*.md")}
    alerts = [rule for rule in rules if rule["kind"] == "alert"]
    for alert in alerts:
        name = alert["name"]
        for field in ("severity", "summary", "description", "runbook_url"):
            if not alert.get(field):
                yield f"{name}: no {field}"
        if alert.get("severity") not in ("critical", "warning"):
            yield f"{name}: severity {alert.get('severity')} is none of critical, warning"
        url = alert.get("runbook_url", "")
        if not (root / url).is_file() or Path(url).stem != name:
            yield f"{name}: no runbook {url or name}"
        # Somewhere it is asked for and expected, and somewhere expected not to fire.
        asked = re.findall(rf'alertname="{name}", alertstate="firing"\}}\).*?exp_samples: \[(.?)', tests, re.S)
        if "]" not in asked or "{" not in asked:
            yield f"{name}: rules/tests show it {'firing only' if '{' in asked else 'not firing'}"
    for name in sorted(runbooks - {alert["name"] for alert in alerts}):
        yield f"runbooks/{name}.md: there is no such alert"
    names = [rule["name"] for rule in rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name}: there are two of it"


# ---------------------------------------------------------------- dashboards
def flat(panels):
    for panel in panels:
        yield panel
        yield from flat(panel.get("panels") or [])


def variables_of(board):
    return {variable["name"] for variable in board.get("templating", {}).get("list", [])}


def targets_of(board):
    """Panel, query as it would be sent, legend, variables that are not declared."""
    for panel in flat(board["panels"]):
        for target in panel.get("targets", []):
            expr, unknown = filled(target["expr"], variables_of(board))
            yield panel, expr, target.get("legendFormat", ""), unknown


def board_faults(name, board):
    """What Grafana would not say, or only show."""
    for field in ("title", "uid", "panels", "templating", "time"):
        if not board.get(field):
            yield f"{name}: no {field}"
    if board.get("schemaVersion", 0) < 39:
        yield f"{name}: schemaVersion {board.get('schemaVersion')} is below 39"
    if "datasource" not in variables_of(board):
        yield f"{name}: no variable for the data source"
    ids, cells = set(), {}
    for panel in flat(board.get("panels", [])):
        title = f"{name}: {panel.get('title') or 'a panel without title'}"
        if not panel.get("title"):
            yield title
        if panel.get("id") in ids:
            yield f"{title}: id {panel.get('id')} is another panel's"
        ids.add(panel.get("id"))
        yield from place_faults(title, panel.get("gridPos") or {}, cells)
        if panel.get("type") in ("row", "text"):
            continue
        if not panel.get("description"):
            yield f"{title}: no description"
        if not panel.get("fieldConfig", {}).get("defaults", {}).get("unit"):
            yield f"{title}: no unit"
        if panel.get("datasource", {}).get("uid") != "${datasource}":
            yield f"{title}: a data source of its own"
        targets = panel.get("targets") or []
        if not targets:
            yield f"{title}: no query"
        if len({target.get("refId") for target in targets}) != len(targets):
            yield f"{title}: two queries of one refId"


def place_faults(title, place, cells):
    if not {"x", "y", "w", "h"} <= set(place):
        yield f"{title}: no place"
        return
    if place["x"] < 0 or place["w"] < 1 or place["h"] < 1 or place["x"] + place["w"] > GRID:
        yield f"{title}: not within the {GRID} columns"
    over = set()
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            over.add(cells.setdefault((x, y), title))
    for other in sorted(over - {title}):
        yield f"{title}: lies over {other}"


# ---------------------------------------------------------------- all of it
def metric_faults(queries, known):
    for where, expr in queries:
        for name in sorted(metrics_in(expr) - known):
            yield f"{where}: {name} is no known metric"


def parse_faults(queries):
    """Every query, as a rule of its own, read by promtool."""
    rules = [{"record": f"q:{at}", "expr": expr} for at, (_, expr) in enumerate(queries)]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        # JSON is YAML.
        json.dump({"groups": [{"name": "queries", "rules": rules}]}, file)
        file.flush()
        done = subprocess.run(["promtool", "check", "rules", file.name], capture_output=True, text=True)
    if done.returncode == 0:
        return
    places = re.findall(r'rule \d+, "q:(\d+)".*?: (.*)', done.stdout + done.stderr)
    for at, why in places:
        yield f"{queries[int(at)][0]}: {why}"
    if not places:
        yield f"promtool: {done.stdout}{done.stderr}"


class Prometheus:
    def __init__(self, url, minutes):
        self.url, self.end = url.rstrip("/"), time.time()
        self.start, self.step = self.end - minutes * 60, max(1, minutes * 60 / 240)

    def range(self, expr):
        """Series, or why there is none."""
        asked = {"query": expr, "start": self.start, "end": self.end, "step": self.step}
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query_range", urllib.parse.urlencode(asked).encode(), 30) as answer:
                return json.load(answer)["data"]["result"], None
        except urllib.error.HTTPError as error:
            return [], json.load(error).get("error", str(error))


    def is_now(self, series):
        return float(series["values"][-1][0]) > self.end - 2 * self.step


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", metavar="URL")
    parser.add_argument("--minutes", type=float, default=30, help="how far back (30)")
    parser.add_argument("--service", default=".*", help="what the dashboards' variable is set to (all)")
    parser.add_argument("--strict", action="store_true", help="a dashboard's query without series is a fault")
    parser.add_argument("--svg", metavar="DIR", type=Path)
    args = parser.parse_args()
    if args.svg and not args.prometheus:
        parser.error("--svg needs --prometheus")
    global CHOSEN
    CHOSEN = args.service
    # A fifteenth of the time, as a panel of some width asks for; enough scrapes for a rate.
    BUILTIN.update(__range=f"{int(args.minutes * 60)}s", __rate_interval=f"{max(20, int(args.minutes * 4))}s")

    rules = rules_in((ROOT / "monitoring/rules/cdc-consumers.rules.yml").read_text())
    boards = {file.stem: json.loads(file.read_text()) for file in sorted((ROOT / "monitoring/dashboards").glob("*.json"))}
    faults = list(rule_faults(ROOT, rules))
    queries = [(rule["name"], rule["expr"]) for rule in rules]
    uids = [board.get("uid") for board in boards.values()]
    if len(set(uids)) != len(uids):
        faults.append(f"dashboards of one uid: {uids}")
    for name, board in boards.items():
        faults += board_faults(name, board)
        for panel, expr, _, unknown in targets_of(board):
            queries.append((f"{name}: {panel.get('title')}", expr))
            faults += [f"{name}: {panel.get('title')}: ${variable} is not declared" for variable in unknown]
    known = known_metrics(ROOT) | {rule["name"] for rule in rules if rule["kind"] == "record"}
    faults += metric_faults(queries, known)
    faults += parse_faults(queries)

    if args.prometheus:
        faults += run(Prometheus(args.prometheus, args.minutes), rules, boards, args)
    for fault in dict.fromkeys(faults):
        print(f"fault: {fault}")
    print(f"{len(rules)} rules, {len(boards)} dashboards, {len(queries)} queries: {len(set(faults))} faults")
    return 1 if faults else 0


def run(prometheus, rules, boards, args):
    faults = []
    for rule in rules:
        series, why = prometheus.range(rule["expr"])
        if why:
            faults.append(f"{rule['name']}: {why}")
        elif rule["kind"] == "alert":
            now = sum(prometheus.is_now(one) for one in series)
            print(f"{rule['name']}: {f'holds for {now}' if now else 'held before' if series else 'quiet'}")
        elif not series:
            print(f"{rule['name']}: no series")
    for name, board in boards.items():
        found = {}
        for panel, expr, legend, _ in targets_of(board):
            series, why = prometheus.range(expr)
            if why:
                faults.append(f"{name}: {panel['title']}: {why}")
            elif not series:
                print(f"{name}: {panel['title']}: no series for {expr}")
                if args.strict:
                    faults.append(f"{name}: {panel['title']}: no series")
            found.setdefault(panel["id"], []).extend((legend, one) for one in series)
        if args.svg:
            args.svg.mkdir(parents=True, exist_ok=True)
            (args.svg / f"{name}.svg").write_text(draw(board, found, prometheus.start, prometheus.end))
            print(f"{args.svg}/{name}.svg")
    return faults


if __name__ == "__main__":
    sys.exit(main())
