"""Whether the spans that a collector wrote are those of our services.

traces.py FILE TRACE SERVICE... -- SERVICE...

FILE: lines of OTLP JSON. Every service named must have sent spans `commit`, each with its topic, its partition, and
offsets that go on where the one before ended; those before `--` also a link with TRACE. Exit status 0, or 1 and why.
"""
import json
import sys


def value(of):
    kind, held = next(iter(of.items()))
    return int(held) if kind == "intValue" else held


def attributes(of):
    return {pair["key"]: value(pair["value"]) for pair in of.get("attributes", [])}


def read(path):
    """Service -> its spans, by the time they ended."""
    spans = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if not line.endswith("\n"):
                break  # it is being written
            for resource in json.loads(line)["resourceSpans"]:
                who = attributes(resource["resource"])
                assert who["cdc.generation"] >= 1 and who["service.version"], who
                for scope in resource["scopeSpans"]:
                    spans.setdefault(who["service.name"], []).extend(scope["spans"])
    for of_one in spans.values():
        of_one.sort(key=lambda span: int(span["endTimeUnixNano"]))
    return spans


def check(service, spans, trace):
    """Why these are not right, or None."""
    if not spans:
        return "no span"
    reached, linked = {}, False
    for span in spans:
        what = attributes(span)
        place = what["messaging.destination.name"], what["messaging.destination.partition.id"]
        start, end = what["cdc.offset.start"], what["cdc.offset.end"]
        if span["name"] != "commit" or what["messaging.system"] != "kafka":
            return f"another span: {span['name']}"
        if int(span["startTimeUnixNano"]) > int(span["endTimeUnixNano"]):
            return f"ends before it starts: {place}, offset {start}"
        if start > end or start < reached.get(place, 0):
            return f"{place}: {start} to {end} after {reached.get(place)}"
        if span.get("status", {}).get("code") != 2:
            reached[place] = end
        linked |= any(link["traceId"] == trace for link in span.get("links", []))
    return None if linked or not trace else f"no link with {trace}"


def main():
    path, trace, *services = sys.argv[1:]
    spans = read(path)
    divide = services.index("--")
    for at, service in enumerate(services):
        if service == "--":
            continue
        why = check(service, spans.get(service, []), trace if at < divide else None)
        if why:
            sys.exit(f"{service}: {why}")
        print(f"{service}: {len(spans[service])} spans")


main()
