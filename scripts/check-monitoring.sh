#!/usr/bin/env bash
# check-monitoring.sh - monitoring/: rules and their unit tests, runbooks, the PrometheusRule, dashboards.
#
#   scripts/check-monitoring.sh
#
# promtool comes with scripts/ops.sh (group prom) where none is there; Python 3.10 or later, without packages.
# Against a Prometheus that has data: scripts/monitoring/dashboards.py --help
set -euo pipefail
# shellcheck source=scripts/no-arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/no-arguments.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v promtool >/dev/null; then
  scripts/ops.sh install prom
  eval "$(scripts/ops.sh env)"
fi

export PYTHONDONTWRITEBYTECODE=1

# Its own output only when something is wrong.
quietly() {
  local said
  said=$("$@" 2>&1) || { printf '%s\n' "$said" >&2; return 1; }
}

quietly promtool check rules --lint=all --lint-fatal monitoring/rules/cdc-consumers.rules.yml
quietly promtool test rules monitoring/rules/tests/*.yml
scripts/make-rules.sh --check
quietly python3 -m unittest discover -s scripts/monitoring
python3 scripts/monitoring/dashboards.py
echo "check-monitoring: rules hold, each alert fires and stays quiet as its tests say"
