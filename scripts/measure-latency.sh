#!/usr/bin/env bash
# scripts/measure-latency.sh - how long a change takes from its commit in PostgreSQL until readers of DynamoDB see it, at
# steady rates, on a real source (scripts/stack.sh): PostgreSQL, Debezium, Kafka, inventory-service.
#
#   scripts/measure-latency.sh      some five minutes; run nothing else meanwhile
#
# Orders of four lines are inserted (pgbench, one transaction each, products wanted by Zipf's law). What stands in for
# DynamoDB (bench/src/bin/dynamodb-stand-in.rs) writes down when each item took which offset, so every line of an order has
# its own time: from the commit, as PostgreSQL stamps it, to the first write of its product that holds it. Debezium's part
# of it ends where the record gets its time, which is when the connector hands it to the broker. Both in ms; a commit's
# stamp is cut to whole ones.
#
# Settings: RATES (100 1000 5000): events a second, of which four in five are lines; PRESETS (latency balanced) of TUNING;
# SECONDS_EACH (30); PREBUILT: a folder with the binaries of the workspace (default: a build for release).
# Exit status 0: measured, and every line was seen; 1: something failed, or a line never showed.
set -euo pipefail
# shellcheck source=scripts/no-arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/no-arguments.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${RATES:=100 1000 5000}" "${PRESETS:=latency balanced}" "${SECONDS_EACH:=30}"
PRODUCTS=10000 LINES=4
LISTEN=127.0.0.1:19641
export STACK_NAME=latency PG_PORT=15692 KAFKA_PORT=19692 KAFKA_CONTROLLER_PORT=19693 CONNECT_PORT=18692 LS_PORT=4892
dynamodb=http://127.0.0.1:$LS_PORT

if [ -n "${PREBUILT:-}" ]; then
  bin=$(readlink -f "$PREBUILT")
else
  cargo build --release --locked --workspace --bins
  bin=$PWD/${CARGO_TARGET_DIR:-target}/release
fi
pgbench=$(command -v pgbench || find /usr/lib/postgresql -name pgbench 2>/dev/null | sort -V | tail -n 1)
[ -n "$pgbench" ] || { echo "measure-latency: no pgbench: it comes with PostgreSQL's server" >&2; exit 1; }
work=$(mktemp -d)
service='' stand_in=''
down() {
  local pid
  for pid in $service $stand_in; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  service='' stand_in=''
}
finish() {
  trap '' INT TERM
  down
  scripts/stack.sh wipe >/dev/null 2>&1 || true
  rm -rf "$work"
}
scripts/stack.sh install postgres kafka connect >/dev/null
trap finish EXIT
trap 'exit 1' INT TERM
scripts/stack.sh wipe >/dev/null 2>&1
scripts/stack.sh up postgres kafka connect >&2
eval "$(scripts/stack.sh env)"
: "${TOPIC_PREFIX:?the settings of the stack name no topics}"
unset AWS_ENDPOINT_URL_DYNAMODB AWS_ENDPOINT_URL_S3 S3_BUCKET
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_ENDPOINT_URL=$dynamodb
query() { scripts/stack.sh psql -q -v ON_ERROR_STOP=1 "$@"; }
query -f scripts/shop/schema.sql >/dev/null
query <<SQL
insert into products select id, 'Lamp ' || id, 'ready to ship', 19.90, 1000000, 'home', now(), now()
  from generate_series(1, $PRODUCTS) id;
create sequence orders_id;
create sequence lines_id;
-- A line before the service starts, so that its topic is there.
insert into order_items values (nextval('lines_id'), 0, 1, 1, 19.90);
SQL
scripts/stack.sh create-connector shop >&2
scripts/stack.sh settle 120 >/dev/null

cat >"$work/order.sql" <<'SQL'
\set customer random(1, 100000)
\set one random_zipfian(1, 10000, 1.001)
\set two random_zipfian(1, 10000, 1.001)
\set three random_zipfian(1, 10000, 1.001)
\set four random_zipfian(1, 10000, 1.001)
with o as (insert into orders values (nextval('orders_id'), :customer::int, 'new', 79.60, now()) returning id)
insert into order_items select nextval('lines_id'), o.id, product, 1, 19.90
  from o, (values (:one::int), (:two::int), (:three::int), (:four::int)) as wanted (product);
SQL

lag() { curl -fsS "http://$LISTEN/metrics" | awk '/^cdc_consumer_lag_records/ { lag += $NF; n++ } END { print n ? lag : -1 }'; }
caught_up() { # the service shows all that was committed by now
  scripts/stack.sh settle 300 >/dev/null
  sleep 1
  local tries=0
  until [ "$(lag)" = 0 ]; do
    kill -0 "$service" 2>/dev/null && [ $((tries += 1)) -lt 600 ] || { tail -n 5 "$work/log" >&2; exit 1; }
    sleep 0.5
  done
}

round=1
measure() { # PRESET RATE
  round=$((round + 1))
  rm -rf "$work/state" "$work/journal" "$work/records"
  "$bin/dynamodb-stand-in" --listen "127.0.0.1:$LS_PORT" --table inventory-realtime=product_id \
    --journal "$work/journal" 2>"$work/stand-in" &
  stand_in=$!
  until curl -fs "$dynamodb/counts" >/dev/null; do kill -0 "$stand_in" || { cat "$work/stand-in" >&2; exit 1; }; sleep 0.1; done
  TUNING=$1 START=latest GENERATION=$round KAFKA_GROUP_ID=latency-$round DLQ=dir:$work/dlq STATE=slatedb:dir:$work/state \
    "$bin/inventory-service" --sink aws --http-listen "$LISTEN" >"$work/log" 2>&1 &
  service=$!
  until curl -fsS "http://$LISTEN/health/ready" >/dev/null 2>&1; do
    kill -0 "$service" || { tail -n 5 "$work/log" >&2; exit 1; }
    sleep 0.2
  done
  # Every product has its row before the trade begins.
  query -c "update products set stock_quantity = stock_quantity + 1" >/dev/null
  caught_up
  local begun
  begun=$(date +%s%3N)
  PGPASSWORD=postgres "$pgbench" -h 127.0.0.1 -p "$PG_PORT" -U postgres -n -f "$work/order.sql" -M prepared -c 8 -j 1 \
    -R "$(awk -v rate="$2" -v lines=$LINES 'BEGIN { print rate / (lines + 1) }')" -T "$SECONDS_EACH" shop >"$work/pgbench" 2>&1 ||
    { grep -m 3 error "$work/pgbench" >&2; exit 1; }
  caught_up
  down
  scripts/stack.sh capture "$work/records" "${TOPIC_PREFIX}order_items" >/dev/null 2>&1
  python3 - "$work" "$begun" "$1" "$2" "$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$work/pgbench")" "$LINES" <<'PYTHON'
import base64, bisect, json, pathlib, sys

work, begun, preset, rate, tps, lines = pathlib.Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]


def offset(entry):
    """The first number of an entry: the offset that the partition had come to (sinks/src/dynamodb/entry.rs)."""
    n = 0
    for at, byte in enumerate(base64.b64decode(entry)):
        n |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            return n


# By product and partition: offsets that were reached, and when.
shown = {}
for line in (work / "journal").open(encoding="utf-8"):
    write = json.loads(line)
    for name, entry in write["entries"].items():
        if name[0] == "o":
            offsets, times = shown.setdefault((int(write["key"]["product_id"]["N"]), int(name[1:])), ([], []))
            reached = offset(entry["B"])
            if not offsets or reached > offsets[-1]:
                offsets.append(reached)
                times.append(write["at_us"] / 1000)
whole, debezium, own, lost = [], [], [], 0
for line in (work / "records").open(encoding="utf-8"):
    record = json.loads(line)
    if record["timestamp"] < begun or not record.get("value"):
        continue
    event = json.loads(record["value"])
    event = event.get("payload", event)
    offsets, times = shown.get((event["after"]["product_id"], record["partition"]), ([], []))
    at = bisect.bisect_left(offsets, record["offset"])
    if at == len(offsets):
        lost += 1
        continue
    committed = event["source"]["ts_ms"]
    whole.append(times[at] - committed)
    debezium.append(record["timestamp"] - committed)
    own.append(times[at] - record["timestamp"])


def quantiles(times):
    times.sort()
    return " | ".join(f"{times[min(len(times) - 1, int(share * len(times)))]:,.0f}" for share in (0.5, 0.99))


if lost or not whole:
    sys.exit(f"measure-latency: {lost} lines were never seen, {len(whole)} were")
print(
    f"| {preset} | {rate} | {float(tps) * (int(lines) + 1):,.0f} | {len(whole):,} | {quantiles(whole)} | "
    f"{quantiles(debezium)} | {quantiles(own)} |",
    flush=True,
)
PYTHON
}

echo "| TUNING | events / s asked | had | lines | whole p50 | p99 | Debezium p50 | p99 | from Kafka on p50 | p99 |"
echo "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
for preset in $PRESETS; do
  for rate in $RATES; do measure "$preset" "$rate"; done
done
