"""A dashboard as a plain SVG: its panels at their places, with the data that was found. For documentation, and to look
at queries and layout; not Grafana's own picture."""
import math
import re
import time
from xml.sax.saxutils import escape

COLUMN, ROW, GAP, HEAD = 50, 30, 8, 44
COLORS = ["#3274d9", "#e0862d", "#37872d", "#c4162a", "#8f3bb8", "#0a8a8a", "#b8860b", "#6b7280", "#d6409f", "#1f3a93"]
STEPS = {"green": "#37872d", "orange": "#e0862d", "red": "#c4162a"}
LINES_MAX = 6  # of a legend
SI = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]
IEC = [(1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")]


def shown(value, unit):
    """A number as people read it."""
    if unit == "bool_yes_no":
        return "yes" if value else "no"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        if value and abs(value) < 1:
            return f"{value * 1000:.3g} ms"
        for seconds, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if abs(value) >= 2 * seconds:
                return f"{value / seconds:.3g} {name}"
        return f"{value:.3g} s"
    end = {"bytes": "B", "Bps": "B/s", "cps": "/s", "reqps": "/s"}.get(unit, "")
    for factor, name in IEC if unit in ("bytes", "Bps") else SI:
        if abs(value) >= factor:
            return f"{value / factor:.4g} {name}{end}"
    return f"{value:.3g}{' ' if end.startswith('B') else ''}{end}"


def points(series):
    pairs = ((float(at), float(value)) for at, value in series["values"])
    return [(at, value) for at, value in pairs if math.isfinite(value)]


def legend(template, series):
    text = re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda m: series["metric"].get(m[1], ""), template).strip()
    labels = ", ".join(f"{k}={v}" for k, v in series["metric"].items() if k != "__name__")
    return text or labels or "value"


def text(x, y, words, size=11, color="#444", anchor="start", weight="normal"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(str(words))}</text>'
    )


def nice(top, unit_name):
    """A round number at or above it."""
    if top <= 0:
        return 1.0
    if unit_name in ("bytes", "Bps"):
        factor = next((factor for factor, _ in IEC if top >= factor), 1)
        return factor * nice(top / factor, "")
    unit = 10 ** math.floor(math.log10(top))
    return next(unit * step for step in (1, 2, 2.5, 5, 10) if unit * step >= top * 0.999)


def draw_lines(box, unit, found, start, end):
    x, y, w, h = box
    series = [(legend(template, one), points(one)) for template, one in found]
    series = sorted((one for one in series if one[1]), key=lambda one: -one[1][-1][1])
    rows = min(len(series), LINES_MAX)
    left, right, top, bottom = x + 62, x + w - 10, y + 30, y + h - 22 - 14 * rows
    high = nice(max((value for _, line in series for _, value in line), default=1), unit)
    out = []
    for part in range(5):
        at = bottom - (bottom - top) * part / 4
        out.append(f'<line x1="{left}" y1="{at:.1f}" x2="{right}" y2="{at:.1f}" stroke="#e4e4e7"/>')
        out.append(text(left - 6, at + 4, shown(high * part / 4, unit), 10, "#777", "end"))
    for part in range(4):
        clock = time.strftime("%H:%M:%S" if end - start < 900 else "%H:%M", time.gmtime(start + (end - start) * part / 3))
        anchor = ("start", "middle", "middle", "end")[part]
        out.append(text(left + (right - left) * part / 3, bottom + 14, clock, 10, "#777", anchor))
    for at, (name, line) in enumerate(series):
        color = COLORS[at % len(COLORS)]
        dots = " ".join(
            f"{left + (right - left) * (t - start) / (end - start):.1f},{bottom - (bottom - top) * max(0, v) / high:.1f}"
            for t, v in line
        )
        out.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.4" points="{dots}"/>')
        if at < LINES_MAX:
            under = bottom + 30 + 14 * at
            out.append(f'<rect x="{x + 12}" y="{under - 7}" width="12" height="4" fill="{color}"/>')
            more = f" (and {len(series) - rows} more)" if at == rows - 1 and len(series) > rows else ""
            out.append(text(x + 30, under, f"{name}: {shown(line[-1][1], unit)}{more}"[: int(w / 5.6)], 10))
    return out


def step_color(value, steps):
    color = "#3274d9"
    for step in steps:
        if step["value"] is None or value >= step["value"]:
            color = STEPS.get(step["color"], color)
    return color


def draw_numbers(box, unit, found, steps):
    x, y, w, h = box
    last = [(legend(template, one), points(one)) for template, one in found]
    last = sorted((name, line[-1][1]) for name, line in last if line)
    size = min(22, (h - 40) / max(1, len(last)) * 0.8)
    out = []
    for at, (name, value) in enumerate(last):
        under = y + 40 + (h - 44) * (at + 0.6) / len(last)
        out.append(text(x + 12, under, name[: int(w / 11)], 11))
        out.append(text(x + w - 12, under, shown(value, unit), max(9, size), step_color(value, steps), "end", "bold"))
    return out


def draw_panel(panel, found, start, end):
    place = panel["gridPos"]
    box = (
        place["x"] * COLUMN + GAP,
        place["y"] * ROW + HEAD,
        place["w"] * COLUMN - GAP,
        place["h"] * ROW - GAP,
    )
    x, y, w, h = box
    out = [
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="3" fill="#fff" stroke="#d4d4d8"/>',
        text(x + 12, y + 19, panel["title"], 12, "#18181b", weight="bold"),
    ]
    if panel["type"] == "text":
        lines = panel["options"]["content"].replace("```", "").strip().splitlines()
        return out + [text(x + 12, y + 44 + 18 * at, line[: int(w / 6)], 11) for at, line in enumerate(lines)]
    defaults = panel["fieldConfig"]["defaults"]
    if not any(points(one) for _, one in found):
        return out + [text(x + w / 2, y + h / 2 + 8, "no data", 12, "#999", "middle")]
    if panel["type"] == "timeseries":
        return out + draw_lines(box, defaults["unit"], found, start, end)
    return out + draw_numbers(box, defaults["unit"], found, defaults.get("thresholds", {}).get("steps", []))


def draw(board, found, start, end):
    """`found`: by panel id, pairs of legend template and series, as Prometheus answers a range query."""
    height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"]) * ROW + HEAD + GAP
    width = 24 * COLUMN + GAP
    body = [text(GAP + 4, 28, board["title"], 17, "#18181b", weight="bold")]
    body.append(text(width - GAP, 28, time.strftime("%Y-%m-%d, UTC", time.gmtime(end)), 11, "#777", "end"))
    for panel in board["panels"]:
        body += draw_panel(panel, found.get(panel["id"], []), start, end)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, sans-serif">\n'
        f'<rect width="{width}" height="{height}" fill="#f4f5f5"/>\n' + "\n".join(body) + "\n</svg>\n"
    )
