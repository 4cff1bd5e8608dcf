#!/usr/bin/env bash
# scripts/measure-verify.sh - what `cdc verify` takes of a large view: a stack of its own with so many products, the view
# of them made by inventory-service in SQLite, then time and memory of two verifications: one that finds all exact, and one
# after a row was altered behind the service's back, which must name it.
#
#   scripts/measure-verify.sh            a million products, a few minutes
#   scripts/measure-verify.sh 10000000   half an hour or more, some 20 GB of disk
#
# Needs what scripts/stack.sh needs (without aws) and Python 3.10 or later.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rows=${1:-1000000}
[[ $rows =~ ^[1-9][0-9]*$ ]] || {
  sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"
  [ "$rows" != --help ] || exit 0
  exit 64
}
say() { echo "measure-verify: $*"; }
export STACK_NAME=large PG_PORT=15512 KAFKA_PORT=19512 KAFKA_CONTROLLER_PORT=19513 CONNECT_PORT=18512
BIN=$PWD/target/release

cargo build --release --locked --bins
work=$(mktemp -d)
finish() {
  scripts/stack.sh wipe >/dev/null 2>&1
  rm -rf "$work"
}
scripts/stack.sh install kafka postgres connect
trap finish EXIT
scripts/stack.sh wipe >/dev/null 2>&1
scripts/stack.sh up kafka postgres connect
eval "$(scripts/stack.sh env)"

say "$rows products"
scripts/stack.sh psql -q -v ON_ERROR_STOP=1 -f scripts/shop/schema.sql
scripts/stack.sh psql -q -v ON_ERROR_STOP=1 <<SQL
insert into products
  select n, 'product ' || n, 'as good as the one before', n % 9000 / 100.0, n % 500, 'category ' || n % 40, now(), now()
  from generate_series(1, $rows) n;
insert into order_items values (1, 1, 1, 3, 2.50);
SQL
# Without schemas, or Kafka would hold five times as much; then decimals must be text.
json=org.apache.kafka.connect.json.JsonConverter
READY_TIMEOUT_S=7200 scripts/stack.sh create-connector shop decimal.handling.mode=string \
  "key.converter=$json" key.converter.schemas.enable=false "value.converter=$json" value.converter.schemas.enable=false
scripts/stack.sh await 7200 "${TOPIC_PREFIX}products=$rows" "${TOPIC_PREFIX}order_items=1"

measured() { # WHAT COMMAND...: seconds and MiB at most; its output, and its exit status
  python3 - "$@" <<'PYTHON'
import resource, subprocess, sys, time
begun = time.monotonic()
code = subprocess.call(sys.argv[2:])
seconds, peak = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
print(f"measure-verify: {sys.argv[1]}: {seconds:.1f} s, {peak} MiB at most, exit status {code}", flush=True)
sys.exit(code)
PYTHON
}
export SINK=sqlite:$work/views.db DLQ=dir:$work/dlq LOG_LEVEL=error
unset S3_BUCKET
measured "view made" "$BIN/inventory-service" --until-end --http-listen none
du -m "$work/views.db" | sed 's/^\([0-9]*\).*/measure-verify: \1 MiB of SQLite/'
TMPDIR=$work measured "all exact" "$BIN/cdc" verify inventory

python3 - "$work/views.db" "$((rows / 2))" <<'PYTHON'
import sqlite3, sys
file = sqlite3.connect(sys.argv[1])
changed = file.execute("update inventory_realtime set stock_quantity = stock_quantity + 1 where product_id = ?", (int(sys.argv[2]),))
assert changed.rowcount == 1
file.commit()
PYTHON
status=0
TMPDIR=$work measured "one row altered" "$BIN/cdc" verify inventory | tee "$work/said" || status=$?
grep -q "$((rows / 2))" "$work/said" || { say "FAILED: it does not name product $((rows / 2))"; exit 1; }
[ "$status" = 1 ] || { say "FAILED: exit status $status"; exit 1; }
