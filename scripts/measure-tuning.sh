#!/usr/bin/env bash
# scripts/measure-tuning.sh - what TUNING does: inventory-service with each preset, on a real source (scripts/stack.sh).
# Catching up: seconds from the program's start until everything that was in the topics is durable, into DynamoDB (LocalStack)
# and into SQLite. Delay: from a change's commit in PostgreSQL until its effect is durable, at a steady rate.
#
#   scripts/measure-tuning.sh       some 15 minutes; run nothing else meanwhile
#
# Settings: TRANSACTIONS (8000) of the shop to catch up with, RUNS (2) each, SECONDS_EACH (60) and RATE (20 transactions a
# second) for the delay.
set -euo pipefail
# shellcheck source=scripts/no-arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/no-arguments.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${TRANSACTIONS:=8000}" "${RUNS:=2}" "${SECONDS_EACH:=60}" "${RATE:=20}"
PRESETS="balanced throughput latency"
LISTEN=127.0.0.1:19541
BIN=$PWD/target/release
export CDC=$BIN/cdc TRANSACTIONS
export STACK_NAME=tuning PG_PORT=15492 KAFKA_PORT=19492 KAFKA_CONTROLLER_PORT=19493 CONNECT_PORT=18492 P_LS=4592 LS_PORT=4592

cargo build --release --locked --bins
work=$(mktemp -d)
service=
finish() {
  [ -z "$service" ] || kill "$service" 2>/dev/null || true
  scripts/stack.sh wipe >/dev/null
  rm -rf "$work"
}
scripts/stack.sh install
trap finish EXIT
scripts/stack.sh wipe >/dev/null 2>&1
scripts/stack.sh up
eval "$(scripts/stack.sh env)"
scripts/seed.sh

generation=1
anew() { # a generation of its own, with an empty table
  generation=$((generation + 1))
  export GENERATION=$generation KAFKA_GROUP_ID=tuning-$generation DYNAMODB_TABLE=inventory-tuning-$generation
  "$CDC" doctor inventory --fix >"$work/doctor" 2>&1 || { cat "$work/doctor" >&2; exit 1; }
}
catch_up() { # PRESET SINK: seconds, records, MiB
  local begun ended
  anew
  begun=$(date +%s%N)
  TUNING=$1 python3 - "$BIN/inventory-service" --until-end --sink "$2" --http-listen none --log-format json \
    >"$work/log" 2>&1 <<'PYTHON' || { tail -n 5 "$work/log" >&2; exit 1; }
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(f"peak {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024}", file=sys.stderr)
sys.exit(code)
PYTHON
  ended=$(date +%s%N)
  awk -v seconds="$(((ended - begun) / 1000000))" -v records="$(sed -n 's/.*"message":"counts".*"records":\([0-9]*\).*/\1/p' "$work/log" | tail -n 1)" \
    -v writes="$(sed -n 's/.*"message":"counts".*"writes":\([0-9]*\).*/\1/p' "$work/log" | tail -n 1)" -v peak="$(sed -n 's/^peak //p' "$work/log")" \
    'BEGIN { printf "%.1f s, %d records (%d a second), %d writes, %d MiB at most\n", seconds / 1000, records, 1000 * records / seconds, writes, peak }'
}
delay() { # PRESET: of writes into DynamoDB
  local begun
  anew
  START=latest TUNING=$1 "$BIN/inventory-service" --http-listen "$LISTEN" >"$work/log" 2>&1 &
  service=$!
  until curl -fsS "http://$LISTEN/health/ready" >/dev/null 2>&1; do
    kill -0 "$service" || { tail -n 5 "$work/log" >&2; exit 1; }
    sleep 0.2
  done
  begun=$(date +%s)
  "$CDC" shop --rate "$RATE" --seconds "$SECONDS_EACH" --seed 3 >"$work/shop" 2>&1
  scripts/stack.sh settle 60 >/dev/null
  until [ "$(curl -fsS "http://$LISTEN/metrics" | awk '/^cdc_consumer_lag_records/ { lag += $NF } END { print lag + 0 }')" = 0 ]; do sleep 1; done
  curl -fsS "http://$LISTEN/metrics" >"$work/metrics"
  kill "$service"
  wait "$service"
  service=
  rm -f "$work/records"
  scripts/stack.sh capture "$work/records" "${TOPIC_PREFIX}products" "${TOPIC_PREFIX}order_items" >/dev/null 2>&1
  python3 - "$work/metrics" "$work/records" "$begun" <<'PYTHON'
import json, re, sys
metrics, records, begun = sys.argv[1], sys.argv[2], 1000 * int(sys.argv[3])
buckets, sums = {}, {}
for line in open(metrics):
    found = re.match(r"(\w+_(?:sum|count))\{.*\} (\S+)", line)
    if found:
        sums[found[1]] = sums.get(found[1], 0) + float(found[2])
    found = re.match(r'cdc_processing_latency_seconds_bucket\{.*le="([^"]+)".*\} (\d+)', line)
    if found:
        buckets[float(found[1])] = buckets.get(float(found[1]), 0) + int(found[2])
bounds = sorted(buckets)
total = buckets[float("inf")]
def quantile(share):  # straight between the bounds of its bucket
    below, low = 0, 0.0
    for bound in bounds:
        if buckets[bound] >= share * total:
            part = (share * total - below) / (buckets[bound] - below)
            return low + part * (bound - low)
        below, low = buckets[bound], bound
mean = lambda name: sums[name + "_sum"] / sums[name + "_count"]
before = []
for line in open(records):
    record = json.loads(line)
    if record["timestamp"] >= begun and record.get("value"):
        value = json.loads(record["value"])
        before.append(record["timestamp"] - value.get("payload", value)["source"]["ts_ms"])
print(
    f"{total} writes: p50 {quantile(0.5):.2f} s, p95 {quantile(0.95):.2f} s, p99 {quantile(0.99):.2f} s; mean "
    f"{mean('cdc_processing_latency_seconds'):.3f} s, of it {sum(before) / len(before) / 1000:.3f} s until it was in Kafka; "
    f"a commit takes {mean('cdc_commit_duration_seconds'):.3f} s, {sums['cdc_commit_duration_seconds_count']:.0f} of them"
)
PYTHON
}

for sink in aws sqlite; do
  for ((run = 1; run <= RUNS; run++)); do
    for preset in $PRESETS; do
      place=$sink
      [ "$sink" = aws ] || place=sqlite:$work/$preset-$run.db
      printf 'catching up, %s, %s: ' "$sink" "$preset"
      catch_up "$preset" "$place"
    done
  done
done
for preset in $PRESETS; do
  printf 'delay at %s transactions a second, %s: ' "$RATE" "$preset"
  delay "$preset"
done
