"""What dashboards.py must find: each fault made on purpose. python3 -m unittest discover -s scripts/monitoring"""
import argparse
import contextlib
import copy
import io
import json
import shutil
import tempfile
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs

import dashboards as checks
from picture import draw, shown

BOARD = json.loads((checks.ROOT / "monitoring/dashboards/service.json").read_text())
RULES = (checks.ROOT / "monitoring/rules/cdc-consumers.rules.yml").read_text()


class Queries(unittest.TestCase):
    def test_metrics_of_a_query(self):
        for expr, names in {
            'sum by (service, le) (rate(a_bucket{le="x", b=~"c_d"}[5m])) / on (x) group_left (y) b:c:sum': {"a_bucket", "b:c:sum"},
            "histogram_quantile(0.99, a) > 1e3 and time() - max(b offset 5m) unless c": {"a", "b", "c"},
            'absent(up{job="x{y}"}) or vector(1)': {"up"},
        }.items():
            self.assertEqual(checks.metrics_in(expr), names, expr)

    def test_variables(self):
        self.assertEqual(checks.filled('a{s="$service"}[$__rate_interval]', {"service"}), ('a{s=~".*"}[2m]', []))
        self.assertEqual(checks.filled("a{s=~\"${other}\"}", {"service"})[1], ["other"])

    def test_a_query_that_does_not_parse(self):
        faults = list(checks.parse_faults([("fine", "sum(a)"), ("broken", "sum(a"), ("worse", "rate(a)")]))
        self.assertTrue(any(fault.startswith("broken: ") for fault in faults), faults)
        self.assertFalse(any(fault.startswith("fine: ") for fault in faults), faults)

    def test_an_unknown_metric(self):
        known = checks.known_metrics(checks.ROOT)
        self.assertEqual(list(checks.metric_faults([("p", "cdc_records_total + cdc_no")], known)), ["p: cdc_no is no known metric"])
        self.assertIn("cdc_batch_offsets_bucket", known)
        self.assertNotIn("cdc_batch_offsets", known)

    def test_names_are_those_of_the_document_and_of_others(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "scripts/monitoring").mkdir(parents=True)
            shutil.copy(checks.ROOT / "scripts/monitoring/foreign.txt", root / "scripts/monitoring")
            table = "## Metrics\n\n| name | type |\n| --- | --- |\n| `cdc_a` | gauge | |\n| `cdc_b` | gauge | |\n| `cdc_h` | histogram | x |\n\n## Next\n`no`"
            (root / "CONSUMER_DEPLOYMENT.md").write_text(table)
            known = checks.known_metrics(root)
        self.assertTrue({"cdc_a", "cdc_b", "cdc_h_bucket", "ALERTS"} <= known, known)
        self.assertFalse({"cdc_h", "no", "cdc_records_total"} & known, known)


class Boards(unittest.TestCase):
    def faults(self, change):
        board = copy.deepcopy(BOARD)
        change(board)
        return list(checks.board_faults("b", board))

    def test_ours_are_fine(self):
        self.assertEqual(self.faults(lambda board: None), [])

    def test_each_fault(self):
        def panel(at, **more):
            return lambda board: board["panels"][at].update(more)

        def unit(board):
            board["panels"][0]["fieldConfig"]["defaults"].pop("unit")

        for change, says in [
            (panel(1, id=1), "id 1 is another panel's"),
            (panel(1, gridPos=BOARD["panels"][0]["gridPos"]), "lies over"),
            (panel(1, gridPos={"x": 20, "y": 0, "w": 6, "h": 1}), "not within"),
            (panel(1, gridPos={}), "no place"),
            (unit, "no unit"),
            (panel(1, targets=[]), "no query"),
            (panel(1, datasource={"uid": "abc"}), "a data source of its own"),
            (lambda board: board.update(schemaVersion=36), "below 39"),
            (lambda board: board.pop("uid"), "no uid"),
            (lambda board: board["templating"].update(list=[]), "no variable for the data source"),
        ]:
            faults = self.faults(change)
            self.assertTrue(any(says in fault for fault in faults), (says, faults))


class Rules(unittest.TestCase):
    def test_rules_are_read_whole(self):
        rules = {rule["name"]: rule for rule in checks.rules_in(RULES)}
        self.assertEqual(len(rules), RULES.count("- alert:") + RULES.count("- record:"))
        self.assertEqual(rules["CdcLagGrowing"]["expr"].count("\n"), 3)
        self.assertTrue(all(rule["expr"] for rule in rules.values()))

    def test_each_fault(self):
        for right, wrong, says in [
            ("alert: CdcViewStale", "alert: CdcOther", "CdcOther: no runbook"),
            ("alert: CdcViewStale", "alert: CdcOther", "CdcOther: rules/tests show it not firing"),
            ("alert: CdcViewStale", "alert: CdcOther", "runbooks/CdcViewStale.md: there is no such alert"),
            ("severity: critical", "severity: page", "none of critical, warning"),
            ("runbooks/CdcThrottled.md", "runbooks/CdcViewStale.md", "CdcThrottled: no runbook"),
            ("          summary:", "          title:", "no summary"),
        ]:
            self.assertIn(right, RULES)
            faults = list(checks.rule_faults(checks.ROOT, checks.rules_in(RULES.replace(right, wrong, 1))))
            self.assertTrue(any(says in fault for fault in faults), (says, faults))


class Answers(BaseHTTPRequestHandler):
    """A Prometheus that has one series for everything, knows no `cdc_generation`, and takes no histogram."""

    def do_POST(self):
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        query, end = asked["query"][0], float(asked["end"][0])
        series = [] if "cdc_generation" in query else [{"metric": {"instance": "a"}, "values": [[end - 60, "1"], [end, "2"]]}]
        bad = "histogram_quantile" in query
        answer = {"error": "too much"} if bad else {"data": {"result": series}}
        self.send_response(422 if bad else 200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


class Asked(unittest.TestCase):
    def test_what_has_no_series_what_fails_and_the_picture(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        Thread(target=server.serve_forever, daemon=True).start()
        said = io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said):
            args = argparse.Namespace(strict=True, svg=Path(folder))
            prometheus = checks.Prometheus(f"http://127.0.0.1:{server.server_port}/", 5)
            faults = checks.run(prometheus, checks.rules_in(RULES), {"service": BOARD}, args)
            svg = (Path(folder) / "service.svg").read_text()
        server.shutdown()
        server.server_close()
        self.assertIn("service: Generation: no series", faults)
        self.assertIn("service: Commit of a batch: too much", faults)
        self.assertIn("CdcViewStale: holds for 1\n", said.getvalue())
        self.assertFalse(any("Records read" in fault for fault in faults), faults)
        self.assertIn("<polyline", svg)


class Pictures(unittest.TestCase):
    def test_numbers(self):
        for value, unit, says in [
            (1536, "bytes", "1.5 KiB"), (0.25, "s", "250 ms"), (7200, "s", "2 h"), (0.05, "percentunit", "5 %"),
            (12345, "cps", "12.35 k/s"), (1, "bool_yes_no", "yes"), (3, "short", "3"),
        ]:
            self.assertEqual(shown(value, unit), says)

    def test_a_board_without_data_is_a_picture(self):
        svg = draw(BOARD, {}, 0, 60)
        self.assertEqual(svg.count("no data"), len(BOARD["panels"]))
        self.assertTrue(svg.endswith("</svg>\n"))


if __name__ == "__main__":
    unittest.main()
