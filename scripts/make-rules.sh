#!/usr/bin/env bash
# make-rules.sh - makes k8s/monitoring/rules.yaml, for the Prometheus operator, of
# monitoring/rules/cdc-consumers.rules.yml.
#
#   scripts/make-rules.sh             writes it
#   scripts/make-rules.sh --check     exit status 1, and the difference, if it is not what would be written
#
# Settings: RUNBOOKS (empty): before each runbook_url, such as https://git.example.com/cdc/blob/main/
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

RULES=monitoring/rules/cdc-consumers.rules.yml
MADE=k8s/monitoring/rules.yaml

make() {
  cat <<'YAML'
# Made of monitoring/rules/cdc-consumers.rules.yml by scripts/make-rules.sh. Do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: cdc-consumers
  namespace: cdc-consumers
  labels:
    app.kubernetes.io/name: cdc-consumers
    app.kubernetes.io/part-of: cdc-platform
spec:
YAML
  sed -e '/^#/d' -e '/./s/^/  /' -e "s|runbook_url: |&${RUNBOOKS:-}|" "$RULES"
}

case ${1:-} in
  "")
    mkdir -p "$(dirname "$MADE")"
    make >"$MADE"
    ;;
  --check)
    if ! diff "$MADE" <(make); then
      echo "make-rules: $MADE (<) is not what scripts/make-rules.sh makes (>): run it" >&2
      exit 1
    fi
    ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; [ "$1" != --help ] || exit 0; exit 64 ;;
esac
