#!/usr/bin/env bash
# record-shop.sh [DIR] - records the shop that `cdc demo` replays, into DIR (default cdc/demo):
#   shop.ndjson.gz     every record of the shop's three topics, from a real PostgreSQL, Debezium and Kafka
#   expected.json.gz   every row of every view as PostgreSQL itself computed it, and the three poison records
#   README.md          how it was made, and counts
#
# Needs python3, and `stack.sh install` before. Runs a stack of its own, fresh and wiped at the end (ports can be set,
# see stack.sh).
# The workload is seeded: recording again gives the same changes and the same answers. Times, LSNs and transaction ids
# differ. Takes one to five minutes. Nothing is written unless check.py, which computes the views from the recorded log
# alone, agrees with PostgreSQL in every row.
set -euo pipefail
if [[ ${1:-} == -* ]]; then
  sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"
  [ "$1" != --help ] || exit 0
  exit 64
fi

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
OUT=${1:-$HERE/../cdc/demo}
WORK=$(mktemp -d)
export STACK_NAME=recording TOPIC_PREFIX=shop PG_DATABASE=shop
export PG_PORT=${PG_PORT:-15442} KAFKA_PORT=${KAFKA_PORT:-19192} KAFKA_CONTROLLER_PORT=${KAFKA_CONTROLLER_PORT:-19193}
export CONNECT_PORT=${CONNECT_PORT:-18183}
TABLES=(products orders order_items)
TOPICS=("${TABLES[@]/#/shop.public.}")

stack() { "$HERE/stack.sh" "$@"; }
sql() { stack psql -q -v ON_ERROR_STOP=1 "$@" >/dev/null; }
trade() { sql -c "select setseed($1)" -c "call maker.trade($2)"; }

snapshot() { # KIND TABLE...: as rows `r` in the middle of the stream
  local kind=$1 table held rows names='' counts=()
  shift
  stack settle
  held=$(stack topics)
  for table; do
    rows=$(stack psql -Atc "select count(*) from $table")
    counts+=("shop.public.$table=$((rows + $(awk -v t="shop.public.$table" '$2 == t {print $1}' <<<"$held")))")
    names+=${names:+,}\"public.$table\"
  done
  sql -c "insert into debezium_signal values ('$kind', 'execute-snapshot',
    '{\"type\": \"$kind\", \"data-collections\": [$names]}')"
  stack await 60 "${counts[@]}"
}

poison() { # WHICH: made of what is in the topics, put beside it
  stack settle
  stack capture "$WORK/now.ndjson" "${TOPICS[@]}"
  python3 "$HERE/shop/poison.py" "$1" <"$WORK/now.ndjson" | stack produce | sed "s/$/ $1/" >>"$WORK/poison"
}

clean_up() {
  stack wipe
  rm -rf "$WORK"
}
trap clean_up EXIT

stack wipe
stack up kafka postgres connect
for part in schema maker trade; do sql -1 -f "$HERE/shop/$part.sql"; done
sql -f "$HERE/shop/stock.sql"
stack create-connector shop

trade 0.2 500
sql -f "$HERE/shop/cases.sql"
poison cut-json
snapshot blocking "${TABLES[@]}"
trade 0.3 500
poison wrong-type
snapshot incremental products
trade 0.4 500
poison not-utf8

stack settle
stack stop-connector
stack capture "$WORK/shop.ndjson" "${TOPICS[@]}"
stack psql -q -f "$HERE/shop/views.sql" >"$WORK/views.json"
python3 "$HERE/shop/expected.py" "$WORK/poison" "$WORK/views.json" >"$WORK/expected.json"
python3 "$HERE/shop/check.py" "$WORK/shop.ndjson" "$WORK/expected.json" | tee "$WORK/counts"

pinned() { sed -n "s:.*<$1.version>\(.*\)</.*:\1:p" "$HERE/stack/maven/pom.xml"; }
versions="$(stack psql -Atc 'select version()' | cut -d' ' -f1,2), Debezium $(pinned debezium) and Kafka $(pinned kafka)"
mkdir -p "$OUT"
gzip -9nc "$WORK/shop.ndjson" >"$OUT/shop.ndjson.gz"
gzip -9nc "$WORK/expected.json" >"$OUT/expected.json.gz"
python3 "$HERE/shop/readme.py" "$versions" "$HERE/shop/README.tmpl" "$WORK/counts" >"$OUT/README.md"
ls -l "$OUT" >&2
